"""From a name to a scenario: those that come with the project, plug-ins, and ``module:Name``."""

from __future__ import annotations

import importlib
import inspect
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from simulators.errors import ScenarioError
from simulators.scenarios.base import Scenario

ENTRY_POINT_GROUP = "beamloop.simulator"
"""Packages that offer scenarios name them in this group of their metadata."""

BUILT_IN = {
    "annealing": "simulators.scenarios.annealing:Annealing",
    "composition_wafer": "simulators.scenarios.composition_wafer:CompositionWafer",
    "irradiation_dose": "simulators.scenarios.irradiation_dose:IrradiationDose",
    "particle_growth": "simulators.scenarios.particle_growth:ParticleGrowth",
}


def scenario_kinds() -> tuple[str, ...]:
    """Return the names that `make_scenario` knows: built in, then from plug-ins."""
    plugged = (point.name for point in entry_points(group=ENTRY_POINT_GROUP))
    return tuple(dict.fromkeys([*BUILT_IN, *sorted(plugged)]))


def make_scenario(kind: str, **options: Any) -> Scenario:
    """Build a scenario.

    Parameters
    ----------
    kind
        ``"annealing"``, ``"composition_wafer"``, ``"irradiation_dose"``, ``"particle_growth"``, the name of an entry
        point in the group ``beamloop.simulator``, or ``"module:Name"`` for a class or function of your own.
    **options
        Handed to the scenario's constructor.

    Raises
    ------
    ScenarioError
        If the kind is unknown or cannot be imported, an option does not exist or is refused, or what comes out is not a
        scenario.
    """
    factory = _find(kind)
    try:
        inspect.signature(factory).bind(**options)
    except TypeError as error:
        accepted = ", ".join(inspect.signature(factory).parameters) or "none"
        raise ScenarioError(
            f"scenario {kind!r}: {error}; options given: {sorted(options)}, accepted: {accepted}"
        ) from error
    scenario = factory(**options)
    if not isinstance(scenario, Scenario):
        missing = [name for name in ("name", "parameters", "sample", "cross_section") if not hasattr(scenario, name)]
        raise ScenarioError(f"scenario {kind!r} made a {type(scenario).__name__}, which has no {', '.join(missing)}")
    return scenario


def _find(kind: str) -> Any:
    reference = BUILT_IN.get(kind)
    if reference is None and ":" in kind:
        reference = kind
    if reference is not None:
        point = EntryPoint(name=kind, value=reference, group=ENTRY_POINT_GROUP)
    else:
        found = [point for point in entry_points(group=ENTRY_POINT_GROUP) if point.name == kind]
        if not found:
            raise ScenarioError(
                f"there is no scenario {kind!r}; known: {', '.join(scenario_kinds())}; your own: 'module:Name'"
            )
        point = found[0]
    module, _, attribute = point.value.partition(":")
    try:
        target: Any = importlib.import_module(module.strip())
    except ImportError as error:
        raise ScenarioError(f"scenario {kind!r}: module {module!r} cannot be imported: {error}") from error
    for part in attribute.strip().split("."):
        if not hasattr(target, part):
            raise ScenarioError(f"scenario {kind!r}: {module} has no {attribute!r}")
        target = getattr(target, part)
    if not callable(target):
        raise ScenarioError(f"scenario {kind!r}: {point.value} is a {type(target).__name__}, not a class or function")
    return target

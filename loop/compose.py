"""The composition root: a checked campaign file becomes objects. The one place where the loop knows the instruments."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial, reduce
from inspect import signature
from operator import or_
from pathlib import Path
from typing import Any, Literal, cast

import torch

from instruments.devices import SimulatedMotor, SoftAxis, TemperatureStage
from instruments.observables import Observable, make_observable
from instruments.quality import QualityGate
from instruments.replay import ReplayExperiment
from instruments.simulated import SimulatedExperiment
from loop.acquisition.registry import DEFAULTS
from loop.agent import Agent
from loop.config import CampaignConfig
from loop.config.base import Component
from loop.config.beamline import ReplayBeamline, SimulatedBeamline
from loop.errors import ConfigError
from loop.plugins import find
from loop.priors import fitted_prior, prior_of
from loop.protocols import Experiment, Surrogate
from loop.reactions import BUILTIN as REACTIONS
from loop.reactions import Condition, Rule
from loop.space import BoxSpace, Continuous, PoolSpace
from loop.stopping import MaxPoints, MaxTime, StoppingRule
from loop.wording import symbol
from simulators.instrument import InstrumentModel
from simulators.recorded import RecordedCurves, find_data
from simulators.scenarios import make_scenario

FRAMES = "frames"
"""Folder of a campaign's frames, in the campaign's folder."""

SURROGATES = {"pbnn": "surrogates.pbnn:PBNN", "gp": "surrogates.gp:GaussianProcess"}
STOPPING_RULES = {
    "max_points": "loop.stopping:MaxPoints",
    "max_time": "loop.stopping:MaxTime",
    "target_reached": "loop.stopping:TargetReached",
    "no_improvement": "loop.stopping:NoImprovement",
    "predicted_sd_below": "loop.stopping:PredictedSdBelow",
}


@dataclass(frozen=True)
class Parts:
    """What a campaign file describes, built."""

    config: CampaignConfig
    space: BoxSpace | PoolSpace
    experiment: Experiment
    stopping: StoppingRule
    new_agent: Callable[[], Agent]
    """Makes an agent that knows nothing yet."""
    reactions: tuple[Rule, ...] = ()
    exposure_s: float | None = None
    """See `loop.engine.Campaign`."""


def compose(config: CampaignConfig, folder: Path) -> Parts:
    """Build a campaign; nothing moves and nothing is measured.

    Parameters
    ----------
    config
        The checked campaign file.
    folder
        The campaign's folder.

    Raises
    ------
    ConfigError, InstrumentError, SimulatorError, PluginError
        Whatever cannot be built, said so that the file's author can mend it.
    """
    # A user's own module lies where the command runs; at the end, so that it never hides an installed package.
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)
    if isinstance(config.beamline, ReplayBeamline):
        whole = _recording(config.beamline)
        recording = _without(whole, config.beamline.exclude)
        experiment: Experiment = cast(Experiment, _replay(config, config.beamline, recording, whole))
        space: BoxSpace | PoolSpace = _pool(config, recording)
    else:
        experiment = cast(Experiment, _simulated(config, config.beamline, folder))
        space = _box(config)
    surrogate = _surrogate(config, space, experiment.observables, folder)
    objective = config.objective
    direction: Literal["maximise", "minimise"] | None = (
        None if objective.kind == "map" else "minimise" if objective.kind == "target" else objective.direction
    )
    new_agent = partial(
        Agent,
        space,
        surrogate,
        DEFAULTS[objective.kind] if config.acquisition.kind == "auto" else config.acquisition.kind,
        observables=experiment.observables,
        direction=direction,
        n_initial=config.initial.points,
        seed=config.seed,
        acquisition_options=config.acquisition.options,
        refit=config.surrogate.refit,
        device=_device(config),
    )
    new_agent()  # a wrong acquisition or option is to be told now
    exposure_s = config.measurement.exposure_s if isinstance(config.beamline, SimulatedBeamline) else None
    return Parts(config, space, experiment, _stopping(config), new_agent, _reactions(config), exposure_s)


def _device(config: CampaignConfig) -> str:
    there = torch.cuda.is_available()
    if config.device == "cuda" and not there:
        raise ConfigError('device: found "cuda", but torch sees no GPU here; expected "cpu" or "auto".')
    return "cuda" if there and config.device != "cpu" else "cpu"


def _surrogate(
    config: CampaignConfig, space: BoxSpace | PoolSpace, observables: Sequence[str], folder: Path
) -> Surrogate:
    surrogate = config.surrogate
    options: dict[str, Any] = dict(surrogate.options)
    if "prior" in options:
        raise ConfigError("surrogate.options: found prior; expected it as surrogate.prior, beside kind and options.")
    if surrogate.prior is not None:
        options["prior"] = fitted_prior(prior_of(surrogate.prior, folder), space, observables)
    built = find(surrogate.kind, SURROGATES, group="beamloop.surrogate", what="surrogate")
    try:
        signature(built).bind(None, None, None, seed=0, **options)
    except TypeError as error:
        raise ConfigError(
            f"surrogate.options: found {surrogate.options}{'' if surrogate.prior is None else ' and a prior'}, which "
            f"{surrogate.kind} does not take: {error}."
        ) from None
    return cast(Surrogate, partial(built, **options) if options else built)


def _stopping(config: CampaignConfig) -> StoppingRule:
    stopping = config.stopping
    rules: list[StoppingRule] = []
    if stopping.points is not None:
        rules.append(MaxPoints(stopping.points))
    if stopping.minutes is not None:
        rules.append(MaxTime(stopping.minutes))
    for rule in stopping.rules:
        built = find(rule.kind, STOPPING_RULES, group="beamloop.stopping", what="stopping rule")
        try:
            rules.append(built(**rule.options))
        except TypeError as error:
            raise ConfigError(
                f"stopping.rules: {rule.kind} cannot be built from {dict(rule.options)}: {error}"
            ) from error
    return reduce(or_, rules)


def _reactions(config: CampaignConfig) -> tuple[Rule, ...]:
    rules = []
    for reaction in config.reactions:
        when, do = reaction.when, reaction.do
        built = find(do.kind, REACTIONS, group="beamloop.reaction", what="reaction")
        try:
            react = built(**do.options)
        except (TypeError, ValueError) as error:
            raise ConfigError(
                f"reactions.{reaction.name}.do.options: {do.kind} cannot be built from {dict(do.options)}: {error}"
            ) from error
        if not callable(react):
            raise ConfigError(f"reactions.{reaction.name}.do: {do.kind} gives a {type(react).__name__}, no reaction.")
        side: Literal["above", "below"] = "above" if when.above is not None else "below"
        threshold = cast(float, getattr(when, side))
        condition = Condition(when.observable, side, threshold, when.significance)
        rules.append(Rule(reaction.name, condition, react, reaction.at_most))
    return tuple(rules)


def _box(config: CampaignConfig) -> BoxSpace:
    assert config.space.kind == "box"  # noqa: S101 - for the type checker: the configuration has checked it
    return BoxSpace(
        [Continuous(name, axis.low, axis.high, symbol(axis.unit)) for name, axis in config.space.parameters.items()]
    )


def _pool(config: CampaignConfig, recording: RecordedCurves) -> PoolSpace:
    assert config.space.kind == "pool"  # noqa: S101 - for the type checker: the configuration has checked it
    for name, column in config.space.columns.items():
        if column not in recording.table.columns:
            raise ConfigError(
                f"space.features.{name}: found column {column!r}, expected one of {recording.source}'s scalar columns: "
                f"{', '.join(recording.table.columns)}."
            )
    columns = list(config.space.columns.values())
    try:
        features = recording.table[columns].to_numpy(dtype=float)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"space.features: expected columns of numbers, found {columns}: {error}.") from error
    units = [symbol(feature.unit) for feature in config.space.features.values()]
    scales = [feature.scale for feature in config.space.features.values()]
    return PoolSpace(recording.ids, features, config.space.names, units, scales)


def _observables(config: CampaignConfig, build: Callable[[str, Component], Observable]) -> dict[str, Observable]:
    """Build all, the objective's first."""
    first = config.objective.observable
    built: dict[str, Observable] = {}
    for name in (first, *(name for name in config.observables if name != first)):
        try:
            built[name] = build(name, config.observables[name])
        except ConfigError as error:
            # Those of this package know their options, but not what the file calls them.
            place = f"observables.{name}.options."
            raise ConfigError(str(error) if str(error).startswith(place) else f"{place}{error}") from error
    return built


def _simulated(config: CampaignConfig, beamline: SimulatedBeamline, folder: Path) -> SimulatedExperiment:
    assert config.space.kind == "box"  # noqa: S101 - for the type checker: the configuration has checked it
    axes: dict[str, SoftAxis] = {}
    for parameter, axis in config.space.parameters.items():
        device = beamline.devices[axis.device]
        build = SimulatedMotor if device.kind == "motor" else TemperatureStage
        axes[parameter] = build(name=axis.device, time_scale=beamline.time_scale, **device.keywords())
    return SimulatedExperiment(
        make_scenario(beamline.scenario.kind, **beamline.scenario.options),
        InstrumentModel(**beamline.instrument.keywords()),
        frames=folder.absolute() / FRAMES,
        quality=QualityGate(**config.quality.keywords()),
        observables=_observables(config, lambda _, o: make_observable(o.kind, **o.options)),
        axes=axes,
        reduction=config.reduction.keywords(),
        exposure_s=config.measurement.exposure_s,
        background_frames=beamline.background_frames,
        seed=config.seed,
        time_scale=beamline.time_scale,
        detector_timeout_s=config.measurement.detector_timeout_s,
        move_timeout_s=config.measurement.move_timeout_s,
    )


def _recording(beamline: ReplayBeamline) -> RecordedCurves:
    return RecordedCurves.from_parquet(
        find_data(beamline.data),
        id_column=beamline.id,
        columns=beamline.columns.model_dump(),
        where=beamline.where,
        q_scale=beamline.q_scale,
    )


def _without(recording: RecordedCurves, exclude: list[str]) -> RecordedCurves:
    unknown = sorted(set(exclude) - set(recording.ids))
    if unknown:
        raise ConfigError(f"beamline.exclude: found {unknown}, expected ids of {recording.source}.")
    keep = [row for row, identity in enumerate(recording.ids) if identity not in exclude]
    return replace(
        recording,
        ids=tuple(recording.ids[row] for row in keep),
        table=recording.table.iloc[keep].reset_index(drop=True),
        q=tuple(recording.q[row] for row in keep),
        intensity=tuple(recording.intensity[row] for row in keep),
        sigma=tuple(recording.sigma[row] for row in keep),
    )


def _replay(
    config: CampaignConfig, beamline: ReplayBeamline, recording: RecordedCurves, whole: RecordedCurves
) -> ReplayExperiment:
    def build(name: str, observable: Component) -> Observable:
        options = dict(observable.options)
        target = options.get("target")
        if isinstance(target, Mapping) and set(target) == {"sample"}:
            options["target"] = _curve_of(whole, str(target["sample"]), f"observables.{name}.options.target.sample")
        return make_observable(observable.kind, **options)

    return ReplayExperiment(
        recording,
        quality=QualityGate(**config.quality.keywords()),
        observables=_observables(config, build),
        change_s=beamline.change_s,
        exposure_s=config.measurement.exposure_s,
        time_scale=beamline.time_scale,
        detector_timeout_s=config.measurement.detector_timeout_s,
        move_timeout_s=config.measurement.move_timeout_s,
    )


def _curve_of(recording: RecordedCurves, identity: str, where: str) -> dict[str, Any]:
    """Return a recorded curve as a target, so that no data need to stand in the file."""
    try:
        row = recording.ids.index(identity)
    except ValueError:
        raise ConfigError(f"{where}: found {identity!r}, expected an id of {recording.source}.") from None
    return {"q": recording.q[row], "intensity": recording.intensity[row], "sigma": recording.sigma[row]}

"""What a scenario is: parameters that an experiment sets, a sample, and its cross-section as a function of both."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from simulators.errors import ParameterError

_TOLERANCE = 0.01
"""Share of a parameter's range that a value may lie outside: read-backs of real axes overshoot limits a little."""


@dataclass(frozen=True)
class ScenarioParameter:
    """One axis of a scenario."""

    name: str
    unit: str
    low: float
    high: float
    description: str


@dataclass(frozen=True)
class SampleProperties:
    """What the instrument must know of a sample to put its scattering on an absolute scale."""

    thickness_cm: float
    """Along the beam."""
    transmission: float
    """Share of the beam that passes, in (0, 1]."""

    def __post_init__(self) -> None:
        """Refuse what no sample has."""
        if not (math.isfinite(self.thickness_cm) and self.thickness_cm > 0):
            raise ParameterError(f"thickness_cm must be finite and above 0, got {self.thickness_cm!r}")
        if not 0 < self.transmission <= 1:
            raise ParameterError(f"transmission must lie in (0, 1], got {self.transmission!r}")


@runtime_checkable
class Scenario(Protocol):
    """A world to measure: deterministic; whoever measures it adds the noise."""

    name: str
    parameters: tuple[ScenarioParameter, ...]
    sample: SampleProperties

    def cross_section(self, states: Sequence[Mapping[str, float]], q: np.ndarray) -> np.ndarray:
        """Scattering of the sample in each of some states.

        Parameters
        ----------
        states
            One mapping per state: parameter name -> value in the parameter's unit.
        q
            ``(k,)`` 1/Å.

        Returns
        -------
        ndarray
            ``(n, k)`` dΣ/dΩ in 1/cm.

        Raises
        ------
        ParameterError
            If a state lacks a parameter, has an unknown one, or a value out of range.
        """
        ...


def state_columns(
    parameters: Sequence[ScenarioParameter], states: Sequence[Mapping[str, float]]
) -> dict[str, np.ndarray]:
    """Bring states to one array ``(n,)`` per parameter, checked.

    Raises
    ------
    ParameterError
        If there are no states, or one lacks a parameter, has an unknown one, or a value that is not finite or lies more
        than 1 % of the range outside its limits.
    """
    if len(states) == 0:
        raise ParameterError("at least one state is needed, got none")
    names = {parameter.name for parameter in parameters}
    for index, state in enumerate(states):
        if set(state) != names:
            raise ParameterError(f"state {index} must have exactly {sorted(names)}, got {sorted(state)}")
    result: dict[str, np.ndarray] = {}
    for parameter in parameters:
        values = np.array([float(state[parameter.name]) for state in states])
        slack = _TOLERANCE * (parameter.high - parameter.low)
        bad = ~((values >= parameter.low - slack) & (values <= parameter.high + slack))
        if bad.any():
            index = int(np.flatnonzero(bad)[0])
            raise ParameterError(
                f"{parameter.name} must lie in [{parameter.low:g}, {parameter.high:g}] {parameter.unit}, "
                f"got {values[index]:g} in state {index}"
            )
        result[parameter.name] = values
    return result

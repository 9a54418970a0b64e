"""Positioners for the parameters of a simulated sample."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from instruments.devices import Faults, SimulatedMotor, SoftAxis, TemperatureStage
from instruments.errors import InstrumentError


class Parameter(Protocol):
    """What an axis must know of a parameter (`simulators.scenarios.ScenarioParameter`)."""

    @property
    def name(self) -> str:
        """Of the parameter."""

    @property
    def unit(self) -> str:
        """Of its values."""

    @property
    def low(self) -> float:
        """Smallest value."""

    @property
    def high(self) -> float:
        """Largest value."""


def default_axis(parameter: Parameter, *, time_scale: float = 1.0, faults: Faults | None = None) -> SoftAxis:
    """Build a positioner for a scenario's parameter: a temperature stage for °C, else a motor; full range in 4 s."""
    common: dict[str, Any] = {
        "name": parameter.name,
        "limits": (parameter.low, parameter.high),
        "egu": parameter.unit,
        "time_scale": time_scale,
        "faults": faults,
    }
    speed = (parameter.high - parameter.low) / 4
    if parameter.unit == "°C":
        return TemperatureStage(ramp_rate=speed, settle_s=0.5, **common)
    return SimulatedMotor(velocity=speed, **common)


def checked_axes(axes: Mapping[str, SoftAxis], parameters: Sequence[Parameter]) -> dict[str, SoftAxis]:
    """Return the axes in the order of the parameters.

    Raises
    ------
    InstrumentError
        If an axis is missing or one too many, its unit is not the parameter's, or names of devices clash.
    """
    names = [parameter.name for parameter in parameters]
    if set(axes) != set(names):
        raise InstrumentError(f"the scenario's parameters are {sorted(names)}, axes were given for {sorted(axes)}")
    for parameter in parameters:
        axis = axes[parameter.name]
        if axis.egu != parameter.unit:
            raise InstrumentError(
                f"parameter {parameter.name} is in {parameter.unit!r}, its axis {axis.name} in {axis.egu!r}"
            )
    taken = [axis.name for axis in axes.values()]
    reserved = {"det", "shutter", "holder", "i0", "diode", "ring_current"}
    if len(set(taken)) < len(taken) or reserved & set(taken):
        raise InstrumentError(f"names of axes must differ, also from {sorted(reserved)}; got {taken}")
    return {name: axes[name] for name in names}

"""Motor, temperature stage, and what knows only named positions: shutter and sample changer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ophyd import Component as Cpt
from ophyd.utils import LimitError

from instruments.devices.faults import Faults
from instruments.devices.motion import SoftAxis
from instruments.devices.signals import SoftSignal, SoftSignalRO
from instruments.errors import InstrumentError


class _LinearAxis(SoftAxis):
    """A number within soft limits."""

    def __init__(self, *, name: str, limits: tuple[float, float], start: float | None = None, **kwargs: Any) -> None:
        low, high = (float(limit) for limit in limits)
        start = low if start is None else float(start)
        if not low <= start <= high or low == high:
            raise InstrumentError(
                f"{name}: expected limits low < high and a start between them, got {low:g} to {high:g}, start {start:g}"
            )
        self._limits = (low, high)
        super().__init__(name=name, start=start, **kwargs)
        self._readback_signal.control_limits = self._setpoint_signal.control_limits = self._limits

    @property
    def limits(self) -> tuple[float, float]:
        """Lower and upper soft limit, in `egu`."""
        return self._limits

    def check_value(self, pos: Any) -> None:
        """Raise LimitError unless `pos` is a number within the soft limits."""
        low, high = self._limits
        try:
            inside = low <= float(pos) <= high  # False for NaN
        except (TypeError, ValueError):
            inside = False
        if not inside:
            raise LimitError(f"{self.name}: {pos} {self.egu} lies outside its limits, {low:g} to {high:g} {self.egu}")

    def move(self, position: Any, *args: Any, **kwargs: Any) -> Any:
        """Go to `position`; see `SoftAxis.move`."""
        self.check_value(position)
        return super().move(float(position), *args, **kwargs)


class SimulatedMotor(_LinearAxis):
    """A motor that travels at constant velocity: the components and data keys of `ophyd.EpicsMotor` that plans use.

    Parameters
    ----------
    name
        Device name, also the data key of the readback.
    limits
        Soft limits, in `egu`.
    start
        Where it stands at first; the lower limit when left out.
    egu
        Unit, mm when left out.
    velocity
        `egu` per second.
    time_scale, faults
        See `SoftAxis`.

    Raises
    ------
    InstrumentError
        If limits, start or velocity contradict each other.
    """

    readback_attr = "user_readback"
    setpoint_attr = "user_setpoint"

    user_readback = Cpt(SoftSignalRO, value=0.0, kind="hinted")
    user_setpoint = Cpt(SoftSignal, value=0.0, kind="normal")
    velocity = Cpt(SoftSignal, value=1.0, kind="config")
    motor_egu = Cpt(SoftSignalRO, value="", kind="config")
    motor_is_moving = Cpt(SoftSignalRO, value=0, kind="omitted")
    motor_done_move = Cpt(SoftSignalRO, value=1, kind="omitted")

    def __init__(self, *, egu: str = "mm", velocity: float = 10.0, **kwargs: Any) -> None:
        super().__init__(egu=egu, **kwargs)
        if not velocity > 0:
            raise InstrumentError(f"{self.name}: velocity must be above 0 {egu}/s, got {velocity!r}")
        self.user_readback.name = self.name
        self.velocity.sim_put(float(velocity))
        self.velocity.units = f"{egu}/s"
        self.motor_egu.sim_put(egu)

    def travel_s(self, target: float) -> float:
        """Distance over velocity, s."""
        return abs(target - self.position) / self.velocity.get()

    def _on_the_way(self, start: float, target: float, elapsed_s: float) -> float:
        return start + math.copysign(min(self.velocity.get() * elapsed_s, abs(target - start)), target - start)

    def _moving_changed(self, moving: bool) -> None:
        super()._moving_changed(moving)
        self.motor_is_moving.sim_put(int(moving))
        self.motor_done_move.sim_put(int(not moving))


class TemperatureStage(_LinearAxis):
    """A stage that ramps at a constant rate, then creeps into its set point: the components of `PVPositionerIsClose`.

    Parameters
    ----------
    name
        Device name.
    limits
        Soft limits, in `egu`.
    start
        Its first temperature; the lower limit when left out.
    egu
        Unit, °C when left out.
    ramp_rate
        `egu` per second.
    settle_s
        Seconds that it creeps at the end, the deviation falling from `atol` to 5 % of it.
    atol
        `egu`; the deviation at which it counts as arrived.
    time_scale, faults
        See `SoftAxis`.

    Raises
    ------
    InstrumentError
        If limits, start, rate or tolerance contradict each other.
    """

    setpoint = Cpt(SoftSignal, value=0.0, kind="normal")
    readback = Cpt(SoftSignalRO, value=0.0, kind="hinted")
    done = Cpt(SoftSignalRO, value=1, kind="omitted")
    ramp_rate = Cpt(SoftSignal, value=1.0, kind="config")

    _CREEP = 3.0
    """Time constants in the settling time: exp(-3) = 5 %."""

    def __init__(
        self, *, egu: str = "°C", ramp_rate: float = 5.0, settle_s: float = 0.0, atol: float = 0.05, **kwargs: Any
    ) -> None:
        self.atol = atol
        super().__init__(egu=egu, **kwargs)
        if not (ramp_rate > 0 and settle_s >= 0 and atol > 0):
            raise InstrumentError(
                f"{self.name}: ramp_rate and atol must be above 0 and settle_s at least 0, "
                f"got {ramp_rate!r}, {atol!r}, {settle_s!r}"
            )
        self.settle_s = float(settle_s)
        self.ramp_rate.sim_put(float(ramp_rate))
        self.ramp_rate.units = f"{egu}/s"

    def travel_s(self, target: float) -> float:
        """Ramp and settling, s; nothing if it already stands there."""
        distance = abs(target - self._setpoint_signal.get())
        return distance / self.ramp_rate.get() + self.settle_s if distance > 0 else 0.0

    def _on_the_way(self, start: float, target: float, elapsed_s: float) -> float:
        distance = abs(target - start)
        lag = min(self.atol, distance)
        ramped = self.ramp_rate.get() * elapsed_s
        if ramped < distance - lag:
            travelled = ramped
        elif self.settle_s > 0:
            into = elapsed_s - (distance - lag) / self.ramp_rate.get()
            travelled = distance - lag * math.exp(-self._CREEP * into / self.settle_s)
        else:
            travelled = min(ramped, distance)
        return start + math.copysign(travelled, target - start)

    def _at_rest(self, start: float, target: float) -> float:
        # With a creep it arrives close to the set point, not at it, as real stages do; without, exactly.
        if self.settle_s == 0:
            return target
        lag = min(self.atol, abs(target - start)) * math.exp(-self._CREEP)
        return target - math.copysign(lag, target - start)

    def _moving_changed(self, moving: bool) -> None:
        super()._moving_changed(moving)
        self.done.sim_put(int(not moving))


class DiscretePositioner(SoftAxis):
    """Something with named positions, such as a sample changer.

    Parameters
    ----------
    name
        Device name, also the data key of the readback.
    positions
        What it can be set to.
    start
        Where it stands at first; the first position when left out.
    travel_s
        Seconds from any position to any other.
    time_scale, faults
        See `SoftAxis`.

    Raises
    ------
    InstrumentError
        If there is no position, one is named twice, or the start is not one of them.
    """

    readback = Cpt(SoftSignalRO, value="", kind="hinted")
    setpoint = Cpt(SoftSignal, value="", kind="omitted")

    def __init__(
        self, *, name: str, positions: Sequence[str], start: str | None = None, travel_s: float = 0.0, **kwargs: Any
    ) -> None:
        self.positions = tuple(positions)
        self._known = frozenset(self.positions)
        if not self.positions or len(self._known) < len(self.positions):
            raise InstrumentError(f"{name}: positions must be named, each once, got {list(self.positions)[:10]}")
        self._travel_s = float(travel_s)
        super().__init__(name=name, start=self.positions[0] if start is None else start, **kwargs)
        self.check_value(self._setpoint_signal.get())
        self.readback.name = self.name

    def check_value(self, pos: Any) -> None:
        """Raise LimitError unless `pos` is one of the positions."""
        if pos not in self._known:
            some = ", ".join(map(repr, self.positions[:5])) + (", ..." if len(self.positions) > 5 else "")
            raise LimitError(f"{self.name}: {pos!r} is not one of its {len(self.positions)} positions ({some})")

    def travel_s(self, target: str) -> float:
        """Time for a change, s; nothing if it already stands there."""
        return 0.0 if target == self.position else self._travel_s


class Shutter(DiscretePositioner):
    """Beam shutter, ``Open`` or ``Closed``; reads and sets like ``EpicsSignal(..., string=True)``.

    Stopping it closes it: whenever the RunEngine stops what it has moved (pause, abort, halt), the beam goes off the
    sample. A rewound plan opens it again.

    Parameters
    ----------
    name
        Device name, also the data key.
    travel_s
        Seconds to open or close.
    time_scale, faults
        See `SoftAxis`.
    """

    def __init__(
        self, *, name: str = "shutter", travel_s: float = 0.02, faults: Faults | None = None, **kwargs: Any
    ) -> None:
        super().__init__(
            name=name, positions=("Open", "Closed"), start="Closed", travel_s=travel_s, faults=faults, **kwargs
        )

    @property
    def is_open(self) -> bool:
        """Whether the beam passes."""
        return self.readback.get() == "Open"

    def stop(self, *, success: bool = False) -> None:
        """Close at once."""
        super().stop(success=success)
        with self._motion_lock:
            self._setpoint_signal.sim_put("Closed")
            self._show("Closed")

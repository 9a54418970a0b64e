"""What all soft positioners share: travel that takes time, reads back on its way, can be refused or stopped."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import Any

from ophyd import Device, PositionerBase
from ophyd.status import MoveStatus
from ophyd.utils import LimitError

from instruments.devices.faults import Fault, Faults
from instruments.devices.signals import SoftSignal
from instruments.errors import InstrumentError

_UPDATE_S = 0.05
"""Real seconds between two readbacks of a moving positioner, as a motor controller polls."""


@dataclass(eq=False)
class _Motion:
    """One travel under way."""

    target: Any
    status: MoveStatus
    cancelled: threading.Event = field(default_factory=threading.Event)


class SoftAxis(Device, PositionerBase):
    """Base of the soft positioners; what a kind of positioner adds is its components, its speed and what it accepts.

    Parameters
    ----------
    name
        Device name.
    start
        Where it stands at first.
    egu
        Engineering unit.
    time_scale
        Real seconds per simulated second: 1 is real time, 0 instant.
    faults
        What shall go wrong, for tests.
    """

    readback_attr = "readback"
    setpoint_attr = "setpoint"
    atol = 1e-6
    """How far from its target the readback may be after a move (PVPositionerIsClose has the same name for it)."""

    def __init__(
        self,
        *,
        name: str,
        start: Any,
        egu: str = "",
        time_scale: float = 1.0,
        faults: Faults | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, **kwargs)
        self._egu = egu
        self._time_scale = time_scale
        self._faults = faults or Faults()
        self._motion: _Motion | None = None
        self._motion_lock = threading.RLock()
        for signal in (self._readback_signal, self._setpoint_signal):
            signal.units = egu
            signal.sim_put(start)
        self._set_position(start)

    @property
    def _readback_signal(self) -> SoftSignal:
        return getattr(self, self.readback_attr)

    @property
    def _setpoint_signal(self) -> SoftSignal:
        return getattr(self, self.setpoint_attr)

    @property
    def egu(self) -> str:
        """Engineering unit."""
        return self._egu

    @property
    def moving(self) -> bool:
        """Whether it is on its way."""
        return self._motion is not None

    @property
    def settled_value(self) -> Any:
        """What the sample feels: the setpoint once arrived, the readback on the way.

        A readback that has settled within tolerance differs from the setpoint by an amount that depends on history; the
        physics shall not, or a resumed campaign would measure something else.
        """
        with self._motion_lock:
            return self._readback_signal.get() if self.moving else self._setpoint_signal.get()

    def travel_s(self, target: Any) -> float:
        """Return the simulated seconds to `target`, settling included; none unless a subclass knows better."""
        return 0.0

    def _on_the_way(self, start: Any, target: Any, elapsed_s: float) -> Any:
        """Readback `elapsed_s` simulated seconds after the start."""
        return start

    def _at_rest(self, start: Any, target: Any) -> Any:
        """Readback after arrival."""
        return target

    def move(self, position: Any, moved_cb: Any = None, timeout: float | None = None, wait: bool = False) -> MoveStatus:
        """Go to `position`.

        Returns
        -------
        MoveStatus
            Done on arrival; fails if the move is stopped or superseded.

        Raises
        ------
        LimitError
            If the position is not allowed; nothing moves then.
        InstrumentError
            If the controller refuses (an injected fault).
        """
        self.check_value(position)
        fault = self._faults.next(self.name)
        if fault is Fault.LIMIT:
            raise LimitError(f"{self.name}: {position} {self.egu} refused, a limit switch is active")
        if fault is Fault.REFUSE:
            raise InstrumentError(f"{self.name}: the controller refuses to go to {position} {self.egu}")
        self._halt(success=False, why=f"{self.name}: superseded by a move to {position} {self.egu}")
        start = self._readback_signal.get()
        duration = self.travel_s(position)
        motion = _Motion(position, MoveStatus(self, position, timeout=self._timeout if timeout is None else timeout))
        if moved_cb is not None:
            motion.status.add_callback(moved_cb)
        with self._motion_lock:
            self._motion = motion
            self._setpoint_signal.sim_put(position)
            self._moving_changed(True)
        stuck = fault is Fault.STUCK
        if duration * self._time_scale <= 0 and not stuck:
            self._arrive(motion, start)
        else:
            threading.Thread(
                target=self._travel, args=(motion, start, duration, stuck), name=f"{self.name}-motion", daemon=True
            ).start()
        if wait:
            motion.status.wait()
        return motion.status

    def stop(self, *, success: bool = False) -> None:
        """Stop where it is; the setpoint becomes the readback, as with a motor record."""
        self._halt(success=success, why=f"{self.name}: stopped at {self.position} {self.egu}")

    def _travel(self, motion: _Motion, start: Any, duration: float, stuck: bool) -> None:
        began = time.monotonic()
        while True:
            elapsed = time.monotonic() - began
            left = duration * self._time_scale - elapsed
            if left <= 0 and not stuck:
                break
            if motion.cancelled.wait(_UPDATE_S if stuck else min(_UPDATE_S, left)):
                return
            if not stuck:
                elapsed_s = min((time.monotonic() - began) / self._time_scale, duration)
                with self._motion_lock:
                    if self._motion is not motion:
                        return
                    self._show(self._on_the_way(start, motion.target, elapsed_s))
        self._arrive(motion, start)

    def _arrive(self, motion: _Motion, start: Any) -> None:
        with self._motion_lock:
            if self._motion is not motion:
                return
            self._show(self._at_rest(start, motion.target))
            self._motion = None
            self._moving_changed(False)
        # Outside the lock: a status calls back whoever waits for it.
        motion.status.set_finished()

    def _halt(self, *, success: bool, why: str) -> None:
        with self._motion_lock:
            motion, self._motion = self._motion, None
            if motion is None:
                return
            motion.cancelled.set()
            self._setpoint_signal.sim_put(self._readback_signal.get())
            self._moving_changed(False)
        if success:
            motion.status.set_finished()
        else:
            motion.status.set_exception(InstrumentError(f"{why} on its way to {motion.target} {self.egu}"))

    def _show(self, value: Any) -> None:
        self._readback_signal.sim_put(value)
        self._set_position(value)

    def _moving_changed(self, moving: bool) -> None:
        """Tell the components that show it; to be extended."""
        self._moving = moving

"""Misbehaviour on command, so that tests can see what a campaign makes of it."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from enum import StrEnum

from instruments.errors import InstrumentError


class Fault(StrEnum):
    """What a device can do wrong."""

    NAN_FRAME = "nan_frame"
    """The detector delivers a floating-point frame full of NaN."""
    ZERO_FRAME = "zero_frame"
    """The detector delivers a frame without a single count."""
    SATURATED_FRAME = "saturated_frame"
    """Every pixel of the frame is at the counter's end."""
    HALF_MASKED_FRAME = "half_masked_frame"
    """Half of the frame is -1, as when modules drop out."""
    HANG = "hang"
    """The detector starts and never ends."""
    DISK_FULL = "disk_full"
    """The frame cannot be written: no space left."""
    LIMIT = "limit"
    """The positioner refuses with a LimitError."""
    REFUSE = "refuse"
    """The positioner's controller refuses the command."""
    STUCK = "stuck"
    """The positioner starts and never arrives."""


class Faults:
    """Which device misbehaves at which use.

    Parameters
    ----------
    schedule
        Device name -> number of the use (1 is the first trigger or set) -> fault.

    Raises
    ------
    InstrumentError
        If a use is not a positive whole number, or a fault is unknown.
    """

    def __init__(self, schedule: Mapping[str, Mapping[int, Fault]] | None = None) -> None:
        self._schedule: dict[str, dict[int, Fault]] = {}
        for device, entries in (schedule or {}).items():
            for use, fault in entries.items():
                if use < 1 or fault not in list(Fault):
                    raise InstrumentError(
                        f"faults of {device}: expected a use from 1 up and one of {[str(f) for f in Fault]}, "
                        f"got {use!r}: {fault!r}"
                    )
            self._schedule[device] = {use: Fault(fault) for use, fault in entries.items()}
        self._uses: dict[str, int] = {}
        self._lock = threading.Lock()

    def next(self, device: str) -> Fault | None:
        """Count one use of a device and return what it shall do wrong this time, if anything."""
        with self._lock:
            use = self._uses[device] = self._uses.get(device, 0) + 1
        return self._schedule.get(device, {}).get(use)

"""Soft signals that are set at once and describe themselves as EPICS signals do: units and limits included."""

from __future__ import annotations

from typing import Any

import numpy as np
from ophyd import Signal
from ophyd.status import Status

_DTYPES: dict[type, str] = {bool: "|b1", int: "<i8", float: "<f8"}


class SoftSignal(Signal):
    """A value in this process; `set` takes effect at once, without the thread that ophyd's own `Signal` starts for it.

    Parameters
    ----------
    units
        Goes into the data key; empty for none.
    limits
        Lower and upper limit for the data key (checking is the device's business), or None.
    **kwargs
        As of `ophyd.Signal`.
    """

    def __init__(
        self, *, units: str = "", limits: tuple[float, float] | None = None, write_access: bool = True, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.units = units
        self.control_limits = limits
        self._metadata["write_access"] = write_access

    def set(self, value: Any, **kwargs: Any) -> Status:
        """Put `value` and return a status that is done."""
        self.put(value)
        status = Status(self)
        status.set_finished()
        return status

    def sim_put(self, value: Any) -> None:
        """Change the value from inside, whoever else may write it (ophyd's fake EPICS signals call it the same)."""
        self.put(value, force=True)

    def describe(self) -> dict[str, Any]:
        """Return the data key with units, limits and numpy's dtype."""
        keys = super().describe()
        key = keys[self.name]
        if isinstance(self._readback, np.ndarray):
            key["dtype_numpy"] = self._readback.dtype.str
        elif type(self._readback) in _DTYPES:
            key["dtype_numpy"] = _DTYPES[type(self._readback)]
        if self.units:
            key["units"] = self.units
        if self.control_limits is not None:
            key["lower_ctrl_limit"], key["upper_ctrl_limit"] = self.control_limits
        return keys


class SoftSignalRO(SoftSignal):
    """A reading: only `sim_put` changes it."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(write_access=False, **kwargs)

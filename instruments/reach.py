"""Whether any device can go somewhere, as well as the device can tell."""

from __future__ import annotations

from typing import Any


class Reach:
    """Asks a device through its ``check_value`` and its ``limits``; one that has neither is trusted."""

    def __init__(self, device: Any) -> None:
        self.name = device.name
        self._device = device

    def check_value(self, pos: Any) -> None:
        """Raise if the device cannot go there."""
        if hasattr(self._device, "check_value"):
            # Of a plain ophyd Device it agrees to everything: the limits have to be looked at all the same.
            self._device.check_value(pos)
        limits = limits_of(self._device)
        if limits is not None and not limits[0] <= pos <= limits[1]:
            raise ValueError(f"{self.name} goes from {limits[0]:g} to {limits[1]:g}, not to {pos}")


def limits_of(device: Any) -> list[float] | None:
    """Limits of a device; None where it has none (equal limits mean the same to EPICS)."""
    limits = getattr(device, "limits", None)
    if not isinstance(limits, (tuple, list)) or len(limits) != 2 or not limits[0] < limits[1]:
        return None
    return [float(limit) for limit in limits]

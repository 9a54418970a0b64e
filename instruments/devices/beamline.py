"""The one world that all soft devices share: moving the stage changes the image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from instruments.devices.motion import SoftAxis
from instruments.devices.positioners import DiscretePositioner, Shutter
from instruments.devices.signals import SoftSignalRO

SAMPLE, EMPTY = "sample", "empty"
"""Positions of the sample holder: in the beam, or nothing but air and windows in the beam."""


class Exposure(Protocol):
    """What one exposure gives."""

    @property
    def image(self) -> np.ndarray:
        """``(ny, nx)`` counts."""

    @property
    def monitor_counts(self) -> float:
        """Counts of the monitor before the sample."""

    @property
    def transmitted_counts(self) -> float:
        """Counts of the diode behind the sample."""


class Physics(Protocol):
    """What happens to the beam: the sample's scattering and the detector's statistics."""

    def expose(
        self, state: Mapping[str, float] | None, *, exposure_s: float, shutter_open: bool, series: str, number: int
    ) -> Exposure:
        """Take one exposure.

        Parameters
        ----------
        state
            The sample's parameters, or None with no sample in the beam.
        exposure_s
            s.
        shutter_open
            Whether there is a beam at all.
        series, number
            Name the exposure; its noise is a function of them and of the experiment's seed.
        """
        ...


@dataclass(frozen=True, eq=False)
class Beamline:
    """The devices' common world.

    The RunEngine sees the devices; this is what lies between them, which at a real beamline is the beam.
    """

    axes: Mapping[str, SoftAxis]
    """Parameter name -> device that sets it."""
    shutter: Shutter
    holder: DiscretePositioner
    i0: SoftSignalRO
    diode: SoftSignalRO
    physics: Physics

    def sample_state(self) -> dict[str, Any]:
        """Every parameter's value at this moment: set point of what is settled, readback of what is moving."""
        return {name: axis.settled_value for name, axis in self.axes.items()}

    def expose(self, *, exposure_s: float, series: str, number: int) -> Exposure:
        """Expose with everything where it stands now; the monitors show this exposure's counts afterwards."""
        exposure = self.physics.expose(
            self.sample_state() if self.holder.settled_value == SAMPLE else None,
            exposure_s=exposure_s,
            shutter_open=self.shutter.is_open,
            series=series,
            number=number,
        )
        self.i0.sim_put(float(exposure.monitor_counts))
        self.diode.sim_put(float(exposure.transmitted_counts))
        return exposure

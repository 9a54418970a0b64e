"""A reduced scattering curve."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from instruments.errors import InstrumentError


@dataclass(frozen=True, eq=False)
class Curve:
    """I(q) with error bars.

    Points without information (masked bins) are not in it; what the detector measured is never altered here, so
    intensities may be negative after a subtraction.
    """

    q: np.ndarray
    """``(k,)`` 1/Å, strictly increasing."""
    intensity: np.ndarray
    """``(k,)`` 1/cm where the reduction is absolute, else as the source scales it."""
    sigma: np.ndarray
    """``(k,)`` one standard deviation of `intensity`; NaN where the source gives none."""

    def __post_init__(self) -> None:
        """Check shapes; values are the quality gate's business."""
        if not (self.q.ndim == 1 and self.q.shape == self.intensity.shape == self.sigma.shape):
            raise InstrumentError(
                "a curve needs q, intensity and sigma of one shape (k,), "
                f"got {self.q.shape}, {self.intensity.shape} and {self.sigma.shape}"
            )
        if np.any(np.diff(self.q) <= 0):
            row = int(np.flatnonzero(np.diff(self.q) <= 0)[0]) + 1
            raise InstrumentError(f"q must increase strictly; row {row} has {self.q[row]:g} after {self.q[row - 1]:g}")

    def between(self, q_min: float, q_max: float) -> Curve:
        """Return the points with ``q_min <= q <= q_max``."""
        keep = (self.q >= q_min) & (self.q <= q_max)
        return Curve(self.q[keep], self.intensity[keep], self.sigma[keep])

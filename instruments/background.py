"""What scatters without the sample."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from instruments.reduction_bins import ReductionError


@dataclass(frozen=True, eq=False)
class Background:
    """Frames taken without the sample (air, windows, empty cell), summed: counts stay Poisson counts.

    Parameters
    ----------
    image
        ``(ny, nx)`` counts, negative or NaN where a pixel gave none.
    exposure_s
        Total exposure, s.
    monitor_counts
        Total incident photons.
    transmission
        Of what was in the beam, relative to the same empty beam as the sample's: 1 for air.
    """

    image: np.ndarray
    exposure_s: float
    monitor_counts: float
    transmission: float = 1.0

    @classmethod
    def from_frames(
        cls,
        images: Sequence[np.ndarray],
        *,
        exposure_s: Sequence[float],
        monitor_counts: Sequence[float],
        transmission: float = 1.0,
    ) -> Background:
        """Sum frames; a pixel that gave nothing in one of them gives nothing in the sum.

        Raises
        ------
        ReductionError
            If there is no frame, or shapes or numbers of readings differ.
        """
        shapes = {np.shape(image) for image in images}
        if len(shapes) != 1 or not len(images) == len(exposure_s) == len(monitor_counts):
            raise ReductionError(
                "a background needs frames of one shape with one exposure and one monitor reading each, got "
                f"{len(images)} frames of shapes {sorted(shapes)}, {len(exposure_s)} exposures, "
                f"{len(monitor_counts)} monitor readings"
            )
        stack = np.asarray(images, dtype=np.float64)
        usable = np.all(stack >= 0, axis=0)  # NaN compares False
        return cls(
            image=np.where(usable, stack.sum(axis=0), -1.0),
            exposure_s=float(np.sum(exposure_s)),
            monitor_counts=float(np.sum(monitor_counts)),
            transmission=transmission,
        )

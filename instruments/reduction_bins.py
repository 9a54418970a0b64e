"""Where a frame's pixels lie in q, and the sums over each bin: pyFAI's integrator and the statistics of counts.

Counting statistics
-------------------
Each bin's variance comes from the counts that were *expected* there, not from those that happened to arrive: a bin
with 0 counts is not known exactly, and a bin that fluctuated low is not known better than its neighbours (that
correlation biases every inverse-variance average downwards). Expected counts are the mean over the smallest symmetric
window of bins that holds at least `VARIANCE_COUNTS` counts, so well-filled bins stand for themselves, plus the rule
that a window counts at least once: sigma is never 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from instruments.errors import InstrumentError

VARIANCE_COUNTS = 50.0
"""Counts that a window must hold to tell the variance of its middle bin (to 14 %)."""


class ReductionError(InstrumentError, ValueError):
    """A frame, a monitor reading or an option that cannot be reduced; the message says which and why."""


def require_positive(**values: float) -> None:
    """Raise `ReductionError` naming the first value that is not a finite number above 0."""
    for name, value in values.items():
        if not (np.isfinite(value) and value > 0):
            raise ReductionError(f"{name} must be a finite number above 0, got {value!r}")


@dataclass(frozen=True)
class Geometry:
    """A flat detector at right angles to the beam.

    Raises
    ------
    ReductionError
        For lengths that are not positive or a shape that is not ``(ny, nx)``.
    """

    distance_mm: float
    """Sample to detector."""
    wavelength_A: float  # noqa: N815 - Å
    """Å."""
    pixel_mm: float
    """Edge of the square pixels."""
    beam_centre_px: tuple[float, float]
    """``(row, column)`` in pixel indices: whole numbers are pixel centres, (0, 0) the centre of the first pixel."""
    shape: tuple[int, int]
    """``(ny, nx)`` of a frame."""

    def __post_init__(self) -> None:
        """Check ranges."""
        require_positive(distance_mm=self.distance_mm, wavelength_A=self.wavelength_A, pixel_mm=self.pixel_mm)
        if len(self.shape) != 2 or min(self.shape) < 1:
            raise ReductionError(f"shape must be (ny, nx) with at least one pixel each, got {self.shape!r}")
        if len(self.beam_centre_px) != 2 or not np.all(np.isfinite(self.beam_centre_px)):
            raise ReductionError(f"beam_centre_px must be (row, column), got {self.beam_centre_px!r}")

    @property
    def pixel_solid_angle_sr(self) -> float:
        """Solid angle of a pixel on the beam axis, sr; pyFAI applies the fall-off with angle."""
        return (self.pixel_mm / self.distance_mm) ** 2

    def integrator(self) -> Any:
        """Build pyFAI's `AzimuthalIntegrator` (imported here: it takes more than a second)."""
        from pyFAI.detectors import Detector
        from pyFAI.integrator.azimuthal import AzimuthalIntegrator

        pixel_m = self.pixel_mm * 1e-3
        row, column = self.beam_centre_px
        return AzimuthalIntegrator(
            dist=self.distance_mm * 1e-3,
            # pyFAI counts from the detector's corner, so a pixel's centre is half a pixel further.
            poni1=(row + 0.5) * pixel_m,
            poni2=(column + 0.5) * pixel_m,
            detector=Detector(pixel1=pixel_m, pixel2=pixel_m, max_shape=tuple(self.shape)),
            wavelength=self.wavelength_A * 1e-10,
        )


def expected_variance(variance: np.ndarray, weight: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Variance of each bin's counts, from the counts expected there.

    Parameters
    ----------
    variance
        ``(k,)`` sums of counts (Poisson: of variances) as they arrived.
    weight
        ``(k,)`` what a uniform intensity would give.
    valid
        ``(k,)`` bins that hold pixels.

    Returns
    -------
    np.ndarray
        ``(k,)`` above 0: `weight` times the mean of ``variance / weight`` over the smallest window of
        ``1 + 2 h`` bins, h = 0, 1, 2, 4, ..., with at least `VARIANCE_COUNTS`; a window counts at least once.
    """
    k = len(variance)
    summed = np.concatenate([[0.0], np.cumsum(np.where(valid, variance, 0.0))])
    weights = np.concatenate([[0.0], np.cumsum(np.where(valid, weight, 0.0))])
    index = np.arange(k)
    result = np.zeros(k)
    open_ = valid & (weight > 0)
    half = 0
    while open_.any():
        low, high = np.maximum(index - half, 0), np.minimum(index + half + 1, k)
        window = summed[high] - summed[low]
        done = open_ & ((window >= VARIANCE_COUNTS) | (half >= k))
        share = weight[done] / (weights[high] - weights[low])[done]
        result[done] = np.maximum(window[done], 1.0) * share
        open_ = open_ & ~done
        half = max(1, 2 * half)
    return result


class Bins:
    """pyFAI's integrator with what is the same for every frame: normalisation, mean q, weights."""

    def __init__(
        self,
        geometry: Geometry,
        mask: np.ndarray,
        n_bins: int,
        q_range: tuple[float, float] | None,
        options: dict[str, Any],
    ) -> None:
        self._integrator = geometry.integrator()
        shape = tuple(geometry.shape)
        q_map = self._integrator.array_from_unit(shape, "center", "q_A^-1", scale=True)
        if q_range is not None:
            # Given a range alone, pyFAI puts pixels from just below it into the first bin (without splitting; its index
            # is truncated towards zero) and from just above it into the last one (with splitting).
            mask = mask | (q_map < q_range[0]) | (q_map >= q_range[1])
        self._n_bins = n_bins
        self._options = {**options, "radial_range": q_range, "unit": "q_A^-1", "mask": mask}
        # Expected counts of a pixel are its bin's intensity times this.
        norm = np.ones(shape)
        if options["correctSolidAngle"]:
            norm = norm * self._integrator.solidAngleArray(shape, absolute=False)
        if options["polarization_factor"] is not None:
            norm = norm * self._integrator.polarization(shape, factor=options["polarization_factor"])
        self._norm = norm.astype(np.float32)
        first = self._integrate(q_map * norm, self._norm)
        with np.errstate(invalid="ignore", divide="ignore"):
            q = np.asarray(first.sum_signal / first.sum_normalization, dtype=np.float64)
        self.variance_weight = np.asarray(first.sum_variance, dtype=np.float64)
        centres = np.asarray(first.radial, dtype=np.float64)
        # The mean over a bin's pixels: on a steep curve the bin's centre is the wrong place by up to half a bin.
        self.q = np.where(np.isfinite(q), q, centres)
        ones = self._integrate(np.ones(shape), self._norm)
        with np.errstate(invalid="ignore", divide="ignore"):
            self._dark_per_norm = np.asarray(ones.sum_signal / ones.sum_normalization, dtype=np.float64)
        width = centres[1] - centres[0]
        self._bin_of = np.clip(np.rint((q_map - centres[0]) / width), -1, n_bins).astype(np.intp)
        self._outside = (self._bin_of < 0) | (self._bin_of >= n_bins) | mask

    def _integrate(self, image: np.ndarray, variance: np.ndarray) -> Any:
        return self._integrator.integrate1d(
            image.astype(np.float32, copy=False), self._n_bins, variance=variance, safe=False, **self._options
        )

    def sums(self, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the sums of counts, of their Poisson variances, and of normalisations, ``(k,)`` each."""
        result = self._integrate(counts, counts)
        return (
            np.asarray(result.sum_signal, dtype=np.float64),
            np.asarray(result.sum_variance, dtype=np.float64),
            np.asarray(result.sum_normalization, dtype=np.float64),
        )

    def dark_weight(self, norm: np.ndarray) -> np.ndarray:
        """Pixels behind a sum of normalisations, ``(k,)``."""
        return self._dark_per_norm * norm

    def drop_hot(self, counts: np.ndarray, probability: float) -> None:
        """Set pixels to NaN that cannot be fluctuations; a hot pixel lifts its bin's mean, so repeat."""
        chance = -np.log(probability)
        for _ in range(10):
            signal, _, norm = self.sums(counts)
            with np.errstate(invalid="ignore", divide="ignore"):
                # 1.5: a bin's intensity is not flat, least of all next to the beam stop.
                mean = np.append(1.5 * signal / norm, np.nan)
            # P(N >= m + x) <= exp(-x² / (2 (m + x / 3))): Bernstein's bound for a Poisson variable of mean m.
            limit = mean + chance / 3 + np.sqrt(chance**2 / 9 + 2 * chance * mean)
            hot = (counts > limit[self._bin_of]) & ~self._outside
            if not hot.any():
                return
            counts[hot] = np.nan

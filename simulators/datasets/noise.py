r"""Counting noise of a reduced curve, without a frame: what a detector's pixels in each q bin would have counted.

In an exposure of t seconds with :math:`N = \Phi t (1+\epsilon)` incident photons bin j holds

.. math::
    S_j \sim \text{Poisson}\Big(N\,T\,d\,\frac{d\Sigma}{d\Omega}(q_j)\,W_j + T\,\frac N\Phi\,b_j + D\,t\,n_j\Big),\qquad
    W_j = \sum_{p\in j}\Delta\Omega_p P_p

with b the counts per second of air, windows and slits without a sample, D the dark rate and n the pixels of the bin
(`simulators.instrument` has the same for single pixels). A background exposure without sample, B, is subtracted:

.. math::
    I_j = \frac{S_j - D t n_j}{\hat N\,T\,d\,W_j} - \frac{B_j - D t_b n_j}{\hat N_b\,d\,W_j}

:math:`\hat N` is what the monitor says, with its own noise. σ is what a reduction can know: counts stand for their own
variance, averaged over so many neighbouring bins that they hold 50 (`instruments.reduction_bins` has the statistics).
Corrections after Pauw 2013, doi:10.1088/0953-8984/25/38/383201.

On a grid finer than the pixels each pixel's counts are shared among the bins that it covers. Their variance is right;
that neighbours then share their luck is left out: real curves on such a grid are a little smoother from point to point.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simulators.errors import InstrumentModelError, ParameterError
from simulators.instrument import InstrumentModel
from simulators.scenarios.base import SampleProperties

Array = NDArray[np.float64]

VARIANCE_COUNTS = 50.0
"""Counts that a window must hold to tell the variance of its middle bin (to 14 %)."""
_FINE = 16
"""Steps to a pixel where pixels are shared between bins."""
_BLOCK = 1024
"""Curves worked on at a time: their arrays stay in the processor's cache."""


@dataclass(frozen=True, eq=False)
class Measured:
    """Curves as a reduction gives them."""

    intensity: Array
    """``(n, k)`` 1/cm; below 0 where the background happened to be the larger."""
    sigma: Array
    """``(n, k)`` 1/cm, above 0."""
    counts: Array
    """``(n,)`` counts in all bins of the exposure with the sample."""


@dataclass(frozen=True, eq=False)
class CountingModel:
    """An instrument as a set of q bins; equations at the top of this file."""

    weight_sr: Array
    """``(k,)`` W: solid angle times polarisation."""
    background_per_s: Array
    """``(k,)`` b: counts per second without a sample."""
    pixels: Array
    """``(k,)`` n, not whole where pixels are shared."""
    dark_per_px_s: float
    flux_ph_s: float
    flux_jitter: float
    """Relative standard deviation of the flux between exposures."""
    monitor_efficiency: float
    """Monitor counts per incident photon."""
    sample: SampleProperties
    background_exposures: float
    """Length of the background exposure over that with the sample."""

    @classmethod
    def from_instrument(
        cls,
        instrument: InstrumentModel,
        edges: ArrayLike,
        *,
        sample: SampleProperties,
        background_exposures: float = 4.0,
        share_pixels: bool = True,
    ) -> CountingModel:
        """Sum the pixels of an instrument over q bins.

        Parameters
        ----------
        instrument
            Geometry, flux, backgrounds.
        edges
            ``(k + 1,)`` 1/Å, increasing: the edges of the bins.
        sample
            Thickness and transmission.
        background_exposures
            Length of the background exposure over that with the sample.
        share_pixels
            Spread each pixel over its width in q; False: it counts in the bin of its centre.

        Raises
        ------
        InstrumentModelError
            If the edges do not increase, or a bin has no usable pixel.
        """
        edges = np.asarray(edges, dtype=np.float64)
        if edges.ndim != 1 or edges.size < 2 or not (np.all(np.diff(edges) > 0) and edges[0] > 0):
            raise InstrumentModelError(f"edges must increase and lie above 0 1/Å, got an array of shape {edges.shape}")
        live = ~instrument.mask
        q = instrument.q_map[live]
        geometry = instrument.geometry
        empty = instrument.expected(instrument.q_grid(), None, sample=None, exposure_s=1.0)[live]
        width = 2 * np.pi / instrument.wavelength_A * instrument.pixel_mm / instrument.distance_mm
        sums = [
            _binned(q, values, edges, width if share_pixels else 0.0)
            for values in (
                geometry.solid_angle_sr[live] * geometry.polarisation[live],
                empty - instrument.dark_per_px_s,
                np.ones(q.size),
            )
        ]
        # A bin that a pixel touches by less than this share of its width would have counts by rounding alone.
        blind = np.flatnonzero(sums[2] < 1e-6)
        if blind.size:
            low, high = instrument.q_range
            raise InstrumentModelError(
                f"{blind.size} of {edges.size - 1} q bins have no usable pixel, the first from {edges[blind[0]]:.4g} "
                f"to {edges[blind[0] + 1]:.4g} 1/Å; the camera sees {low:.4g} to {high:.4g} 1/Å"
            )
        return cls(
            weight_sr=sums[0],
            background_per_s=np.maximum(sums[1], 0.0),
            pixels=sums[2],
            dark_per_px_s=instrument.dark_per_px_s,
            flux_ph_s=instrument.flux_ph_s,
            flux_jitter=instrument.flux_jitter,
            monitor_efficiency=instrument.monitor_efficiency,
            sample=sample,
            background_exposures=background_exposures,
        )

    def measure(self, cross_section: ArrayLike, exposure_s: ArrayLike, rng: np.random.Generator) -> Measured:
        """Measure curves once each.

        Parameters
        ----------
        cross_section
            ``(n, k)`` dΣ/dΩ in 1/cm.
        exposure_s
            ``(n,)`` s.
        rng
            All noise comes from it.

        Raises
        ------
        ParameterError
            If shapes differ, dΣ/dΩ is negative or not finite, or an exposure is not positive.
        """
        truth, seconds = np.asarray(cross_section), np.asarray(exposure_s, dtype=np.float64)
        if truth.ndim != 2 or truth.shape[1] != self.weight_sr.size or seconds.shape != truth.shape[:1]:
            raise ParameterError(
                f"cross_section must be (n, {self.weight_sr.size}) and exposure_s (n,), "
                f"got {truth.shape} and {seconds.shape}"
            )
        if not (np.all(np.isfinite(seconds)) and np.all(seconds > 0)):
            raise ParameterError(f"exposure_s must be finite and above 0 s, got {seconds.min()} to {seconds.max()}")
        intensity, sigma, counts = np.empty(truth.shape), np.empty(truth.shape), np.empty(seconds.shape)
        for start in range(0, len(truth), _BLOCK):
            rows = slice(start, start + _BLOCK)
            block = truth[rows].astype(np.float64)
            if not (np.all(np.isfinite(block)) and np.all(block >= 0)):
                row = start + int(np.flatnonzero(~(np.isfinite(block) & (block >= 0)).all(1))[0])
                raise ParameterError(f"dΣ/dΩ must be finite and not negative, curve {row} is not")
            intensity[rows], sigma[rows], counts[rows] = self._measure(block, seconds[rows, None], rng)
        return Measured(intensity, sigma, counts)

    def _measure(self, truth: Array, t: Array, rng: np.random.Generator) -> tuple[Array, Array, Array]:
        transmission, thickness = self.sample.transmission, self.sample.thickness_cm
        per_photon = truth * (transmission * thickness * self.weight_sr)
        per_photon += self.background_per_s * (transmission / self.flux_ph_s)
        signal, variance, counts = self._exposure(per_photon, t, transmission, rng)
        empty = np.broadcast_to(self.background_per_s / self.flux_ph_s, truth.shape)
        background, more, _ = self._exposure(empty, t * self.background_exposures, 1.0, rng)
        return signal - background, np.sqrt(variance + more), counts

    def _exposure(
        self, per_photon: Array, t: Array, transmission: float, rng: np.random.Generator
    ) -> tuple[Array, Array, Array]:
        """Return dΣ/dΩ and its variance, ``(n, k)``, and all counts, ``(n,)``, of one exposure of each curve."""
        factor = np.maximum(1 + self.flux_jitter * rng.standard_normal(t.shape), 0.0)
        photons = self.flux_ph_s * t * factor
        dark = self.dark_per_px_s * t * self.pixels
        counts = rng.poisson(per_photon * photons + dark).astype(np.float64)
        monitor = np.maximum(rng.poisson(photons * self.monitor_efficiency), 1) / self.monitor_efficiency
        scale = 1 / (monitor * (transmission * self.sample.thickness_cm) * self.weight_sr)
        variance = expected_variance(counts, self.weight_sr) * scale**2
        return (counts - dark) * scale, variance, counts.sum(1)


def expected_variance(counts: Array, weight: Array) -> Array:
    """Variance of each bin's counts, from the counts expected there.

    Parameters
    ----------
    counts
        ``(n, k)`` as they arrived.
    weight
        ``(k,)`` what a uniform intensity would give.

    Returns
    -------
    ndarray
        ``(n, k)`` above 0: `weight` times the mean of counts over weight in the smallest window of 1 + 2h bins,
        h = 0, 1, 2, 4, ..., with at least `VARIANCE_COUNTS`; a window counts at least once.
    """
    k = counts.shape[1]
    result = counts.copy()
    rows = np.flatnonzero(counts.min(1) < VARIANCE_COUNTS)
    values = counts[rows]
    summed = np.concatenate([np.zeros((rows.size, 1)), np.cumsum(values, axis=1)], axis=1)
    weights = np.concatenate([[0.0], np.cumsum(weight)])
    waiting = values < VARIANCE_COUNTS
    index, half = np.arange(k), 1
    while rows.size:
        low, high = np.maximum(index - half, 0), np.minimum(index + half + 1, k)
        window = summed[:, high] - summed[:, low]
        done = waiting & ((window >= VARIANCE_COUNTS) | (half >= k))
        share = weight / (weights[high] - weights[low])
        np.copyto(values, np.maximum(window, 1.0) * share, where=done)
        waiting &= ~done
        finished = ~waiting.any(1)
        if finished.any():
            result[rows[finished]] = values[finished]
            rows, values, summed, waiting = rows[~finished], values[~finished], summed[~finished], waiting[~finished]
        half *= 2
    return result


def logarithmic_edges(q: ArrayLike) -> Array:
    """Return the edges ``(k + 1,)`` of bins around a logarithmic grid ``(k,)``, in its unit."""
    log_q = np.log(np.asarray(q, dtype=np.float64))
    middle = 0.5 * (log_q[1:] + log_q[:-1])
    return np.exp(np.concatenate([[2 * log_q[0] - middle[0]], middle, [2 * log_q[-1] - middle[-1]]]))


def _binned(q: Array, values: Array, edges: Array, width: float) -> Array:
    """Sum values over bins, each spread evenly over `width` around its q."""
    if width == 0:
        return np.histogram(q, edges, weights=values)[0]
    step = width / _FINE
    # The grid reaches beyond all pixels, so that the running mean loses nothing.
    start, cells = q.min() - 2 * width, int(np.ceil((q.max() - q.min() + 4 * width) / step))
    fine = np.histogram(q, cells, range=(start, start + cells * step), weights=values)[0]
    spread = np.convolve(fine, np.full(_FINE + 1, 1.0) * np.r_[0.5, np.ones(_FINE - 1), 0.5] / _FINE, mode="same")
    cumulated = np.concatenate([[0.0], np.cumsum(spread)])
    return np.diff(np.interp(edges, start + step * np.arange(cells + 1), cumulated))

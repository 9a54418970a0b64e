"""From a 2-D frame to dΣ/dΩ(q) ± σ in 1/cm: pyFAI does the geometry and the sums, `reduction_bins` the statistics.

What is *not* in sigma: the uncertainty of monitor, transmission and thickness, which moves all points together
(observables take it as `scale_sd`). The background frame's noise is in sigma, but it is the same in every curve that
subtracts the same background.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

import numpy as np

from instruments.background import Background
from instruments.curve import Curve
from instruments.reduction_bins import Bins, Geometry, ReductionError, expected_variance, require_positive

__all__ = ["Background", "Geometry", "Reducer", "ReductionError"]


@dataclass(frozen=True, eq=False)
class _Rate:
    """Scattered fraction per steradian and bin, with its variance; NaN where a bin has no pixel."""

    mean: np.ndarray
    variance: np.ndarray


class Reducer:
    """Azimuthal average of frames on an absolute scale.

    ``dΣ/dΩ = [S / (M_s T_s) - B / (M_b T_b)] / (ΔΩ d)`` with S, B the dark-corrected counts of sample and background
    frame averaged over a bin, M incident photons, T transmission, ΔΩ the pixels' solid angle, d the thickness (Pauw,
    J. Phys.: Condens. Matter 25, 383201, 2013, doi:10.1088/0953-8984/25/38/383201). Sums by pyFAI (Ashiotis et
    al., J. Appl. Cryst. 48, 510, 2015, doi:10.1107/S1600576715004306).

    Parameters
    ----------
    geometry
        Where the detector stands.
    mask
        ``(ny, nx)`` bool, True = unusable. Negative and non-finite pixels of a frame are left out as well.
    n_bins
        Bins, equally wide in q. Wider than a pixel is sensible; empty ones are dropped.
    q_range
        1/Å, lower and upper edge of the bins; None for all that the detector sees.
    thickness_cm
        Of the sample.
    background
        Subtracted if given.
    split
        ``"no"``: each count falls into one bin, so bins are independent and averages over bins have correct errors.
        ``"bbox"``: pixels are shared between bins (smoother, but neighbouring bins are correlated, and whatever
        averages over bins is less certain than sigma says).
    correct_solid_angle
        Whether to correct for the fall-off of a pixel's solid angle with the scattering angle.
    polarization_factor
        1 for horizontal, -1 for vertical, 0 for unpolarised; None for no correction.
    monitor_efficiency
        Monitor counts per incident photon.
    calibration
        Dimensionless factor on the result, from a standard such as glassy carbon.
    dark_rate
        Counts per pixel and second without beam.
    hot_pixel_probability
        If given, pixels are left out whose count is, by Bernstein's bound, less likely than this for 1.5 times its
        bin's mean. Unlike a sigma clip it is safe at few counts per pixel, where it removes nothing (a sigma clip would
        remove every count). Leave it off for samples with Bragg spots or strong preferred orientation.

    Raises
    ------
    ReductionError
        If an option is out of its range.
    """

    def __init__(
        self,
        geometry: Geometry,
        *,
        mask: np.ndarray | None = None,
        n_bins: int = 250,
        q_range: tuple[float, float] | None = None,
        thickness_cm: float = 0.1,
        background: Background | None = None,
        split: str = "no",
        correct_solid_angle: bool = True,
        polarization_factor: float | None = None,
        monitor_efficiency: float = 1.0,
        calibration: float = 1.0,
        dark_rate: float = 0.0,
        hot_pixel_probability: float | None = None,
    ) -> None:
        require_positive(thickness_cm=thickness_cm, monitor_efficiency=monitor_efficiency, calibration=calibration)
        shape = tuple(geometry.shape)
        mask = np.zeros(shape, dtype=bool) if mask is None else np.array(mask, dtype=bool)
        if mask.shape != shape:
            raise ReductionError(f"the mask has shape {mask.shape}, the geometry {shape}")
        if mask.all():
            raise ReductionError("the mask leaves no pixel: True means unusable; invert it if it says the opposite")
        if n_bins < 2:
            raise ReductionError(f"n_bins must be at least 2, got {n_bins}")
        if q_range is not None and not 0 <= q_range[0] < q_range[1] < np.inf:
            raise ReductionError(f"q_range must be (low, high) with 0 <= low < high in 1/Å, got {q_range!r}")
        if split not in ("no", "bbox"):
            raise ReductionError(f'split must be "no" or "bbox", got {split!r}')
        if not (np.isfinite(dark_rate) and dark_rate >= 0):
            raise ReductionError(f"dark_rate must be at least 0 counts per pixel and second, got {dark_rate!r}")
        if hot_pixel_probability is not None and not 0 < hot_pixel_probability < 1:
            raise ReductionError(
                f"hot_pixel_probability must lie between 0 and 1 (1e-9, say), got {hot_pixel_probability!r}"
            )
        self.geometry = geometry
        self.mask = mask
        self.n_bins = n_bins
        self.q_range = q_range
        self.thickness_cm = thickness_cm
        self.background = background
        self.dark_rate = dark_rate
        self.hot_pixel_probability = hot_pixel_probability
        self._photons_per_count = 1.0 / monitor_efficiency
        self._scale = calibration / thickness_cm
        self._options = {
            "method": (split, "csr", "cython"),
            "correctSolidAngle": correct_solid_angle,
            "polarization_factor": polarization_factor,
        }
        # One integration at a time: pyFAI's integrator caches its look-up table on itself.
        self._lock = threading.RLock()
        self._bins: Bins | None = None
        self._background_rate: _Rate | None = None

    def reduce(self, image: np.ndarray, *, exposure_s: float, monitor_counts: float, transmission: float) -> Curve:
        """Reduce one frame.

        Parameters
        ----------
        image
            ``(ny, nx)`` counts; negative or non-finite pixels are left out.
        exposure_s
            s.
        monitor_counts
            Incident photons of this exposure (times `monitor_efficiency`).
        transmission
            Of the sample, 0 to 1 (up to 1.05 passes: measured transmissions scatter).

        Returns
        -------
        Curve
            ``(k,)`` with k <= n_bins: q is the mean over a bin's pixels, bins without a pixel are not in it.

        Raises
        ------
        ReductionError
            If the shape is wrong, a reading is not positive, or no bin holds a usable pixel.
        """
        with self._lock:
            if self._bins is None:
                self._bins = Bins(self.geometry, self.mask, self.n_bins, self.q_range, self._options)
            if self.background is not None and self._background_rate is None:
                b = self.background
                self._background_rate = self._rate(
                    self._bins, b.image, b.exposure_s, b.monitor_counts, b.transmission, "background frame"
                )
            rate = self._rate(self._bins, image, exposure_s, monitor_counts, transmission, "frame")
        mean, variance = rate.mean, rate.variance
        if self._background_rate is not None:
            mean = mean - self._background_rate.mean
            variance = variance + self._background_rate.variance
        keep = np.isfinite(mean) & np.isfinite(variance)
        if not keep.any():
            raise ReductionError(
                "no bin holds a usable pixel: compare mask, q_range "
                f"({self.q_range}) and the frame ({int(np.sum(~(np.asarray(image) >= 0)))} pixels without a count)"
            )
        return Curve(
            q=self._bins.q[keep],
            intensity=mean[keep] * self._scale,
            sigma=np.sqrt(variance[keep]) * self._scale,
        )

    def _rate(
        self,
        bins: Bins,
        image: np.ndarray,
        exposure_s: float,
        monitor_counts: float,
        transmission: float,
        what: str,
    ) -> _Rate:
        """Dark-corrected counts per incident photon, transmission and solid angle."""
        image = np.asarray(image)
        if image.shape != self.mask.shape:
            raise ReductionError(f"the {what} has shape {image.shape}, the geometry {self.mask.shape}")
        try:
            require_positive(exposure_s=exposure_s, monitor_counts=monitor_counts, transmission=transmission)
        except ReductionError as error:
            raise ReductionError(f"the {what} cannot be normalised: {error}") from None
        if transmission > 1.05:
            raise ReductionError(f"the {what} cannot be normalised: transmission {transmission:g} is above 1")
        counts = image.astype(np.float32)
        counts[~(counts >= 0) | np.isinf(counts)] = np.nan  # pyFAI leaves NaN out without rebuilding its table
        if self.hot_pixel_probability is not None:
            bins.drop_hot(counts, self.hot_pixel_probability)
        signal, variance, norm = bins.sums(counts)
        dark = self.dark_rate * exposure_s
        per_count = 1.0 / (monitor_counts * self._photons_per_count * transmission * self.geometry.pixel_solid_angle_sr)
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = np.where(norm > 0, (signal - dark * bins.dark_weight(norm)) / norm, np.nan)
            expected = np.where(norm > 0, expected_variance(variance, bins.variance_weight, norm > 0), np.nan)
            return _Rate(mean * per_count, expected / norm**2 * per_count**2)

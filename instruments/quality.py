"""Whether a frame or a curve is fit to be learned from, and if not, why in words.

The gate sees counts and the curve's own numbers, nothing else: no label, no expectation from the model.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from instruments.curve import Curve
from instruments.errors import InstrumentError

_TILE = 32
"""Edge of the blocks, pixels, in which a dead part of the detector is looked for."""
_TILE_COUNTS = 50.0
"""Counts that nine in ten of the lit tiles must hold before empty ones are suspicious: scattering fades, and where it
fades to nothing some tiles hold only a few counts; a dead part ends abruptly."""
_SECTIONS = 10
"""Sections, equally wide in ln q, in which the needed range's signal is averaged: independent of the binning."""


@dataclass(frozen=True)
class QualityGate:
    """What a measurement must at least be.

    Defaults are for curves that are compared in 0.006 to 0.03 1/Å. All fractions are 0 to 1; limits are inclusive.

    Raises
    ------
    InstrumentError
        If an option is out of its range.
    """

    q_low: float = 0.006
    """1/Å; usable points must begin at or below it."""
    q_high: float = 0.03
    """1/Å; usable points must reach to or beyond it."""
    min_points: int = 20
    """Usable points between `q_low` and `q_high`: a particle of 1000 Å has 8 independent (Shannon) channels in the
    default range, and fewer than two or three points a channel do not show its shape."""
    max_gap: float = 0.25
    """Widest gap between usable points, as a fraction of ln(q_high / q_low)."""
    max_bad_sigma: float = 0.05
    """Fraction of points in the needed range whose sigma is 0, negative, NaN or infinite."""
    max_nonfinite: float = 0.0
    """Fraction of points, anywhere, with NaN or infinite intensity."""
    max_nonpositive: float = 0.2
    """Fraction of points in the needed range with intensity <= 0 (over-subtraction, or nothing but noise)."""
    min_signal_to_noise: float = 5.0
    """I / sigma, median over ten sections of the needed range equally wide in ln q, each averaged."""
    max_outliers: float = 0.02
    """Fraction of points in the needed range that stand out from both neighbours by ten sigma and by more than the
    neighbours' own intensity (spikes of hot pixels, steps where detectors are joined badly)."""

    saturation_counts: float = 2**20 - 1
    """Counts at which a pixel is saturated (20-bit counter); lower it for other detectors."""
    max_saturated: float = 1e-4
    """Fraction of unmasked pixels at or above `saturation_counts`."""
    max_unusable: float = 0.05
    """Fraction of unmasked pixels without a count (negative): beyond it part of the detector is missing."""
    max_dead_area: float = 0.1
    """Fraction of unmasked area in blocks of 32 x 32 pixels that counted nothing while the others counted."""
    min_total_counts: float = 1000.0
    """Counts in all unmasked pixels together."""

    def __post_init__(self) -> None:
        """Check ranges."""
        for option in fields(self):
            value = getattr(self, option.name)
            is_fraction = option.name.startswith("max_")
            if not (np.isfinite(value) and value >= 0 and (value <= 1 or not is_fraction)):
                allowed = "a fraction from 0 to 1" if is_fraction else "a finite number of at least 0"
                raise InstrumentError(f"quality gate: {option.name} must be {allowed}, got {value!r}")
        if not 0 < self.q_low < self.q_high:
            raise InstrumentError(
                f"quality gate: need 0 < q_low < q_high in 1/Å, got q_low {self.q_low:g} and q_high {self.q_high:g}"
            )

    def frame(self, image: np.ndarray, mask: np.ndarray | None = None) -> list[str]:
        """Judge a detector frame.

        Parameters
        ----------
        image
            ``(ny, nx)`` counts.
        mask
            ``(ny, nx)`` bool, True = known to be unusable (gaps, beam stop, defects); not judged.

        Returns
        -------
        list[str]
            One sentence per fault, with what was found and the limit; empty if there is none.
        """
        image = np.asarray(image)
        if image.ndim != 2:
            return [f"the frame has shape {image.shape}, expected (ny, nx)"]
        seen = np.ones(image.shape, dtype=bool) if mask is None else ~np.asarray(mask, dtype=bool)
        if seen.shape != image.shape:
            return [f"the frame has shape {image.shape}, its mask {seen.shape}"]
        n = int(seen.sum())
        if n == 0:
            return ["the mask leaves no pixel of the frame to look at"]
        finite = np.isfinite(image)
        reasons = []
        broken = int((~finite & seen).sum())
        if broken:
            reasons.append(f"{broken} of {n} unmasked pixels are NaN or infinite; none may be")
        usable = seen & finite & (image >= 0)
        counts = np.where(usable, image, 0).astype(np.float64)
        unusable = 1 - broken / n - usable.sum() / n
        if unusable > self.max_unusable:
            reasons.append(
                f"{unusable:.1%} of the unmasked pixels gave no count (negative), at most {self.max_unusable:.1%} may: "
                "part of the detector is missing"
            )
        saturated = float((counts >= self.saturation_counts).sum()) / n
        if saturated > self.max_saturated:
            reasons.append(
                f"{saturated:.3%} of the unmasked pixels are saturated (>= {self.saturation_counts:g} counts), "
                f"at most {self.max_saturated:.3%} may be"
            )
        total = float(counts.sum())
        if total == 0:
            reasons.append("every usable pixel is zero: no beam, a closed shutter, or a dead detector")
        elif total < self.min_total_counts:
            reasons.append(f"{total:g} counts in all, at least {self.min_total_counts:g} are needed")
        else:
            dead = _dead_area(counts, usable)
            if dead > self.max_dead_area:
                reasons.append(
                    f"{dead:.1%} of the unmasked area counted nothing while the rest counted, at most "
                    f"{self.max_dead_area:.1%} may: part of the detector is dead or shadowed"
                )
        return reasons

    def curve(self, curve: Curve) -> list[str]:
        """Judge a reduced curve.

        Returns
        -------
        list[str]
            One sentence per fault, with what was found and the limit; empty if there is none.
        """
        q, intensity, sigma = (np.asarray(a, dtype=np.float64) for a in (curve.q, curve.intensity, curve.sigma))
        if len(q) == 0:
            return ["the curve has no points"]
        finite = np.isfinite(intensity) & np.isfinite(q)
        weighted = np.isfinite(sigma) & (sigma > 0)
        reasons = []
        if (broken := float(np.mean(~finite))) > self.max_nonfinite:
            reasons.append(
                f"{int((~finite).sum())} of {len(q)} intensities are NaN or infinite ({broken:.1%}, "
                f"at most {self.max_nonfinite:.1%} may be)"
            )
        needed = (q >= self.q_low) & (q <= self.q_high)
        if needed.any() and (unweighted := float(np.mean(~weighted[needed]))) > self.max_bad_sigma:
            reasons.append(
                f"{unweighted:.1%} of the points in {self._range} have no usable error bar (0, negative or NaN), "
                f"at most {self.max_bad_sigma:.1%} may"
            )
        usable = finite & weighted
        if not usable.any():
            return [*reasons, "no point has both an intensity and an error bar"]
        reasons += self._coverage(q[usable], float(q[0]), float(q[-1]))
        inside = usable & needed
        if inside.any():
            reasons += self._signal(q[inside], intensity[inside], sigma[inside])
        return reasons

    @property
    def _range(self) -> str:
        return f"{self.q_low:g} to {self.q_high:g} 1/Å"

    def _coverage(self, q: np.ndarray, first: float, last: float) -> list[str]:
        """Judge where the usable points lie."""
        reasons = []
        if q[0] > self.q_low:
            note = f" (points without error bar or intensity from {first:.4g})" if first < q[0] else ""
            reasons.append(f"usable points begin at q = {q[0]:.4g} 1/Å{note}, needed from {self.q_low:g}")
        if q[-1] < self.q_high:
            note = f" (points without error bar or intensity up to {last:.4g})" if last > q[-1] else ""
            reasons.append(f"usable points end at q = {q[-1]:.4g} 1/Å{note}, needed up to {self.q_high:g}")
        inside = q[(q >= self.q_low) & (q <= self.q_high)]
        if len(inside) < self.min_points:
            reasons.append(f"{len(inside)} usable points in {self._range}, at least {self.min_points} are needed")
        if len(inside) > 1 and not reasons:
            gaps = np.diff(np.log(np.concatenate([[self.q_low], inside, [self.q_high]])))
            widest = int(np.argmax(gaps))
            share = float(gaps[widest] / np.log(self.q_high / self.q_low))
            if share > self.max_gap:
                edge = self.q_low if widest == 0 else float(inside[widest - 1])
                reasons.append(
                    f"no usable point for {share:.0%} of {self._range} (in ln q) above q = {edge:.4g}, "
                    f"at most {self.max_gap:.0%} may be missing"
                )
        return reasons

    def _signal(self, q: np.ndarray, intensity: np.ndarray, sigma: np.ndarray) -> list[str]:
        """Judge intensities in the needed range."""
        reasons = []
        if (nonpositive := float(np.mean(intensity <= 0))) > self.max_nonpositive:
            reasons.append(
                f"{nonpositive:.1%} of the intensities in {self._range} are zero or negative, "
                f"at most {self.max_nonpositive:.1%} may be: too much subtracted, or no signal"
            )
        found = _signal_to_noise(q, intensity, sigma, self.q_low, self.q_high)
        if found < self.min_signal_to_noise:
            reasons.append(
                f"signal-to-noise in {self._range} is {found:.2g} (median of {_SECTIONS} sections), "
                f"at least {self.min_signal_to_noise:g} is needed"
            )
        if (outliers := _outliers(intensity, sigma)) > self.max_outliers:
            reasons.append(
                f"{outliers:.1%} of the points in {self._range} jump away from both neighbours, "
                f"at most {self.max_outliers:.1%} may"
            )
        return reasons


def _dead_area(counts: np.ndarray, usable: np.ndarray) -> float:
    """Fraction of the usable area in tiles without a single count; 0 if counts are too few to tell."""
    rows, columns = np.arange(0, counts.shape[0], _TILE), np.arange(0, counts.shape[1], _TILE)
    total = np.add.reduceat(np.add.reduceat(counts, rows, axis=0), columns, axis=1)
    area = np.add.reduceat(np.add.reduceat(usable.astype(np.float64), rows, axis=0), columns, axis=1)
    lit = (total > 0) & (area >= _TILE**2 / 4)
    if not lit.any() or np.quantile(total[lit] / area[lit], 0.1) * _TILE**2 < _TILE_COUNTS:
        return 0.0
    return float(area[total == 0].sum() / area.sum())


def _signal_to_noise(q: np.ndarray, intensity: np.ndarray, sigma: np.ndarray, low: float, high: float) -> float:
    """Median over sections of mean(I) / its standard deviation, ``(k,)`` each."""
    section = np.minimum((np.log(q / low) / np.log(high / low) * _SECTIONS).astype(int), _SECTIONS - 1)
    n = np.bincount(section, minlength=_SECTIONS)
    total = np.bincount(section, intensity, minlength=_SECTIONS)
    variance = np.bincount(section, sigma**2, minlength=_SECTIONS)
    return float(np.median(total[n > 0] / np.sqrt(variance[n > 0])))


def _outliers(intensity: np.ndarray, sigma: np.ndarray) -> float:
    """Fraction of points that differ from the mean of their neighbours by 10 sigma and by more than that mean."""
    if len(intensity) < 3:
        return 0.0
    mean = (intensity[:-2] + intensity[2:]) / 2
    sd = np.sqrt(sigma[1:-1] ** 2 + (sigma[:-2] ** 2 + sigma[2:] ** 2) / 4)
    off = np.abs(intensity[1:-1] - mean)
    return float(np.mean((off > 10 * sd) & (off > np.abs(mean))))

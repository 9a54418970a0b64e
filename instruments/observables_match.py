"""How far a measured curve is from a target curve.

Both are averaged into the same bins, equally wide in ln q, before any logarithm is taken, so that negative points weigh
in. Then, with r the difference of the logarithms in a bin and s its standard deviation,

* noise adds to a mean square: ``mean(r²)`` expects the true value plus ``mean(s²)``. The distance is therefore
  ``d = sqrt(max(0, mean(r²) - mean(s²)))``: a short exposure does not look further away than a long one.
* its error bar is that of d² carried through the root, ``sqrt(d² + sd(d²)) - d``: ``sd(d²) / 2d`` far from the target,
  finite at it. ``var(d²) = Σ(4 ρ² s² + 2 s⁴) / n²`` with ρ² = r² - s², the true r² as far as it is known.
* a bin that is not positive by `significance` standard deviations says only that its intensity is below that many of
  them. Where the target is below that as well it agrees (r = 0), else r is the part by which the target exceeds it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from instruments.curve import Curve
from instruments.errors import InstrumentError
from instruments.observables_integrals import check_range, points_in
from instruments.observables_target import read_curve

_MISSING = 0.2
"""Fraction of bins that may hold no point."""
_HIDDEN = 0.5
"""Fraction of bins that may be lost in noise."""


@dataclass(frozen=True, eq=False)
class _Binned:
    """Points ``(k,)`` and their averages ``(n,)`` in the bins that hold any."""

    q: np.ndarray
    index: np.ndarray
    """``(k,)`` bin of each point."""
    share: np.ndarray
    """``(k,)`` weight of each point in its bin; 1 in sum."""
    intensity: np.ndarray
    sigma: np.ndarray


@dataclass(frozen=True, eq=False)
class Match:
    """Root-mean-square difference of ln I to a target over a q-range; 0 is a match, smaller is better.

    About the relative difference where that is small: 0.1 means 10 %.
    """

    target: Any
    """A curve: ``{"q": [...], "intensity": [...]}`` (1/Å, any scale if `shape_only`), a `Curve`, or the path of a CSV
    or parquet file (`read_curve` says how it must look). It counts as exact."""
    q_min: float = 0.006
    """1/Å."""
    q_max: float = 0.03
    """1/Å."""
    n_bins: int = 30
    """Bins, equally wide in ln q."""
    shape_only: bool = False
    """Whether the scale is free: the mean of ln(I / target) is removed first."""
    significance: float = 2.0
    """Standard deviations by which a bin must be positive to have a logarithm."""
    where: Mapping[str, Any] | None = None
    """Row of a parquet file that holds one curve a row, such as ``{"uuid": "..."}``."""
    _target: Curve = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Check options and read the target."""
        check_range("match", self.q_min, self.q_max)
        if self.q_min <= 0:
            raise InstrumentError(f"observable 'match': q_min must be above 0, got {self.q_min!r}")
        if not 3 <= self.n_bins <= 1000:
            raise InstrumentError(f"observable 'match': n_bins must lie between 3 and 1000, got {self.n_bins!r}")
        if not 1 <= self.significance <= 10:
            raise InstrumentError(
                f"observable 'match': significance must lie between 1 and 10, got {self.significance!r}"
            )
        target = read_curve(self.target, where=self.where)
        good = np.isfinite(target.intensity)
        # Its error bars do not matter: what decides is how well the measured curve is known.
        target = Curve(target.q[good], target.intensity[good], np.ones(int(good.sum())))
        object.__setattr__(self, "_target", target)
        self._target_bins(self._bin("match: the target", target))

    @property
    def unit(self) -> str:
        """Natural logarithm: none."""
        return "1"

    @property
    def description(self) -> str:
        """What it is."""
        scale = " of shape" if self.shape_only else ""
        return f"distance{scale} to the target, RMS of ln I from {self.q_min:g} to {self.q_max:g} 1/Å"

    def __call__(self, curve: Curve) -> tuple[float, float]:
        """Return the distance and its standard deviation."""
        r, s = self.residuals(curve)
        n = len(r)
        freed = 1.0
        if self.shape_only:
            r = r - r.mean()
            freed = 1 - 1 / n
        square = max(0.0, float(np.mean(r**2) - np.mean(s**2) * freed))
        floor = 2 * np.sum(s**4)
        sd_square = float(np.sqrt(max(floor, np.sum(4 * r**2 * s**2 - 2 * s**4))) / n)
        distance = np.sqrt(square)
        return float(distance), float(np.sqrt(square + sd_square) - distance)

    def residuals(self, curve: Curve) -> tuple[np.ndarray, np.ndarray]:
        """Return ``ln I - ln target`` and its standard deviation in the bins that hold points, ``(n,)`` each.

        Raises
        ------
        InstrumentError
            If too few bins hold points, or noise hides the curve in too many of them.
        """
        common = curve.between(self._target.q[0], self._target.q[-1])
        binned = self._bin("match", common)
        intensity, sigma = binned.intensity, binned.sigma
        target = np.log(self._target_bins(binned))
        limit = self.significance * sigma
        hidden = intensity < limit
        if hidden.mean() > _HIDDEN:
            raise InstrumentError(
                f"match: in {int(hidden.sum())} of {len(intensity)} bins from {self.q_min:g} to {self.q_max:g} 1/Å "
                f"I is not above zero by {self.significance:g} standard deviations: expose longer or lower q_max"
            )
        level = np.where(hidden, limit, intensity)
        r = np.log(level) - target
        if self.shape_only and hidden.any():
            # What is hidden is judged on the scale that the other bins give.
            offset = float(r[~hidden].mean())
            r = np.where(hidden, np.minimum(r - offset, 0.0) + offset, r)
        else:
            r = np.where(hidden, np.minimum(r, 0.0), r)
        # A bin that only agrees with a limit fluctuates less than its noise: count none rather than too much of it.
        s = np.where(hidden, 0.0, sigma / level)
        return r, s

    def _bin(self, kind: str, curve: Curve) -> _Binned:
        """Inverse-variance averages of the intensity in the bins."""
        part = points_in(kind, curve, self.q_min, self.q_max, at_least=3)
        position = np.log(part.q / self.q_min) / np.log(self.q_max / self.q_min) * self.n_bins
        filled, index = np.unique(np.minimum(position.astype(int), self.n_bins - 1), return_inverse=True)
        missing = self.n_bins - len(filled)
        if missing > _MISSING * self.n_bins:
            raise InstrumentError(
                f"{kind} has no point in {missing} of {self.n_bins} bins from {self.q_min:g} to {self.q_max:g} 1/Å "
                f"(points from {part.q[0]:.4g} to {part.q[-1]:.4g}), at most {_MISSING:.0%} may be empty; lower n_bins "
                "or choose the range that was measured"
            )
        weight = 1 / part.sigma**2
        total = np.bincount(index, weight)
        share = weight / total[index]
        return _Binned(part.q, index, share, np.bincount(index, share * part.intensity), 1 / np.sqrt(total))

    def _target_bins(self, binned: _Binned) -> np.ndarray:
        """Average the target over the same points with the same weights: a steep curve's bins then agree exactly."""
        target = self._target
        if np.all(target.intensity > 0):
            there = np.exp(np.interp(np.log(binned.q), np.log(target.q), np.log(target.intensity)))
        else:
            there = np.interp(binned.q, target.q, target.intensity)
        mean = np.bincount(binned.index, binned.share * there)
        if np.any(mean <= 0):
            low = binned.q[binned.index == np.argmax(mean <= 0)][0]
            raise InstrumentError(
                f"match: the target is zero or negative around q = {low:.4g} 1/Å even when averaged into {self.n_bins} "
                "bins, so it has no logarithm there; lower q_max or n_bins, or take a cleaner target"
            )
        return mean

"""How far a measured curve is from a target curve.

Both are averaged into the same bins, equally wide in ln q, before any logarithm is taken, so that negative points weigh
in. Then, with r the difference of the logarithms in a bin and s its standard deviation,

* below its noise limit (`significance` standard deviations) a bin says only that it is below: both curves are lifted to
  that limit before they are compared, ``r = ln max(I, limit) - ln max(target, limit)``. A target that is hidden there
  as well agrees, one above it is contradicted. With a longer exposure the limit sinks and more can differ.
* noise adds to a mean square: ``mean(r²)`` expects the true value plus ``mean(s²)``. The distance is therefore
  ``d = sqrt(max(0, mean(r²) - mean(s²)))``: a short exposure does not look further away than a long one.
* its error bar is that of d² carried through the root, the wider of the two sides: ``sd(d²) / 2d`` far from the target,
  finite at it (where no symmetric error bar is quite right, as d cannot be negative). There,
  ``var(d²) = Σ w² (4 ρ² s² + 2 s⁴)`` with ρ² = r² - s², the true r² as far as it is known, and w the bins' weights.

Every part of ln q has the same weight: where points are sparser than bins, the filled bins stand for the empty ones
next to them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from instruments.curve import Curve
from instruments.errors import InstrumentError
from instruments.observables_integrals import check_range, check_scale, points_in
from instruments.observables_target import read_curve

_GAP = 0.2
"""Fraction of the range (in ln q) that may lie between neighbouring points, or between them and its ends."""
_HIDDEN = 0.5
"""Fraction of the range that may be lost in noise."""


@dataclass(frozen=True, eq=False)
class _Binned:
    """Points ``(k,)`` and their averages ``(n,)`` in the bins that hold any."""

    q: np.ndarray
    index: np.ndarray
    """``(k,)`` bin of each point."""
    share: np.ndarray
    """``(k,)`` weight of each point in its bin; 1 in sum."""
    weight: np.ndarray
    """``(n,)`` share of the range that each bin stands for; 1 in sum."""
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
    """Standard deviations by which a bin must be positive to be compared rather than taken as a limit."""
    scale_sd: float = 0.0
    """Relative standard deviation of the curve's absolute scale (monitor, transmission): it moves all points together
    and is not in their sigma. Without effect if `shape_only`."""
    where: Mapping[str, Any] | None = None
    """Row of a parquet file that holds one curve a row, such as ``{"uuid": "..."}``."""
    target_curve: Curve = field(init=False, repr=False, compare=False)
    """The target's usable points, as given."""

    def __post_init__(self) -> None:
        """Check options and read the target."""
        check_range("match", self.q_min, self.q_max)
        check_scale("match", self.scale_sd)
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
        target = Curve(target.q[good], target.intensity[good], target.sigma[good])
        object.__setattr__(self, "target_curve", target)
        # Its error bars do not matter: what decides is how well the measured curve is known.
        even = Curve(target.q, target.intensity, np.ones(len(target.q)))
        self._target_bins(self._bin("match: the target", even))

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
        binned = self._bin("match", curve.between(self.target_curve.q[0], self.target_curve.q[-1]))
        r, s, noise = self._residuals(binned)
        w = binned.weight
        scale = 0.0 if self.shape_only else self.scale_sd
        square = max(0.0, float(w @ r**2) - noise - scale**2)
        variance = max(np.sum(w**2 * (4 * r**2 * s**2 - 2 * s**4)), np.sum(w**2 * 2 * s**4))
        sd_square = float(np.sqrt(variance + 4 * (w @ r) ** 2 * scale**2 + 2 * scale**4))
        distance = np.sqrt(square)
        above = np.sqrt(square + sd_square) - distance
        below = distance - np.sqrt(max(0.0, square - sd_square))
        return float(distance), float(max(above, below))

    def _residuals(self, binned: _Binned) -> tuple[np.ndarray, np.ndarray, float]:
        """Return differences of logarithms and their sd, ``(n,)`` each, and what noise adds to the mean square."""
        w = binned.weight
        limit = self.significance * binned.sigma
        seen = binned.intensity > limit
        if (hidden := float(w[~seen].sum())) > _HIDDEN:
            raise InstrumentError(
                f"match: in {hidden:.0%} of {self.q_min:g} to {self.q_max:g} 1/Å (in ln q) the intensity is not above "
                f"zero by {self.significance:g} standard deviations, at most {_HIDDEN:.0%} may be; expose longer or "
                "lower q_max"
            )
        target = self._target_bins(binned)
        level = np.where(seen, binned.intensity, limit)
        s = np.where(seen, binned.sigma / level, 0.0)
        noise = float(w @ s**2)
        if self.shape_only:
            share = w[seen] / w[seen].sum()
            target = target * np.exp(share @ np.log(level[seen] / target[seen]))
            # The free scale follows part of the noise.
            noise -= float(w[seen].sum() * np.sum(share**2 * s[seen] ** 2))
        return np.log(level) - np.log(np.maximum(target, limit)), s, noise

    def _bin(self, kind: str, curve: Curve) -> _Binned:
        """Inverse-variance averages of the intensity in the bins."""
        part = points_in(kind, curve, self.q_min, self.q_max, at_least=3)
        position = np.log(part.q / self.q_min) / np.log(self.q_max / self.q_min) * self.n_bins
        gap = float(np.diff(position, prepend=0.0, append=self.n_bins).max()) / self.n_bins
        if gap > _GAP:
            raise InstrumentError(
                f"{kind}: points from q = {part.q[0]:.4g} to {part.q[-1]:.4g} 1/Å do not cover {self.q_min:g} to "
                f"{self.q_max:g} 1/Å: {gap:.0%} of it (in ln q) holds no point, at most {_GAP:.0%} may"
            )
        filled, index = np.unique(np.minimum(position.astype(int), self.n_bins - 1), return_inverse=True)
        ends = np.concatenate([[0], (filled[1:] + filled[:-1] + 1) / 2, [self.n_bins]])
        precision = 1 / part.sigma**2
        total = np.bincount(index, precision)
        share = precision / total[index]
        return _Binned(
            q=part.q,
            index=index,
            share=share,
            weight=np.diff(ends) / self.n_bins,
            intensity=np.bincount(index, share * part.intensity),
            sigma=1 / np.sqrt(total),
        )

    def _target_bins(self, binned: _Binned) -> np.ndarray:
        """Average the target over the same points with the same weights: a steep curve's bins then agree exactly."""
        target = self.target_curve
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

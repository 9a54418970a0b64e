"""Measured curves on one grid of q, whatever grid they came on.

Between its points a curve is a straight line of ``I q³`` over log q, and a bin of the grid is the mean of that:
an interpolation where the curve is coarser than the grid, a mean of points where it is finer. Both are linear in I, so
that noise stays unbiased (weights from error bars that were estimated from the counts themselves would favour low
counts) and error bars follow exactly. ``I q³`` instead of I, since SAXS falls between q⁻² and q⁻⁴: the mean over a bin
then stands for its centre, wherever in the bin points lie.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from surrogates.errors import SurrogateError

Floats = NDArray[np.float64]

MIN_POINTS = 4
"""Fewer points are no curve."""
_FLATTEN = 3
"""Power of q that takes most of the fall out of a curve."""
_MIN_COVERED = 0.4
"""Share of a bin's width that must be measured: half of the first bin lies within points that begin at its centre."""


@dataclass(frozen=True)
class QGrid:
    """Bins of equal width in log q."""

    q_min: float = 0.003
    """Centre of the first bin, 1/Å."""
    q_max: float = 0.5
    """Centre of the last bin, 1/Å."""
    points: int = 128
    """Number of bins."""
    max_gap: float = 1.5
    """Ratio of neighbouring q above which a curve has a gap; what lies in it is not measured."""

    def __post_init__(self) -> None:
        if not 0 < self.q_min < self.q_max < math.inf or self.points < 2 or not self.max_gap > 1:
            raise SurrogateError(
                f"a grid needs 0 < q_min < q_max, at least 2 points and max_gap > 1, got {self.q_min}, {self.q_max}, "
                f"{self.points} and {self.max_gap}"
            )

    @cached_property
    def q(self) -> Floats:
        """Centres ``(points,)``, 1/Å."""
        return np.geomspace(self.q_min, self.q_max, self.points, dtype=np.float64)

    @cached_property
    def log_edges(self) -> Floats:
        """Natural logarithm of the bins' edges ``(points + 1,)``."""
        step = math.log(self.q_max / self.q_min) / (self.points - 1)
        return math.log(self.q_min) + step * (np.arange(self.points + 1, dtype=np.float64) - 0.5)


@dataclass(frozen=True, eq=False)
class GriddedCurves:
    """Curves on a `QGrid`."""

    intensity: Floats
    """``(n, points)``; 0 where nothing was measured."""
    sigma: Floats
    """``(n, points)`` one standard deviation; 1 where nothing was measured."""
    measured: NDArray[np.bool_]
    """``(n, points)``."""

    def __len__(self) -> int:
        """Return the number of curves."""
        return len(self.intensity)

    def __getitem__(self, rows: slice | NDArray[np.int_] | NDArray[np.bool_]) -> GriddedCurves:
        """Return some of the curves."""
        return GriddedCurves(self.intensity[rows], self.sigma[rows], self.measured[rows])

    @classmethod
    def joined(cls, parts: Sequence[GriddedCurves]) -> GriddedCurves:
        """Put several together."""
        return cls(
            np.concatenate([part.intensity for part in parts]),
            np.concatenate([part.sigma for part in parts]),
            np.concatenate([part.measured for part in parts]),
        )


def check_curves(q: ArrayLike, intensity: ArrayLike, sigma: ArrayLike, where: str = "curve") -> tuple[Floats, ...]:
    """Return the three as float arrays, intensities and errors ``(n, k)``.

    Negative intensities are legal: after a background is subtracted, noise is on both sides of zero.

    Parameters
    ----------
    q
        ``(k,)`` 1/Å.
    intensity, sigma
        ``(k,)`` or ``(n, k)``.
    where
        What messages begin with: a file's name, say.

    Raises
    ------
    SurrogateError
        If q does not increase strictly from above 0, a number is not finite, an error bar is not positive, there are
        fewer than `MIN_POINTS` points, or shapes differ. The message names the first row (from 1) that is wrong.
    """
    try:
        x, i, s = (np.array(values, dtype=np.float64) for values in (q, intensity, sigma))
    except (TypeError, ValueError) as error:
        raise SurrogateError(f"{where}: q, intensity and sigma must be numbers ({error})") from error
    i, s = np.atleast_2d(i), np.atleast_2d(s)
    if x.ndim != 1 or i.ndim != 2 or i.shape != s.shape or i.shape[1] != len(x):
        raise SurrogateError(
            f"{where}: expected q (k,) and intensity and sigma (k,) or (n, k), got {x.shape}, {np.shape(intensity)} "
            f"and {np.shape(sigma)}"
        )
    if len(x) < MIN_POINTS:
        raise SurrogateError(f"{where}: a curve needs at least {MIN_POINTS} points, this one has {len(x)}")
    for name, values in (("q", x[None]), ("intensity", i), ("sigma", s)):
        _refuse(where, name, values, ~np.isfinite(values), "a finite number")
    _refuse(where, "q", x[None], x[None] <= 0, "greater than 0")
    _refuse(where, "q", x[None], np.diff(x, prepend=0.0)[None] <= 0, "greater than in the row before")
    _refuse(where, "sigma", s, s <= 0, "greater than 0")
    return x, i, s


def _refuse(where: str, name: str, values: Floats, wrong: NDArray[np.bool_], expected: str) -> None:
    if not wrong.any():
        return
    curve, row = (int(index) for index in np.argwhere(wrong)[0])
    of = f"curve {curve + 1}, " if len(values) > 1 else ""
    raise SurrogateError(f"{where}: {of}row {row + 1}: {name} must be {expected}, got {values[curve, row]:g}")


def rebinning(q: Floats, grid: QGrid) -> tuple[Floats, NDArray[np.bool_]]:
    """Return the matrix ``(points, k)`` that brings curves at q ``(k,)`` to a grid, and which bins are measured.

    Rows of bins that are not measured are zero.
    """
    x, edges = np.log(q), grid.log_edges
    width = np.diff(x)
    width = np.where(width > math.log(grid.max_gap), 0.0, width)  # in a gap nothing is measured
    # Row e of `integral` gives the integral of the broken line from the first point to edge e.
    segment = np.clip(np.searchsorted(x, edges, side="right") - 1, 0, len(x) - 2)
    t = np.clip((edges - x[segment]) / np.diff(x)[segment], 0.0, 1.0)
    whole = np.arange(len(x) - 1) < segment[:, None]
    integral = np.zeros((len(edges), len(x)))
    integral[:, :-1] += whole * (width / 2)
    integral[:, 1:] += whole * (width / 2)
    rows = np.arange(len(edges))
    integral[rows, segment] += width[segment] * (t - t**2 / 2)
    integral[rows, segment + 1] += width[segment] * t**2 / 2
    weights = np.diff(integral, axis=0)
    covered = weights.sum(1)
    measured = covered > _MIN_COVERED * np.diff(edges)
    weights = np.where(measured[:, None], weights / np.where(covered > 0, covered, 1.0)[:, None], 0.0)
    return weights * (q / grid.q[:, None]) ** _FLATTEN, measured


def rebin(q: ArrayLike, intensity: ArrayLike, sigma: ArrayLike, grid: QGrid, where: str = "curve") -> GriddedCurves:
    """Bring curves that share one q to a grid.

    Parameters
    ----------
    q
        ``(k,)`` 1/Å, strictly increasing.
    intensity, sigma
        ``(k,)`` or ``(n, k)``.
    grid
        Bins outside q, and in its gaps, are not measured: nothing is extrapolated.
    where
        What messages begin with.

    Raises
    ------
    SurrogateError
        As `check_curves`; also if q lies outside the grid. A curve that covers few bins of it, or not one, is legal.
    """
    x, i, s = check_curves(q, intensity, sigma, where)
    matrix, measured = rebinning(x, grid)
    if x[-1] < math.exp(grid.log_edges[0]) or x[0] > math.exp(grid.log_edges[-1]):
        raise SurrogateError(
            f"{where}: q from {x[0]:g} to {x[-1]:g} 1/Å lies outside the {grid.q_min:g} to {grid.q_max:g} 1/Å that are "
            "looked at; is q in 1/Å?"
        )
    return GriddedCurves(
        np.where(measured, i @ matrix.T, 0.0),
        np.where(measured, np.sqrt(np.square(s) @ np.square(matrix).T), 1.0),
        np.broadcast_to(measured, (len(i), grid.points)),
    )


def local_sigma(q: ArrayLike, intensity: ArrayLike) -> Floats:
    """Estimate error bars of a curve that came without: the scatter of points about the line through their neighbours.

    Parameters
    ----------
    q, intensity
        ``(k,)`` each, k >= 4.

    Returns
    -------
    numpy.ndarray
        ``(k,)``; at least 1 % of the intensity, and of its median.
    """
    x, y = np.log(np.asarray(q, float)), np.asarray(intensity, float)
    t = (x[1:-1] - x[:-2]) / (x[2:] - x[:-2])
    flat = y * np.exp(_FLATTEN * x)
    away = (flat[1:-1] - (1 - t) * flat[:-2] - t * flat[2:]) / np.sqrt(1 + t**2 + (1 - t) ** 2)
    away = np.abs(away) * np.exp(-_FLATTEN * x[1:-1])
    away = np.pad(away, 1, mode="edge")
    half = 5
    windows = np.lib.stride_tricks.sliding_window_view(
        np.pad(away, half, mode="reflect" if len(y) > half else "edge"), 2 * half + 1
    )
    scatter = 1.4826 * np.median(windows, axis=1)
    return np.maximum(scatter, 0.01 * np.maximum(np.abs(y), np.median(np.abs(y)) * 0.01) + 1e-300)

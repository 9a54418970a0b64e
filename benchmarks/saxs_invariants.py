"""Standard SAXS invariants of many curves at once: what an expert would compute, for a tree to decide by.

All fits are weighted least squares with the error bars of the curve, in closed form, so that a hundred thousand curves
take seconds. What cannot be computed (too few bins above the noise) is NaN, which scikit-learn's
`HistGradientBoostingClassifier` understands. Guinier & Fournet, 1955; Porod in Glatter & Kratky, 1982, chapter 2.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from surrogates.saxs.curves import GriddedCurves, QGrid

Floats = NDArray[np.float64]

BANDS = 10
"""Bands of equal width in log q, for local slopes."""
_GUINIER_ENDS = (0.01, 0.03, 0.1)
"""1/Å: a knee may lie anywhere."""
_GUINIER_LIMIT = 1.3
"""Of q Rg, where the fit is repeated."""
_POROD_STARTS = (0.05, 0.1)
_EXPONENT_RANGE = (0.02, 0.2)
_MIN_BINS = 3
_CHUNK = 20_000


def names() -> list[str]:
    """Names of the columns of `invariants`."""
    found = [f"{what}_{end}" for end in (*_GUINIER_ENDS, "iterated") for what in ("rg2", "log_i0")]
    found += [
        f"{what}_{start:g}"
        for start in _POROD_STARTS
        for what in ("porod", "background", "porod_over_sd", "background_over_sd")
    ]
    found += ["exponent", "exponent_over_sd"]
    found += ["kratky_q", "kratky_height", "kratky_height_over_mean", "kratky_q_rg", "kratky_dimensionless"]
    found += ["invariant", "invariant_low", "invariant_middle", "invariant_high", "invariant_over_porod", "i0_over_q"]
    return found + [f"{what}_band{i}" for i in range(BANDS) for what in ("slope", "level", "snr")]


def invariants(curves: GriddedCurves, grid: QGrid) -> Floats:
    """Return ``(n, len(names()))``; NaN where there is nothing to tell."""
    parts = [_of(curves[start : start + _CHUNK], grid) for start in range(0, len(curves), _CHUNK)]
    return np.concatenate(parts) if parts else np.empty((0, len(names())))


def _of(curves: GriddedCurves, grid: QGrid) -> Floats:
    q = grid.q
    intensity, sigma = (np.asarray(values, dtype=np.float64) for values in (curves.intensity, curves.sigma))
    seen = curves.measured
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        snr = np.where(seen, intensity / sigma, 0.0)
        # Of log I, whose error bar is sigma / I; bins within their noise have no logarithm to speak of.
        weight = np.where(snr > 1, np.square(snr), 0.0)
        log_i = np.log(np.where(snr > 1, intensity, 1.0))
        guinier, rg2 = _guinier(q, log_i, weight)
        porod, background = _porod(q, intensity, sigma, seen)
        net = np.where(seen, intensity - np.nan_to_num(background)[:, None], 0.0)
        columns = [*guinier, *porod, *_exponent(q, net, sigma, seen), *_kratky(q, net, sigma, seen, rg2, guinier[-1])]
        columns += _invariant(q, net, seen, porod[0], guinier[-1])
        for band in np.array_split(np.arange(len(q)), BANDS):
            x = np.log(q[band])
            slope, level, _ = _line(x - x.mean(), log_i[:, band], weight[:, band])
            columns += [slope, level, np.arcsinh(snr[:, band]).mean(1)]
    found = np.stack(columns, axis=1)
    return np.where(np.isfinite(found), found, np.nan)


def _line(x: Floats, y: Floats, weight: Floats) -> tuple[Floats, Floats, Floats]:
    """Slope, value at x = 0, and standard deviation of the slope; NaN with fewer than three bins."""
    total = weight.sum(1)
    mean_x, mean_y = (weight * x).sum(1) / total, (weight * y).sum(1) / total
    away = x - mean_x[:, None]
    spread = (weight * away**2).sum(1)
    slope = (weight * away * y).sum(1) / spread
    slope = np.where((weight > 0).sum(1) >= _MIN_BINS, slope, np.nan)
    return slope, mean_y - slope * mean_x, spread**-0.5


def _guinier(q: Floats, log_i: Floats, weight: Floats) -> tuple[list[Floats], Floats]:
    """Rg² and log I0 over fixed ranges, and once more over q Rg below 1.3; the last Rg² by itself."""
    columns = []
    for end in _GUINIER_ENDS:
        slope, at_zero, _ = _line(q**2, log_i, weight * (q < end))
        columns += [-3 * slope, at_zero]
    rg2 = columns[2]
    limit = _GUINIER_LIMIT / np.sqrt(np.clip(np.nan_to_num(rg2, nan=1.0), 1.0, None))
    # At least the first eight bins.
    slope, at_zero, _ = _line(q**2, log_i, weight * (q < np.maximum(limit, q[8])[:, None]))
    return [*columns, -3 * slope, at_zero], -3 * slope


def _porod(q: Floats, intensity: Floats, sigma: Floats, seen: NDArray[np.bool_]) -> tuple[list[Floats], Floats]:
    """Constant and background of I = K q⁻⁴ + B at high q, plain and over their error bars; B of the last range."""
    columns: list[Floats] = []
    for start in _POROD_STARTS:
        weight = np.where(seen & (q > start), sigma**-2.0, 0.0)
        x = (q / start) ** -4.0
        constant, background, sd = _line(x, intensity, weight)
        total = weight.sum(1)
        mean_x = (weight * x).sum(1) / total
        background_sd = np.sqrt(1 / total + np.square(mean_x * sd))
        columns += [constant * start**4, background, constant / sd, background / background_sd]
    return columns, columns[-3]


def _exponent(q: Floats, net: Floats, sigma: Floats, seen: NDArray[np.bool_]) -> list[Floats]:
    """Local power of q after the background, and over its error bar."""
    low, high = _EXPONENT_RANGE
    above = seen & (q > low) & (q < high) & (net > sigma)
    weight = np.where(above, np.square(net / sigma), 0.0)
    slope, _, sd = _line(np.log(q), np.log(np.where(above, net, 1.0)), weight)
    return [-slope, -slope / sd]


def _kratky(
    q: Floats, net: Floats, sigma: Floats, seen: NDArray[np.bool_], rg2: Floats, log_i0: Floats
) -> list[Floats]:
    """Where q² I, smoothed over five bins, is largest beyond the beamstop's rise, and how large."""
    weight = np.where(seen, sigma**-2.0, 0.0)
    top, bottom = (sum(np.roll(values, k, axis=1) for k in range(-2, 3)) for values in (weight * net * q**2, weight))
    # The ends, where rolling joins both, are left out.
    smooth = np.where(seen & (q > 2 * q[0]) & (q < q[-2]), top / bottom, -np.inf)
    at = smooth.argmax(1)
    height = smooth[np.arange(len(at)), at]
    mean = np.where(seen, net * q**2, 0.0).sum(1) / seen.sum(1)
    rg = np.sqrt(np.clip(rg2, 0.0, None))
    return [q[at], height, height / mean, q[at] * rg, height * rg2 / np.exp(log_i0)]


def _invariant(q: Floats, net: Floats, seen: NDArray[np.bool_], porod: Floats, log_i0: Floats) -> list[Floats]:
    """∫ q² I dq, whole and in three parts, over Porod's constant, and I0 over it."""
    pieces = np.where(seen, net * q**3, 0.0) * np.log(q[1] / q[0])
    whole, low, high = pieces.sum(1), pieces[:, q < 0.03].sum(1), pieces[:, q > 0.1].sum(1)
    return [whole, low, whole - low - high, high, whole / porod, np.exp(log_i0) / whole]

"""How good a map, a prediction and a search are. Plain numpy; every function has a closed form in its test."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri

from loop.records import Observation, Status, Suggestion

Floats = NDArray[np.float64]
Direction = Literal["maximise", "minimise"]


def rmse(predicted: ArrayLike, true: ArrayLike) -> float:
    """Root mean squared error of ``(n,)`` predictions; pairs with a NaN truth (nothing recorded there) are left out."""
    p, t = _pairs(predicted, true)
    usable = ~np.isnan(t)
    return float(np.sqrt(np.mean((p[usable] - t[usable]) ** 2)))


def nlpd(mean: ArrayLike, sd: ArrayLike, observed: ArrayLike) -> float:
    """Mean negative log density of ``(n,)`` observations under Gaussian predictions, in nats; smaller is better."""
    m, s, y = _pairs(mean, sd, observed)
    return float(np.mean(0.5 * np.log(2 * np.pi * s**2) + 0.5 * ((y - m) / s) ** 2))


def coverage(mean: ArrayLike, sd: ArrayLike, observed: ArrayLike, level: float = 0.95) -> float:
    """Fraction of ``(n,)`` observations inside the central `level` interval of their Gaussian predictions."""
    m, s, y = _pairs(mean, sd, observed)
    return float(np.mean(np.abs(y - m) <= half_width(level) * s))


def calibration(
    mean: ArrayLike, sd: ArrayLike, observed: ArrayLike, levels: Sequence[float] = tuple(np.linspace(0.05, 0.95, 19))
) -> tuple[Floats, Floats]:
    """Nominal levels of central intervals and the fractions really inside, each ``(k,)``: a diagonal if all is well."""
    return np.asarray(levels, dtype=np.float64), np.array([coverage(mean, sd, observed, level) for level in levels])


def calibration_error(mean: ArrayLike, sd: ArrayLike, observed: ArrayLike) -> float:
    """Mean absolute distance of `calibration` from the diagonal: 0 is perfect."""
    nominal, actual = calibration(mean, sd, observed)
    return float(np.mean(np.abs(nominal - actual)))


def half_width(level: float) -> float:
    """Half the central `level` interval of a standard normal: 1.96 for 0.95."""
    if not 0 < level < 1:
        raise ValueError(f"level: expected a number between 0 and 1, got {level}")
    return float(ndtri(0.5 + level / 2))


@dataclass(frozen=True)
class Forecasts:
    """Predictions made before measuring, with what was then measured, each ``(n,)`` in the observable's unit."""

    iteration: NDArray[np.int64]
    mean: Floats
    sd: Floats
    observed: Floats

    @property
    def z(self) -> Floats:
        """Surprise: by how many predicted standard deviations each outcome missed."""
        return (self.observed - self.mean) / self.sd

    def __len__(self) -> int:
        return len(self.observed)


def forecasts(suggestions: Iterable[Suggestion], observations: Iterable[Observation], observable: str) -> Forecasts:
    """Pair the predictions in a campaign's suggestions with the outcomes that were measured; the rest is left out."""
    outcome = {o.suggestion_id: o for o in observations if o.status is Status.MEASURED}
    rows = [
        (s.iteration, s.prediction.mean[observable], s.prediction.sd[observable], outcome[s.id].values[observable])
        for s in suggestions
        if s.prediction is not None and s.id in outcome
    ]
    table = np.array(rows, dtype=np.float64).reshape(len(rows), 4)
    return Forecasts(table[:, 0].astype(np.int64), table[:, 1], table[:, 2], table[:, 3])


def best_so_far(values: ArrayLike, direction: Direction) -> Floats:
    """Best of the first 1, 2, ... n values: ``(n,)``; NaN (nothing measured) is passed over."""
    v = np.asarray(values, dtype=np.float64)
    best = np.fmax.accumulate(v) if direction == "maximise" else np.fmin.accumulate(v)
    return np.asarray(best, dtype=np.float64)


def measurements_to_reach(values: ArrayLike, threshold: float, direction: Direction) -> float:
    """How many measurements it took until the first value at or beyond `threshold`; infinity if none was."""
    v = np.asarray(values, dtype=np.float64)
    hits = np.flatnonzero(v >= threshold if direction == "maximise" else v <= threshold)
    return float(hits[0] + 1) if len(hits) else float("inf")


def area_under_curve(values: ArrayLike, x: ArrayLike | None = None) -> float:
    """Mean height of a curve by the trapezoidal rule: of an error against the number of points, smaller is better.

    Parameters
    ----------
    values
        ``(n,)``
    x
        ``(n,)`` where they stand; equally spaced when left out.
    """
    y = np.asarray(values, dtype=np.float64)
    at = np.arange(len(y), dtype=np.float64) if x is None else np.asarray(x, dtype=np.float64)
    if len(y) == 1:
        return float(y[0])
    return float(np.trapezoid(y, at) / (at[-1] - at[0]))


@dataclass(frozen=True)
class Interval:
    """An estimate with a bootstrap interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3g} [{self.low:.3g}, {self.high:.3g}]"


def bootstrap(
    samples: Sequence[ArrayLike],
    statistic: Callable[..., float],
    *,
    seed: int,
    level: float = 0.95,
    resamples: int = 2000,
    paired: bool = False,
) -> Interval:
    """Percentile bootstrap of a statistic of one or more samples (doi:10.1214/aos/1176344552).

    Parameters
    ----------
    samples
        Arrays ``(n_i,)``; `statistic` is called with one resampled array for each.
    paired
        Resample the same rows of every sample: for runs that share their seeds.
    """
    arrays = [np.asarray(s, dtype=np.float64) for s in samples]
    rng = np.random.default_rng(np.random.SeedSequence(seed))
    if paired and len({len(a) for a in arrays}) != 1:
        raise ValueError(f"paired samples must be equally long, got lengths {[len(a) for a in arrays]}")
    draws = np.empty(resamples)
    for i in range(resamples):
        rows = rng.integers(len(arrays[0]), size=len(arrays[0])) if paired else None
        draws[i] = statistic(*(a[rng.integers(len(a), size=len(a)) if rows is None else rows] for a in arrays))
    # Nearest rank, not interpolation: between a finite and an infinite draw there is nothing.
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2], method="nearest")
    return Interval(float(statistic(*arrays)), float(low), float(high))


def acceleration_factor(
    ours: ArrayLike, reference: ArrayLike, *, seed: int, level: float = 0.95, paired: bool = False
) -> Interval:
    """How many times fewer measurements we need: the ratio of the medians (doi:10.1038/s41524-021-00656-9).

    Parameters
    ----------
    ours, reference
        `measurements_to_reach` of each run, infinity for a run that never got there; ``(n,)`` and ``(m,)``.
    seed
        Of the bootstrap.
    """
    return bootstrap([reference, ours], _ratio_of_medians, seed=seed, level=level, paired=paired)


def _ratio_of_medians(reference: Floats, ours: Floats) -> float:
    above, below = float(np.median(reference)), float(np.median(ours))
    if np.isinf(below):
        # Neither got there: nothing is known; only the reference did: we are infinitely slow.
        return 1.0 if np.isinf(above) else 0.0
    return above / below


def _pairs(*columns: ArrayLike) -> tuple[Floats, ...]:
    arrays = tuple(np.asarray(c, dtype=np.float64) for c in columns)
    if len({a.shape for a in arrays}) != 1 or arrays[0].ndim != 1 or not arrays[0].size:
        raise ValueError(f"expected arrays of one shape (n,), n >= 1; got {[a.shape for a in arrays]}")
    return arrays

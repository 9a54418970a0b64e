"""How fast the optimum was found, and how fast a random order would have found it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from loop import metrics
from loop.findings.records import Direction, PointRow, Search
from loop.records import Status

TOP = 0.05
_ORDERS = 1000


def search(
    rows: Sequence[PointRow],
    direction: Direction,
    everywhere: np.ndarray | None,
    *,
    finite: bool,
    seed: int,
) -> Search | None:
    """Follow the best value so far.

    Parameters
    ----------
    rows
        The campaign's points in order; those that were refused count as tried.
    everywhere
        Truth ``(n,)`` at all points that can be measured (or at representative ones), NaN where nothing usable is; None
        where it is not known.
    finite
        Whether `everywhere` is the whole pool, so that a random order never repeats a row.
    seed
        Of the random orders.

    Returns
    -------
    Search or None
        None if nothing was measured.
    """
    sign = 1.0 if direction == "maximise" else -1.0
    tried = [r for r in rows if r.status not in (None, Status.ABANDONED)]
    good = [r for r in tried if r.status is Status.MEASURED and r.measured is not None]
    if not good:
        return None
    noise_free = all(r.truth is not None for r in good)
    values = np.array([_value(r, noise_free) for r in tried])
    best = metrics.best_so_far(values, direction)
    winner = max(good, key=lambda r: sign * (r.measured or 0.0))
    random = threshold = reached = random_reached = optimum = None
    if everywhere is not None:
        known = sign * everywhere[np.isfinite(everywhere)]
        optimum = float(sign * known.max())
        # The worst of the best 5 %, at least one point: a value that a measurement can have exactly.
        threshold = float(sign * np.sort(known)[::-1][max(int(np.ceil(TOP * len(known))), 1) - 1])
        if noise_free:
            hits = np.flatnonzero(sign * values >= sign * threshold)
            reached = int(hits[0]) + 1 if len(hits) else None
        random, random_reached = _random_orders(sign * everywhere, sign * threshold, len(tried), finite, seed)
        random = sign * random
    return Search(
        best=best,
        noise_free=noise_free,
        best_point=winner.point,
        best_measured=float(winner.measured or 0.0),
        best_measured_sd=winner.measured_sd,
        random=random,
        optimum=optimum,
        finite=finite,
        top=TOP,
        threshold=threshold,
        reached_at=reached,
        random_reached=random_reached,
    )


def _value(row: PointRow, noise_free: bool) -> float:
    value = row.truth if noise_free else row.measured
    return np.nan if row.status is not Status.MEASURED or value is None else value


def _random_orders(
    values: np.ndarray, threshold: float, length: int, finite: bool, seed: int
) -> tuple[np.ndarray, tuple[float, float, float]]:
    """Percentiles of the running maximum ``(3, length)``, and of the number of draws that reach `threshold`."""
    rng = np.random.default_rng(np.random.SeedSequence([seed, 0x4F524452]))
    n = len(values)
    draws = max(length, n)
    running = np.empty((_ORDERS, length))
    reached = np.empty(_ORDERS)
    for k in range(_ORDERS):
        order = values[rng.permutation(n)] if finite else values[rng.integers(n, size=draws)]
        best = np.fmax.accumulate(order)
        padded = np.append(best, np.full(max(length - len(best), 0), best[-1]))
        running[k] = padded[:length]
        hits = np.flatnonzero(order >= threshold)
        reached[k] = hits[0] + 1 if len(hits) else draws
    # Before the first usable row a random order has no best value yet: it counts as the worst there is.
    running = np.where(np.isnan(running), np.nanmin(values), running)
    low, middle, high = np.percentile(reached, [10, 50, 90])
    percentiles = np.percentile(running, [10, 50, 90], axis=0)
    return percentiles, (float(low), float(middle), float(high))

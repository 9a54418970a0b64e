"""Weighted statistics of many groups at once: of sites, atoms or bonds by structure, of bonds by site."""

from __future__ import annotations

import numpy as np

from surrogates.descriptors.base import Feature

_Array = np.ndarray


def total(group: _Array, values: _Array, n: int) -> _Array:
    """Sum of the values ``(k,)`` of each group ``(k,)``, ``(n,)``; 0 of an empty one."""
    # Of no values at all, numpy counts in integers.
    return np.bincount(group, values, n).astype(float, copy=False)


def mean(group: _Array, values: _Array, weights: _Array, n: int) -> _Array:
    """Weighted mean of each group, ``(n,)``; 0 where the weights add up to nothing."""
    weight = total(group, weights, n)
    return np.divide(total(group, weights * values, n), weight, out=np.zeros(n), where=weight > 0)


def deviation(group: _Array, values: _Array, weights: _Array, n: int) -> _Array:
    """Weighted standard deviation of each group, ``(n,)``; 0 where the weights add up to nothing."""
    # About the mean, not as a difference of squares: equal values have a deviation of 0 and not of their rounding.
    return np.sqrt(mean(group, (values - mean(group, values, weights, n)[group]) ** 2, weights, n))


def smallest(group: _Array, values: _Array, n: int) -> _Array:
    """Smallest value of each group, ``(n,)``; every group has one at least."""
    found = np.full(n, np.inf)
    np.minimum.at(found, group, values)
    return found


def largest(group: _Array, values: _Array, n: int) -> _Array:
    """Largest value of each group, ``(n,)``; every group has one at least."""
    return -smallest(group, -values, n)


def shares(group: _Array, values: _Array, weights: _Array, knots: _Array, n: int) -> _Array:
    """Sum weights over overlapping bins, triangles about the knots: a value between two knots counts to both.

    What falls beyond the first or last knot counts to that one. Unlike a histogram's, the counts have no jumps: a value
    that moves over a border by rounding moves next to nothing.

    Parameters
    ----------
    group, values, weights
        ``(k,)``.
    knots
        ``(m,)``, ascending.
    n
        Number of groups.

    Returns
    -------
    ndarray
        ``(n, m)``; a row adds up to the weights of its group.
    """
    m = len(knots)
    inside = np.clip(values, knots[0], knots[-1])
    left = np.clip(np.searchsorted(knots, inside, side="right") - 1, 0, m - 2)
    part = (inside - knots[left]) / (knots[left + 1] - knots[left])
    cell = group * m + left
    counts = total(cell, weights * (1 - part), n * m) + total(cell + 1, weights * part, n * m)
    return counts.reshape(n, m)


def bins(quantity: str, knots: _Array, meaning: str, unit: str = "") -> list[Feature]:
    """Return the columns that `shares` makes; `meaning` has ``{}`` where the knot goes."""
    digits = 0 if (knots == knots.round()).all() else 1
    found = []
    for i, knot in enumerate(knots):
        text = f"{knot:.{digits}f}{unit}"
        beyond = " or less" if i == 0 and knot > 0 else " or more" if i == len(knots) - 1 and text != "180°" else ""
        found.append(Feature(f"{quantity} {text}", "1", meaning.format(text + beyond)))
    return found


def relative(counts: _Array) -> _Array:
    """Divide rows ``(n, m)`` by their sums; a row of zeros stays one."""
    sums = counts.sum(1, keepdims=True)
    return np.divide(counts, sums, out=np.zeros_like(counts), where=sums > 0)

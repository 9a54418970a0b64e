"""Labelled curves to train on."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from surrogates.errors import SurrogateError
from surrogates.saxs.curves import GriddedCurves, QGrid, rebin


class Batch(NamedTuple):
    """Labelled curves on one q."""

    q: np.ndarray
    """``(k,)`` 1/Å."""
    intensity: np.ndarray
    """``(n, k)`` 1/cm."""
    sigma: np.ndarray
    """``(n, k)``."""
    label: np.ndarray
    """``(n,)`` integers from 0."""


def collected(batches: Iterable[Batch], grid: QGrid) -> tuple[GriddedCurves, np.ndarray]:
    """Return all curves on one grid, float32, and their labels."""
    parts, labels = [], []
    for number, batch in enumerate(batches):
        part = rebin(batch.q, batch.intensity, batch.sigma, grid, f"batch {number}")
        if len(batch.label) != len(part):
            raise SurrogateError(f"batch {number}: {len(part)} curves and {len(batch.label)} labels")
        parts.append(GriddedCurves(part.intensity.astype(np.float32), part.sigma.astype(np.float32), part.measured))
        labels.append(np.asarray(batch.label, dtype=np.int64))
    if not parts:
        raise SurrogateError("there are no curves to train on")
    return GriddedCurves.joined(parts), np.concatenate(labels)


def check_labels(labels: np.ndarray, classes: int) -> None:
    """Refuse labels that are no classes, and classes without curves."""
    if classes < 2 or labels.min() < 0 or labels.max() >= classes:
        raise SurrogateError(
            f"labels must be from 0 to {classes - 1} for {classes} classes (at least 2), got {labels.min()} to "
            f"{labels.max()}"
        )
    missing = sorted(set(range(classes)) - set(np.unique(labels).tolist()))
    if missing:
        raise SurrogateError(f"there are no curves with label {missing[0]}: every class needs some")


def strangers_last(
    classes: tuple[str, ...], labels: np.ndarray, unlike: str | None
) -> tuple[tuple[str, ...], np.ndarray]:
    """Return the classes without `unlike`, and labels that count them; curves of `unlike` get the number after them.

    Raises
    ------
    SurrogateError
        If there is no such label, or fewer than two others.
    """
    if unlike is None:
        return classes, labels
    if unlike not in classes or len(classes) < 3:
        raise SurrogateError(
            f"unlike must be one of at least three labels, two of them classes; got {unlike!r}, and labels "
            f"{', '.join(classes)}"
        )
    known = tuple(name for name in classes if name != unlike)
    number = np.array([len(known) if name == unlike else known.index(name) for name in classes])
    return known, number[labels]


def halves(
    curves: GriddedCurves, labels: np.ndarray, held: np.ndarray
) -> tuple[tuple[GriddedCurves, np.ndarray], tuple[GriddedCurves, np.ndarray]]:
    """Divide the curves that were held out in two."""
    rows = np.flatnonzero(held)
    first, second = rows[::2], rows[1::2]
    return (curves[first], labels[first]), (curves[second], labels[second])

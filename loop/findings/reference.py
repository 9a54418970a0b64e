"""The points over which a map is shown and judged, and what is believed and known there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
import torch

from loop.findings.beliefs import AgentLike, belief
from loop.findings.records import Axis, Reference, Setting
from loop.protocols import KnowsTruth, SearchSpace
from loop.records import Point

LINE, GRID, SLICE = 200, 60, 100
"""Points along a one-dimensional box, along each side of a two-dimensional one, and along each slice of others."""
_JUDGED = 1000
"""Enough points to judge an error by; more would only cost time."""


def reference_points(
    space: SearchSpace, setting: Setting, centre: Point | None = None
) -> tuple[list[Point], Reference]:
    """Choose the points, and return them with a reference that still lacks its values.

    Parameters
    ----------
    space
        Where the campaign measured.
    setting
        For names and units.
    centre
        Where slices cross (three dimensions and more); None for the middle.
    """
    d = len(space.names)
    shape: tuple[int, ...]
    kind: Literal["line", "grid", "slices", "pool"]
    if space.candidates is not None:
        # All rows, replicates with equal features included, which `decode` could not tell apart.
        points, shape, kind = space.random(len(space.candidates), seed=0), (len(space.candidates),), "pool"
        X = space.encode(points)
    elif d == 1:
        X, shape, kind = torch.linspace(0, 1, LINE, dtype=torch.float64)[:, None], (LINE,), "line"
        points = space.decode(X)
    elif d == 2:
        side = torch.linspace(0, 1, GRID, dtype=torch.float64)
        rows, columns = torch.meshgrid(side, side, indexing="ij")
        X, shape, kind = torch.stack([columns.ravel(), rows.ravel()], dim=1), (GRID, GRID), "grid"
        points = space.decode(X)
    else:
        middle = torch.full((d,), 0.5, dtype=torch.float64) if centre is None else space.encode([centre])[0].double()
        X, shape, kind = middle.repeat(d, SLICE, 1), (d, SLICE), "slices"
        for k in range(d):
            X[k, :, k] = torch.linspace(0, 1, SLICE, dtype=torch.float64)
        X = X.reshape(-1, d)
        points = space.decode(X)
        centre = space.decode(middle[None])[0]
    columns_of = [_column(points, name, X[:, k]).reshape(shape) for k, name in enumerate(space.names)]
    along = {
        "pool": columns_of,
        "line": columns_of,
        "grid": [columns_of[0][0], columns_of[-1][..., 0]],
        "slices": [column[k] for k, column in enumerate(columns_of)],
    }[kind]
    axes = tuple(
        Axis(name, setting.parameter_units.get(name, ""), values, log=kind != "pool" and _geometric(values))
        for name, values in zip(space.names, along, strict=True)
    )
    empty = np.full(shape, np.nan)
    return points, Reference(kind, axes, empty, empty, None, centre if kind == "slices" else None)


def fill(blank: Reference, points: Sequence[Point], agent: AgentLike, truth: np.ndarray | None) -> Reference:
    """Put the agent's belief and the truth ``(n,)`` into what `reference_points` returned."""
    mean, sd = belief(agent, points)
    shape = blank.mean.shape
    outside = ~allowed(agent.space, points)
    mean[outside] = sd[outside] = np.nan
    if truth is not None:
        truth = np.where(outside, np.nan, truth)
    return replace(
        blank,
        mean=mean.reshape(shape),
        sd=sd.reshape(shape),
        truth=None if truth is None else truth.reshape(shape),
    )


def allowed(space: SearchSpace, points: Sequence[Point]) -> np.ndarray:
    """Which points fulfil the space's constraints, ``(n,)`` bool; all of them where it has none."""
    feasible: Callable[[torch.Tensor], torch.Tensor] | None = getattr(space, "feasible", None)
    if feasible is None or space.candidates is not None:
        return np.ones(len(points), dtype=bool)
    return feasible(space.encode(points)).numpy().astype(bool)


def known_truth(experiment: object, points: Sequence[Point], observable: str) -> np.ndarray | None:
    """Truth of the observable at the points ``(n,)``, or None if the experiment does not know any."""
    if not points or not isinstance(experiment, KnowsTruth):
        return None
    values = experiment.truth(points).get(observable)
    return None if values is None or not np.isfinite(values).any() else np.asarray(values, dtype=float)


def judged_points(space: SearchSpace, points: list[Point], reference: Reference, *, seed: int) -> list[Point]:
    """Choose the points over which an error is averaged: those on display, thinned, or spread through the space."""
    if reference.kind == "slices":
        return space.initial(_JUDGED // 2, seed=seed)
    if reference.kind == "grid":
        side = reference.mean.shape[0]
        thinned = [points[r * side + c] for r in range(0, side, 2) for c in range(0, side, 2)]
        return [p for p, inside in zip(thinned, allowed(space, thinned), strict=True) if inside]
    if len(points) <= _JUDGED:
        return points
    chosen = np.random.default_rng(seed).choice(len(points), _JUDGED, replace=False)
    return [points[i] for i in np.sort(chosen)]


def _column(points: Sequence[Point], name: str, encoded: torch.Tensor) -> np.ndarray:
    """Values of one parameter in its own unit; the model's coordinate where points do not name it as a number."""
    values = [point.get(name) for point in points]
    if any(value is None or isinstance(value, str) for value in values):
        return encoded.cpu().numpy().astype(float)
    return np.array(values, dtype=float)


def _geometric(values: np.ndarray) -> bool:
    """Whether the space steps through this parameter by equal factors: then a plot should, too."""
    if values.min() <= 0 or values.max() / values.min() < 5:
        return False
    steps = np.diff(np.log(values))
    return bool(np.allclose(steps, steps.mean(), rtol=1e-3))

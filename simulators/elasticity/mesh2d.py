"""Triangles fine at the defects and coarse far away, with their edges on every curve that matters.

Points on the curves are fixed at spacings that the size function asks for; the others come from a quadtree and are
relaxed as a truss of springs (Persson & Strang 2004, doi:10.1137/S0036144503429121), then all are joined by Delaunay
triangles. Edges on curves are bent onto them (quadratic triangles), so that a circle is round.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial import Delaunay, KDTree
from skfem import MeshTri, MeshTri2

from simulators.errors import SimulatorError

_RELAXATIONS = 30


@dataclass(frozen=True)
class Curve:
    """A curve that edges of the mesh follow.

    Parameters
    ----------
    path
        ``(m, 2)`` points along it, much closer than the elements; the first equals the last if it is closed.
    project
        Moves points ``(k, 2)`` near the curve onto it; None where it is straight.
    """

    path: np.ndarray
    project: Callable[[np.ndarray], np.ndarray] | None = None


@dataclass(frozen=True)
class Sizes:
    """Wanted element size: at each source its own, growing with the distance from it.

    Parameters
    ----------
    points, sizes
        ``(m, 2)`` and ``(m,)``.
    growth
        Increase of the size per distance.
    """

    points: np.ndarray
    sizes: np.ndarray
    growth: float

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Return the size ``(k,)`` wanted at points ``(k, 2)``."""
        result = np.full(len(x), np.inf)
        for begin in range(0, len(x), 4096):
            part = x[begin : begin + 4096]
            distance = np.hypot(*(part.T[:, :, None] - self.points.T[:, None, :]))
            result[begin : begin + 4096] = (self.sizes + self.growth * distance).min(axis=1)
        return result


def graded_mesh(curves: Sequence[Curve], sizes: Sizes, inside: Callable[[np.ndarray], np.ndarray]) -> MeshTri2:
    """Return quadratic triangles that follow the curves.

    Parameters
    ----------
    curves
        All of them, the boundary included; they may meet at their ends only.
    sizes
        Wanted element sizes.
    inside
        Tells points ``(k, 2)`` of the (convex) domain from others.

    Raises
    ------
    SimulatorError
        If an edge on a curve is missing from the triangulation.
    """
    fixed, segments, owners = _points_on(curves, sizes)
    ends = fixed[segments]
    guard, half = KDTree(ends.mean(axis=1)), 0.5 * np.linalg.norm(ends[:, 1] - ends[:, 0], axis=1)

    def clear(x: np.ndarray) -> np.ndarray:
        # In the circle over an edge of a curve a free point would take that edge out of the triangulation.
        distance, index = guard.query(x, k=3)
        return np.asarray(inside(x) & np.all(distance > 1.1 * half[index], axis=1))

    free = _seeds(fixed, sizes)
    free = _relaxed(fixed, free[clear(free)], sizes, clear)
    points = np.concatenate([fixed, free])
    triangles = _triangles(points)
    used = np.unique(triangles)
    if len(used) != len(points):
        raise SimulatorError(f"{len(points) - len(used)} of {len(points)} points are in no triangle of the mesh")
    mesh = MeshTri2.from_mesh(MeshTri(points.T.copy(), triangles.T.copy()))
    return _bent(mesh, curves, segments, owners)


def _points_on(curves: Sequence[Curve], sizes: Sizes) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return points ``(n, 2)``, segments ``(s, 2)`` between them and the curve ``(s,)`` of each segment."""
    all_points: list[np.ndarray] = []
    segments, owners, offset = [], [], 0
    for owner, curve in enumerate(curves):
        step = np.linalg.norm(np.diff(curve.path, axis=0), axis=1)
        wanted = sizes(0.5 * (curve.path[1:] + curve.path[:-1]))
        density = np.concatenate([[0.0], np.cumsum(step / wanted)])
        count = max(round(float(density[-1])), 2)
        at = np.linspace(0, density[-1], count + 1)
        points = np.stack([np.interp(at, density, column) for column in curve.path.T], axis=1)
        if curve.project is not None:
            points[1:-1] = curve.project(points[1:-1])
        all_points.append(points)
        segments.append(offset + np.stack([np.arange(count), np.arange(1, count + 1)], axis=1))
        owners.append(np.full(count, owner))
        offset += count + 1
    points = np.concatenate(all_points)
    # Ends that curves share, and the seam of a closed one, are one point each.
    scale = np.abs(points).max()
    _, first, renumber = np.unique(np.round(points / scale, 10), axis=0, return_index=True, return_inverse=True)
    return points[first], renumber.reshape(-1)[np.concatenate(segments)], np.concatenate(owners)


def _seeds(fixed: np.ndarray, sizes: Sizes) -> np.ndarray:
    """Return the centres of a quadtree's cells, split until they are as small as wanted."""
    half = np.abs(fixed).max()
    cells = np.array([[0.0, 0.0]])
    leaves = []
    while len(cells):
        small = 2 * half <= sizes(cells)
        leaves.append(cells[small])
        corners = half / 2 * np.array([[-1, -1], [-1, 1], [1, -1], [1, 1]])
        cells = (cells[~small][:, None, :] + corners).reshape(-1, 2)
        half /= 2
    centres = np.concatenate(leaves)
    # A lattice without symmetry has no cocircular points, on which Delaunay triangles are undefined.
    return centres + 0.05 * sizes(centres)[:, None] * np.random.default_rng(0).uniform(-1, 1, centres.shape)


def _relaxed(
    fixed: np.ndarray, free: np.ndarray, sizes: Sizes, clear: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """Return free points pushed apart by their triangles' edges, kept off the fixed ones."""
    n = len(fixed)
    for iteration in range(_RELAXATIONS):
        points = np.concatenate([fixed, free])
        if iteration % 3 == 0:
            triangles = _triangles(points)
            bars = np.unique(np.sort(triangles[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1), axis=0)
        size = sizes(points)
        vector = points[bars[:, 0]] - points[bars[:, 1]]
        length = np.linalg.norm(vector, axis=1)
        wanted = 1.2 * size[bars].mean(axis=1)
        push = np.maximum(wanted - length, 0)[:, None] * vector / np.maximum(length, 1e-300)[:, None]
        force = np.zeros_like(points)
        np.add.at(force, bars[:, 0], push)
        np.add.at(force, bars[:, 1], -push)
        move = 0.2 * force[n:]
        limit = 0.3 * size[n:] / np.maximum(np.linalg.norm(move, axis=1), 1e-300)
        free = free + move * np.minimum(limit, 1)[:, None]
        if iteration % 3 == 2:
            free = free[clear(free)]
    return free


def _triangles(points: np.ndarray) -> np.ndarray:
    triangles = Delaunay(points).simplices
    a, b, c = (points[triangles[:, i]] for i in range(3))
    u, v = b - a, c - a
    area = 0.5 * np.abs(u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0])
    longest = np.maximum.reduce([(u**2).sum(1), (v**2).sum(1), ((u - v) ** 2).sum(1)])
    # Points along a straight boundary leave triangles without area.
    return np.asarray(triangles[area > 1e-6 * longest])


def _bent(mesh: MeshTri2, curves: Sequence[Curve], segments: np.ndarray, owners: np.ndarray) -> MeshTri2:
    """Return the mesh with the midpoints of edges on curves moved onto them."""
    facets = np.sort(mesh.facets.T, axis=1)
    width = facets.max() + 1
    keys = facets[:, 0] * width + facets[:, 1]
    order = np.argsort(keys)
    ends = np.sort(segments, axis=1)
    wanted = ends[:, 0] * width + ends[:, 1]
    found = order[np.minimum(np.searchsorted(keys[order], wanted), len(keys) - 1)]
    missing = keys[found] != wanted
    if missing.any():
        at = mesh.doflocs[:, segments[missing][0, 0]]
        raise SimulatorError(f"the mesh misses {missing.sum()} edges of its curves, the first at {at}: refine it")
    locations = mesh.doflocs.copy()
    vertices = locations.shape[1] - facets.shape[0]
    for owner, curve in enumerate(curves):
        if curve.project is not None:
            middle = vertices + found[owners == owner]
            locations[:, middle] = curve.project(locations[:, middle].T).T
    return MeshTri2(locations, mesh.t)

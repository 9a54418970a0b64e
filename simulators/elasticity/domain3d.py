"""Tetrahedra around one inclusion of any star-shaped form: shells of a subdivided icosahedron.

The shells run from the centre to the inclusion's surface, on to a ball that holds what is transformed, and in growing
steps to the rim. Nodes and midpoints of edges on the inclusion's surface lie on it.
"""

from __future__ import annotations

import math

import numpy as np
from skfem import MeshTet, MeshTet2

from simulators.elasticity.defects import Inclusion
from simulators.elasticity.domain2d import Domain

_NEAR = 2.5
_FAR = 10.0


def domain3d(inclusion: Inclusion, resolution: float) -> Domain:
    """Return the mesh around one inclusion, its centre at the origin.

    Parameters
    ----------
    inclusion
        Any semi-axes and exponent.
    resolution
        Elements per semi-axis; the faces of the icosahedron are split to match, at most in 16.
    """
    level = 2 if resolution < 12 else 3
    directions, faces = _icosphere(level)
    surface = surface_radius(inclusion, directions)
    near, far = _NEAR * surface.max(), _NEAR * _FAR * surface.max()
    inner = max(2, round(resolution / 2))
    between = max(3, round(resolution / 2))
    # Shells are as thick as the faces are wide.
    outer = math.ceil(math.log(far / near) / math.log(1 + 2.2 / 2**level))
    shells = [surface * k / inner for k in range(1, inner + 1)]
    shells += [surface ** (1 - s) * near**s for s in np.arange(1, between + 1) / between]
    shells += [np.full(len(surface), near * (far / near) ** (k / outer)) for k in range(1, outer + 1)]
    points = np.concatenate([[[0.0, 0.0, 0.0]], *(radius[:, None] * directions for radius in shells)])
    tetrahedra = _tetrahedra(faces, len(directions), len(shells))
    shell_of = np.concatenate([[0], np.repeat(np.arange(1, len(shells) + 1), len(directions))])
    mesh = _round(MeshTet2.from_mesh(MeshTet(points.T.copy(), tetrahedra.T.copy())), inclusion, shell_of, inner, shells)
    owner = np.where(shell_of[mesh.t].max(axis=0) <= inner, 0, -1)
    return Domain(mesh, owner, (inclusion,), (), near, far, inclusion.centre)


def surface_radius(inclusion: Inclusion, direction: np.ndarray) -> np.ndarray:
    """Return the distance ``(n,)`` from centre to surface along unit vectors ``(n, 3)``."""
    p = inclusion.exponent
    return np.asarray((np.abs(direction / np.array(inclusion.semi_axes)) ** p).sum(axis=1) ** (-1 / p))


def _icosphere(level: int) -> tuple[np.ndarray, np.ndarray]:
    """Return unit vectors and triangles of an icosahedron, each triangle split in four `level` times."""
    golden = (1 + math.sqrt(5)) / 2
    corners = [(s, t * golden) for s in (-1, 1) for t in (-1, 1)]
    points = np.array([p for a, b in corners for p in ((0, a, b), (a, b, 0), (b, 0, a))], dtype=float)
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    distance = np.linalg.norm(points[:, None] - points, axis=-1)
    edge = np.isclose(distance, distance[distance > 1e-9].min())
    faces = np.array(
        [(i, j, k) for i in range(12) for j in range(i) for k in range(j) if edge[i, j] and edge[j, k] and edge[i, k]]
    )
    for _ in range(level):
        edges, index = np.unique(
            np.sort(faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1), axis=0, return_inverse=True
        )
        middle = points[edges].mean(axis=1)
        m = len(points) + index.reshape(-1, 3)
        points = np.concatenate([points, middle / np.linalg.norm(middle, axis=1, keepdims=True)])
        a, b, c = faces.T
        ab, bc, ca = m.T
        faces = np.concatenate([np.stack(f, axis=1) for f in ((a, ab, ca), (b, bc, ab), (c, ca, bc), (ab, bc, ca))])
    return points, faces


def _tetrahedra(faces: np.ndarray, per_shell: int, shells: int) -> np.ndarray:
    """Return tetrahedra: faces to the centre, then prisms between shells, cut alike from both sides of every wall."""
    a, b, c = np.sort(faces, axis=1).T + 1
    parts = [np.stack([np.zeros_like(a), a, b, c], axis=1)]
    for shell in range(shells - 1):
        low, high = shell * per_shell, (shell + 1) * per_shell
        for tetra in ((a + low, b + low, c + low, c + high), (a + low, b + low, b + high, c + high)):
            parts.append(np.stack(tetra, axis=1))
        parts.append(np.stack([a + low, a + high, b + high, c + high], axis=1))
    return np.concatenate(parts)


def _round(
    mesh: MeshTet2, inclusion: Inclusion, shell_of: np.ndarray, inner: int, shells: list[np.ndarray]
) -> MeshTet2:
    """Return the mesh with the midpoints of edges within a round shell, and within the surface, moved onto it."""
    locations = mesh.doflocs.copy()
    first, second = mesh.edges
    middle = locations.shape[1] - mesh.edges.shape[1] + np.arange(mesh.edges.shape[1])
    same = (shell_of[first] == shell_of[second]) & (shell_of[first] > 0)
    for shell in range(1, len(shells) + 1):
        here = middle[same & (shell_of[first] == shell)]
        direction = (locations[:, here] / np.linalg.norm(locations[:, here], axis=0)).T
        if shell <= inner:
            radius = surface_radius(inclusion, direction) * shell / inner
        elif np.ptp(shells[shell - 1]) < 1e-9 * shells[shell - 1].max():
            radius = np.full(len(here), shells[shell - 1][0])
        else:
            continue
        locations[:, here] = (radius[:, None] * direction).T
    return MeshTet2(locations, mesh.t)

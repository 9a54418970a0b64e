"""The mesh of a plane or axial problem: which curves it follows, how fine it is where, which element is what."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from skfem import Mesh, MeshTri2

from simulators.elasticity.defects import Defect, EdgeDislocation, Inclusion, PrismaticLoop
from simulators.elasticity.mesh2d import Curve, Sizes, graded_mesh
from simulators.errors import ParameterError

_GROWTH = 1.8
"""Increase of the element size per distance from the defects, times the resolution."""
_NEAR = 3.0
_FAR = 40.0


@dataclass(frozen=True)
class Cut:
    """A jump of the displacement across a straight line along the first axis, that ends at a dislocation line.

    Parameters
    ----------
    level
        Second coordinate of the line, Å.
    low, high
        First coordinates between which the jump stands, Å.
    jump
        Displacement ``(2,)`` of the side above relative to that below, Å.
    """

    level: float
    low: float
    high: float
    jump: tuple[float, float]


@dataclass(frozen=True)
class Domain:
    """A mesh with what its elements are.

    Parameters
    ----------
    mesh
        Quadratic triangles or tetrahedra, Å from `origin`.
    owner
        ``(n_elements,)`` index of the inclusion that an element lies in, -1 for the matrix.
    inclusions
        In the order of `owner`.
    cuts
        Jumps of the displacement.
    near
        Å; outside this circle or ball there is matrix alone.
    far
        Å; radius of the whole mesh.
    origin
        Where the user's coordinates have the middle of the mesh.
    """

    mesh: Mesh
    owner: np.ndarray
    inclusions: tuple[Inclusion, ...]
    cuts: tuple[Cut, ...]
    near: float
    far: float
    origin: tuple[float, ...]

    def centroids(self) -> np.ndarray:
        """Return the centres ``(dim, n_elements)`` of the elements."""
        return np.asarray(self.mesh.p[:, self.mesh.t].mean(axis=1))


def domain2d(defects: Sequence[Defect], *, axial: bool, resolution: float) -> Domain:
    """Return the mesh of a plane (x, y) or axial (r, z) problem.

    Parameters
    ----------
    defects
        Of that geometry.
    axial
        Half a disc around the axis r = 0, else a whole one.
    resolution
        Elements per semi-axis; what is around is finer in proportion.

    Raises
    ------
    ParameterError
        If defects touch.
    """
    boxes = np.array([_box(defect, axial) for defect in defects])
    low, high = boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)
    origin = 0.5 * (low + high)
    if axial:
        origin[0] = 0.0
    extent = 0.5 * math.hypot(*(high - low)) if not axial else math.hypot(high[0], 0.5 * (high[1] - low[1]))
    if extent == 0:
        # One dislocation alone has no extent but that of the q-range: from its core to 25 cores.
        extent = 25 * min(_core(d) for d in defects if not isinstance(d, Inclusion))
    near = _NEAR * extent
    far = _FAR * near

    inclusions = tuple(d for d in defects if isinstance(d, Inclusion))
    outlines = [_outline(inclusion, origin, axial) for inclusion in inclusions]
    cuts: list[Cut] = []
    sources, wanted = [], []
    for inclusion, curve in zip(inclusions, outlines, strict=True):
        size = _outline_sizes(inclusion, curve.path, origin, axial, resolution)
        # Two points per element say as much about its size as hundreds.
        elements = np.cumsum(np.linalg.norm(np.diff(curve.path, axis=0), axis=1) / size[1:])
        some = np.unique(np.searchsorted(elements, np.arange(0, elements[-1], 0.5)))
        sources.append(curve.path[some])
        wanted.append(size[some])
    for defect in defects:
        if not isinstance(defect, Inclusion):
            cut = _cut(defect, origin, far)
            cuts.append(cut)
            sources.append(np.array([[cut.high, cut.level]]))
            wanted.append(np.array([_core(defect)]))
    _check_apart(inclusions, outlines, cuts, origin, axial)
    sizes = Sizes(np.concatenate(sources), np.concatenate(wanted), _GROWTH / resolution)

    curves = [*outlines, *_lines(cuts, near), *_circle(near, cuts, axial), *_circle(far, cuts, axial)]
    if axial:
        curves += _axis(outlines, cuts, near, far)
    mesh = graded_mesh(curves, sizes, lambda x: (np.hypot(*x.T) < far) & ((x[:, 0] > 0) | (not axial)))
    return Domain(mesh, _owners(mesh, inclusions, origin, axial), inclusions, tuple(cuts), near, far, tuple(origin))


def _plane_part(inclusion: Inclusion, origin: np.ndarray, axial: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return centre and semi-axes ``(2,)`` in the plane of the mesh."""
    pick = [0, 2] if axial else [0, 1]
    return np.array(inclusion.centre)[pick] - origin, np.array(inclusion.semi_axes)[pick]


def _box(defect: Defect, axial: bool) -> tuple[float, ...]:
    if isinstance(defect, Inclusion):
        centre, axes = _plane_part(defect, np.zeros(2), axial)
        return (*(centre - axes), *(centre + axes))
    if isinstance(defect, EdgeDislocation):
        return (*defect.centre, *defect.centre)
    return (0.0, defect.height, defect.radius, defect.height)


def _core(defect: EdgeDislocation | PrismaticLoop) -> float:
    return abs(defect.burgers) if defect.core is None else defect.core


def _circle(radius: float, cuts: Sequence[Cut], axial: bool) -> list[Curve]:
    """Return a circle around the middle, or its half, in pieces between the cuts that cross it."""
    if axial:
        stops = [-0.5 * math.pi, 0.5 * math.pi]
    else:
        crossings = {math.pi - math.asin(cut.level / radius) for cut in cuts} or {math.pi}
        stops = [min(crossings) - math.pi, *sorted(crossings), min(crossings) + math.pi]
    arcs = []
    for begin, end in pairwise(stops):
        angle = np.linspace(begin, end, 2001)
        path = radius * np.stack([np.cos(angle), np.sin(angle)], axis=1)
        if axial:
            path[[0, -1], 0] = 0.0
        arcs.append(Curve(path, lambda x: radius * x / np.linalg.norm(x, axis=1, keepdims=True)))
    return arcs


def _lines(cuts: Sequence[Cut], near: float) -> list[Curve]:
    """Return the cuts in pieces between dislocation lines and the circle that they cross."""
    pieces = []
    for level in sorted({cut.level for cut in cuts}):
        same = [cut for cut in cuts if cut.level == level]
        stops = {cut.low for cut in same} | {cut.high for cut in same}
        crossing = -math.sqrt(near**2 - level**2)
        ordered = sorted(stops | ({crossing} if min(stops) < crossing else set()))
        for low, high in pairwise(ordered):
            pieces.append(Curve(np.stack([np.linspace(low, high, 4001), np.full(4001, level)], axis=1)))
    return pieces


def _outline(inclusion: Inclusion, origin: np.ndarray, axial: bool) -> Curve:
    centre, axes = _plane_part(inclusion, origin, axial)
    angle = np.linspace(-np.pi / 2, np.pi / 2, 401) if axial else np.linspace(0, 2 * np.pi, 801)
    path = centre + axes * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    if axial:
        path[[0, -1], 0] = 0.0
    else:
        path[-1] = path[0]

    def project(x: np.ndarray) -> np.ndarray:
        scaled = (x - centre) / axes
        return centre + axes * scaled / np.linalg.norm(scaled, axis=1, keepdims=True)

    return Curve(path, project)


def _outline_sizes(
    inclusion: Inclusion, path: np.ndarray, origin: np.ndarray, axial: bool, resolution: float
) -> np.ndarray:
    """Return the element sizes along an outline: fine enough for its curvature and across its thickness."""
    centre, axes = _plane_part(inclusion, origin, axial)
    cosine, sine = ((path - centre) / axes).T
    radius = ((axes[0] * sine) ** 2 + (axes[1] * cosine) ** 2) ** 1.5 / axes.prod()
    return np.minimum(max(axes) / resolution, np.minimum(0.5 * radius, 4 * min(axes) / resolution))


def _cut(defect: EdgeDislocation | PrismaticLoop, origin: np.ndarray, far: float) -> Cut:
    if isinstance(defect, PrismaticLoop):
        # The jump falls from b to 0 along the quadratic edge at the line: on average a sixth of the edge is missing.
        return Cut(defect.height - float(origin[1]), 0.0, defect.radius + _core(defect) / 6, (0.0, defect.burgers))
    x, y = np.array(defect.centre) - origin
    return Cut(float(y), -math.sqrt(far**2 - y**2), float(x), (defect.burgers, 0.0))


def _axis(outlines: Sequence[Curve], cuts: Sequence[Cut], near: float, far: float) -> list[Curve]:
    """Return the axis r = 0 in pieces between all that touches it."""
    stops = {-far, -near, near, far, *(cut.level for cut in cuts)}
    stops |= {float(curve.path[end, 1]) for curve in outlines for end in (0, -1)}
    ordered = sorted(stops)
    return [Curve(np.stack([np.zeros(1001), np.linspace(low, high, 1001)], axis=1)) for low, high in pairwise(ordered)]


def _owners(mesh: MeshTri2, inclusions: Sequence[Inclusion], origin: np.ndarray, axial: bool) -> np.ndarray:
    middle = mesh.p[:, mesh.t].mean(axis=1).T
    owner = np.full(len(middle), -1)
    for index, inclusion in enumerate(inclusions):
        centre, axes = _plane_part(inclusion, origin, axial)
        owner[(((middle - centre) / axes) ** 2).sum(axis=1) < 1] = index
    return owner


def _check_apart(
    inclusions: Sequence[Inclusion], outlines: Sequence[Curve], cuts: Sequence[Cut], origin: np.ndarray, axial: bool
) -> None:
    """Raise ParameterError where two defects touch: the mesh has no element between them."""
    for index, inclusion in enumerate(inclusions):
        centre, axes = _plane_part(inclusion, origin, axial)
        others = [curve.path for other, curve in enumerate(outlines) if other != index]
        others += [np.stack([np.linspace(cut.low, cut.high, 4001), np.full(4001, cut.level)], axis=1) for cut in cuts]
        for path in others:
            if ((((path - centre) / axes) ** 2).sum(axis=1) <= 1).any():
                raise ParameterError(
                    f"the inclusion at {inclusion.centre} with semi-axes {inclusion.semi_axes} Å touches another "
                    "defect (or the slip plane of a dislocation, which runs from it along -x)"
                )

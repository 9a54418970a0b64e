"""From defects to their fields: mesh, equilibrium, dilatation, far field."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from simulators.elasticity.assembly import Points, evaluate, solve_displacement
from simulators.elasticity.defects import Defect, Geometry, Inclusion
from simulators.elasticity.domain2d import Domain, domain2d
from simulators.elasticity.domain3d import domain3d
from simulators.elasticity.farfield import FarField, fit_far_field
from simulators.elasticity.materials import Cubic, Isotropic, Matrix
from simulators.errors import ParameterError

_ORDER = {"plane": 8, "axial": 8, "solid": 5}
"""Order of the quadrature that samples the field for its transform."""


@dataclass(frozen=True)
class Field:
    """The elastic field of defects, with what scatters.

    Parameters
    ----------
    geometry
        "plane" (x, y; lines along z), "axial" (r, z) or "solid" (x, y, z).
    matrix
        What the defects lie in.
    inclusions
        In the order that `near.owner` counts.
    near
        The fields at the quadrature points within `far.radius`.
    far
        The dilatation outside it.
    q_max
        1/Å up to which the elements resolve the transform.
    nodes
        Size of the mesh.
    """

    geometry: Geometry
    matrix: Matrix
    inclusions: tuple[Inclusion, ...]
    near: Points
    far: FarField
    q_max: float
    nodes: int

    def dilatation(self) -> np.ndarray:
        """Return tr ε at the near points ``(n,)``, without the image of the mesh's rim."""
        return np.asarray(self.near.strain[:, :3].sum(axis=1) - self.far.image_at(self.near.position))

    def mean_strain(self, inclusion: int) -> np.ndarray:
        """Return the volume average of the total strain ``(6,)`` in an inclusion.

        Raises
        ------
        ParameterError
            If there is no such inclusion.
        """
        if not 0 <= inclusion < len(self.inclusions):
            raise ParameterError(f"inclusion must be 0 to {len(self.inclusions) - 1}, got {inclusion}")
        here = self.near.owner == inclusion
        return np.asarray(np.average(self.near.strain[here], axis=0, weights=self.near.volume[here]))


def solve(
    matrix: Matrix, defects: Sequence[Defect], *, geometry: Geometry | None = None, resolution: float | None = None
) -> Field:
    """Return the field of defects in an infinite matrix, by finite elements and multipoles.

    Parameters
    ----------
    matrix
        Moduli and scattering-length density of the matrix.
    defects
        One or more; they must not touch. A solid has one inclusion, at any place.
    geometry
        None for the smallest that holds all defects; "solid" forces three dimensions.
    resolution
        Elements per semi-axis of an inclusion (4 to 40; None for 12, solids 8); the elements around, also those around
        a dislocation line, are finer in proportion. The strain's error falls with its square, the scattering's
        faster. Solids know two meshes on the surface, the finer (a minute) from 12 on.

    Raises
    ------
    ParameterError
        If the defects do not go together, or not with the geometry or the matrix.
    """
    chosen = _geometry(defects, geometry, isinstance(matrix.moduli, Cubic))
    if resolution is None:
        resolution = 8.0 if chosen == "solid" else 12.0
    if not 4 <= resolution <= 40:
        raise ParameterError(f"resolution must lie in [4, 40] elements per semi-axis, got {resolution!r}")
    moduli = [matrix.moduli, *(d.moduli for d in defects if isinstance(d, Inclusion) and d.moduli)]
    if chosen != "solid" and not all(isinstance(m, Isotropic) for m in moduli):
        raise ParameterError(f'cubic moduli need geometry="solid", got geometry "{chosen}"')
    if chosen == "solid":
        domain = domain3d(defects[0], resolution)  # type: ignore[arg-type]  # checked by _geometry
    else:
        domain = domain2d(defects, axial=chosen == "axial", resolution=resolution)
    return _field(matrix, domain, chosen)


def _field(matrix: Matrix, domain: Domain, geometry: Geometry) -> Field:
    displacement, jump = solve_displacement(domain, geometry, matrix.moduli.stiffness())
    distance = np.linalg.norm(domain.centroids(), axis=0)
    order = _ORDER[geometry]
    near = evaluate(domain, geometry, displacement, jump, np.flatnonzero(distance < domain.near), order)
    shell = np.flatnonzero((distance > domain.near) & (distance < 2 * domain.near))
    outside = evaluate(domain, geometry, displacement, jump, shell, 5)  # in all geometries a rule of positive weights
    far = fit_far_field(
        geometry,
        domain.near,
        isinstance(matrix.moduli, Isotropic),
        outside.position,
        outside.volume,
        outside.strain[:, :3].sum(axis=1),
    )
    return Field(geometry, matrix, domain.inclusions, near, far, _q_max(domain), len(displacement))


def _q_max(domain: Domain) -> float:
    """Return the q at which elements no longer resolve a period.

    Inclusions change steeply at their surface: half a period per element. Around them, where the field is smooth, the
    quadrature carries nearly two periods.
    """
    mesh = domain.mesh
    corners = mesh.p[:, mesh.t]
    longest = np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=0).max(axis=0)
    near = np.linalg.norm(domain.centroids(), axis=0) < domain.near
    inside = longest[domain.owner >= 0].max(initial=0.0)
    return float(min(np.pi / inside if inside else np.inf, 12.0 / longest[near].max()))


def _geometry(defects: Sequence[Defect], asked: Geometry | None, cubic: bool) -> Geometry:
    if not defects:
        raise ParameterError("defects must hold at least one defect, got none")
    kinds = {defect.geometry for defect in defects}
    if asked not in (None, "plane", "axial", "solid"):
        raise ParameterError(f'geometry must be None, "plane", "axial" or "solid", got {asked!r}')
    if "plane" in kinds:
        if kinds != {"plane"} or asked not in (None, "plane"):
            raise ParameterError('lines along z go with lines only, in geometry "plane"')
        return "plane"
    if asked == "plane":
        raise ParameterError('geometry "plane" is for lines along z: give the third semi-axis as math.inf')
    if asked == "axial" and "solid" in kinds:
        raise ParameterError('geometry "axial" needs bodies of revolution around z, and eigenstrains to match')
    solid = asked == "solid" or "solid" in kinds or (cubic and asked is None)
    chosen: Geometry = "solid" if solid else "axial"
    if chosen == "solid" and (len(defects) > 1 or not isinstance(defects[0], Inclusion)):
        raise ParameterError(
            'geometry "solid" takes one inclusion; several defects need a common axis (geometry "axial")'
        )
    return chosen

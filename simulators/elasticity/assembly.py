"""Equilibrium on a mesh of quadratic elements: stiffness matrix, eigenstrain loads, solution, strains at points.

Six strains (order of `materials`) are kept in every geometry, so one code serves all three. With an axis of
rotation, the volume is that of the ring that a point stands for, and the strain around the axis is u_r/r.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_matrix, csc_matrix, diags
from scipy.sparse.linalg import cg, splu
from skfem import Basis, ElementTetP2, ElementTriP2

from simulators.elasticity.defects import Geometry
from simulators.elasticity.domain2d import Cut, Domain
from simulators.errors import SimulatorError

_HOLE = 1e-7
"""Stiffness of a hole relative to the matrix: its displacement continues that of its wall and bears no load."""
_BLOCK = 2000


@dataclass(frozen=True)
class Points:
    """Quadrature points of some elements, and what the fields are there.

    Parameters
    ----------
    position, displacement
        ``(n, dim)`` Å.
    volume
        ``(n,)`` Å³ (plane: Å²) that each point stands for.
    strain
        ``(n, 6)`` total strain, less the jump across cuts.
    owner
        ``(n,)`` index of the inclusion, -1 for the matrix.
    """

    position: np.ndarray
    displacement: np.ndarray
    volume: np.ndarray
    strain: np.ndarray
    owner: np.ndarray


def stiffness_of(domain: Domain, matrix: np.ndarray) -> np.ndarray:
    """Return the stiffness ``(n_elements, 6, 6)`` of each element, from that of the matrix ``(6, 6)``."""
    kinds = [matrix]
    for inclusion in domain.inclusions:
        own = matrix if inclusion.moduli is None else inclusion.moduli.stiffness()
        kinds.append(_HOLE * matrix if inclusion.empty else own)
    return np.stack(kinds)[domain.owner + 1]


def solve_displacement(domain: Domain, geometry: Geometry, matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the displacement of the nodes and the jump of each element's nodes across cuts.

    Returns
    -------
    displacement, jump
        ``(n_nodes, dim)`` and ``(n_elements, nodes per element, dim)``, Å; in an element both add.

    Raises
    ------
    SimulatorError
        If the iteration does not converge.
    """
    basis = _basis(domain, geometry, 4 if geometry == "solid" else 5)
    elements = basis.element_dofs.T
    dim = domain.mesh.p.shape[0]
    jump = np.zeros((*elements.shape, dim))
    for cut in domain.cuts:
        _add_jump(jump, cut, domain, basis)
    stiffness = stiffness_of(domain, matrix)
    eigenstrain = np.stack([np.zeros(6), *(inclusion.strain() for inclusion in domain.inclusions)])[domain.owner + 1]
    dofs = (dim * elements[:, :, None] + np.arange(dim)).reshape(len(elements), -1)
    n = dim * basis.doflocs.shape[1]
    load = np.zeros(n)
    parts = []
    for begin in range(0, len(elements), _BLOCK):
        some = slice(begin, begin + _BLOCK)
        operator, volume = _strain_operator(basis, geometry, some)
        weighted = np.einsum("eqai,eab,eq->eqbi", operator, stiffness[some], volume, optimize=True)
        parts.append(np.einsum("eqbi,eqbj->eij", weighted, operator, optimize=True))
        force = np.einsum("eqbi,eb->ei", weighted, eigenstrain[some])
        force -= np.einsum("eij,ej->ei", parts[-1], jump[some].reshape(len(force), -1))
        np.add.at(load, dofs[some], force)
    values = np.concatenate(parts)
    rows = np.broadcast_to(dofs[:, :, None], values.shape)
    columns = np.broadcast_to(dofs[:, None, :], values.shape)
    system = coo_matrix((values.ravel(), (rows.ravel(), columns.ravel())), shape=(n, n)).tocsc()
    free = np.setdiff1d(np.arange(n), _held(domain, geometry, basis.doflocs))
    displacement = np.zeros(n)
    displacement[free] = _solved(system[free][:, free], load[free], iterate=geometry == "solid")
    return displacement.reshape(-1, dim), jump


def evaluate(
    domain: Domain, geometry: Geometry, displacement: np.ndarray, jump: np.ndarray, elements: np.ndarray, order: int
) -> Points:
    """Return the fields at the quadrature points, of that order, of the elements ``(m,)`` given by index."""
    basis = _basis(domain, geometry, order, elements)
    local = displacement[basis.element_dofs.T] + jump[elements]
    positions, strains, volumes, moved = [], [], [], []
    for begin in range(0, len(elements), _BLOCK):
        some = slice(begin, begin + _BLOCK)
        operator, volume = _strain_operator(basis, geometry, some)
        strains.append(np.einsum("eqai,ei->eqa", operator, local[some].reshape(volume.shape[0], -1)))
        volumes.append(volume)
        shape = np.stack([np.broadcast_to(np.asarray(f[0]), basis.dx.shape)[some] for f in basis.basis])
        moved.append(np.einsum("ieq,eid->eqd", shape, local[some]))
        positions.append(np.asarray(basis.global_coordinates())[:, some].transpose(1, 2, 0))
    dim = displacement.shape[1]
    per_element = volumes[0].shape[1]
    return Points(
        np.concatenate(positions).reshape(-1, dim),
        np.concatenate(moved).reshape(-1, dim),
        np.concatenate(volumes).reshape(-1),
        np.concatenate(strains).reshape(-1, 6),
        np.repeat(domain.owner[elements], per_element),
    )


def _basis(domain: Domain, geometry: Geometry, order: int, elements: np.ndarray | None = None) -> Basis:
    element = ElementTetP2() if geometry == "solid" else ElementTriP2()
    return Basis(domain.mesh, element, intorder=order, elements=elements)


def _strain_operator(basis: Basis, geometry: Geometry, some: slice) -> tuple[np.ndarray, np.ndarray]:
    """Return what turns nodal displacements into strains, ``(e, q, 6, nodes · dim)``, and volumes ``(e, q)``."""
    gradient = np.stack([np.asarray(f[0].grad)[:, some] for f in basis.basis])
    nodes, dim, n_e, n_q = gradient.shape
    operator = np.zeros((n_e, n_q, 6, nodes, dim))
    d = gradient.transpose(1, 2, 3, 0)
    # Which strain takes which derivative of which component; in the axial case (r, z) are the first and third axis.
    axes = {"plane": (0, 1), "axial": (0, 2), "solid": (0, 1, 2)}[geometry]
    shear = {(1, 2): 3, (0, 2): 4, (0, 1): 5}
    for i, axis in enumerate(axes):
        operator[:, :, axis, :, i] = d[i]
        for j, other in enumerate(axes):
            if j > i:
                operator[:, :, shear[axis, other], :, i] = d[j]
                operator[:, :, shear[axis, other], :, j] = d[i]
    # Not the absolute value: a rule for tetrahedra may have a negative weight.
    volume = np.asarray(basis.dx)[some]
    if geometry == "axial":
        radius = np.asarray(basis.global_coordinates())[0, some]
        value = np.stack([np.broadcast_to(np.asarray(f[0]), basis.dx.shape)[some] for f in basis.basis], axis=-1)
        operator[:, :, 1, :, 0] = value / radius[:, :, None]
        volume = 2 * np.pi * radius * volume
    return operator.reshape(n_e, n_q, 6, -1), volume


def _add_jump(jump: np.ndarray, cut: Cut, domain: Domain, basis: Basis) -> None:
    """Add the displacement that elements above the cut have at its nodes over those below: the line itself has none."""
    x, y = basis.doflocs
    tiny = 1e-9 * domain.far
    on_cut = (np.abs(y - cut.level) < tiny) & (x > cut.low - tiny) & (x < cut.high - tiny)
    above = domain.centroids()[1] > cut.level
    jump += (on_cut[basis.element_dofs.T] & above[:, None])[:, :, None] * np.array(cut.jump)


def _held(domain: Domain, geometry: Geometry, x: np.ndarray) -> np.ndarray:
    """Return the degrees of freedom that stay 0."""
    dim = len(x)
    rim = np.flatnonzero(np.linalg.norm(x, axis=0) > (1 - 1e-9) * domain.far)
    if geometry == "plane" and domain.cuts:
        # A slip plane runs out of the rim, so the rim is free and only rigid motion is taken out.
        right, top = rim[np.argmax(x[0, rim])], rim[np.argmax(x[1, rim])]
        return np.array([2 * right, 2 * right + 1, 2 * top])
    held = (dim * rim[:, None] + np.arange(dim)).ravel()
    if geometry == "axial":
        held = np.concatenate([held, 2 * np.flatnonzero(x[0] < 1e-9 * domain.near)])
    return held


def _solved(system: csc_matrix, load: np.ndarray, *, iterate: bool) -> np.ndarray:
    if not iterate:
        symmetric = {"SymmetricMode": True}
        factors = splu(system, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options=symmetric)
        return np.asarray(factors.solve(load))
    # In three dimensions a factorisation fills up; scaled conjugate gradients do not.
    system = system.tocsr()
    solution, failed = cg(system, load, rtol=1e-7, maxiter=5000, M=diags(1 / system.diagonal()))
    if failed:
        raise SimulatorError("conjugate gradients did not converge in 5000 steps: a body too flat for its mesh?")
    return np.asarray(solution)

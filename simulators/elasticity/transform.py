r"""From a field to dΣ/dΩ: Fourier transform, and average over directions.

.. math::
    A(\mathbf q) = (\rho_i'-\rho_0)\int_\Omega e^{i\mathbf q\cdot(\mathbf r+\mathbf u)}\,d^3r
    - \rho_0\int \Delta(\mathbf r)\,e^{i\mathbf q\cdot\mathbf r}\,d^3r,\qquad
    \rho_i' = \rho_i(1+\mathrm{tr}\,\varepsilon^*)

The first integral runs over the inclusions: ρ_i' is what they hold per volume of the hole that they fill, and its
particles sit where the displacement u has taken them. The second runs over everything, matrix and inclusions; for
dislocations Δ leaves out the jump itself, which is matter put in (or taken out) at the matrix's density. Both are
to first order in the strain, which asks for q·u < 1. Then :math:`d\Sigma/d\Omega = n\langle|A|^2\rangle` for n
bodies per volume and, for lines of length ρ_d per volume, :math:`\rho_d\,\frac{\pi}{q}\langle|A|^2\rangle` with A per
length and the average around the line. Defects in random places and directions; no interference between them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import j0

from simulators.elasticity.field import Field
from simulators.errors import ParameterError

# Its own, for the kernels' module loads torch.
_PER_CM = 1e8
_BLOCK = 2_000_000


def amplitude(field: Field, q: ArrayLike) -> np.ndarray:
    """Return the scattering amplitude of one defect (plane: per length of it).

    Parameters
    ----------
    field
        As `solve` gives it.
    q
        ``(k, dim)`` scattering vectors in 1/Å: (x, y) for plane, (across, along the axis) for axial, (x, y, z) for
        solid.

    Returns
    -------
    ndarray
        ``(k,)`` complex, in Å (plane: dimensionless).

    Raises
    ------
    ParameterError
        If q has another shape, is 0 or not finite, or is larger than the mesh resolves.
    """
    vectors = np.asarray(q, dtype=float)
    near = field.near
    dim = near.position.shape[1]
    if vectors.ndim != 2 or vectors.shape[1] != dim:
        raise ParameterError(f'q must be vectors (k, {dim}) for geometry "{field.geometry}", got {vectors.shape}')
    size = np.linalg.norm(vectors, axis=1)
    good = (size > 0) & (size <= field.q_max * (1 + 1e-9))
    if not good.all():
        bad = size[~good][0]
        raise ParameterError(
            f"|q| must lie above 0 and up to {field.q_max:.3g} 1/Å, which this mesh resolves, got {bad:.3g}; "
            "a finer `resolution` (or a smaller core) goes further"
        )
    rho0 = field.matrix.sld
    own = np.array([i.sld * (1 + i.strain()[:3].sum()) - rho0 for i in field.inclusions] + [0.0])[near.owner]
    dilatation = -rho0 * field.dilatation() * near.volume
    inner = own != 0
    total = -rho0 * field.far.amplitude(vectors)
    step = max(1, _BLOCK // len(near.position))
    for begin in range(0, len(vectors), step):
        some = slice(begin, begin + step)
        total[some] += _kernel(field, vectors[some], near.position) @ dilatation
        if inner.any():
            moved = near.position[inner] + near.displacement[inner]
            total[some] += _kernel(field, vectors[some], moved) @ (own * near.volume)[inner]
    return total


def scattering(field: Field, q: ArrayLike, *, density: float, directions: int = 32) -> np.ndarray:
    """Return the scattering of many such defects, in random places and directions.

    Parameters
    ----------
    field
        As `solve` gives it.
    q
        ``(k,)`` 1/Å.
    density
        Defects per volume in 1/m³; lines: length per volume in 1/m². 0 to 1e30.
    directions
        Points of the average: on a quarter or half turn (plane, axial); solid: the square of it on half a sphere.

    Returns
    -------
    ndarray
        ``(k,)`` dΣ/dΩ in 1/cm.

    Raises
    ------
    ParameterError
        If an argument is out of its range, or q beyond what the mesh resolves.
    """
    sizes = np.asarray(q, dtype=float)
    if sizes.ndim != 1 or sizes.size == 0:
        raise ParameterError(f"q must be a non-empty array (k,) in 1/Å, got shape {sizes.shape}")
    if not 0 <= density <= 1e30:
        raise ParameterError(f"density must lie in [0, 1e30] 1/m³ (lines: 1/m²), got {density!r}")
    if directions < 2:
        raise ParameterError(f"directions must be at least 2, got {directions!r}")
    unit, weights = _directions(field, directions)
    vectors = (sizes[:, None, None] * unit).reshape(-1, unit.shape[1])
    square = np.abs(amplitude(field, vectors).reshape(len(sizes), -1)) ** 2 @ weights
    if field.geometry == "plane":
        return np.asarray(density * 1e-20 * np.pi / sizes * square * _PER_CM)
    return np.asarray(density * 1e-30 * square * _PER_CM)


def _directions(field: Field, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return unit vectors ``(d, dim)`` and weights ``(d,)`` that average over directions; q and -q scatter alike."""
    if field.geometry == "plane":
        angle = np.pi * np.arange(count) / count
        return np.stack([np.cos(angle), np.sin(angle)], axis=1), np.full(count, 1 / count)
    nodes, weights = np.polynomial.legendre.leggauss(count)
    cosine, weights = 0.5 * (nodes + 1), 0.5 * weights
    sine = np.sqrt(1 - cosine**2)
    if field.geometry == "axial":
        return np.stack([sine, cosine], axis=1), weights
    # Half a step off the axes, on which few directions of a cubic crystal are like the others.
    azimuth = 2 * np.pi * (np.arange(count) + 0.25) / count
    unit = np.stack(
        [np.outer(sine, np.cos(azimuth)), np.outer(sine, np.sin(azimuth)), np.outer(cosine, np.ones(count))], axis=-1
    )
    return unit.reshape(-1, 3), np.repeat(weights / count, count)


def _kernel(field: Field, q: np.ndarray, position: np.ndarray) -> np.ndarray:
    """Return exp(iq·r), ``(k, n)``; axial: its average around the axis."""
    if field.geometry == "axial":
        return np.asarray(
            j0(np.outer(np.abs(q[:, 0]), np.abs(position[:, 0]))) * np.exp(1j * np.outer(q[:, 1], position[:, 1]))
        )
    return np.asarray(np.exp(1j * (q @ position.T)))

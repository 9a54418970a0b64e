r"""Closed forms that the finite elements are held against.

* Eshelby's tensor of a sphere and a spheroid in an isotropic matrix: the strain inside is uniform, ε = S:ε* (Eshelby
  1957, doi:10.1098/rspa.1957.0133; for the spheroid Mura 1987, Micromechanics of Defects in Solids, section 11).
* With other moduli inside, the equivalent eigenstrain: C_i(Sε** - ε*) = C(S - 1)ε** (same sources).
* The transform of the dilatation of any eigenstrain in a homogeneous matrix, of any anisotropy,
  :math:`\tilde\Delta = \hat q\cdot(\hat q\,C\,\hat q)^{-1}\cdot(C\varepsilon^*\hat q)\;\tilde\theta(\mathbf q)`, with
  the form θ of the inclusion (Khachaturyan 1983, Theory of Structural Transformations in Solids; Mura, section 3):
  equilibrium in Fourier space, solved for the displacement.
"""

from __future__ import annotations

import math

import numpy as np

from simulators.elasticity.defects import Inclusion
from simulators.elasticity.materials import Isotropic, Moduli, christoffel, traction
from simulators.errors import ParameterError


def eshelby_tensor(poisson_ratio: float, aspect: float) -> np.ndarray:
    """Return Eshelby's tensor ``(6, 6)`` of a spheroid around z, acting on engineering strains.

    Parameters
    ----------
    poisson_ratio
        Of the matrix.
    aspect
        Semi-axis along z over that across: 1 for a sphere, below for a disc, above for a needle.

    Raises
    ------
    ParameterError
        If the aspect ratio is not above 0 and finite.
    """
    if not (math.isfinite(aspect) and aspect > 0):
        raise ParameterError(f"aspect must be finite and above 0, got {aspect!r}")
    nu, a = poisson_ratio, aspect
    tensor = np.zeros((6, 6))
    if abs(a - 1) < 1e-4:
        same, cross = (7 - 5 * nu) / (15 * (1 - nu)), (5 * nu - 1) / (15 * (1 - nu))
        tensor[:3, :3] = cross
        tensor[range(3), range(3)] = same
        tensor[range(3, 6), range(3, 6)] = 2 * (4 - 5 * nu) / (15 * (1 - nu))
        return tensor
    if a > 1:
        g = a / (a**2 - 1) ** 1.5 * (a * math.sqrt(a**2 - 1) - math.acosh(a))
    else:
        g = a / (1 - a**2) ** 1.5 * (math.acos(a) - a * math.sqrt(1 - a**2))
    e, f, d = a**2 - 1, 1 - 2 * nu, 1 - nu
    zz = (f + (3 * a**2 - 1) / e - (f + 3 * a**2 / e) * g) / (2 * d)
    xx = 3 * a**2 / (8 * d * e) + (f - 9 / (4 * e)) * g / (4 * d)
    xy = (a**2 / (2 * e) - (f + 3 / (4 * e)) * g) / (4 * d)
    xz = -(a**2) / (2 * d * e) + (3 * a**2 / e - f) * g / (4 * d)
    zx = -(f + 1 / e) / (2 * d) + (f + 3 / (2 * e)) * g / (2 * d)
    shear_xy = (a**2 / (2 * e) + (f - 3 / (4 * e)) * g) / (4 * d)
    shear_xz = (f - (a**2 + 1) / e - 0.5 * (f - 3 * (a**2 + 1) / e) * g) / (4 * d)
    tensor[:3, :3] = [[xx, xy, xz], [xy, xx, xz], [zx, zx, zz]]
    tensor[range(3, 6), range(3, 6)] = 2 * np.array([shear_xz, shear_xz, shear_xy])
    return tensor


def strain_inside(matrix: Isotropic, inclusion: Inclusion) -> np.ndarray:
    """Return the uniform strain ``(6,)`` inside a spheroid around z, of the matrix's or of other moduli.

    Raises
    ------
    ParameterError
        If the inclusion is no spheroid around z.
    """
    a, b, c = inclusion.semi_axes
    if a != b or inclusion.exponent != 2 or math.isinf(c):
        raise ParameterError(f"the closed form is for a spheroid around z, got semi-axes {inclusion.semi_axes}")
    tensor = eshelby_tensor(matrix.poisson_ratio, c / a)
    stiffness = matrix.stiffness()
    own = np.zeros((6, 6)) if inclusion.empty else (inclusion.moduli or matrix).stiffness()
    eye = np.eye(6)
    equivalent = np.linalg.solve((own - stiffness) @ tensor + stiffness, own @ inclusion.strain())
    return np.asarray(tensor @ equivalent if not np.allclose(own, stiffness) else tensor @ (eye @ inclusion.strain()))


def dilatation_transform(moduli: Moduli, eigenstrain: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """Return the transform of the dilatation over that of the inclusion's form, ``(m,)``.

    Parameters
    ----------
    moduli
        Of matrix and inclusion alike.
    eigenstrain
        ``(6,)``, shears as engineering strains.
    direction
        ``(m, 3)`` unit vectors of q.
    """
    stiffness = moduli.stiffness()
    force = traction(stiffness, eigenstrain, direction)
    moved = np.linalg.solve(christoffel(stiffness, direction), force[:, :, None])[:, :, 0]
    return np.asarray((direction * moved).sum(axis=1))

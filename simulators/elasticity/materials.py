"""Elastic moduli, as the 6 x 6 stiffness that everything here works with.

Order of the six components: xx, yy, zz, yz, xz, xy, shears as engineering strains γ = 2ε. With an axis of rotation
(geometry "axial") x is the radius, y the azimuth and z the axis. Only ratios of moduli matter to strains, so any unit
of pressure would do; GPa is what tables have.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from simulators.errors import ParameterError


@dataclass(frozen=True)
class Isotropic:
    """Isotropic moduli.

    Parameters
    ----------
    young
        Young's modulus, GPa; above 0.
    poisson_ratio
        Above -1 and below 0.5.

    Raises
    ------
    ParameterError
        If a modulus is out of its range.
    """

    young: float
    poisson_ratio: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.young) and self.young > 0):
            raise ParameterError(f"young must be finite and above 0 GPa, got {self.young!r}")
        if not -1 < self.poisson_ratio < 0.5:
            raise ParameterError(f"poisson_ratio must lie between -1 and 0.5 (excluded), got {self.poisson_ratio!r}")

    @property
    def shear(self) -> float:
        """Shear modulus μ, GPa."""
        return self.young / (2 * (1 + self.poisson_ratio))

    @property
    def lame(self) -> float:
        """Lamé's λ, GPa."""
        return 2 * self.shear * self.poisson_ratio / (1 - 2 * self.poisson_ratio)

    def stiffness(self) -> np.ndarray:
        """Return the stiffness ``(6, 6)`` in GPa."""
        return _cubic_stiffness(self.lame + 2 * self.shear, self.lame, self.shear)


@dataclass(frozen=True)
class Cubic:
    """Moduli of a cubic crystal whose axes are x, y and z.

    Parameters
    ----------
    c11, c12, c44
        Stiffnesses in GPa; c44 > 0, c11 > c12 and c11 + 2 c12 > 0, else the crystal is not stable.

    Raises
    ------
    ParameterError
        If the crystal is not stable.
    """

    c11: float
    c12: float
    c44: float

    def __post_init__(self) -> None:
        if not (self.c44 > 0 and self.c11 > self.c12 and self.c11 + 2 * self.c12 > 0 and math.isfinite(self.c11)):
            raise ParameterError(
                "a cubic crystal needs c44 > 0, c11 > c12 and c11 + 2 c12 > 0 (GPa), got "
                f"c11 = {self.c11!r}, c12 = {self.c12!r}, c44 = {self.c44!r}"
            )

    @property
    def anisotropy(self) -> float:
        """Zener's ratio 2 c44 / (c11 - c12): 1 is isotropic."""
        return 2 * self.c44 / (self.c11 - self.c12)

    def stiffness(self) -> np.ndarray:
        """Return the stiffness ``(6, 6)`` in GPa."""
        return _cubic_stiffness(self.c11, self.c12, self.c44)


Moduli = Isotropic | Cubic


@dataclass(frozen=True)
class Matrix:
    """What the defects lie in.

    Parameters
    ----------
    moduli
        `Isotropic`, or `Cubic` (geometry "solid" only).
    sld
        Scattering-length density ρ0 in 1/Å²; -1e-3 to 1e-3.

    Raises
    ------
    ParameterError
        If the scattering-length density is out of its range.
    """

    moduli: Moduli
    sld: float

    def __post_init__(self) -> None:
        if not -1e-3 <= self.sld <= 1e-3:
            raise ParameterError(f"sld must lie in [-0.001, 0.001] 1/Å², got {self.sld!r}")


def christoffel(stiffness: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """Return n·C·n, ``(m, 3, 3)``, for unit directions ``(m, 3)``."""
    contraction = _normal_matrix(direction)
    return np.asarray(np.einsum("mai,ab,mbj->mij", contraction, stiffness, contraction))


def traction(stiffness: np.ndarray, strain: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """Return the traction C:ε·n, ``(m, 3)``, of one strain ``(6,)`` (engineering shears) on planes ``(m, 3)``."""
    return np.asarray(np.einsum("mai,a->mi", _normal_matrix(direction), stiffness @ strain))


def _normal_matrix(n: np.ndarray) -> np.ndarray:
    """Return ``(m, 6, 3)`` that turns a displacement u exp(in·r) into the six strains, less the factor i."""
    matrix = np.zeros((n.shape[0], 6, 3))
    for row, (i, j) in enumerate(((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))):
        matrix[:, row, i] = n[:, j]
        matrix[:, row, j] = n[:, i]
    return matrix


def _cubic_stiffness(c11: float, c12: float, c44: float) -> np.ndarray:
    stiffness = np.zeros((6, 6))
    stiffness[:3, :3] = c12
    stiffness[range(3), range(3)] = c11
    stiffness[range(3, 6), range(3, 6)] = c44
    return stiffness

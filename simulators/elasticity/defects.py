"""Defects, and the eigenstrains that they are to the matrix.

All lengths in Å. Which geometry a defect belongs to follows from what it is: lines (an inclusion whose third semi-axis
is infinite, an edge dislocation) lie along z in plane strain; bodies of revolution and prismatic loops have z as
their axis; anything else is a solid.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from simulators.elasticity.materials import Moduli
from simulators.errors import ParameterError

Geometry = Literal["plane", "axial", "solid"]


@dataclass(frozen=True)
class Inclusion:
    r"""A precipitate, a cylinder, a platelet, or (by `void`) a hole.

    Parameters
    ----------
    semi_axes
        (x, y, z) in Å; the third ``math.inf`` for a cylinder along z.
    sld
        Scattering-length density in 1/Å² of the inclusion's material as it is in bulk, free of stress.
    eigenstrain
        What the material would like to be, measured from the hole that it fills: one number for an equal misfit in all
        directions, or (xx, yy, zz), or (xx, yy, zz, yz, xz, xy) with tensor shears (half the engineering ones).
    moduli
        None for the matrix's own.
    centre
        (x, y, z) in Å.
    exponent
        p of :math:`|x/a|^p + |y/b|^p + |z/c|^p = 1`: 2 for an ellipsoid, higher (to 8) towards a cuboid. Solids only.
    empty
        True for a hole: no stiffness, nothing that scatters.

    Raises
    ------
    ParameterError
        If a size, a strain or the exponent is out of its range.
    """

    semi_axes: tuple[float, float, float]
    sld: float = 0.0
    eigenstrain: float | tuple[float, ...] = 0.0
    moduli: Moduli | None = None
    centre: tuple[float, float, float] = (0.0, 0.0, 0.0)
    exponent: float = 2.0
    empty: bool = False

    def __post_init__(self) -> None:
        a, b, c = self.semi_axes
        if not (0 < a < math.inf and 0 < b < math.inf and c > 0):
            raise ParameterError(
                f"semi_axes must be above 0 Å, and finite but for the third of a cylinder, got {self.semi_axes}"
            )
        if not -1e-3 <= self.sld <= 1e-3:
            raise ParameterError(f"sld must lie in [-0.001, 0.001] 1/Å², got {self.sld!r}")
        if not 2 <= self.exponent <= 8:
            raise ParameterError(f"exponent must lie in [2, 8], got {self.exponent!r}")
        if self.exponent != 2 and math.isinf(c):
            raise ParameterError(f"exponent must be 2 for a cylinder, got {self.exponent!r}")
        if not all(map(math.isfinite, self.centre)):
            raise ParameterError(f"centre must be finite, got {self.centre}")
        strain = self.strain()
        if not np.abs(strain).max() <= 0.2:
            raise ParameterError(f"eigenstrain must lie in [-0.2, 0.2] (linear elasticity), got {self.eigenstrain!r}")
        if self.empty and (self.sld or self.moduli or strain.any()):
            raise ParameterError("a hole has neither sld nor moduli nor eigenstrain")

    def strain(self) -> np.ndarray:
        """Return the eigenstrain ``(6,)``, shears as engineering strains.

        Raises
        ------
        ParameterError
            If the eigenstrain has neither one, three nor six components.
        """
        values = np.atleast_1d(np.asarray(self.eigenstrain, dtype=float))
        if values.shape == (1,):
            return np.array([values[0]] * 3 + [0.0] * 3)
        if values.shape == (3,):
            return np.concatenate([values, np.zeros(3)])
        if values.shape == (6,):
            return np.concatenate([values[:3], 2 * values[3:]])
        raise ParameterError(f"eigenstrain must have 1, 3 or 6 components, got {values.size}")

    @property
    def geometry(self) -> Geometry:
        """The smallest geometry that holds this inclusion."""
        if math.isinf(self.semi_axes[2]):
            return "plane"
        strain = self.strain()
        round_ = self.semi_axes[0] == self.semi_axes[1] and self.exponent == 2 and self.centre[:2] == (0.0, 0.0)
        return "axial" if round_ and strain[0] == strain[1] and not strain[3:].any() else "solid"


def void(semi_axes: tuple[float, float, float], centre: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> Inclusion:
    """Return a hole: semi-axes and centre (x, y, z) in Å."""
    return Inclusion(semi_axes, empty=True, centre=centre)


@dataclass(frozen=True)
class EdgeDislocation:
    """A straight edge dislocation along z with its Burgers vector along x; plane strain.

    The eigenstrain is a slip by b on the half-plane y = y0, x < x0, taken up as a jump of the displacement across it.

    Parameters
    ----------
    burgers
        Length of the Burgers vector in Å, not 0; its sign turns the field over.
    core
        Size in Å over which the jump sets in (size of the elements at the line); None for the length of b.
    centre
        (x, y) in Å.

    Raises
    ------
    ParameterError
        If a length is 0 or not finite.
    """

    burgers: float
    core: float | None = None
    centre: tuple[float, float] = (0.0, 0.0)

    def __post_init__(self) -> None:
        _check_core(self.burgers, self.core, self.centre)

    @property
    def geometry(self) -> Geometry:
        """Plane strain."""
        return "plane"


@dataclass(frozen=True)
class PrismaticLoop:
    """A circular dislocation loop around z with its Burgers vector along z; axial.

    The eigenstrain is that of a disc of thickness b put in (interstitial loop) or taken out (vacancy loop).

    Parameters
    ----------
    radius
        Å; above 0.
    burgers
        Å; above 0 for an interstitial loop, below for a vacancy loop.
    core
        Size in Å of the elements at the line; None for the length of b.
    height
        z of the loop's plane in Å.

    Raises
    ------
    ParameterError
        If a length is out of its range.
    """

    radius: float
    burgers: float
    core: float | None = None
    height: float = 0.0

    def __post_init__(self) -> None:
        _check_core(self.burgers, self.core, (self.radius, self.height))
        if self.radius <= 0:
            raise ParameterError(f"radius must be above 0 Å, got {self.radius!r}")

    @property
    def geometry(self) -> Geometry:
        """Axial."""
        return "axial"


Defect = Inclusion | EdgeDislocation | PrismaticLoop


def _check_core(burgers: float, core: float | None, lengths: tuple[float, ...]) -> None:
    if not (math.isfinite(burgers) and burgers != 0):
        raise ParameterError(f"burgers must be finite and not 0 Å, got {burgers!r}")
    if core is not None and not (math.isfinite(core) and core > 0):
        raise ParameterError(f"core must be finite and above 0 Å, got {core!r}")
    if not all(map(math.isfinite, lengths)):
        raise ParameterError(f"positions and sizes must be finite, got {lengths}")

"""A crystal as plain arrays: what is read of a pymatgen structure, and the rules for what is unusual in one.

* A disordered site is the mean over what may be there: each of its species is an atom with its occupancy as weight, at
  the same place. Species at different sites are independent of each other; those of one site exclude each other.
* A site that is not fully occupied counts with the sum of its occupancies, as a centre and as a neighbour. Only what is
  smallest or largest in a crystal is over all sites, however rarely they are occupied.
* Oxidation states, spins, magnetic moments and the charge of the cell do not matter: iron is iron.
* Deuterium and tritium are hydrogen with a mass of their own, which only the density sees.
* Dummy species, atoms at the same place, cells without volume and anything but three periodic directions are errors.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np

from surrogates.errors import SurrogateError

_PERIODIC = (True, True, True)


@dataclass(frozen=True, eq=False)
class Cell:
    """A crystal of `s` sites with `a` atoms; more atoms than sites where sites are disordered."""

    lattice: np.ndarray
    """``(3, 3)`` basis vectors as rows, Å."""
    fractional: np.ndarray
    """``(s, 3)`` coordinates."""
    site: np.ndarray
    """``(a,)`` site of each atom, ascending."""
    number: np.ndarray
    """``(a,)`` atomic numbers."""
    occupancy: np.ndarray
    """``(a,)`` above 0, 1 where a site is ordered."""
    mass: np.ndarray
    """``(a,)`` u."""

    @property
    def sites(self) -> int:
        """Number of sites."""
        return len(self.fractional)

    @property
    def ordered(self) -> bool:
        """Whether every site holds one atom with certainty."""
        return len(self.site) == self.sites and bool((self.occupancy == 1).all())


@functools.cache
def _element(species: Any) -> tuple[int, float]:
    """Return atomic number and mass in u of a pymatgen Element or Species.

    Raises
    ------
    SurrogateError
        If it is a dummy.
    """
    from pymatgen.core import Element

    element = getattr(species, "element", species)
    if not isinstance(element, Element):
        raise SurrogateError(f"{species} is no element; replace it by one, or remove its site")
    return int(element.Z), float(element.atomic_mass)


def read_cell(structure: Any) -> Cell:
    """Read a pymatgen structure.

    Raises
    ------
    SurrogateError
        If it is none, or one of the errors that the module's description lists.
    """
    lattice = getattr(structure, "lattice", None)
    if lattice is None or not hasattr(structure, "frac_coords"):
        raise SurrogateError(f"expected a pymatgen Structure, got {type(structure).__name__}")
    if len(structure) == 0:
        raise SurrogateError("the structure has no sites")
    if tuple(lattice.pbc) != _PERIODIC:
        raise SurrogateError(f"expected a structure periodic in three directions, got pbc={tuple(lattice.pbc)}")
    matrix = np.array(lattice.matrix, dtype=float)
    fractional = np.array(structure.frac_coords, dtype=float).reshape(-1, 3)
    if not (np.isfinite(matrix).all() and np.isfinite(fractional).all()):
        raise SurrogateError("lattice or coordinates are not finite")
    if not abs(np.linalg.det(matrix)) > 1e-3:
        raise SurrogateError(f"the cell has a volume of {abs(np.linalg.det(matrix)):.2g} Å³")
    atoms: list[tuple[int, int, float, float]] = []
    for i, site in enumerate(structure):
        # Species that are one element, as Fe2+ and Fe3+, or H and D, are one atom.
        merged: dict[int, tuple[float, float]] = {}
        for species, amount in site.species.items():
            number, mass = _element(species)
            before, weight = merged.get(number, (0.0, 0.0))
            merged[number] = (before + amount, weight + amount * mass)
        found = [(i, number, amount, weight / amount) for number, (amount, weight) in merged.items() if amount > 0]
        if not found:
            raise SurrogateError(f"site {i} is empty; remove it")
        atoms += sorted(found)
    site_of, number_of, occupancy, mass_of = zip(*atoms, strict=True)
    return Cell(
        matrix, fractional, np.array(site_of), np.array(number_of), np.array(occupancy, float), np.array(mass_of, float)
    )

"""Many crystals as one set of flat arrays, so that each column is computed for all of them at once."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from surrogates.descriptors.structural import grouped
from surrogates.descriptors.structural.bonds import bond_weights
from surrogates.descriptors.structural.cells import Cell
from surrogates.descriptors.structural.neighbours import Pairs
from surrogates.descriptors.structural.properties import ElementArrays


@dataclass(frozen=True, eq=False)
class AtomBonds:
    """Bonds between atoms: those between sites, once for each pair of species that may be there."""

    first: np.ndarray
    """``(q,)`` atom."""
    second: np.ndarray
    """``(q,)`` atom."""
    distance: np.ndarray
    """``(q,)`` Å."""
    weight: np.ndarray
    """``(q,)`` weight of the bond times both occupancies."""


@dataclass(frozen=True, eq=False)
class Batch:
    """`n` crystals with `s` sites and `a` atoms in all; see `cells` for what is an atom."""

    n: int
    table: ElementArrays
    lattice: np.ndarray
    """``(n, 3, 3)`` basis vectors as rows, Å."""
    structure: np.ndarray
    """``(s,)`` structure of each site, ascending."""
    occupancy: np.ndarray
    """``(s,)``."""
    atom_site: np.ndarray
    """``(a,)`` site of each atom, ascending."""
    atom_number: np.ndarray
    """``(a,)`` atomic numbers."""
    atom_occupancy: np.ndarray
    """``(a,)``."""
    atom_mass: np.ndarray
    """``(a,)`` u."""
    first: np.ndarray
    """``(k,)`` first site of each pair."""
    second: np.ndarray
    """``(k,)`` second site of each pair."""
    image: np.ndarray
    """``(k, 3)`` cell of the second site relative to the first one's."""
    distance: np.ndarray
    """``(k,)`` Å."""
    fractional: np.ndarray
    """``(s, 3)``."""

    @property
    def sites(self) -> int:
        """Number of sites of all structures."""
        return len(self.structure)

    @functools.cached_property
    def volume(self) -> np.ndarray:
        """``(n,)`` Å³."""
        return np.abs(np.linalg.det(self.lattice))

    @functools.cached_property
    def atoms(self) -> np.ndarray:
        """``(n,)`` atoms in the cell, partial ones as fractions."""
        return grouped.total(self.structure, self.occupancy, self.n)

    @functools.cached_property
    def atom_structure(self) -> np.ndarray:
        """``(a,)`` structure of each atom."""
        return self.structure[self.atom_site]

    @functools.cached_property
    def ordered(self) -> bool:
        """Whether each site of all structures holds one atom with certainty."""
        return len(self.atom_site) == self.sites and bool((self.atom_occupancy == 1).all())

    def of_atoms(self, name: str) -> np.ndarray:
        """Return a property of the element of each atom, ``(a,)``."""
        return self.table[name][self.atom_number]

    def of_sites(self, name: str) -> np.ndarray:
        """Return a property of the elements of each site, mean over its occupancies, ``(s,)``."""
        if self.ordered:
            return self.of_atoms(name)
        return grouped.mean(self.atom_site, self.of_atoms(name), self.atom_occupancy, self.sites)

    @functools.cached_property
    def nearest(self) -> np.ndarray:
        """``(s,)`` distance of the nearest neighbour, Å."""
        return grouped.smallest(self.first, self.distance, self.sites)

    @functools.cached_property
    def _bonds(self) -> tuple[np.ndarray, np.ndarray]:
        weights = bond_weights(self.first, self.distance, self.occupancy[self.second], self.sites)
        kept = np.flatnonzero(weights)
        # By first site, as what is computed of angles expects.
        kept = kept[np.argsort(self.first[kept], kind="stable")]
        return kept, weights[kept]

    @property
    def bonds(self) -> np.ndarray:
        """``(b,)`` those of the pairs that are bonds, ascending by their first site."""
        return self._bonds[0]

    @functools.cached_property
    def bond_weight(self) -> np.ndarray:
        """``(b,)`` weight of each bond times the occupancy of its second site."""
        return self._bonds[1] * self.occupancy[self.second[self.bonds]]

    @functools.cached_property
    def coordination(self) -> np.ndarray:
        """``(s,)`` effective coordination number."""
        return grouped.total(self.first[self.bonds], self.bond_weight, self.sites)

    @functools.cached_property
    def directions(self) -> np.ndarray:
        """``(b, 3)`` unit vectors along the bonds."""
        first, second = self.first[self.bonds], self.second[self.bonds]
        step = self.fractional[second] + self.image[self.bonds] - self.fractional[first]
        vectors = np.einsum("bi,bij->bj", step, self.lattice[self.structure[first]])
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    @functools.cached_property
    def bond_structure(self) -> np.ndarray:
        """``(q,)`` structure of each bond of `atom_bonds`."""
        return self.atom_structure[self.atom_bonds.first]

    @functools.cached_property
    def bond_ends(self) -> tuple[np.ndarray, np.ndarray]:
        """``(q,)`` less, and ``(q,)`` more, electronegative atom of each bond of `atom_bonds`; any order if equal."""
        first, second = self.atom_bonds.first, self.atom_bonds.second
        negativity = self.of_atoms("electronegativity")
        upward = negativity[first] <= negativity[second]
        return np.where(upward, first, second), np.where(upward, second, first)

    @functools.cached_property
    def atom_bonds(self) -> AtomBonds:
        """Bonds between atoms."""
        first, second = self.first[self.bonds], self.second[self.bonds]
        distance, weight = self.distance[self.bonds], self._bonds[1]
        if self.ordered:
            return AtomBonds(first, second, distance, weight)
        count = np.bincount(self.atom_site, minlength=self.sites)
        start = np.concatenate([[0], np.cumsum(count)[:-1]])
        copies = count[first] * count[second]
        bond = np.repeat(np.arange(len(first)), copies)
        which = np.arange(len(bond)) - np.repeat(np.cumsum(copies) - copies, copies)
        one = start[first[bond]] + which // count[second[bond]]
        other = start[second[bond]] + which % count[second[bond]]
        occupancy = self.atom_occupancy[one] * self.atom_occupancy[other]
        return AtomBonds(one, other, distance[bond], weight[bond] * occupancy)


def join(cells: Sequence[Cell], pairs: Sequence[Pairs], table: ElementArrays) -> Batch:
    """Join crystals and their pairs of sites; at least one."""
    sites = np.array([cell.sites for cell in cells])
    shift = np.cumsum(sites) - sites
    atom_site = np.concatenate([cell.site + s for cell, s in zip(cells, shift, strict=True)])
    occupancy = np.concatenate([cell.occupancy for cell in cells])
    return Batch(
        n=len(cells),
        table=table,
        lattice=np.stack([cell.lattice for cell in cells]),
        structure=np.repeat(np.arange(len(cells)), sites),
        occupancy=np.bincount(atom_site, occupancy, int(sites.sum())),
        atom_site=atom_site,
        atom_number=np.concatenate([cell.number for cell in cells]),
        atom_occupancy=occupancy,
        atom_mass=np.concatenate([cell.mass for cell in cells]),
        first=np.concatenate([found.first + s for found, s in zip(pairs, shift, strict=True)]),
        second=np.concatenate([found.second + s for found, s in zip(pairs, shift, strict=True)]),
        image=np.concatenate([found.image for found in pairs]),
        distance=np.concatenate([found.distance for found in pairs]),
        fractional=np.concatenate([cell.fractional for cell in cells]),
    )

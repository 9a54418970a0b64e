"""Pairs of sites of one crystal, out to where all that is computed of them has faded.

The search is pymatgen's (`find_points_in_spheres`, linked cells in C).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from surrogates.descriptors.structural.cells import Cell
from surrogates.errors import SurrogateError

RADIUS = 8.0
"""Å. Pairs up to here are known for every site."""
REACH = 1.75
"""Times the distance of its nearest neighbour: pairs of a site up to here are known in any case; its bonds end before
(see `bonds.bond_weights`)."""
_CLOSEST = 0.5
"""Å. Nothing is nearer than this (H2: 0.74 Å); the limit of `Structure.is_valid`."""
_DENSE = 0.5
"""1/Å³. No crystal comes near this (diamond: 0.18)."""
_LONGEST = 1000.0
"""Å."""
_ALTERNATIVES = (1.0, 0.65)
"""Å, and times the sum of the covalent radii."""


@dataclass(frozen=True, eq=False)
class Pairs:
    """Ordered pairs of sites: each pair is there twice, once for each of its sites as the first."""

    first: np.ndarray
    """``(k,)`` site."""
    second: np.ndarray
    """``(k,)`` site."""
    image: np.ndarray
    """``(k, 3)`` cell that the second one is in, relative to the first one's."""
    distance: np.ndarray
    """``(k,)`` Å."""


def find_pairs(cell: Cell, covalent_radius: np.ndarray) -> Pairs:
    """Find all pairs of sites nearer than `RADIUS`, and for sites that are more alone those within their `REACH`.

    Two sites whose occupancies add up to at most one and that are nearer than 1 Å, or than 0.65 of the sum of their
    covalent radii, are two places for one atom (split sites): no pair.

    Parameters
    ----------
    cell
        Of ``s`` sites.
    covalent_radius
        ``(119,)`` by atomic number, Å; that of a disordered site is the mean of its species.

    Raises
    ------
    SurrogateError
        If two atoms are nearer than 0.5 Å, or the cell is longer than 1000 Å.
    """
    if (longest := np.linalg.norm(cell.lattice, axis=1).max()) > _LONGEST:
        # The search would take memory and time with the third power of it.
        raise SurrogateError(f"a lattice vector is {longest:.0f} Å long; expected at most {_LONGEST:.0f} Å")
    centres = np.arange(cell.sites)
    if cell.sites / abs(np.linalg.det(cell.lattice)) > _DENSE:
        # Look at the nearest first: all pairs of a cell that is far too dense could fill the memory.
        _refuse_overlap(_search(cell, covalent_radius, centres, _CLOSEST))
    pairs = _search(cell, covalent_radius, centres, RADIUS)
    _refuse_overlap(pairs)
    nearest = np.full(cell.sites, np.inf)
    np.minimum.at(nearest, pairs.first, pairs.distance)
    lonely = np.flatnonzero(nearest * REACH > RADIUS)
    if len(lonely) == 0:
        return pairs
    # Nothing is farther from its nearest neighbour than from its own image.
    radius = REACH * np.minimum(nearest[lonely], np.linalg.norm(cell.lattice, axis=1).min()).max()
    more = _search(cell, covalent_radius, lonely, float(radius))
    far = more.distance > RADIUS
    return Pairs(
        np.concatenate([pairs.first, more.first[far]]),
        np.concatenate([pairs.second, more.second[far]]),
        np.concatenate([pairs.image, more.image[far]]),
        np.concatenate([pairs.distance, more.distance[far]]),
    )


def _refuse_overlap(pairs: Pairs) -> None:
    if len(pairs.distance) and pairs.distance.min() < _CLOSEST:
        k = int(np.argmin(pairs.distance))
        raise SurrogateError(
            f"sites {pairs.first[k]} and {pairs.second[k]} are {pairs.distance[k]:.2g} Å apart; "
            f"expected at least {_CLOSEST} Å"
        )


def _search(cell: Cell, covalent_radius: np.ndarray, centres: np.ndarray, radius: float) -> Pairs:
    """Find all pairs within a radius of some sites, but those of alternatives."""
    pairs = _within(cell, centres, radius)
    return pairs if cell.ordered else _without_alternatives(cell, covalent_radius, pairs)


def _within(cell: Cell, centres: np.ndarray, radius: float) -> Pairs:
    from pymatgen.optimization.neighbors import find_points_in_spheres

    points = np.ascontiguousarray(cell.fractional @ cell.lattice)
    first, second, image, distance = find_points_in_spheres(
        points,
        np.ascontiguousarray(points[centres]),
        r=radius,
        pbc=np.ones(3, dtype=np.int64),
        lattice=np.ascontiguousarray(cell.lattice),
        tol=1e-8,
    )
    first = centres[first]
    kept = (first != second) | (distance > 1e-8)
    return Pairs(first[kept], second[kept], image[kept], distance[kept])


def _without_alternatives(cell: Cell, covalent_radius: np.ndarray, pairs: Pairs) -> Pairs:
    occupancy = np.bincount(cell.site, cell.occupancy, cell.sites)
    covalent = np.bincount(cell.site, cell.occupancy * covalent_radius[cell.number], cell.sites) / occupancy
    near = np.maximum(_ALTERNATIVES[0], _ALTERNATIVES[1] * (covalent[pairs.first] + covalent[pairs.second]))
    one = occupancy[pairs.first] + occupancy[pairs.second] <= 1 + 1e-3
    kept = ~(one & (pairs.distance < near))
    return Pairs(pairs.first[kept], pairs.second[kept], pairs.image[kept], pairs.distance[kept])

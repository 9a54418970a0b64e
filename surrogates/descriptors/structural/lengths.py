"""Bond lengths."""

from __future__ import annotations

import numpy as np

from surrogates.descriptors.base import Feature
from surrogates.descriptors.structural import grouped
from surrogates.descriptors.structural.batch import Batch

KNOTS = np.array([0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3])

_RATIO = "Length of a bond over the sum of the covalent radii"
_SPREAD = "Standard deviation over mean of"
COLUMNS = (
    Feature("bond_length mean", "Å", "Length of a bond, mean over bonds"),
    Feature("bond_length deviation", "Å", "Length of a bond, standard deviation over bonds"),
    Feature("nearest_distance deviation", "Å", "Distance of the nearest neighbour, standard deviation over sites"),
    Feature("nearest_distance min", "Å", "Smallest distance of any two atoms"),
    Feature("nearest_distance max", "Å", "Distance of the nearest neighbour of the atom that is most alone"),
    Feature("bond_length_spread mean", "1", f"{_SPREAD} the bond lengths of a site, mean over sites"),
    Feature("bond_length_spread max", "1", f"{_SPREAD} the bond lengths of a site, largest"),
    Feature("bond_length_spread between_sites", "1", f"{_SPREAD} the sites' mean bond lengths"),
    Feature("bond_length_ratio mean", "1", f"{_RATIO}, mean over bonds"),
    Feature("bond_length_ratio deviation", "1", f"{_RATIO}, standard deviation over bonds"),
    *grouped.bins("bond_length_ratio", KNOTS, "Share of bonds about {} times as long as the sum of the covalent radii"),
)


def compute(batch: Batch) -> np.ndarray:
    """Compute the columns `COLUMNS`, ``(n, p)``."""
    group, weight, n = batch.structure, batch.occupancy, batch.n
    site, length = batch.first[batch.bonds], batch.distance[batch.bonds]
    bond_weight = batch.bond_weight * weight[site]
    of_site = grouped.mean(site, length, bond_weight, batch.sites)
    spread = grouped.deviation(site, length, bond_weight, batch.sites) / of_site
    bonds, radius = batch.atom_bonds, batch.of_atoms("covalent_radius")
    relative = bonds.distance / (radius[bonds.first] + radius[bonds.second])
    bond_group = batch.atom_structure[bonds.first]
    columns = [
        grouped.mean(group[site], length, bond_weight, n),
        grouped.deviation(group[site], length, bond_weight, n),
        grouped.deviation(group, batch.nearest, weight, n),
        grouped.smallest(group, batch.nearest, n),
        grouped.largest(group, batch.nearest, n),
        grouped.mean(group, spread, weight, n),
        grouped.largest(group, spread, n),
        grouped.deviation(group, of_site, weight, n) / grouped.mean(group, of_site, weight, n),
        grouped.mean(bond_group, relative, bonds.weight, n),
        grouped.deviation(bond_group, relative, bonds.weight, n),
    ]
    counts = grouped.shares(bond_group, relative, bonds.weight, KNOTS, n)
    return np.column_stack([*columns, grouped.relative(counts)])

"""How an atom differs from its neighbours.

The local property differences of Ward et al., Phys. Rev. B 96, 024104 (2017), doi:10.1103/PhysRevB.96.024104, with our
bonds in place of faces of Voronoi cells.
"""

from __future__ import annotations

import numpy as np

from surrogates.descriptors.base import Feature
from surrogates.descriptors.structural import grouped
from surrogates.descriptors.structural.batch import Batch

_CONTRAST = "Difference of an atom from the mean of its neighbours in"
COLUMNS = (
    Feature("electronegativity_contrast mean", "Pauling", f"{_CONTRAST} electronegativity, mean over atoms"),
    Feature("electronegativity_contrast max", "Pauling", f"{_CONTRAST} electronegativity, largest"),
    Feature(
        "electronegativity_difference min",
        "Pauling",
        "Difference of the electronegativities over a bond, mean over an atom's bonds, smallest",
    ),
    Feature("covalent_radius_contrast", "Å", f"{_CONTRAST} covalent radius, mean over atoms"),
    Feature("molar_volume_contrast", "cm³/mol", f"{_CONTRAST} the element's molar volume, mean over atoms"),
    Feature("valence_p_contrast", "electrons", f"{_CONTRAST} p electrons, mean over atoms"),
    Feature("valence_d_contrast", "electrons", f"{_CONTRAST} d electrons, mean over atoms"),
    Feature(
        "bond_dipole",
        "Pauling",
        "Mean over a site's bonds of direction × rise of electronegativity: its length, mean over sites",
    ),
)


def compute(batch: Batch) -> np.ndarray:
    """Compute the columns `COLUMNS`, ``(n, p)``."""
    bonds, group, n = batch.atom_bonds, batch.atom_structure, batch.n
    atoms = len(batch.atom_site)

    def contrast(name: str) -> np.ndarray:
        of_atoms = batch.of_atoms(name)
        return np.abs(of_atoms - grouped.mean(bonds.first, of_atoms[bonds.second], bonds.weight, atoms))

    def mean(of_atoms: np.ndarray) -> np.ndarray:
        return grouped.mean(group, of_atoms, batch.atom_occupancy, n)

    negativity = batch.of_atoms("electronegativity")
    difference = np.abs(negativity[bonds.first] - negativity[bonds.second])
    electronegativity = contrast("electronegativity")
    columns = [
        mean(electronegativity),
        grouped.largest(group, electronegativity, n),
        grouped.smallest(group, grouped.mean(bonds.first, difference, bonds.weight, atoms), n),
        mean(contrast("covalent_radius")),
        mean(contrast("molar_volume")),
        mean(contrast("valence_p")),
        mean(contrast("valence_d")),
        grouped.mean(batch.structure, _dipoles(batch), batch.occupancy, n),
    ]
    return np.column_stack(columns)


def _dipoles(batch: Batch) -> np.ndarray:
    """Length ``(s,)`` of the mean over a site's bonds of unit vectors times the rise of the electronegativity."""
    first, second = batch.first[batch.bonds], batch.second[batch.bonds]
    negativity = batch.of_sites("electronegativity")
    rise = batch.bond_weight * (negativity[second] - negativity[first])
    parts = [grouped.total(first, rise * along, batch.sites) for along in batch.directions.T]
    lengths = np.sqrt(sum(part**2 for part in parts))
    return np.asarray(lengths / batch.coordination)

"""Density and how space is filled."""

from __future__ import annotations

import numpy as np

from surrogates.descriptors.base import Feature
from surrogates.descriptors.structural import grouped
from surrogates.descriptors.structural.batch import Batch

_DALTON = 1.66053906660
"""g/cm³ of one u/Å³."""
_MOLAR = 1.66053906660
"""Å³ of one cm³/mol."""

_RADIUS = "Volume of the atoms as spheres"
COLUMNS = (
    Feature("density", "g/cm³", "Mass of the cell over its volume"),
    Feature("volume_per_atom", "Å³", "Volume of the cell over its atoms"),
    Feature("valence_electron_density", "1/Å³", "s, p, d and f electrons beyond the noble gas core over the volume"),
    Feature("volume_vs_elements", "1", "Volume over that of the elements apart"),
    Feature("covalent_packing", "1", f"{_RADIUS} of their covalent radii over the volume; overlaps count twice"),
    Feature("touching_packing", "1", f"{_RADIUS} out to half the way to their nearest neighbour over the volume"),
    Feature("nearest_distance scaled", "1", "Nearest neighbour's distance, mean over sites, over ∛(volume per atom)"),
)


def compute(batch: Batch) -> np.ndarray:
    """Compute the columns `COLUMNS`, ``(n, p)``."""

    def per_cell(values: np.ndarray) -> np.ndarray:
        return grouped.total(batch.atom_structure, batch.atom_occupancy * values, batch.n)

    volume = batch.volume
    valence = sum(batch.of_atoms(f"valence_{shell}") for shell in "spdf")
    spheres = grouped.total(batch.structure, batch.occupancy * batch.nearest**3, batch.n) * np.pi / 6
    size = np.cbrt(volume / batch.atoms)
    nearest = grouped.mean(batch.structure, batch.nearest, batch.occupancy, batch.n)
    return np.stack(
        [
            per_cell(batch.atom_mass) * _DALTON / volume,
            volume / batch.atoms,
            per_cell(np.asarray(valence)) / volume,
            volume / (per_cell(batch.of_atoms("molar_volume")) * _MOLAR),
            per_cell(batch.of_atoms("covalent_radius") ** 3) * 4 / 3 * np.pi / volume,
            spheres / volume,
            nearest / size,
        ],
        axis=1,
    )

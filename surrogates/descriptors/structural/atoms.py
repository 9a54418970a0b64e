"""What the atoms are, whatever their places: the elements' properties over the atoms of a crystal."""

from __future__ import annotations

import numpy as np

from surrogates.descriptors.base import Feature
from surrogates.descriptors.structural import grouped
from surrogates.descriptors.structural.batch import Batch

COLUMNS = (
    Feature("electronegativity mean", "Pauling", "Electronegativity of the elements, mean over atoms"),
    Feature("electronegativity min", "Pauling", "Electronegativity of the least electronegative element"),
    Feature("electronegativity max", "Pauling", "Electronegativity of the most electronegative element"),
    Feature("covalent_radius deviation", "Å", "Covalent radius, standard deviation over atoms"),
    Feature("valence_p mean", "electrons", "p electrons beyond the noble gas core, mean over atoms"),
    Feature("valence_p deviation", "electrons", "p electrons beyond the noble gas core, standard deviation over atoms"),
    Feature("valence_d mean", "electrons", "d electrons beyond the noble gas core, mean over atoms"),
    Feature("valence_d deviation", "electrons", "d electrons beyond the noble gas core, standard deviation over atoms"),
    Feature("electron_affinity mean", "eV", "Electron affinity of the elements, mean over atoms"),
    Feature("melting_point mean", "K", "Melting point of the elements, mean over atoms"),
)


def compute(batch: Batch) -> np.ndarray:
    """Compute the columns `COLUMNS`, ``(n, p)``."""
    group, weight, n = batch.atom_structure, batch.atom_occupancy, batch.n

    def mean(name: str) -> np.ndarray:
        return grouped.mean(group, batch.of_atoms(name), weight, n)

    def deviation(name: str) -> np.ndarray:
        return grouped.deviation(group, batch.of_atoms(name), weight, n)

    negativity = batch.of_atoms("electronegativity")
    columns = [
        mean("electronegativity"),
        grouped.smallest(group, negativity, n),
        grouped.largest(group, negativity, n),
        deviation("covalent_radius"),
        mean("valence_p"),
        deviation("valence_p"),
        mean("valence_d"),
        deviation("valence_d"),
        mean("electron_affinity"),
        mean("melting_point"),
    ]
    return np.column_stack(columns)

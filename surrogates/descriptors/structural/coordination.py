"""Effective coordination numbers, and their distribution over sites."""

from __future__ import annotations

import numpy as np

from surrogates.descriptors.base import Feature
from surrogates.descriptors.structural import grouped
from surrogates.descriptors.structural.batch import Batch

KNOTS = np.array([1, 2, 3, 4, 6, 8, 10, 12], dtype=float)

_NUMBER = "ffective coordination number"
COLUMNS = (
    Feature("coordination_number mean", "1", f"E{_NUMBER}, mean over sites"),
    Feature("coordination_number deviation", "1", f"E{_NUMBER}, standard deviation over sites"),
    Feature("coordination_number min", "1", f"Smallest e{_NUMBER}"),
    Feature("coordination_number max", "1", f"Largest e{_NUMBER}"),
    Feature("coordination_number electropositive", "1", f"E{_NUMBER} of the least electronegative element"),
    Feature("coordination_number electronegative", "1", f"E{_NUMBER} of the most electronegative element"),
    *grouped.bins("coordination_number", KNOTS, f"Share of sites with an e{_NUMBER} of about {{}}"),
)


def compute(batch: Batch) -> np.ndarray:
    """Compute the columns `COLUMNS`, ``(n, p)``."""
    group, numbers, weight, n = batch.structure, batch.coordination, batch.occupancy, batch.n
    atom_group, negativity = batch.atom_structure, batch.of_atoms("electronegativity")

    def of_atoms(which: np.ndarray) -> np.ndarray:
        return grouped.mean(atom_group, numbers[batch.atom_site], batch.atom_occupancy * which, n)

    lowest, highest = (f(atom_group, negativity, n)[atom_group] for f in (grouped.smallest, grouped.largest))
    columns = [
        grouped.mean(group, numbers, weight, n),
        grouped.deviation(group, numbers, weight, n),
        grouped.smallest(group, numbers, n),
        grouped.largest(group, numbers, n),
        of_atoms(negativity == lowest),
        of_atoms(negativity == highest),
    ]
    return np.column_stack([*columns, grouped.relative(grouped.shares(group, numbers, weight, KNOTS, n))])

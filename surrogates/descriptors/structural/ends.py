"""What stands at the electropositive and at the electronegative end of the bonds.

Of two atoms that are equally electronegative, the mean is at both ends. Electrons to give are defined in
`properties.element_arrays`.
"""

from __future__ import annotations

import numpy as np

from surrogates.descriptors.base import Feature
from surrogates.descriptors.structural import grouped
from surrogates.descriptors.structural.batch import Batch

_LOW = "less electronegative element of a bond, mean over bonds"
_HIGH = "more electronegative element of a bond, mean over bonds"
COLUMNS = (
    Feature("electropositive_end molar_volume", "cm³/mol", f"Molar volume of the {_LOW}"),
    Feature("electropositive_end valence_d", "electrons", f"d electrons of the {_LOW}"),
    Feature("electropositive_end electrons_per_bond", "electrons", f"Electrons to give per bond of the {_LOW}"),
    Feature("electronegative_end valence_p", "electrons", f"p electrons of the {_HIGH}"),
    Feature("electronegative_end electron_affinity", "eV", f"Electron affinity of the {_HIGH}"),
    Feature("electronegative_end covalent_radius", "Å", f"Covalent radius of the {_HIGH}"),
    Feature("electronegative_end group", "1", f"Group of the {_HIGH}"),
)


def compute(batch: Batch) -> np.ndarray:
    """Compute the columns `COLUMNS`, ``(n, p)``."""
    ends = batch.bond_ends
    negativity = batch.of_atoms("electronegativity")
    equal = negativity[ends[0]] == negativity[ends[1]]

    def mean(of_atoms: np.ndarray, end: int) -> np.ndarray:
        here, there = of_atoms[ends[end]], of_atoms[ends[1 - end]]
        values = np.where(equal, (here + there) / 2, here)
        return grouped.mean(batch.bond_structure, values, batch.atom_bonds.weight, batch.n)

    low, high = 0, 1

    columns = [
        mean(batch.of_atoms("molar_volume"), low),
        mean(batch.of_atoms("valence_d"), low),
        mean(batch.of_atoms("electrons_to_give") / batch.coordination[batch.atom_site], low),
        mean(batch.of_atoms("valence_p"), high),
        mean(batch.of_atoms("electron_affinity"), high),
        mean(batch.of_atoms("covalent_radius"), high),
        mean(batch.of_atoms("group"), high),
    ]
    return np.column_stack(columns)

"""How unlike the two atoms of a bond are."""

from __future__ import annotations

import numpy as np

from surrogates.descriptors.base import Feature
from surrogates.descriptors.structural import grouped
from surrogates.descriptors.structural.batch import Batch

KNOTS = np.array([0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0])

_DIFFERENCE = "Difference of the electronegativities over a bond"
_MEAN = "over a bond, mean over bonds"
COLUMNS = (
    Feature("electronegativity_difference mean", "Pauling", f"{_DIFFERENCE}, mean over bonds"),
    Feature("electronegativity_difference deviation", "Pauling", f"{_DIFFERENCE}, standard deviation over bonds"),
    *grouped.bins("electronegativity_difference", KNOTS, "Share of bonds with a difference of about {}"),
    Feature("bonds alike", "1", "Share of bonds between atoms of the same element"),
    Feature("bonds metal_nonmetal", "1", "Share of bonds between a metal and an element that is none"),
    Feature("bonds nonmetal_nonmetal", "1", "Share of bonds between elements that are no metals"),
    Feature("covalent_radius_difference", "Å", f"Difference of the covalent radii {_MEAN}"),
    Feature("molar_volume_difference", "cm³/mol", f"Difference of the elements' molar volumes {_MEAN}"),
    Feature("melting_point_difference", "K", f"Difference of the elements' melting points {_MEAN}"),
    Feature("bond_polarity", "Pauling²", f"Squared electronegativity difference × s, p electrons of the lower {_MEAN}"),
    Feature("pauling_energy", "eV/atom", "Σ bond order × squared electronegativity difference × 1 eV over the atoms"),
)


def compute(batch: Batch) -> np.ndarray:
    """Compute the columns `COLUMNS`, ``(n, p)``.

    Pauling's bond between unlike atoms is stronger than the mean of those between like ones by 1 eV times the squared
    difference of electronegativities (The Nature of the Chemical Bond, 3rd edition, Cornell University Press, 1960).
    The order of a bond is estimated as what its electropositive end has to give to each of its bonds, or its
    electronegative end to take, whichever is less (`properties.element_arrays`), times the bond's weight.
    """
    bonds, group, n = batch.atom_bonds, batch.bond_structure, batch.n
    negativity, metal = batch.of_atoms("electronegativity"), batch.of_atoms("metal")
    difference = np.abs(negativity[bonds.first] - negativity[bonds.second])
    metals = metal[bonds.first] + metal[bonds.second]
    alike = batch.atom_number[bonds.first] == batch.atom_number[bonds.second]

    def mean(values: np.ndarray) -> np.ndarray:
        return grouped.mean(group, values.astype(float), bonds.weight, n)

    def mean_difference(name: str) -> np.ndarray:
        of_atoms = batch.of_atoms(name)
        return mean(np.abs(of_atoms[bonds.first] - of_atoms[bonds.second]))

    low, high = batch.bond_ends
    number = batch.coordination[batch.atom_site]
    order = np.minimum(
        (batch.of_atoms("electrons_to_give") / number)[low], (batch.of_atoms("electrons_to_take") / number)[high]
    )
    outer = batch.of_atoms("valence_s") + batch.of_atoms("valence_p")
    # Each bond is there twice, once for each of its atoms as the first.
    energy = grouped.total(group, bonds.weight * order * difference**2, n) / 2 / batch.atoms
    columns = [
        mean(difference),
        grouped.deviation(group, difference, bonds.weight, n),
        *grouped.relative(grouped.shares(group, difference, bonds.weight, KNOTS, n)).T,
        mean(alike),
        mean(metals == 1),
        mean(metals == 0),
        mean_difference("covalent_radius"),
        mean_difference("molar_volume"),
        mean_difference("melting_point"),
        mean(difference**2 * outer[low]),
        energy,
    ]
    return np.column_stack(columns)

"""Structure descriptors of recorded structures: no gaps, nothing absurd, the same from another description."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pymatgen.core import Lattice, Structure

from surrogates.descriptors.structure import StructureDescriptor

BOUNDS = {
    "space_group_number": (1, 230),
    "crystal_system": (1, 7),
    "point_group_order": (1, 48),
    "orbits_per_site": (1 / 192, 1),
    "lattice_skewness": (1 - 1e-6, 2**0.5 + 1e-6),
    "density": (0.02, 40),
    "volume_per_atom": (2, 400),
    "volume_vs_elements": (0.1, 20),
    "covalent_packing": (0, 3),
    # No spheres of one size fill more (Kepler), and none of several sizes without touching more than two fill 1.
    "touching_packing": (0, 0.85),
    "coordination_number mean": (0.99, 20),
    "coordination_number max": (0.99, 60),
    "bond_length mean": (0.7, 5),
    "bond_length_ratio mean": (0.5, 4),
    "bond_length_spread max": (0, 0.25),
    "bond_angle mean": (0, 180),
    "orientational_order_6 mean": (0, 1),
    "radial_density 3.0 Å": (0, 1),
    "electrostatic_energy": (-25, 5),
    "electronegativity_difference mean": (0, 3.4),
    "pauling_energy": (0, 12),
}


def read(data_dir: Path, name: str, count: int) -> list[Structure]:
    table = pd.read_parquet(data_dir / name / "dev.parquet")
    return [build(row) for row in table.sample(count, random_state=1).itertuples()]


def build(row: Any) -> Structure:
    lattice = Lattice.from_parameters(row.a, row.b, row.c, row.alpha, row.beta, row.gamma)
    return Structure(lattice, row.atomic_numbers, np.asarray(row.frac_coords, dtype=float).reshape(-1, 3))


@pytest.mark.data("mp_structures")
@pytest.mark.data("perov5_structures")
@pytest.mark.parametrize("name", ["mp_structures", "perov5_structures"])
def test_recorded_structures_have_plausible_numbers(data_dir: Path, name: str) -> None:
    descriptor = StructureDescriptor()
    values = descriptor.transform(read(data_dir, name, 120))
    assert np.isfinite(values).all()
    columns = dict(zip(descriptor.get_feature_names_out(), values.T, strict=True))
    for column, (low, high) in BOUNDS.items():
        assert low <= columns[column].min() <= columns[column].max() <= high, column
    for feature in descriptor.feature_table():
        if feature.meaning.startswith("Share"):
            assert 0 <= columns[feature.name].min() <= columns[feature.name].max() <= 1 + 1e-9, feature.name
    if name == "mp_structures":
        assert (values.std(0) > 0).sum() >= 133, "columns that say something; chains, say, may be absent from a few"


@pytest.mark.data("mp_structures")
def test_recorded_structures_in_another_description(data_dir: Path) -> None:
    structures = read(data_dir, "mp_structures", 25)
    rng = np.random.default_rng(2)
    others = []
    for structure in structures:
        turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
        lattice = Lattice(structure.lattice.matrix @ (turn * np.sign(np.linalg.det(turn))))
        order = rng.permutation(len(structure))
        species = [structure[int(i)].species for i in order]
        other = Structure(lattice, species, structure.frac_coords[order] + rng.uniform(size=3))
        others.append(other.make_supercell([[1, 1, 0], [0, 1, 0], [0, 0, 2]]))
    one, other = StructureDescriptor().transform(structures), StructureDescriptor().transform(others)
    # spglib's tolerance is a matter of the cell it works on: where it decides otherwise, its columns are left out.
    same = (one[:, 0] == other[:, 0]) & (one[:, 7] == other[:, 7])
    assert same.mean() > 0.9
    np.testing.assert_allclose(one[:, 14:], other[:, 14:], rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(one[same], other[same], rtol=1e-6, atol=1e-6)

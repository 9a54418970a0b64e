"""Structure descriptors are of the crystal, not of its description; and what moves a little changes little."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pymatgen.core import Lattice, Structure

from surrogates.descriptors.structural import network, symmetry
from surrogates.descriptors.structure import StructureDescriptor

CLOSE = {"rtol": 1e-6, "atol": 1e-6}
SEEDS = st.integers(0, 10**6)


def describe(*crystals: Structure) -> np.ndarray:
    return StructureDescriptor().transform(list(crystals))


@functools.cache
def known() -> dict[str, Structure]:
    """Crystals of all systems, in their conventional cells."""
    third = [1 / 3, 2 / 3, 0.25]
    cells = {
        "diamond": ("Fd-3m", Lattice.cubic(5.43), ["Si"], [[0, 0, 0]]),
        "bcc": ("Im-3m", Lattice.cubic(2.87), ["Fe"], [[0, 0, 0]]),
        "rutile": ("P4_2/mnm", Lattice.tetragonal(4.59, 2.96), ["Ti", "O"], [[0, 0, 0], [0.305, 0.305, 0]]),
        "anatase": ("I4_1/amd", Lattice.tetragonal(3.78, 9.51), ["Ti", "O"], [[0, 0, 0], [0, 0, 0.208]]),
        "corundum": ("R-3c", Lattice.hexagonal(4.76, 12.99), ["Al", "O"], [[0, 0, 0.352], [0.306, 0, 0.25]]),
        "calcite": ("R-3c", Lattice.hexagonal(5, 17.1), ["Ca", "C", "O"], [[0, 0, 0], [0, 0, 0.25], [0.257, 0, 0.25]]),
        "molybdenite": ("P6_3/mmc", Lattice.hexagonal(3.16, 12.29), ["Mo", "S"], [third, [*third[:2], 0.621]]),
        "monoclinic": ("C2/m", Lattice.monoclinic(9.2, 3.1, 5.8, 101), ["Ga", "O"], [[0.1, 0, 0.2], [0.3, 0, 0.6]]),
        "orthorhombic": ("Cmcm", Lattice.orthorhombic(3.3, 9.8, 4.1), ["U", "B"], [[0, 0.11, 0.25], [0, 0.44, 0.25]]),
        "alloy": ("Fm-3m", Lattice.cubic(3.9), [{"Cu": 0.7, "Pd": 0.3}], [[0, 0, 0]]),
        "salt solution": ("Fm-3m", Lattice.cubic(5.9), [{"Na": 0.4, "K": 0.5}, "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]]),
    }  # fmt: skip
    return {name: Structure.from_spacegroup(*cell) for name, cell in cells.items()}


def random_crystal(seed: int) -> Structure:
    """Return a crystal of a few atoms that are not too near; some sites are disordered."""
    rng = np.random.default_rng(seed)
    lattice = Lattice.from_parameters(*rng.uniform(3.5, 7, 3), *rng.uniform(60, 118, 3))
    sites = int(rng.integers(1, 6))
    contents = [
        {"Fe": 0.6, "Ni": 0.3} if rng.uniform() < 0.2 else str(rng.choice(["H", "O", "S", "Cs", "U", "Ar", "Fe", "Cl"]))
        for _ in range(sites)
    ]
    return Structure(lattice, contents, rng.uniform(-1, 2, (sites, 3)))


def rotation(rng: np.random.Generator) -> np.ndarray:
    matrix, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    return matrix * np.sign(np.linalg.det(matrix))


def other_description(crystal: Structure, seed: int) -> Structure:
    """Rotate, shift, reorder, move by lattice vectors, and choose another cell, up to four times as large."""
    rng = np.random.default_rng(seed)
    lattice = Lattice(crystal.lattice.matrix @ rotation(rng))
    places = crystal.frac_coords + rng.uniform(-1, 1, 3) + rng.integers(-2, 3, (len(crystal), 3))
    order = rng.permutation(len(crystal))
    turned = Structure(lattice, [crystal[int(i)].species for i in order], places[order])
    shears = np.eye(3, dtype=int)
    for _ in range(3):
        i, j = rng.permutation(3)[:2]
        shears[i] += int(rng.integers(-1, 2)) * shears[j]
    return turned.make_supercell(np.diag(rng.permutation([1, 1, int(rng.integers(1, 5))])) @ shears)


@pytest.mark.parametrize("name", known())
def test_primitive_and_conventional_cell_are_the_same_crystal(name: str) -> None:
    crystal = known()[name]
    primitive = crystal.get_primitive_structure()
    assert len(primitive) < len(crystal) or name in ("rutile", "molybdenite")
    one, other = describe(crystal, primitive)
    np.testing.assert_allclose(one, other, **CLOSE)


@pytest.mark.parametrize("name", known())
@pytest.mark.parametrize("seed", [1, 2])
def test_another_description_of_a_known_crystal(name: str, seed: int) -> None:
    crystal = known()[name]
    one, other = describe(crystal, other_description(crystal, seed))
    np.testing.assert_allclose(one, other, **CLOSE)


@settings(max_examples=25)
@given(SEEDS, SEEDS)
def test_another_description_of_any_crystal(seed: int, change: int) -> None:
    crystal = random_crystal(seed)
    assume(crystal.is_valid(tol=1.0))
    one, other = describe(crystal, other_description(crystal, change))
    np.testing.assert_allclose(one, other, **CLOSE)
    assert np.isfinite(one).all()


@settings(max_examples=15)
@given(SEEDS)
def test_a_mirror_image_has_the_same_numbers_but_for_its_space_group(seed: int) -> None:
    crystal = random_crystal(seed)
    assume(crystal.is_valid(tol=1.0))
    mirrored = Structure(Lattice(crystal.lattice.matrix * [1, 1, -1]), crystal.species_and_occu, crystal.frac_coords)
    one, other = describe(crystal, mirrored)
    np.testing.assert_allclose(one[1:], other[1:], **CLOSE)


def test_numbers_tell_crystals_apart() -> None:
    values = describe(*known().values())
    distances = np.abs(values[:, None] - values[None]).max(2)
    assert (distances[~np.eye(len(values), dtype=bool)] > 0.01).all()
    # Zinc blende and wurtzite differ from the third neighbours on.
    blende = Structure.from_spacegroup("F-43m", Lattice.cubic(5.41), ["Zn", "S"], [[0, 0, 0], [0.25, 0.25, 0.25]])
    lattice = Lattice.hexagonal(5.41 / 2**0.5, 5.41 * 2 / 3**0.5)
    wurtzite = Structure.from_spacegroup("P6_3mc", lattice, ["Zn", "S"], [[1 / 3, 2 / 3, 0], [1 / 3, 2 / 3, 0.375]])
    one, other = describe(blende, wurtzite)
    np.testing.assert_allclose(one[19], other[19])  # the volume per atom
    assert np.abs(one - other)[25:].max() > 0.003


@settings(max_examples=25)
@given(SEEDS)
def test_atoms_that_move_a_little_change_numbers_a_little(seed: int) -> None:
    crystal = random_crystal(seed)
    assume(crystal.is_valid(tol=1.0))
    moved = crystal.copy()
    rng = np.random.default_rng(seed)
    for i in range(len(moved)):
        moved.translate_sites([i], 1e-6 * rng.uniform(-1, 1, 3), frac_coords=False)
    one, other = describe(crystal, moved)
    gradual = slice(len(symmetry.COLUMNS) + len(network.COLUMNS), None)
    # The weakest bonds come and go: their weight is 1e-4, and angles and dipoles of few bonds feel that most.
    np.testing.assert_allclose(one[gradual], other[gradual], rtol=1e-2, atol=1e-2)


def test_regular_crystals_are_stable_under_rounding() -> None:
    # Coordinates as in a file of six digits: equal bonds are no longer equal, and nothing may hang on which is longest.
    for name, crystal in known().items():
        rounded = Structure(
            Lattice.from_parameters(*np.round(crystal.lattice.parameters, 5)),
            crystal.species_and_occu,
            crystal.frac_coords.astype(np.float32).astype(float),
        )
        one, other = describe(crystal, rounded)
        np.testing.assert_allclose(one, other, rtol=2e-3, atol=2e-3, err_msg=name)

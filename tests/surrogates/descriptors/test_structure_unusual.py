"""Structures that are not everyday ones: each has a rule, and its rule a test."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from pymatgen.core import DummySpecies, Element, Lattice, Structure

from surrogates.descriptors.base import BadRowError
from surrogates.descriptors.elements import element_table
from surrogates.descriptors.structural.bonds import WEAKEST
from surrogates.descriptors.structure import StructureDescriptor

NAMES = {name: i for i, name in enumerate(StructureDescriptor().get_feature_names_out())}
CHI = element_table()["electronegativity"]


def describe(crystal: Structure) -> dict[str, float]:
    values = StructureDescriptor().transform([crystal])[0]
    assert np.isfinite(values).all()
    return {name: float(values[i]) for name, i in NAMES.items()}


def differing(one: Mapping[str, float], other: Mapping[str, float]) -> set[str]:
    return {name for name in one if not np.isclose(one[name], other[name], rtol=1e-9, atol=1e-12)}


def caesium_chloride(corner: Any, centre: Any, a: float = 3.0) -> Structure:
    return Structure(Lattice.cubic(a), [corner, centre], [[0, 0, 0], [0.5, 0.5, 0.5]])


def weights_of_caesium_chloride() -> tuple[float, float]:
    """Weights of a bond to the eight atoms of the other kind, and to the six of its own, by the formula."""
    near, far = np.exp(0), np.exp(1 - (2 / 3**0.5) ** 6)
    mean = (8 * near + 6 * far * 2 / 3**0.5) / (8 * near + 6 * far)
    return float(np.exp(1 - mean**-6)), float(np.exp(1 - (2 / 3**0.5 / mean) ** 6))


def test_charges_spins_and_moments_do_not_matter() -> None:
    plain = describe(caesium_chloride("Fe", "O"))
    charged = caesium_chloride("Fe2+", "O2-")
    charged.add_site_property("magmom", [5.0, 0.0])
    assert describe(charged) == plain
    assert describe(caesium_chloride("Fe3+,spin=5", "O2-")) == plain
    bulky = Structure(Lattice.cubic(3), ["Fe", "O"], [[0, 0, 0], [0.5, 0.5, 0.5]], charge=2)
    assert describe(bulky) == plain
    assert describe(caesium_chloride({"Fe2+": 0.5, "Fe3+": 0.5}, "O")) == plain, "iron is iron"
    # Ordered charges do not lower the symmetry either.
    ordered = Structure(Lattice.tetragonal(3, 6), ["Fe2+", "Fe3+"], [[0, 0, 0], [0, 0, 0.5]])
    assert describe(ordered)["space_group_number"] == 221


def test_isotopes_are_their_element_but_for_the_mass() -> None:
    hydride, deuteride, tritide = (describe(caesium_chloride("Li", isotope, 2.5)) for isotope in ("H", "D", "T"))
    assert differing(hydride, deuteride) == differing(hydride, tritide) == {"density"}
    light, heavy = (float(Element(symbol).atomic_mass + Element("Li").atomic_mass) for symbol in ("H", "D"))
    assert deuteride["density"] / hydride["density"] == pytest.approx(heavy / light)
    half = describe(caesium_chloride("Li", {"H": 0.5, "D": 0.5}, 2.5))
    assert differing(half, hydride) == {"density"}
    assert half["density"] == pytest.approx((hydride["density"] + deuteride["density"]) / 2)


def test_a_disordered_site_is_the_mean_over_its_species() -> None:
    mixed = describe(caesium_chloride({"Ti": 0.25, "Al": 0.75}, "Ni"))
    titanium, aluminium = describe(caesium_chloride("Ti", "Ni")), describe(caesium_chloride("Al", "Ni"))
    # What does not see more than one atom at a time, or the places alone, is the mean.
    for name in ("density", "covalent_packing", "electronegativity mean", "valence_d mean", "melting_point mean"):
        assert mixed[name] == pytest.approx(0.25 * titanium[name] + 0.75 * aluminium[name]), name
    for name in ("coordination_number mean", "bond_length mean", "bond_angle 90°", "radial_density 3.0 Å"):
        assert mixed[name] == pytest.approx(titanium[name]), name
    # Over bonds: 8 between corner and centre; 6 among corners, of which 3/8 are unlike; 6 among centres.
    near, far = weights_of_caesium_chloride()
    ti, al, ni = CHI[22], CHI[13], CHI[28]
    expected = 2 * 8 * near * (0.25 * abs(ti - ni) + 0.75 * abs(al - ni)) + 6 * far * 0.375 * abs(ti - al)
    bonds = 2 * 8 * near + 2 * 6 * far
    assert mixed["electronegativity_difference mean"] == pytest.approx(expected / bonds)
    alike = 6 * far + 6 * far * (0.25**2 + 0.75**2)
    assert mixed["bonds alike"] == pytest.approx(alike / bonds)
    assert mixed["electronegativity max"] == CHI[28]
    assert mixed["electronegativity min"] == CHI[22]


def test_a_pure_site_in_two_parts_is_ordered() -> None:
    assert describe(caesium_chloride({"Ti4+": 0.5, "Ti3+": 0.5}, "Ni")) == describe(caesium_chloride("Ti", "Ni"))


def test_a_site_that_is_not_full_counts_with_its_occupancy() -> None:
    full, part = describe(caesium_chloride("Ni", "Al")), describe(caesium_chloride("Ni", {"Al": 0.8}))
    assert part["volume_per_atom"] == pytest.approx(27 / 1.8)
    assert part["density"] < full["density"]
    # The corner has 0.8 times 8 neighbours of the other kind, the centre all 8, but 0.8 times 6 of its own.
    assert part["coordination_number max"] > part["coordination_number min"]
    assert part["coordination_number electropositive"] == pytest.approx(8 * 1.14 + 0.8 * 6 * 0.34, rel=0.02)
    assert part["electronegativity mean"] == pytest.approx((CHI[28] + 0.8 * CHI[13]) / 1.8)
    # An atom that is hardly ever there hardly matters.
    rare = describe(caesium_chloride("Ni", {"Al": 1e-6}))
    alone = describe(Structure(Lattice.cubic(3), ["Ni"], [[0, 0, 0]]))
    for name in ("density", "electronegativity mean", "radial_density 3.0 Å", "covalent_packing"):
        assert rare[name] == pytest.approx(alone[name], rel=1e-4), name


def test_disorder_counts_in_the_symmetry() -> None:
    corners = [[0, 0, 0], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]]
    same = {"Cu": 0.5, "Au": 0.5}
    assert describe(Structure(Lattice.cubic(3.8), [same] * 4, corners))["space_group_number"] == 225
    other = {"Cu": 0.75, "Au": 0.25}
    assert describe(Structure(Lattice.cubic(3.8), [other, same, same, same], corners))["space_group_number"] == 221


def test_split_sites_are_two_places_for_one_atom() -> None:
    lattice, cage = Lattice.cubic(4.2), [[0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5], [0, 0, 0]]
    split = Structure(lattice, [*["O"] * 3, "Ba", *[{"Ti": 0.5}] * 2], [*cage, [0.5, 0.5, 0.46], [0.5, 0.5, 0.54]])
    found = describe(split)
    assert found["nearest_distance min"] == pytest.approx(0.46 * 4.2), "not 0.08 times 4.2"
    assert found["volume_per_atom"] == pytest.approx(4.2**3 / 5)
    whole = describe(Structure(lattice, [*["O"] * 3, "Ba", "Ti"], [*cage, [0.5, 0.5, 0.5]]))
    assert found["density"] == pytest.approx(whole["density"])
    assert found["bonds alike"] == pytest.approx(whole["bonds alike"], abs=0.02)
    # Two atoms that are there at once are an error at that distance.
    both = Structure(lattice, [*["O"] * 3, "Ba", *[{"Ti": 0.6}] * 2], [*cage, [0.5, 0.5, 0.46], [0.5, 0.5, 0.54]])
    with pytest.raises(BadRowError, match=r"sites 4 and 5 are 0\.34 Å apart"):
        describe(both)


def test_half_hydrogens_of_ice_are_no_molecules_of_hydrogen() -> None:
    # Along each bond O-O of 2.76 Å there are two places for one proton, 0.76 Å apart.
    ice = Structure(
        Lattice.orthorhombic(4.5, 4.5, 2.76), ["O", {"H": 0.5}, {"H": 0.5}], [[0, 0, z] for z in (0, 0.36, 0.64)]
    )
    found = describe(ice)
    assert found["nearest_distance min"] == pytest.approx(0.36 * 2.76)
    assert found["radial_density 1.0 Å"] > 0


@pytest.mark.parametrize(
    "element", ["He", "Ne", "Ar", "Kr", "Xe", "Rn", "Ac", "Th", "Pu", "Am", "Cm", "Lr", "Og", "At", "Fr"]
)
def test_rare_elements_have_numbers(element: str) -> None:
    found = describe(caesium_chloride(element, "F", 4.5))
    z = Element(element).Z
    assert found["electronegativity mean"] == pytest.approx((CHI[z] + CHI[9]) / 2)
    assert 0.1 < found["volume_vs_elements"] < 20
    assert found["melting_point mean"] > 1


def test_noble_gases_far_apart_are_no_network() -> None:
    argon = describe(Structure.from_spacegroup("Fm-3m", Lattice.cubic(5.31), ["Ar"], [[0, 0, 0]]))
    assert argon["network 0d"] == 1
    assert argon["coordination_number mean"] == pytest.approx(12, rel=0.01)
    assert argon["bond_length_ratio 1.3"] == 1


@pytest.mark.parametrize("a", [3.0, 7.9, 8.1, 20.0, 300.0, 999.0])
def test_a_single_atom_has_its_own_images_as_neighbours(a: float) -> None:
    found = describe(Structure(Lattice.cubic(a), ["W"], [[0.3, 0.2, 0.9]]))
    assert found["nearest_distance min"] == found["nearest_distance max"] == pytest.approx(a)
    assert found["coordination_number mean"] == pytest.approx(6, rel=0.01)
    assert found["bond_length mean"] == pytest.approx(a, rel=0.01)
    assert found["touching_packing"] == pytest.approx(np.pi / 6)
    assert found["electrostatic_energy"] == found["bond_dipole"] == found["bonds metal_nonmetal"] == 0
    assert found["bonds alike"] == 1


def test_bonds_beyond_the_usual_radius_are_all_found() -> None:
    # 1.75 times the nearest distance is what is looked at; a bond of the least weight ends before.
    rng = np.random.default_rng(5)
    for _ in range(20):
        sites = rng.uniform(size=(4, 3))
        small = Structure(Lattice.cubic(5), ["Si"] * 4, sites)
        if not small.is_valid(tol=1.5):
            continue
        large = Structure(Lattice.cubic(30), ["Si"] * 4, sites)
        one, other = describe(small), describe(large)
        for name in NAMES:
            if name.startswith(("coordination", "bond_angle", "orientational", "bond_length_spread", "period_ratio")):
                assert one[name] == pytest.approx(other[name], abs=20 * WEAKEST), name
        assert other["bond_length mean"] == pytest.approx(6 * one["bond_length mean"], rel=1e-3)


def test_a_molecule_without_angles_has_zeros_for_them() -> None:
    found = describe(Structure(Lattice.cubic(9), ["N", "N"], [[0, 0, 0], [0, 0, 1.1 / 9]]))
    assert found["bond_angle mean"] == found["bond_angle deviation"] == 0
    assert all(found[name] == 0 for name in NAMES if name.startswith("bond_angle "))
    assert found["coordination_number 1"] == pytest.approx(1)
    assert found["orientational_order_1 max"] == pytest.approx(1)


def test_600_sites_are_the_crystal_of_2() -> None:
    small = Structure(Lattice.tetragonal(3.1, 3.4), ["Ti", "N"], [[0, 0, 0], [0.5, 0.5, 0.45]])
    large = small.make_supercell((5, 6, 10), in_place=False)
    assert len(large) == 600
    one, other = describe(small), describe(large)
    for name in NAMES:
        assert one[name] == pytest.approx(other[name], rel=1e-6, abs=1e-6), name


def test_slanted_cells_are_no_trouble() -> None:
    plain = Structure(Lattice.orthorhombic(4, 5, 6), ["Zn", "O"], [[0, 0, 0], [0.4, 0.5, 0.6]])
    slanted = Structure(Lattice(np.array([[1, 0, 0], [9, 1, 0], [-7, 12, 1]]) @ plain.lattice.matrix), *(
        ["Zn", "O"], plain.cart_coords
    ), coords_are_cartesian=True)  # fmt: skip
    assert min(slanted.lattice.angles) < 10
    assert not {
        name for name in differing(describe(plain), describe(slanted)) if not name.startswith(("orient", "bond_d"))
    }


@pytest.mark.parametrize(
    ("crystal", "message"),
    [
        (Structure(Lattice.cubic(3), [DummySpecies("X")], [[0, 0, 0]]), "X0[+] is no element; replace it"),
        (Structure(Lattice.cubic(3), ["Fe", "Fe"], [[0, 0, 0], [0, 0, 1]]), "sites 0 and 1 are 0 Å apart"),
        (Structure(Lattice.cubic(3), ["Fe"], [[0, 0, np.nan]]), "not finite"),
        (Structure(Lattice(np.ones((3, 3))), ["Fe"], [[0, 0, 0]]), "volume of 0 Å³"),
        (Structure(Lattice.orthorhombic(3, 3, 1001), ["Fe"], [[0, 0, 0]]), "1001 Å long; expected at most 1000 Å"),
        (Structure(Lattice.orthorhombic(0.4, 9, 9), ["H"], [[0, 0, 0]]), "sites 0 and 0 are 0.4 Å apart"),
        (
            Structure(Lattice(3 * np.eye(3), pbc=(True, True, False)), ["Fe"], [[0, 0, 0]]),
            "periodic in three directions",
        ),
        (Structure.from_sites([*Structure(Lattice.cubic(3), ["Fe"], [[0, 0, 0]])]).remove_sites([0]), "no sites"),
    ],
)
def test_what_cannot_be_described_is_said(crystal: Structure, message: str) -> None:
    with pytest.raises(BadRowError, match=message):
        describe(crystal)


@pytest.mark.parametrize("seed", range(3))
def test_crowded_cells_are_said_or_described(seed: int) -> None:
    rng = np.random.default_rng(seed)
    crystals = [
        Structure(
            Lattice.from_parameters(*rng.uniform(1, 12, 3), *rng.uniform(70, 100, 3)),
            ["C"] * n,
            rng.uniform(size=(n, 3)),
        )
        for n in (1, 2, 5, 20, 60)
    ]
    descriptor = StructureDescriptor(on_error="nan")
    values = descriptor.transform(crystals)
    described = [i for i in range(5) if i not in descriptor.errors_]
    assert described
    assert np.isfinite(values[described]).all()
    for i, crystal in enumerate(crystals):
        assert crystal.is_valid(tol=0.5) == (i in described)
    assert all("apart; expected at least 0.5 Å" in reason for reason in descriptor.errors_.values())


def test_a_cell_that_is_far_too_dense_is_refused_at_once() -> None:
    rng = np.random.default_rng(0)
    dense = Structure(Lattice.cubic(1.5), ["C"] * 2000, rng.uniform(size=(2000, 3)))
    with pytest.raises(BadRowError, match="apart"):  # all its pairs would take over 100 GB
        describe(dense)

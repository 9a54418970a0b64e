"""Structure descriptors against textbooks and pymatgen."""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from pymatgen.analysis.dimensionality import get_dimensionality_larsen
from pymatgen.analysis.ewald import EwaldSummation
from pymatgen.analysis.graphs import StructureGraph
from pymatgen.analysis.local_env import EconNN
from pymatgen.core import Lattice, Structure
from pymatgen.symmetry.analyzer import SpacegroupAnalyzer
from pymatgen.symmetry.groups import PointGroup

from surrogates.descriptors.elements import element_table
from surrogates.descriptors.structure import StructureDescriptor

NAMES = {name: i for i, name in enumerate(StructureDescriptor().get_feature_names_out())}
TABLE = element_table()


def describe(crystal: Structure) -> dict[str, float]:
    values = StructureDescriptor().transform([crystal])[0]
    return {name: float(values[i]) for name, i in NAMES.items()}


def from_group(group: str, lattice: Lattice, species: Sequence[str], places: Sequence[Sequence[float]]) -> Structure:
    return Structure.from_spacegroup(group, lattice, species, places)


@functools.cache
def fcc() -> Structure:
    return from_group("Fm-3m", Lattice.cubic(3.61), ["Cu"], [[0, 0, 0]])


@functools.cache
def bcc() -> Structure:
    return from_group("Im-3m", Lattice.cubic(2.87), ["Fe"], [[0, 0, 0]])


@functools.cache
def hcp() -> Structure:
    return from_group("P6_3/mmc", Lattice.hexagonal(3.2, 3.2 * math.sqrt(8 / 3)), ["Mg"], [[1 / 3, 2 / 3, 0.25]])


@functools.cache
def diamond() -> Structure:
    return from_group("Fd-3m", Lattice.cubic(5.43), ["Si"], [[0, 0, 0]])


@functools.cache
def simple_cubic() -> Structure:
    return Structure(Lattice.cubic(3.35), ["Po"], [[0, 0, 0]])


@functools.cache
def rocksalt() -> Structure:
    return from_group("Fm-3m", Lattice.cubic(5.64), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])


@functools.cache
def zincblende() -> Structure:
    return from_group("F-43m", Lattice.cubic(5.41), ["Zn", "S"], [[0, 0, 0], [0.25, 0.25, 0.25]])


@functools.cache
def caesium_chloride() -> Structure:
    return from_group("Pm-3m", Lattice.cubic(4.12), ["Cs", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])


@functools.cache
def quartz() -> Structure:
    lattice = Lattice.hexagonal(4.91, 5.41)
    return from_group("P3_121", lattice, ["Si", "O"], [[0.4697, 0, 1 / 3], [0.4135, 0.2669, 0.2142]])


@functools.cache
def wurtzite() -> Structure:
    places = [[1 / 3, 2 / 3, 0], [1 / 3, 2 / 3, 0.382]]
    return from_group("P6_3mc", Lattice.hexagonal(3.25, 5.2), ["Zn", "O"], places)


@functools.cache
def rutile() -> Structure:
    return from_group("P4_2/mnm", Lattice.tetragonal(4.59, 2.96), ["Ti", "O"], [[0, 0, 0], [0.305, 0.305, 0]])


@functools.cache
def graphite() -> Structure:
    places = [[0, 0, 0.25], [1 / 3, 2 / 3, 0.25]]
    return from_group("P6_3/mmc", Lattice.hexagonal(2.46, 6.7), ["C", "C"], places)


@functools.cache
def molybdenite() -> Structure:
    places = [[1 / 3, 2 / 3, 0.25], [1 / 3, 2 / 3, 0.621]]
    return from_group("P6_3/mmc", Lattice.hexagonal(3.16, 12.29), ["Mo", "S"], places)


@functools.cache
def perovskite() -> Structure:
    places = [[0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0]]
    return from_group("Pm-3m", Lattice.cubic(3.905), ["Sr", "Ti", "O"], places)


CRYSTALS = (
    fcc, bcc, hcp, diamond, simple_cubic, rocksalt, zincblende, caesium_chloride, quartz, wurtzite, rutile, graphite,
    molybdenite, perovskite,
)  # fmt: skip


@pytest.mark.parametrize("make", CRYSTALS, ids=lambda make: make.__name__)
def test_symmetry_is_that_of_pymatgen(make: Callable[[], Structure]) -> None:
    crystal = make()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        analyzer = SpacegroupAnalyzer(crystal, symprec=0.01)
        systems = ("triclinic", "monoclinic", "orthorhombic", "tetragonal", "trigonal", "hexagonal", "cubic")
        system = 1 + systems.index(analyzer.get_crystal_system())
        operations = PointGroup(analyzer.get_point_group_symbol()).symmetry_ops
        primitive = analyzer.get_primitive_standard_structure()
        symmetrised = SpacegroupAnalyzer(primitive, symprec=0.01).get_symmetrized_structure()
    found = describe(crystal)
    assert found["space_group_number"] == analyzer.get_space_group_number()
    assert found["crystal_system"] == system
    assert found["point_group_order"] == len(operations)
    matrices = np.array([operation.rotation_matrix for operation in operations])
    determinants = np.linalg.det(matrices).round()
    assert found["centrosymmetric"] == any((matrix == -np.eye(3)).all() for matrix in matrices)
    assert found["sohncke"] == (determinants > 0).all()
    # A polar group leaves a vector alone: so does the mean of its operations.
    assert found["polar"] == (np.abs(matrices.mean(0)).max() > 1e-9)
    assert 2 ** found["primitive_sites log2"] == pytest.approx(len(primitive))
    orbits = symmetrised.equivalent_indices
    assert found["orbits_per_site"] == pytest.approx(len(orbits) / len(primitive))
    orders = [len(operations) / len(orbit) for orbit in orbits for _ in orbit]
    assert found["site_symmetry log2"] == pytest.approx(np.log2(orders).mean())
    assert found["general_position_share"] == pytest.approx(np.mean(np.array(orders) == 1))


def test_lattice_shapes_of_the_textbook() -> None:
    root2 = math.sqrt(2)
    assert describe(simple_cubic())["shortest_period"] == pytest.approx(3.35)
    for make, shortest, skewness in ((fcc, 3.61 / root2, root2), (bcc, 2.87 * math.sqrt(3) / 2, 3 * math.sqrt(3) / 4)):
        found = describe(make())
        assert found["shortest_period"] == pytest.approx(shortest)
        assert found["period_ratio 2"] == found["period_ratio 3"] == pytest.approx(1)
        assert found["lattice_skewness"] == pytest.approx(skewness)
    found = describe(molybdenite())
    assert found["shortest_period"] == pytest.approx(3.16)
    assert found["period_ratio 2"] == pytest.approx(1)
    assert found["period_ratio 3"] == pytest.approx(12.29 / 3.16)
    assert found["lattice_skewness"] == pytest.approx(2 / math.sqrt(3))


def test_packing_of_the_textbook() -> None:
    expected = {
        fcc: math.pi / 3 / math.sqrt(2),
        hcp: math.pi / 3 / math.sqrt(2),
        bcc: math.pi * math.sqrt(3) / 8,
        simple_cubic: math.pi / 6,
        diamond: math.pi * math.sqrt(3) / 16,
        rocksalt: math.pi / 6,
    }
    for make, packing in expected.items():
        assert describe(make())["touching_packing"] == pytest.approx(packing), make.__name__
    assert describe(fcc())["nearest_distance scaled"] == pytest.approx(2 ** (1 / 6))
    assert describe(simple_cubic())["nearest_distance scaled"] == pytest.approx(1)


@pytest.mark.parametrize("make", CRYSTALS, ids=lambda make: make.__name__)
def test_density_is_that_of_pymatgen(make: Callable[[], Structure]) -> None:
    crystal, found = make(), describe(make())
    assert found["density"] == pytest.approx(crystal.density, rel=1e-6)
    assert found["volume_per_atom"] == pytest.approx(crystal.volume / len(crystal))
    apart = sum(site.specie.molar_volume for site in crystal) / 0.602214076
    assert found["volume_vs_elements"] == pytest.approx(crystal.volume / apart)
    radii = [TABLE["covalent_radius"][site.specie.Z] for site in crystal]
    assert found["covalent_packing"] == pytest.approx(sum(4 / 3 * np.pi * np.array(radii) ** 3) / crystal.volume)
    outer = sum(sum(TABLE[f"valence_{shell}"][site.specie.Z] for shell in "spdf") for site in crystal)
    assert found["valence_electron_density"] == pytest.approx(outer / crystal.volume)


def test_coordination_of_the_textbook() -> None:
    # The second shells of close packing and of rock salt count a little: weights exp(1 - 8) and less.
    for make, number in ((fcc, 12), (diamond, 4), (simple_cubic, 6), (rocksalt, 6), (zincblende, 4), (graphite, 3)):
        found = describe(make())
        assert found["coordination_number mean"] == pytest.approx(number, rel=0.01), make.__name__
        assert found["coordination_number deviation"] == pytest.approx(0, abs=1e-9)
    found = describe(quartz())
    assert found["coordination_number electropositive"] == pytest.approx(4, rel=0.01)
    assert found["coordination_number electronegative"] == pytest.approx(2, rel=0.01)
    assert found["coordination_number 4"] == pytest.approx(1 / 3, abs=0.01)
    assert found["coordination_number 2"] == pytest.approx(2 / 3, abs=0.01)
    found = describe(perovskite())
    assert found["coordination_number max"] == pytest.approx(13.9, abs=0.05), "Sr: 12 O × 1.08, 8 Ti × 0.12"
    assert describe(graphite())["coordination_number 3"] == pytest.approx(1)
    assert describe(fcc())["coordination_number 12"] == pytest.approx(1)


@pytest.mark.parametrize("make", [fcc, diamond, simple_cubic, zincblende, graphite], ids=lambda make: make.__name__)
def test_coordination_in_regular_surroundings_is_that_of_pymatgen(make: Callable[[], Structure]) -> None:
    crystal = make()
    weights = [neighbour["weight"] for neighbour in EconNN(tol=1e-4, cutoff=8).get_nn_info(crystal, 0)]
    # pymatgen goes on until the mean distance is the same.
    assert describe(crystal)["coordination_number min"] == pytest.approx(sum(weights), rel=2e-4)


def test_bonds_and_angles_of_the_textbook() -> None:
    found = describe(diamond())
    assert found["bond_length mean"] == pytest.approx(5.43 * math.sqrt(3) / 4)
    assert found["bond_length deviation"] == pytest.approx(0, abs=1e-9)
    assert found["bond_angle mean"] == pytest.approx(math.degrees(math.acos(-1 / 3)))
    assert found["bond_angle deviation"] == pytest.approx(0, abs=1e-6)
    # 109.47° lies between 105° and 120°.
    assert found["bond_angle 105°"] == pytest.approx((120 - 109.4712) / 15, abs=1e-5)
    assert found["bond_angle 120°"] == pytest.approx((109.4712 - 105) / 15, abs=1e-5)
    found = describe(simple_cubic())
    assert found["bond_angle 90°"] == pytest.approx(12 / 15, abs=0.02), "of 15 angles of six bonds"
    assert found["bond_angle 180°"] == pytest.approx(3 / 15, abs=0.02)
    found = describe(rutile())
    assert found["bond_length mean"] == pytest.approx(1.965, abs=0.02)
    assert found["bond_length_ratio mean"] == pytest.approx(1.965 / (TABLE["covalent_radius"][22] + 0.66), abs=0.01)
    assert describe(graphite())["bond_angle 120°"] == pytest.approx(1)


def test_orientational_order_of_the_textbook() -> None:
    # Steinhardt et al. 1983, figure 2; here a second shell of little weight counts as well.
    for make, q4, q6 in (
        (fcc, 0.191, 0.575),
        (hcp, 0.097, 0.485),
        (simple_cubic, 0.764, 0.354),
        (diamond, 0.509, 0.629),
    ):
        found = describe(make())
        assert found["orientational_order_4 mean"] == pytest.approx(q4, abs=0.004), make.__name__
        assert found["orientational_order_6 mean"] == pytest.approx(q6, abs=0.004), make.__name__
        assert found["orientational_order_4 deviation"] == pytest.approx(0, abs=1e-9)
        assert found["orientational_order_1 max"] == pytest.approx(0, abs=1e-6)
    assert describe(diamond())["orientational_order_3 mean"] == pytest.approx(0.745, abs=0.004)


@pytest.mark.parametrize("make", CRYSTALS, ids=lambda make: make.__name__)
def test_networks_are_those_of_pymatgen(make: Callable[[], Structure]) -> None:
    crystal = make()
    graph = StructureGraph.from_empty_graph(crystal)
    radius = TABLE["covalent_radius"]
    for i, site in enumerate(crystal):
        for neighbour in crystal.get_neighbors(site, 8):
            if neighbour.nn_distance <= 1.2 * (radius[site.specie.Z] + radius[neighbour.specie.Z]):
                graph.add_edge(i, neighbour.index, to_jimage=neighbour.image, warn_duplicates=False)
    expected = get_dimensionality_larsen(graph)
    found = describe(crystal)
    assert [found[f"network {d}d"] for d in range(4)] == [float(d == expected) for d in range(4)]


def test_networks_of_layers_chains_and_molecules() -> None:
    assert describe(graphite())["network 2d"] == describe(molybdenite())["network 2d"] == 1
    # A chain of selenium along c, and lone atoms of xenon.
    lattice = Lattice.orthorhombic(20, 20, 4.8)
    found = describe(Structure(lattice, ["Se", "Se", "Xe"], [[0, 0, 0], [0, 0, 0.5], [0.5, 0.5, 0]]))
    assert found["network 1d"] == pytest.approx(2 / 3)
    assert found["network 0d"] == pytest.approx(1 / 3)
    slanted = Structure(Lattice([[2.4, 0, 0], [2.4, 20, 0], [2.4, 0, 20]]), ["Se"], [[0.1, 0.9, 0.3]])
    assert describe(slanted)["network 1d"] == 1
    nitrogen = Structure(Lattice.cubic(6), ["N", "N"], [[0, 0, 0.95], [0, 0, 0.13]])
    assert describe(nitrogen)["network 0d"] == 1


@pytest.mark.parametrize("make", [rocksalt, caesium_chloride, zincblende, perovskite], ids=lambda make: make.__name__)
def test_electrostatics_is_ewald_summation(make: Callable[[], Structure]) -> None:
    crystal = make().copy()
    negativity = np.array([site.specie.X for site in crystal])
    charges = negativity.mean() - negativity
    crystal.add_oxidation_state_by_site(charges.tolist())
    ewald = EwaldSummation(crystal, acc_factor=12)
    found = describe(crystal)
    assert found["electrostatic_energy"] == pytest.approx(ewald.total_energy / len(crystal), rel=0.03)
    # The energy of a site is its charge times half the potential; in pymatgen, all of it.
    potentials = [2 * ewald.get_site_energy(i) / charges[i] for i in range(len(crystal))]
    assert found["electrostatic_potential deviation"] == pytest.approx(np.std(potentials), rel=0.03)


def test_radial_density_of_dense_crystals_is_their_density() -> None:
    for make in (fcc, bcc):
        crystal, found = make(), describe(make())
        far = [found[f"radial_density {r:.1f} Å"] for r in (3.5, 4, 4.5, 5, 5.5, 6)]
        assert np.mean(far) == pytest.approx(len(crystal) / crystal.volume, rel=0.2)
        assert found["radial_density 1.0 Å"] == found["radial_charge 2.5 Å"] == 0

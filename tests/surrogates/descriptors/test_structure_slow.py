"""Structure descriptors against a slow computation, atom by atom and bond by bond, from pymatgen's neighbours."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure
from scipy.special import sph_harm_y

from surrogates.descriptors.elements import element_table
from surrogates.descriptors.structural import network, packing, symmetry
from surrogates.descriptors.structure import StructureDescriptor

TABLE = element_table()
NAMES = [feature.name for feature in StructureDescriptor().feature_table()]
ELSEWHERE = {feature.name for group in (symmetry, network, packing) for feature in group.COLUMNS}
ELSEWHERE |= {"electrostatic_energy", "electrostatic_potential deviation"}
"""Tested against pymatgen in test_structure_reference.py."""


@dataclass(frozen=True)
class Bond:
    """A bond of a site."""

    one: int
    other: int
    length: float
    direction: np.ndarray
    weight: float


def strange(seed: int, sites: int = 7) -> Structure:
    """Return a crystal without any symmetry, of atoms that are not too near."""
    rng = np.random.default_rng(seed)
    while True:
        lattice = Lattice.from_parameters(*rng.uniform(4.5, 7, 3), *rng.uniform(65, 115, 3))
        symbols = rng.choice(["Na", "Ti", "O", "S", "Xe", "U", "H", "Zn"], sites)
        crystal = Structure(lattice, symbols, rng.uniform(size=(sites, 3)))
        if crystal.is_valid(tol=1.2):
            return crystal


def bonds_of(crystal: Structure, i: int) -> list[Bond]:
    """Return what the site's neighbours are by the formula, those of next to no weight left out."""
    neighbours = crystal.get_neighbors(crystal[i], 8)
    lengths = np.array([neighbour.nn_distance for neighbour in neighbours])
    weights = np.exp(1 - (lengths / lengths.min()) ** 6)
    weights = np.exp(1 - (lengths / np.average(lengths, weights=weights)) ** 6)
    return [
        Bond(i, neighbour.index, length, (neighbour.coords - crystal[i].coords) / length, weight)
        for neighbour, length, weight in zip(neighbours, lengths.tolist(), weights.tolist(), strict=True)
        if weight >= 1e-4
    ]


def mean(bonds: Sequence[Bond], value: Callable[[Bond], float]) -> float:
    return float(np.average([value(bond) for bond in bonds], weights=[bond.weight for bond in bonds]))


def deviation(bonds: Sequence[Bond], value: Callable[[Bond], float]) -> float:
    centre = mean(bonds, value)
    return math.sqrt(mean(bonds, lambda bond: (value(bond) - centre) ** 2))


def shares(
    name: str, knots: Sequence[float], values: Sequence[float], weights: Iterable[float] | None = None
) -> dict[str, float]:
    """Share of values about each knot: a function that is 1 there, 0 at the others, and straight in between."""
    weights = None if weights is None else list(weights)
    hats = np.eye(len(knots))
    return {
        name.format(knot): float(np.average(np.interp(values, knots, hat), weights=weights))
        for knot, hat in zip(knots, hats, strict=True)
    }


def coordination(crystal: Structure, by_site: list[list[Bond]]) -> dict[str, float]:
    number = [sum(bond.weight for bond in bonds) for bonds in by_site]
    negativity = np.array([TABLE["electronegativity"][site.specie.Z] for site in crystal])
    return {
        "coordination_number mean": float(np.mean(number)),
        "coordination_number deviation": float(np.std(number)),
        "coordination_number min": min(number),
        "coordination_number max": max(number),
        "coordination_number electropositive": float(np.mean(np.array(number)[negativity == negativity.min()])),
        "coordination_number electronegative": float(np.mean(np.array(number)[negativity == negativity.max()])),
        **shares("coordination_number {:g}", (1, 2, 3, 4, 6, 8, 10, 12), number),
    }


def lengths(crystal: Structure, by_site: list[list[Bond]]) -> dict[str, float]:
    every = [bond for bonds in by_site for bond in bonds]
    radius = TABLE["covalent_radius"][[site.specie.Z for site in crystal]]
    nearest = [min(bond.length for bond in bonds) for bonds in by_site]
    of_site = [mean(bonds, lambda bond: bond.length) for bonds in by_site]
    spread = [deviation(b, lambda bond: bond.length) / of for b, of in zip(by_site, of_site, strict=True)]

    def ratio(bond: Bond) -> float:
        return float(bond.length / (radius[bond.one] + radius[bond.other]))

    return {
        "bond_length mean": mean(every, lambda bond: bond.length),
        "bond_length deviation": deviation(every, lambda bond: bond.length),
        "nearest_distance deviation": float(np.std(nearest)),
        "nearest_distance min": min(nearest),
        "nearest_distance max": max(nearest),
        "bond_length_spread mean": float(np.mean(spread)),
        "bond_length_spread max": max(spread),
        "bond_length_spread between_sites": float(np.std(of_site) / np.mean(of_site)),
        "bond_length_ratio mean": mean(every, ratio),
        "bond_length_ratio deviation": deviation(every, ratio),
        **shares(
            "bond_length_ratio {:.1f}",
            (0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3),
            [ratio(bond) for bond in every],
            [bond.weight for bond in every],
        ),
    }


def steinhardt(bonds: list[Bond], order: int) -> float:
    """Return q of a site from spherical harmonics."""
    x, y, z = np.array([bond.direction for bond in bonds]).T
    weights = np.array([bond.weight for bond in bonds])
    polar, azimuth = np.arccos(np.clip(z, -1, 1)), np.arctan2(y, x)
    sums = [weights @ sph_harm_y(order, m, polar, azimuth) / weights.sum() for m in range(-order, order + 1)]
    return math.sqrt(4 * math.pi / (2 * order + 1) * sum(abs(value) ** 2 for value in sums))


def angles(_: Structure, by_site: list[list[Bond]]) -> dict[str, float]:
    angle, weight = [], []
    for bonds in by_site:
        for one, other in itertools.combinations(bonds, 2):
            angle.append(math.degrees(math.acos(np.clip(one.direction @ other.direction, -1, 1))))
            weight.append(one.weight * other.weight)
    centre = np.average(angle, weights=weight)
    q = {order: [steinhardt(bonds, order) for bonds in by_site] for order in (1, 2, 3, 4, 6)}
    return {
        "bond_angle mean": float(centre),
        "bond_angle deviation": math.sqrt(np.average((np.array(angle) - centre) ** 2, weights=weight)),
        **shares("bond_angle {:g}°", (60, 75, 90, 105, 120, 135, 150, 180), angle, weight),
        **{f"orientational_order_{order} mean": float(np.mean(values)) for order, values in q.items()},
        "orientational_order_4 deviation": float(np.std(q[4])),
        "orientational_order_6 deviation": float(np.std(q[6])),
        "orientational_order_1 max": max(q[1]),
    }


def radial(crystal: Structure, _: list[list[Bond]]) -> dict[str, float]:
    negativity = np.array([TABLE["electronegativity"][site.specie.Z] for site in crystal])
    charge = negativity.mean() - negativity
    found = {}
    near = [
        (n.nn_distance, charge[i] * charge[n.index]) for i, s in enumerate(crystal) for n in crystal.get_neighbors(s, 7)
    ]
    for r in np.arange(1, 6.1, 0.5):
        volume = 4 * math.pi * 0.5 * (r**2 + 0.5**2 / 6) * len(crystal)
        hats = [max(1 - abs(distance - r) / 0.5, 0) for distance, _ in near]
        found[f"radial_density {r:.1f} Å"] = sum(hats) / volume
        if 1.5 <= r <= 4.5:
            found[f"radial_charge {r:.1f} Å"] = sum(h * q for h, (_, q) in zip(hats, near, strict=True)) / volume
    return found


def chemistry(crystal: Structure, by_site: list[list[Bond]]) -> dict[str, float]:
    every = [bond for bonds in by_site for bond in bonds]
    number = [sum(bond.weight for bond in bonds) for bonds in by_site]
    z = [site.specie.Z for site in crystal]
    of = {prop.name: TABLE[prop.name][z] for prop in TABLE.properties}
    chi, outer, d = of["electronegativity"], of["valence_s"] + of["valence_p"], of["valence_d"]
    give = [outer[i] + (d[i] if d[i] < 10 else 0) for i in range(len(z))]
    take = [1 if z[i] == 1 else min(max(8 - outer[i], 0), 4) for i in range(len(z))]
    metal = [site.specie.is_metal for site in crystal]

    def rise(bond: Bond) -> float:
        return float(abs(chi[bond.one] - chi[bond.other]))

    def at_end(value: Callable[[int], float], bond: Bond, sign: int) -> float:
        ends = sorted((bond.one, bond.other), key=lambda i: sign * chi[i])
        return value(ends[0]) if rise(bond) > 0 else (value(ends[0]) + value(ends[1])) / 2

    def low(value: Callable[[int], float]) -> float:
        return mean(every, lambda bond: at_end(value, bond, 1))

    def high(value: Callable[[int], float]) -> float:
        return mean(every, lambda bond: at_end(value, bond, -1))

    def energy(bond: Bond) -> float:
        gives = at_end(lambda i: give[i] / number[i], bond, 1)
        takes = at_end(lambda i: take[i] / number[i], bond, -1)
        return float(bond.weight * min(gives, takes) * rise(bond) ** 2)

    def difference(name: str) -> float:
        return mean(every, lambda bond: abs(of[name][bond.one] - of[name][bond.other]))

    def contrasts(name: str) -> list[float]:
        return [abs(of[name][b[0].one] - mean(b, lambda bond: of[name][bond.other])) for b in by_site]

    def dipole(bonds: list[Bond]) -> float:
        total = sum(bond.weight * (chi[bond.other] - chi[bond.one]) * bond.direction for bond in bonds)
        return float(np.linalg.norm(total)) / sum(bond.weight for bond in bonds)

    return {
        "electronegativity mean": float(chi.mean()),
        "electronegativity min": float(chi.min()),
        "electronegativity max": float(chi.max()),
        "covalent_radius deviation": float(np.std(of["covalent_radius"])),
        "valence_p mean": float(of["valence_p"].mean()),
        "valence_p deviation": float(np.std(of["valence_p"])),
        "valence_d mean": float(d.mean()),
        "valence_d deviation": float(np.std(d)),
        "electron_affinity mean": float(of["electron_affinity"].mean()),
        "melting_point mean": float(np.mean([site.specie.melting_point for site in crystal])),
        "electronegativity_difference mean": mean(every, rise),
        "electronegativity_difference deviation": deviation(every, rise),
        **shares(
            "electronegativity_difference {:.1f}",
            (0, 0.5, 1, 1.5, 2, 2.5, 3),
            [rise(bond) for bond in every],
            [bond.weight for bond in every],
        ),
        "bonds alike": mean(every, lambda bond: z[bond.one] == z[bond.other]),
        "bonds metal_nonmetal": mean(every, lambda bond: metal[bond.one] != metal[bond.other]),
        "bonds nonmetal_nonmetal": mean(every, lambda bond: not (metal[bond.one] or metal[bond.other])),
        "covalent_radius_difference": difference("covalent_radius"),
        "molar_volume_difference": difference("molar_volume"),
        "melting_point_difference": difference("melting_point"),
        "bond_polarity": mean(every, lambda bond: rise(bond) ** 2 * at_end(lambda i: outer[i], bond, 1)),
        "pauling_energy": sum(energy(bond) for bond in every) / 2 / len(z),
        "electropositive_end molar_volume": low(lambda i: of["molar_volume"][i]),
        "electropositive_end valence_d": low(lambda i: d[i]),
        "electropositive_end electrons_per_bond": low(lambda i: give[i] / number[i]),
        "electronegative_end valence_p": high(lambda i: of["valence_p"][i]),
        "electronegative_end electron_affinity": high(lambda i: of["electron_affinity"][i]),
        "electronegative_end covalent_radius": high(lambda i: of["covalent_radius"][i]),
        "electronegative_end group": high(lambda i: crystal[i].specie.group),
        "electronegativity_contrast mean": float(np.mean(contrasts("electronegativity"))),
        "electronegativity_contrast max": max(contrasts("electronegativity")),
        "electronegativity_difference min": min(mean(bonds, rise) for bonds in by_site),
        "covalent_radius_contrast": float(np.mean(contrasts("covalent_radius"))),
        "molar_volume_contrast": float(np.mean(contrasts("molar_volume"))),
        "valence_p_contrast": float(np.mean(contrasts("valence_p"))),
        "valence_d_contrast": float(np.mean(contrasts("valence_d"))),
        "bond_dipole": float(np.mean([dipole(bonds) for bonds in by_site])),
    }


@pytest.mark.parametrize("seed", range(4))
def test_columns_are_those_of_a_slow_loop(seed: int) -> None:
    crystal = strange(seed)
    assert len({site.specie for site in crystal}) >= 4
    by_site = [bonds_of(crystal, i) for i in range(len(crystal))]
    expected: dict[str, float] = {}
    for group in (coordination, lengths, angles, radial, chemistry):
        expected |= group(crystal, by_site)
    assert set(expected) == set(NAMES) - ELSEWHERE, "every column is here or compared with pymatgen"
    found = dict(zip(NAMES, StructureDescriptor().transform([crystal])[0], strict=True))
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=1e-9, abs=1e-12), name

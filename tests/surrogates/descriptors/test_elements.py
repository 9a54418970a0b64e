"""The table of the elements: values of the literature, and what stands where nothing is known."""

from __future__ import annotations

import numpy as np
import pytest
from pymatgen.core import Element

from surrogates.descriptors.elements import ELEMENT_PROPERTIES, MORE_PROPERTIES, element_table
from surrogates.errors import SurrogateError

TABLE = element_table()


def value(name: str, symbol: str) -> float:
    return float(TABLE[name][Element(symbol).Z])


def known(name: str, symbol: str) -> bool:
    names = [prop.name for prop in TABLE.properties]
    return bool(TABLE.known[Element(symbol).Z, names.index(name)])


def test_there_are_no_gaps_and_nothing_can_be_overwritten() -> None:
    assert TABLE.properties == ELEMENT_PROPERTIES + MORE_PROPERTIES
    assert len({prop.name for prop in TABLE.properties}) == len(TABLE.properties)
    assert TABLE.values.shape == TABLE.known.shape == (119, len(TABLE.properties))
    assert np.isfinite(TABLE.values[1:]).all()
    assert np.isnan(TABLE.values[0]).all()
    assert not TABLE.known[0].any()
    with pytest.raises(ValueError, match="read-only"):
        TABLE["atomic_mass"][1] = 2.0


def test_known_values_are_pymatgens() -> None:
    for symbol in ("H", "O", "Fe", "Pb", "U"):
        element = Element(symbol)
        assert value("atomic_number", symbol) == element.Z
        assert value("atomic_mass", symbol) == float(element.atomic_mass)
        assert value("electronegativity", symbol) == element.X
        assert value("atomic_radius", symbol) == float(element.atomic_radius)
        assert value("melting_point", symbol) == float(element.melting_point)
        assert value("group", symbol) == element.group


def test_valence_electrons_are_those_of_magpie() -> None:
    # NsValence, NpValence, NdValence, NfValence of matminer 0.10.1.
    magpie = {
        "H": (1, 0, 0, 0),
        "O": (2, 4, 0, 0),
        "Fe": (2, 0, 6, 0),
        "Pd": (0, 0, 10, 0),
        "Ce": (2, 0, 1, 1),
        "Lu": (2, 0, 1, 14),
        "Hf": (2, 0, 2, 14),
        "Bi": (2, 3, 10, 14),
        "U": (2, 0, 1, 3),
    }
    for symbol, expected in magpie.items():
        assert tuple(value(f"valence_{shell}", symbol) for shell in "spdf") == expected


def test_valence_electrons_add_up_to_the_last() -> None:
    # What is beyond the noble gas core, for all 118: also where the configuration is that of a stand-in.
    cores = np.array([0, 2, 10, 18, 36, 54, 86])
    for z in range(1, 119):
        core = cores[cores < z].max()
        assert sum(TABLE[f"valence_{shell}"][z] for shell in "spdf") == z - core, Element.from_Z(z)


@pytest.mark.parametrize(
    ("symbol", "ionic", "crystal"),
    [
        ("O", 1.40, 1.26),
        ("F", 1.33, 1.19),  # not the mean with F7+
        ("Na", 1.02, 1.16),
        ("Mg", 0.72, 0.86),
        ("Al", 0.535, 0.675),
        # Fe2+: low and high spin 0.61 and 0.78; Fe3+: 0.55 and 0.645. Fe4+ and Fe6+ are rare.
        ("Fe", ((0.61 + 0.78) / 2 + (0.55 + 0.645) / 2) / 2, ((0.75 + 0.92) / 2 + (0.69 + 0.785) / 2) / 2),
        # Eu2+ and Eu3+; a third entry of the table has no charge.
        ("Eu", (1.17 + 0.947) / 2, (1.31 + 1.087) / 2),
        # H+ in twofold and single coordination: there is none of six.
        ("H", -0.28, -0.14),
    ],
)
def test_shannon_radii(symbol: str, ionic: float, crystal: float) -> None:
    assert value("ionic_radius", symbol) == pytest.approx(ionic)
    assert value("crystal_radius", symbol) == pytest.approx(crystal)
    assert known("ionic_radius", symbol)


@pytest.mark.parametrize(
    ("name", "symbol", "stand_in"),
    [
        ("melting_point", "Rf", "Hf"),
        ("electronegativity", "Og", "Rn"),
        ("covalent_radius", "Bk", "Tb"),  # actinides stand below lanthanides
        ("covalent_radius", "Lr", "Lu"),
        ("atomic_radius", "Fr", "Cs"),
        ("atomic_radius", "At", "I"),
        ("ionic_radius", "Kr", "Xe"),
        ("ionic_radius", "Rn", "Xe"),
        ("valence_d", "Sg", "W"),
        ("mendeleev_number", "Ts", "At"),
    ],
)
def test_what_is_not_known_is_taken_from_the_column(name: str, symbol: str, stand_in: str) -> None:
    assert not known(name, symbol)
    assert known(name, stand_in)
    assert value(name, symbol) == value(name, stand_in)


def test_noble_gases_have_the_radii_of_clementi_and_the_electronegativity_of_allen() -> None:
    radii = {"He": 0.31, "Ne": 0.38, "Ar": 0.71, "Kr": 0.88, "Xe": 1.08, "Rn": 1.20}
    assert {symbol: value("atomic_radius", symbol) for symbol in radii} == radii
    assert value("electronegativity", "Ne") == 4.787


def test_little_had_to_be_filled_of_the_elements_that_occur() -> None:
    # Up to plutonium, noble gases apart.
    gases = {2, 10, 18, 36, 54, 86}
    missing = {
        (prop.name, Element.from_Z(z).symbol)
        for z in range(1, 95)
        for j, prop in enumerate(TABLE.properties)
        if z not in gases and not TABLE.known[z, j]
    }
    assert missing == {
        ("atomic_radius", "At"),
        ("atomic_radius", "Fr"),
        ("log10_thermal_conductivity", "Fr"),
        ("molar_volume", "At"),
        ("molar_volume", "Fr"),
    }


def test_unknown_name_is_said() -> None:
    with pytest.raises(SurrogateError, match=r"'weight'.*atomic_mass"):
        TABLE["weight"]

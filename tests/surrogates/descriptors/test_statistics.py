"""Formulas as numbers, against hand calculations and invariances."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymatgen.core import Composition, Element

from surrogates.descriptors.elements import ELEMENT_PROPERTIES, ElementProperty, element_value
from surrogates.descriptors.formulas import parse_formulas
from surrogates.descriptors.statistics import STATISTICS, element_features
from surrogates.errors import SurrogateError

BY_NAME = {prop.name: prop for prop in ELEMENT_PROPERTIES}
SYMBOLS = [Element.from_Z(z).symbol for z in range(1, 97) if z not in (85, 87)]


def test_known_values_of_the_literature() -> None:
    assert element_value(8, BY_NAME["electronegativity"]) == 3.44  # Pauling
    assert element_value(26, BY_NAME["melting_point"]) == pytest.approx(1811, abs=1)
    assert element_value(3, BY_NAME["ionisation_energy"]) == pytest.approx(5.3917, abs=1e-3)
    assert element_value(17, BY_NAME["electron_affinity"]) == pytest.approx(3.6127, abs=1e-3)
    assert element_value(6, BY_NAME["covalent_radius"]) == pytest.approx(0.76, abs=0.04)  # Cordero, sp3
    assert element_value(2, BY_NAME["electronegativity"]) == 4.160  # Allen


@pytest.mark.parametrize(
    ("symbol", "expected"),
    [
        ("H", (1, 0, 0, 0)),
        ("He", (2, 0, 0, 0)),
        ("O", (2, 4, 0, 0)),
        ("Fe", (2, 0, 6, 0)),
        ("Cr", (1, 0, 5, 0)),
        ("Ce", (2, 0, 1, 1)),
        ("Bi", (2, 3, 10, 14)),
    ],
)
def test_valence_electrons(symbol: str, expected: tuple[int, ...]) -> None:
    number = Element(symbol).Z
    found = tuple(element_value(number, BY_NAME[f"valence_{shell}"]) for shell in "spdf")
    assert found == expected
    assert sum(found) == number - {"H": 0, "He": 0, "O": 2, "Fe": 18, "Cr": 18, "Ce": 54, "Bi": 54}[symbol]


def test_hand_calculation_for_haematite() -> None:
    features = element_features(["Fe2O3"], [BY_NAME["electronegativity"]])
    iron, oxygen = 1.83, 3.44
    mean = 0.4 * iron + 0.6 * oxygen
    expected = [mean, 0.4 * (mean - iron) + 0.6 * (oxygen - mean), iron, oxygen, oxygen - iron]
    np.testing.assert_allclose(features.values, [expected])
    assert features.names == tuple(f"electronegativity {s}" for s in STATISTICS)
    assert features.units == ("Pauling",) * 5


def test_same_as_a_loop_over_pymatgen() -> None:
    formulas = ["NaCl", "BiSb(Se0.92Br0.08)3", "U", "Li.5Na.5Mn2O4", "NaCl", "CsH"]
    features = element_features(formulas)
    assert features.values.shape == (6, 75)
    for row, formula in enumerate(formulas):
        composition = Composition(formula)
        for j, prop in enumerate(ELEMENT_PROPERTIES):
            values = [prop.of(e) for e in composition]
            weights = [composition.get_atomic_fraction(e) for e in composition]
            mean = sum(w * v for w, v in zip(weights, values, strict=True))
            deviation = sum(w * abs(v - mean) for w, v in zip(weights, values, strict=True))
            low, high = min(values), max(values)
            found = features.values[row, 5 * j : 5 * j + 5]
            np.testing.assert_allclose(found, [mean, deviation, low, high, high - low], rtol=1e-12, atol=1e-12)


def test_deuterium_counts_as_hydrogen() -> None:
    parsed = parse_formulas(["HDO", "H2O"])
    assert parsed.chemical_systems() == ("H-O", "H-O")
    features = element_features(parsed)
    np.testing.assert_array_equal(features.values[0], features.values[1])


def test_every_property_is_known_up_to_curium() -> None:
    features = element_features(SYMBOLS)
    assert np.isfinite(features.values).all()
    # One element: no spread, and mean, minimum and maximum agree.
    cube = features.values.reshape(len(SYMBOLS), len(ELEMENT_PROPERTIES), len(STATISTICS))
    np.testing.assert_allclose(cube[..., [1, 4]], 0, atol=1e-9)
    np.testing.assert_allclose(cube[..., 0], cube[..., 2])
    assert len({tuple(row) for row in cube[..., 0]}) == len(SYMBOLS), "two elements look the same"


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.sampled_from(SYMBOLS), st.integers(1, 40), min_size=1, max_size=6), st.integers(2, 9))
def test_multiples_and_order_change_nothing(amounts: dict[str, int], factor: int) -> None:
    one = "".join(f"{symbol}{amount}" for symbol, amount in amounts.items())
    other = "".join(f"{symbol}{amount * factor}" for symbol, amount in reversed(amounts.items()))
    features = element_features([one, other])
    np.testing.assert_allclose(features.values[0], features.values[1], rtol=1e-9, atol=1e-9)
    cube = features.values[0].reshape(-1, len(STATISTICS))
    mean, deviation, low, high, spread = cube.T
    slack = 1e-9 * (1 + np.abs(cube).max())
    assert (low - slack <= mean).all()
    assert (mean <= high + slack).all()
    # The mean absolute deviation of anything within an interval is at most half of it.
    assert (deviation <= spread / 2 + slack).all()
    parsed = parse_formulas([one, other])
    np.testing.assert_allclose(np.add.reduceat(parsed.fraction, parsed.start), 1)
    assert parsed.chemical_systems() == ("-".join(sorted(amounts)),) * 2


@pytest.mark.parametrize("formula", ["", "xyz", "Fe(OH", "R2O3", "NaCl*2H2O", "Fe-2", None, math.nan])
def test_unreadable_formula_is_named_with_its_row(formula: str) -> None:
    with pytest.raises(SurrogateError, match="row 2") as caught:
        element_features(["NaCl", "Fe2O3", formula])
    assert repr(formula) in str(caught.value)


def test_unknown_property_is_named() -> None:
    with pytest.raises(SurrogateError, match=r"row 1: .* of Fr is not known"):
        element_features(["NaCl", "FrCl"])
    with pytest.raises(SurrogateError, match="row 0: made_up of Cl is not known"):
        element_features(["ClNa"], [ElementProperty("made_up", "1", {Element("Na"): 1.0}.__getitem__)])


def test_unknown_statistic_is_named() -> None:
    with pytest.raises(SurrogateError, match="median"):
        element_features(["NaCl"], statistics=["mean", "median"])


def test_no_formulas_no_rows() -> None:
    assert element_features([]).values.shape == (0, 75)

"""Formulas: as pymatgen reads them, and a rule for what pymatgen leaves open."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymatgen.core import Composition, DummySpecies, Element, Species
from pymatgen.core.ion import Ion

from surrogates.descriptors.formulas import SYMBOLS, amounts_of, parse_formulas, read_formulas
from surrogates.errors import SurrogateError

Amounts = dict[str, float]


def found(formula: Any) -> Amounts:
    return {SYMBOLS[z]: amount for z, amount in amounts_of(formula).items()}


def by_pymatgen(formula: str) -> tuple[tuple[int, float], ...]:
    """Atomic fractions in pymatgen's order."""
    composition = Composition(formula)
    return tuple((element.Z, composition.get_atomic_fraction(element)) for element in composition)


def by_us(formulas: list[str]) -> list[tuple[tuple[int, float], ...]]:
    compositions = parse_formulas(formulas)
    entries = list(zip(compositions.number.tolist(), compositions.fraction.tolist(), strict=True))
    ends = [*compositions.start[1:].tolist(), len(entries)]
    return [tuple(entries[i:j]) for i, j in zip(compositions.start.tolist(), ends, strict=True)]


def test_symbols_are_those_of_the_periodic_table() -> None:
    assert len(SYMBOLS) == 119
    assert (SYMBOLS[1], SYMBOLS[26], SYMBOLS[92], SYMBOLS[118]) == ("H", "Fe", "U", "Og")


@pytest.mark.data("mp_composition_stability", "mp_structures")
@pytest.mark.parametrize("name", ["mp_composition_stability", "mp_structures"])
def test_every_recorded_formula_reads_as_by_pymatgen(name: str, data_dir: Path) -> None:
    formulas = pd.read_parquet(data_dir / name / "dev.parquet", columns=["formula"])["formula"].tolist()
    assert len(formulas) > 40_000
    ours = by_us(formulas)
    wrong = [formula for formula, one in zip(formulas, ours, strict=True) if one != by_pymatgen(formula)]
    assert not wrong


symbols = st.sampled_from(SYMBOLS[1:])
numbers = st.one_of(
    st.just(""),
    st.integers(1, 400).map(str),
    st.floats(0.001, 99).map(lambda x: f"{x:.3f}"),
    st.sampled_from(["1.", ".5", "007", "1e2", "2.50"]),
)
groups = st.tuples(symbols, numbers, st.sampled_from(["", "", "", " ", "  "])).map("".join)
plain = st.lists(groups, min_size=1, max_size=8).map("".join)
nested = st.recursive(
    plain,
    lambda inner: st.lists(
        st.one_of(groups, st.tuples(st.just("("), inner, st.just(")"), numbers).map("".join)), min_size=1, max_size=4
    ).map("".join),
    max_leaves=4,
)


@given(st.one_of(plain, nested))
def test_any_formula_reads_as_by_pymatgen(formula: str) -> None:
    _, errors = read_formulas([formula])
    if errors and "hydrate" in errors[0]:
        assert formula.rstrip().endswith(("H2O", "H2O)"))
        return
    assert dict(by_us([formula])[0]) == pytest.approx(dict(by_pymatgen(formula)), rel=1e-12)


@given(st.text(max_size=20) | st.text("HOFeNa0123456789.()[]{}+-·^²₂ eE*@", max_size=20))
def test_any_text_is_read_or_refused_with_a_reason(text: str) -> None:
    compositions, errors = read_formulas(["NaCl", text, "Fe"])
    assert set(errors) <= {1}
    expected = [0.5, 0.5, *([] if errors else compositions.fraction[2:-1].tolist()), 1.0]
    np.testing.assert_allclose(compositions.fraction, expected)
    if not errors:
        here = compositions.row == 1
        assert compositions.fraction[here].sum() == pytest.approx(1)
        assert (compositions.fraction[here] > 0).all()
        assert len(set(compositions.number[here].tolist())) == here.sum()


@pytest.mark.parametrize(
    ("formula", "expected"),
    [
        # Parentheses, fractions, spaces, as pymatgen prints them.
        ("BiSb(Se0.92Br0.08)3", {"Bi": 1, "Sb": 1, "Se": 2.76, "Br": 0.24}),
        ("K4[Fe(CN)6]", {"K": 4, "Fe": 1, "C": 6, "N": 6}),
        ("Li1 Fe1 P1 O4", {"Li": 1, "Fe": 1, "P": 1, "O": 4}),
        ("CH3CH2OH", {"C": 2, "H": 6, "O": 1}),
        ("NaN", {"Na": 1, "N": 1}),
        ("Fe₂O₃", {"Fe": 2, "O": 3}),
        ("Fe1Cr0O1", {"Fe": 1, "O": 1}),
        # Isotopes are hydrogen.
        ("D2O", {"H": 2, "O": 1}),
        ("HDO", {"H": 2, "O": 1}),
        ("LiT", {"Li": 1, "H": 1}),
        ({"D": 1, "H": 3, "O": 2}, {"H": 4, "O": 2}),
        # Hydrates.
        ("CuSO4·5H2O", {"Cu": 1, "S": 1, "O": 9, "H": 10}),
        ("CaSO4 · 0.5 H2O", {"Ca": 1, "S": 1, "O": 4.5, "H": 1}),
        ("2CaSO4•H2O", {"Ca": 2, "S": 2, "O": 9, "H": 2}),
        ("K4[Fe(CN)6]⋅3(H2O)", {"K": 4, "Fe": 1, "C": 6, "N": 6, "H": 6, "O": 3}),
        ("MgO·Al2O3·2SiO2", {"Mg": 1, "Al": 2, "Si": 2, "O": 8}),
        ("Li0.5H2O", {"Li": 0.5, "H": 2, "O": 1}),
        # Charges are no atoms.
        ("Fe3+", {"Fe": 1}),
        ("SO4[2-]", {"S": 1, "O": 4}),
        ("SO4(2-)", {"S": 1, "O": 4}),
        ("SO4[-2]", {"S": 1, "O": 4}),
        ("SO4^2-", {"S": 1, "O": 4}),
        ("SO4^{2-}", {"S": 1, "O": 4}),
        ("SO₄²⁻", {"S": 1, "O": 4}),
        ("OH-", {"O": 1, "H": 1}),
        ("(NH4)+", {"N": 1, "H": 4}),
        ("Mn++", {"Mn": 1}),
        (Ion.from_formula("SO4-2"), {"S": 1, "O": 4}),
        # Oxidation states are left out.
        (Composition({Species("Fe", 3): 2, Species("O", -2): 3}), {"Fe": 2, "O": 3}),
        (Composition({Species("Fe", 3): 2, Species("Fe", 2): 1, Species("O", -2): 4}), {"Fe": 3, "O": 4}),
        ({"Fe3+": 2, "O2-": 3}, {"Fe": 2, "O": 3}),
        (Composition({Species("D", 1): 1, "Cl": 1}), {"H": 1, "Cl": 1}),
        # All of the periodic table.
        ("Og", {"Og": 1}),
        ("XePtF6", {"Xe": 1, "Pt": 1, "F": 6}),
        ("He", {"He": 1}),
        ("CmLrO3", {"Cm": 1, "Lr": 1, "O": 3}),
    ],
)
def test_rules(formula: Any, expected: Amounts) -> None:
    amounts = found(formula)
    factor = next(iter(amounts.values())) / next(expected[s] for s in amounts)
    assert amounts == pytest.approx({symbol: amount * factor for symbol, amount in expected.items()})


@pytest.mark.parametrize(
    ("formula", "why"),
    [
        ("", "Invalid formula"),
        ("  ", "Invalid formula"),
        ("Fe0", "0 atoms"),
        ("Fe1e400", "inf atoms"),
        ("H" + 400 * "9", "inf atoms"),
        ("Fe-2", "negative"),
        ({"Fe": -2, "O": 3}, "negative"),
        (Composition({"Fe": -2, "O": 3}, allow_negative=True), "-2 atoms of Fe"),
        ("X2O3", "X is no element"),
        ("R2O3", "R is no element"),
        ("Vac2O3", "Vac"),
        (Composition({DummySpecies("Qa", 2): 1, "O": 1}), "Qa is no element"),
        ("Li(1-x)CoO2", "1-x"),
        ("Fe(OH", "invalid"),
        ("Fe1.2.3O", "1.2.3"),
        ("NaCl·", "Invalid formula"),
        ("CuSO4·xH2O", "x"),
        ("CuSO4.5H2O", "hydrate"),
        ("MgCl2.6(H2O)", "hydrate"),
        ("SO42-", "42 before the sign"),
        ("NH4+", "4 before the sign"),
        ("Na+Cl-", "invalid"),
        (None, "NoneType"),
        (math.nan, "keep_default_na"),
        (26, "int"),
        (b"Fe", "bytes"),
        (Element("Fe"), "Element"),
    ],
)
def test_refused_with_a_reason_and_the_row(formula: Any, why: str) -> None:
    _, errors = read_formulas(["NaCl", formula, "Fe2O3"])
    assert list(errors) == [1]
    assert why in errors[1]
    with pytest.raises(SurrogateError, match="row 1: ") as caught:
        parse_formulas(["NaCl", formula])
    assert repr(formula) in str(caught.value)


def test_fractions_and_chemical_systems() -> None:
    compositions, errors = read_formulas(["NaCl", "?", "Fe2O3", "HDO"])
    assert list(errors) == [1]
    assert compositions.n == 4
    assert compositions.row.tolist() == [0, 0, 2, 2, 3, 3]
    assert compositions.number.tolist() == [11, 17, 26, 8, 1, 8]
    np.testing.assert_allclose(compositions.fraction, [0.5, 0.5, 0.4, 0.6, 2 / 3, 1 / 3])
    assert parse_formulas(["NaCl", "D2O"]).chemical_systems() == ("Cl-Na", "H-O")
    assert parse_formulas([]).n == 0

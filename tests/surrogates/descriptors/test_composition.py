"""The 1994 numbers of a composition, against a calculation atom by atom that shares no code with them."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymatgen.core import Composition, Element, Species
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from surrogates.descriptors.base import BadRowError
from surrogates.descriptors.composition import CompositionDescriptor
from surrogates.descriptors.elements import element_table
from surrogates.descriptors.histograms import HISTOGRAMS, Histogram
from surrogates.descriptors.pairs import PAIR_HISTOGRAMS, PAIRS, pair_number

DESCRIPTOR = CompositionDescriptor()
NAMES = DESCRIPTOR.get_feature_names_out().tolist()
TABLE = element_table()
compositions = st.dictionaries(
    st.integers(1, 118).map(lambda z: Element.from_Z(z).symbol), st.integers(1, 40), min_size=1, max_size=7
)


def numbers(formula: object) -> dict[str, float]:
    """Columns that are not 0."""
    row = DESCRIPTOR.transform([formula])[0]
    return {name: number for name, number in zip(NAMES, row.tolist(), strict=True) if number}


ELECTRONS = [{shell: int(np.nan_to_num(TABLE[f"valence_{shell}"][z])) for shell in "spdf"} for z in range(119)]
few = st.dictionaries(
    st.integers(1, 118).map(lambda z: Element.from_Z(z).symbol), st.integers(1, 6), min_size=1, max_size=5
)


def pairs_by_hand(amounts: dict[str, int]) -> dict[str, float]:
    """All that has to do with pairs, from a list of atoms: two are drawn, the first put back."""
    atoms = [Element(symbol).Z for symbol, amount in amounts.items() for _ in range(amount)]
    found: dict[str, float] = {}

    def count(name: str, weight: float) -> None:
        found[name] = found.get(name, 0.0) + weight / len(atoms) ** 2

    for one, other in itertools.product(atoms, repeat=2):
        if one == other:
            continue
        for a, b in itertools.combinations_with_replacement("spdf", 2):
            m, n = ELECTRONS[one][a], ELECTRONS[other][b]
            low, high = (min(m, n), max(m, n)) if a == b else (m, n)
            count(f"spdf_matrix {a}{low} {b}{high}", 1)
            count(f"spdf_difference {a}-{b} {abs(m - n) if a == b else m - n}", 1)
            count(f"spdf_product {a}*{b} {m * n}", 1)
    return found


def test_there_are_1994_columns_each_with_a_name_of_its_own_and_a_meaning() -> None:
    table = DESCRIPTOR.feature_table()
    assert len(table) == 1994
    assert len({feature.name for feature in table}) == 1994
    assert len({feature.meaning for feature in table}) == 1994
    assert all(feature.unit == "1" for feature in table)
    assert [feature.name for feature in table] == NAMES
    assert sum(histogram.bins for histogram in HISTOGRAMS) == 842
    bins = {kind: sum(len(p.bins) for p in PAIR_HISTOGRAMS if p.kind == kind) for kind in ("matrix", "difference")}
    assert bins == {"matrix": 666, "difference": 138}


def test_hand_calculation_for_haematite() -> None:
    found = numbers("Fe2O3")
    assert found["atomic_number 26"] == pytest.approx(0.4)
    assert found["atomic_number 8"] == pytest.approx(0.6)
    assert found["group 8"] == pytest.approx(0.4)
    assert found["group 16"] == pytest.approx(0.6)
    assert found["period 4"] == pytest.approx(0.4)
    assert found["valence_s 2"] == pytest.approx(1)  # 4s² and 2s²
    assert found["valence_d 6"] == pytest.approx(0.4)
    assert found["valence_p 4"] == pytest.approx(0.6)
    # Unlike pairs: 2 · 0.4 · 0.6 = 0.48. One atom has 3d⁶, the other 2p⁴.
    assert found["spdf_matrix p4 d6"] == pytest.approx(0.24)  # first atom O, second Fe
    assert found["spdf_matrix p0 d0"] == pytest.approx(0.24)  # first atom Fe, second O
    assert found["spdf_matrix s2 s2"] == pytest.approx(0.48)
    assert found["spdf_matrix d0 d6"] == pytest.approx(0.48)
    assert found["spdf_difference d-d 6"] == pytest.approx(0.48)
    assert found["spdf_difference p-d -2"] == pytest.approx(0.24)
    assert found["spdf_product p*d 24"] == pytest.approx(0.24)
    assert found["spdf_product s*s 4"] == pytest.approx(0.48)
    # Melting point 1811 K lies between bins: 0.78 of a step below 1850 K. A triangle of ±4 steps.
    assert found["melting_point 1800 K"] == pytest.approx(0.4 * (1 - 0.22 / 4) / 4)
    assert found["melting_point 1950 K"] == pytest.approx(0.4 * (1 - 2.78 / 4) / 4)
    assert "melting_point 2050 K" not in found


@settings(max_examples=60)
@given(few)
def test_pairs_as_counted_atom_by_atom(amounts: dict[str, int]) -> None:
    found = {name: number for name, number in numbers(amounts).items() if name.startswith("spdf_")}
    assert found == pytest.approx(pairs_by_hand(amounts))


@settings(max_examples=60)
@given(compositions)
def test_histograms_have_the_mean_of_the_property(amounts: dict[str, int]) -> None:
    row, at = DESCRIPTOR.transform([amounts])[0], 0
    z = [Element(symbol).Z for symbol in amounts]
    for histogram in HISTOGRAMS:
        part = row[at : at + histogram.bins]
        at += histogram.bins
        assert part.sum() == pytest.approx(1)
        mean = np.average(TABLE[histogram.quantity][z], weights=list(amounts.values()))
        assert part @ histogram.centres == pytest.approx(mean, abs=1e-9), histogram.quantity
    unlike = 1 - np.square(np.array(list(amounts.values())) / sum(amounts.values())).sum()
    for pair in PAIR_HISTOGRAMS:
        assert row[at : at + len(pair.bins)].sum() == pytest.approx(unlike, abs=1e-12)
        at += len(pair.bins)
    assert at == 1994


def test_no_element_is_beyond_the_ends_of_a_histogram() -> None:
    for histogram in HISTOGRAMS:
        values = TABLE[histogram.quantity][1:]
        assert histogram.first <= values.min(), histogram.quantity
        assert values.max() <= histogram.last, histogram.quantity


@given(st.floats(-5, 30), st.integers(1, 6))
def test_a_triangle_is_spread_over_the_bins_it_covers(value: float, half_width: int) -> None:
    histogram = Histogram("melting_point", "K", 0, 2, 11, half_width)
    share = histogram.spread(np.array([value]))[0]
    assert share.sum() == pytest.approx(1)
    assert (share >= 0).all()
    assert share @ histogram.centres == pytest.approx(np.clip(value, 0, 20), abs=1e-9)
    assert np.count_nonzero(share) <= 2 * half_width


def test_pairs_are_numbered_without_gaps() -> None:
    first, second = np.triu_indices(118, 1)
    assert pair_number(first + 1, second + 1).tolist() == list(range(PAIRS))
    assert pair_number(second + 1, first + 1).tolist() == list(range(PAIRS))


@settings(max_examples=30)
@given(compositions, st.integers(2, 9), st.randoms(use_true_random=False))
def test_multiples_order_and_notation_make_no_difference(amounts: dict[str, int], factor: int, random) -> None:
    shuffled = random.sample(list(amounts.items()), len(amounts))
    rows = [
        "".join(f"{symbol}{amount}" for symbol, amount in amounts.items()),
        "".join(f"{symbol}{amount * factor}" for symbol, amount in shuffled),
        Composition(amounts),
        amounts,
        f"({' '.join(f'{symbol}{amount}' for symbol, amount in shuffled)}){factor}",
    ]
    values = DESCRIPTOR.transform(rows)
    np.testing.assert_allclose(values, np.broadcast_to(values[0], values.shape), atol=1e-12)


def test_different_compositions_differ() -> None:
    elements = [Element.from_Z(z).symbol for z in range(1, 119)]
    values = DESCRIPTOR.transform([*elements, "FeO", "Fe2O3", "Fe3O4", "CaFeO3", "Ca2FeO3"])
    assert len({tuple(row) for row in values}) == len(values)


def test_stated_rules() -> None:
    plain = DESCRIPTOR.transform(["Fe2O3", "H2O", "CuSO9H10", "SO4", "Fe", "NdFeO3"])
    other = DESCRIPTOR.transform(
        [
            Composition({Species("Fe", 3): 2, Species("O", -2): 3}),
            "D2O",
            "CuSO4·5H2O",
            "SO4[2-]",
            "Fe3+",
            {"Nd3+": 1, "Fe3+": 1, "O2-": 3},
        ]
    )
    np.testing.assert_allclose(plain, other, atol=1e-12)
    # One element: no pairs. Noble gases and the heaviest elements have all histograms as well.
    single = DESCRIPTOR.transform(["Fe", "He", "U", "Og", "O2"])
    assert not single[:, 842:].any()
    np.testing.assert_allclose(single[:, :842].sum(1), len(HISTOGRAMS))
    # Trace amounts change little: nothing jumps where an element appears.
    pure, traces = DESCRIPTOR.transform(["Fe", "Fe1Og0.000001"])
    assert np.abs(pure - traces).max() < 1e-5


def test_a_bad_row_is_named_or_nan_with_its_reason() -> None:
    rows = ["NaCl", "Fe2O3", "X2O", None, "CuSO4.5H2O"]
    with pytest.raises(BadRowError, match=r"row 2 \('X2O'\): .*X is no element.*on_error"):
        DESCRIPTOR.transform(rows)
    tolerant = CompositionDescriptor(on_error="nan")
    values = tolerant.transform(rows)
    assert list(tolerant.errors_) == [2, 3, 4]
    assert "hydrate" in tolerant.errors_[4]
    assert np.isnan(values[2:]).all()
    np.testing.assert_array_equal(values[:2], DESCRIPTOR.transform(rows[:2]))
    tolerant.transform(rows[:2])
    assert tolerant.errors_ == {}


def test_scikit_learn_takes_it_as_a_transformer() -> None:
    frame = pd.DataFrame({"formula": ["NaCl", "Fe2O3", "MgO"], "gap": [5.0, 2.0, 7.8]}, index=[7, 8, 9])
    expected = DESCRIPTOR.transform(["NaCl", "Fe2O3", "MgO"])
    columns = ColumnTransformer([("formula", CompositionDescriptor(), "formula")], remainder="passthrough")
    np.testing.assert_array_equal(columns.fit_transform(frame)[:, :1994], expected)
    assert columns.get_feature_names_out()[7] == "formula__atomic_number 8"
    table = CompositionDescriptor().set_output(transform="pandas").fit_transform(frame["formula"])
    assert table.index.tolist() == [7, 8, 9]
    assert table.columns.tolist() == NAMES
    scaled = make_pipeline(CompositionDescriptor(), StandardScaler()).fit_transform(frame["formula"])
    np.testing.assert_allclose(scaled.mean(0), 0, atol=1e-12)
    copied = clone(CompositionDescriptor(on_error="nan", n_jobs=2))
    assert (copied.on_error, copied.n_jobs) == ("nan", 2)


@pytest.mark.data("mp_composition_stability")
def test_recorded_compositions_all_have_numbers(data_dir: Path) -> None:
    path = data_dir / "mp_composition_stability" / "dev.parquet"
    formulas = pd.read_parquet(path, columns=["formula"])["formula"][::20]
    values = DESCRIPTOR.transform(formulas)
    assert np.isfinite(values).all()
    assert values.min() >= 0
    assert values.max() <= 1 + 1e-12

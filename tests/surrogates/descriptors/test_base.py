"""What all descriptors share: rows, errors, workers, progress, cache."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from surrogates.descriptors.base import BadRowError, Block, Descriptor, Feature, one_by_one
from surrogates.descriptors.composition import CompositionDescriptor
from surrogates.errors import SurrogateError

FORMULAS = ["NaCl", "Fe2O3", "MgO", "H2O", "SiO2", "CaTiO3", "Al2O3"]


class Roots(Descriptor):
    """Root of a number that is written as text."""

    rows_per_block = 3
    accepted = "numbers as text"
    computed: list[str]

    def feature_table(self) -> list[Feature]:
        return [Feature("root", "1", "Root of the number"), Feature("number", "1", "The number")]

    def _compute(self, rows: Sequence[Any]) -> Block:
        self.computed = [*getattr(self, "computed", []), *rows]
        return one_by_one(self._row, rows, 2)

    def _row(self, text: str) -> np.ndarray:
        number = float(text)
        if number < 0:
            raise SurrogateError(f"{number:g} has no root")
        return np.array([number**0.5, number])

    def _content(self, row: Any) -> bytes:
        return row.encode()

    def _token(self) -> str:
        return "roots"


def test_rows_come_in_many_kinds() -> None:
    expected = [[1, 1], [2, 4], [3, 9]]
    texts = ["1", "4", "9"]
    for rows in (
        texts,
        tuple(texts),
        iter(texts),
        np.array(texts),
        np.array(texts, dtype=object)[:, None],
        pd.Series(texts, index=[5, 5, 1]),
        pd.DataFrame({"text": texts}),
    ):
        np.testing.assert_array_equal(Roots().fit_transform(rows), expected)
    assert Roots().transform([]).shape == (0, 2)


@pytest.mark.parametrize("rows", ["4", {"4": 1}, b"4", 4, None, np.ones((2, 3)), np.ones((1, 1, 1))])
def test_what_is_no_column_of_rows_is_refused(rows: Any) -> None:
    with pytest.raises(SurrogateError, match="numbers as text"):
        Roots().transform(rows)


def test_a_structure_alone_is_no_column_of_sites() -> None:
    from pymatgen.core import Lattice, Structure

    with pytest.raises(SurrogateError, match="put it into a list"):
        Roots().transform(Structure(Lattice.cubic(3), ["Po"], [[0, 0, 0]]))


def test_first_bad_row_is_named() -> None:
    with pytest.raises(BadRowError, match=r"row 4 \('-4'\): -4 has no root\. Leave the row out") as caught:
        Roots().transform(["1", "4", "9", "16", "-4", "x"])
    assert isinstance(caught.value, ValueError), "as scikit-learn's are"
    with pytest.raises(BadRowError) as caught:
        Roots().transform(["x" * 10_000])
    assert "..." in str(caught.value)


def test_bad_rows_are_nan_and_reported() -> None:
    roots = Roots(on_error="nan")
    values = roots.transform(["1", "x", "9", "16", "-4", "inf"])
    np.testing.assert_array_equal(np.isnan(values).all(1), [False, True, False, False, True, True])
    np.testing.assert_array_equal(np.isnan(values).any(1), [False, True, False, False, True, True])
    assert list(roots.errors_) == [1, 4, 5]
    assert roots.errors_[1].startswith("ValueError: could not convert")
    assert roots.errors_[4] == "-4 has no root"
    assert "not finite" in roots.errors_[5], "nothing that is not finite comes out in silence"


@pytest.mark.parametrize("settings", [{"on_error": "ignore"}, {"n_jobs": 0}, {"n_jobs": "two"}, {"n_jobs": 1.5}])
def test_wrong_settings_are_said(settings: dict[str, Any]) -> None:
    roots = Roots(**settings)
    for call in (roots.fit, roots.transform):
        with pytest.raises(SurrogateError, match=next(iter(settings))):
            call(["1"])


def test_progress_counts_rows_up_to_all() -> None:
    seen: list[tuple[int, int]] = []
    Roots(progress=lambda done, total: seen.append((done, total))).transform([str(i) for i in range(8)])
    assert seen == [(3, 8), (6, 8), (8, 8)]


def test_workers_compute_the_same(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(CompositionDescriptor, "rows_per_block", 2)
    seen: list[tuple[int, int]] = []
    rows = [*FORMULAS, "X2O", "KBr"]
    workers = CompositionDescriptor(
        n_jobs=2, on_error="nan", cache=tmp_path, progress=lambda done, total: seen.append((done, total))
    )
    found = workers.transform(rows)
    np.testing.assert_array_equal(found, CompositionDescriptor(on_error="nan").transform(rows))
    assert list(workers.errors_) == [7]
    assert seen == [(2, 9), (4, 9), (6, 9), (8, 9), (9, 9)]
    with pytest.raises(BadRowError, match=r"row 1 \('\?'\)"):
        CompositionDescriptor(n_jobs=2).transform(["NaCl", "?", *FORMULAS])


def test_only_rows_that_are_not_in_the_cache_are_computed(tmp_path: Path) -> None:
    first = Roots(cache=tmp_path, on_error="nan")
    expected = first.transform(["1", "4", "9", "16", "x"])
    assert list(first.errors_) == [4]
    seen: list[tuple[int, int]] = []
    second = Roots(cache=tmp_path, on_error="nan", progress=lambda done, total: seen.append((done, total)))
    found = second.transform(["x", "16", "9", "25", "4", "1", "4"])
    np.testing.assert_array_equal(found, [expected[4], expected[3], expected[2], [5, 25], expected[1], *expected[:2]])
    assert second.computed == ["x", "25"], "what is bad is no number to keep"
    assert list(second.errors_) == [0]
    assert seen == [(5, 7), (7, 7)]


def test_what_was_computed_before_a_bad_row_is_kept(tmp_path: Path) -> None:
    with pytest.raises(BadRowError, match="row 4"):
        Roots(cache=tmp_path).transform(["1", "4", "9", "16", "x", "25", "36"])
    again = Roots(cache=tmp_path)
    again.transform(["1", "4", "9", "16", "25", "36"])
    assert again.computed == ["36"]


def test_what_was_computed_in_another_way_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Roots(cache=tmp_path).transform(["4"])
    monkeypatch.setattr(Roots, "version", 2)
    newer = Roots(cache=tmp_path)
    newer.transform(["4"])
    assert newer.computed == ["4"]
    monkeypatch.setattr(Roots, "_token", lambda self: "other tables")
    other = Roots(cache=tmp_path)
    other.transform(["4"])
    assert other.computed == ["4"]


def test_composition_cache_tells_rows_apart(tmp_path: Path) -> None:
    descriptor = CompositionDescriptor(cache=tmp_path)
    rows = ["NaCl", {"Na": 1, "Cl": 1}, {"Na": 1, "Cl": 2}, "NaCl2", "Na", {"Na": 1}]
    expected = CompositionDescriptor().transform(rows)
    np.testing.assert_array_equal(descriptor.transform(rows), expected)
    np.testing.assert_array_equal(descriptor.transform(rows[::-1]), expected[::-1])


def test_it_can_be_pickled() -> None:
    # By users: scikit-learn's pipelines are. We keep no state that way.
    again = pickle.loads(pickle.dumps(CompositionDescriptor(on_error="nan")))  # noqa: S301
    np.testing.assert_array_equal(again.transform(FORMULAS), CompositionDescriptor().transform(FORMULAS))

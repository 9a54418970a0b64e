"""The 136 structure descriptors as a transformer: columns, rows, errors, cache, workers."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import spglib
from pymatgen.core import Lattice, Molecule, Structure
from sklearn.base import clone
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from surrogates.descriptors import structure as module
from surrogates.descriptors.base import BadRowError
from surrogates.descriptors.structure import GROUPS, StructureDescriptor
from surrogates.errors import SurrogateError


def rocksalt(a: float, cation: Any = "Na", anion: Any = "Cl") -> Structure:
    return Structure.from_spacegroup("Fm-3m", Lattice.cubic(a), [cation, anion], [[0, 0, 0], [0.5, 0.5, 0.5]])


def cubic(a: float, element: Any) -> Structure:
    return Structure(Lattice.cubic(a), [element], [[0, 0, 0]])


CRYSTALS = [rocksalt(5.64), cubic(3.35, "Po"), rocksalt(4.21, "Mg", "O"), cubic(3.0, {"Fe": 0.5, "Al": 0.4})]


def test_136_columns_each_with_a_name_a_unit_and_a_meaning() -> None:
    table = StructureDescriptor().feature_table()
    assert len(table) == 136
    names = [feature.name for feature in table]
    assert len(set(names)) == 136
    assert StructureDescriptor().get_feature_names_out().tolist() == names
    for feature in table:
        assert feature.unit, feature.name
        assert 10 < len(feature.meaning) < 120, feature.name
        assert not feature.meaning.endswith("."), feature.name
        assert "{" not in feature.meaning, feature.name
    assert len({feature.meaning for feature in table}) >= 130, "columns that say the same"
    assert StructureDescriptor().fit_transform(CRYSTALS).shape == (4, 136)


def test_every_group_computes_as_many_columns_as_it_names() -> None:
    values = StructureDescriptor().transform(CRYSTALS)
    at = 0
    for group in GROUPS:
        alone = getattr(group, "compute", None)
        if alone is not None:
            read = [StructureDescriptor()._read(crystal) for crystal in CRYSTALS]
            batch = module.join([cell for cell, *_ in read], [pairs for _, pairs, _ in read], module.element_arrays())
            np.testing.assert_array_equal(alone(batch), values[:, at : at + len(group.COLUMNS)])
        at += len(group.COLUMNS)
    assert at == 136


def test_rows_do_not_hang_on_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    together = StructureDescriptor().transform(CRYSTALS)
    alone = np.vstack([StructureDescriptor().transform([crystal]) for crystal in CRYSTALS])
    np.testing.assert_array_equal(together, alone)
    monkeypatch.setattr(module, "SITES_AT_ONCE", 9)
    np.testing.assert_array_equal(StructureDescriptor().transform(CRYSTALS), together)
    np.testing.assert_array_equal(StructureDescriptor().transform(CRYSTALS[::-1]), together[::-1])
    assert len(np.unique(together.round(6), axis=0)) == 4


def test_rows_come_in_many_kinds() -> None:
    expected = StructureDescriptor().transform(CRYSTALS)
    column = np.empty((4, 1), dtype=object)
    column[:, 0] = CRYSTALS
    for rows in (tuple(CRYSTALS), iter(CRYSTALS), pd.Series(CRYSTALS, index=list("abcd")), column):
        np.testing.assert_array_equal(StructureDescriptor().transform(rows), expected)
    assert StructureDescriptor().transform([]).shape == (0, 136)
    with pytest.raises(SurrogateError, match="put it into a list"):
        StructureDescriptor().transform(CRYSTALS[0])


def test_first_bad_row_is_named_with_its_formula() -> None:
    too_near = Structure(Lattice.cubic(5), ["Fe", "O", "O"], [[0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0.54]])
    with pytest.raises(BadRowError, match=r"row 2 \(FeO2\): sites 1 and 2 are 0\.2 Å apart.*at least 0\.5 Å"):
        StructureDescriptor().transform([*CRYSTALS[:2], too_near, CRYSTALS[2]])
    with pytest.raises(BadRowError, match=r"row 0 \('NaCl'\): expected a pymatgen Structure, got str"):
        StructureDescriptor().transform(["NaCl"])


def test_bad_rows_are_nan_and_reported() -> None:
    water = Molecule(["O", "H", "H"], [[0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0]])
    descriptor = StructureDescriptor(on_error="nan")
    values = descriptor.transform([CRYSTALS[0], water, None, CRYSTALS[1], 3])
    np.testing.assert_array_equal(np.isnan(values).all(1), [False, True, True, False, True])
    np.testing.assert_array_equal(np.isnan(values).any(1), [False, True, True, False, True])
    assert descriptor.errors_ == {
        1: "expected a pymatgen Structure, got Molecule",
        2: "expected a pymatgen Structure, got NoneType",
        4: "expected a pymatgen Structure, got int",
    }
    np.testing.assert_array_equal(values[[0, 3]], StructureDescriptor().transform(CRYSTALS[:2]))


def test_an_error_of_a_library_is_shown_with_its_row(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("out of luck")

    monkeypatch.setattr(module.symmetry, "symmetry_numbers", fail)
    with pytest.raises(BadRowError, match=r"row 0 \(NaCl\): RuntimeError: out of luck"):
        StructureDescriptor().transform(CRYSTALS[:1])


@pytest.mark.parametrize("symprec", [0, -0.1, 1, float("nan"), "0.1", None])
def test_wrong_settings_are_said(symprec: Any) -> None:
    with pytest.raises(SurrogateError, match="symprec"):
        StructureDescriptor(symprec=symprec).fit(CRYSTALS)


def test_symprec_decides_what_is_symmetric() -> None:
    crystal = rocksalt(5.64)
    crystal.translate_sites([0], [0.05, 0.02, 0], frac_coords=False)
    exact, rough = (StructureDescriptor(symprec=symprec).transform([crystal])[0] for symprec in (0.01, 0.2))
    assert exact[0] < 16
    assert rough[0] == 225
    assert (exact[14:] == rough[14:]).all(), "all else hangs on no tolerance"


def test_cache_tells_structures_and_settings_apart(tmp_path: Path) -> None:
    deuterium = Structure(Lattice.cubic(4), ["D", "Cl"], [[0, 0, 0], [0, 0, 0.33]])
    hydrogen = Structure(Lattice.cubic(4), ["H", "Cl"], [[0, 0, 0], [0, 0, 0.33]])
    moved = Structure(Lattice.cubic(4), ["H", "Cl"], [[0, 0, 0], [0, 0, 0.34]])
    crystals = [*CRYSTALS, deuterium, hydrogen, moved, cubic(3.0, {"Fe": 0.5, "Al": 0.5}), cubic(3.0, "Fe")]
    expected = StructureDescriptor().transform(crystals)
    assert len(np.unique(expected, axis=0)) == len(crystals)
    np.testing.assert_array_equal(StructureDescriptor(cache=tmp_path).transform(crystals), expected)
    seen: list[tuple[int, int]] = []
    again = StructureDescriptor(cache=tmp_path, progress=lambda done, total: seen.append((done, total)))
    again.symprec = 0.01
    np.testing.assert_array_equal(again.transform(crystals[::-1]), expected[::-1])
    assert seen == [(9, 9)], "all were known"
    seen.clear()
    again.symprec = 0.1
    again.transform(crystals)
    assert seen == [(9, 9)]
    assert len(list(tmp_path.iterdir())) == 2, "other settings are kept apart"


def test_bad_rows_are_not_cached(tmp_path: Path) -> None:
    dummy = cubic(3.0, "X")
    for _ in range(2):
        descriptor = StructureDescriptor(cache=tmp_path, on_error="nan")
        descriptor.transform([dummy, CRYSTALS[0]])
        assert list(descriptor.errors_) == [0]


def test_workers_compute_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(StructureDescriptor, "rows_per_block", 2)
    seen: list[tuple[int, int]] = []
    workers = StructureDescriptor(n_jobs=2, symprec=0.02, progress=lambda done, total: seen.append((done, total)))
    found = workers.transform(CRYSTALS)
    np.testing.assert_array_equal(found, StructureDescriptor(symprec=0.02).transform(CRYSTALS))
    assert seen == [(2, 4), (4, 4)]


def test_it_works_in_a_pipeline() -> None:
    crystals = [CRYSTALS[0].copy() for _ in range(8)]
    for crystal, volume in zip(crystals, np.linspace(125, 250, 8), strict=True):
        crystal.scale_lattice(volume)
    volumes = [crystal.volume for crystal in crystals]
    pipeline = make_pipeline(StructureDescriptor(), StandardScaler(), Ridge(1e-3))
    assert pipeline.fit(crystals, volumes).score(crystals, volumes) > 0.999
    copy = clone(StructureDescriptor(symprec=0.05, on_error="nan"))
    assert copy.get_params() == {"symprec": 0.05, "on_error": "nan", "n_jobs": 1, "cache": None, "progress": None}
    # By users: scikit-learn's pipelines are pickled. We keep no state that way.
    again = pickle.loads(pickle.dumps(StructureDescriptor()))  # noqa: S301
    np.testing.assert_array_equal(again.transform(CRYSTALS[:1]), StructureDescriptor().transform(CRYSTALS[:1]))


def test_structures_stay_as_they_are() -> None:
    before = [crystal.as_dict() for crystal in CRYSTALS]
    StructureDescriptor().transform(CRYSTALS)
    assert [crystal.as_dict() for crystal in CRYSTALS] == before


@pytest.mark.parametrize("setting", [None, "ON"])
def test_spglib_does_not_print_what_it_tries_in_vain(monkeypatch: pytest.MonkeyPatch, setting: str | None) -> None:
    monkeypatch.delenv("SPGLIB_WARNING", raising=False)
    if setting is not None:
        monkeypatch.setenv("SPGLIB_WARNING", setting)
    seen: list[str | None] = []
    search = spglib.get_symmetry_dataset

    def watched(*args: Any, **kwargs: Any) -> Any:
        seen.append(os.environ.get("SPGLIB_WARNING"))
        return search(*args, **kwargs)

    monkeypatch.setattr(spglib, "get_symmetry_dataset", watched)
    StructureDescriptor().transform(CRYSTALS[:1])
    assert seen == ["OFF" if setting is None else "ON"], "who wants to see it does"
    assert os.environ.get("SPGLIB_WARNING") == setting


@pytest.mark.parametrize("fails", [lambda: None, lambda: 1 / 0])
def test_where_spglib_fails_a_finer_tolerance_is_tried(monkeypatch: pytest.MonkeyPatch, fails: Any) -> None:
    expected = StructureDescriptor().transform(CRYSTALS[:1])
    search, tried = spglib.get_symmetry_dataset, []

    def brittle(cell: Any, symprec: float) -> Any:
        tried.append(symprec)
        return search(cell, symprec=symprec) if symprec < 5e-4 else fails()

    monkeypatch.setattr(spglib, "get_symmetry_dataset", brittle)
    np.testing.assert_array_equal(StructureDescriptor().transform(CRYSTALS[:1]), expected)
    assert tried == [1e-2, 1e-3, 1e-4]
    monkeypatch.setattr(spglib, "get_symmetry_dataset", lambda cell, symprec: fails())
    with pytest.raises(
        BadRowError, match=r"row 0 \(NaCl\): spglib finds no symmetry within 0\.01 Å, nor within 1e-05 Å"
    ):
        StructureDescriptor().transform(CRYSTALS[:1])


def test_it_makes_tables_with_named_columns() -> None:
    table = StructureDescriptor().set_output(transform="pandas").transform(CRYSTALS)
    assert isinstance(table, pd.DataFrame)
    assert table.columns[19] == "volume_per_atom"
    assert table["space_group_number"].tolist() == [225, 221, 225, 221]

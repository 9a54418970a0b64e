"""Recorded curves: read as they are, described honestly, and refused with file, column and row."""

import json
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.errors import DataMissingError, RecordedDataError, SimulatorError
from simulators.recorded import RecordedCurves, find_data

README = """# a set

## Source
somewhere

## Citation
Somebody 2020.

## Licence
MIT.
"""


def write(folder, rows, name="dev.parquet"):
    folder.mkdir(exist_ok=True)
    pd.DataFrame(rows).to_parquet(folder / name)
    return folder / name


def row(uuid="a", n=4, **extra):
    q = np.linspace(0.01, 0.1, n)
    return {"uuid": uuid, "temp": 20.0, "q": q.tolist(), "i": (1 / q).tolist(), "sigma": (0.01 / q).tolist(), **extra}


def test_reads_curves_scalars_and_the_readme(tmp_path):
    file = write(tmp_path / "my_set", [row("a"), row("b", n=6)])
    (file.parent / "README.md").write_text(README, encoding="utf-8")
    curves = RecordedCurves.from_parquet(file.parent, id_column="uuid")
    assert curves.name == "my_set"
    assert curves.ids == ("a", "b")
    assert (curves.citation, curves.licence) == ("Somebody 2020.", "MIT.")
    assert list(curves.table.columns) == ["uuid", "temp"]
    assert [q.size for q in curves.q] == [4, 6]
    np.testing.assert_allclose(curves.intensity[1] * curves.q[1], 1.0)
    assert curves.problems(0) == curves.problems(1) == []
    assert curves.source == file
    assert len(curves) == 2


def test_q_scale_columns_and_where(tmp_path):
    rows = [{"n": k, "series": "s" if k % 2 else "t", "x_nm": [0.1, 0.2], "y": [k, k + 1]} for k in range(6)]
    file = write(tmp_path, rows, "other.parquet")
    options = {"id_column": "n", "columns": {"q": "x_nm", "intensity": "y", "sigma": None}, "q_scale": 0.1}
    curves = RecordedCurves.from_parquet(tmp_path, where={"series": "s", "n": [1, 5]}, **options)
    assert curves.ids == ("1", "5")
    np.testing.assert_allclose(curves.q[0], [0.01, 0.02])
    np.testing.assert_array_equal(curves.intensity[1], [5.0, 6.0])
    assert curves.problems(0) == ["sigma is not recorded"]
    assert curves.table["series"].tolist() == ["s", "s"]
    assert curves.source == file


@given(
    q=st.lists(st.floats(allow_nan=True, allow_infinity=True, width=64), min_size=1, max_size=8),
    seed=st.integers(0, 1000),
)
def test_keeps_whatever_was_recorded(tmp_path_factory, q, seed):
    intensity = np.random.default_rng(seed).normal(size=len(q)).tolist()
    file = write(tmp_path_factory.mktemp("set"), [{"id": 1, "q": q, "i": intensity, "sigma": [1.0] * len(q)}])
    curves = RecordedCurves.from_parquet(file, id_column="id")
    np.testing.assert_array_equal(curves.q[0], q)
    np.testing.assert_array_equal(curves.intensity[0], intensity)
    clean = all(map(math.isfinite, q)) and all(v > 0 for v in q) and bool(np.all(np.diff(q) > 0))
    assert (curves.problems(0) == []) == clean
    with pytest.raises(ValueError, match="read-only"):
        curves.intensity[0][0] = 3.0


def test_names_each_problem(tmp_path):
    rows = [
        row("falls", q=[0.01, 0.03, 0.02, 0.04]),
        row("repeats", q=[0.01, 0.02, 0.02, 0.04]),
        row("holes", i=[1.0, None, 2.0, float("inf")]),
        row("no error", sigma=[1.0, 0.0, -1.0, None]),
        row("none", q=None, i=None, sigma=None),
        row("zero", q=[0.0, 0.1, 0.2, 0.3]),
        row("negative is fine", i=[1.0, -1.0, 0.0, 2.0]),
    ]
    curves = RecordedCurves.from_parquet(write(tmp_path, rows), id_column="uuid")
    said = {name: curves.problems(k) for k, name in enumerate(curves.ids)}
    assert said == {
        "falls": ["q decreases in 1 places, first after point 1"],
        "repeats": ["q repeats in 1 places"],
        "holes": ["intensity is not finite in 2 of 4 points"],
        "no error": ["sigma is not finite in 1 of 4 points", "sigma is not positive in 2 of 4 points"],
        "none": ["no curve was recorded"],
        "zero": ["q is not positive in 1 of 4 points"],
        "negative is fine": [],
    }


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    [
        ([row()], {"id_column": "name"}, r"dev\.parquet: there is no column 'name'; columns: uuid, temp, q"),
        ([row()], {"columns": {"q": "Q"}}, "no column 'Q' for q"),
        ([{"uuid": 1, "q": [1.0], "i": [1.0]}], {}, r"no column 'sigma' for sigma.*columns=\{'sigma': None\}"),
        ([row()], {"columns": {"q": None}}, "a column for q is needed"),
        ([row()], {"columns": {"x": "q"}}, r"columns may name \['intensity', 'q', 'sigma'\], got \['x'\]"),
        ([row("a"), row("b"), row("a")], {}, r"rows \[0, 2\] all have 'a'"),
        ([row("a"), row(None)], {}, "row 1: column 'uuid' is empty"),
        ([row("a"), row("b", i=[1.0])], {}, r"row 1: column 'i' has 1 points, 'q' has 4"),
        (
            [row()],
            {"columns": {"intensity": "temp"}},
            "row 0: column 'temp' must hold lists of numbers, got float 20.0",
        ),
        ([row(q=["a", "b", "c", "d"])], {}, "row 0: column 'q' must hold lists of numbers"),
        ([row()], {"where": {"uuid": "z"}}, "no row has uuid = 'z'; values: 'a'"),
        ([row()], {"where": {"nix": 1}}, "there is no column 'nix'"),
        ([row()], {"q_scale": 0.0}, "q_scale must be finite and above 0"),
    ],
)
def test_errors_name_file_column_and_row(tmp_path, rows, options, message):
    file = write(tmp_path, rows)
    with pytest.raises(RecordedDataError, match=message):
        RecordedCurves.from_parquet(file, **{"id_column": "uuid", **options})


def test_rows_are_counted_in_the_file_also_after_a_selection(tmp_path):
    file = write(tmp_path, [row("a"), row("b", temp=30.0), row("c", temp=30.0, i=[1.0])])
    with pytest.raises(RecordedDataError, match="row 2"):
        RecordedCurves.from_parquet(file, id_column="uuid", where={"temp": 30.0})


def test_files_that_are_not_there_or_not_parquet(tmp_path):
    with pytest.raises(DataMissingError, match="there is no file"):
        RecordedCurves.from_parquet(tmp_path / "x.parquet", id_column="uuid")
    with pytest.raises(DataMissingError, match="exactly one other parquet file, found: none"):
        RecordedCurves.from_parquet(tmp_path, id_column="uuid")
    (tmp_path / "bad.parquet").write_text("hello")
    with pytest.raises(RecordedDataError, match="cannot be read as parquet"):
        RecordedCurves.from_parquet(tmp_path, id_column="uuid")


def test_find_data_says_where_it_looked(tmp_path, monkeypatch):
    (tmp_path / "set").mkdir()
    monkeypatch.delenv("BEAMLOOP_DATA", raising=False)
    assert find_data("set", tmp_path) == tmp_path / "set"
    monkeypatch.setenv("BEAMLOOP_DATA", str(tmp_path))
    assert find_data("set") == tmp_path / "set"
    with pytest.raises(DataMissingError) as caught:
        find_data("other")
    assert str(tmp_path / "other") in str(caught.value)
    assert "BEAMLOOP_DATA" in str(caught.value)
    assert isinstance(caught.value, SimulatorError | FileNotFoundError)
    # A folder that was named is the only one tried.
    with pytest.raises(DataMissingError, match="the folder given"):
        find_data("set", tmp_path / "elsewhere")
    monkeypatch.delenv("BEAMLOOP_DATA")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataMissingError, match="shared/data/no_such_set"):
        find_data("no_such_set")


@pytest.mark.data("saxs_stober_silica")
def test_stober_campaign(data_dir):
    curves = RecordedCurves.from_parquet(find_data("saxs_stober_silica", data_dir), id_column="uuid")
    assert len(curves) > 100
    assert "Pozzo" in curves.citation
    assert curves.licence.startswith("MIT")
    assert {"curve_ok", "cell_temp_c"} <= set(curves.table.columns)
    assert all(q.size == s.size for q, s in zip(curves.q, curves.sigma, strict=True))
    sizes = curves.table["n_points"].to_numpy()
    np.testing.assert_array_equal([q.size for q in curves.q], sizes)


@pytest.mark.data("sas_series")
def test_series(data_dir):
    path = find_data("sas_series", data_dir)
    with pytest.raises(RecordedDataError, match="choose another id column or narrow the rows"):
        RecordedCurves.from_parquet(path, id_column="index")
    curves = RecordedCurves.from_parquet(path, id_column="index", where={"series": "silica_lysozyme_p12"})
    assert len(curves) > 100
    assert curves.table["param_value"].is_monotonic_increasing
    assert set(curves.table["q_unit"]) == {"1/A"}


@pytest.mark.data("saxs_mesoporous_silica")
def test_mesoporous_has_two_curves_a_row_and_one_gap(data_dir):
    path = find_data("saxs_mesoporous_silica", data_dir)
    for kind in ("usaxs", "saxs"):
        names = {"q": f"{kind}_q", "intensity": f"{kind}_i", "sigma": f"{kind}_sigma"}
        curves = RecordedCurves.from_parquet(path, id_column="uuid", columns=names)
        missing = [k for k in range(len(curves)) if curves.problems(k) == ["no curve was recorded"]]
        assert len(missing) <= 1
        assert "mesophase" in curves.table.columns


@pytest.mark.data("sas_measured_curves")
def test_measured_curves_say_what_ails_them(data_dir):
    curves = RecordedCurves.from_parquet(find_data("sas_measured_curves", data_dir), id_column="name")
    problems = {name: curves.problems(k) for k, name in enumerate(curves.ids)}
    assert any(not said for said in problems.values())
    for k, q in enumerate(curves.q):
        increasing = q.size > 0 and bool(np.all(np.diff(q) > 0))
        assert increasing or problems[curves.ids[k]]


@pytest.mark.data("sdl_campaigns")
def test_other_sets_are_found_as_well(data_dir):
    info = json.loads(find_data("sdl_campaigns/dev.info.json", data_dir).read_text(encoding="utf-8"))
    assert info

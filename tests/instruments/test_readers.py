import numpy as np
import pytest

from instruments.errors import InstrumentError
from instruments.readers import CurveFileError, read_curves

Q = np.linspace(0.01, 0.2, 20)


def rows(*columns, separator=" "):
    return "\n".join(separator.join(f"{value:.8g}" for value in row) for row in zip(*columns, strict=True)) + "\n"


def write(folder, text, name="a.dat"):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("columns", [2, 3, 4])
@pytest.mark.parametrize("separator", [" ", "\t", ", ", ";"])
@pytest.mark.parametrize(
    "header",
    ["", "# q I sigma\n", "Sample 5, measured 2024\nq(1/A) I(1/cm) dI\n", "20\n1 2 3\nq;I;s\n", "\ufeffq,I\n\n"],
)
def test_columns_of_text(tmp_path, columns, separator, header):
    values = (Q, Q**-2, 0.1 * Q**-2, 0.01 * Q)[:columns]
    (read,) = read_curves(write(tmp_path, header + rows(*values, separator=separator))).curves
    np.testing.assert_allclose(read.curve.q, Q, rtol=1e-6)
    np.testing.assert_allclose(read.curve.intensity, Q**-2, rtol=1e-6)
    assert np.isnan(read.curve.sigma).all() if columns == 2 else (read.curve.sigma > 0).all()


@pytest.mark.parametrize(
    ("header", "factor"),
    [
        ("# q [nm^-1] I\n", 0.1),
        ("# q (1/nm), I (1/cm)\n", 0.1),
        ("q_nm-1 I\n", 0.1),
        ("# q [1/A]\n", 1),
        ("# q, A^-1; thickness 3 nm\n", 1),
        ("# I in 1/cm\n", 1),
    ],
)
def test_units_of_a_header(tmp_path, header, factor):
    (read,) = read_curves(write(tmp_path, header + rows(Q, Q))).curves
    np.testing.assert_allclose(read.curve.q, factor * Q, rtol=1e-6)
    assert bool(read.notes) == (factor != 1)


def test_units_by_option_overrule_the_header(tmp_path):
    path = write(tmp_path, "# q [1/A]\n" + rows(Q, Q))
    np.testing.assert_allclose(read_curves(path, unit="1/nm").curves[0].curve.q, Q / 10, rtol=1e-6)


def lines():
    return rows(Q, Q**-2, 0.1 * Q).splitlines()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: [*t[:4], "0.05 nan 1", *t[5:]], "row 5: the intensity must be a finite number, got nan"),
        (lambda t: [*t[:4], "0.05 1 0", *t[5:]], "row 5: the error bar must be greater than 0, got 0"),
        (lambda t: [*t[:4], "0.05 1 -1", *t[5:]], "row 5: the error bar must be greater than 0, got -1"),
        (
            lambda t: [*t[:4], "0.01 1 1", *t[5:]],
            "row 5: q must be greater than in the row before, got 0.01 after 0.04",
        ),
        (lambda t: ["# c", *t[:4], "oops", *t[5:]], "row 6: expected 3 numbers, got 'oops'"),
        (lambda t: [*t[:4], "0.05 1", *t[5:]], "row 5: expected 3 numbers, got '0.05 1'"),
        (lambda t: ["0 1 1", *t], "row 1: q must be greater than 0, got 0"),
        (lambda t: t[:3], "at least 4 points, this one has 3"),
        (lambda t: ["this is a letter", "and no curve"], "no columns of numbers .* begins with 'this is a letter'"),
        (lambda t: [], "is empty"),
    ],
)
def test_bad_files_get_one_line_with_file_and_row(tmp_path, change, message):
    path = write(tmp_path, "\n".join(change(lines())))
    with pytest.raises(CurveFileError, match=message) as caught:
        read_curves(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, InstrumentError)


def test_bad_rows_can_be_left_out(tmp_path):
    text = lines()
    path = write(tmp_path, "\n".join([*text[:4], "0.05 1 0", "oops", *text[5:]]))
    (read,) = read_curves(path, skip_bad_rows=True).curves
    assert len(read.curve.q) == 19
    assert read.notes == (
        "1 rows left out that are not numbers (first: row 6)",
        "1 of 20 rows left out (first: row 5)",
    )


def test_negative_intensities_are_noise(tmp_path):
    values = np.where(Q > 0.15, -1e-3, 1.0)
    (read,) = read_curves(write(tmp_path, rows(Q, values, np.ones(20)))).curves
    assert (read.curve.intensity < 0).any()
    assert "6 of 20 intensities are negative (first: row 15)" in read.notes[0]


def test_error_bars_that_are_all_zero_are_none(tmp_path):
    (read,) = read_curves(write(tmp_path, rows(Q, Q, np.zeros(20)))).curves
    assert np.isnan(read.curve.sigma).all()


@pytest.mark.parametrize("name", ["a.xml", "a.h5", "a.nxs", "a.parquet"])
def test_what_is_not_what_its_name_says(tmp_path, name):
    with pytest.raises(CurveFileError, match=name) as caught:
        read_curves(write(tmp_path, "this is a letter\n", name))
    assert "\n" not in str(caught.value)


def test_no_such_file_and_a_folder(tmp_path):
    with pytest.raises(CurveFileError, match="there is no such file"):
        read_curves(tmp_path / "none.dat")
    with pytest.raises(CurveFileError, match="there is no such file"):
        read_curves(tmp_path)


def test_tables_of_curves(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    good = [list(Q), list(Q), list(Q)]
    table = pa.table(
        {
            "q": [good[0], good[0], None],
            "i": [good[1], good[1], good[1]],
            "sigma": [good[2], [0.0, *good[2][1:]], good[2]],
            "q_unit": ["1/nm", "1/A", None],
        }
    )
    pq.write_table(table, tmp_path / "t.parquet")
    reading = read_curves(tmp_path / "t.parquet")
    assert [c.name for c in reading.curves] == [f"{tmp_path / 't.parquet'}[0]"]
    np.testing.assert_allclose(reading.curves[0].curve.q, Q / 10)
    assert len(reading.refused) == 1
    assert "[1]: row 1: the error bar must be greater than 0" in reading.refused[0]
    pq.write_table(table.drop_columns(["q"]), tmp_path / "u.parquet")
    with pytest.raises(CurveFileError, match="no columns of curves"):
        read_curves(tmp_path / "u.parquet")


@pytest.mark.parametrize(
    ("name", "points", "first"),
    [
        ("33837rear_1D_1.75_16.5_CanSAS1D.xml", 66, 0.00416),
        ("33837rear_1D_1.75_16.5_NXcanSAS.h5", 66, 0.00416),
        ("FK403_0006_Nika.hdf", 118, 0.0385253),
        ("10wtAOT_Reline_120_reduced.pdh", 748, 0.0072644),
        ("Alumina_usaxs.csv", 112, 0.000246465),
        ("AUSANS_run4_1_with_buffer.ABS", 114, 0.01943),
        ("ISIS_83404.TXT", 121, 0.009),
        ("conalbumin.txt", 395, 0.0055),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_formats_of_other_programs(name, points, first):
    sasdata = pytest.importorskip("sasdata")
    from pathlib import Path

    path = Path(sasdata.__file__).parent / "example_data" / "1d_data" / name
    if not path.exists():
        pytest.skip("sasdata came without its example data")
    (read,) = read_curves(path).curves
    assert len(read.curve.q) == points
    assert read.curve.q[0] == pytest.approx(first, rel=1e-5)
    assert (read.curve.sigma > 0).all()

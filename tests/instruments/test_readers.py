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
            "row 5: q must be greater than in the row before, got 0.01 after 0.04; sort the rows",
        ),
        (lambda t: [*t[:4], t[3], *t[4:]], "row 5: q must be greater than in the row before, got 0.04 after 0.04"),
        (lambda t: [*t, *t], "row 21: q must be greater than in the row before, got 0.01 after 0.2"),
        (lambda t: [*t[:4], "0.05 1e300 1", *t[5:]], "row 5: the intensity must be at most 1e\\+100"),
        (lambda t: [*t[:4], "0.05 1 1e-300", *t[5:]], "row 5: the error bar must lie between"),
        (lambda t: [row.split()[0] + " 0 1" for row in t], "every intensity is 0"),
        (lambda t: ["2-Theta Angle (Degrees)", "I", *t], "first column is an angle .'2-Theta Angle"),
        (lambda t: ["0,010;1.234,5"] * 9, "no columns of numbers"),
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


def test_bad_rows_left_out_are_those_out_of_order_too(tmp_path):
    text = lines()
    path = write(tmp_path, "\n".join([*text[:5], text[2], text[3], *text[5:]]))
    (read,) = read_curves(path, skip_bad_rows=True).curves
    np.testing.assert_allclose(read.curve.q, Q, rtol=1e-6)
    assert read.notes == ("2 of 22 rows left out (first: row 6)",)
    path = write(tmp_path, "\n".join(text[:5] + ["0.3 1 0"] * 20))
    with pytest.raises(CurveFileError, match="row 6: 20 of 25 rows cannot be used: this is no curve"):
        read_curves(path, skip_bad_rows=True)


def test_a_curve_from_large_to_small_q_is_turned_round(tmp_path):
    (read,) = read_curves(write(tmp_path, "\n".join(["# q I s", *reversed(lines())]))).curves
    np.testing.assert_allclose(read.curve.q, Q, rtol=1e-6)
    np.testing.assert_allclose(read.curve.sigma, 0.1 * Q, rtol=1e-6)
    assert read.notes == ("q falls: rows taken from the last to the first",)
    bad = [*reversed(lines()[5:]), "0.05 1 0", *reversed(lines()[:4])]
    with pytest.raises(CurveFileError, match="row 16: the error bar"):
        read_curves(write(tmp_path, "\n".join(bad)))


def test_q_that_is_too_large_to_be_in_reciprocal_angstroms_is_noted(tmp_path):
    (read,) = read_curves(write(tmp_path, rows(10 * Q, Q, Q))).curves
    assert "no unit of q is given; taken as 1/Å, though it reaches 2" in read.notes[0]
    assert not read_curves(write(tmp_path, "# q [1/A]\n" + rows(10 * Q, Q, Q))).curves[0].notes


def test_a_row_that_breaks_off_is_noted(tmp_path):
    (read,) = read_curves(write(tmp_path, rows(Q, Q, Q) + "0.21 1.")).curves
    assert read.notes == ("the numbers end with row 20; row 21 has 2 of them, not 3",)


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
    with pytest.raises(CurveFileError, match="is a folder"):
        read_curves(tmp_path)
    with pytest.raises(CurveFileError, match="is no file that can be read"):
        read_curves("/dev/null")


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
    with pytest.raises(CurveFileError, match="has no column 'x'; there are q, i, sigma, q_unit"):
        read_curves(tmp_path / "t.parquet", columns=["x", "i"])
    (read,) = read_curves(tmp_path / "t.parquet", columns=["sigma", "i"], unit="1/A").curves[:1]
    np.testing.assert_allclose(read.curve.q, Q)


def test_a_table_with_a_point_in_each_row_is_one_curve(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table({"saxs_q": Q, "saxs_I": Q**-2, "saxs_err": 0.1 * Q, "temperature": Q, "word": ["a"] * 20})
    pq.write_table(table, tmp_path / "t.parquet")
    (read,) = read_curves(tmp_path / "t.parquet").curves
    np.testing.assert_array_equal(read.curve.intensity, Q**-2)
    np.testing.assert_array_equal(read.curve.sigma, 0.1 * Q)
    with pytest.raises(CurveFileError, match="column 'word' holds no numbers"):
        read_curves(tmp_path / "t.parquet", columns=["saxs_q", "word"])
    pq.write_table(pa.table({"q": [[0.1, 0.2]], "i": [["a", "b"]]}), tmp_path / "w.parquet")
    with pytest.raises(CurveFileError, match=r"column 'i' holds list<.*>, expected lists of numbers"):
        read_curves(tmp_path / "w.parquet")
    pq.write_table(pa.table({"q": [list(Q)], "i": [list(Q[1:])]}), tmp_path / "s.parquet")
    with pytest.raises(CurveFileError, match="expected as many intensities as q, got 20 q, 19 intensities"):
        read_curves(tmp_path / "s.parquet")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (bytes(range(256)) * 20, "is no text"),
        (b"%PDF-1.4\n%\xe2\xe3\n1 0 obj\nstream\n\x00\x01", "is no text"),
        (b"PK\x03\x04anything", "workbook"),
        (b"BZhanything", "bzip2"),
        (b"\x1f\x8bnothing", "damaged gzip"),
    ],
)
def test_files_that_are_no_text(tmp_path, content, message):
    (tmp_path / "a.dat").write_bytes(content)
    with pytest.raises(CurveFileError, match=message):
        read_curves(tmp_path / "a.dat")


def test_gzip(tmp_path):
    import gzip

    packed = gzip.compress(rows(Q, Q**-2, 0.1 * Q).encode())
    (tmp_path / "a.dat.gz").write_bytes(packed)
    np.testing.assert_allclose(read_curves(tmp_path / "a.dat.gz").curves[0].curve.q, Q, rtol=1e-6)
    (tmp_path / "b.dat.gz").write_bytes(packed[:100])
    with pytest.raises(CurveFileError, match=r"b\.dat\.gz: is a damaged gzip file"):
        read_curves(tmp_path / "b.dat.gz")


# What sasdata drops without a word, or takes as it stands.
NOT_LIKE_SASDATA = {
    "AOT_Microemulsion-Drop_Contrast.xml": "a row with an error bar of 0",
    "latex_smeared.xml": "rows with an error bar of 0",
    "VTMA.h5": "240 curves, some with error bars of 0",
    "CoreXY_ShellZ.txt": "no curve",
    "beam profile.DAT": "no curve",
    "testdata_line3.txt": "no curve",
    **dict.fromkeys(("Anton-Paar.pdh", "10wtAOT_Reline_120_reduced.pdh", "saxess_example.pdh"), "q in 1/nm"),
}


@pytest.mark.filterwarnings("ignore")
def test_formats_of_other_programs_are_read_as_sasdata_reads_them(subtests):
    from pathlib import Path

    sasdata = pytest.importorskip("sasdata")
    loader = pytest.importorskip("sasdata.dataloader.loader").Loader()
    folder = Path(sasdata.__file__).parent / "example_data" / "1d_data"
    if not folder.exists():
        pytest.skip("sasdata came without its example data")
    files = [path for path in sorted(folder.iterdir()) if path.is_file() and path.name not in NOT_LIKE_SASDATA]
    assert len(files) > 40
    for path in files:
        with subtests.test(path.name):
            theirs = [data for data in loader.load(str(path)) if np.ndim(getattr(data, "x", None)) == 1]
            ours = read_curves(path, skip_bad_rows=True).curves
            assert len(ours) == len(theirs)
            for own, other in zip(ours, theirs, strict=True):
                np.testing.assert_allclose(own.curve.q, other.x, rtol=1e-5)
                np.testing.assert_allclose(own.curve.intensity, other.y, rtol=1e-5)
                if not np.isnan(own.curve.sigma).all():
                    np.testing.assert_allclose(own.curve.sigma, other.dy, rtol=1e-4)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("name", "q"), [("Anton-Paar.pdh", 0.00660424), ("10wtAOT_Reline_120_reduced.pdh", 0.0072644)])
def test_pdh_has_q_in_reciprocal_nanometres(name, q):
    from pathlib import Path

    sasdata = pytest.importorskip("sasdata")
    path = Path(sasdata.__file__).parent / "example_data" / "1d_data" / name
    if not path.exists():
        pytest.skip("sasdata came without its example data")
    (read,) = read_curves(path).curves
    assert read.curve.q[0] == pytest.approx(q, rel=1e-4)
    assert (read.curve.sigma > 0).all()

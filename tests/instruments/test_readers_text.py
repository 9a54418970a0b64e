"""Text as programs and people write it: whatever separates, comments and encodes, the numbers come back."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from instruments.readers import CurveFileError, read_curves
from instruments.readers.names import curve_columns, intensity_factor, kind_of, q_factor

Q = np.geomspace(0.0051, 0.43, 40)
CURVE = (Q, 1.23e-4 * Q**-3 + 0.05, 3.8e-6 * Q**-3)


def rows(columns=CURVE, separator=" ", form="%.8e"):
    return [separator.join(form % value for value in row) for row in zip(*columns, strict=True)]


def read(folder, lines, encoding="utf-8", end="\n", **options):
    path = folder / "a.dat"
    path.write_bytes((end.join(lines) + end).encode(encoding))
    (found,) = read_curves(path, **options).curves
    return found


def assert_read(found, sigma=True):
    np.testing.assert_allclose(found.curve.q, Q, rtol=1e-7)
    np.testing.assert_allclose(found.curve.intensity, CURVE[1], rtol=1e-7)
    if sigma:
        np.testing.assert_allclose(found.curve.sigma, CURVE[2], rtol=1e-7)
    else:
        assert np.isnan(found.curve.sigma).all()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_encodings_and_line_ends(tmp_path, encoding, end):
    in_nanometres = (10 * Q, *CURVE[1:])
    assert_read(read(tmp_path, ["# Größe in µm; q [nm^-1], I", *rows(in_nanometres)], encoding, end))


@pytest.mark.parametrize("mark", ["#", "%", "!", ";", "//", "*"])
def test_comments_before_between_and_behind(tmp_path, mark):
    lines = rows()
    lines = [f"{mark} 1 2 3", f"{mark} words", *lines[:9], f"{mark} 4 5 6", "", *lines[9:], f"{mark} end"]
    assert_read(read(tmp_path, lines))


@pytest.mark.parametrize("mark", [" # fine", "  ! beam dump", "\t% x"])
def test_comments_behind_numbers(tmp_path, mark):
    lines = rows()
    assert_read(read(tmp_path, [*lines[:4], lines[4] + mark, *lines[5:]]))


@pytest.mark.parametrize("separator", ["; ", ";", "\t", "   "])
@pytest.mark.parametrize("form", ["%.12f", "%.10e"])
def test_decimal_commas(tmp_path, separator, form):
    lines = [line.replace(".", ",") for line in rows(separator=separator, form=form)]
    assert_read(read(tmp_path, ["q;I;sigma", *lines]))


def test_whole_numbers_between_commas_are_no_decimal_commas(tmp_path):
    found = read(tmp_path, [f"{i},{i * i},{i}" for i in range(1, 21)], unit="1/nm")
    np.testing.assert_array_equal(found.curve.intensity, np.arange(1, 21) ** 2)


@pytest.mark.parametrize(
    "change",
    [
        lambda line: line.replace("e", "D"),
        lambda line: line.replace("e", "d"),
        lambda line: line.replace(" ", "\u00a0\u00a0"),
        lambda line: line.replace("-", "−"),
        lambda line: "+" + line,
        lambda line: "   " + line + "   ",
        lambda line: ",".join(f'"{part}"' for part in line.split()),
    ],
)
def test_numbers_in_other_dress(tmp_path, change):
    assert_read(read(tmp_path, [change(line) for line in rows()]))


@pytest.mark.parametrize(
    ("header", "order"),
    [
        ("q dq I sigma", (0, 0, 1, 2)),
        ("no,q,I,err", (0, 0, 1, 2)),
        ("I(q) [1/cm];q [1/A];dI", (1, 0, 2)),
        ("sigma\tI\tq (Å^-1)", (2, 1, 0)),
        ("# index  saxs_q  saxs_I  saxs_I_err", (0, 0, 1, 2)),
        ("|Q (1/A)|I(Q) (1/cm)|std. dev. I(Q)|sigmaQ|", (0, 1, 2, 0)),
    ],
)
def test_names_of_columns_tell_which_is_which(tmp_path, header, order):
    separator = next((s for s in (",", ";", "\t") if s in header), " ")
    assert_read(read(tmp_path, [header, *rows([CURVE[i] for i in order], separator)]))


def test_a_third_column_that_is_the_resolution_is_no_error_bar(tmp_path):
    assert_read(read(tmp_path, ["q I dq", *rows()]), sigma=False)
    assert_read(read(tmp_path, ["angle counts foo", *rows()]))  # names that say nothing change nothing


def test_columns_by_option(tmp_path):
    own = [CURVE[i] for i in (1, 2, 0)]
    assert_read(read(tmp_path, rows(own), columns=["3", "1", "2"]))
    for header in ("q,intensity,other", "# a, b; c\nq,intensity,other", "one,two,other (1/A)", "one two other"):
        names = ["other", *header.splitlines()[-1].replace(" ", ",").split(",")[:2]]
        assert_read(read(tmp_path, [header, *rows(own, ",")], columns=names))
    with pytest.raises(CurveFileError, match=r"a\.dat: has no column '4'; there are columns 1 to 3, and no line"):
        read(tmp_path, rows(own), columns=["4", "1"])
    with pytest.raises(CurveFileError, match="has no column 'x'; there are columns 1 to 3, named one, two, three"):
        read(tmp_path, ["one,two,three", *rows(own, ",")], columns=["one", "x"])


numbers = st.floats(1e-6, 1e6, allow_subnormal=False)


@st.composite
def files(draw):
    """A curve, and lines that hold it."""
    n = draw(st.integers(4, 30))
    q = np.cumsum(draw(st.lists(st.floats(1e-3, 0.05), min_size=n, max_size=n)))
    columns = [q] + [np.array(draw(st.lists(numbers, min_size=n, max_size=n))) for _ in range(draw(st.integers(1, 3)))]
    separator = draw(st.sampled_from([" ", "\t", ",", ", ", ";", "   "]))
    form = draw(st.sampled_from(["%.10e", "%.12f", "%.17g"]))
    lines = rows(columns, separator, form)
    if "," not in separator and draw(st.booleans()):
        lines = [line.replace(".", ",") for line in lines]
    header = draw(st.sampled_from([[], ["# a, b; c"], ["A sample of 2024", "q I s"], ["q [1/A]", ""], ["20", "x"]]))
    for place in draw(st.lists(st.integers(0, n), max_size=2)):
        lines.insert(place, draw(st.sampled_from(["", "# c", "  "])))
    return (
        columns,
        header + lines,
        draw(st.sampled_from(["\n", "\r\n"])),
        draw(st.sampled_from(["utf-8-sig", "utf-16"])),
    )


@settings(max_examples=150)
@given(files())
def test_what_is_written_is_read(tmp_path_factory, case):
    columns, lines, end, encoding = case
    found = read(tmp_path_factory.getbasetemp(), lines, encoding, end)
    np.testing.assert_allclose(found.curve.q, columns[0], rtol=1e-7, atol=1e-11)
    np.testing.assert_allclose(found.curve.intensity, columns[1], rtol=1e-7, atol=1e-11)
    if len(columns) > 2:
        np.testing.assert_allclose(found.curve.sigma, columns[2], rtol=1e-7, atol=1e-11)


@settings(max_examples=300)
@given(st.binary(max_size=400) | st.text(alphabet="0123456789.,;-+eEdDnaifq \t\r\n#%\"'()", max_size=400))
def test_whatever_a_file_holds_one_line_tells(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "any.dat"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    try:
        (found,) = read_curves(path).curves
    except CurveFileError as error:
        said = str(error)
    else:
        said = str(path)
        assert (np.diff(found.curve.q) > 0).all()
    assert said.startswith(str(path))
    assert "\n" not in said


@pytest.mark.parametrize(
    "line", ["1,2      3,4      5,6     " * 40 + "x", "(q" * 100_000, "q_" * 50_000, "1 2 " * 9000]
)
@pytest.mark.timeout(20)
def test_no_line_takes_long(tmp_path, line):
    with pytest.raises(CurveFileError):
        read(tmp_path, [line, "1 2 3", line])


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["q", "i", "sigma"], ("q", "i", "sigma")),
        (["time", "curve_q", "curve_intensity", "curve_sigma"], ("curve_q", "curve_intensity", "curve_sigma")),
        (["Q (1/nm)", "I(Q) (1/cm)", "dI", "dQ"], ("Q (1/nm)", "I(Q) (1/cm)", "dI")),
        (["q_nm-1", "I_1/cm", "I_err"], ("q_nm-1", "I_1/cm", "I_err")),
        (["sigma_q", "q", "std_i", "i"], ("q", "i", "std_i")),
        (["q", "intensity"], ("q", "intensity", None)),
    ],
)
def test_usual_names(names, found):
    (named,) = curve_columns(names)
    assert (named.q, named.intensity, named.sigma) == found


def test_other_names():
    assert curve_columns(["qx", "qy", "i0", "diode", "sigma", "two_theta", "image"]) == []
    both = curve_columns(["a_q", "a_i", "b_q", "b_i", "b_sigma"])
    assert [named.prefix for named in both] == ["a_", "b_"]
    assert kind_of("det_image") == ("", "")
    assert [n.q for n in curve_columns(["x", "y", "q", "i"], ["x", "y"])] == ["x"]


@pytest.mark.parametrize(
    ("unit", "factor"),
    [
        *(
            (u, 1.0)
            for u in ("1/A", "A^-1", "1/angstrom", "1/Å", "Å⁻¹", "inverse angstroms", "1/ANGSTROMS", r"\AA^{-1}")
        ),
        *((u, 0.1) for u in ("1/nm", "nm^-1", "nm-1", "nm⁻¹", "1 / nm", "inverse nanometers", "rad/nm")),
        *((u, 1e-10) for u in ("1/m", "m^-1")),
        *((u, None) for u in ("", "nm", "pixel", "degrees", "1/eV")),
    ],
)
def test_units_of_q(unit, factor):
    assert q_factor(unit) == factor


@pytest.mark.parametrize(
    ("unit", "factor"),
    [("1/cm", 1), ("cm^-1", 1), ("1/cm/sr", 1), ("cm-1 sr-1", 1), ("1/m", 0.01), ("a.u.", None), ("counts", None)],
)
def test_units_of_intensities(unit, factor):
    assert intensity_factor(unit) == (pytest.approx(factor) if factor else None)

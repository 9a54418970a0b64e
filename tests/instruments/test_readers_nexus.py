"""NXcanSAS, Nika, other HDF5 and canSAS XML, written as the standards say and read back."""

import h5py
import numpy as np
import pytest

from instruments.readers import CurveFileError, read_curves

Q = np.geomspace(0.005, 0.4, 30)
INTENSITY = 1e-4 * Q**-3 + 0.05
SIGMA = 0.03 * INTENSITY


def sasdata(group, *, factor=1.0, q_unit="1/angstrom", unit="1/cm", q_scale=1.0, errors=True):
    """A SASdata group of NXcanSAS."""
    group.attrs.update(NX_class="NXdata", canSAS_class="SASdata", signal="I", I_axes="Q", Q_indices=[0])
    group["Q"], group["I"] = Q * q_scale, factor * INTENSITY
    group["Q"].attrs["units"], group["I"].attrs["units"] = q_unit, unit
    if errors:
        group["I"].attrs["uncertainties"] = "Idev"
        group["Idev"] = factor * SIGMA


def entry(file, name):
    group = file.create_group(name)
    group.attrs.update(NX_class="NXentry", canSAS_class="SASentry", version="1.1")
    group["definition"], group["title"], group["run"] = "NXcanSAS", name, name
    return group


def assert_curve(read, factor=1.0, sigma=True):
    np.testing.assert_allclose(read.curve.q, Q, rtol=1e-12)
    np.testing.assert_allclose(read.curve.intensity, factor * INTENSITY, rtol=1e-12)
    if sigma:
        np.testing.assert_allclose(read.curve.sigma, factor * SIGMA, rtol=1e-12)
    else:
        assert np.isnan(read.curve.sigma).all()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a.h5"


@pytest.mark.parametrize(
    ("unit", "scale"),
    [("1/angstrom", 1), ("1/A", 1), ("A^-1", 1), ("Å^-1", 1), ("1/nm", 10), ("nm^-1", 10), ("1/m", 1e10)],
)
def test_units_of_q(path, unit, scale):
    with h5py.File(path, "w") as file:
        sasdata(entry(file, "e").create_group("d"), q_unit=unit, q_scale=scale)
    assert_curve(read_curves(path).curves[0])
    # What a person says overrules the file, and is not added to it.
    (read,) = read_curves(path, unit="1/nm").curves
    np.testing.assert_allclose(read.curve.q, Q * scale / 10, rtol=1e-12)


@pytest.mark.parametrize(
    ("unit", "factor", "note"),
    [("1/cm", 1, ()), ("1/m", 0.01, ("intensities converted from 1/m to 1/cm",)), ("counts", 1, ("'counts'",))],
)
def test_units_of_intensities(path, unit, factor, note):
    with h5py.File(path, "w") as file:
        sasdata(entry(file, "e").create_group("d"), unit=unit)
    (read,) = read_curves(path).curves
    assert_curve(read, factor)
    assert len(read.notes) == len(note)
    assert all(word in said for word, said in zip(note, read.notes, strict=True))


def test_several_entries_with_several_data_and_no_errors(path):
    with h5py.File(path, "w") as file:
        for i in (1, 2):
            group = entry(file, f"e{i}")
            for k in (1, 2):
                sasdata(group.create_group(f"d{k}"), factor=10 * i + k, errors=k == 1)
    reading = read_curves(path)
    assert [curve.name for curve in reading.curves] == [f"{path}[{i}]" for i in range(4)]
    for read, factor in zip(reading.curves, (11, 12, 21, 22), strict=True):
        assert_curve(read, factor, sigma=factor % 10 == 1)


@pytest.mark.parametrize("own_q", [False, True])
def test_frames_are_one_curve_each(path, own_q):
    with h5py.File(path, "w") as file:
        group = entry(file, "e").create_group("d")
        group.attrs.update(canSAS_class="SASdata", signal="I", I_axes=["Time", "Q"], Q_indices=[0, 1] if own_q else 1)
        group["Q"] = np.stack([Q] * 3) if own_q else Q
        group["I"], group["Idev"] = np.outer([1, 2, 3], INTENSITY), np.outer([1, 2, 3], SIGMA)
    for factor, read in enumerate(read_curves(path).curves, start=1):
        assert_curve(read, factor)


def test_q_may_be_the_first_axis(path):
    with h5py.File(path, "w") as file:
        group = entry(file, "e").create_group("d")
        group.attrs.update(canSAS_class="SASdata", signal="I", I_axes="Q,Time", Q_indices=0)
        group["Q"], group["I"] = Q, np.outer(INTENSITY, [1, 2])
        group["Idev"] = np.outer(SIGMA, [1, 2])
    for factor, read in enumerate(read_curves(path).curves, start=1):
        assert_curve(read, factor)


def test_nika(path):
    path = path.with_suffix(".hdf")
    with h5py.File(path, "w") as file:
        file.attrs.update(creator="Nika", default="sample")
        group = entry(file, "sample").create_group("_1D_270_30")
        sasdata(group)
        group.attrs.update(I_axes=np.bytes_("Q"), Q_indices=np.bytes_("0"), I_uncertainties="Idev")
        group["Q"].attrs["resolutions"] = "Qdev"
        group["Qdev"] = 0.01 * Q
        group.create_group("IGORWaveNote")["Q"] = [1.0]
    assert_curve(read_curves(path).curves[0])


def test_nxdata_over_q(path):
    """What pyFAI's workers and DAWN write."""
    with h5py.File(path, "w") as file:
        group = file.create_group("entry/pyFAI/result")
        group.attrs.update(NX_class="NXdata", signal="intensity", axes=[".", "q"])
        group["q"], group["intensity"] = 10 * Q, np.outer([1, 2], INTENSITY)
        group["q"].attrs["units"] = "nm^-1"
        group["intensity_errors"] = np.outer([1, 2], SIGMA)
        group["polarization_factor"] = 0.9
    for factor, read in enumerate(read_curves(path).curves, start=1):
        assert_curve(read, factor)


def test_plain_data_sets_by_usual_names_and_by_option(path):
    with h5py.File(path, "w") as file:
        file["raw/image"] = np.zeros((4, 4))
        file["reduced/saxs_q"], file["reduced/saxs_i"], file["reduced/saxs_err"] = Q, INTENSITY, SIGMA
        file["mine/a"], file["mine/b"] = Q, 2 * INTENSITY
    assert_curve(read_curves(path).curves[0])
    assert_curve(read_curves(path, columns=["a", "b"]).curves[0], 2, sigma=False)


@pytest.mark.parametrize(
    ("fill", "message"),
    [
        (lambda file: None, "holds no curve I.q.: .*; there are none"),
        (lambda file: file.update_image(), "there are image"),
        (lambda file: file.qx_qy(), "it is a picture, not a curve; reduce it first"),
        (lambda file: file.change("I", 7, np.nan), r"a\.h5: row 8: the intensity must be a finite number, got nan"),
        (lambda file: file.change("Idev", 7, 0), "row 8: the error bar must be greater than 0, got 0"),
        (lambda file: file.change("Q", 7, 0.001), "row 8: q must be greater than in the row before"),
        (lambda file: file.shorter(), r"shapes do not agree: Q \(30,\), I \(29,\)"),
    ],
)
def test_what_cannot_be_used_is_told_with_the_row(path, fill, message):
    class Changes:
        def __init__(self, file):
            self.file = file

        def update_image(self):
            self.file["image"] = np.zeros((4, 4))

        def data(self):
            return entry(self.file, "e").create_group("d")

        def qx_qy(self):
            group = self.data()
            group.attrs.update(canSAS_class="SASdata", signal="I", I_axes=["Q", "Q"])
            group["Qx"] = group["Qy"] = group["I"] = np.ones((4, 4))

        def change(self, name, row, value):
            group = self.data()
            sasdata(group)
            group[name][row] = value

        def shorter(self):
            group = self.data()
            sasdata(group, errors=False)
            del group["I"]
            group["I"] = INTENSITY[1:]

    with h5py.File(path, "w") as file:
        fill(Changes(file))
    with pytest.raises(CurveFileError, match=message) as caught:
        read_curves(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_a_file_cut_short(path):
    with h5py.File(path, "w") as file:
        sasdata(entry(file, "e").create_group("d"))
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(CurveFileError, match="is no HDF5 file, or a damaged one"):
        read_curves(path)


def cansas(version="1.1", *, entries=1, unit="1/A", scale=1.0, errors=True, change=None, encoding="UTF-8"):
    namespace = {"1.0": "cansas1d/1.0", "1.1": "urn:cansas1d:1.1"}[version]
    lines = [f'<?xml version="1.0" encoding="{encoding}"?>', f'<SASroot version="{version}" xmlns="{namespace}">']
    for e in range(1, entries + 1):
        lines += [f'<SASentry name="e{e}"><Title>Größe {e}</Title><Run>{e}</Run><SASdata>']
        for i, (q, intensity, sigma) in enumerate(zip(Q, e * INTENSITY, e * SIGMA, strict=True)):
            value = change if change is not None and (i, e) == (7, entries) else f"{intensity:.17g}"
            idev = f'<Idev unit="1/cm">{sigma:.17g}</Idev>' if errors else ""
            lines += [f'<Idata><Q unit="{unit}">{q * scale:.17g}</Q><I unit="1/cm">{value}</I>{idev}</Idata>']
        lines += ["</SASdata><SASsample/></SASentry>"]
    return "\n".join([*lines, "</SASroot>"]).encode(encoding)


@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize("encoding", ["UTF-8", "ISO-8859-1"])
@pytest.mark.parametrize(("unit", "scale"), [("1/A", 1), ("1/nm", 10)])
def test_cansas_xml(tmp_path, version, encoding, unit, scale):
    path = tmp_path / "a.xml"
    path.write_bytes(cansas(version, entries=2, unit=unit, scale=scale, encoding=encoding))
    for factor, read in enumerate(read_curves(path).curves, start=1):
        assert_curve(read, factor)
        assert len(read.notes) == (unit == "1/nm")
    path.write_bytes(cansas(version, errors=False))
    assert_curve(read_curves(path).curves[0], sigma=False)


def test_bad_values_of_cansas_xml(tmp_path):
    path = tmp_path / "a.xml"
    path.write_bytes(cansas(entries=2, change="oops"))
    reading = read_curves(path)
    assert len(reading.curves) == 1
    assert reading.refused[0].startswith(f"{path}[1]: row 8: expected a number for I, got 'oops'")
    (_, read) = read_curves(path, skip_bad_rows=True).curves
    assert read.notes == ("1 of 30 rows left out (first: row 8)",)
    path.write_bytes(cansas(change="nan"))
    with pytest.raises(CurveFileError, match="row 8: the intensity must be a finite number"):
        read_curves(path)
    path.write_bytes(cansas().replace(b"<I unit", b"<J unit", 1).replace(b"</I>", b"</J>", 1))
    with pytest.raises(CurveFileError, match="row 1: has no I"):
        read_curves(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (cansas()[:1000], "is no XML, or a damaged one"),
        (b"", "is no XML"),
        (b"<html><body>no</body></html>", "expected canSAS XML, got <html>"),
        (
            b'<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "aaaaaaaaaa">'
            + b"".join(b'<!ENTITY %c "%s">' % (97 + i, b"&%c;" % (96 + i) * 10) for i in range(1, 12))
            + b"]><l>&l;</l>",
            "is no XML, or a damaged one",
        ),
    ],
)
def test_xml_that_is_no_cansas(tmp_path, content, message):
    path = tmp_path / "a.xml"
    path.write_bytes(content)
    with pytest.raises(CurveFileError, match=message) as caught:
        read_curves(path)
    assert "\n" not in str(caught.value)

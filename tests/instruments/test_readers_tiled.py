"""Curves below a Tiled node, with stand-ins for the client's nodes; the real ones are in the system tests."""

import numpy as np
import pandas as pd
import pytest

from instruments.readers import CurveFileError
from instruments.readers.tiled import MOST_ENTRIES, curves_of_node
from instruments.readers.tiled_run import documents_of
from instruments.rundata import RunData

Q = np.geomspace(0.005, 0.4, 30)
INTENSITY = 1e-4 * Q**-3 + 0.05
SIGMA = 0.03 * INTENSITY


class Array:
    structure_family = "array"

    def __init__(self, values, **metadata):
        self._values, self.metadata = np.asarray(values), metadata
        self.shape = self._values.shape

    def read(self):
        return self._values


class Table:
    structure_family = "table"

    def __init__(self, columns, **metadata):
        self._frame, self.metadata = pd.DataFrame(columns), metadata
        self.columns = list(self._frame)
        self.reads = 0

    def read(self):
        self.reads += 1
        return self._frame


class Container(dict):
    structure_family = "container"

    def __init__(self, children, **metadata):
        super().__init__(children)
        self.metadata = metadata


def found(node, columns=None):
    return [(name, c.q, c.intensity, c.sigma, c.q_unit) for name, c in curves_of_node(node, "node", columns)]


def assert_curves(curves, factors, *, sigma=True):
    assert len(curves) == len(factors)
    for (_, q, intensity, own_sigma, _), factor in zip(curves, factors, strict=True):
        np.testing.assert_array_equal(q, Q)
        np.testing.assert_allclose(intensity, factor * INTENSITY)
        if sigma:
            np.testing.assert_allclose(own_sigma, factor * SIGMA)
        else:
            assert own_sigma is None


def test_arrays_of_a_container():
    node = Container(
        {"q": Array(Q, units="1/nm"), "I": Array(np.outer([1, 2], INTENSITY)), "I_err": Array(np.outer([1, 2], SIGMA))}
    )
    curves = found(node)
    assert_curves(curves, [1, 2])
    assert [(curve[0], curve[4]) for curve in curves] == [("node[0]", "1/nm"), ("node[1]", "1/nm")]


def test_an_xarray_data_set_keeps_units_among_its_attributes():
    node = Container({"q": Array(Q, attrs={"units": "1/nm"}), "I": Array(INTENSITY), "sigma": Array(SIGMA)}, attrs={})
    assert found(node)[0][4] == "1/nm"


def test_a_table_is_read_once():
    table = Table({"Q": Q, "I(q)": INTENSITY, "dI": SIGMA, "other": Q}, units={"Q": "nm^-1"})
    curves = found(table)
    assert_curves(curves, [1])
    assert (curves[0][4], table.reads) == ("nm^-1", 1)
    assert_curves(found(table, ["other", "I(q)"]), [1], sigma=False)


def test_a_table_of_lists_has_a_curve_in_each_row():
    rows = [[INTENSITY, 2 * INTENSITY], [SIGMA, 2 * SIGMA]]
    assert_curves(found(Table({"q": [Q, Q], "i": rows[0], "sigma": rows[1]})), [1, 2])
    ragged = Table({"q": [Q, Q[:5]], "i": [INTENSITY, INTENSITY[:5]]})
    assert [len(curve[1]) for curve in found(ragged)] == [30, 5]


@pytest.mark.parametrize("columns", [2, 3, 4])
def test_one_array_of_columns_or_rows(columns):
    values = np.stack([Q, INTENSITY, SIGMA, Q][:columns])
    assert_curves(found(Array(values)), [1], sigma=columns > 2)
    assert_curves(found(Array(values.T)), [1], sigma=columns > 2)
    with pytest.raises(CurveFileError, match=r"node: expected an array with columns q, I .* got \(30,\)"):
        found(Array(Q))


def test_a_folder_of_curves():
    folder = Container({"a": Table({"q": Q, "i": INTENSITY}), "b": Container({"c": Table({"q": Q, "i": INTENSITY})})})
    assert [curve[0] for curve in found(folder)] == ["node a", "node b c"]
    xy = Container({"a": Table({"x": Q, "y": INTENSITY})})
    assert_curves(found(xy, ["x", "y"]), [1], sigma=False)
    with pytest.raises(
        CurveFileError, match=r"node: holds no curve: expected .* there are x, y; name them with --columns"
    ):
        found(Container({"a": Table({"x": Q, "y": INTENSITY})}).get("a"))
    with pytest.raises(CurveFileError, match="expected arrays or columns q, z"):
        found(xy, ["q", "z"])


def test_a_whole_catalogue_is_not_searched():
    class Large(Container):
        def __len__(self):
            return MOST_ENTRIES + 1

    with pytest.raises(CurveFileError, match=r"node: holds 10,001 entries; name one of them"):
        found(Large({}))


def stream(children, units=None, configuration=None, **keys):
    data_keys = {key: {"dtype": kind, "units": (units or {}).get(key, "")} for key, kind in keys.items()}
    return Container(children, data_keys=data_keys, configuration=configuration or {}, uid="d")


def run(**streams):
    return Container(streams, start={"uid": "u", "time": 1.0}, stop={"uid": "s", "run_start": "u", "time": 2.0})


def test_curves_in_the_events_of_a_run():
    table = Table(
        {"seq_num": [1, 2], "c_q": [Q, Q], "c_i": [INTENSITY, 2 * INTENSITY], "ts_c_q": [1, 1], "ts_c_i": [1, 1]}
    )
    primary = stream({"internal": table}, units={"c_q": "1/Å"}, c_q="array", c_i="array")
    curves = found(run(baseline=stream({"internal": Table({"x": [1.0]})}), primary=primary))
    assert_curves(curves, [1, 2], sigma=False)
    assert [(curve[0], curve[4]) for curve in curves] == [("node primary[0]", "1/Å"), ("node primary[1]", "1/Å")]


def test_q_may_stand_in_the_configuration():
    device = {"det": {"data": {"det_q": list(Q), "det_gain": 2}, "data_keys": {"det_q": {"units": "1/nm"}}}}
    images = Array(INTENSITY[None])
    curves = found(run(primary=stream({"det_i": images}, configuration=device, det_i="array")))
    assert_curves(curves, [1], sigma=False)
    assert curves[0][4] == "1/nm"


def test_a_run_becomes_documents_again(tmp_path):
    frames = np.arange(24).reshape(2, 3, 4)
    table = Table({"seq_num": [1, 2], "i0": [5.0, 6.0], "curve": [Q[:3], Q[:3]], "holder": ["a", "b"]})
    device = {"det": {"data": {"det_exposure_s": 0.2}}}
    primary = stream({"det_image": Array(frames), "internal": table}, configuration=device, i0="number", curve="array")
    data = RunData.from_documents(documents_of(run(primary=primary), tmp_path))
    assert (data.start["uid"], data.stop["run_start"]) == ("u", "u")
    assert data.configuration == {"det_exposure_s": 0.2}
    assert [event["i0"] for event in data.events] == [5.0, 6.0]
    assert data.events[0]["curve"] == list(Q[:3])
    from instruments.frames import read_frame

    for path, frame in zip(data.frames, frames, strict=True):
        np.testing.assert_array_equal(read_frame(path), frame)

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from surrogates.errors import SurrogateError
from surrogates.saxs.curves import GriddedCurves, QGrid, check_curves, local_sigma, rebin
from surrogates.saxs.features import Encoder, level_and_precision

GRID = QGrid()


def porod(q):
    return 1e-6 * q**-4.0 + 0.02


def guinier(q):
    return 50 * np.exp(-((40 * q) ** 2) / 3) + 1e-7 * q**-4


@pytest.mark.parametrize(("curve", "within"), [(porod, 0.01), (guinier, 0.1)])  # which falls as q**-14 at the end
@pytest.mark.parametrize(
    "q", [np.geomspace(0.002, 0.6, 200), np.linspace(0.002, 0.6, 1500), np.geomspace(0.003, 0.5, 90)]
)
def test_rebinned_curves_do_not_depend_on_the_grid_they_came_on(curve, within, q):
    got = rebin(q, curve(q), 0.01 * curve(q), GRID)
    inner = got.measured[0] & (GRID.q > 0.005) & (GRID.q < 0.45)
    assert inner.sum() > 100
    np.testing.assert_allclose(got.intensity[0, inner], curve(GRID.q[inner]), rtol=within)


def test_points_of_the_same_bin_are_averaged_and_error_bars_shrink():
    q = np.linspace(0.003, 0.5, 5000)
    got = rebin(q, np.ones_like(q), np.full_like(q, 0.1), GRID)
    per_bin = np.diff(np.searchsorted(q, np.exp(GRID.log_edges)))[-20:-1]
    np.testing.assert_allclose(got.sigma[0, -20:-1], 0.1 / np.sqrt(per_bin), rtol=0.05)


def test_error_bars_are_those_of_the_scatter():
    rng = np.random.default_rng(0)
    q = np.geomspace(0.003, 0.5, 333)
    truth = porod(q)
    noisy = truth + 0.05 * truth * rng.standard_normal((4000, len(q)))
    got = rebin(q, noisy, np.broadcast_to(0.05 * truth, noisy.shape), GRID)
    np.testing.assert_allclose(noisy.shape[0], len(got))
    np.testing.assert_allclose(got.intensity.std(0), got.sigma[0], rtol=0.06)
    clean = rebin(q, truth, truth, GRID).intensity[0]
    assert np.abs((got.intensity.mean(0) - clean) / got.sigma[0] * np.sqrt(4000)).max() < 4.5


def test_what_was_not_measured_is_masked_not_extrapolated():
    q = np.concatenate([np.geomspace(0.01, 0.03, 30), np.geomspace(0.1, 0.2, 30)])
    got = rebin(q, porod(q), porod(q), GRID)
    outside = (GRID.q < 0.0095) | ((GRID.q > 0.0315) & (GRID.q < 0.095)) | (GRID.q > 0.21)
    assert not got.measured[0, outside].any()
    inside = ((GRID.q > 0.0105) & (GRID.q < 0.029)) | ((GRID.q > 0.105) & (GRID.q < 0.19))
    assert got.measured[0, inside].all()
    assert (got.intensity[0, outside] == 0).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda q, i, s: (q[::-1], i, s), "row 2: q must be greater than in the row before, got 0.396133"),
        (lambda q, i, s: (q[:3], i[:3], s[:3]), "at least 4 points, this one has 3"),
        (lambda q, i, s: (q, i, np.where(np.arange(10) == 4, 0, s)), "row 5: sigma must be greater than 0, got 0"),
        (lambda q, i, s: (q, np.where(np.arange(10) == 6, np.nan, i), s), "row 7: intensity must be a finite number"),
        (lambda q, i, s: (q, i, -s), "row 1: sigma must be greater than 0, got -1"),
        (lambda q, i, s: (q - q[0], i, s), "row 1: q must be greater than 0, got 0"),
        (lambda q, i, s: (q, i[:5], s), "expected q \\(k,\\)"),
        (lambda q, i, s: (["a"] * 10, i, s), "must be numbers"),
        (lambda q, i, s: (10 * q + 10, i, s), "lies outside the 0.003 to 0.5"),
    ],
)
def test_bad_curves_get_one_line_with_file_and_row(change, message):
    q = np.linspace(0.01, 0.4444, 10)
    with pytest.raises(SurrogateError, match=f"a.dat: .*{message}") as caught:
        rebin(*change(q, np.ones(10), np.ones(10)), GRID, "a.dat")
    assert "\n" not in str(caught.value)


def test_of_several_curves_the_message_names_the_one():
    i = np.ones((3, 10))
    i[1, 2] = np.inf
    with pytest.raises(SurrogateError, match="curve 2, row 3"):
        check_curves(np.linspace(0.1, 0.2, 10), i, np.ones((3, 10)))


@settings(max_examples=40, deadline=None)
@given(st.integers(4, 400), st.floats(1e-3, 0.05), st.floats(0.1, 2.0), st.integers(0, 2**31))
def test_any_legal_curve_gives_finite_channels(points, low, high, seed):
    rng = np.random.default_rng(seed)
    q = np.sort(rng.uniform(low, high, points))
    q = np.unique(q)
    i = rng.standard_normal((2, len(q))) * 10 ** rng.uniform(-12, 12)
    s = np.abs(rng.standard_normal((2, len(q)))) * 10 ** rng.uniform(-12, 12) + 1e-14
    try:
        got = rebin(q, i, s, GRID)
    except SurrogateError:
        return
    for scale in ("absolute", "relative"):
        level, precision = level_and_precision(got, scale)
        assert np.isfinite(level).all()
        assert np.isfinite(precision).all()


def test_relative_curves_lose_their_scale_absolute_ones_keep_it():
    q = np.geomspace(0.003, 0.5, 128)
    one, ten = (rebin(q, f * porod(q), 0.02 * f * porod(q), GRID) for f in (1.0, 10.0))
    np.testing.assert_allclose(
        level_and_precision(one, "relative")[0], level_and_precision(ten, "relative")[0], atol=1e-9
    )
    difference = level_and_precision(ten, "absolute")[0] - level_and_precision(one, "absolute")[0]
    np.testing.assert_allclose(difference, np.log(10), rtol=1e-9)


def test_level_is_the_logarithm_where_the_signal_stands_out():
    q = np.geomspace(0.003, 0.5, 128)
    level, _ = level_and_precision(rebin(q, porod(q), 1e-3 * porod(q), GRID), "absolute")
    np.testing.assert_allclose(level[0], np.log(rebin(q, porod(q), q, GRID).intensity[0]), atol=1e-5)


def test_encoder_standardises_and_masks():
    rng = np.random.default_rng(1)
    q = np.geomspace(0.003, 0.5, 128)
    i = porod(q) * np.exp(rng.standard_normal((200, 1)))
    curves = rebin(q, i, 0.01 * i, GRID)
    encoder = Encoder.fit(curves, "absolute")
    X = encoder(curves)
    assert X.shape == (200, 384)
    seen = 2 * X.double() - 1
    np.testing.assert_allclose(seen[:, :128].mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(seen[:, :128].std(0), 1, atol=0.02)
    assert (seen[:, 256:] == 1).all()
    part = rebin(q[:60], i[:1, :60], 0.01 * i[:1, :60], GRID)
    seen = (2 * encoder(part) - 1)[0]
    assert (seen[62:128] == 0).all()
    assert (seen[256 + 62 :] == 0).all()


def test_encoder_refuses_bins_that_no_curve_has():
    q = np.geomspace(0.01, 0.1, 50)
    with pytest.raises(SurrogateError, match="bin 0 of the grid"):
        Encoder.fit(rebin(q, porod(q), porod(q), GRID), "absolute")


def test_missing_error_bars_are_estimated_from_the_scatter():
    rng = np.random.default_rng(2)
    q = np.linspace(0.01, 0.3, 2000)
    truth = porod(q) + 1
    got = local_sigma(q, truth * (1 + 0.05 * rng.standard_normal(len(q))))
    assert np.median(got / (0.05 * truth)) == pytest.approx(1, abs=0.15)
    assert (local_sigma(q[:4], truth[:4]) > 0).all()


def test_gridded_curves_join_and_split():
    q = np.geomspace(0.003, 0.5, 128)
    curves = rebin(q, np.stack([porod(q), guinier(q)]), np.ones((2, 128)), GRID)
    again = GriddedCurves.joined([curves[:1], curves[1:]])
    np.testing.assert_array_equal(again.intensity, curves.intensity)
    assert len(again) == 2


def test_narrow_curves_are_legal_and_have_finite_channels():
    q = np.linspace(0.105, 0.106, 12)
    for narrow in (q, np.linspace(0.1, 0.12, 12)):
        got = rebin(narrow, np.ones(12), np.ones(12), GRID)
        assert got.measured.sum() < 6
        assert np.isfinite(level_and_precision(got, "relative")[0]).all()

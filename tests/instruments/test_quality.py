"""The quality gate: each fault alone is found and named, sound data pass, and real bad curves are caught."""

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from instruments.curve import Curve
from instruments.errors import InstrumentError
from instruments.quality import QualityGate

GATE = QualityGate()
MASK = np.zeros((200, 180), dtype=bool)
MASK[90:97] = True


def sound_frame(seed=0):
    rng = np.random.default_rng(seed)
    row, column = np.indices(MASK.shape)
    image = rng.poisson(200 * np.exp(-np.hypot(row - 100, column - 90) / 20) + 0.3).astype(np.int32)
    image[MASK] = -1
    return image


def sound_curve(q=None, *, noise=0.03, seed=0):
    q = np.linspace(0.004, 0.12, 200) if q is None else q
    intensity = 10 * np.exp(-((60 * q) ** 2) / 3) + 0.2
    sigma = noise * intensity
    return Curve(q, np.random.default_rng(seed).normal(intensity, sigma), sigma)


def changed(curve, **arrays):
    return Curve(**{"q": curve.q, "intensity": curve.intensity, "sigma": curve.sigma, **arrays})


def only(reasons, *words):
    """One reason, with these words in it."""
    assert len(reasons) == 1, reasons
    for word in words:
        assert word in reasons[0]


def test_sound_data_pass():
    for seed in range(5):
        assert GATE.frame(sound_frame(seed), MASK) == []
        assert GATE.curve(sound_curve(seed=seed)) == []
    assert GATE.curve(sound_curve(np.geomspace(0.002, 0.5, 120))) == []


def test_nan_and_infinite_pixels_are_counted_unless_masked():
    image = sound_frame().astype(float)
    image[MASK] = np.nan
    assert GATE.frame(image, MASK) == []
    image[3, 4], image[5, 6] = np.nan, np.inf
    only(GATE.frame(image, MASK), "2 of", "NaN or infinite")


def test_all_zero_and_too_few_counts():
    only(GATE.frame(np.zeros_like(MASK, dtype=np.int32), MASK), "every usable pixel is zero")
    image = np.zeros_like(MASK, dtype=np.int32)
    image[:70:10, :100] = 1
    only(GATE.frame(image, MASK), "700 counts", "1000")
    assert QualityGate(min_total_counts=700).frame(image, MASK) == []


def test_saturated_frame():
    image = sound_frame()
    image[98:103, 88:93] = 2**20 - 1
    only(GATE.frame(image, MASK), "saturated", "0.07", "0.010%")
    image[MASK] = 2**21
    assert QualityGate(max_saturated=0.001).frame(image, MASK) == []


def test_half_masked_frame_is_found_against_the_known_mask():
    image = sound_frame()
    image[:, 90:] = -1
    only(GATE.frame(image, MASK), "50.0%", "5.0%", "missing")
    known = MASK.copy()
    known[:, 90:] = True
    assert GATE.frame(image, known) == []


def test_half_dead_frame_is_found_but_a_dark_one_is_not_called_dead():
    image = sound_frame()
    image[:, 96:][~MASK[:, 96:]] = 0
    only(GATE.frame(image, MASK), "counted nothing")
    rng = np.random.default_rng(1)
    row, column = np.indices(MASK.shape)
    steep = rng.poisson(300 * np.exp(-((row - 80) ** 2 + (column - 70) ** 2) / 400))
    assert GATE.frame(steep, MASK) == []
    sparse = rng.poisson(np.full(MASK.shape, 0.03))
    assert QualityGate(min_total_counts=100).frame(sparse, MASK) == []


def test_frames_of_the_wrong_form_are_a_reason_not_an_error():
    only(GATE.frame(np.zeros(5)), "(5,)")
    only(GATE.frame(np.ones((2, 2)), MASK), "(2, 2)")
    only(GATE.frame(sound_frame(), np.ones_like(MASK)), "no pixel")


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (0.0075, 0.12, ("begin at q = 0.0075", "0.006")),
        (0.004, 0.028, ("end at q = 0.02", "0.03")),
    ],
)
def test_coverage(low, high, words):
    only(GATE.curve(sound_curve(np.linspace(low, high, 300))), *words)


def test_coverage_counts_only_usable_points():
    curve = sound_curve(np.linspace(0.004, 0.12, 600))
    sigma = np.where(curve.q < 0.0064, np.nan, curve.sigma)
    only(GATE.curve(changed(curve, sigma=sigma)), "begin at q = 0.0065", "from 0.004")


def test_too_few_points_and_gaps():
    only(GATE.curve(sound_curve(np.linspace(0.005, 0.03, 15))), "14 usable points", "20")
    q = np.linspace(0.004, 0.12, 600)
    q = q[(q < 0.01) | (q > 0.018)]
    only(GATE.curve(sound_curve(q)), "no usable point for 38%", "0.0098", "25%")
    only(GATE.curve(Curve(np.array([]), np.array([]), np.array([]))), "no points")


@pytest.mark.parametrize("bad", [0.0, np.nan, -1.0, np.inf])
def test_error_bars(bad):
    curve = sound_curve(np.linspace(0.004, 0.12, 600))
    sigma = np.where(np.arange(600) % 4 == 0, bad, curve.sigma)
    only(GATE.curve(changed(curve, sigma=sigma)), "no usable error bar", "5.0%")
    reasons = GATE.curve(changed(curve, sigma=np.full(600, bad)))
    assert any("no point has both" in reason for reason in reasons)


def test_intensities():
    curve = sound_curve(np.linspace(0.004, 0.12, 600))
    broken = curve.intensity.copy()
    broken[500] = np.nan
    only(GATE.curve(changed(curve, intensity=broken)), "1 of 600", "NaN or infinite")
    over_subtracted = np.where((curve.q > 0.02) & (curve.q < 0.03), -0.1, curve.intensity)
    only(GATE.curve(changed(curve, intensity=over_subtracted)), "zero or negative", "20.0%")
    noise = np.abs(np.random.default_rng(2).normal(0.0, 1.0, 600)) * 0.3
    only(GATE.curve(changed(curve, intensity=noise, sigma=np.ones(600))), "signal-to-noise", "at least 5")
    spikes = np.where(np.arange(600) % 9 == 0, 5 * curve.intensity, curve.intensity)
    only(GATE.curve(changed(curve, intensity=spikes)), "jump away from both neighbours")


def test_signal_to_noise_does_not_depend_on_the_binning():
    """Four times the points with twice the error bar each: the same information, the same verdict."""
    for noise, accepted in ((0.4, True), (2.5, False)):
        coarse = sound_curve(np.linspace(0.005, 0.1, 300), noise=noise)
        fine = sound_curve(np.linspace(0.005, 0.1, 1200), noise=2 * noise)
        gate = QualityGate(max_nonpositive=1.0)
        assert (gate.curve(coarse) == []) is accepted
        assert (gate.curve(fine) == []) is accepted


@settings(max_examples=50, deadline=None)
@given(scale=st.floats(1e-6, 1e6), seed=st.integers(0, 50), noise=st.floats(0.001, 3.0))
def test_verdict_does_not_depend_on_the_scale_of_the_intensity(scale, seed, noise):
    curve = sound_curve(seed=seed, noise=noise)
    scaled = changed(curve, intensity=curve.intensity * scale, sigma=curve.sigma * scale)
    assert [r[:20] for r in GATE.curve(curve)] == [r[:20] for r in GATE.curve(scaled)]


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(st.floats(1e-4, 1.0), st.floats(allow_nan=True), st.floats(allow_nan=True)),
        max_size=40,
        unique_by=lambda p: p[0],
    )
)
def test_any_curve_gets_a_verdict(points):
    points = np.array(sorted(points, key=lambda p: p[0])).reshape(-1, 3)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        reasons = GATE.curve(Curve(*points.T))
    assert reasons
    assert all(reason and isinstance(reason, str) for reason in reasons)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"q_low": 0.0}, "q_low"),
        ({"q_low": 0.03, "q_high": 0.01}, "q_low < q_high"),
        ({"max_saturated": 1.5}, "max_saturated must be a fraction"),
        ({"min_total_counts": -1}, "min_total_counts"),
        ({"max_gap": np.nan}, "max_gap"),
    ],
)
def test_impossible_options_are_named(options, message):
    with pytest.raises(InstrumentError, match=message):
        QualityGate(**options)


def recorded(name):
    import pandas as pd

    folder = Path(os.environ.get("BEAMLOOP_DATA", Path(__file__).parents[3] / "shared" / "data"))
    path = folder / name / "dev.parquet"
    if not path.is_file():
        pytest.skip(f"recorded data set {name} is not at {path}")
    return pd.read_parquet(path)


def curve_of(q, intensity, sigma):
    return Curve(*(np.asarray(a, dtype=np.float64) for a in (q, intensity, sigma)))


@pytest.mark.data
def test_real_bad_curves_are_caught_from_their_numbers_alone():
    table = recorded("saxs_stober_silica")
    accepted = np.array([not GATE.curve(curve_of(r.q, r.i, r.sigma)) for r in table.itertuples()])
    ok = table["curve_ok"].to_numpy()
    confusion = [[int(np.sum((ok == a) & (accepted == b))) for b in (False, True)] for a in (False, True)]
    assert confusion == [[int((~ok).sum()), 0], [0, int(ok.sum())]], (
        f"rows: bad, good; columns: refused, accepted {confusion}"
    )


@pytest.mark.data
def test_other_real_curves_get_a_verdict():
    series = recorded("sas_series")
    lysozyme = series[series["series"] == "silica_lysozyme_p12"]
    assert all(GATE.curve(curve_of(r.q, r.i, r.sigma)) == [] for r in lysozyme.itertuples())
    # They begin above 0.006 1/Å, which is no fault where such points are not needed.
    for name, gate in (
        ("pheh_titration", QualityGate(q_low=0.02, q_high=0.2)),
        ("sans_fenib", QualityGate(q_low=0.05, q_high=0.5)),
    ):
        rows = series[series["series"] == name]
        assert all(GATE.curve(curve_of(r.q, r.i, r.sigma)) for r in rows.itertuples())
        assert np.mean([gate.curve(curve_of(r.q, r.i, r.sigma)) == [] for r in rows.itertuples()]) > 0.9
    mesoporous = recorded("saxs_mesoporous_silica")
    verdicts = {
        r.sample: GATE.curve(curve_of(r.saxs_q, r.saxs_i, r.saxs_sigma))
        for r in mesoporous.itertuples()
        if r.saxs_q is not None
    }
    # Two of them were subtracted below zero, and lost their error bars there.
    assert {name for name, reasons in verdicts.items() if reasons} == {"SobolBatch_44", "SobolBatch_52"}
    for row in recorded("sas_measured_curves").itertuples():
        try:
            curve = curve_of(row.q, row.i, row.sigma)
        except InstrumentError:  # two blocks in one file: q is not increasing
            continue
        GATE.curve(curve)

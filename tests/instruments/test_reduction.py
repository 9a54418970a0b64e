"""Reduction against an independent average in numpy, and its error bars against many noisy frames."""

import subprocess
import sys

import numpy as np
import pytest

from instruments.errors import InstrumentError
from instruments.reduction import Background, Geometry, Reducer
from instruments.reduction_bins import expected_variance

GEOMETRY = Geometry(distance_mm=1000.0, wavelength_A=1.2, pixel_mm=0.5, beam_centre_px=(70.3, 55.8), shape=(150, 120))
THICKNESS = 0.1
READINGS = {"exposure_s": 1.0, "monitor_counts": 1e8, "transmission": 0.7}
Q_RANGE = (0.02, 0.2)


def polar():
    """Scattering angle and q of each pixel's centre, written down here without pyFAI."""
    row, column = np.indices(GEOMETRY.shape)
    r = np.hypot(row - GEOMETRY.beam_centre_px[0], column - GEOMETRY.beam_centre_px[1]) * GEOMETRY.pixel_mm
    two_theta = np.arctan2(r, GEOMETRY.distance_mm)
    return two_theta, 4 * np.pi / GEOMETRY.wavelength_A * np.sin(two_theta / 2)


def truth(q):
    return 30.0 * np.exp(-((25.0 * q) ** 2) / 3) + 0.5


def expected_counts(cross_section, *, monitor_counts=1e8, transmission=0.7, **_):
    """Mean counts of every pixel, with the solid angle of a tilted pixel."""
    two_theta, q = polar()
    solid_angle = (GEOMETRY.pixel_mm / GEOMETRY.distance_mm) ** 2 * np.cos(two_theta) ** 3
    return cross_section(q) * monitor_counts * transmission * THICKNESS * solid_angle


def static_mask():
    mask = np.zeros(GEOMETRY.shape, dtype=bool)
    mask[60:66] = True
    mask[66:76, 50:62] = True
    return mask


def reducer(**options):
    options = {"mask": static_mask(), "n_bins": 60, "q_range": Q_RANGE, "thickness_cm": THICKNESS, **options}
    return Reducer(GEOMETRY, **options)


def independent_average(image, mask, n_bins=60):
    """Sum of counts over sum of what one 1/cm gives, bin by bin."""
    _, q = polar()
    norm = expected_counts(np.ones_like)
    edges = np.linspace(*Q_RANGE, n_bins + 1)
    inside = ~mask & (q >= edges[0]) & (q < edges[-1])
    index = np.digitize(q[inside], edges) - 1
    counts, norms, mean_q = (
        np.bincount(index, a, minlength=n_bins) for a in (image[inside], norm[inside], (q * norm)[inside])
    )
    return mean_q / norms, counts / norms, np.sqrt(counts) / norms


def test_agrees_with_an_average_written_in_numpy():
    image = np.random.default_rng(3).poisson(expected_counts(truth) * 100)
    curve = reducer().reduce(image, exposure_s=1.0, monitor_counts=1e10, transmission=0.7)
    q, intensity, sigma = independent_average(image / 100, static_mask())
    np.testing.assert_allclose(curve.q, q, rtol=2e-3)
    # A pixel on an edge of two bins may be rounded into either: compare within a fraction of sigma.
    assert np.median(np.abs(curve.intensity / intensity - 1)) < 1e-5
    np.testing.assert_allclose(curve.intensity, intensity, rtol=0.01)
    np.testing.assert_allclose(curve.sigma, sigma / 10, rtol=0.05)


@pytest.mark.parametrize("split", ["no", "bbox"])
def test_noise_free_frame_gives_the_truth(split):
    curve = reducer(split=split).reduce(expected_counts(truth) * 1e3, **{**READINGS, "monitor_counts": 1e11})
    np.testing.assert_allclose(curve.intensity, truth(curve.q), rtol=0.01)


@pytest.mark.parametrize("monitor_counts", [2e6, 3e7, 1e9, 5e9])
def test_error_bars_are_right_from_bins_without_counts_to_full_ones(monitor_counts):
    rng = np.random.default_rng(5)
    r = reducer()
    counts = expected_counts(truth, monitor_counts=monitor_counts)
    z = []
    for _ in range(150):
        curve = r.reduce(rng.poisson(counts), exposure_s=1.0, monitor_counts=monitor_counts, transmission=0.7)
        assert np.all(curve.sigma > 0)
        z.append((curve.intensity - truth(curve.q)) / curve.sigma)
    z = np.array(z)
    assert z.shape[1] >= 59
    assert np.mean(z**2) == pytest.approx(1.0, abs=0.06)
    for third in np.array_split(z, 3, axis=1):
        assert np.mean(third**2) == pytest.approx(1.0, abs=0.12)
    # Error bars that follow the counts' own fluctuations would drag a weighted mean down.
    assert abs(z.mean()) < 0.08


def test_averages_over_bins_have_the_error_that_sigma_says():
    """Bins without pixel splitting are independent; with it, they share counts and an average is less certain."""
    rng = np.random.default_rng(6)
    counts = expected_counts(truth, monitor_counts=1e10)
    ratio = {}
    for split in ("no", "bbox"):
        r = reducer(split=split)
        z = []
        for _ in range(300):
            curve = r.reduce(rng.poisson(counts), exposure_s=1.0, monitor_counts=1e10, transmission=0.7)
            z.append(np.sum(curve.intensity - truth(curve.q)) / np.sqrt(np.sum(curve.sigma**2)))
        ratio[split] = np.var(z)
    assert ratio["no"] == pytest.approx(1.0, abs=0.3)
    assert ratio["bbox"] > ratio["no"] * 1.2


def test_a_frame_of_zeros_has_finite_error_bars_of_about_one_count():
    curve = reducer().reduce(np.zeros(GEOMETRY.shape, dtype=np.int32), **READINGS)
    assert np.all(curve.intensity == 0)
    assert np.all(curve.sigma > 0)
    one_count_in_all = 1 / expected_counts(np.ones_like)[~static_mask()].sum()
    assert np.all(curve.sigma > one_count_in_all)


def test_result_depends_on_neither_time_nor_transmission_nor_thickness():
    counts = expected_counts(truth) * 100
    reference = reducer().reduce(counts, **{**READINGS, "monitor_counts": 1e10})
    for factor in (0.5, 4.0):
        longer = reducer().reduce(counts * factor, exposure_s=factor, monitor_counts=1e10 * factor, transmission=0.7)
        np.testing.assert_allclose(longer.intensity, reference.intensity, rtol=1e-5)
        np.testing.assert_allclose(longer.sigma, reference.sigma / np.sqrt(factor), rtol=1e-5)
    clearer = reducer().reduce(counts * 0.9 / 0.7, exposure_s=1.0, monitor_counts=1e10, transmission=0.9)
    np.testing.assert_allclose(clearer.intensity, reference.intensity, rtol=1e-5)
    thicker = reducer(thickness_cm=0.2).reduce(counts * 2, **{**READINGS, "monitor_counts": 1e10})
    np.testing.assert_allclose(thicker.intensity, reference.intensity, rtol=1e-5)
    calibrated = reducer(calibration=2.0, monitor_efficiency=0.5).reduce(counts, **{**READINGS, "monitor_counts": 5e9})
    np.testing.assert_allclose(calibrated.intensity, 2 * reference.intensity, rtol=1e-5)


def test_background_is_scaled_subtracted_and_in_the_error_bar():
    rng = np.random.default_rng(7)

    def air(q):  # per unit thickness of the sample, so that expected_counts can be used
        return 20.0 * np.exp(-30 * q) + 1.0

    monitor, empty_monitor = 3e8, 1e8
    sample = expected_counts(truth, monitor_counts=monitor) + expected_counts(air, monitor_counts=monitor)
    empty = expected_counts(air, monitor_counts=empty_monitor, transmission=1.0)
    z, plain = [], []
    for _ in range(60):
        # A new background each time: what stays the same in all curves cannot be seen in their scatter.
        background = Background(rng.poisson(empty), exposure_s=0.5, monitor_counts=empty_monitor)
        r = reducer(background=background)
        image = rng.poisson(sample)
        curve = r.reduce(image, exposure_s=1.5, monitor_counts=monitor, transmission=0.7)
        z.append((curve.intensity - truth(curve.q)) / curve.sigma)
        plain.append(curve.sigma)
    assert np.mean(np.square(z)) == pytest.approx(1.0, abs=0.08)
    without = reducer().reduce(image, exposure_s=1.5, monitor_counts=monitor, transmission=0.7)
    assert np.all(np.mean(plain, axis=0) > without.sigma)


def test_background_frames_are_summed_and_a_pixel_lost_in_one_is_lost():
    images = np.full((2, 2, 3), 4)
    images[1, 0, 0] = -1
    total = Background.from_frames(images, exposure_s=[1.0, 2.0], monitor_counts=[10.0, 20.0])
    np.testing.assert_array_equal(total.image, [[-1, 8, 8], [8, 8, 8]])
    assert (total.exposure_s, total.monitor_counts) == (3.0, 30.0)
    with pytest.raises(InstrumentError, match="one monitor reading each"):
        Background.from_frames(images, exposure_s=[1.0], monitor_counts=[10.0, 20.0])


def test_dark_counts_are_removed_and_counted_in_the_error():
    rng = np.random.default_rng(8)
    r = reducer(dark_rate=0.3)
    z = []
    for _ in range(100):
        image = rng.poisson(expected_counts(truth) + 0.3 * 20)
        curve = r.reduce(image, exposure_s=20.0, monitor_counts=1e8, transmission=0.7)
        z.append((curve.intensity - truth(curve.q)) / curve.sigma)
    assert np.mean(np.square(z)) == pytest.approx(1.0, abs=0.08)
    assert abs(np.mean(z)) < 0.08


def test_polarisation_is_corrected():
    two_theta, _ = polar()
    row, column = np.indices(GEOMETRY.shape)
    azimuth = np.arctan2(row - GEOMETRY.beam_centre_px[0], column - GEOMETRY.beam_centre_px[1])
    horizontal = 1 - (np.sin(two_theta) * np.cos(azimuth)) ** 2
    curve = reducer(polarization_factor=1.0, n_bins=15).reduce(expected_counts(truth) * horizontal * 1e3, **READINGS)
    np.testing.assert_allclose(curve.intensity, 1e3 * truth(curve.q), rtol=0.02)
    flat = reducer(polarization_factor=1.0).reduce(expected_counts(np.ones_like) * horizontal * 1e3, **READINGS)
    np.testing.assert_allclose(flat.intensity, 1e3, rtol=1e-5)


@pytest.mark.parametrize("bad", [-1, -2, np.nan, np.inf])
def test_masked_gap_and_missing_pixels_take_no_part(bad):
    counts = expected_counts(np.ones_like) * 100
    spoiled = counts.copy()
    spoiled[static_mask()] = 1e6
    spoiled[:, 20:30] = bad
    r = reducer()
    np.testing.assert_allclose(r.reduce(spoiled, **READINGS).intensity, 100, rtol=1e-5)
    np.testing.assert_allclose(r.reduce(counts, **READINGS).intensity, 100, rtol=1e-5)  # nothing of it is remembered


def test_bins_without_pixels_are_dropped():
    mask = static_mask()
    _, q = polar()
    mask |= (q > 0.1) & (q < 0.12)
    curve = reducer(mask=mask).reduce(expected_counts(truth), **READINGS)
    assert len(curve.q) < 60
    assert not np.any((curve.q > 0.1) & (curve.q < 0.12))
    with pytest.raises(InstrumentError, match="no bin holds a usable pixel"):
        reducer().reduce(np.full(GEOMETRY.shape, -1), **READINGS)


@pytest.mark.parametrize("monitor_counts", [2e6, 1e9])
def test_hot_pixels_are_removed_and_counts_are_not(monitor_counts):
    rng = np.random.default_rng(9)
    counts = expected_counts(truth, monitor_counts=monitor_counts)
    plain, careful = reducer(), reducer(hot_pixel_probability=1e-9)
    readings = {"exposure_s": 1.0, "monitor_counts": monitor_counts, "transmission": 0.7}
    for _ in range(20):
        image = rng.poisson(counts)
        np.testing.assert_array_equal(
            careful.reduce(image, **readings).intensity, plain.reduce(image, **readings).intensity
        )
        hot = image.copy()
        hot[20, 30], hot[100, 90], hot[101, 90] = 10**6, 10**5, 4 * 10**3
        curve = careful.reduce(hot, **readings)
        dead = image.copy()
        dead[20, 30] = dead[100, 90] = dead[101, 90] = -1
        np.testing.assert_allclose(curve.intensity, plain.reduce(dead, **readings).intensity)


def test_same_frame_same_curve():
    image = np.random.default_rng(1).poisson(expected_counts(truth))
    r = reducer()
    first, again, other = r.reduce(image, **READINGS), r.reduce(image, **READINGS), reducer().reduce(image, **READINGS)
    for name in ("q", "intensity", "sigma"):
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
        np.testing.assert_array_equal(getattr(first, name), getattr(other, name))


def test_expected_variance_keeps_full_bins_and_shares_empty_ones():
    counts, weight = np.array([100.0, 400.0, 0.0, 0.0, 0.0, 90.0]), np.ones(6)
    result = expected_variance(counts, weight, np.ones(6, dtype=bool))
    np.testing.assert_allclose(result, [100, 400, 400 / 3, 98, 30, 90])
    empty = expected_variance(np.zeros(4), np.array([1.0, 1.0, 2.0, 0.0]), np.array([True, True, True, False]))
    np.testing.assert_allclose(empty, [0.25, 0.25, 0.5, 0.0])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"exposure_s": 0.0}, "exposure_s"),
        ({"monitor_counts": np.nan}, "monitor_counts"),
        ({"transmission": -0.1}, "transmission"),
        ({"transmission": 1.2}, "above 1"),
    ],
)
def test_impossible_readings_are_named(change, message):
    with pytest.raises(InstrumentError, match=message):
        reducer().reduce(np.zeros(GEOMETRY.shape), **{**READINGS, **change})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mask": np.zeros((3, 3), dtype=bool)}, "shape"),
        ({"mask": np.ones(GEOMETRY.shape, dtype=bool)}, "invert"),
        ({"n_bins": 1}, "n_bins"),
        ({"q_range": (0.2, 0.1)}, "q_range"),
        ({"split": "full"}, "split"),
        ({"thickness_cm": 0.0}, "thickness_cm"),
        ({"dark_rate": -1.0}, "dark_rate"),
        ({"hot_pixel_probability": 1.0}, "hot_pixel_probability"),
    ],
)
def test_impossible_options_are_named(options, message):
    with pytest.raises(InstrumentError, match=message):
        reducer(**options)


def test_a_frame_of_another_shape_and_an_impossible_geometry_are_refused():
    with pytest.raises(InstrumentError, match=r"\(5, 5\)"):
        reducer().reduce(np.zeros((5, 5)), **READINGS)
    with pytest.raises(InstrumentError, match="distance_mm"):
        Geometry(distance_mm=-1, wavelength_A=1, pixel_mm=0.1, beam_centre_px=(0, 0), shape=(2, 2))
    with pytest.raises(InstrumentError, match="shape"):
        Geometry(distance_mm=1, wavelength_A=1, pixel_mm=0.1, beam_centre_px=(0, 0), shape=(2, 0))


def test_importing_it_is_cheap():
    code = "import sys, instruments.reduction, instruments.observables; print('pyFAI' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"

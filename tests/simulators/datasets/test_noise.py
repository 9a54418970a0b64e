"""The noise model against its own equations; `tests/instruments/test_noise_model.py` holds it against frames."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.datasets.noise import CountingModel, expected_variance, logarithmic_edges
from simulators.errors import InstrumentModelError, ParameterError
from simulators.instrument import InstrumentModel
from simulators.scenarios.base import SampleProperties

SAMPLE = SampleProperties(0.01, 0.5)
CAMERA = InstrumentModel(
    shape=(150, 130), beam_centre_px=(20.2, 15.7), module_rows=60, distance_mm=1000.0, n_hot=2, n_dead=3
)
Q = np.geomspace(0.012, 0.1, 30)
MODEL = CountingModel.from_instrument(CAMERA, logarithmic_edges(Q), sample=SAMPLE)


def test_edges_lie_between_the_points() -> None:
    edges = logarithmic_edges(Q)
    assert edges.shape == (31,)
    assert np.allclose(np.sqrt(edges[1:] * edges[:-1]), Q)


def test_shared_pixels_lose_nothing_and_fill_narrow_bins() -> None:
    low, high = CAMERA.q_range
    edges = np.linspace(0.5 * low, 1.1 * high, 40)
    models = [CountingModel.from_instrument(CAMERA, edges[[0, 20, 39]], sample=SAMPLE, share_pixels=s) for s in (0, 1)]
    live = ~CAMERA.mask
    for model in models:
        assert np.isclose(model.pixels.sum(), live.sum())
        weight = CAMERA.geometry.solid_angle_sr * CAMERA.geometry.polarisation
        assert np.isclose(model.weight_sr.sum(), weight[live].sum())
    narrow = np.linspace(0.02, 0.021, 30)
    # A pixel is 0.0011 1/Å wide: by centres some of these bins are empty.
    assert CountingModel.from_instrument(CAMERA, narrow, sample=SAMPLE).pixels.min() > 0.1
    with pytest.raises(InstrumentModelError, match="no usable pixel"):
        CountingModel.from_instrument(CAMERA, narrow, sample=SAMPLE, share_pixels=False)
    with pytest.raises(InstrumentModelError, match="increase"):
        CountingModel.from_instrument(CAMERA, narrow[::-1], sample=SAMPLE)


def test_mean_and_variance_are_those_of_the_equations() -> None:
    n, truth, t = 4000, 0.02 * (Q / 0.02) ** -3, 2.0
    measured = MODEL.measure(np.tile(truth, (n, 1)), np.full(n, t), np.random.default_rng(1))
    photons = MODEL.flux_ph_s * t
    scale = 1 / (photons * SAMPLE.transmission * SAMPLE.thickness_cm * MODEL.weight_sr)
    dark = MODEL.dark_per_px_s * t * MODEL.pixels
    counts = truth / scale + SAMPLE.transmission * t * MODEL.background_per_s + dark
    background = 4 * t * MODEL.background_per_s + 4 * dark
    back_scale = scale * SAMPLE.transmission / 4
    # The monitor sees the beam's fluctuation, which leaves its own counting noise: 1/√(1e7·t), common to a curve.
    variance = counts * scale**2 + background * back_scale**2
    assert np.all(np.abs(measured.intensity.mean(0) - truth) < 5 * np.sqrt(variance / n) + 1e-4 * truth)
    assert np.allclose(measured.intensity.var(0), variance + truth**2 / (1e7 * t), rtol=0.12)
    assert np.allclose((measured.sigma**2).mean(0), variance, rtol=0.05)
    assert np.isclose(measured.counts.mean(), counts.sum(), rtol=0.005)


def test_noise_falls_with_the_exposure() -> None:
    truth = np.tile(np.full(Q.size, 0.05), (3, 1))
    sigma = MODEL.measure(truth, np.array([0.1, 10.0, 1000.0]), np.random.default_rng(0)).sigma
    assert np.allclose(sigma[1:].mean(1) / sigma[:-1].mean(1), 0.1, rtol=0.2)


def test_an_exposure_without_a_count_has_a_sigma() -> None:
    dim = replace(MODEL, background_per_s=np.zeros(Q.size), dark_per_px_s=0.0)
    measured = dim.measure(np.zeros((2, Q.size)), np.array([1e-6, 1.0]), np.random.default_rng(0))
    assert np.all(measured.sigma > 0)
    assert np.all(measured.intensity == 0)


@given(st.integers(1, 40), st.floats(0.01, 300.0), st.integers(0, 2**32 - 1))
def test_expected_variance_is_the_windows_mean(k: int, level: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    counts, weight = rng.poisson(level, (3, k)).astype(float), rng.uniform(0.5, 2.0, k)
    found = expected_variance(counts, weight)
    for row in range(3):
        for j in range(k):
            half = 0
            while True:
                window = slice(max(j - half, 0), j + half + 1)
                if counts[row, window].sum() >= 50 or half >= k:
                    break
                half = max(1, 2 * half)
            assert np.isclose(found[row, j], max(counts[row, window].sum(), 1) * weight[j] / weight[window].sum())


@pytest.mark.parametrize(
    ("truth", "exposure", "text"),
    [
        (np.ones((2, 3)), np.ones(2), "cross_section must be"),
        (np.ones((2, 30)), np.ones(3), "exposure_s"),
        (np.ones((2, 30)), np.array([1.0, 0.0]), "above 0 s"),
        (np.array([[1.0] * 30, [1.0] * 29 + [-1.0]]), np.ones(2), "curve 1"),
        (np.full((1, 30), np.nan), np.ones(1), "curve 0"),
    ],
)
def test_what_cannot_be_measured_is_refused(truth: np.ndarray, exposure: np.ndarray, text: str) -> None:
    with pytest.raises(ParameterError, match=text):
        MODEL.measure(truth, exposure, np.random.default_rng(0))

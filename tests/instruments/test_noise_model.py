"""The direct noise model of data sets against reducing many frames: same mean, same variance, same sigma."""

from __future__ import annotations

import numpy as np

from instruments.reduction import Geometry, Reducer
from simulators.datasets.noise import CountingModel
from simulators.instrument import InstrumentModel
from simulators.scenarios.base import SampleProperties


def test_frames_and_direct_curves_agree() -> None:
    camera = InstrumentModel(
        shape=(150, 130), beam_centre_px=(20.2, 15.7), module_rows=60, distance_mm=1000.0, flux_ph_s=2e10, n_hot=0
    )
    sample, seconds, n = SampleProperties(0.01, 0.5), 0.5, 400
    edges = np.linspace(0.012, 0.1, 31)
    reducer = Reducer(
        Geometry(camera.distance_mm, camera.wavelength_A, camera.pixel_mm, camera.beam_centre_px, camera.shape),
        mask=camera.mask,
        n_bins=30,
        q_range=(edges[0], edges[-1]),
        thickness_cm=sample.thickness_cm,
        polarization_factor=camera.polarisation_factor,
        monitor_efficiency=camera.monitor_efficiency,
        dark_rate=camera.dark_per_px_s,
    )
    q, rng = camera.q_grid(), np.random.default_rng(2)
    truth = 0.03 + 0.02 * (q / 0.02) ** -3
    curves = []
    for _ in range(n):
        # The background is exposed four times as long, anew for each frame, as the noise model has it.
        pair = []
        for curve, t, transmission in ((truth, seconds, sample.transmission), (None, 4 * seconds, 1.0)):
            frame = camera.expose(q, curve, sample=sample, exposure_s=t, rng=rng)
            pair.append(
                reducer.reduce(
                    frame.image, exposure_s=t, monitor_counts=frame.monitor_counts, transmission=transmission
                )
            )
        curves.append((pair[0].intensity - pair[1].intensity, pair[0].sigma ** 2 + pair[1].sigma ** 2))
    places = pair[0].q
    assert places.size == 30
    frames, variances = (np.array(part) for part in zip(*curves, strict=True))

    model = CountingModel.from_instrument(camera, edges, sample=sample, background_exposures=4.0, share_pixels=False)
    there = np.exp(np.interp(np.log(places), np.log(q), np.log(truth)))
    direct = model.measure(np.tile(there, (4000, 1)), np.full(4000, seconds), np.random.default_rng(3))

    standard_error = frames.std(0) / np.sqrt(n)
    # 0.5 %: a bin's mean over pixels, where the curve bends.
    assert np.all(np.abs(frames.mean(0) - direct.intensity.mean(0)) < 4.5 * standard_error + 0.005 * there)
    assert np.isclose(np.mean(frames.var(0) / direct.intensity.var(0)), 1, atol=0.04)
    # A variance from 400 curves is known to 7 %.
    assert np.all(np.abs(frames.var(0) / direct.intensity.var(0) - 1) < 0.3)
    assert np.allclose(variances.mean(0), (direct.sigma**2).mean(0), rtol=0.03)
    assert np.isclose(np.mean(variances.mean(0) / frames.var(0)), 1, atol=0.05)

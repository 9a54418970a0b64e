"""Pinhole smearing against sasmodels' own matrix and against plain integration."""

import numpy as np
import pytest
import torch
from scipy.integrate import quad

from simulators.errors import ParameterError
from simulators.scattering import find_kernel, spheres
from simulators.scattering.smearing import Pinhole

Q = np.geomspace(0.003, 0.5, 120)


@pytest.mark.parametrize("relative", [0.02, 0.1])
@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("sphere", {"radius": 60.0}),
        ("sphere", {"radius": 60.0, "radius_pd": 0.1}),
        ("cylinder", {"radius": 20.0, "length": 200.0}),
        ("lorentz", {"cor_length": 50.0}),
    ],
)
def test_agrees_with_sasmodels(name, parameters, relative):
    resolution = pytest.importorskip("sasmodels.resolution")
    kernel = find_kernel(name)
    pinhole = Pinhole(Q, relative * Q, largest_size=200.0)
    ours = pinhole.apply(kernel(pinhole.fine, **parameters))[0].numpy()
    # The same curve through their matrix, on a grid fine enough for their rectangles.
    grid = np.geomspace(0.001, 0.9, 60_000)
    theirs = resolution.Pinhole1D(Q, relative * Q, q_calc=grid)
    expected = theirs.apply(kernel(grid, **parameters)[0].numpy())
    np.testing.assert_allclose(ours, expected, rtol=1e-3)


def test_agrees_with_an_integral():
    pinhole = Pinhole([0.1], 0.012)
    found = float(pinhole.apply(spheres(pinhole.fine, radius=30.0, volume_fraction=0.01, contrast=1e-5))[0, 0])

    def weighted(x, power):
        value = float(spheres([x], radius=30.0, volume_fraction=0.01, contrast=1e-5)[0, 0])
        return value**power * np.exp(-0.5 * ((x - 0.1) / 0.012) ** 2)

    low, high = 0.1 - 2.5 * 0.012, 0.1 + 3 * 0.012
    assert found == pytest.approx(
        quad(weighted, low, high, args=(1,))[0] / quad(weighted, low, high, args=(0,))[0], rel=1e-3
    )


def test_rows_sum_to_one_and_a_straight_line_keeps_its_mean():
    pinhole = Pinhole(Q, 0.05 * Q)
    flat = pinhole.apply(torch.ones((2, pinhole.fine.numel()), dtype=torch.float64))
    np.testing.assert_allclose(flat, 1.0, rtol=1e-12)
    # The window is cut at -2.5 and +3 sd: its mean lies at +0.0132 sd.
    line = pinhole.apply(pinhole.fine[None])[0].numpy()
    density = [np.exp(-0.5 * x**2) / np.sqrt(2 * np.pi) for x in (2.5, 3.0)]
    from scipy.stats import norm

    shift = (density[0] - density[1]) / (norm.cdf(3.0) - norm.cdf(-2.5))
    np.testing.assert_allclose(line, Q * (1 + 0.05 * shift), rtol=1e-9)


def test_single_precision_follows_q():
    q = torch.tensor(Q).float()
    pinhole = Pinhole(q, 0.05 * q)
    smeared = pinhole.apply(find_kernel("lorentz")(pinhole.fine))
    assert smeared.dtype == torch.float32


@pytest.mark.parametrize(
    ("q", "width", "message"),
    [
        ([0.1, 0.2], [0.01, 0.0], "got 0 1/Å at q = 0.2"),
        ([0.1, 0.2], 0.05, "got 0.05 1/Å at q = 0.1"),
        ([0.2, 0.1], 0.01, "q must increase"),
        ([0.1, 0.2], [0.01], r"\(2,\) like q, got shape \(1,\)"),
    ],
)
def test_refuses_what_cannot_be(q, width, message):
    with pytest.raises(ParameterError, match=message):
        Pinhole(q, width)


def test_refuses_curves_from_another_grid():
    with pytest.raises(ParameterError, match="fine grid of"):
        Pinhole(Q, 0.05 * Q).apply(torch.ones(1, 7))

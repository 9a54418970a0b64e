"""The ternary wafer: mass balance, three phase fields, a peak where there are zones."""

import itertools

import numpy as np
import pytest

from simulators.errors import ParameterError, ScenarioError
from simulators.scenarios import make_scenario

Q = np.geomspace(0.005, 0.4, 160)


def at(x, y):
    return {"x": float(x), "y": float(y)}


@pytest.fixture(scope="module")
def scenario():
    return make_scenario("composition_wafer")


@pytest.fixture(scope="module")
def grid():
    return [at(x, y) for y, x in itertools.product(np.linspace(-35, 35, 29), repeat=2)]


def test_contents_follow_the_sources(scenario, grid):
    centre = scenario.microstructure([at(0, 0)])
    assert (centre.zinc[0], centre.magnesium[0]) == pytest.approx((0.022, 0.020))
    state = scenario.microstructure(grid)
    assert np.all((state.zinc > 0.004) & (state.zinc < 0.09))
    # Log-ratios are straight: the Zn to Mg ratio depends on x alone.
    ratio = np.log(state.zinc / state.magnesium).reshape(29, 29)
    np.testing.assert_allclose(ratio, np.broadcast_to(ratio[0], ratio.shape), atol=1e-9)
    np.testing.assert_allclose(np.diff(ratio, 2, axis=1), 0, atol=1e-12)


def test_solutes_are_conserved_and_the_solubility_product_holds(scenario, grid):
    """Where nuclei are many, ageing reaches equilibrium: c_Mg c_Zn² = 8e-7 in what is left."""
    state = scenario.microstructure(grid)
    left_zinc, left_magnesium = (
        state.zinc - 2 / 3 * state.precipitate_fraction,
        state.magnesium - state.precipitate_fraction / 3,
    )
    assert np.all(left_zinc > 0)
    assert np.all(left_magnesium > 0)
    assert np.all((state.dissolved > 0) & (state.dissolved <= state.zinc * (1 + 1e-9)))
    product = left_magnesium * left_zinc**2
    assert np.all(product > 0.999 * 8e-7 * (state.precipitate_fraction > 1e-6))
    rich = scenario.microstructure([at(0, 0)])
    left = (rich.magnesium - rich.precipitate_fraction / 3) * (rich.zinc - 2 / 3 * rich.precipitate_fraction) ** 2
    assert left[0] == pytest.approx(8e-7, rel=0.01)


def test_precipitates_grow_larger_and_fewer_towards_the_solvus(scenario):
    state = scenario.microstructure([at(0, y) for y in (0, -8, -14, -20)])
    number = state.precipitate_fraction / state.precipitate_radius**3
    assert np.all(np.diff(state.precipitate_radius) > 0)
    assert np.all(np.diff(state.precipitate_fraction) < 0)
    assert np.all(np.diff(number) < 0)
    assert 25 < state.precipitate_radius[0] < 40
    beyond = scenario.microstructure([at(0, -30)])
    assert beyond.precipitate_fraction[0] < 1e-9


def test_zones_show_a_peak_and_their_border_is_sharp(scenario):
    zoned, hardened, dissolved = scenario.cross_section([at(-20, 25), at(0, -10), at(0, -32)], Q)
    state = scenario.microstructure([at(-20, 25)])
    inside = (Q > 0.02) & (Q < 0.2)
    peak = Q[inside][zoned[inside].argmax()]
    assert zoned[inside].max() > 4 * zoned[np.searchsorted(Q, 0.018)]
    assert peak * state.zone_ratio[0] * state.zone_radius[0] == pytest.approx(2.5, abs=0.8)
    low = (Q > 0.01) & (Q < 0.03)
    assert np.all(np.diff(hardened) < 0)
    assert hardened[low].mean() > 10 * zoned[low].mean()
    assert hardened[low].mean() > 30 * dissolved[low].mean()
    across = scenario.microstructure([at(0, y) for y in np.linspace(-10, 20, 61)]).zones
    assert (np.abs(across - 0.5) < 0.4).sum() * 0.5 < 12


def test_magnesium_moves_the_border_in_truth_alone(scenario, grid):
    def border(which):
        state = which.microstructure(grid)
        return state.zinc[np.abs(state.zones - 0.5) < 0.3], state.magnesium[np.abs(state.zones - 0.5) < 0.3]

    zinc, magnesium = border(scenario)
    assert np.corrcoef(zinc, magnesium)[0, 1] < -0.8
    zinc, _ = border(make_scenario("composition_wafer", variant="theory"))
    np.testing.assert_allclose(zinc, 0.032, atol=0.003)


def test_theory_differs_but_is_related(scenario, grid):
    theory = make_scenario("composition_wafer", variant="theory")
    band = np.linspace(0.01, 0.05, 12)
    true, biased = (np.log10(s.cross_section(grid, band).mean(1)) for s in (scenario, theory))
    assert np.sqrt(np.mean((true - biased) ** 2)) > 0.3
    assert np.corrcoef(true, biased)[0, 1] > 0.4


def test_is_batched_deterministic_finite_and_positive(scenario, grid):
    curves = scenario.cross_section(grid, Q)
    assert isinstance(curves, np.ndarray)
    assert curves.shape == (len(grid), Q.size)
    assert np.all(np.isfinite(curves) & (curves > 0))
    np.testing.assert_allclose(curves[300], scenario.cross_section([grid[300]], Q)[0], rtol=1e-9)


def test_transmission_is_that_of_the_alloy(scenario):
    """Mass attenuation from the NIST tables at 10 and 15 keV, in log-log to 12.4 keV; weights of the wafer's centre."""
    at_10, at_15 = np.array([26.23, 233.1, 21.05]), np.array([7.955, 81.17, 6.358])  # Al, Zn, Mg, cm²/g
    share = np.log(12.398 / 10) / np.log(1.5)
    weights = np.array([0.958 * 26.98, 0.022 * 65.38, 0.020 * 24.305])
    mu = np.exp((1 - share) * np.log(at_10) + share * np.log(at_15)) @ weights / weights.sum() * 2.78
    assert scenario.sample.transmission == pytest.approx(np.exp(-mu * scenario.sample.thickness_cm), rel=0.02)


def test_refuses_what_is_out_of_range(scenario):
    with pytest.raises(ParameterError, match=r"x must lie in \[-35, 35\] mm, got 40"):
        scenario.cross_section([at(40, 0)], Q)
    for options in ({"variant": "x"}, {"boundary_width": 0.0}):
        with pytest.raises(ScenarioError, match="composition_wafer: "):
            make_scenario("composition_wafer", **options)

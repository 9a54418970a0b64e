"""The annealing map: a sharp curved boundary, structure on one side of it, believable numbers."""

import itertools

import numpy as np
import pytest

from simulators.errors import ParameterError, ScenarioError
from simulators.scenarios import make_scenario

Q = np.geomspace(0.0054, 0.36, 120)


def states(temperatures, positions):
    return [{"anneal_temperature": float(t), "x": float(x)} for t, x in itertools.product(temperatures, positions)]


def log_band(scenario, points):
    q = np.linspace(0.01, 0.05, 24)
    return np.log10(scenario.cross_section(points, q).mean(axis=1))


@pytest.fixture(scope="module")
def scenario():
    return make_scenario("annealing")


def test_describes_itself(scenario):
    assert scenario.name == "annealing"
    assert [(p.name, p.unit, p.low, p.high) for p in scenario.parameters] == [
        ("anneal_temperature", "°C", 300.0, 700.0),
        ("x", "mm", -20.0, 20.0),
    ]
    assert scenario.sample.thickness_cm == pytest.approx(1e-3)


def test_transmission_is_that_of_copper(scenario):
    """Mass attenuation of copper from the NIST tables at 10 and 15 keV, interpolated in log-log to 12.4 keV."""
    mu_over_rho = np.exp(np.interp(np.log(12.398), np.log([10.0, 15.0]), np.log([215.9, 74.05])))
    assert scenario.sample.transmission == pytest.approx(np.exp(-mu_over_rho * 8.94 * 1e-3), rel=0.02)


def test_is_batched_deterministic_finite_and_positive(scenario):
    points = states(np.linspace(300, 700, 9), np.linspace(-20, 20, 5))
    curves = scenario.cross_section(points, Q)
    assert curves.shape == (45, Q.size)
    assert np.all(np.isfinite(curves))
    assert np.all(curves > 0)
    np.testing.assert_array_equal(curves, make_scenario("annealing").cross_section(points, Q))
    np.testing.assert_allclose(curves[7], scenario.cross_section([points[7]], Q)[0], rtol=1e-12)


def test_crossing_the_boundary_drops_the_intensity_by_decades(scenario):
    for x in (5.0, 12.0, 20.0):
        t_rx = float(scenario.microstructure(states([500], [x])).recrystallisation_temperature[0])
        before, after = log_band(scenario, states([t_rx - 40, t_rx + 60], [x]))
        assert before - after > 1.0


def test_boundary_is_curved_in_truth_and_straight_in_theory(scenario):
    points = states([500], [-20, 0, 20])
    true = scenario.microstructure(points).recrystallisation_temperature
    theory = make_scenario("annealing", variant="theory").microstructure(points).recrystallisation_temperature
    assert np.all(np.diff(true) > 50)
    assert true[1] - (true[0] + true[2]) / 2 > 25
    assert theory[1] == pytest.approx((theory[0] + theory[2]) / 2)
    assert np.all(true - theory > 15)
    assert np.all((true > 300) & (true < 700))


def test_most_of_the_map_s_variation_lies_in_a_small_part_of_it(scenario):
    t, x = np.linspace(300, 700, 61), np.linspace(-20, 20, 41)
    field = log_band(scenario, states(t, x)).reshape(61, 41)
    gradient = np.hypot(*np.gradient(field, t / 400, x / 40))
    share = np.sort(gradient.ravel())[::-1].cumsum() / gradient.sum()
    assert share[int(0.3 * share.size)] > 0.6
    # On the recrystallised side there is next to nothing to learn, on the other a ridge away from the low-T edge.
    recrystallised = scenario.microstructure(states(t, x)).recrystallised.reshape(61, 41)
    assert np.ptp(field[recrystallised > 0.9999]) < 0.1
    column = field[:, -1]
    assert 20 < np.argmax(column) < 55
    assert column.max() - column[0] > 1.0


def test_voids_coarsen_and_their_number_falls(scenario):
    state = scenario.microstructure(states([320, 420, 500, 560], [15]))
    assert np.all(np.diff(state.void_radius) > 0)
    number = state.void_fraction / (4 / 3 * np.pi * (state.void_radius * 1e-10) ** 3)  # 1/m³
    assert np.all(np.diff(number) < 0)
    assert 1e23 < number[0] < 1e24
    assert np.all(np.diff(state.dislocation_density) < 0)
    assert state.nickel == pytest.approx(0.2389, abs=1e-3)


def test_theory_differs_but_is_related(scenario):
    theory = make_scenario("annealing", variant="theory")
    points = states(np.linspace(300, 700, 21), np.linspace(-20, 20, 11))
    true, biased = log_band(scenario, points), log_band(theory, points)
    assert np.sqrt(np.mean((true - biased) ** 2)) > 0.1
    assert np.corrcoef(true, biased)[0, 1] > 0.6


def test_overshoot_of_an_axis_is_tolerated_a_wrong_point_is_not(scenario):
    assert np.all(np.isfinite(scenario.cross_section([{"anneal_temperature": 700.5, "x": -20.01}], Q)))
    with pytest.raises(ParameterError, match=r"anneal_temperature must lie in \[300, 700\] °C, got 750 in state 1"):
        scenario.cross_section(states([400, 750], [0]), Q)
    with pytest.raises(ParameterError, match="got nan"):
        scenario.cross_section(states([400], [np.nan]), Q)
    with pytest.raises(ParameterError, match=r"exactly \['anneal_temperature', 'x'\], got \['x'\]"):
        scenario.cross_section([{"x": 0.0}], Q)
    with pytest.raises(ParameterError, match="at least one state"):
        scenario.cross_section([], Q)


@pytest.mark.parametrize("options", [{"variant": "truht"}, {"boundary_width_c": 0.0}])
def test_refuses_unknown_options(options):
    with pytest.raises(ScenarioError, match="annealing: "):
        make_scenario("annealing", **options)

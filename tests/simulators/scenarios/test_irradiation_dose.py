"""Irradiated steel: the bell, the incubation dose, loops before voids, the volume that the voids hold."""

import itertools

import numpy as np
import pytest

from simulators.errors import ParameterError, ScenarioError
from simulators.scenarios import make_scenario

Q = np.geomspace(0.005, 0.4, 120)


def at(dose, temperature):
    return {"dose": float(dose), "temperature": float(temperature)}


@pytest.fixture(scope="module")
def scenario():
    return make_scenario("irradiation_dose")


def test_swelling_is_a_bell_in_temperature(scenario):
    temperatures = np.linspace(350, 650, 301)
    state = scenario.microstructure([at(20, t) for t in temperatures])
    peak = temperatures[state.swelling.argmax()]
    assert peak == pytest.approx(544, abs=3)
    assert np.all(np.diff(state.swelling[temperatures <= peak]) > 0)
    assert np.all(np.diff(state.swelling[(temperatures >= peak) & (temperatures < 615)]) < 0)
    assert np.all(state.swelling[temperatures >= 615] == 0)
    assert np.all(np.isinf(state.incubation[temperatures >= 615]))
    # Steeper where vacancies boil off than where they recombine.
    half = temperatures[state.swelling > state.swelling.max() / 2]
    assert peak - half.min() > half.max() - peak
    # Dilute enough for spheres that do not see each other.
    assert 0.04 < state.void_fraction.max() < 0.055


def test_voids_wait_for_the_incubation_dose_then_swell_steadily(scenario):
    doses = np.linspace(0, 20, 81)
    state = scenario.microstructure([at(d, 545) for d in doses])
    rate = np.gradient(state.swelling, doses)
    assert state.swelling[0] == 0
    assert rate[0] < 0.05 * rate[-1]
    assert rate[-1] == pytest.approx(0.0038 * state.supply[0], rel=1e-3)
    # The straight part points back at the incubation dose.
    assert doses[-1] - state.swelling[-1] / rate[-1] == pytest.approx(state.incubation[0], abs=0.05)
    cold = scenario.microstructure([at(5, 400)])
    assert cold.incubation[0] > 2 * state.incubation[0]


def test_voids_hold_the_swelling(scenario):
    """Their scattering's invariant is 2π² φ(1-φ) ρ0²."""
    q = np.geomspace(2e-4, 3.0, 3000)
    with_voids, without = at(20, 470), at(20, 640)
    state = scenario.microstructure([with_voids])
    assert state.void_fraction[0] == pytest.approx(state.swelling[0] / (1 + state.swelling[0]))
    difference = scenario.cross_section([with_voids], q)[0] - scenario.cross_section([without], q)[0]
    invariant = np.trapezoid(difference * q**3, np.log(q)) * 1e-8
    phi = state.void_fraction[0]
    assert invariant == pytest.approx(2 * np.pi**2 * phi * (1 - phi) * 6.2e-5**2, rel=0.02)


def test_loops_come_first_and_only_when_cold(scenario):
    early, later, hot = (scenario.microstructure([at(*place)]) for place in ((1, 400), (10, 400), (1, 600)))
    assert early.loop_density[0] > 0.7 * later.loop_density[0]
    assert early.void_fraction[0] < 1e-5
    assert hot.loop_density[0] < 0.02 * early.loop_density[0]
    theory = make_scenario("irradiation_dose", variant="theory")
    q = np.linspace(0.025, 0.045, 5)
    assert np.all(scenario.cross_section([at(1, 400)], q) > 1.5 * theory.cross_section([at(1, 400)], q))


def test_hotter_voids_are_larger_and_fewer(scenario):
    state = scenario.microstructure([at(20, t) for t in (400, 450, 500, 550)])
    assert np.all(np.diff(state.void_radius) > 0)
    assert np.all(np.diff(state.void_fraction / state.void_radius**3) < 0)
    assert np.all((state.void_radius > 20) & (state.void_radius < 400))


def test_is_batched_deterministic_finite_and_positive(scenario):
    points = [at(d, t) for d, t in itertools.product(np.linspace(-0.1, 20, 9), np.linspace(350, 650, 13))]
    curves = scenario.cross_section(points, Q)
    assert isinstance(curves, np.ndarray)
    assert curves.shape == (len(points), Q.size)
    assert np.all(np.isfinite(curves) & (curves > 0))
    np.testing.assert_allclose(curves[40], scenario.cross_section([points[40]], Q)[0], rtol=1e-9)


def test_theory_differs_but_is_related(scenario):
    theory = make_scenario("irradiation_dose", variant="theory")
    points = [at(d, t) for d, t in itertools.product(np.linspace(0, 20, 13), np.linspace(350, 650, 13))]
    band = np.linspace(0.02, 0.06, 8)
    true, biased = (np.log10(s.cross_section(points, band).mean(1)) for s in (scenario, theory))
    assert np.sqrt(np.mean((true - biased) ** 2)) > 0.5
    assert np.corrcoef(true, biased)[0, 1] > 0.5


def test_transmission_is_that_of_steel(scenario):
    """Mass attenuation from the NIST tables at 10 and 15 keV, in log-log to 12.4 keV: 70 % Fe, 18 % Cr, 12 % Ni."""
    at_10, at_15 = np.array([170.6, 138.6, 209.0]), np.array([57.08, 46.10, 70.81])  # cm²/g
    share = np.log(12.398 / 10) / np.log(1.5)
    mu = np.exp((1 - share) * np.log(at_10) + share * np.log(at_15)) @ np.array([0.70, 0.18, 0.12]) * 7.95
    assert scenario.sample.transmission == pytest.approx(np.exp(-mu * 1e-3), rel=0.02)


def test_refuses_what_is_out_of_range(scenario):
    with pytest.raises(ParameterError, match=r"dose must lie in \[0, 20\] dpa, got 25"):
        scenario.cross_section([at(25, 400)], Q)
    with pytest.raises(ScenarioError, match="variant"):
        make_scenario("irradiation_dose", variant="x")

"""Growing particles: mass balance, kinetics, and the invariant of what has condensed."""

import numpy as np
import pytest

from simulators.errors import ParameterError, ScenarioError
from simulators.scenarios import make_scenario

Q = np.geomspace(1e-3, 2.0, 4000)


def at(time, temperature=25.0):
    return {"time": float(time), "temperature": float(temperature)}


@pytest.fixture(scope="module")
def scenario():
    return make_scenario("particle_growth")


def test_grows_to_its_final_size_at_constant_number(scenario):
    radius, fraction, width = scenario.particles([at(t) for t in (0, 100, 300, 900, 3600)])
    assert radius[0] == pytest.approx(15.0)
    assert radius[1] == pytest.approx(15.0)  # induction
    assert np.all(np.diff(radius[1:]) > 0)
    assert radius[-1] == pytest.approx(130.0, rel=0.02)
    np.testing.assert_allclose(fraction / radius**3, fraction[-1] / radius[-1] ** 3)
    assert np.all(np.diff(width[1:]) < 0)


def test_hotter_is_faster_and_smaller(scenario):
    early_cold, early_hot = scenario.particles([at(300, 15), at(300, 50)])[1]
    late_cold, late_hot = scenario.particles([at(3600, 25), at(3600, 50)])[0]
    assert early_hot > 3 * early_cold
    assert late_hot < late_cold


def test_invariant_follows_what_has_condensed(scenario):
    points = [at(400), at(3600)]
    solvent = scenario.cross_section(points, np.array([20.0]))
    curves = scenario.cross_section(points, Q) - solvent
    tail = np.mean(curves[:, -400:] * Q[-400:] ** 4, axis=1) / Q[-1]
    invariant = (np.trapezoid(curves * Q**3, np.log(Q), axis=1) + tail) * 1e-8
    fraction = scenario.particles(points)[1]
    np.testing.assert_allclose(invariant, 2 * np.pi**2 * fraction * (1 - fraction) * 1e-10, rtol=0.01)


def test_theory_has_no_induction(scenario):
    theory = make_scenario("particle_growth", variant="theory")
    assert theory.particles([at(60)])[0][0] > scenario.particles([at(60)])[0][0]


def test_refuses_what_is_out_of_range(scenario):
    with pytest.raises(ParameterError, match=r"time must lie in \[0, 3600\] s, got 4000"):
        scenario.cross_section([at(4000)], Q)
    with pytest.raises(ScenarioError, match="variant"):
        make_scenario("particle_growth", variant="x")

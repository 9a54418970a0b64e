"""Multiple scattering against Poisson sums, explicit convolutions and conservation of what scatters."""

import math

import numpy as np
import pytest
from scipy.integrate import quad

from simulators.errors import ParameterError
from simulators.scattering.multiple import multiple_scattering, scattering_power, tabulated

WAVELENGTH = 1.0
THICK = {"thickness_cm": 0.1, "wavelength_A": WAVELENGTH}
RADIUS = 200.0


def gaussian(q):
    return 1e6 * np.exp(-(q**2) / (2 * 0.01**2))


def spherical(q):
    """Spheres with a Porod tail and no minima to trip over."""
    return 3e6 / (1 + (q * RADIUS) ** 2 / 2) ** 2


@pytest.mark.parametrize("thickness", [1e-5, 0.1, 0.5])
def test_a_gaussian_is_a_poisson_sum_of_wider_ones(thickness):
    q = np.geomspace(1e-3, 0.04, 40)
    power = thickness * WAVELENGTH**2 / (2 * np.pi) * 1e6 * 0.01**2
    options = {"thickness_cm": thickness, "wavelength_A": WAVELENGTH}
    assert scattering_power(gaussian, q, **options) == pytest.approx(power, rel=1e-6)
    events = sum(
        power**n / math.factorial(n) * np.exp(-(q**2) / (2 * n * 0.01**2)) / (n * 0.01**2) for n in range(1, 60)
    )
    expected = events * 2 * np.pi / (thickness * WAVELENGTH**2)
    np.testing.assert_allclose(multiple_scattering(gaussian, q, **options)[0], expected, rtol=1e-5)
    incident = multiple_scattering(gaussian, q, **options, transmitted=False)[0]
    np.testing.assert_allclose(incident, expected * np.exp(-power), rtol=1e-5)


def test_a_thin_sample_shows_the_curve_itself():
    q = np.geomspace(1e-3, 0.3, 30)
    errors = []
    for thickness in (1e-5, 1e-6):
        shown = multiple_scattering(spherical, q, thickness_cm=thickness, wavelength_A=WAVELENGTH)[0]
        errors.append(np.abs(shown / spherical(q) - 1).max())
    assert errors[0] < 1e-3
    assert errors[1] == pytest.approx(errors[0] / 10, rel=0.01)


@pytest.mark.parametrize("q", [0.002, 0.01, 0.05])
def test_the_first_correction_is_a_convolution(q):
    """(tλ²/4π²) / 2 times ∫ Σ(|q-p|) Σ(p) d²p, done in polar coordinates."""

    def around(p):
        angle = 2 * np.pi * (np.arange(2000) + 0.5) / 2000
        # Only where |q - p| is small does the integrand vary fast, and the trapezoid sum over a turn is exact enough.
        return spherical(np.sqrt(q * q + p * p - 2 * q * p * np.cos(angle))).mean() * 2 * np.pi

    double = sum(
        quad(lambda p: spherical(p) * around(p) * p, low, high, limit=200, epsrel=1e-8)[0]
        for low, high in ((0, q), (q, 3 * q), (3 * q, 0.5), (0.5, 20))
    )
    thickness = 1e-6
    shown = multiple_scattering(spherical, [q], thickness_cm=thickness, wavelength_A=WAVELENGTH)[0, 0]
    first = thickness * WAVELENGTH**2 / (4 * np.pi**2) * double / 2
    # The next term of the sum is smaller by the scattering power.
    power = scattering_power(spherical, [q], thickness_cm=thickness, wavelength_A=WAVELENGTH)[0]
    assert power < 1e-4
    assert shown - spherical(q) == pytest.approx(first, rel=1e-3)


def test_what_scatters_is_conserved():
    """All photons but exp(-τ) of them come out scattered, however often."""
    q = np.geomspace(1e-5, 3.0, 4000)
    shown = multiple_scattering(spherical, q, **THICK, transmitted=False)[0]
    per_event = THICK["thickness_cm"] * WAVELENGTH**2 / (2 * np.pi)
    power = scattering_power(spherical, q, **THICK)[0]
    assert power > 1
    scattered = per_event * np.trapezoid(shown * q**2, np.log(q))
    assert scattered == pytest.approx(1 - np.exp(-power), rel=1e-4)


def test_multiple_scattering_fills_minima_and_widens():
    x = np.linspace(0.5, 12, 200)

    def spheres(q):
        y = np.asarray(q) * RADIUS
        small = np.maximum(y, 1e-2)
        return 1e6 * np.where(y < 1e-2, 1.0, 3 * (np.sin(small) - small * np.cos(small)) / small**3) ** 2

    q = x / RADIUS
    thin = multiple_scattering(spheres, q, thickness_cm=1e-7, wavelength_A=1.0)[0]
    thick = multiple_scattering(spheres, q, thickness_cm=0.5, wavelength_A=1.0)[0]
    minimum = np.argmin(np.abs(x - 4.493))
    assert thick[minimum] / thick[0] > 10 * thin[minimum] / thin[0]
    assert np.all(thick > 0)


def test_many_curves_at_once_and_from_a_table():
    q = np.geomspace(1e-3, 0.3, 60)
    both = multiple_scattering(lambda at: np.stack([spherical(at), 2 * spherical(at)]), q, **THICK)
    assert both.shape == (2, 60)
    np.testing.assert_allclose(both[0], multiple_scattering(spherical, q, **THICK)[0], rtol=1e-12)
    table = np.geomspace(1e-5, 3.0, 3000)
    again = multiple_scattering(tabulated(table, spherical(table)), q, **THICK)[0]
    np.testing.assert_allclose(again, both[0], rtol=1e-4)


def test_a_kernel_goes_in_as_it_is():
    from simulators.scattering import spheres

    q = np.geomspace(1e-3, 0.1, 20)
    shown = multiple_scattering(
        lambda at: spheres(at, radius=80.0, polydispersity=0.2, volume_fraction=0.02, contrast=6.5e-5), q, **THICK
    )
    alone = np.asarray(spheres(q, radius=80.0, polydispersity=0.2, volume_fraction=0.02, contrast=6.5e-5))
    assert shown.shape == (1, 20)
    assert np.all(shown > alone)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: multiple_scattering(spherical, [0.01], thickness_cm=0.0, wavelength_A=1.0),
            "thickness_cm must be finite and above 0 cm, got 0.0",
        ),
        (lambda: multiple_scattering(spherical, [0.01], thickness_cm=1.0, wavelength_A=-1.0), "wavelength_A must be"),
        (lambda: multiple_scattering(spherical, [0.01], thickness_cm=100.0, wavelength_A=5.0), "events per photon"),
        (lambda: multiple_scattering(np.ones_like, [0.01], **THICK), "leave flat backgrounds out"),
        (lambda: multiple_scattering(lambda q: q**-3.0, [0.01], **THICK), "outer cut-off"),
        (lambda: multiple_scattering(lambda q: -spherical(q), [0.01], **THICK), "0 or more"),
        (lambda: multiple_scattering(lambda q: 1.0, [0.01], **THICK), r"got \(1, 1\)"),
        (lambda: tabulated([0.2, 0.1], [1.0, 1.0]), "rise"),
        (lambda: tabulated([0.1, 0.2], [1.0, 0.0]), "above 0 1/cm at every q"),
        (lambda: tabulated([0.1, 0.2], [1.0]), "k = 2"),
    ],
)
def test_refuses(call, message):
    with pytest.raises(ParameterError, match=message):
        call()

"""The edge-dislocation law against figures for copper and the numerical transform of its field."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import j1

from simulators import scattering
from simulators.errors import ParameterError


def edge_dislocations(*arguments, **parameters):
    return scattering.edge_dislocations(*arguments, **parameters).numpy()


COPPER = {"density": 1e15, "sld": 6.5e-5, "burgers": 2.556, "poisson_ratio": 0.343}
UNCUT = {"outer_cutoff": 1e9, "core_radius": 0.0}


def test_copper_figures():
    """About 10 1/cm at 0.01 1/Å and 0.01 1/cm at 0.1 1/Å for 1e15 1/m²."""
    low, high = edge_dislocations([0.01, 0.1], **COPPER, **UNCUT)[0]
    assert low == pytest.approx(10.0, rel=0.07)
    assert high == pytest.approx(0.01, rel=0.07)
    assert low / high == pytest.approx(1000.0, rel=1e-6)


def test_prefactor_from_the_field_itself():
    """Transform Δ = -(b/2π) κ sinθ / r numerically in polar coordinates and average over line directions by hand.

    The angular integral of sinθ exp(iqr cos(θ-φ)) is 2πi sinφ J1(qr); what is left is ∫ J1(qr) dr, done by
    quadrature with a damping that is taken to zero.
    """
    b, nu, rho0, rho_d = 2.556, 0.343, 6.5e-5, 1e-5  # 1/Å²
    kappa = (1 - 2 * nu) / (1 - nu)
    q = 0.02

    def damped(epsilon):
        return quad(lambda r: j1(q * r) * np.exp(-epsilon * r), 0, 40 / epsilon, limit=4000)[0]

    # The damped integral has an error linear in epsilon, which one extrapolation step removes.
    radial = 2 * damped(2e-4) - damped(4e-4)
    amplitude_squared = (rho0 * b * kappa / (2 * np.pi)) ** 2 * (2 * np.pi * radial) ** 2 * 0.5  # <sin²φ> = 1/2
    # A straight line of length L scatters in the plane normal to it: the average over directions is πL/q.
    expected = rho_d * np.pi / q * amplitude_squared * 1e8
    ours = edge_dislocations([q], density=rho_d * 1e20, sld=rho0, burgers=b, poisson_ratio=nu, **UNCUT)[0, 0]
    assert ours == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("q", [3e-4, 2e-3, 1e-2])
def test_screening_is_the_transform_of_a_screened_field(q):
    r_e = 500.0
    radial = quad(lambda r: j1(q * r) * np.exp(-r / r_e), 0, 60 * r_e, limit=2000)[0]
    cut = edge_dislocations([q], **COPPER, outer_cutoff=r_e, core_radius=0.0)[0, 0]
    uncut = edge_dislocations([q], **COPPER, **UNCUT)[0, 0]
    assert cut / uncut == pytest.approx((q * radial) ** 2, rel=1e-5)


@pytest.mark.parametrize("q", [0.02, 0.1, 0.4])
def test_core_is_the_transform_of_a_non_singular_field(q):
    r_0 = 3.0
    # ∫ J1(qr) r²/(r²+r0²) dr = 1/q - r0² ∫ J1(qr)/(r²+r0²) dr: the second integral converges fast.
    radial = 1 / q - r_0**2 * quad(lambda r: j1(q * r) / (r**2 + r_0**2), 0, 2e3, limit=5000)[0]
    cut = edge_dislocations([q], **COPPER, outer_cutoff=1e9, core_radius=r_0)[0, 0]
    uncut = edge_dislocations([q], **COPPER, **UNCUT)[0, 0]
    assert cut / uncut == pytest.approx((q * radial) ** 2, rel=1e-3)


def test_slopes_between_and_below_the_cutoffs():
    options = {"outer_cutoff": 1e4, "core_radius": 1.0}

    def slope(q):
        values = edge_dislocations([q, q * 1.01], **COPPER, **options)[0]
        return np.log(values[1] / values[0]) / np.log(1.01)

    assert slope(1e-2) == pytest.approx(-3.0, abs=0.05)
    assert slope(1e-6) == pytest.approx(1.0, abs=0.01)
    assert slope(3.0) < -6


def test_scales_with_density_and_refuses_nonsense():
    q = np.geomspace(0.01, 0.1, 5)
    densities = np.array([1e14, 1e15])
    two = edge_dislocations(q, **{**COPPER, "density": densities}, **UNCUT)
    np.testing.assert_allclose(two[1], 10 * two[0])
    with pytest.raises(ParameterError, match="density must lie in"):
        edge_dislocations(q, **{**COPPER, "density": -1.0}, **UNCUT)

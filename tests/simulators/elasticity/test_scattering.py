"""dΣ/dΩ from fields against closed forms."""

import numpy as np
import pytest
from scipy.special import j1

from simulators.elasticity import (
    EdgeDislocation,
    Inclusion,
    Isotropic,
    Matrix,
    PrismaticLoop,
    amplitude,
    scattering,
    solve,
    void,
)
from simulators.elasticity.eshelby import dilatation_transform, strain_inside
from simulators.scattering import edge_dislocations, spheres

NU, SLD = 0.343, 6.5e-5
COPPER = Isotropic(120.0, NU)
MATRIX = Matrix(COPPER, SLD)
KAPPA = (1 - 2 * NU) / (1 - NU)


def form(x):
    """Amplitude of a sphere over its volume."""
    return 3 * (np.sin(x) - x * np.cos(x)) / x**3


def compare_with_minima(ours, expected, q, radius):
    """1 % relative, and at the minima 1 % of the maxima beside them."""
    beside = np.array([expected[np.abs(q - at) < 1.7 / radius].max() for at in q])
    away = expected > 0.1 * beside
    assert np.abs(ours / expected - 1)[away].max() < 0.01
    assert (np.abs(ours - expected) / beside).max() < 0.01


def test_strain_contrast_of_a_sphere_to_the_third_minimum():
    """A sphere of the matrix's own density per atom and place, misfitting: Δ is level inside and 0 outside."""
    radius = 50.0
    q = np.linspace(0.005, 11.0 / radius, 50)
    inclusion = Inclusion((radius,) * 3, SLD / 1.03, 0.01)  # as many scatterers in its hole as the matrix has
    ours = scattering(solve(MATRIX, [inclusion]), q, density=1e21)
    level = SLD * strain_inside(COPPER, inclusion)[:3].sum()
    volume = 4 / 3 * np.pi * radius**3
    expected = 1e21 * 1e-30 * 1e8 * (volume * level * form(q * radius)) ** 2
    compare_with_minima(ours, expected, q, radius)


def test_a_void_is_the_sphere_of_the_kernels():
    radius, fraction = 50.0, 1e-3
    q = np.linspace(0.005, 11.0 / radius, 50)
    volume = 4 / 3 * np.pi * radius**3
    ours = scattering(solve(MATRIX, [void((radius,) * 3)]), q, density=fraction / volume * 1e30)
    kernel = np.asarray(spheres(q, radius=radius, volume_fraction=fraction, contrast=SLD))[0]
    # The kernel has φ(1 - φ), a dilute population φ.
    compare_with_minima(ours, kernel / (1 - fraction), q, radius)


@pytest.mark.parametrize("axes", [(50.0, 50.0, 15.0), (30.0, 30.0, 90.0)])
def test_amplitude_of_a_misfitting_spheroid(axes):
    inclusion = Inclusion(axes, SLD / 1.02, (0.0, 0.0, 0.02))
    field = solve(MATRIX, [inclusion])
    cosine = np.array([0.05, 0.4, 0.8, 0.99])
    q = np.array([0.002, 0.01, 0.03, 0.1])[:, None, None] * np.stack([np.sqrt(1 - cosine**2), cosine], axis=-1)
    q = q.reshape(-1, 2)
    direction = np.stack([q[:, 0], 0 * q[:, 0], q[:, 1]], axis=1) / np.linalg.norm(q, axis=1, keepdims=True)
    volume = 4 / 3 * np.pi * np.prod(axes)
    factor = dilatation_transform(COPPER, inclusion.strain(), direction)
    expected = -SLD * factor * volume * form(np.hypot(q[:, 0] * axes[0], q[:, 1] * axes[2]))
    error = np.abs(amplitude(field, q) - expected) / (SLD * volume * 0.01)
    assert error.max() < 2e-3


def test_edge_dislocation_between_the_cutoffs():
    """The q⁻³ law and its prefactor over more than two decades of q, six of intensity."""
    field = solve(MATRIX, [EdgeDislocation(2.556, core=1.0)])
    q = np.geomspace(1e-3, 0.5, 20)
    ours = scattering(field, q, density=1e15)
    law = {"density": 1e15, "sld": SLD, "burgers": 2.556, "poisson_ratio": NU}
    expected = np.asarray(edge_dislocations(q, **law, outer_cutoff=1e9, core_radius=0.0))[0]
    assert np.abs(ours / expected - 1).max() < 0.01
    # And the prefactor by hand, with no help of the kernel.
    assert ours[0] * q[0] ** 3 == pytest.approx(0.5 * np.pi * 1e-5 * (SLD * 2.556 * KAPPA) ** 2 * 1e8, rel=0.01)


def test_a_dipole_of_dislocations_screens_itself():
    """Opposite lines a distance d apart: 2 sin(q·d/2) times one line's."""
    apart = 40.0
    pair = [EdgeDislocation(2.5, centre=(-apart / 2, 0.0)), EdgeDislocation(-2.5, centre=(apart / 2, 0.0))]
    field = solve(MATRIX, pair)
    angle = np.array([0.3, 1.2, 2.0])
    q = np.array([0.005, 0.02, 0.1])[:, None, None] * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    q = q.reshape(-1, 2)
    size = np.linalg.norm(q, axis=1)
    # Δ = -(b κ/2π) sinθ/r transforms to -i b κ q_y/q².
    expected = SLD * 2.5 * KAPPA * np.abs(q[:, 1]) / size**2 * 2 * np.abs(np.sin(q[:, 0] * apart / 2))
    np.testing.assert_allclose(np.abs(amplitude(field, q)), expected, rtol=0.02)


@pytest.mark.parametrize("sign", [1, -1])
def test_prismatic_loop(sign):
    """ρ0 b κ sin²θ times the transform of a disc: a loop brings matter, and lets the matrix give way."""
    radius, burgers = 60.0, sign * 2.5
    field = solve(MATRIX, [PrismaticLoop(radius, burgers)])
    cosine = np.array([0.0, 0.3, 0.6, 0.9])
    q = np.array([0.001, 0.01, 0.03, 0.1])[:, None, None] * np.stack([np.sqrt(1 - cosine**2), cosine], axis=-1)
    q = q.reshape(-1, 2)
    disc = 2 * np.pi * radius * j1(q[:, 0] * radius) / q[:, 0]
    expected = SLD * burgers * KAPPA * (q[:, 0] / np.linalg.norm(q, axis=1)) ** 2 * disc
    assert np.abs(amplitude(field, q) - expected).max() < 5e-3 * SLD * 2.5 * KAPPA * np.pi * radius**2


def test_the_place_changes_nothing_and_the_average_has_converged():
    q = np.geomspace(0.005, 0.1, 6)
    here = solve(MATRIX, [Inclusion((40.0, 40.0, 20.0), 0.0, 0.01)])
    there = solve(MATRIX, [Inclusion((40.0, 40.0, 20.0), 0.0, 0.01, centre=(0.0, 0.0, 500.0))])
    first = scattering(here, q, density=1e21)
    np.testing.assert_allclose(scattering(there, q, density=1e21), first, rtol=1e-6)
    np.testing.assert_allclose(scattering(here, q, density=1e21, directions=64), first, rtol=1e-6)
    np.testing.assert_allclose(scattering(here, q, density=2e21), 2 * first)


def test_two_voids_on_an_axis_interfere():
    """Far enough apart for their strain (none: nothing loads them), amplitudes add with their phase."""
    radius, apart = 20.0, 70.0
    field = solve(MATRIX, [void((radius,) * 3, (0.0, 0.0, z)) for z in (0.0, apart)])
    q = np.linspace(0.01, 0.2, 15)
    volume = 4 / 3 * np.pi * radius**3
    single = 1e21 * 1e-22 * (SLD * volume * form(q * radius)) ** 2
    expected = 2 * single * (1 + np.sinc(q * apart / np.pi))
    np.testing.assert_allclose(scattering(field, q, density=1e21), expected, rtol=5e-3)

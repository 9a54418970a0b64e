"""Point defects, surfaces and backgrounds against numbers that can be looked up or counted."""

import numpy as np
import pytest

from simulators import scattering


def flat_background(*arguments, **parameters):
    return scattering.flat_background(*arguments, **parameters).numpy()


def point_defects(*arguments, **parameters):
    return scattering.point_defects(*arguments, **parameters).numpy()


def porod_surface(*arguments, **parameters):
    return scattering.porod_surface(*arguments, **parameters).numpy()


def spheres(*arguments, **parameters):
    return scattering.spheres(*arguments, **parameters).numpy()


def thermal_diffuse(*arguments, **parameters):
    return scattering.thermal_diffuse(*arguments, **parameters).numpy()


Q = np.geomspace(0.005, 0.4, 60)


def test_laue_scattering_counts_electrons():
    """10 % Ni in Cu, one electron apart: n c(1-c) r_e² by hand, with n from the lattice constant 3.61 Å."""
    n = 4 / 3.61**3
    expected = n * 1e24 * 0.1 * 0.9 * (2.818e-13) ** 2
    value = point_defects(Q, number_density=n, concentration=0.1, delta_b=2.818e-5)
    np.testing.assert_allclose(value, expected, rtol=1e-6)


def test_laue_scattering_of_explicit_atoms():
    """A random alloy on a small lattice, its structure factor summed atom by atom at vectors of the reciprocal box."""
    rng = np.random.default_rng(5)
    side, a, c, db = 24, 2.5, 0.3, 2e-5
    lattice = np.arange(side) * a
    wave = 2 * np.pi / (side * a)
    totals = []
    for _ in range(6):
        b = np.where(rng.random((side, side, side)) < c, db, 0.0)
        for h in range(1, 8):
            phase = np.exp(1j * h * wave * lattice)
            totals.append(np.abs(np.einsum("ijk,i->", b, phase)) ** 2)
            totals.append(np.abs(np.einsum("ijk,j->", b, phase)) ** 2)
            totals.append(np.abs(np.einsum("ijk,k->", b, phase)) ** 2)
    per_volume = np.mean(totals) / (side * a) ** 3 * 1e8
    value = point_defects([0.1], number_density=a**-3, concentration=c, delta_b=db)[0, 0]
    # 126 exponentially distributed intensities: 9 % standard error.
    assert per_volume == pytest.approx(value, rel=0.3)


def test_clusters_raise_low_q_only_and_size_effect_shifts_the_amplitude():
    common = {"number_density": 0.085, "concentration": 0.2, "delta_b": -2.8e-5}
    random = point_defects(Q, **common)
    clustered = point_defects(Q, **common, cluster_strength=10.0, correlation_length=6.0)
    assert clustered[0, 0] == pytest.approx(11 * random[0, 0], rel=0.01)
    ratio = clustered / random - 1
    assert ratio[0, -1] == pytest.approx(10 / (1 + (0.4 * 6) ** 2))
    sized = point_defects(Q, **common, mean_b=8e-4, size_effect=-0.075)
    np.testing.assert_allclose(sized / random, ((-2.8e-5 + 6e-5) / 2.8e-5) ** 2)


def test_porod_surface_is_the_tail_of_spheres():
    """Monodisperse spheres of known surface, averaged over many oscillations at high qR."""
    radius, phi, drho = 2000.0, 1e-3, 6.7e-5
    q = np.linspace(0.2, 0.2 + 64 * np.pi / radius, 20_001)  # whole oscillations
    tail = spheres(q, radius=radius, volume_fraction=phi, contrast=drho)[0]
    surface_per_cm = 3 * phi * (1 - phi) / radius * 1e8
    law = porod_surface(q, specific_surface=surface_per_cm, contrast=drho)[0]
    assert np.mean(tail * q**4) == pytest.approx(np.mean(law * q**4), rel=1e-3)


def test_water_scatters_as_the_absolute_standard_says():
    """0.0163 1/cm at 20 °C; water: 9.40e-6 1/Å², κ_T = 4.59e-10 1/Pa."""
    level = thermal_diffuse(Q, sld=9.40e-6, temperature=20.0, compressibility=4.59e-10)
    np.testing.assert_allclose(level, 0.0163, rtol=0.02)


def test_flat_background_is_flat_and_batched():
    levels = flat_background(Q, level=np.array([0.1, 2.0]))
    assert levels.shape == (2, Q.size)
    np.testing.assert_array_equal(levels[1], 2.0)

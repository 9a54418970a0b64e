"""Tetrahedra: cubic matrices and any form, against the closed transform of a homogeneous matrix."""

import numpy as np
import pytest

from simulators.elasticity import Cubic, Inclusion, Isotropic, Matrix, amplitude, scattering, solve
from simulators.elasticity.eshelby import dilatation_transform, strain_inside

SLD = 6.5e-5
COPPER = Cubic(168.4, 121.4, 75.4)


def form(x):
    return 3 * (np.sin(x) - x * np.cos(x)) / x**3


def directions(n):
    vectors = np.random.default_rng(0).normal(size=(n, 3))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def cubic_sphere():
    return solve(Matrix(COPPER, SLD), [Inclusion((50.0,) * 3, SLD / 1.03, 0.01)])


def worst(field, moduli, inclusion, sizes):
    """Largest error of the amplitude over the largest amplitude."""
    n = directions(8)
    q = (np.array(sizes)[:, None, None] * n).reshape(-1, 3)
    volume = 4 / 3 * np.pi * np.prod(inclusion.semi_axes)
    factor = dilatation_transform(moduli, inclusion.strain(), q / np.linalg.norm(q, axis=1, keepdims=True))
    expected = -SLD * factor * volume * form(np.linalg.norm(q * inclusion.semi_axes, axis=1))
    return np.abs(amplitude(field, q) - expected).max() / np.abs(expected).max()


def test_a_sphere_in_copper_as_it_is(cubic_sphere):
    """Anisotropy 3.2: the amplitude of the strain differs by more than a factor of 1.3 between directions."""
    assert cubic_sphere.geometry == "solid"
    factor = dilatation_transform(COPPER, cubic_sphere.inclusions[0].strain(), directions(200))
    assert factor.max() > 1.3 * factor.min()
    assert worst(cubic_sphere, COPPER, cubic_sphere.inclusions[0], [0.003, 0.02, 0.06, 0.1]) < 0.02


def test_an_ellipsoid_of_three_axes():
    moduli = Isotropic(120.0, 0.343)
    inclusion = Inclusion((50.0, 40.0, 25.0), SLD / 1.02, (0.0, 0.01, 0.01))
    field = solve(Matrix(moduli, SLD), [inclusion])
    here = field.near.owner == 0
    assert field.near.volume[here].sum() == pytest.approx(4 / 3 * np.pi * 5e4, rel=1e-3)
    assert worst(field, moduli, inclusion, [0.003, 0.02, 0.06]) < 0.02


def test_the_axial_case_in_three_dimensions():
    moduli = Isotropic(120.0, 0.343)
    inclusion = Inclusion((50.0, 50.0, 30.0), 2 * SLD, 0.01, Isotropic(300.0, 0.2))
    solid = solve(Matrix(moduli, SLD), [inclusion], geometry="solid")
    axial = solve(Matrix(moduli, SLD), [inclusion])
    expected = strain_inside(moduli, inclusion)
    np.testing.assert_allclose(solid.mean_strain(0), expected, atol=0.01 * np.abs(expected).max())
    q = np.array([0.003, 0.02, 0.05])
    ours = scattering(solid, q, density=1e21, directions=8)
    np.testing.assert_allclose(ours, scattering(axial, q, density=1e21), rtol=0.01)


def test_a_cuboid_scatters_more_along_its_edges_direction():
    """Without strain, a body towards a cube: its volume at small q, and a narrower central peak across its faces."""
    inclusion = Inclusion((40.0,) * 3, 2 * SLD, exponent=6.0)
    field = solve(Matrix(Isotropic(120.0, 0.3), SLD), [inclusion])
    volume = field.near.volume[field.near.owner == 0].sum()
    assert 4 / 3 * np.pi * 40**3 < volume < 80**3
    # The superellipsoid's volume by Monte Carlo on a fixed lattice.
    x = (np.arange(60) + 0.5) / 60
    inside = (x[:, None, None] ** 6 + x[:, None] ** 6 + x**6 <= 1).mean()
    assert volume == pytest.approx(80**3 * inside, rel=5e-3)
    face, corner = amplitude(field, 0.06 * np.array([[1.0, 0, 0], [3**-0.5] * 3])).real
    assert corner / face > 1.02 or face / corner > 1.02

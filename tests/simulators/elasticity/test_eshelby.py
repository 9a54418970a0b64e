"""The closed forms against limits and each other, and the finite elements against them."""

import numpy as np
import pytest

from simulators.elasticity import Cubic, Inclusion, Isotropic, Matrix, PrismaticLoop, solve, void
from simulators.elasticity.eshelby import dilatation_transform, eshelby_tensor, strain_inside
from simulators.errors import ParameterError

COPPER = Isotropic(128.0, 0.34)
MATRIX = Matrix(COPPER, 6.5e-5)


@pytest.mark.parametrize("aspect", [0.999, 1.001])
def test_a_nearly_round_spheroid_is_a_sphere(aspect):
    np.testing.assert_allclose(eshelby_tensor(0.3, aspect), eshelby_tensor(0.3, 1.0), atol=2e-3)


@pytest.mark.parametrize("aspect", [0.2, 0.7, 1.0, 1.6, 5.0])
def test_dilatation_of_an_isotropic_misfit_is_that_of_any_form(aspect):
    """Inside a body of any form, tr ε = (1+ν)/(1-ν) ε* (Crum's theorem)."""
    inside = eshelby_tensor(0.3, aspect) @ [1, 1, 1, 0, 0, 0]
    assert inside[:3].sum() == pytest.approx(1.3 / 0.7, rel=1e-9)


def test_flat_and_long_limits():
    disc, needle = eshelby_tensor(0.3, 1e-3), eshelby_tensor(0.3, 1e3)
    # A thin disc gives way across itself completely and along itself not at all.
    np.testing.assert_allclose(disc @ [0, 0, 1, 0, 0, 0], [0, 0, 1, 0, 0, 0], atol=5e-3)
    np.testing.assert_allclose((disc @ [1, 0, 0, 0, 0, 0])[:2], 0, atol=5e-3)
    # A long needle is a cylinder: (5-4ν)/8(1-ν), and nothing along it.
    assert needle[0, 0] == pytest.approx((5 - 1.2) / (8 * 0.7), rel=1e-4)
    np.testing.assert_allclose(needle[2], 0, atol=1e-4)


def test_the_transform_agrees_with_isotropic_algebra():
    direction = np.array([[0.0, 0.6, 0.8]])
    strain = np.array([0.01, -0.02, 0.03, 0.0, 0.0, 0.0])
    lame, shear = COPPER.lame, COPPER.shear
    along = 0.36 * -0.02 + 0.64 * 0.03
    expected = (lame * 0.02 + 2 * shear * along) / (lame + 2 * shear)
    assert dilatation_transform(COPPER, strain, direction)[0] == pytest.approx(expected)
    as_cubic = Cubic(lame + 2 * shear, lame, shear)
    assert as_cubic.anisotropy == pytest.approx(1)
    assert dilatation_transform(as_cubic, strain, direction)[0] == pytest.approx(expected)


@pytest.mark.parametrize("axes", [(50.0, 50.0, 50.0), (50.0, 50.0, 15.0), (30.0, 30.0, 90.0)])
@pytest.mark.parametrize("eigenstrain", [0.01, (0.0, 0.0, 0.02)])
def test_strain_inside(axes, eigenstrain):
    inclusion = Inclusion(axes, 6.5e-5, eigenstrain)
    expected = strain_inside(COPPER, inclusion)
    field = solve(MATRIX, [inclusion])
    scale = np.abs(expected).max()
    assert np.abs(field.mean_strain(0) - expected).max() < 1e-3 * scale
    # And everywhere, not only on average.
    here = field.near.owner == 0
    assert field.near.volume[here].sum() == pytest.approx(4 / 3 * np.pi * np.prod(axes), rel=1e-4)
    deviation = np.sqrt(np.average((field.near.strain[here] - expected) ** 2, axis=0, weights=field.near.volume[here]))
    assert deviation.max() < 0.01 * scale


@pytest.mark.parametrize("young", [20.0, 500.0])
def test_strain_inside_a_softer_and_a_stiffer_spheroid(young):
    inclusion = Inclusion((40.0, 40.0, 20.0), 6.5e-5, (0.0, 0.0, 0.02), Isotropic(young, 0.25))
    expected = strain_inside(COPPER, inclusion)
    assert np.abs(solve(MATRIX, [inclusion]).mean_strain(0) - expected).max() < 2e-3 * np.abs(expected).max()


def test_a_cylinder():
    """Plane strain of an equal misfit: ε_xx = ε_yy = (λ + μ)(2ε*) + λ ε* over 2(λ + 2μ), from Lamé's solution."""
    field = solve(MATRIX, [Inclusion((50.0, 50.0, np.inf), 6.5e-5, 0.01)])
    expected = 0.01 * (3 * COPPER.lame + 2 * COPPER.shear) / (2 * (COPPER.lame + 2 * COPPER.shear))
    np.testing.assert_allclose(field.mean_strain(0)[:3], [expected, expected, 0], rtol=2e-3, atol=1e-9)


def test_a_small_void_in_the_field_of_a_loop():
    """A void strains as (1 - S)⁻¹ times the strain that would be there without it."""
    loop = PrismaticLoop(60.0, 2.5)
    alone = solve(MATRIX, [loop])
    near = alone.near.position
    close = np.hypot(near[:, 0], near[:, 1] - 60.0) < 9.0
    assert close.sum() > 20
    without = np.average(alone.near.strain[close], axis=0, weights=alone.near.volume[close])
    field = solve(MATRIX, [loop, void((6.0, 6.0, 6.0), (0.0, 0.0, 60.0))])
    expected = np.linalg.solve(np.eye(6) - eshelby_tensor(0.34, 1.0), without)
    np.testing.assert_allclose(field.mean_strain(0)[:3], expected[:3], atol=0.05 * np.abs(expected).max())


def test_the_closed_form_is_for_spheroids():
    with pytest.raises(ParameterError, match="spheroid around z"):
        strain_inside(COPPER, Inclusion((1.0, 2.0, 3.0)))
    with pytest.raises(ParameterError, match="aspect must be"):
        eshelby_tensor(0.3, 0.0)

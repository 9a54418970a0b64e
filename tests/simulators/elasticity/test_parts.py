"""Meshes and multipoles by themselves."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.special import jv, spherical_jn
from skfem import Basis, ElementTetP2, ElementTriP2

from simulators.elasticity import Inclusion
from simulators.elasticity.domain2d import domain2d
from simulators.elasticity.domain3d import domain3d
from simulators.elasticity.farfield import FarField, _outer_integral, fit_far_field


@settings(max_examples=10, deadline=None)
@given(st.floats(1.0, 1000.0), st.floats(0.05, 10.0), st.booleans())
def test_triangles_fill_the_domain_and_the_inclusion(across, aspect, axial):
    third = across * aspect if axial else np.inf
    inclusion = Inclusion((across, across if axial else across * aspect, third), centre=(0.0, 7.0 * (not axial), 0.0))
    domain = domain2d([inclusion], axial=axial, resolution=5)
    basis = Basis(domain.mesh, ElementTriP2(), intorder=4)
    assert np.all(basis.dx > 0)
    half = 0.5 if axial else 1.0
    assert basis.dx.sum() == pytest.approx(half * np.pi * domain.far**2, rel=1e-4)
    inside = domain.owner == 0
    assert basis.dx[inside].sum() == pytest.approx(half * np.pi * across**2 * aspect, rel=2e-3)


@settings(max_examples=5, deadline=None)
@given(st.floats(0.3, 3.0), st.floats(0.3, 3.0), st.sampled_from([2.0, 4.0, 8.0]))
def test_tetrahedra_fill_the_ball(second, third, exponent):
    domain = domain3d(Inclusion((10.0, 10.0 * second, 10.0 * third), exponent=exponent), 6)
    basis = Basis(domain.mesh, ElementTetP2(), intorder=5)
    assert np.all(basis.dx > 0)
    assert basis.dx.sum() == pytest.approx(4 / 3 * np.pi * domain.far**3, rel=1e-3)


@pytest.mark.parametrize(("order", "power"), [(2, 3), (4, 3), (8, 3), (2, 5), (6, 5)])
def test_radial_integrals(order, power):
    x = np.array([0.05, 0.9, 7.0, 40.0])
    for value, low in zip(_outer_integral(order, power, x), x, strict=True):
        pieces = np.concatenate([[low], np.arange(np.ceil(low) + 1, low + 600, 3.0)])
        expected = sum(quad(lambda t: spherical_jn(order, t) * t ** (2 - power), a, b)[0] for a, b in pairwise(pieces))
        assert value == pytest.approx(expected, abs=1e-5)


def test_plane_multipoles_transform_as_they_should():
    """∫ r^(1-m) J_m(qr) dr from R on, by quadrature of what is left after the closed inner part."""
    field = FarField("plane", 10.0, True, np.eye(16)[2], np.empty(0), 0.0)  # cos 2θ (R/r)²
    q = 0.3
    radial = quad(lambda r: 100.0 / r * jv(2, q * r), 10.0, 4000.0, limit=4000)[0]
    assert field.amplitude(np.array([[q, 0.0]]))[0] == pytest.approx(-2 * np.pi * radial, rel=1e-3)


@pytest.mark.parametrize("geometry", ["plane", "axial", "solid"])
def test_a_fit_finds_what_is_there_and_the_image(geometry):
    rng = np.random.default_rng(0)
    dim = 3 if geometry == "solid" else 2
    x = rng.normal(size=(2000, dim))
    if geometry == "axial":
        x[:, 0] = np.abs(x[:, 0])
    r = rng.uniform(10.0, 20.0, 2000)
    x *= (r / np.linalg.norm(x, axis=1))[:, None]
    cosine = x[:, -1] / r
    decaying = 0.5 * (3 * cosine**2 - 1) * (10 / r) ** 3 if dim == 3 or geometry == "axial" else 10 * x[:, 0] / r**2
    fit = fit_far_field(geometry, 10.0, True, x, np.ones(2000), decaying + 0.01)
    assert fit.residual < 1e-9
    np.testing.assert_allclose(fit.image_at(x[:5] / 2), 0.01, rtol=1e-6)
    assert np.sum(np.abs(fit.coefficients) > 1e-9) == 1

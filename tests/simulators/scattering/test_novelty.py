"""The novelty families against integrations and lattices that do not use their closed forms."""

import math

import numpy as np
import pytest
import torch
from scipy.special import j1

from simulators.scattering import (
    cavity_lattice,
    cracks,
    dislocation_loops,
    edge_dislocations,
    fractal_pores,
    grain_boundary_films,
    porod_surface,
    precipitates,
    spheres,
)
from simulators.scattering.cavity_lattice import lattice_structure, lattice_sum


def schulz(mean, p, points=3001):
    k = p**-2
    r = np.linspace(max(1e-3 * mean, mean * (1 - 8 * p)), mean * (1 + 14 * p), points)
    weight = np.exp((k - 1) * np.log(r / mean) - k * r / mean)
    return r, weight / weight.sum()


def phi(x):
    return 3 * (np.sin(x) - x * np.cos(x)) / x**3


@pytest.mark.parametrize("p", [0.1, 0.137, 0.3, 0.55])
@pytest.mark.parametrize("epsilon", [0.01, 0.043, 0.137, 0.19])
def test_cracks_are_spheroids_averaged_over_size_and_direction(p, epsilon):
    radius = 100.0
    sizes, weight = schulz(radius, p)
    nodes, share = np.polynomial.legendre.leggauss(800)
    volume = 4 / 3 * np.pi * epsilon * sizes**3
    for q in (0.001, 0.03, 0.1, 0.3):
        u, du = (nodes + 1) / 2 * math.acosh(1 / epsilon), share / 2 * math.acosh(1 / epsilon)
        directions = du / np.cosh(u) ** 2 / math.sqrt(1 - epsilon**2)
        shape = phi(q * sizes[:, None] / np.cosh(u)) ** 2 @ directions
        expected = 1e-3 * (1 - 1e-3) * 1e-10 * (weight @ (volume**2 * shape)) / (weight @ volume) * 1e8
        found = cracks([q], radius=radius, aspect_ratio=epsilon, polydispersity=p, volume_fraction=1e-3, contrast=1e-5)
        assert float(found[0, 0]) == pytest.approx(expected, rel=1e-3)


def test_cracks_end_in_the_porod_law_of_their_surface():
    epsilon, radius, p = 0.1, 400.0, 0.3
    q = np.linspace(1.5, 1.6, 20)
    found = cracks(q, radius=radius, aspect_ratio=epsilon, polydispersity=p, volume_fraction=1e-3, contrast=1e-5)
    e = math.sqrt(1 - epsilon**2)
    area = 2 * np.pi * (1 + (1 - e**2) / e * math.atanh(e))  # of a spheroid with equatorial radius 1
    mean_ratio = 1 / (radius * (1 + 2 * p**2))  # <R²>/<R³>
    surface = 1e-3 * (1 - 1e-3) * area / (4 / 3 * np.pi * epsilon) * mean_ratio * 1e8
    law = porod_surface(q, specific_surface=surface, contrast=1e-5)
    # One term beyond the law: 1/(q·half thickness)² at the flat faces.
    np.testing.assert_allclose(found.numpy(), law.numpy(), rtol=2e-3)


LOOPS = {"number_density": 1e22, "sld": 6.5e-5, "burgers": 2.0, "poisson_ratio": 0.343}


@pytest.mark.parametrize("p", [0.1, 0.17, 0.4])
def test_loops_are_the_dilatation_averaged_over_size_and_direction(p):
    """|ρ0 κ b sin²θ 2πR² J1(z)/z|², z = qR sinθ, by plain quadrature over θ and R."""
    radius, kappa = 80.0, (1 - 2 * 0.343) / (1 - 0.343)
    sizes, weight = schulz(radius, p, 1501)
    nodes, share = np.polynomial.legendre.leggauss(400)
    theta, directions = (nodes + 1) * np.pi / 4, share * np.pi / 4
    for q in (0.001, 0.02, 0.1, 0.3):
        z = q * sizes[:, None] * np.sin(theta)
        field = 6.5e-5 * kappa * 2.0 * np.sin(theta) ** 2 * 2 * np.pi * sizes[:, None] ** 2 * j1(z) / z
        expected = 1e-8 * (weight @ (field**2 @ (directions * np.sin(theta)))) * 1e8
        found = dislocation_loops([q], radius=radius, polydispersity=p, **LOOPS)
        assert float(found[0, 0]) == pytest.approx(expected, rel=1e-4)


def test_the_dilatation_of_a_loop_solves_the_equations_of_elasticity():
    """Equilibrium C:(∇u - ε*) without forces, solved numerically at single wave vectors for a stiffness tensor."""
    nu, shear = 0.3, 1.0
    lam = 2 * shear * nu / (1 - 2 * nu)
    delta = np.eye(3)
    stiffness = lam * np.einsum("ij,kl->ijkl", delta, delta) + shear * (
        np.einsum("ik,jl->ijkl", delta, delta) + np.einsum("il,jk->ijkl", delta, delta)
    )
    plastic = np.zeros((3, 3))
    plastic[2, 2] = 1.0
    for theta in (0.2, 0.9, 1.5):
        k = 0.7 * np.array([math.sin(theta), 0.0, math.cos(theta)])
        # u: strain i k u; the divergence of the stress, i k_j C_ijkl (i k_l u_k - ε*_kl), vanishes.
        matrix = np.einsum("ijkl,j,l->ik", stiffness, k, k)
        source = np.einsum("ijkl,j,kl->i", stiffness, k, plastic)
        displacement = -1j * np.linalg.solve(matrix, source)
        elastic = 1j * k @ displacement - np.trace(plastic)
        assert elastic.real == pytest.approx(-(1 - 2 * nu) / (1 - nu) * math.sin(theta) ** 2, rel=1e-12)


def test_large_loops_scatter_as_straight_edge_dislocations():
    radius = 5000.0
    q = np.array([0.05, 0.2])
    loops = dislocation_loops(q, radius=radius, polydispersity=0.3, core_radius=2.0, **LOOPS)
    density = 1e22 * 2 * np.pi * radius * 1e-10
    law = edge_dislocations(
        q, density=density, sld=6.5e-5, burgers=2.0, poisson_ratio=0.343, outer_cutoff=1e9, core_radius=2.0
    )
    np.testing.assert_allclose(loops.numpy(), law.numpy(), rtol=2e-3)


@pytest.mark.parametrize(("p", "d"), [(0.05, 1.0), (0.25, 0.6), (0.5, 1.0)])
def test_precipitates_are_two_spheres_averaged_over_size(p, d):
    radius, s = 30.0, 2.2
    sizes, weight = schulz(radius, p, 20_001)
    q = np.array([0.002, 0.02, 0.1, 0.4])
    x = q[:, None] * sizes
    amplitude = sizes**3 * (phi(x) - d * (s**3 * phi(s * x) - phi(x)) / (s**3 - 1))
    mean_cube = weight @ sizes**3
    expected = 0.01 * 4e-10 * 4 / 3 * np.pi * (amplitude**2 @ weight) / mean_cube * 1e8
    found = precipitates(
        q, radius=radius, polydispersity=p, zone_ratio=s, depletion=d, volume_fraction=0.01, contrast=2e-5
    )[0]
    np.testing.assert_allclose(found.numpy(), expected, rtol=2e-4 if d == 1.0 else 1e-5)


def test_without_depletion_a_precipitate_is_a_sphere():
    q = np.geomspace(0.003, 0.5, 20)
    common = {"radius": 40.0, "polydispersity": 0.2, "contrast": 2e-5}
    found = precipitates(q, zone_ratio=3.0, depletion=0.0, volume_fraction=0.01 * 0.99, **common)
    np.testing.assert_allclose(found, spheres(q, volume_fraction=0.01, **common), rtol=1e-9)


def test_films_fall_from_a_plateau_over_a_sheet_to_two_faces():
    options = {"specific_area": 1e4, "thickness": 40.0, "polydispersity": 0.4, "contrast": 3e-5}
    # Plateau: N V² Δρ² with S/V = N π L².
    length = 500.0
    number, volume2 = 1e4 * 1e-8 / (np.pi * length**2), (np.pi * length**2) ** 2 * 40.0**2 * (1 + 0.4**2)
    low = grain_boundary_films([1e-5], facet_radius=length, **options)[0, 0]
    assert float(low) == pytest.approx(number * volume2 * 9e-10 * 1e8, rel=1e-4)
    q = np.linspace(1.0, 1.1, 30)
    faces = porod_surface(q, specific_surface=2e4, contrast=3e-5)
    np.testing.assert_allclose(grain_boundary_films(q, facet_radius=1e5, **options), faces, rtol=1e-4)


def test_films_are_discs_averaged_over_direction():
    """A thin disc by the exact average over directions, in the range where its rim does not show."""
    thickness, length = 5.0, 800.0
    nodes, share = np.polynomial.legendre.leggauss(600)
    mu, weight = (nodes + 1) / 2, share / 2
    for q in (0.001, 0.01, 0.05):
        sine = np.sqrt(1 - mu**2)
        disc = (2 * j1(q * length * sine) / (q * length * sine) * np.sinc(q * thickness * mu / 2 / np.pi)) ** 2
        expected = 1e4 * np.pi * length**2 * thickness**2 * 9e-10 * (disc @ weight)
        found = grain_boundary_films(
            [q], specific_area=1e4, thickness=thickness, polydispersity=0.0, facet_radius=length, contrast=3e-5
        )
        assert float(found[0, 0]) == pytest.approx(expected, rel=0.01)


def test_the_lattice_sum_is_that_of_an_explicit_lattice():
    """A bcc domain with Gaussian weight: |Σ w exp(iqr)|² averaged over even directions, no disorder."""
    size = 2.0  # Gaussian radius over d
    a = 2 / math.sqrt(3)
    cells = np.arange(-6, 7)
    corner = np.stack(np.meshgrid(cells, cells, cells), -1).reshape(-1, 3) * a
    sites = np.concatenate([corner, corner + a / 2])
    weight = np.exp(-0.5 * (sites**2).sum(1) / size**2)
    # Even directions: Fibonacci points on the sphere.
    index = np.arange(1500) + 0.5
    polar, turn = np.arccos(1 - 2 * index / 1500), np.pi * (1 + 5**0.5) * index
    directions = np.stack([np.sin(polar) * np.cos(turn), np.sin(polar) * np.sin(turn), np.cos(polar)], 1)
    x = np.array([5.5, 7.0, 7.7, 8.5, 9.4, 10.2])
    explicit = [
        np.mean(np.abs(np.exp(1j * value * (directions @ sites.T)) @ weight) ** 2) / (weight**2).sum() for value in x
    ]
    ours = lattice_structure(
        torch.tensor(x)[None], torch.zeros(1, 1, dtype=torch.float64), torch.full((1, 1), size).double(), "bcc"
    )[0]
    np.testing.assert_allclose(ours.numpy(), explicit, rtol=0.02, atol=0.02)


@pytest.mark.parametrize("lattice", ["bcc", "fcc", "sc"])
def test_the_table_of_the_lattice_is_its_sum(lattice):
    x = torch.linspace(0.02, 44.9, 3001, dtype=torch.float64)[None]
    sizes = torch.tensor([1.0, 1.37, 2.2, 4.4, 13.0, 20.0], dtype=torch.float64)[:, None]
    none = torch.zeros_like(sizes)
    table, exact = lattice_structure(x.expand(6, -1), none, sizes, lattice), lattice_sum(x, sizes, lattice)
    assert float(((table - exact).abs() / (1 + exact)).max()) < 1e-3


@pytest.mark.parametrize("lattice", ["bcc", "fcc", "sc"])
def test_the_lattice_sum_counts_its_sites(lattice):
    """Far out the peaks of a small domain merge into 1: that fixes density, multiplicities and widths together."""
    x = torch.linspace(20, 40, 400, dtype=torch.float64)[None]
    mean = lattice_sum(x, torch.full((1, 1), 0.5).double(), lattice).mean()
    assert float(mean) == pytest.approx(1.0, rel=0.025)


def test_disorder_turns_the_lattice_into_single_cavities():
    q = np.geomspace(0.05, 0.3, 20)
    options = {"radius": 20.0, "spacing_ratio": 4.0, "displacement": 0.5, "domain_size": 3.0, "contrast": 6.7e-5}
    found = cavity_lattice(q, occupancy=0.5, polydispersity=0.2, **options)
    sites = 3 * math.sqrt(3) / 4 / 160.0**3
    fraction = 0.5 * sites * 4 / 3 * np.pi * 20.0**3 * (1 + 0.2**2) * (1 + 2 * 0.2**2)
    single = spheres(q, radius=20.0, polydispersity=0.2, volume_fraction=fraction, contrast=6.7e-5) / (1 - fraction)
    np.testing.assert_allclose(found, single, rtol=2e-3)


def test_the_lattice_peaks_where_bragg_says():
    q = np.linspace(0.02, 0.08, 601)
    options = {"radius": 15.0, "spacing_ratio": 4.0, "displacement": 0.08, "domain_size": 10.0, "contrast": 6.7e-5}
    curve = cavity_lattice(q, polydispersity=0.1, **options)[0]
    a = 120.0 * 2 / math.sqrt(3)
    assert float(q[int(curve.argmax())]) == pytest.approx(2 * np.pi * math.sqrt(2) / a, rel=0.01)


def test_fractal_clusters_have_their_slope():
    q = np.geomspace(0.008, 0.012, 20)
    options = {"radius": 5.0, "cluster_size": 20_000.0, "volume_fraction": 0.001, "contrast": 2e-5}
    for dimension in (1.5, 2.2, 2.8):
        curve = fractal_pores(q, fractal_dimension=dimension, **options)[0].numpy()
        slope = np.polyfit(np.log(q), np.log(curve), 1)[0]
        assert slope == pytest.approx(-dimension, abs=0.05)

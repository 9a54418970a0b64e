"""The vectorised sampler and its mass matrix, on densities whose moments are known."""

import math

import pytest
import torch

from surrogates.inference.diagnose import diagnose
from surrogates.inference.mass import Mass, Window
from surrogates.inference.sampler import Sampler


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def rand(*shape, seed=0):
    return torch.rand(*shape, generator=generator(seed), dtype=torch.float64)


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=generator(seed), dtype=torch.float64)


class Normals:
    """Two groups of correlated normals."""

    groups = 2

    def __init__(self, chains):
        root = torch.tensor([[2.0, 0, 0], [0.1, 0.05, 0], [0.3, 0.02, 1.0]], dtype=torch.float64)
        self.mean = torch.tensor([[1.0, -2.0, 3.0], [-1.0, 0.0, 0.5]], dtype=torch.float64)
        self.covariance = torch.stack([root @ root.T, 0.01 * torch.eye(3)])
        self._precision = torch.linalg.inv(self.covariance).repeat_interleave(chains, 0)
        self._centre = self.mean.repeat_interleave(chains, 0)

    def __call__(self, q):
        gradient = self.gradient(q)
        return 0.5 * (gradient * (q - self._centre)).sum(-1), gradient

    def gradient(self, q):
        return -(self._precision @ (q - self._centre).unsqueeze(-1)).squeeze(-1)


def test_sampler_finds_the_moments_of_normals():
    density = Normals(16)
    sampler = Sampler(density, generator(), max_steps=64, target_accept=0.8)
    start, tuning = sampler.warm_up(3 * randn(32, 3), 200)
    chains = sampler.sample(start, tuning, 1600)
    draws = chains.draws.view(1600, 2, 16, 3).permute(1, 0, 2, 3).flatten(1, 2)
    sd = density.covariance.diagonal(dim1=-2, dim2=-1).sqrt()
    assert ((draws.mean(1) - density.mean).abs() < 0.06 * sd).all()
    for found, expected in zip(draws, density.covariance, strict=True):
        scale = expected.diagonal().sqrt()
        assert ((found.T.cov() - expected).abs() < 0.08 * scale.outer(scale)).all()
    assert 0.65 < chains.acceptance < 0.95
    assert chains.divergences == 0
    assert chains.steps < 64 * 610


class Rotated:
    """Normals whose narrow directions are no coordinates' own; condition number 1e4."""

    groups = 2

    def __init__(self, dim=50, dtype=torch.float64):
        sd = torch.logspace(-2, 0, dim, dtype=torch.float64)
        axes = torch.linalg.qr(randn(self.groups, dim, dim, seed=3)).Q
        self.covariance = axes * sd.square() @ axes.mT
        self._precision = (axes / sd.square() @ axes.mT).to(dtype)

    def __call__(self, q):
        gradient = self.gradient(q)
        return 0.5 * (gradient * q).sum(-1), gradient

    def gradient(self, q):
        return -(q.unflatten(0, (self.groups, -1)) @ self._precision).flatten(0, 1)


def sampled(density, directions=64, dtype=torch.float64, draws=150):
    sampler = Sampler(density, generator(), max_steps=128, target_accept=0.8, directions=directions)
    start, tuning = sampler.warm_up(3 * randn(32, 50).to(dtype), 150)
    warm = sampler.steps
    chains = sampler.sample(start, tuning, draws)
    return chains, chains.steps - warm


def test_directions_save_steps():
    density = Rotated()
    costs = []
    for directions in (0, 64):
        chains, steps = sampled(density, directions)
        draws = chains.draws.unflatten(1, (2, 16)).permute(1, 2, 0, 3)
        costs.append(steps / diagnose(draws)["ess"])
    assert chains.tuning.mass.stretch.shape[-1] > 10
    assert costs[1] < 0.1 * costs[0], costs


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_narrow_rotated_normals_have_the_right_moments(dtype):
    density = Rotated(dtype=dtype)
    chains, _ = sampled(density, dtype=dtype, draws=300)
    assert chains.draws.dtype == chains.tuning.mass.directions.dtype == dtype
    draws = chains.draws.double().unflatten(1, (2, 16)).permute(1, 0, 2, 3).flatten(1, 2)
    for found, expected in zip(draws, density.covariance, strict=True):
        root = torch.linalg.cholesky(expected)
        white = torch.linalg.solve_triangular(root, found.T, upper=False)
        # Of whitened draws: all 50 directions count the same, however narrow.
        assert (white.mean(-1).abs() < 0.08).all()
        torch.testing.assert_close(white.cov(), torch.eye(50, dtype=torch.float64), rtol=0, atol=0.12)


class Trap(Normals):
    """No finite gradient on one side."""

    def __call__(self, q):
        value, gradient = super().__call__(q)
        return torch.where(q[:, 0] > self._centre[:, 0], math.nan, value), gradient


def test_what_is_not_finite_is_never_accepted_and_counted():
    density = Trap(4)
    sampler = Sampler(density, generator(), max_steps=8, target_accept=0.8)
    below = density._centre - 1.0
    start, tuning = sampler.warm_up(below, 40)
    chains = sampler.sample(start, tuning, 50)
    assert (chains.draws[..., 0] <= density._centre[:, 0]).all()
    assert chains.divergences > 0.01


def mass(groups=2, dim=6, k=3):
    directions = torch.linalg.qr(randn(groups, dim, k, seed=1)).Q
    return Mass(0.5 + rand(groups, dim, seed=2), directions, 0.1 + 2 * rand(groups, k, seed=3))


def test_mass_matrix_is_what_it_says():
    m = mass()
    eye = torch.eye(6, dtype=torch.float64)
    inner = eye + m.directions * (m.stretch - 1).unsqueeze(1) @ m.directions.mT
    root = m.scale.unsqueeze(-1) * inner
    t = randn(2, 5, 6)
    torch.testing.assert_close(m.velocity(t), t @ root.mT)
    torch.testing.assert_close(m.whitened(m.velocity(t)), t)
    torch.testing.assert_close(m.force(t), t @ root)
    torch.testing.assert_close(m.push()(t), t @ root @ root.mT)


@pytest.mark.parametrize("points", [40, 4000])
def test_mass_matrix_of_normals_with_few_narrow_directions(points):
    """More parameters than points, or fewer; two directions beside a diagonal that spans two decades."""
    dim = 60
    scale = torch.logspace(-1, 1, dim, dtype=torch.float64)
    true = Mass(scale.unsqueeze(0), torch.linalg.qr(randn(1, dim, 2)).Q, torch.tensor([[0.01, 0.03]]).double())
    z = randn(1, points, dim, seed=4)
    # The gradient of a normal density at S z is -inv(S)ᵀ z.
    inside = z + (z @ true.directions * (1 / true.stretch - 1).unsqueeze(1)) @ true.directions.mT
    window = Window(true.scale, points)
    for part in zip(true.velocity(z)[0].split(20), (-inside / scale)[0].split(20), strict=True):
        window.add(*part)
    found = window.mass()
    q = found.whitened(true.velocity(randn(1, 5000, dim, seed=5)))[0]
    values = torch.linalg.eigvalsh(q.T.cov())
    # A condition number of 1e4 and more before.
    assert values[-1] / values[0] < (60 if points < dim else 10)

"""Theory brought to the data: what is fitted, what it costs, and the kernels that see it."""

import math

import pytest
import torch
from torch.distributions import MultivariateNormal

from surrogates.inference.stationary import Matern
from surrogates.likelihoods import Gaussian
from surrogates.networks import MLP, NetworkEnsemble, train_map
from surrogates.priors import WeightPrior
from surrogates.recalibration import _Fit, recalibrate
from surrogates.theory_function import TheoryFunction, exponents, terms
from surrogates.theory_kernel import TheoryMatern, with_theory

D = torch.float64


def rand(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=D)


def drawn(d, members=2, seed=0):
    """Networks of random weights."""
    generator = torch.Generator().manual_seed(seed)
    return NetworkEnsemble.draw(MLP(d, 1, hidden=(8,)), members, prior=WeightPrior(), generator=generator).to(rand(1))


def hill(X):
    """A function whose place can be told."""
    return (-((X - 0.5) ** 2).sum(-1) / 0.04).exp()


@pytest.fixture(scope="module")
def hills():
    """Networks that know the hill."""
    X = rand(600, 2, seed=3) * 1.2 - 0.1
    generator = torch.Generator().manual_seed(0)
    start = NetworkEnsemble.draw(MLP(2, 1, hidden=(24, 24)), 2, prior=WeightPrior(), generator=generator)
    known = train_map(
        start.to(X.float()),
        X,
        hill(X).expand(2, -1),
        likelihood=Gaussian(),
        variances=None,
        noise_sd=0.02,
        prior=WeightPrior(),
        epochs=400,
        lr=0.03,
    )
    return known.to(X)


def test_the_movement_is_a_polynomial_of_the_stated_degrees():
    for d, highest, count in ((1, 4, 5), (2, 4, 15), (3, 2, 10), (5, 1, 6)):
        found = exponents(d)
        assert max(sum(e) for e in found) == highest
        assert len(found) == count == math.comb(d + highest, d)
        assert [sum(e) for e in found] == sorted(sum(e) for e in found)
    assert exponents(7) == []
    X = rand(4, 3, seed=1)
    u = (2 * X - 1).numpy()
    columns = terms(X, [(0, 0, 0), (2, 0, 1), (0, 3, 0)])
    expected = torch.tensor((3 * u[:, 0] ** 2 - 1) / 2 * u[:, 2])
    torch.testing.assert_close(columns[:, 0], torch.ones(4, dtype=D))
    torch.testing.assert_close(columns[:, 1], expected)
    torch.testing.assert_close(columns[:, 2], torch.tensor((5 * u[:, 1] ** 3 - 3 * u[:, 1]) / 2))


def test_a_theory_as_it_is_and_versions_of_it():
    networks, X = drawn(2, members=6), rand(3, 5, 2, seed=2)
    plain = TheoryFunction.plain(networks, 3, X)
    flat = networks(X.reshape(-1, 2))[..., 0].reshape(3, 2, 3, 5)
    torch.testing.assert_close(plain(X), flat.mean(1))
    coefficients = 0.1 * rand(3, 2, 3, 2, seed=5)
    slope, offset = 1 + rand(3, 2, seed=6), rand(3, 2, seed=7)
    versions = TheoryFunction(networks, coefficients, slope, offset)
    found = versions(X)
    assert found.shape == (6, 3, 5)
    # Degree one: a constant and two linear terms.
    at = (
        X[1]
        + coefficients[2, 1, 0]
        + (2 * X[1] - 1) @ torch.stack([coefficients[2, 1, 1 + [(0, 1), (1, 0)].index(e)] for e in [(1, 0), (0, 1)]])
    )
    value = networks(at.clamp(-0.1, 1.1))[4:, :, 0].mean(0)
    torch.testing.assert_close(found[5, 1], offset[2, 1] + slope[2, 1] * value)


def test_a_moved_hill_is_found_and_slope_and_offset_with_it(hills):
    X = rand(40, 2, seed=8)
    shift = torch.tensor([0.12, -0.08], dtype=D)
    noise = 0.01 * torch.randn(1, 40, generator=torch.Generator().manual_seed(1), dtype=D)
    targets = 0.5 + 1.6 * hill(X + shift) + noise
    theory, cost = recalibrate(hills, X, targets, None, draws=3, generator=torch.Generator().manual_seed(0))
    assert (cost < 0).all()
    assert theory.slope.shape == (1, 3)
    test = rand(200, 2, seed=9)
    away = (theory(test) - (0.5 + 1.6 * hill(test + shift))).square().mean(-1).sqrt()
    assert (away < 0.08).all()
    unmoved = (hills(test)[..., 0].mean(0) - (0.5 + 1.6 * hill(test + shift))).square().mean().sqrt()
    assert away.max() < 0.2 * unmoved


def test_the_same_seed_gives_the_same_versions(hills):
    X = rand(12, 2, seed=8)
    targets = hill(X)[None]
    one, two = (
        recalibrate(hills, X, targets, None, draws=3, generator=torch.Generator().manual_seed(4))[0] for _ in range(2)
    )
    assert torch.equal(one.coefficients, two.coefficients)
    assert torch.equal(one.slope, two.slope)


def test_cost_makes_the_evidence_that_of_integrated_slope_and_offset():
    """With many inputs nothing moves, the mean is linear in slope and offset, and Laplace's method is exact."""
    X = rand(15, 8, seed=1)
    networks = drawn(8)
    f = networks(X)[..., 0].mean(0)
    y = 0.3 + 1.4 * f + 0.2 * torch.randn(15, generator=torch.Generator().manual_seed(2), dtype=D)
    fit = _Fit(networks, X, y, None)
    (top, *_) = fit._maxima()
    few = top.best[:2]
    K = fit.covariance(top.best[2:])
    given = MultivariateNormal(fit.mean(few), K).log_prob(y)
    slope, offset = 0.5 * f, torch.full_like(f, 5.0)
    integrated = MultivariateNormal(f, K + torch.outer(slope, slope) + torch.outer(offset, offset)).log_prob(y)
    torch.testing.assert_close(given + top.cost, integrated, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("scaled", [False, True])
def test_the_kernel_sees_the_theorys_value(scaled):
    networks = drawn(2)
    theory = TheoryFunction.plain(networks, 1, rand(1))
    X, Z = rand(5, 2, seed=1), rand(3, 2, seed=2)
    lengthscale = torch.tensor([[0.3, 0.5, 0.2]], dtype=D)
    source = TheoryMatern(lengthscale, theory, scaled)
    f, g = theory(X)[0], theory(Z)[0]
    one = Matern(lengthscale).tangent(with_theory(X, f)).kernel(Matern(lengthscale).tangent(with_theory(Z, g)))
    expected = one + (1 + torch.outer(f, g) if scaled else 0.0)
    torch.testing.assert_close(source.tangent(X).kernel(source.tangent(Z)), expected)
    torch.testing.assert_close(source.tangent(X).diagonal()[0], 1 + (1 + f.square() if scaled else 0.0 * f))
    batched = source.tangent(X.view(5, 1, 2)).map(lambda t: t.reshape(1, 5, -1))
    torch.testing.assert_close(batched.kernel(source.tangent(Z)), expected)

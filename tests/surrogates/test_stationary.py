"""The Matérn kernel in the place of networks: against GPyTorch, and against exact Gaussian processes."""

import math

import gpytorch
import pytest
import torch
from gpytorch.kernels import MaternKernel
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.distributions import MultivariateNormal

from surrogates.inference.base import Problem
from surrogates.inference.choice import make_engine
from surrogates.inference.stationary import Matern
from surrogates.networks import MLP, NetworkEnsemble
from surrogates.priors import LogGrid, WeightPrior

D = torch.float64


def rand(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=D)


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=D)


def reference(lengthscale):
    """GPyTorch's kernel for one row of length scales."""
    kernel = MaternKernel(nu=2.5, ard_num_dims=len(lengthscale)).double()
    kernel.lengthscale = lengthscale
    return lambda a, b: kernel(a, b).to_dense()


@settings(deadline=None, max_examples=25)
@given(
    d=st.integers(1, 4),
    batch=st.lists(st.integers(1, 3), max_size=2),
    q=st.integers(1, 5),
    k=st.integers(1, 4),
    seed=st.integers(0, 10_000),
)
def test_kernel_is_gpytorchs_for_any_batch(d, batch, q, k, seed):
    lengthscale = 0.05 + rand(3, d, seed=seed)
    X, Z = rand(*batch, q, d, seed=seed + 1), rand(*batch, k, d, seed=seed + 2)
    kernels = Matern(lengthscale)
    left, right = kernels.tangent(X), kernels.tangent(Z)
    assert kernels.members == 3
    assert left.batch_shape == (*batch, q)
    found = left.kernel(right)
    assert found.shape == (3, *batch, q, k)
    torch.testing.assert_close(left.diagonal(), torch.ones(3, *batch, q, dtype=D))
    for g in range(3):
        torch.testing.assert_close(found[g], reference(lengthscale[g])(X, Z), rtol=1e-9, atol=1e-12)


def test_gradients_are_gpytorchs():
    lengthscale = torch.tensor([[0.3, 0.7]], dtype=D)
    X, Z, weights = rand(4, 2), rand(3, 2, seed=1), normal(4, 3, seed=2)
    slopes = []
    for kernel in (lambda a: Matern(lengthscale).tangent(a).kernel(Matern(lengthscale).tangent(Z))[0],
                   lambda a: reference(lengthscale[0])(a, Z)):  # fmt: skip
        at = X.clone().requires_grad_()
        (slope,) = torch.autograd.grad((weights * kernel(at)).sum(), at)
        slopes.append(slope)
    torch.testing.assert_close(*slopes, rtol=1e-8, atol=1e-10)
    torch.autograd.gradcheck(lambda a: Matern(lengthscale).tangent(a).kernel(Matern(lengthscale).tangent(Z)), at)


def test_gradient_of_a_point_with_itself_is_zero():
    X = rand(3, 2).requires_grad_()
    tangent = Matern(torch.tensor([[0.3, 0.7]], dtype=D)).tangent(X)
    fixed = Matern(torch.tensor([[0.3, 0.7]], dtype=D)).tangent(X.detach())
    (slope,) = torch.autograd.grad(tangent.kernel(fixed)[0].diagonal().sum(), X)
    assert slope.abs().max() < 1e-6


def problem(lengthscale, Y, *, variances=None, centre=None, prior=0.8, noise=0.3):
    kernel = Matern(lengthscale)
    networks = NetworkEnsemble.draw(
        MLP(2, hidden=(3,)), kernel.members, prior=WeightPrior(), generator=torch.Generator().manual_seed(0), dtype=D
    )
    return Problem(
        networks,
        (0,),
        rand(Y.shape[1], 2),
        Y,
        variances,
        LogGrid.fixed(prior),
        LogGrid.fixed(noise),
        rand(Y.shape[1], 2),
        centre=centre,
        kernel=kernel,
    )


@pytest.mark.parametrize("measured", [False, True])
@pytest.mark.parametrize("theory", [False, True])
def test_with_known_scales_it_is_an_exact_gaussian_process(measured, theory):
    lengthscale = torch.tensor([[0.3, 0.7], [0.5, 0.2]], dtype=D)
    Y = normal(2, 12, seed=1)
    variances = 0.02 + 0.2 * rand(2, 12, seed=2) if measured else None
    centre = None
    if theory:  # three networks a kernel, whose average is the prior mean
        generator = torch.Generator().manual_seed(3)
        centre = NetworkEnsemble.draw(MLP(2, hidden=(5,)), 6, prior=WeightPrior(), generator=generator, dtype=D)
    case = problem(lengthscale, Y, variances=variances, centre=centre)
    posterior = make_engine("linearised").infer(case)
    Z = rand(7, 2, seed=5)
    belief = posterior.evaluate(Z)
    covariance = belief.covariance(belief)
    every = torch.cat([case.X, Z])
    for g in range(2):
        mean = torch.zeros(19, dtype=D) if centre is None else centre(every)[3 * g : 3 * g + 3, :, 0].mean(0)
        K = 0.64 * reference(lengthscale[g])(every, every)
        noise = torch.full((12,), 0.09, dtype=D) + (0 if variances is None else variances[g])
        seen = K[:12, :12] + torch.diag(noise)
        gain = torch.linalg.solve(seen, K[:12, 12:]).T
        torch.testing.assert_close(belief.mean[g], mean[12:] + gain @ (Y[g] - mean[:12]))
        torch.testing.assert_close(covariance[g], K[12:, 12:] - gain @ K[:12, 12:], rtol=1e-6, atol=1e-9)
        torch.testing.assert_close(belief.variance()[g], covariance[g].diagonal(), rtol=1e-6, atol=1e-9)
        evidence = MultivariateNormal(mean[:12], seen).log_prob(Y[g])
        torch.testing.assert_close(posterior.summary["log_evidence"][g], evidence)


class Exact(gpytorch.models.ExactGP):
    def __init__(self, X, Y, likelihood, lengthscale, prior):
        super().__init__(X, Y, likelihood)
        self.mean_module = gpytorch.means.ZeroMean()
        self.covar_module = gpytorch.kernels.ScaleKernel(MaternKernel(nu=2.5, ard_num_dims=2)).double()
        self.covar_module.outputscale = prior**2
        self.covar_module.base_kernel.lengthscale = lengthscale

    def forward(self, X):
        return gpytorch.distributions.MultivariateNormal(self.mean_module(X), self.covar_module(X))


def test_it_is_gpytorchs_exact_gp():
    lengthscale, Y = torch.tensor([[0.3, 0.7]], dtype=D), normal(1, 12, seed=1)
    case = problem(lengthscale, Y)
    likelihood = gpytorch.likelihoods.GaussianLikelihood().double()
    likelihood.noise = 0.09
    model = Exact(case.X, Y[0], likelihood, lengthscale, 0.8).eval()
    Z = rand(5, 2, seed=5)
    with torch.no_grad():
        expected = model(Z)
    belief = make_engine("linearised").infer(case).evaluate(Z)
    torch.testing.assert_close(belief.mean[0], expected.mean)
    torch.testing.assert_close(belief.covariance(belief)[0], expected.covariance_matrix, rtol=1e-6, atol=1e-9)


def test_unknown_scales_are_averaged_by_their_evidence():
    """A grid of two prior scales: the mixture of two exact Gaussian processes."""
    lengthscale, Y = torch.tensor([[0.4, 0.6]], dtype=D), normal(1, 9, seed=1)
    Z = rand(4, 2, seed=5)
    single = [problem(lengthscale, Y, prior=s) for s in (0.3, 1.2)]
    posteriors = [make_engine("linearised").infer(p) for p in single]
    evidence = torch.stack([p.summary["log_evidence"][0] for p in posteriors])
    # The trapezium rule gives both ends of the grid half.
    weights = torch.softmax(evidence, 0)
    mean = sum(w * p.evaluate(Z).mean for w, p in zip(weights, posteriors, strict=True))
    both = problem(lengthscale, Y)
    both = Problem(**{**vars(both), "prior_sd": LogGrid(0.3, 1.2, 2)})
    found = make_engine("linearised").infer(both)
    torch.testing.assert_close(found.evaluate(Z).mean, mean)
    expected = torch.logsumexp(evidence, 0) - math.log(2)
    torch.testing.assert_close(found.summary["log_evidence"][0], expected)

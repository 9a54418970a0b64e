"""Acquisition values against closed forms, Monte Carlo, and models that were really conditioned."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from botorch.acquisition.analytic import LogExpectedImprovement as BotorchLogEI
from botorch.models import SingleTaskGP
from botorch.models.ensemble import EnsembleModel
from botorch.models.model import Model
from botorch.posteriors.fully_bayesian import GaussianMixturePosterior
from gpytorch.distributions import MultivariateNormal
from scipy import stats

from loop.acquisition.confidence import UpperConfidenceBound
from loop.acquisition.improvement import LogExpectedImprovement, log_improvement
from loop.acquisition.moments import HasCovarianceWith, cross, joint, moments, noise_variance
from loop.acquisition.random import Random
from loop.acquisition.testing import example
from loop.acquisition.thompson import ThompsonSample
from loop.acquisition.variance import IntegratedVariance, MaximumVariance, mean_slope
from loop.errors import PluginError

X = torch.rand(5, 1, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
PENDING = torch.tensor([[0.2, 0.7], [0.85, 0.15]], dtype=torch.float64)
NOISE = 0.05**2


def conditioned(model, at, y=0.3):
    """The model with measurements added at ``(p, d)`` by BoTorch itself."""
    values = torch.full((len(at), 1), y, dtype=torch.float64)
    return model.condition_on_observations(at, values, noise=torch.full_like(values, NOISE))


def plain_gp(context, kind=SingleTaskGP):
    Y = (context.train_Y - context.train_Y.mean()) / context.train_Y.std()
    model = kind(context.train_X, Y, torch.full_like(Y, NOISE), outcome_transform=None)
    model.covar_module.lengthscale = 0.4
    return model.eval()


@pytest.fixture
def gp():
    """An exact GP without an outcome transform, so that it can be conditioned; its noise is known."""
    _, context = example(direction="maximise")
    model = plain_gp(context)
    model.posterior(context.train_X[:1])
    return model, context


def test_maximum_variance_is_the_posterior_sd(gp):
    model, context = gp
    assert torch.allclose(MaximumVariance(model, context)(X), model.posterior(X).variance.sqrt().reshape(5))


def test_maximum_variance_with_pending_is_that_of_the_conditioned_model(gp):
    model, context = gp
    value = MaximumVariance(model, replace(context, X_pending=PENDING))(X)
    exact = conditioned(model, PENDING).posterior(X).variance.sqrt().reshape(5)
    assert torch.allclose(value, exact, rtol=1e-6)
    assert (value < MaximumVariance(model, context)(X)).all()


@pytest.mark.parametrize("pending", [None, PENDING])
def test_integrated_variance_is_what_conditioning_gains(gp, pending):
    model, context = gp
    value = IntegratedVariance(model, replace(context, X_pending=pending), gradient=0.0)(X)
    before = model if pending is None else conditioned(model, pending)
    for x, got in zip(X, value, strict=True):
        points = x if pending is None else torch.cat([pending, x])
        after = conditioned(model, points)
        gained = (before.posterior(context.reference).variance - after.posterior(context.reference).variance).mean()
        assert got.item() == pytest.approx(gained.item(), rel=1e-5)


def test_integrated_variance_weights_by_the_slope(gp):
    model, context = gp
    slope = mean_slope(model, context.reference, context)
    at = context.reference.clone().requires_grad_(True)
    (exact,) = torch.autograd.grad(model.posterior(at.unsqueeze(1)).mean.sum(), at)
    assert torch.allclose(slope, exact.norm(dim=-1), rtol=1e-2)
    _, _, between = cross(model, X.squeeze(1), context.reference)
    expected = (between.square() * slope / slope.mean()).mean(-1) / (model.posterior(X).variance.reshape(5) + NOISE)
    value = IntegratedVariance(model, context, gradient=1.0)(X)
    assert torch.allclose(value, expected, rtol=1e-6)
    plain = IntegratedVariance(model, context, gradient=0.0)(X)
    # The default mixes the two.
    assert torch.allclose(IntegratedVariance(model, context)(X), 0.1 * plain + 0.9 * value, rtol=1e-6)


def test_a_flat_mean_weights_all_points_the_same(gp):
    _, context = gp
    model = Mixture()  # its mean is zero everywhere
    expected = IntegratedVariance(model, context, gradient=0.0)(X)
    assert torch.allclose(IntegratedVariance(model, context, gradient=1.0)(X), expected)
    assert (expected > 0).all()


def test_integrated_variance_refuses_other_weights(gp):
    with pytest.raises(PluginError, match="0 <= gradient <= 1, got 2"):
        IntegratedVariance(*gp, gradient=2)


@pytest.mark.parametrize("direction", ["maximise", "minimise"])
def test_log_ei_is_botorchs_closed_form(direction):
    model, context = example(direction=direction)
    sign = 1 if direction == "maximise" else -1
    believed = (sign * model.posterior(context.train_X).mean).max()
    reference = BotorchLogEI(model, best_f=sign * believed, maximize=sign > 0)
    assert torch.allclose(LogExpectedImprovement(model, context)(X), reference(X), rtol=1e-6)


def test_log_ei_with_pending_is_that_of_a_model_that_believes_itself(gp):
    model, context = gp
    mean = model.posterior(PENDING).mean.detach()
    believer = model.condition_on_observations(PENDING, mean, noise=torch.full_like(mean, NOISE))
    best = believer.posterior(torch.cat([context.train_X, PENDING])).mean.max()
    value = LogExpectedImprovement(model, replace(context, X_pending=PENDING))(X)
    assert torch.allclose(value, BotorchLogEI(believer, best_f=best)(X), rtol=1e-5)


@pytest.mark.parametrize("u", [-30.0, -5.0, -1.0001, -0.9999, 0.0, 3.0])
def test_log_improvement_against_quadrature(u):
    z = torch.linspace(-u, -u + 12, 200001, dtype=torch.float64)
    # phi(z) relative to phi(u), so that the far tail does not underflow.
    density = torch.exp(-(z.square() - u * u) / 2) / math.sqrt(2 * math.pi)
    expected = torch.log(torch.trapezoid((z + u) * density, z)) - u * u / 2
    value = log_improvement(torch.tensor(u, dtype=torch.float64))
    assert value.item() == pytest.approx(expected.item(), rel=1e-7, abs=1e-9)


def test_log_improvement_is_smooth_and_differentiable_everywhere():
    u = torch.tensor([-1e6, -1e4, -9.9e3, -100, -1, 0, 50], dtype=torch.float64, requires_grad=True)
    value = log_improvement(u)
    (slope,) = torch.autograd.grad(value.sum(), u)
    assert torch.isfinite(value).all()
    assert torch.isfinite(slope).all()
    assert (value.diff() > 0).all()
    assert (slope > 0).all()


def test_ucb_is_mean_plus_sds(gp):
    model, context = gp
    posterior = model.posterior(X)
    expected = (posterior.mean + 3 * posterior.variance.sqrt()).reshape(5)
    assert torch.allclose(UpperConfidenceBound(model, context, beta=9)(X), expected)
    with pytest.raises(PluginError, match="beta >= 0"):
        UpperConfidenceBound(model, context, beta=-1)


def test_thompson_draws_have_the_posterior_mean_and_covariance(gp):
    model, context = gp
    # Points of the reference set, where the draw is a draw and not its conditional mean.
    context = replace(context, reference=context.reference[:4])
    at = context.reference.unsqueeze(1)
    with torch.no_grad():
        draws = torch.stack([ThompsonSample(model, replace(context, seed=s))(at) for s in range(400)])
        mean, covariance = joint(model, context.reference)
    sd = covariance.diagonal().sqrt()
    assert (((draws.mean(0) - mean) / sd).abs() < 4 / 400**0.5).all()
    # Each entry of a sample covariance has a relative error of about sqrt(2 / 400).
    assert ((draws.T.cov() - covariance).abs() < 4 * (2 / 400) ** 0.5 * torch.outer(sd, sd)).all()


def test_random_is_uniform_and_depends_on_the_seed(gp):
    model, context = gp
    points = torch.rand(2000, 1, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    value = Random(model, context)(points)
    assert stats.kstest(value.numpy(), "uniform").pvalue > 0.01
    other = Random(model, replace(context, seed=1))(points)
    assert abs(torch.corrcoef(torch.stack([value, other]))[0, 1]) < 0.1


class Mixture(Model):
    """Two Gaussian members, as BoTorch's fully Bayesian models give them: the member dimension before (q, m)."""

    num_outputs = 1
    batch_shape = torch.Size([2])
    _is_ensemble = True

    def posterior(self, X, output_indices=None, observation_noise=False, posterior_transform=None):
        x = X[..., 0]
        kernel = torch.exp(-10 * (x.unsqueeze(-1) - x.unsqueeze(-2)).square())
        covariance = torch.stack([kernel, 0.5 * kernel], dim=-3)
        covariance = covariance + (0.1 if observation_noise else 1e-8) * torch.eye(x.shape[-1], dtype=x.dtype)
        posterior = GaussianMixturePosterior(MultivariateNormal(torch.stack([x, -x], dim=-2), covariance))
        return posterior if posterior_transform is None else posterior_transform(posterior)


def test_a_mixture_counts_the_members_disagreement():
    mean, variance = moments(Mixture(), X)
    x = X[..., :1]
    assert torch.allclose(mean, torch.zeros_like(mean), atol=1e-12)
    assert torch.allclose(variance, 0.75 + x.square(), atol=1e-6)
    both, covariance = joint(Mixture(), X.squeeze(1))
    x = X[:, 0, 0]
    kernel = torch.exp(-10 * (x.unsqueeze(-1) - x).square())
    assert torch.allclose(both, torch.zeros(5, dtype=torch.float64), atol=1e-12)
    assert torch.allclose(covariance, 0.75 * kernel + torch.outer(x, x), atol=1e-6)
    assert noise_variance(Mixture(), X.squeeze(1)).item() == pytest.approx(0.1, rel=1e-6)


@pytest.mark.parametrize("name", ["variance", "integrated_variance", "log_ei", "ucb", "thompson"])
def test_acquisitions_take_a_mixture(name):
    from loop.acquisition.registry import find

    _, context = example(direction="maximise")
    value = find(name)(Mixture(), replace(context, X_pending=PENDING))(X)
    assert value.shape == (5,)
    assert torch.isfinite(value).all()


class Members(EnsembleModel):
    """A model that offers samples only."""

    num_outputs = 1

    def forward(self, X):
        slopes = torch.linspace(-1, 1, 5, dtype=X.dtype)
        return torch.stack([s * X[..., :1] for s in slopes], dim=-3)


def test_a_posterior_of_samples_alone_will_do():
    mean, variance = moments(Members(), X)
    assert torch.allclose(mean, torch.zeros_like(mean), atol=0.2)
    # Five equally likely slopes: their variance is 0.5.
    assert torch.allclose(variance, 0.5 * X[..., :1].square(), rtol=0.2)
    _, covariance = joint(Members(), X.squeeze(1))
    assert torch.allclose(covariance, 0.5 * torch.outer(X[:, 0, 0], X[:, 0, 0]), rtol=0.2)


class WithCross(SingleTaskGP):
    def covariance_with(self, Z, *, output=0):
        self.asked = True

        def at(X):
            mean, covariance = joint(self, torch.cat([X, Z]))
            return mean[: len(X)], covariance.diagonal()[: len(X)], covariance[: len(X), len(X) :]

        return at


@pytest.mark.parametrize("k", [1, 40])
def test_cross_is_the_same_by_every_route(k):
    _, context = example()
    model, plain = plain_gp(context, WithCross), plain_gp(context)
    Z = torch.rand(k, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(k))
    assert isinstance(model, HasCovarianceWith)
    assert not isinstance(plain, HasCovarianceWith)
    for fast, slow in zip(cross(model, X.squeeze(1), Z), cross(plain, X.squeeze(1), Z), strict=True):
        assert torch.allclose(fast, slow, atol=1e-9)
    assert model.asked


class Plain(Model):
    """Another model without what it offers besides a posterior."""

    num_outputs = 1
    batch_shape = torch.Size()

    def __init__(self, model):
        super().__init__()
        self.model = model

    def posterior(self, *args, **kwargs):
        return self.model.posterior(*args, **kwargs)


@pytest.mark.parametrize("direction", [None, "minimise"])
@pytest.mark.parametrize("pending", [None, PENDING])
def test_a_prepared_cross_covariance_changes_no_value(pending, direction):
    from surrogates.pbnn import PBNN

    _, context = example(direction=direction)
    context = replace(context, X_pending=pending)
    model = PBNN(context.train_X, context.train_Y, torch.full_like(context.train_Y, NOISE), members=4, epochs=30)
    assert isinstance(model, HasCovarianceWith)
    for fast, slow in (
        (IntegratedVariance(model, context)(X), IntegratedVariance(Plain(model), context)(X)),
        *zip(
            MaximumVariance(model, context).moments(X), MaximumVariance(Plain(model), context).moments(X), strict=True
        ),
    ):
        assert torch.allclose(fast, slow, rtol=1e-7)

"""Engines against closed forms, against each other, and conditioning against inference with all data."""

import math
from dataclasses import replace

import pytest
import torch
from torch.distributions import MultivariateNormal

from surrogates.errors import SurrogateError
from surrogates.inference import nodes
from surrogates.inference.base import Problem
from surrogates.inference.choice import infer, make_engine
from surrogates.inference.conditioning import ConditionedPosterior
from surrogates.inference.scales import integrate_scales
from surrogates.likelihoods import Gaussian
from surrogates.networks import MLP, NetworkEnsemble, train_map
from surrogates.priors import LogGrid, WeightPrior

PRIOR, NOISE = LogGrid(0.1, 10.0, 7), LogGrid(0.05, 1.0, 6)


def rand(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def networks(members=3, hidden=(6, 4), seed=5):
    return NetworkEnsemble.draw(
        MLP(2, hidden=hidden),
        members,
        prior=WeightPrior(),
        generator=torch.Generator().manual_seed(seed),
        dtype=torch.float64,
    )


def problem(layers, *, n=9, variances=None, prior=PRIOR, noise=NOISE, members=3):
    X = rand(n, 2)
    targets = torch.sin(4 * X[:, 0]).expand(members, -1) + 0.1 * rand(members, n, seed=3)
    return Problem(networks(members), layers, X, targets, variances, prior, noise, X)


def brute_force(p, X):
    """Mixture over the grid, one dense Gaussian process a node: mean, covariance and log evidence."""
    tangent, new = p.networks.tangent(p.X, p.layers), p.networks.tangent(X, p.layers)
    unit = 1 / tangent.diagonal().mean(-1)
    means, covariances, evidences = [], [], []
    for s in p.prior_sd.nodes(X):
        for v in p.noise_sd.nodes(X):
            factor = (s**2 * unit)[:, None, None]
            noise = v**2 + (torch.zeros_like(p.targets) if p.variances is None else p.variances)
            total = factor * tangent.kernel(tangent) + torch.diag_embed(noise)
            cross = factor * new.kernel(tangent)
            solved = torch.linalg.solve(total, cross.mT)
            means.append((solved.mT @ p.targets.unsqueeze(-1)).squeeze(-1))
            covariances.append(factor * new.kernel(new) - cross @ solved)
            evidences.append(MultivariateNormal(torch.zeros_like(p.targets), total).log_prob(p.targets))
    evidence, mean, covariance = torch.stack(evidences), torch.stack(means), torch.stack(covariances)
    weight = evidence.softmax(0)[..., None]
    centre = (weight * mean).sum(0)
    away = mean - centre
    mixed = (weight[..., None] * (covariance + away.unsqueeze(-1) * away.unsqueeze(-2))).sum(0)
    return centre, mixed, evidence.logsumexp(0) - math.log(len(evidence))


@pytest.mark.parametrize(
    ("engine", "layers"), [("linearised", (0, 1, 2)), ("linearised", (0,)), ("linearised", (2,)), ("conjugate", (2,))]
)
def test_engines_agree_with_the_dense_mixture_over_the_grid(engine, layers):
    p, X = problem(layers), rand(5, 2, seed=8)
    found = make_engine(engine).infer(p)
    belief = found.evaluate(X)
    mean, covariance, evidence = brute_force(p, X)
    torch.testing.assert_close(belief.mean, mean)
    torch.testing.assert_close(belief.covariance(belief), covariance)
    torch.testing.assert_close(belief.variance(), covariance.diagonal(dim1=-2, dim2=-1))
    torch.testing.assert_close(found.summary["log_evidence"], evidence)


@pytest.mark.parametrize(("engine", "layers"), [("linearised", (0, 1, 2)), ("conjugate", (2,))])
def test_measured_variances_at_known_noise(engine, layers):
    variances = 0.01 + 0.3 * rand(3, 9, seed=4)
    p = problem(layers, variances=variances, noise=LogGrid.fixed(0.2))
    X = rand(5, 2, seed=8)
    belief = make_engine(engine).infer(p).evaluate(X)
    mean, covariance, _ = brute_force(p, X)
    torch.testing.assert_close(belief.mean, mean)
    torch.testing.assert_close(belief.covariance(belief), covariance)


def test_refined_noise_levels_agree_with_a_dense_grid():
    """The few eigen-decompositions used with measured variances lose little against a grid of 40, on trained trunks.

    Two of the networks place the levels for all: where networks have learnt nothing, each finds its own noise.
    """
    n = 25
    X = rand(n, 2)
    variances = 0.02 * rand(3, n, seed=4)
    noise = (variances + 0.15**2).sqrt() * torch.randn(3, n, generator=torch.Generator().manual_seed(1)).double()
    targets = torch.sin(4 * X[:, 0]).expand(3, -1) + noise
    training = {"likelihood": Gaussian(), "variances": variances, "noise_sd": 0.2, "epochs": 100, "lr": 0.03}
    trained = train_map(networks(), X, targets, prior=WeightPrior(), **training)
    p = Problem(trained, (0, 1, 2), X, targets, variances, PRIOR, LogGrid(0.02, 1.0, 40), X)
    new = rand(5, 2, seed=8)
    belief = make_engine("linearised").infer(p).evaluate(new)
    mean, covariance, _ = brute_force(p, new)
    sd = covariance.diagonal(dim1=-2, dim2=-1).sqrt()
    assert ((belief.mean - mean).abs() < 0.1 * sd).all()
    assert ((belief.variance().sqrt() / sd - 1).abs() < 0.1).all()


def test_equal_measured_variances_are_like_more_noise():
    K = rand(2, 8, 3, seed=2)
    K = K @ K.mT
    y = rand(2, 8, seed=6)
    plain = integrate_scales(K, y, None, PRIOR, LogGrid.fixed(0.5))
    measured = integrate_scales(K, y, torch.full_like(y, 0.09), PRIOR, LogGrid.fixed(0.4))
    torch.testing.assert_close(plain.dual, measured.dual)
    torch.testing.assert_close(plain.reduction, measured.reduction)
    torch.testing.assert_close(plain.log_evidence, measured.log_evidence)


def test_last_layer_is_bayesian_linear_regression():
    """Textbook normal equations on the trunk's features."""
    p = problem((2,), prior=LogGrid.fixed(0.7), noise=LogGrid.fixed(0.3))
    X = rand(4, 2, seed=8)
    posterior = infer(p, "auto").posterior
    belief = posterior.evaluate(X)
    for g in range(3):
        features, new = (
            torch.cat([p.networks.tangent(t, (2,)).inputs[0][g], torch.ones(len(t), 1)], 1) for t in (p.X, X)
        )
        width = posterior.weight_sd[g]
        precision = features.T @ features / 0.09 + torch.eye(5) / width**2
        weights = torch.linalg.solve(precision, features.T @ p.targets[g] / 0.09)
        torch.testing.assert_close(belief.mean[g], new @ weights)
        torch.testing.assert_close(belief.covariance(belief)[g], new @ torch.linalg.solve(precision, new.T))


@pytest.mark.parametrize(("engine", "layers"), [("linearised", (0, 1, 2)), ("conjugate", (2,))])
def test_conditioning_is_inference_with_all_data_at_fixed_scales(engine, layers):
    fixed = {"prior": LogGrid.fixed(0.8), "noise": LogGrid.fixed(0.3)}
    whole = problem(layers, n=9, **fixed)
    part = Problem(
        whole.networks, layers, whole.X[:6], whole.targets[:, :6], None, whole.prior_sd, whole.noise_sd, whole.X
    )
    infer = make_engine(engine).infer
    unmeasured = torch.zeros(3, 2, dtype=torch.float64)
    step = ConditionedPosterior(infer(part), whole.X[6:8], whole.targets[:, 6:8], unmeasured)
    # A second step on top of the first, as a fantasy of a fantasy is.
    step = ConditionedPosterior(step, whole.X[8:], whole.targets[:, 8:], unmeasured[:, :1])
    X = rand(5, 2, seed=8)
    one, two = infer(whole).evaluate(X), step.evaluate(X)
    torch.testing.assert_close(two.mean, one.mean)
    torch.testing.assert_close(two.covariance(two), one.covariance(one))
    torch.testing.assert_close(two.variance(), one.variance())


@pytest.mark.parametrize(("engine", "layers"), [("linearised", (0, 1, 2)), ("linearised", (2,)), ("conjugate", (2,))])
@pytest.mark.parametrize("measured", [False, True])
def test_a_centre_is_the_prior_mean_function(engine, layers, measured):
    """Inferring with a centre is inferring what is left of the targets without it."""
    variances = 0.1 * rand(3, 9, seed=4) if measured else None
    plain = problem(layers, variances=variances)
    # Only the last layer differs: there the function of the centred weights is the centre's own.
    other = networks(seed=6)
    centre = replace(plain.networks, parameters=(*plain.networks.parameters[:2], other.parameters[2]))
    centred = replace(plain, targets=plain.targets + centre(plain.X)[..., 0], centre=centre)
    X = rand(4, 5, 2, seed=8)
    one = make_engine(engine).infer(plain)
    two = make_engine(engine).infer(centred)
    belief, moved = one.evaluate(X), two.evaluate(X)
    torch.testing.assert_close(moved.mean, belief.mean + centre(X.view(-1, 2))[..., 0].view(3, 4, 5))
    torch.testing.assert_close(moved.covariance(moved), belief.covariance(belief))
    torch.testing.assert_close(two.summary["log_evidence"], one.summary["log_evidence"])
    assert (moved.mean - belief.mean).abs().min() > 1e-6


@pytest.mark.parametrize("measured", [False, True])
def test_nodes_left_out_do_not_show(measured, monkeypatch):
    n = 40
    K = rand(2, n, 30, seed=2)
    K = K @ K.mT / 30
    y = torch.linalg.cholesky(K + 0.04 * torch.eye(n)) @ torch.randn(
        2, n, 1, generator=torch.Generator().manual_seed(1), dtype=torch.float64
    )
    variances = 0.02 * rand(2, n, seed=6) if measured else None
    fine = LogGrid(0.01, 100.0, 40)
    found = integrate_scales(K, y.squeeze(-1), variances, fine, NOISE)
    monkeypatch.setattr(nodes, "_NEGLIGIBLE", -1.0)
    whole = integrate_scales(K, y.squeeze(-1), variances, fine, NOISE)
    for name in ("dual", "reduction"):
        a, b = getattr(found, name), getattr(whole, name)
        assert (a - b).abs().max() < 1e-10 * b.abs().max()


def test_sum_of_logarithms():
    for n in (1, 2, 3, 7, 50, 101):
        t = torch.exp(160 * (rand(3, n, seed=n) - 0.5))
        torch.testing.assert_close(nodes.log_sum(t), t.log().sum(-1), rtol=1e-12, atol=1e-9)


def test_engine_refuses_what_it_cannot_do():
    with pytest.raises(SurrogateError, match="last layer alone"):
        make_engine("conjugate").infer(problem((0,)))
    with pytest.raises(SurrogateError, match="linearised"):
        make_engine("magic")

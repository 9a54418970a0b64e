import numpy as np
import pytest
import torch

from surrogates.errors import SurrogateError
from surrogates.inference.base import Problem
from surrogates.inference.hmc import HMCEngine
from surrogates.likelihoods import Categorical
from surrogates.networks import MLP, NetworkEnsemble
from surrogates.priors import LogGrid, WeightPrior
from surrogates.saxs.laplace import last_layer_posterior


def problem(n=400, members=2, classes=3):
    generator = torch.Generator().manual_seed(0)
    networks = NetworkEnsemble.draw(
        MLP(2, classes, (6,)), members, prior=WeightPrior(), generator=generator, dtype=torch.float64
    )
    X = torch.rand(n, 2, generator=generator, dtype=torch.float64)
    logits = 4 * torch.stack([X[:, 0], X[:, 1], 1 - X.sum(1)], -1)
    return networks, X, torch.multinomial(logits.softmax(-1), 1, generator=generator).squeeze(-1)


def test_agrees_with_sampling():
    networks, X, y = problem()
    posterior = last_layer_posterior(networks, networks.before(X, 1), y, prior_sd=3.0, draws=2000)
    scales = (LogGrid.fixed(3.0), LogGrid.fixed(1.0))
    sampled = HMCEngine(draws=150).infer(
        Problem(networks, (1,), X, y.double().expand(2, -1), None, *scales, X, Categorical(3), seed=1)
    )
    at = X[:40]
    ours, theirs = (p.predictions(at).softmax(-1).flatten(1, 2) for p in (posterior, sampled))
    np.testing.assert_allclose(ours.mean(1), theirs.mean(1), atol=0.02)
    np.testing.assert_allclose(ours.std(1), theirs.std(1), atol=0.02)


def test_the_mode_has_no_gradient_and_draws_are_mirrored():
    networks, X, y = problem(n=60)
    posterior = last_layer_posterior(networks, networks.before(X, 1), y, draws=10)
    mode = {name: t.mean(2).requires_grad_() for name, t in posterior.parameters[1].items()}
    logits = networks.after(networks.before(X, 1)[:, None], 1, {1: mode})
    value = Categorical(3).log_prob(logits, y, logits.new_ones(()), None).sum()
    value = value - sum(t.square().sum() for t in mode.values()) / 18
    for gradient in torch.autograd.grad(value, list(mode.values())):
        np.testing.assert_allclose(gradient, 0, atol=2e-2)


def test_more_curves_leave_less_doubt_and_draws_are_even():
    networks, X, y = problem(n=4000)
    h = networks.before(X, 1)
    spread = [
        last_layer_posterior(networks, h[:, :n], y[:n], draws=200).predictions(X[:20]).std(2).mean()
        for n in (50, 500, 4000)
    ]
    assert spread[0] > spread[1] > spread[2]
    with pytest.raises(SurrogateError, match="even number"):
        last_layer_posterior(networks, h, y, draws=3)

"""The log-normal prior of a scale, against sums written out."""

from __future__ import annotations

import math

import pytest
import torch
from scipy import stats
from torch.distributions import MultivariateNormal

from surrogates.errors import SurrogateError
from surrogates.inference.base import Problem
from surrogates.inference.choice import make_engine
from surrogates.networks import MLP, NetworkEnsemble
from surrogates.pbnn import PBNN
from surrogates.priors import LogGrid, WeightPrior

N = 9
GENERATOR = torch.Generator().manual_seed(5)
X = torch.rand(N, 2, dtype=torch.float64, generator=GENERATOR)
Y = torch.randn(N, dtype=torch.float64, generator=GENERATOR)


def test_the_density_is_that_of_a_log_normal():
    grid = LogGrid(0.01, 1.0, 5, median=0.2, log_sd=0.7)
    nodes = grid.nodes(X)
    # By the logarithm of the scale, so times the scale.
    expected = stats.lognorm(0.7, scale=0.2).logpdf(nodes.numpy()) + nodes.log().numpy()
    difference = grid.log_density(nodes).numpy() - expected
    assert difference == pytest.approx(difference[0])
    assert (LogGrid(0.01, 1.0, 5).log_density(nodes) == 0).all()


@pytest.mark.parametrize("wrong", [{"median": 0.0}, {"median": -1.0}, {"median": 0.1, "log_sd": 0.0}])
def test_nonsense_is_refused(wrong):
    with pytest.raises(SurrogateError, match="median > 0"):
        LogGrid(0.1, 1.0, 3, **wrong)


@pytest.mark.parametrize("engine", ["linearised", "conjugate"])
@pytest.mark.parametrize("measured", [False, True])
def test_engines_weigh_the_evidence_by_it(engine, measured):
    networks = NetworkEnsemble.draw(
        MLP(2, hidden=(8, 4)), 1, prior=WeightPrior(), generator=torch.Generator().manual_seed(0)
    ).to(X)
    prior, noise = LogGrid.fixed(0.9), LogGrid(0.3, 0.6, 5, median=0.3, log_sd=0.2)
    variances = torch.full((1, N), 0.05, dtype=torch.float64) if measured else None
    found = make_engine(engine).infer(Problem(networks, (2,), X, Y.unsqueeze(0), variances, prior, noise, X))
    tangent = networks.tangent(X, (2,))
    K = tangent.kernel(tangent)[0]
    K = 0.81 * K / K.diagonal().mean()
    # Where error bars were measured the linearised engine places its own nodes in the same range: integrate finely.
    nodes = LogGrid(0.3, 0.6, 5 if engine == "conjugate" or not measured else 400).nodes(X)
    given = 0.05 if measured else 0.0
    logs = torch.stack(
        [
            MultivariateNormal(torch.zeros_like(Y), K + (s**2 + given) * torch.eye(N, dtype=K.dtype)).log_prob(Y)
            - 0.5 * (math.log(s / 0.3) / 0.2) ** 2
            for s in nodes
        ]
    )
    expected = float((logs.softmax(0) * nodes.square()).sum())
    assert float(found.noise_variance) == pytest.approx(expected, rel=1e-8 if len(nodes) == 5 else 0.05)
    assert math.sqrt(expected) < 0.45


def test_with_error_bars_a_border_is_not_taken_for_noise():
    # A step, measured at ten points almost without noise.
    at = torch.rand(10, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    values = (at.sum(-1, keepdim=True) > 1).double()
    blind = PBNN(at, values, seed=0, stationary=0).diagnostics()["noise_sd"]
    told = PBNN(at, values, torch.full_like(values, 1e-4), seed=0, stationary=0).diagnostics()["noise_sd"]
    assert told < 0.8 * blind

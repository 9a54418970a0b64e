"""Convergence judged by predictions: against ArviZ, on chains whose state is known."""

import math

import arviz
import numpy as np
import pytest
import torch

from surrogates.inference.base import Problem
from surrogates.inference.diagnose import MAX_R_HAT, MIN_ESS, diagnose, judged
from surrogates.networks import MLP, NetworkEnsemble
from surrogates.priors import LogGrid, WeightPrior


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def autoregressive(*shape, correlation, seed=0):
    """Chains whose draws ``(G, chains, draws, k)`` follow each other with a known correlation."""
    steps = normal(*shape, seed=seed)
    chains = steps.clone()
    for i in range(1, shape[2]):
        chains[:, :, i] = correlation * chains[:, :, i - 1] + math.sqrt(1 - correlation**2) * steps[:, :, i]
    return chains


def test_independent_draws_have_converged_and_count_each():
    found = diagnose(normal(2, 4, 500, 3))
    assert found["r_hat"] == pytest.approx(1, abs=0.01)
    # The worst of six quantities: somewhat below the number of draws.
    assert 0.75 * 2000 < found["ess"] < 1.15 * 2000


def test_worst_quantity_of_arviz():
    chains = autoregressive(2, 3, 200, 2, correlation=0.5)
    each = chains.movedim(0, 2).flatten(2).numpy()
    data = arviz.convert_to_dataset({"f": each})
    found = diagnose(chains)
    assert found["r_hat"] == pytest.approx(float(arviz.rhat(data)["f"].max()), rel=1e-12)
    assert found["ess"] == pytest.approx(float(arviz.ess(data)["f"].min()), rel=1e-12)


@pytest.mark.parametrize("correlation", [0.5, 0.9])
def test_correlated_draws_count_less(correlation):
    found = diagnose(autoregressive(1, 4, 4000, 1, correlation=correlation))
    expected = 16000 * (1 - correlation) / (1 + correlation)
    assert found["ess"] == pytest.approx(expected, rel=0.15)


def test_shifted_chain_is_seen_in_one_network_of_many():
    chains = normal(3, 4, 300, 5)
    chains[1, 2, :, 4] += 3
    found = diagnose(chains)
    assert found["r_hat"] > 1.2
    assert found["ess"] < MIN_ESS


def test_chains_of_different_width_are_seen():
    """Equal means: only the folded draws tell, which the rank-normalised R-hat looks at too."""
    chains = normal(1, 4, 500, 1)
    chains[:, 0] *= 10
    assert diagnose(chains)["r_hat"] > MAX_R_HAT


def test_single_chain_is_split():
    still = normal(1, 1, 400, 2)
    assert diagnose(still)["r_hat"] < 1.02
    drifting = still + torch.linspace(0, 4, 400, dtype=torch.float64)[:, None]
    assert diagnose(drifting)["r_hat"] > 1.5
    # An odd number of draws: the last one is left out.
    assert diagnose(normal(1, 1, 401, 2)) == diagnose(normal(1, 1, 401, 2)[:, :, :400])


def test_constant_quantities_say_nothing():
    chains = normal(2, 2, 100, 3)
    alone = diagnose(chains[..., :2])
    chains[..., 2] = 0.1
    assert diagnose(chains) == alone
    assert diagnose(torch.full((2, 2, 100, 3), 0.1, dtype=torch.float64)) == {"r_hat": 1.0, "ess": 200.0}


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_draws_that_are_no_numbers_have_not_converged(bad):
    chains = normal(2, 2, 100, 3)
    chains[0, 1, 7, 2] = bad
    assert diagnose(chains) == {"r_hat": math.inf, "ess": 0.0}
    assert diagnose(torch.full_like(chains, bad))["r_hat"] == math.inf


def test_chains_that_stand_still_in_different_places_have_not_converged():
    chains = torch.zeros(1, 2, 100, 1, dtype=torch.float64)
    chains[:, 1] = 1
    found = diagnose(chains)
    assert found["r_hat"] > 10
    assert found["ess"] < 10


@pytest.fixture
def problem():
    networks = NetworkEnsemble.draw(
        MLP(2, hidden=(4,)),
        2,
        prior=WeightPrior(),
        generator=torch.Generator().manual_seed(0),
        dtype=torch.float64,
    )
    X = torch.rand(80, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    scale = LogGrid(0.1, 1.0, 5)
    return Problem(networks, (1,), X, torch.zeros(2, 80).double(), None, scale, scale, X[:40])


def drawn(chains, draws, offset=0.0):
    parameters = {1: {"weight": normal(2, chains, draws, 4, 1), "bias": normal(2, chains, draws, 1, seed=1)}}
    parameters[1]["bias"][1, 0] += offset
    scales = torch.full((2, chains, draws), 0.5, dtype=torch.float64)
    return {"parameters": parameters, "prior_sd": scales, "noise_sd": scales}


@pytest.mark.parametrize(
    ("draws", "offset", "divergences", "good"),
    [(100, 0.0, 0.01, True), (100, 0.0, 0.011, False), (100, 9.0, 0.0, False), (20, 0.0, 0.0, False)],
    ids=["good", "divergent", "apart", "few"],
)
def test_judgement(problem, draws, offset, divergences, good):
    posterior = judged(problem, **drawn(2, draws, offset), divergences=divergences, acceptance=0.8)
    assert posterior.converged is good
    assert set(posterior.report) == {"r_hat", "ess", "divergences", "acceptance"}
    assert posterior.report["divergences"] == divergences
    assert posterior.report["acceptance"] == 0.8
    # At fifty points of all, of both networks.
    X = torch.cat([problem.X, problem.reference])
    chosen = torch.from_numpy(np.linspace(0, 119, 50).round()).long()
    expected = diagnose(posterior.predictions(X[chosen]).squeeze(-1))
    assert posterior.report["r_hat"] == expected["r_hat"]
    assert posterior.report["ess"] == expected["ess"]

"""Pyro's NUTS as an engine: what it returns, its seeds, its diagnostics."""

from dataclasses import replace

import pyro
import pytest
import torch

from surrogates.errors import SurrogateError
from surrogates.inference.base import Problem
from surrogates.inference.nuts import NUTSEngine
from surrogates.likelihoods import Categorical, Gaussian
from surrogates.networks import MLP, NetworkEnsemble
from surrogates.priors import LogGrid, WeightPrior


def rand(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


NOISE = LogGrid.fixed(0.2)


def problem(likelihood=None, *, members=1, layers=(1,), noise=NOISE, seed=0):
    likelihood = likelihood or Gaussian()
    X = rand(5, 1)
    generator = torch.Generator().manual_seed(3)
    architecture = MLP(1, likelihood.heads, hidden=(2,))
    networks = NetworkEnsemble.draw(
        architecture, members, prior=WeightPrior(), generator=generator, dtype=torch.float64
    )
    targets = (
        (3 * rand(members, 5, seed=1)).floor() if isinstance(likelihood, Categorical) else rand(members, 5, seed=1)
    )
    return Problem(networks, layers, X, targets, None, LogGrid.fixed(0.8), noise, X, likelihood=likelihood, seed=seed)


QUICK = NUTSEngine(chains=2, warmup=10, draws=10, max_tree_depth=4)


def test_draws_of_every_network_and_chain():
    p = problem(members=2, noise=LogGrid(0.05, 1.0, 5))
    found = QUICK.infer(p)
    assert found.predictions(rand(4, 1, seed=2)).shape == (2, 2, 10, 4, 1)
    assert found.noise_sd.shape == (2, 2, 10)
    assert ((found.noise_sd > 0.05) & (found.noise_sd < 1.0)).all()
    assert found.noise_sd.std() > 0
    assert (found.prior_sd == 0.8).all()
    torch.testing.assert_close(found.noise_variance, found.noise_sd.square().mean((1, 2)))
    assert {"r_hat", "ess", "divergences", "acceptance"} <= set(found.report)
    assert 0 < found.report["acceptance"] <= 1


def test_same_seed_same_draws_and_nothing_global_is_touched():
    p = problem()
    X = rand(4, 1, seed=2)
    torch.manual_seed(11)
    before = torch.get_rng_state()
    pyro.param("somebody_elses", torch.ones(1))
    one, two = (QUICK.infer(p).predictions(X) for _ in range(2))
    assert torch.equal(one, two)
    assert torch.equal(torch.get_rng_state(), before)
    assert list(pyro.get_param_store().keys()) == ["somebody_elses"]
    pyro.clear_param_store()
    assert not torch.equal(one, QUICK.infer(replace(p, seed=1)).predictions(X))


def test_a_short_run_does_not_pass_for_converged():
    assert not QUICK.infer(problem()).converged
    assert NUTSEngine(chains=2, warmup=80, draws=150, jit=True).infer(problem()).converged


def test_class_labels():
    found = QUICK.infer(problem(Categorical(3)))
    assert found.predictions(rand(4, 1, seed=2)).shape == (1, 2, 10, 4, 3)


def test_restored_and_updated():
    p, X = problem(), rand(4, 1, seed=2)
    found = QUICK.infer(p)
    again = QUICK.restore(p, found.state())
    assert torch.equal(again.evaluate(X).mean, found.evaluate(X).mean)
    assert torch.equal(again.evaluate(X).variance(), found.evaluate(X).variance())
    assert again.converged == found.converged
    assert dict(again.report) == dict(found.report)
    assert torch.equal(QUICK.update(found, p).evaluate(X).mean, found.evaluate(X).mean)


@pytest.mark.parametrize("options", [{"chains": 0}, {"draws": 1}, {"target_accept": 1.0}])
def test_options_that_make_no_sense(options):
    with pytest.raises(SurrogateError, match="NUTS needs"):
        NUTSEngine(**options)

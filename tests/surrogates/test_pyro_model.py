"""The exact last-layer engine against Pyro's NUTS on the same network."""

import pyro
import pytest
import torch
from pyro.infer import MCMC, NUTS
from pyro.poutine import trace

from surrogates.errors import SurrogateError
from surrogates.pbnn import PBNN
from surrogates.priors import LogGrid


def rand(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.fixture
def model():
    X = rand(10, 1)
    Y = 3 + 2 * torch.sin(5 * X) + 0.2 * rand(10, 1, seed=1)
    return PBNN(
        X,
        Y,
        hidden=(4, 2),
        members=1,
        epochs=40,
        bayesian="last",
        prior_sd=LogGrid.fixed(0.8),
        noise_sd=LogGrid.fixed(0.3),
    )


@pytest.mark.slow
def test_nuts_agrees_with_the_exact_last_layer(model):
    X, Y = model.train_inputs[0], model.train_targets
    new = rand(4, 1, seed=3)
    with torch.random.fork_rng():
        pyro.set_rng_seed(0)
        kernel = NUTS(lambda: model.pyro_model(X, Y), jit_compile=False)
        sampler = MCMC(kernel, num_samples=600, warmup_steps=150, disable_progbar=True)
        sampler.run()
        draws = sampler.get_samples()
    assert set(draws) == {"weight.2", "bias.2"}
    features = torch.cat([model.networks.tangent(new, (2,)).inputs[0][0], torch.ones(4, 1)], 1)
    weights = torch.cat([draws["weight.2"].flatten(1), draws["bias.2"].flatten(1)], 1)
    shift, scale = model.standardisation(0)
    f = shift + scale * weights @ features.T
    posterior = model.posterior(new)
    sd = posterior.variance.squeeze(-1).sqrt()
    # 600 draws: the mean is good to about 0.06 sd, the sd to about 5 %; both with room for autocorrelation.
    assert ((f.mean(0) - posterior.mean.squeeze(-1)).abs() < 0.2 * sd).all()
    assert ((f.std(0) / sd - 1).abs() < 0.2).all()
    pyro.clear_param_store()


def test_scales_are_drawn_where_they_are_not_known():
    X, Y = rand(6, 2), rand(6, 2, seed=1)
    model = PBNN(X, Y, rand(6, 2, seed=2), hidden=(4,), members=2, epochs=5, bayesian="all")
    with torch.random.fork_rng():
        pyro.set_rng_seed(0)
        found = trace(model.pyro_model).get_trace(X, Y[:, 1:], member=1, output=1)
        assert {"log_weight_sd", "log_noise_sd", "weight.0", "bias.0", "weight.1", "bias.1", "f", "y"} <= set(
            found.nodes
        )
        assert found.nodes["y"]["is_observed"]
        assert torch.isfinite(found.log_prob_sum())
        fixed = trace(model.pyro_model).get_trace(X, weight_sd=1.0, noise_sd=0.1)
    assert "log_weight_sd" not in fixed.nodes
    assert fixed.nodes["y"]["value"].shape == (6,)


def test_network_that_does_not_exist(model):
    with pytest.raises(SurrogateError, match="member 1"):
        model.pyro_model(rand(2, 1), member=1)

"""Variational inference: exact where the posterior has the guide's form, batched, in minibatches, reproducible."""

from dataclasses import replace

import pyro
import pytest
import torch
from pyro.infer import Trace_ELBO
from pyro.infer.autoguide import AutoMultivariateNormal
from pyro.poutine import trace

from surrogates.errors import SurrogateError
from surrogates.inference.base import Problem
from surrogates.inference.conjugate import ConjugateEngine
from surrogates.inference.guides import NetworksMultivariateNormal
from surrogates.inference.latent import noncentred, seeded
from surrogates.inference.svi import SVIEngine, trend
from surrogates.inference.target import prior_unit
from surrogates.likelihoods import Categorical, Gaussian, Heteroscedastic
from surrogates.networks import MLP, NetworkEnsemble
from surrogates.priors import LogGrid, WeightPrior
from surrogates.pyro_model import ensemble_model, problem_model

FIXED = {"prior": LogGrid.fixed(0.8), "noise": LogGrid.fixed(0.3)}
FREE = {"prior": LogGrid(0.1, 10.0, 9), "noise": LogGrid(0.02, 1.0, 9)}


def rand(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def problem(likelihood=None, *, members=3, n=8, layers=(1,), prior, noise, seed=0):
    likelihood = likelihood or Gaussian()
    X = rand(n, 2)
    generator = torch.Generator().manual_seed(3)
    networks = NetworkEnsemble.draw(
        MLP(2, likelihood.heads, hidden=(3,)), members, prior=WeightPrior(), generator=generator, dtype=torch.float64
    )
    targets = torch.sin(5 * X[:, 0]) + 0.3 * rand(members, n, seed=1)
    targets = (targets > 0.5).double() if isinstance(likelihood, Categorical) else targets
    return Problem(networks, layers, X, targets, None, prior, noise, X, likelihood=likelihood, seed=seed)


@pytest.mark.parametrize("guide", ["multivariate", "low_rank"])
def test_gaussian_posterior_is_found(guide):
    """The last layer at fixed scales; a rank of three with a diagonal holds any covariance of four."""
    p, X = problem(**FIXED), rand(5, 2, seed=8)
    found = SVIEngine(guide=guide, rank=3, steps=800, particles=32, draws=4000).infer(p)
    exact = ConjugateEngine().infer(p).evaluate(X)
    sd = exact.variance().sqrt()
    assert found.converged
    belief = found.evaluate(X)
    # 4000 draws: the mean is good to 0.016 sd, the sd to 1.1 %; twice that for the fit, and room.
    assert ((belief.mean - exact.mean).abs() < 0.1 * sd).all()
    assert ((belief.variance().sqrt() / sd - 1).abs() < 0.08).all()


def test_independent_normals_have_the_conditional_sd():
    """The known optimum of a mean-field guide of a Gaussian posterior: the inverse of the precision's diagonal."""
    p = problem(**FIXED)
    found = SVIEngine(steps=800, draws=4000).infer(p)
    assert found.converged
    for g in range(3):
        features = torch.cat([p.networks.tangent(p.X, (1,)).inputs[0][g], torch.ones(8, 1)], 1)
        precision = features.T @ features / 0.09 + torch.eye(4) / (0.64 * prior_unit(p)[g])
        sd = torch.cat([found.parameters[1][name][g, 0].flatten(1).std(0) for name in ("weight", "bias")])
        torch.testing.assert_close(sd, precision.diagonal().rsqrt(), rtol=0.1, atol=0)
        # That is not what the posterior says of them.
        assert (sd < 0.8 * torch.linalg.inv(precision).diagonal().sqrt()).any()


def test_a_block_for_each_network_is_pyros_guide_of_each():
    """The guide's density of all networks is the sum of those of Pyro's own guide, network by network."""
    p = problem(**FREE, layers=(0, 1))
    model = noncentred(p, ensemble_model(p))
    with pyro.get_param_store().scope(), seeded(0, p.X):
        guide = NetworksMultivariateNormal(model)
        guide()
        with torch.no_grad():
            guide.scale_tril_unconstrained.add_(0.3 * torch.randn_like(guide.scale_tril_unconstrained))
            guide.loc.add_(torch.randn_like(guide.loc))
        together = trace(guide).get_trace()
        total = together.log_prob_sum()
        # Latent variables of all networks in Pyro's order, sites first, and of one network.
        sites = [site for site in together.stochastic_nodes if not site.startswith("_") and site != "networks"]
        expected = 0.0
        for g in range(3):
            own = AutoMultivariateNormal(noncentred(p, problem_model(p, g)))
            own()
            with torch.no_grad():
                own.loc.copy_(guide.loc[g])
                own.scale_unconstrained.copy_(guide.scale_unconstrained[g])
                own.scale_tril_unconstrained.copy_(guide.scale_tril_unconstrained[g])
            values = {site: together.nodes[site]["value"][g].squeeze(0) for site in sites}
            median = own.median()
            for site in sites:
                torch.testing.assert_close(median[site], guide.median()[site][g].squeeze(0))
            posterior = own.get_posterior()
            flat = []
            for name, site in own.prototype_trace.iter_stochastic_nodes():
                transform = torch.distributions.biject_to(site["fn"].support)
                free = transform.inv(values[name])
                flat.append(free.reshape(-1))
                expected = expected - transform.log_abs_det_jacobian(free, values[name]).sum()
            expected = expected + posterior.log_prob(torch.cat(flat))
    torch.testing.assert_close(total, expected)


@pytest.mark.parametrize("likelihood", [Heteroscedastic(), Categorical(2)], ids=lambda x: x.kind)
def test_other_likelihoods(likelihood):
    p = problem(likelihood, layers=(0, 1), **FREE)
    found = SVIEngine(steps=60, draws=20).infer(p)
    assert found.predictions(rand(4, 2, seed=2)).shape == (3, 1, 20, 4, 2)
    assert found.noise_sd.shape == found.prior_sd.shape == (3, 1, 20)
    assert ((found.prior_sd > 0.1) & (found.prior_sd < 10)).all()
    if isinstance(likelihood, Categorical):
        # The label of most points is what the network learns first.
        probable = found.predictions(p.X).softmax(-1)[..., 1].mean((1, 2))
        assert ((probable > 0.5) == (p.targets > 0.5)).double().mean() > 0.7


def test_minibatches_find_the_same():
    p = problem(n=60, members=2, **FIXED)
    X = rand(5, 2, seed=8)
    exact = ConjugateEngine().infer(p).evaluate(X)
    found = SVIEngine(guide="multivariate", steps=600, draws=1000, batch_size=15).infer(p)
    sd = exact.variance().sqrt()
    # The noise of the gradients leaves the guide a part of an sd away; without weighing the batches by n / 15 the sd
    # would be up to twice as large.
    assert ((found.evaluate(X).mean - exact.mean).abs() < sd).all()
    assert ((found.evaluate(X).variance().sqrt() / sd).log().abs() < 0.3).all()


def test_same_seed_same_draws_and_nothing_global_is_touched():
    p = problem(**FREE, layers=(0, 1))
    engine = SVIEngine(steps=40, draws=10)
    X = rand(4, 2, seed=2)
    before = torch.get_rng_state()
    pyro.param("somebody_elses", torch.ones(1))
    one, two = (engine.infer(p).predictions(X) for _ in range(2))
    assert torch.equal(one, two)
    assert torch.equal(torch.get_rng_state(), before)
    assert list(pyro.get_param_store().keys()) == ["somebody_elses"]
    pyro.clear_param_store()
    assert not torch.equal(one, engine.infer(replace(p, seed=1)).predictions(X))


def test_few_steps_do_not_pass_for_converged():
    p = problem(**FREE)
    short = SVIEngine(steps=90, lr=0.01).infer(p)
    assert not short.converged
    assert short.report["elbo_slope"] > 0
    long = SVIEngine(steps=900).infer(p)
    assert long.converged
    assert long.report["elbo"] > short.report["elbo"]


def test_restored_posterior_and_warm_start():
    p, X = problem(**FREE, layers=(0, 1), n=12), rand(4, 2, seed=2)
    part = replace(p, X=p.X[:10], targets=p.targets[:, :10])
    engine = SVIEngine(steps=400, update_steps=60, draws=20)
    old = engine.infer(part)
    again = engine.restore(part, old.state())
    assert torch.equal(again.evaluate(X).mean, old.evaluate(X).mean)
    assert torch.equal(again.evaluate(X).variance(), old.evaluate(X).variance())
    assert again.converged == old.converged
    assert dict(again.report) == dict(old.report)
    # Going on from a restored guide is going on from the guide; and it is far ahead of as many steps from the start.
    one, two = (engine.update(posterior, p) for posterior in (old, again))
    assert torch.equal(one.evaluate(X).mean, two.evaluate(X).mean)
    fresh = SVIEngine(steps=60, draws=20).infer(p)
    assert one.report["elbo"] > fresh.report["elbo"] + 1
    other = SVIEngine(guide="low_rank", steps=60, update_steps=30, draws=20).update(old, p)
    assert torch.isfinite(other.evaluate(X).mean).all()


def test_trend_of_a_line():
    x = torch.linspace(0, 1, 50, dtype=torch.float64)
    noise = torch.randn(50, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    rise, error = trend(3 * x + 7)
    assert rise == pytest.approx(3)
    assert error == pytest.approx(0, abs=1e-9)
    rises, errors = zip(*[trend(3 * x + noise.roll(i)) for i in range(50)], strict=True)
    assert abs(sum(rises) / 50 - 3) < 0.5
    assert torch.tensor(errors).mean() == pytest.approx(float(noise.std() * (12 / 50) ** 0.5), rel=0.1)


def test_particles_agree_with_pyros_own_loop():
    """Vectorised particles weigh every network and point as Pyro's sequential ones do."""
    p = problem(**FREE, layers=(0, 1), members=2)
    model = noncentred(p, ensemble_model(p))
    with pyro.get_param_store().scope(), seeded(0, p.X), pyro.validation_enabled(True):
        guide = NetworksMultivariateNormal(model)
        guide()
        together = Trace_ELBO(num_particles=400, vectorize_particles=True, max_plate_nesting=2)
        alone = torch.tensor([Trace_ELBO().loss(model, guide) for _ in range(100)])
        assert abs(together.loss(model, guide) - alone.mean()) < 4 * alone.std() * (1 / 100 + 1 / 400) ** 0.5


@pytest.mark.parametrize("options", [{"guide": "flow"}, {"steps": 3}, {"lr": 0.0}, {"particles": 0}])
def test_options_that_make_no_sense(options):
    with pytest.raises(SurrogateError):
        SVIEngine(**options)


def test_covariances_that_are_too_large():
    p = problem(**FIXED, layers=(0,))
    wide = NetworkEnsemble.draw(
        MLP(2, hidden=(3000,)), 3, prior=WeightPrior(), generator=torch.Generator().manual_seed(0), dtype=torch.float64
    )
    with pytest.raises(SurrogateError, match="low_rank"):
        SVIEngine(guide="multivariate").infer(replace(p, networks=wide))

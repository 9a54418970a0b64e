"""The Pyro models against densities written down by hand, and against each other."""

from dataclasses import replace

import pyro
import pytest
import scipy.stats
import torch
from pyro.infer import SVI, Predictive, Trace_ELBO
from pyro.infer.autoguide import AutoMultivariateNormal
from pyro.poutine import condition, trace
from torch.distributions import Normal

from surrogates.errors import SurrogateError
from surrogates.inference.base import Problem
from surrogates.inference.latent import noncentred, read_samples, seeded
from surrogates.inference.target import prior_unit
from surrogates.likelihoods import Categorical, Gaussian, Heteroscedastic, StudentT
from surrogates.networks import MLP, NetworkEnsemble
from surrogates.pbnn import PBNN
from surrogates.priors import LogGrid, WeightPrior
from surrogates.pyro_model import ensemble_model, problem_model
from surrogates.pyro_scales import scale_prior

PRIOR, NOISE = LogGrid(0.1, 10.0, 7), LogGrid(0.05, 1.0, 6, median=0.2)
LIKELIHOODS = [Gaussian(), StudentT(), Heteroscedastic(), Categorical(3)]
SITES = {f"{layer}.{name}" for layer in ("dense0", "dense1", "output") for name in ("weight", "bias")}


def rand(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def networks(heads=1, members=3, seed=5):
    generator = torch.Generator().manual_seed(seed)
    architecture = MLP(2, heads, hidden=(4, 3))
    return NetworkEnsemble.draw(architecture, members, prior=WeightPrior(), generator=generator, dtype=torch.float64)


def problem(
    likelihood=LIKELIHOODS[0], *, layers=(0, 1, 2), n=6, prior=PRIOR, noise=NOISE, measured=False, centre=False
):
    X = rand(n, 2)
    labels = isinstance(likelihood, Categorical)
    return Problem(
        networks(likelihood.heads),
        layers,
        X,
        (3 * rand(3, n, seed=3)).floor() if labels else rand(3, n, seed=3),
        0.2 * rand(3, n, seed=4) if measured else None,
        prior,
        noise,
        X,
        likelihood=likelihood,
        centre=networks(likelihood.heads, seed=6) if centre else None,
    )


def traced(model, *args, seed=0):
    with seeded(seed, rand(1)):
        found = trace(model).get_trace(*args)
    found.compute_log_prob()
    return found


def values(found):
    return {k: v["value"] for k, v in found.nodes.items() if v["type"] == "sample" and k not in ("f", "y", "data")}


@pytest.mark.parametrize("likelihood", LIKELIHOODS, ids=lambda x: x.kind)
@pytest.mark.parametrize("layers", [(0, 1, 2), (1,)])
def test_density_is_prior_times_likelihood(likelihood, layers):
    """Written down anew: Gaussian parameters, log-uniform and log-normal scales, the likelihood's own log density."""
    measured = likelihood.has_noise
    p = problem(likelihood, layers=layers, measured=measured, centre=True)
    g = 1
    found = traced(problem_model(p, g))
    v = values(found)
    scales = {"log_prior_sd"} | ({"log_noise_sd"} if likelihood.has_noise else set())
    names = SITES if len(layers) > 1 else {"dense1.weight", "dense1.bias"}
    assert set(v) == names | scales
    w = v["log_prior_sd"].exp() * prior_unit(p)[g].sqrt()
    expected = -torch.tensor(PRIOR.high / PRIOR.low).double().log().log()  # uniform in the logarithm
    noise = torch.ones(())
    if likelihood.has_noise:
        noise = v["log_noise_sd"].exp()
        ends = [(torch.tensor(x / 0.2).double().log() / 0.5).item() for x in (NOISE.low, NOISE.high)]
        at = torch.log(torch.tensor(0.2)).item()
        expected = expected + scipy.stats.truncnorm(*ends, loc=at, scale=0.5).logpdf(v["log_noise_sd"])
    chosen = {}
    for name in names:
        layer, parameter = name.split(".")
        index = ("dense0", "dense1", "output").index(layer)
        expected = expected + Normal(p.centre.parameters[index][parameter][g], w).log_prob(v[name]).sum()
        chosen.setdefault(index, {})[parameter] = v[name].unsqueeze(0)
    own = p.networks.select(slice(g, g + 1))
    f = own.after(own.before(p.X, 0), 0, chosen)[0]
    torch.testing.assert_close(found.nodes["f"]["value"], f)
    expected = expected + likelihood.log_prob(f, p.targets[g], noise, p.variances[g] if measured else None)
    torch.testing.assert_close(found.log_prob_sum(), expected)


@pytest.mark.parametrize("likelihood", LIKELIHOODS, ids=lambda x: x.kind)
def test_all_networks_together_are_the_networks_one_by_one(likelihood):
    p = problem(likelihood, centre=True)
    together = traced(ensemble_model(p))
    v = {k: x.squeeze(1) for k, x in values(together).items() if k != "networks"}
    f = together.nodes["f"]["value"]
    one_by_one = 0.0
    for g in range(3):
        found = traced(condition(problem_model(p, g), data={k: x[g] for k, x in v.items()}))
        torch.testing.assert_close(found.nodes["f"]["value"], f[g])
        one_by_one = one_by_one + found.log_prob_sum()
    torch.testing.assert_close(together.log_prob_sum(), one_by_one)


def test_one_vector_for_all_parameters_is_the_same_model():
    """In the order of the sites, in units of the prior: same function, same density as the `noncentred` model."""
    p = problem(centre=True, measured=True)
    flat = traced(ensemble_model(p, flat=True))
    v = {k: x.squeeze(1) for k, x in values(flat).items() if k != "networks"}
    parameters, _, _ = read_samples(p, {k: x.unsqueeze(1) for k, x in v.items()})
    for g in range(3):
        alone = traced(condition(problem_model(p, g, flat=True), data={k: x[g] for k, x in v.items()}))
        torch.testing.assert_close(alone.nodes["f"]["value"], flat.nodes["f"]["value"][g])
        named = {f"dense{i}" if i < 2 else "output": own for i, own in parameters.items()}
        theta = {f"{layer}.{name}": t[g, 0] for layer, own in named.items() for name, t in own.items()}
        scales = {k: v[k][g] for k in ("log_prior_sd", "log_noise_sd")}
        sites = traced(condition(problem_model(p, g), data=theta | scales))
        torch.testing.assert_close(sites.nodes["f"]["value"], alone.nodes["f"]["value"])
        log_w = scales["log_prior_sd"] + 0.5 * prior_unit(p)[g].log()
        torch.testing.assert_close(
            alone.log_prob_sum(), sites.log_prob_sum() + sum(t.numel() for t in theta.values()) * log_w
        )


def test_minibatches_stand_for_all_points():
    p = problem(measured=True)
    whole = traced(ensemble_model(p))
    fixed = {k: x for k, x in values(whole).items() if k != "networks"}
    parts = [traced(condition(ensemble_model(p, 2), data=fixed), seed=i).nodes["y"]["log_prob_sum"] for i in range(100)]
    parts = torch.stack(parts)
    error = parts.std() / 10
    assert error > 0
    assert (parts.mean() - whole.nodes["y"]["log_prob_sum"]).abs() < 4 * error


def test_not_centred_is_the_same_model():
    p = problem(centre=True)
    found = traced(noncentred(p, problem_model(p, 2)))
    v = values(found)
    z = {k: x for k, x in v.items() if k.endswith("_decentered") or k.startswith("log_")}
    plain = traced(condition(problem_model(p, 2), data={k: x for k, x in v.items() if k not in z or k[:4] == "log_"}))
    n_parameters = sum(v[k].numel() for k in SITES)
    log_w = v["log_prior_sd"] + 0.5 * prior_unit(p)[2].log()
    torch.testing.assert_close(found.log_prob_sum(), plain.log_prob_sum() + n_parameters * log_w)
    # What is read from samples of the latent variables is what the model made of them.
    samples = {k: x.expand(3, 5, *x.shape) for k, x in z.items()}
    parameters, prior_sd, noise_sd = read_samples(replace(p, centre=None), samples)
    torch.testing.assert_close(prior_sd[2, 0], v["log_prior_sd"].exp())
    torch.testing.assert_close(noise_sd[2, 4], v["log_noise_sd"].exp())
    parameters, _, _ = read_samples(p, samples)
    torch.testing.assert_close(parameters[1]["weight"][2, 3], v["dense1.weight"])
    torch.testing.assert_close(parameters[2]["bias"][2, 0], v["output.bias"])


@pytest.mark.parametrize("grid", [NOISE, PRIOR, LogGrid(0.5, 8.0, 3, median=0.6, log_sd=1.5)])
def test_prior_of_a_scale(grid):
    prior = scale_prior(grid, rand(1))
    with seeded(0, rand(1)):
        drawn = prior.sample((4000,))
    low, high = (torch.tensor(x).log().item() for x in (grid.low, grid.high))
    if grid.median is None:
        reference = scipy.stats.uniform(low, high - low)
    else:
        at = torch.tensor(grid.median).log().item()
        reference = scipy.stats.truncnorm((low - at) / grid.log_sd, (high - at) / grid.log_sd, at, grid.log_sd)
    assert scipy.stats.kstest(drawn, reference.cdf).pvalue > 0.001
    inner = drawn[:50]
    torch.testing.assert_close(prior.log_prob(inner), torch.tensor(reference.logpdf(inner)), rtol=1e-6, atol=1e-6)


def test_fixed_scales_are_not_drawn():
    p = problem(prior=LogGrid.fixed(0.7), noise=LogGrid.fixed(0.1), layers=(2,))
    found = traced(problem_model(p, 0))
    assert set(values(found)) == {"output.weight", "output.bias"}
    torch.testing.assert_close(found.nodes["y"]["fn"].scale, torch.full((6,), 0.1).double())


def test_drawn_functions_have_the_prior_sd():
    """Of a last layer the mean variance over the reference points is ``prior_sd²``, exactly."""
    p = problem(prior=LogGrid.fixed(0.7), layers=(2,))
    with seeded(0, p.X):
        drawn = Predictive(problem_model(p, 1), num_samples=1500, parallel=True)(p.X)
    variance = drawn["f"].reshape(1500, 6).square().mean()
    assert abs(variance / 0.49 - 1) < 4 * (2 / 1500) ** 0.5


@pytest.mark.parametrize("likelihood", LIKELIHOODS, ids=lambda x: x.kind)
def test_predictions_at_other_points(likelihood):
    p = problem(likelihood)
    X = rand(4, 2, seed=9)
    for parallel in (False, True):
        with seeded(0, X):
            drawn = Predictive(problem_model(p, 1), num_samples=5, parallel=parallel)(X)
        assert drawn["y"].shape == (5, 4)
        assert drawn["f"].reshape(5, 4, -1).shape[-1] == likelihood.heads
    observed = traced(problem_model(p, 1), X, torch.ones(4).double(), 0.1 * torch.ones(4).double())
    assert observed.nodes["y"]["is_observed"]


def test_pyros_guides_run_on_it():
    p = problem(Heteroscedastic())
    model = problem_model(p, 0)
    with pyro.get_param_store().scope(), seeded(0, p.X):
        guide = AutoMultivariateNormal(model)
        step = SVI(model, guide, pyro.optim.Adam({"lr": 0.05}), Trace_ELBO()).step
        losses = [step() for _ in range(60)]
    assert sum(losses[-20:]) < sum(losses[:20])


def test_network_that_the_problem_lacks():
    with pytest.raises(SurrogateError, match="no network 3"):
        problem_model(problem(), 3)


# The model of a fitted PBNN, in original units.


@pytest.fixture
def model():
    X = rand(8, 2)
    return PBNN(X, 5 + 3 * rand(8, 2, seed=1), 0.1 * rand(8, 2, seed=2), network={"hidden": [4]}, members=2, epochs=5)


def test_pbnn_is_the_problem_in_original_units(model):
    """Same density but for the change of units, at the points fitted and their values."""
    X, Y = model.train_inputs[0], model.train_targets[:, 1:]
    found = traced(lambda: model.pyro_model(X, Y, member=1, output=1))
    p = model.problem()
    standard = traced(condition(problem_model(p, 3), data=values(found)))
    shift, scale = model.standardisation(1)
    torch.testing.assert_close(
        found.log_prob_sum(), standard.log_prob_sum() - len(X) * torch.tensor(scale).double().log()
    )
    torch.testing.assert_close(found.nodes["f"]["value"], shift + scale * standard.nodes["f"]["value"].squeeze(-1))
    assert found.nodes["y"]["is_observed"]


def test_pbnn_with_given_scales(model):
    X = rand(5, 2, seed=7)
    found = traced(lambda: model.pyro_model(X, weight_sd=1.0, noise_sd=0.1))
    assert set(values(found)) == {"dense0.weight", "dense0.bias", "output.weight", "output.bias"}
    torch.testing.assert_close(found.nodes["dense0.weight"]["fn"].base_dist.scale, torch.ones(2, 4).double())
    # Values drawn at other points have no measured variance.
    drawn = [traced(lambda: model.pyro_model(X, weight_sd=1.0, noise_sd=0.1), seed=i) for i in range(200)]
    noise = torch.stack([t.nodes["y"]["value"] - t.nodes["f"]["value"] for t in drawn])
    assert abs(noise.std() / (0.1 * model.standardisation(0)[1]) - 1) < 4 / 2000**0.5


def test_network_that_the_model_lacks(model):
    with pytest.raises(SurrogateError, match="member 2"):
        model.pyro_model(rand(2, 2), member=2)

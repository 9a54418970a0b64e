"""Vectorised HMC: its density against independent ones, its sampler on known densities, the engine on exact results."""

import math
from dataclasses import replace
from itertools import product

import pytest
import torch
from pyro.infer.mcmc.util import initialize_model
from torch.distributions import MultivariateNormal

from surrogates.errors import SurrogateError
from surrogates.inference.base import Problem
from surrogates.inference.conjugate import ConjugateEngine
from surrogates.inference.hmc import HMCEngine, HMCPosterior
from surrogates.inference.latent import noncentred, seeded
from surrogates.inference.tails import AutogradTail, DenseTail
from surrogates.inference.target import Target, prior_unit
from surrogates.likelihoods import Categorical, Gaussian, Heteroscedastic, StudentT
from surrogates.networks import MLP, NetworkEnsemble, make_architecture
from surrogates.priors import LogGrid, WeightPrior
from surrogates.pyro_model import problem_model, sites

PRIOR, NOISE = LogGrid(0.1, 10.0, 40, median=1.0), LogGrid(0.05, 1.0, 40)
FIXED = {"prior": LogGrid.fixed(0.8), "noise": LogGrid.fixed(0.3)}


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def rand(*shape, seed=0):
    return torch.rand(*shape, generator=generator(seed), dtype=torch.float64)


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=generator(seed), dtype=torch.float64)


def problem(
    layers,
    *,
    n=9,
    members=2,
    likelihood=None,
    measured=False,
    centre=False,
    prior=PRIOR,
    noise=NOISE,
    hidden=(5, 4),
    activation="tanh",
):
    likelihood = likelihood or Gaussian()
    X = rand(n, 2)

    def networks(seed):
        architecture = MLP(2, likelihood.heads, hidden, activation)
        return NetworkEnsemble.draw(
            architecture, members, prior=WeightPrior(), generator=generator(seed), dtype=torch.float64
        )

    smooth = torch.sin(4 * X[:, 0]).expand(members, -1) + 0.3 * randn(members, n, seed=3)
    labels = isinstance(likelihood, Categorical)
    return Problem(
        networks(5),
        layers,
        X,
        (smooth > 0.3).double() if labels else smooth,
        0.02 + 0.1 * rand(members, n, seed=4) if measured else None,
        prior,
        noise,
        X,
        likelihood,
        networks(6) if centre else None,
        seed=1,
    )


# --- density -------------------------------------------------------------------------------------


CASES = [
    *product([(2,), (1, 2), (0,), (0, 1, 2), (0, 2)], [Gaussian()], [False, True], ["tanh"]),
    ((0, 1, 2), Gaussian(), False, "silu"),
    ((0, 1), StudentT(), True, "gelu"),
    ((1, 2), Heteroscedastic(), True, "tanh"),
    ((0, 2), Categorical(2), False, "softplus"),
]


@pytest.mark.parametrize(("layers", "likelihood", "measured", "activation"), CASES)
@pytest.mark.parametrize("marginal", [True, False])
def test_gradient(layers, likelihood, measured, activation, marginal):
    p = problem(layers, likelihood=likelihood, measured=measured, centre=measured, activation=activation)
    target = Target(p, 3, torch.float64, marginal=marginal)
    q = target.start(generator(), 0.5)
    direction = randn(*q.shape, seed=2)
    log_prob, gradient = target(q)
    ahead, behind = target(q + 1e-5 * direction)[0], target(q - 1e-5 * direction)[0]
    torch.testing.assert_close((gradient * direction).sum(-1), (ahead - behind) / 2e-5, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(target.gradient(q), gradient)
    single = Target(p, 3, torch.float32, marginal=marginal)
    near, slope = single(q.float())
    torch.testing.assert_close(near.double(), log_prob, rtol=1e-3, atol=1e-2)
    assert ((slope.double() - gradient).norm(dim=-1) < 1e-3 * gradient.norm(dim=-1)).all()


def log_prior(p, drawn):
    """Of draws ``(G, chains, 1)``, and of the scales' logarithms."""
    width = (drawn.prior_sd * prior_unit(p).sqrt()[:, None, None]).unsqueeze(-1)
    total = p.prior_sd.log_density(drawn.prior_sd) + p.noise_sd.log_density(drawn.noise_sd)
    for i, own in drawn.parameters.items():
        for name, t in own.items():
            middle = 0.0 if p.centre is None else p.centre.parameters[i][name].flatten(1)[:, None, None]
            away = t.flatten(3) - middle
            total = total + torch.distributions.Normal(0.0, width).log_prob(away).sum(-1)
    return total.squeeze(-1)


def volume(q, p, drawn):
    """Logarithm of how much parameters and scales grow with the target's own variables, up to a constant."""
    n_free = sum(t[0, 0, 0].numel() for own in drawn.parameters.values() for t in own.values())
    places = -0.5 * q[:, -2:].square().sum(-1)
    return n_free * drawn.prior_sd.squeeze(-1).log() + places.view(drawn.prior_sd.shape[:2])


@pytest.mark.parametrize(
    ("likelihood", "measured"),
    [(Gaussian(), False), (Gaussian(), True), (StudentT(), True), (Heteroscedastic(), False), (Categorical(3), False)],
)
def test_density_is_that_of_the_networks_themselves(likelihood, measured):
    p = problem((0, 2), likelihood=likelihood, measured=measured, centre=True)
    target = Target(p, 4, torch.float64, marginal=False)
    q = randn(8, target.dim)
    drawn = target.draw(q.unsqueeze(0), generator())
    h = p.networks.before(p.X, 0)[:, None, None]
    f = p.networks.after(h, 0, drawn.parameters)
    variances = None if p.variances is None else p.variances[:, None, None]
    likely = likelihood.log_prob(f, p.targets[:, None, None], drawn.noise_sd, variances).squeeze(-1)
    if not likelihood.has_noise:
        assert (drawn.noise_sd == 1).all()
        drawn = replace(drawn, noise_sd=torch.full_like(drawn.noise_sd, 0.5))
    expected = likely + log_prior(p, drawn) + volume(q, p, drawn)
    difference = target(q)[0].view(2, 4) - expected
    torch.testing.assert_close(difference, difference.mean(-1, keepdim=True).expand(-1, 4), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("likelihood", [Gaussian(), StudentT(), Categorical(3)], ids=lambda x: x.kind)
def test_density_is_pyros(likelihood):
    """Up to a constant, with its gradient by the parameters; Pyro maps its scales by the logistic function."""
    p = problem((0, 2), likelihood=likelihood, measured=likelihood.has_noise, centre=True)
    target = Target(p, 3, torch.float64, marginal=False)
    q = randn(6, target.dim)
    log_prob, gradient = (t.unflatten(0, (2, 3)) for t in target(q))
    drawn = target.draw(q.unsqueeze(0), generator())
    u = q[:, -2:] if likelihood.has_noise else q[:, -2:-1]
    place = torch.special.ndtr(u)
    mapped = (place / (1 - place)).log().unflatten(0, (2, 3))
    growth = (-0.5 * u.square() - (place * (1 - place)).log()).sum(-1).view(2, 3)
    if not likelihood.has_noise:
        growth = growth - 0.5 * q[:, -1].square().view(2, 3)
    constants = torch.zeros(2, 3, dtype=torch.float64)
    for g, c in product(range(2), range(3)):
        with seeded(0, p.X):
            _, potential, _, _ = initialize_model(noncentred(p, problem_model(p, g)))
        width = drawn.prior_sd[g, c, 0] * prior_unit(p)[g].sqrt()
        latent = {
            f"{site}_decentered": (drawn.parameters[i][name][g, c, 0] - p.centre.parameters[i][name][g]) / width
            for site, i, name in sites(p)
        }
        latent = {k: v.clone().requires_grad_() for k, v in latent.items()}
        energy = potential(latent | dict(zip(("log_prior_sd", "log_noise_sd"), mapped[g, c], strict=False)))
        constants[g, c] = log_prob[g, c] + energy.detach() - growth[g, c]
        # The order of parameters in a flat vector is the target's own business: norms do not depend on it.
        slopes = torch.cat([s.flatten() for s in torch.autograd.grad(energy, list(latent.values()))])
        torch.testing.assert_close(gradient[g, c, :-2].norm(), slopes.norm())
        torch.testing.assert_close(gradient[g, c, :-2].sum(), -slopes.sum())
    torch.testing.assert_close(constants, constants[:, :1].expand(2, 3))


@pytest.mark.parametrize("measured", [False, True])
def test_an_output_layer_integrated_out_is_a_gaussian_process(measured):
    p = problem((1, 2), measured=measured, centre=True)
    target = Target(p, 4, torch.float64)
    q = randn(8, target.dim)
    drawn = target.draw(q.unsqueeze(0), generator())
    expected = torch.zeros(2, 4, dtype=torch.float64)
    own = p.centre.parameters[2]
    for g, c in product(range(2), range(4)):
        chosen = {1: {k: t[g : g + 1, c, 0] for k, t in drawn.parameters[1].items()}}
        networks = p.networks.select(slice(g, g + 1))
        hidden = replace(
            networks, parameters=tuple({**o, **chosen.get(i, {})} for i, o in enumerate(networks.parameters))
        )
        features = torch.cat([hidden.before(p.X, 2)[0] / 2, torch.ones(9, 1)], -1)
        width = drawn.prior_sd[g, c] * prior_unit(p)[g].sqrt()
        noise = drawn.noise_sd[g, c] ** 2 + (0 if p.variances is None else p.variances[g])
        covariance = width**2 * features @ features.T + torch.diag(noise.expand(9))
        mean = features @ torch.cat([own["weight"][g, :, 0], own["bias"][g]])
        expected[g, c] = MultivariateNormal(mean, covariance).log_prob(p.targets[g])
        expected[g, c] += p.prior_sd.log_density(drawn.prior_sd[g, c])[0]
    expected = expected - 0.5 * q.square().sum(-1).view(2, 4)
    difference = target(q)[0].view(2, 4) - expected
    torch.testing.assert_close(difference, difference.mean(-1, keepdim=True).expand(-1, 4))


@pytest.mark.parametrize(("layers", "stop"), [((0, 2), 3), ((1,), 3), ((0, 1), 2), ((0,), 2)])
def test_written_out_gradient_is_that_of_torch(layers, stop):
    p = problem(layers, activation="tanh")
    tails = [
        kind(p.networks, layers, p.X, chains=3, dtype=torch.float64, stop=stop) for kind in (DenseTail, AutogradTail)
    ]
    own = {i: p.networks.parameters[i] for i in layers}
    noise = randn(2, 3, tails[1].scale.numel(), seed=9)
    chosen = tails[1].unpack(tails[1].pack(own).unsqueeze(1) + noise)
    flat = [tail.pack(chosen).flatten(0, 1) for tail in tails]
    outputs = [tail.forward(q) for tail, q in zip(tails, flat, strict=True)]
    torch.testing.assert_close(*outputs)
    slope = randn(*outputs[0].shape, seed=8)
    slopes = [tail.backward(slope) * tail.scale for tail in tails]
    one, two = (tail.unpack(s * tail.scale) for tail, s in zip(tails, slopes, strict=True))
    for layer in layers:
        for name in one.get(layer, {}):
            torch.testing.assert_close(one[layer][name], two[layer][name])


# --- engine --------------------------------------------------------------------------------------


def standard_errors(posterior, X):
    """Predictive mean and sd ``(G, k)``, and the standard error of the mean over chains in units of the sd."""
    f = posterior.predictions(X)[..., 0].mean(2)
    belief = posterior.evaluate(X)
    sd = belief.variance().sqrt()
    return belief.mean, sd, f.std(1) / f.shape[1] ** 0.5 / sd


@pytest.mark.parametrize("measured", [False, True])
@pytest.mark.parametrize("scales", [FIXED, {}], ids=["known", "free"])
@pytest.mark.parametrize("likelihood", [Gaussian(), StudentT(df=1e5)], ids=lambda x: x.kind)
def test_last_layer_against_the_exact_posterior(measured, scales, likelihood):
    """Student's t with many degrees of freedom is Gaussian, and goes the way of all other likelihoods."""
    p = problem((2,), measured=measured, centre=measured, **scales)
    X = rand(6, 2, seed=8)
    exact = ConjugateEngine().infer(p).evaluate(X)
    posterior = HMCEngine(warmup=100, draws=200).infer(replace(p, likelihood=likelihood))
    assert posterior.converged, posterior.report
    mean, sd, _ = standard_errors(posterior, X)
    true = exact.variance().sqrt()
    errors = 1 / math.sqrt(posterior.report["ess"])
    assert ((mean - exact.mean).abs() < 4.5 * errors * true).all()
    assert ((sd / true - 1).abs() < 0.02 + 4.5 * errors).all()
    torch.testing.assert_close(
        posterior.noise_variance, ConjugateEngine().infer(p).noise_variance, rtol=0.02 + 10 * errors, atol=0
    )


@pytest.mark.parametrize(
    ("likelihood", "layers"), [(StudentT(), (2,)), (Heteroscedastic(), (2,)), (Categorical(2), (1, 2))]
)
def test_other_likelihoods_converge(likelihood, layers):
    p = problem(layers, n=25, likelihood=likelihood)
    posterior = HMCEngine(chains=8, draws=200).infer(p)
    assert posterior.converged, posterior.report
    assert posterior.predictions(p.X).shape == (2, 8, 200, 25, likelihood.heads)
    if likelihood.has_noise:
        # It has learnt: the mean is nearer to the targets than their own mean is.
        left = (posterior.evaluate(p.X).mean - p.targets).square().mean()
        assert left < 0.6 * p.targets.var()


def test_layers_that_are_not_dense():
    architecture = make_architecture({"kind": "convnet", "channels": [2], "hidden": [3], "kernel": 3}, 8, 1)
    networks = NetworkEnsemble.draw(architecture, 2, prior=WeightPrior(), generator=generator(), dtype=torch.float64)
    p = problem((0,))
    X = rand(9, 8)
    layers = tuple(range(networks.depth))
    p = replace(p, networks=networks, layers=layers, X=X, reference=X, **{"prior_sd": LogGrid.fixed(1.0)})
    posterior = HMCEngine(chains=4, warmup=40, draws=20).infer(p)
    assert torch.isfinite(posterior.evaluate(X).mean).all()
    assert posterior.report["acceptance"] > 0.5
    target = Target(p, 2, torch.float64)
    q = target.start(generator(), 0.5)
    direction = randn(*q.shape, seed=2)
    ahead, behind = target(q + 1e-6 * direction)[0], target(q - 1e-6 * direction)[0]
    slope = (target.gradient(q) * direction).sum(-1)
    torch.testing.assert_close(slope, (ahead - behind) / 2e-6, rtol=1e-4, atol=1e-4)


def test_seeds_and_the_global_generator():
    p, engine = problem((1, 2)), HMCEngine(chains=2, warmup=20, draws=10)
    state = torch.get_rng_state()
    one, two, other = engine.infer(p), engine.infer(p), engine.infer(replace(p, seed=2))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(one.predictions(p.X), two.predictions(p.X))
    assert not torch.equal(one.predictions(p.X), other.predictions(p.X))


def test_restored_predictions_are_bit_equal():
    whole = problem((0, 1))
    p = head(whole, 7)
    engine = HMCEngine(chains=2, warmup=20, draws=10)
    posterior = engine.infer(p)
    restored = engine.restore(p, posterior.state())
    assert torch.equal(restored.predictions(p.X), posterior.predictions(p.X))
    assert restored.report == posterior.report
    again, once = engine.update(restored, whole), engine.update(posterior, whole)
    assert torch.equal(again.predictions(p.X), once.predictions(p.X))
    one, two = restored.tuning.mass, posterior.tuning.mass
    assert two.stretch.shape[-1] > 0
    assert torch.equal(one.directions, two.directions)
    assert torch.equal(one.stretch, two.stretch)


def test_a_state_without_directions_goes_on():
    whole = problem((0, 1))
    p = head(whole, 8)
    engine = HMCEngine(chains=2, warmup=20, draws=10)
    state = {k: t for k, t in engine.infer(p).state().items() if k not in ("chains.directions", "chains.stretch")}
    restored = engine.restore(p, state)
    assert restored.tuning.mass.stretch.shape == (2, 0)
    assert torch.isfinite(engine.update(restored, whole).predictions(p.X)).all()


def head(p, n):
    """The first `n` points; the reference stays."""
    variances = None if p.variances is None else p.variances[:, :n]
    return replace(p, X=p.X[:n], targets=p.targets[:, :n], variances=variances)


@pytest.mark.parametrize("surprising", [False, True])
@pytest.mark.parametrize("measured", [False, True])
def test_update_is_inference_from_all_data(measured, surprising):
    whole = problem((1, 2), n=14, measured=measured)
    if surprising:
        whole.targets[:, -1] += 4.0
    engine = HMCEngine(warmup=100, draws=100)
    first = engine.infer(head(whole, 12))
    step = engine.update(engine.update(first, head(whole, 13)), whole)
    assert isinstance(step, HMCPosterior)
    full = engine.infer(replace(whole, seed=5))
    # The shorter way is one: only a surprise makes it draw all anew.
    anew = torch.equal(step.predictions(whole.X), engine.infer(whole).predictions(whole.X))
    assert anew == surprising
    X = rand(6, 2, seed=8)
    mean, sd, error = standard_errors(step, X)
    true_mean, true_sd, true_error = standard_errors(full, X)
    errors = (error.square() + true_error.square()).sqrt()
    assert ((mean - true_mean).abs() < (0.05 + 4.5 * errors) * true_sd).all()
    assert ((sd / true_sd - 1).abs() < 0.25).all()
    assert engine.update(step, whole) is step


def test_options():
    for wrong in ({"chains": 0}, {"draws": 3}, {"warmup": 5}, {"target_accept": 1.0}, {"moves": 0}):
        with pytest.raises(SurrogateError, match="HMC needs"):
            HMCEngine(**wrong)
    with pytest.raises(SurrogateError, match="spread"):
        HMCEngine(spread=1.5)

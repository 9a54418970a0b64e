"""Pretrained priors in a model: a right theory helps with few points, a wrong one costs little.

And noise that is not Gaussian, end to end.
"""

from dataclasses import replace

import pytest
import torch

from surrogates.pbnn import PBNN
from surrogates.pretraining import pretrain

D = torch.float64
NETWORK = {"kind": "mlp", "hidden": [16, 16]}


def rand(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=D)


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=D)


def truth(X):
    """Two outputs, in units of their own."""
    first = torch.sin(7 * X[:, :1]) + torch.cos(4 * X[:, 1:]) * X[:, :1]
    return torch.cat([50 + 8 * first, -0.3 * torch.cos(6 * X[:, 1:] - X[:, :1])], 1)


def taught(values):
    """Theory trained on `values` at random points of the unit cube."""
    X = rand(400, 2, seed=11)
    return pretrain(
        X,
        values(X),
        input_names=["a", "b"],
        low=[0.0, 0.0],
        high=[1.0, 1.0],
        output_names=["y", "z"],
        seed=1,
        network=NETWORK,
        members=2,
        epochs=150,
        lr=0.02,
    )


@pytest.fixture(scope="module")
def right():
    return taught(truth)


def measured(n, seed):
    X = rand(n, 2, seed=seed)
    Y = truth(X)
    return X, Y + torch.tensor([0.4, 0.01], dtype=D) * normal(n, 2, seed=seed + 1000)


def judged(model, X):
    """Root mean square error and mean negative log density ``(m,)`` of the values, in the spread's units."""
    with torch.no_grad():
        posterior = model.posterior(X)
        away = truth(X) - posterior.mean
        spread = truth(X).std(0)
        density = torch.distributions.Normal(posterior.mean / spread, posterior.variance.sqrt() / spread)
        return away.square().mean(0).sqrt() / spread, -density.log_prob(truth(X) / spread).mean(0)


def weight(model, output):
    """Of the theory in all its versions."""
    return model.diagnostics()[f"weight_theory.{output}"]


def weight_as_it_is(model, output):
    """Of the theory with its own slope, in its own place."""
    found = model.diagnostics()
    return found[f"weight_networks_theory.{output}"] + found[f"weight_stationary_theory.{output}"]


OPTIONS = {"network": NETWORK, "members": 4, "epochs": 60}


@pytest.fixture(scope="module")
def plain():
    """Models without theory of six and of twenty points, three sets each."""
    return {(n, seed): PBNN(*measured(n, seed), **OPTIONS) for n in (6, 20) for seed in (1, 2, 3)}


def test_right_theory_has_the_weight_and_predicts_better(plain, right):
    test = rand(300, 2, seed=99)
    losses = []
    for seed in (1, 2, 3):
        model = PBNN(*measured(6, seed), prior=right, **OPTIONS)
        assert min(weight(model, 0), weight(model, 1)) > 0.9
        (error, density), (error_plain, density_plain) = judged(model, test), judged(plain[6, seed], test)
        assert (error < 0.5 * error_plain).all()
        losses.append(density - density_plain)
    assert (torch.stack(losses).mean(0) < 0).all()


def upside_down(prior):
    """The same function with the other sign."""
    last = {name: -t for name, t in prior.networks.parameters[-1].items()}
    return replace(prior, networks=replace(prior.networks, parameters=(*prior.networks.parameters[:-1], last)))


def swapped(prior):
    """The same function of the inputs in the wrong order."""
    first = prior.networks.parameters[0]
    changed = {**first, "weight": first["weight"].flip(1)}
    return replace(prior, networks=replace(prior.networks, parameters=(changed, *prior.networks.parameters[1:])))


@pytest.mark.parametrize("wrong", [upside_down, swapped])
def test_wrong_theory_loses_its_weight_and_costs_little(plain, right, wrong):
    test = rand(300, 2, seed=99)
    prior = wrong(right)
    weights, ratios, losses = [], [], []
    for seed in (1, 2, 3):
        model = PBNN(*measured(20, seed), prior=prior, **OPTIONS)
        weights += [weight_as_it_is(model, 0), weight_as_it_is(model, 1)]
        (error, density), (error_plain, density_plain) = judged(model, test), judged(plain[20, seed], test)
        ratios += (error / error_plain).tolist()
        losses += (density - density_plain).tolist()
    assert sum(weights) / len(weights) < 0.2
    assert sum(ratios) / len(ratios) < 1.1
    assert sum(losses) / len(losses) < 0.1


def test_shuffled_theory_loses_its_weight_and_costs_little(plain):
    """Trained on values that belong to other points: it knows the mean and the spread, and nothing more."""

    def shuffled(X):
        return truth(X)[torch.randperm(len(X), generator=torch.Generator().manual_seed(3))]

    test = rand(300, 2, seed=99)
    prior = taught(shuffled)
    for seed in (1, 2):
        model = PBNN(*measured(20, seed), prior=prior, **OPTIONS)
        assert max(weight(model, 0), weight(model, 1)) < 0.5
        (error, density), (error_plain, density_plain) = judged(model, test), judged(plain[20, seed], test)
        assert (error < 1.2 * error_plain).all()
        assert (density < density_plain + 0.15).all()


def test_outputs_are_weighed_apart(right):
    """Right for one output and upside down for the other."""
    half = upside_down(right)
    last = right.networks.parameters[-1]
    flipped = half.networks.parameters[-1]
    mixed = {name: torch.cat([t[:2], flipped[name][2:]]) for name, t in last.items()}
    prior = replace(right, networks=replace(right.networks, parameters=(*right.networks.parameters[:-1], mixed)))
    model = PBNN(*measured(20, 1), prior=prior, **OPTIONS)
    assert weight(model, 0) > 0.9
    assert weight_as_it_is(model, 1) < 0.1


def test_theory_from_a_file_is_the_same(right, tmp_path):
    right.save(tmp_path / "theory")
    X, Y = measured(6, 1)
    options = {"members": 2, "epochs": 10}
    one, two = (PBNN(X, Y, prior=p, **options) for p in (right, tmp_path / "theory"))
    test = rand(5, 2, seed=9)
    assert torch.equal(one.posterior(test).mean, two.posterior(test).mean)
    assert torch.equal(one.posterior(test).variance, two.posterior(test).variance)


SVI = {"kind": "svi", "steps": 300, "particles": 2, "draws": 100}
HMC = {"kind": "hmc", "chains": 4, "warmup": 60, "draws": 40, "max_steps": 16}
engines = pytest.mark.parametrize("inference", [SVI, HMC], ids=["svi", "hmc"])
TINY = {"network": {"hidden": (12, 6)}, "bayesian": "last", "members": 2, "epochs": 150}


def line(n=40, seed=0):
    X = torch.linspace(0, 1, n, dtype=D).unsqueeze(-1)
    return X, torch.sin(5 * X) + 0.05 * normal(n, 1, seed=seed)


@engines
def test_outliers_do_not_move_a_student_t(inference):
    X, Y = line()
    Y[[6, 15, 16, 30]] += torch.tensor([[4.0], [5.0], [4.0], [-5.0]], dtype=D)
    true = torch.sin(5 * X)
    with torch.no_grad():
        heavy, light = (
            PBNN(X, Y, likelihood=kind, inference=inference, **TINY).posterior(X).mean
            for kind in ({"kind": "student_t", "df": 3.0}, "gaussian")
        )
    error, error_light = ((t - true).square().mean().sqrt() for t in (heavy, light))
    assert error < 0.7 * error_light
    assert error < 0.25


@engines
def test_noise_that_grows_is_found(inference):
    X = torch.linspace(0, 1, 120, dtype=D).unsqueeze(-1)
    sd = 0.03 + 0.6 * X.square()
    Y = torch.sin(5 * X) + sd * normal(120, 1, seed=3)
    model = PBNN(X, Y, likelihood="heteroscedastic", inference=inference, **TINY)
    with torch.no_grad():
        test = torch.tensor([[0.1], [0.5], [0.9]], dtype=D)
        noisy = model.posterior(test, observation_noise=True).variance - model.posterior(test).variance
        found = noisy.flatten().sqrt()
    assert found[2] > 3 * found[0]
    expected = torch.tensor([0.18, 0.516], dtype=D)
    assert (found[1:] / expected).log().abs().max() < 0.5


@engines
def test_model_with_draws_is_kept_in_files_and_conditioned(inference, tmp_path):
    X, Y = line(10)
    short = {**inference, **({"steps": 40} if inference is SVI else {"warmup": 20, "draws": 8})}
    model = PBNN(X, Y, likelihood="student_t", inference=short, **TINY)
    model.save(tmp_path / "model")
    again = PBNN.load(tmp_path / "model")
    test = rand(4, 1, seed=2)
    with torch.no_grad():
        one, two = model.posterior(test), again.posterior(test)
        assert torch.equal(one.mean, two.mean)
        assert torch.equal(one.variance, two.variance)
        assert again.diagnostics() == model.diagnostics()
        assert model.diagnostics()["engine"] == inference["kind"]
        more = torch.tensor([[0.5]], dtype=D)
        after = model.condition_on_observations(more, model.posterior(more).mean + 1.0)
        assert after.posterior(more).variance < model.posterior(more).variance
        assert after.posterior(more).mean > model.posterior(more).mean

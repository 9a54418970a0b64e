"""Models of several groups: networks and kernels, with theory and without, as one."""

import pytest
import torch
from botorch.acquisition import qUpperConfidenceBound
from botorch.acquisition.logei import qLogNoisyExpectedImprovement
from botorch.optim import optimize_acqf
from botorch.sampling import SobolQMCNormalSampler

from surrogates.components import MOVED, NETWORKS, NOTHING, SCALED, STATIONARY, THEORY, mixture_weights
from surrogates.errors import SurrogateError
from surrogates.networks import MLP, NetworkEnsemble
from surrogates.pbnn import PBNN
from surrogates.pretrained import PretrainedPrior
from surrogates.priors import LogGrid, WeightPrior

D = torch.float64
SMALL = {"network": {"hidden": (8, 6)}, "members": 3, "epochs": 40}


def rand(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=D)


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=D)


def data(n=12, m=1):
    X = rand(n, 2)
    Y = torch.stack([20 + 5 * torch.sin((4 + k) * X[:, 0]) - X[:, 1] for k in range(m)], -1)
    return X, Y + 0.2 * normal(n, m, seed=1)


def networks(members, seed=0, hidden=(3,)):
    generator = torch.Generator().manual_seed(seed)
    return NetworkEnsemble.draw(MLP(2, hidden=hidden), members, prior=WeightPrior(), generator=generator, dtype=D)


def handmade(m):
    """Theory by hand: random networks."""
    low, one = torch.zeros(2, dtype=D), torch.ones(m, dtype=D)
    names = ("a", "b"), tuple(f"y{i}" for i in range(m))
    return PretrainedPrior(networks(2 * m, 8, (8, 6)), *names, low, low + 1, 20 * one, 3 * one, one, one, {})


@pytest.fixture(scope="module")
def models():
    """All groups: one output, two with measured variances."""
    X, Y = data(m=2)
    options = {"members": 3, "epochs": 40, "prior_sd": LogGrid(0.05, 5.0, 16)}
    return {
        "one": PBNN(X, Y[:, :1], prior=handmade(1), **options),
        "measured": PBNN(X, Y, 0.02 + 0.1 * rand(12, 2, seed=2), prior=handmade(2), **options),
    }


both = pytest.mark.parametrize("kind", ["one", "measured"])


@both
def test_groups_of_a_model(models, kind):
    model = models[kind]
    m = model.num_outputs
    plain, kernel, informed, kernel_informed, scaled, moved = model.components
    assert [c.kind for c in model.components] == [NETWORKS, STATIONARY, NETWORKS, *[STATIONARY] * 3]
    assert [c.camp for c in model.components] == [NOTHING, NOTHING, THEORY, THEORY, SCALED, MOVED]
    assert [c.size for c in model.components] == [3 * m, m, 2 * m, m, m, 4 * m]
    assert informed.networks is informed.centre is kernel_informed.theory.networks is scaled.theory.networks
    assert plain.networks is model.networks
    assert kernel.kernel.lengthscale.shape == (m, 2)
    assert kernel_informed.kernel.lengthscale.shape == scaled.kernel.lengthscale.shape == (m, 3)
    assert (moved.cost <= 0).all()
    assert model.mixture_weights.shape == (m, 3 + 1 + 2 + 1 + 1 + 4)
    assert model.members == 3
    # The theory's networks are as pretrained, in this model's standardisation.
    X = rand(5, 2, seed=3)
    shift, scale = zip(*(model.standardisation(i) for i in range(m)), strict=True)
    theory = handmade(m).function(X)
    for i in range(m):
        own = informed.networks(X)[2 * i : 2 * i + 2, :, 0]
        torch.testing.assert_close(shift[i] + scale[i] * own, theory[:, :, i])


@both
def test_update_is_inference_from_all_data_for_every_group(models, kind):
    model = models[kind]
    X, Y = (t[12:] for t in data(14, m=model.num_outputs))
    Yvar = None if kind == "one" else torch.full_like(Y, 0.05)
    updated = model.update(X, Y, Yvar)
    test = rand(6, 2, seed=7)
    base = updated.problem()
    assert len(base.X) == 14
    for old, new in zip(model.components, updated.components, strict=True):
        assert new.networks is old.networks
        assert new.kernel is old.kernel
        assert new.centre is old.centre
        problem = updated._problem_of(new)
        again = new.result.engine.infer(problem)
        one, two = new.result.posterior.evaluate(test), again.evaluate(test)
        # With measured variances an update keeps the noise levels that are integrated over.
        close = {"rtol": 1e-6, "atol": 1e-8} if kind == "one" else {"rtol": 1e-2, "atol": 1e-2}
        torch.testing.assert_close(one.mean, two.mean, **close)
        torch.testing.assert_close(one.covariance(one), two.covariance(two), **close)
        torch.testing.assert_close(new.result.posterior.summary["log_evidence"], again.summary["log_evidence"], **close)
    # The weights are those of all data as well.
    assert torch.equal(updated.mixture_weights, mixture_weights(updated.components, model.num_outputs, False))
    assert not torch.equal(updated.mixture_weights, model.mixture_weights)


@both
def test_update_once_or_twice_is_the_same(models, kind):
    model = models[kind]
    X, Y = rand(2, 2, seed=5), 20 + normal(2, model.num_outputs, seed=6)
    Yvar = None if kind == "one" else torch.full_like(Y, 0.05)
    head, tail = (None, None) if Yvar is None else (Yvar[:1], Yvar[1:])
    once = model.update(X, Y, Yvar)
    twice = model.update(X[:1], Y[:1], head).update(X[1:], Y[1:], tail)
    test = rand(6, 2, seed=7)
    torch.testing.assert_close(twice.posterior(test).mean, once.posterior(test).mean)
    torch.testing.assert_close(twice.posterior(test).variance, once.posterior(test).variance)


@both
def test_saved_model_predicts_and_learns_bit_by_bit(models, kind, tmp_path):
    model = models[kind]
    m = model.num_outputs
    model.save(tmp_path / "model")
    again = PBNN.load(tmp_path / "model")
    X, Y = rand(2, 2, seed=5), 20 + normal(2, m, seed=6)
    Yvar = None if kind == "one" else torch.full_like(Y, 0.05)
    test = rand(30, 2, seed=2)
    pairs = [(model, again), (model.update(X, Y, Yvar), again.update(X, Y, Yvar))]
    pairs[1][1].save(tmp_path / "updated")
    pairs.append((pairs[1][0], PBNN.load(tmp_path / "updated")))
    with torch.no_grad():
        for a, b in pairs:
            one, two = a.posterior(test, observation_noise=True), b.posterior(test, observation_noise=True)
            assert torch.equal(one.mean, two.mean)
            assert torch.equal(one.variance, two.variance)
            assert torch.equal(a.mixture_weights, b.mixture_weights)
        few = test[:5]
        assert torch.equal(
            model.posterior(few).distribution.covariance_matrix, again.posterior(few).distribution.covariance_matrix
        )
    assert again.diagnostics() == model.diagnostics()


def test_single_precision_is_kept_by_files_and_close_to_double(tmp_path):
    X, Y = data()
    single = PBNN(X.float(), Y.float(), prior=handmade(1), members=2, epochs=40)
    single.save(tmp_path / "model")
    again = PBNN.load(tmp_path / "model")
    test = rand(5, 2, seed=1)
    one, two = single.posterior(test.float()), again.posterior(test.float())
    assert one.mean.dtype == one.variance.dtype == again.train_targets.dtype == torch.float32
    assert torch.equal(one.mean, two.mean)
    assert torch.equal(one.variance, two.variance)
    double = PBNN(X, Y, prior=handmade(1), members=2, epochs=40).posterior(test)
    assert double.mean.dtype == D
    # Data rounded to single precision, and jitter of its size.
    torch.testing.assert_close(one.mean.double(), double.mean, rtol=1e-2, atol=1e-2)
    torch.testing.assert_close(one.variance.double(), double.variance, rtol=0.1, atol=1e-2)


@both
def test_fantasies_with_theory_are_conditioning_one_by_one(models, kind):
    model = models[kind]
    m = model.num_outputs
    X, test = rand(4, 2, 2, seed=3), rand(5, 2, seed=8)
    sampler = SobolQMCNormalSampler(torch.Size([3]), seed=1)
    fantasy = model.fantasize(X, sampler)
    posterior = fantasy.posterior(test)
    assert posterior.mean.shape == (3, 4, 5, m)
    values = sampler(model.posterior(X, observation_noise=True))
    single = model.condition_on_observations(X[2], values[1, 2]).posterior(test)
    torch.testing.assert_close(posterior.mean[1, 2], single.mean)
    torch.testing.assert_close(posterior.variance[1, 2], single.variance)
    assert fantasy.posterior(X).variance.mean() < model.posterior(X).variance.mean()


def test_conditioning_with_theory_at_known_scales_is_updating():
    """Where the scales are known the update is the Gaussian step; the camps' weights alone differ."""
    X, Y = data()
    fixed = {"prior_sd": LogGrid.fixed(1.3), "noise_sd": LogGrid.fixed(0.2)}
    model = PBNN(X, Y, prior=handmade(1), members=2, epochs=40, **fixed)
    more, values = rand(2, 2, seed=5), 20 + normal(2, 1, seed=6)
    test = rand(6, 2, seed=7)
    with torch.no_grad():
        updated = model.update(more, values).member_posterior.evaluate(test)
        conditioned = model.condition_on_observations(more, values).member_posterior.evaluate(test)
    torch.testing.assert_close(conditioned.mean, updated.mean)
    torch.testing.assert_close(conditioned.covariance(conditioned), updated.covariance(updated))


def test_batch_acquisition_with_pending_points_on_the_default_model():
    X, Y = data()
    model = PBNN(X, Y, **SMALL)
    assert [c.kind for c in model.components] == [NETWORKS, STATIONARY]
    bounds = torch.tensor([[0.0, 0.0], [1.0, 1.0]], dtype=D)
    sampler = SobolQMCNormalSampler(torch.Size([32]), seed=0)
    optimum = X[Y.argmax()].view(1, 2)
    functions = [
        qLogNoisyExpectedImprovement(model, X_baseline=X, X_pending=optimum, sampler=sampler, prune_baseline=False),
        qUpperConfidenceBound(model, beta=4.0, sampler=sampler, X_pending=optimum),
    ]
    grid = rand(64, 2, 2, seed=3)
    for function in functions:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            found, value = optimize_acqf(
                function, bounds, q=2, num_restarts=2, raw_samples=16, options={"maxiter": 20, "seed": 0}
            )
        assert found.shape == (2, 2)
        assert float(value) >= float(function(grid).quantile(0.9))
    # A point that is pending brings nothing any more, another one about what it brought before.
    alone = qLogNoisyExpectedImprovement(model, X_baseline=X, sampler=sampler, prune_baseline=False)
    point, other = torch.tensor([[[0.4, 0.05]]], dtype=D), torch.tensor([[[0.8, 0.2]]], dtype=D)
    pending = qLogNoisyExpectedImprovement(
        model, X_baseline=X, X_pending=point[0], sampler=sampler, prune_baseline=False
    )
    assert float(pending(point)) < float(alone(point)) - 3
    assert float(pending(other)) > float(pending(point)) + 3


def test_diagnostics_have_the_groups_weights(models):
    always = {"engine", "converged", "failed", "fit_s", "members"}
    each = {"noise_sd", "prior_sd", "log_evidence", "member_spread", "weight_stationary"}
    theory = {"weight_networks_theory", "weight_stationary_theory", "weight_theory"}
    theory |= {"weight_stationary_scaled", "weight_stationary_moved"}
    one, measured = models["one"].diagnostics(), models["measured"].diagnostics()
    assert set(one) == always | each | theory
    assert set(measured) == always | {f"{name}.{i}" for name in each | theory for i in range(2)}
    X, Y = data()
    plain = PBNN(X, Y, stationary=0.25, **SMALL).diagnostics()
    assert set(plain) == always | each
    assert plain["weight_stationary"] == pytest.approx(0.25)
    networks_alone = PBNN(X, Y, stationary=0, **SMALL)
    assert set(networks_alone.diagnostics()) == always | each - {"weight_stationary"}
    assert networks_alone.mixture_weights.shape == (1, 3)
    weights = models["measured"].mixture_weights
    for i in range(2):
        assert measured[f"weight_stationary.{i}"] == pytest.approx(float(weights[i, 3]))
        assert measured[f"weight_networks_theory.{i}"] == pytest.approx(float(weights[i, 4:6].sum()))
        assert measured[f"weight_stationary_theory.{i}"] == pytest.approx(float(weights[i, 6]))
        assert measured[f"weight_stationary_scaled.{i}"] == pytest.approx(float(weights[i, 7]))
        assert measured[f"weight_stationary_moved.{i}"] == pytest.approx(float(weights[i, 8:].sum()))
        assert measured[f"weight_theory.{i}"] == pytest.approx(float(weights[i, 4:].sum()))
    assert one["converged"] == 1.0
    assert one["failed"] == ""


def test_mixing_by_evidence_of_a_model():
    X, Y = data()
    model = PBNN(X, Y, mixing="evidence", stationary=0.25, **SMALL)
    evidence = model.components[0].result.posterior.summary["log_evidence"]
    weights = model.mixture_weights[0]
    torch.testing.assert_close(weights[:3], 0.75 * torch.softmax(evidence, -1))
    torch.testing.assert_close(weights[3], torch.tensor(0.25, dtype=D))


@pytest.mark.parametrize("share", [1.0, -0.1, 1.5])
def test_shares_that_make_no_sense_are_refused(share):
    with pytest.raises(SurrogateError, match="stationary must be"):
        PBNN(*data(), stationary=share, **SMALL)


def test_kernels_know_gaussian_noise_alone():
    with pytest.raises(SurrogateError, match="student_t"):
        PBNN(*data(), likelihood="student_t", stationary=0.5, **SMALL)

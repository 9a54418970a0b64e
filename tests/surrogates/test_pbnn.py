"""PBNN as a model: posteriors, conditioning, determinism, state, calibration."""

import math
import threading

import pytest
import torch
from botorch.acquisition import qLogExpectedImprovement, qUpperConfidenceBound
from botorch.acquisition.active_learning import qNegIntegratedPosteriorVariance
from botorch.acquisition.analytic import PosteriorStandardDeviation
from botorch.acquisition.objective import ScalarizedPosteriorTransform
from botorch.optim import optimize_acqf
from botorch.sampling import SobolQMCNormalSampler
from hypothesis import given, settings
from hypothesis import strategies as st

from surrogates.errors import SurrogateError
from surrogates.pbnn import PBNN
from surrogates.priors import LogGrid

SMALL = {"network": {"hidden": (8, 6)}, "members": 3, "epochs": 40}


def rand(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def data(n=12, m=1, d=2):
    X = rand(n, d)
    Y = torch.stack([20 + 5 * torch.sin((4 + k) * X[:, 0]) - X[:, 1] for k in range(m)], -1)
    return X, Y + 0.2 * normal(n, m, seed=1)


@pytest.fixture(scope="module")
def models():
    """One output, two outputs, with measured variances, last layer alone."""
    X, Y = data(m=2)
    Yvar = 0.05 + 0.1 * rand(12, 2, seed=2)
    return {
        "one": PBNN(X, Y[:, :1], **SMALL),
        "two": PBNN(X, Y, **SMALL),
        "measured": PBNN(X, Y, Yvar, **SMALL),
        "last": PBNN(X, Y[:, :1], bayesian="last", **SMALL),
    }


@pytest.mark.parametrize("kind", ["one", "two", "measured", "last"])
@given(batch=st.lists(st.integers(1, 3), max_size=2), q=st.sampled_from([1, 2, 3, 30]))
@settings(max_examples=8, deadline=None)
def test_posterior_of_any_batch_is_that_of_its_points(models, kind, batch, q):
    model = models[kind]
    X = rand(*batch, q, 2, seed=9)
    with torch.no_grad():
        posterior = model.posterior(X)
        flat = model.posterior(X.reshape(-1, 1, 2))
    m = model.num_outputs
    assert posterior.mean.shape == posterior.variance.shape == (*batch, q, m)
    torch.testing.assert_close(posterior.mean.reshape(-1, 1, m), flat.mean)
    torch.testing.assert_close(posterior.variance.reshape(-1, 1, m), flat.variance)
    draws = posterior.rsample(torch.Size([2]))
    assert draws.shape == (2, *batch, q, m)


@pytest.mark.parametrize("kind", ["one", "two", "measured", "last"])
def test_joint_posterior_is_the_mixture_of_the_members(models, kind):
    """Moments from the members' own and their weights; large joint posteriors (lazy) agree with small ones (dense)."""
    model = models[kind]
    X = rand(40, 2, seed=9)
    with torch.no_grad():
        lazy = model.posterior(X)
        belief = model.member_posterior.evaluate(X)
        weights = model.mixture_weights
        m, members = weights.shape
        # Three tenths for three networks, the rest for one kernel; networks alone where error bars were measured.
        shares = [1 / 3] * 3 if kind == "measured" else [0.3 / 3] * 3 + [0.7]
        torch.testing.assert_close(weights, torch.tensor(shares, dtype=torch.float64).expand(m, -1))
        mean = belief.mean.view(m, members, 40)
        own = belief.covariance(belief).view(m, members, 40, 40)
        within = [sum(weights[i, j] * own[i, j] for j in range(members)) for i in range(m)]
        between = [torch.cov(mean[i].T, correction=0, aweights=weights[i]) for i in range(m)]
        shift, scale = zip(*(model.standardisation(i) for i in range(m)), strict=True)
        for i in range(m):
            one = model.posterior(X, output_indices=[i])
            expected = scale[i] ** 2 * (within[i] + between[i])
            torch.testing.assert_close(one.mean[:, 0], shift[i] + scale[i] * (weights[i] @ mean[i]))
            torch.testing.assert_close(one.distribution.covariance_matrix, expected)
            torch.testing.assert_close(one.variance[:, 0], lazy.variance[:, i])
            dense = model.posterior(X[:7], output_indices=[i]).distribution.covariance_matrix
            torch.testing.assert_close(dense, expected[:7, :7])
    values = lazy.rsample(torch.Size([2]))
    assert values.shape == (2, 40, m)


def test_samples_have_the_posteriors_moments(models):
    posterior = models["two"].posterior(rand(3, 2, seed=4))
    draws = SobolQMCNormalSampler(torch.Size([4096]), seed=0)(posterior)
    torch.testing.assert_close(draws.mean(0), posterior.mean, rtol=1e-2, atol=1e-2)
    torch.testing.assert_close(draws.var(0), posterior.variance, rtol=2e-2, atol=1e-3)


@pytest.mark.parametrize("kind", ["one", "measured", "last"])
def test_gradients_are_finite_differences(models, kind):
    def sums(X):
        posterior = models[kind].posterior(X)
        return posterior.mean.sum() + posterior.variance.log().sum()

    torch.autograd.gradcheck(sums, rand(2, 3, 2, seed=3).requires_grad_())
    torch.autograd.gradcheck(sums, rand(26, 2, seed=3).requires_grad_())


def test_noise_is_the_models_and_the_measured(models):
    X = rand(4, 2, seed=3)
    model = models["measured"]
    gap = model.posterior(X, observation_noise=True).variance - model.posterior(X).variance
    measured = torch.stack([model.measured_variances(i).mean() for i in range(2)])
    torch.testing.assert_close(gap, (model.noise_variance + measured).expand(4, 2))
    given_noise = 0.5 + rand(4, 2, seed=7)
    gap = model.posterior(X, observation_noise=given_noise).variance - model.posterior(X).variance
    torch.testing.assert_close(gap, given_noise)
    only = model.posterior(X, output_indices=[1], observation_noise=True)
    torch.testing.assert_close(only.variance[:, 0], model.posterior(X, observation_noise=True).variance[:, 1])


def test_posterior_transform(models):
    transform = ScalarizedPosteriorTransform(torch.tensor([-1.0], dtype=torch.float64))
    X = rand(30, 2, seed=3)
    plain, turned = models["one"].posterior(X), models["one"].posterior(X, posterior_transform=transform)
    torch.testing.assert_close(turned.mean, -plain.mean)
    torch.testing.assert_close(turned.variance, plain.variance)


def test_conditioning_at_known_scales_is_updating():
    """The update infers from all data; conditioning is the Gaussian step. At fixed scales they are the same."""
    X, Y = data()
    model = PBNN(X, Y, prior_sd=LogGrid.fixed(1.3), noise_sd=LogGrid.fixed(0.2), **SMALL)
    more, values = rand(3, 2, seed=5), 20 + normal(3, 1, seed=6)
    test = rand(6, 2, seed=7)
    with torch.no_grad():
        updated = model.update(more, values).posterior(test)
        conditioned = model.condition_on_observations(more, values).posterior(test)
    torch.testing.assert_close(conditioned.mean, updated.mean)
    torch.testing.assert_close(conditioned.distribution.covariance_matrix, updated.distribution.covariance_matrix)


def test_update_with_scales_to_infer_is_inference_with_all_data():
    X, Y = data(m=2)
    model = PBNN(X[:9], Y[:9], **SMALL)
    twice = model.update(X[9:11], Y[9:11]).update(X[11:], Y[11:])
    once = model.update(X[9:], Y[9:])
    test = rand(6, 2, seed=7)
    torch.testing.assert_close(twice.posterior(test).mean, once.posterior(test).mean)
    torch.testing.assert_close(twice.posterior(test).variance, once.posterior(test).variance)
    assert (once.posterior(X[9:]).variance < model.posterior(X[9:]).variance).all()
    assert len(model.train_targets) == 9


@pytest.mark.parametrize("kind", ["one", "two", "measured", "last"])
def test_fantasies_have_batches_and_match_one_by_one(models, kind):
    model = models[kind]
    m = model.num_outputs
    X = rand(4, 2, 2, seed=3)
    sampler = SobolQMCNormalSampler(torch.Size([3]), seed=1)
    fantasy = model.fantasize(X, sampler)
    assert fantasy.batch_shape == (3, 4)
    test = rand(5, 2, seed=8)
    posterior = fantasy.posterior(test)
    assert posterior.mean.shape == posterior.variance.shape == (3, 4, 5, m)
    values = sampler(model.posterior(X, observation_noise=True))
    single = model.condition_on_observations(X[2], values[1, 2]).posterior(test)
    torch.testing.assert_close(posterior.mean[1, 2], single.mean)
    torch.testing.assert_close(posterior.variance[1, 2], single.variance)
    # Of a few draws only the average is sure to fall: the members' disagreement depends on the values.
    assert fantasy.posterior(X).variance.mean() < model.posterior(X).variance.mean()
    # Fantasies of fantasies, and of nothing.
    assert fantasy.fantasize(X[:, :1], sampler).posterior(test).mean.shape == (3, 3, 4, 5, m)
    nothing = model.fantasize(X[..., :0, :], sampler)
    assert nothing.batch_shape == (3, 4)
    torch.testing.assert_close(nothing.posterior(test).mean, model.posterior(test).mean)


def test_conditioning_weighs_measured_variances(models):
    X, Y = rand(1, 2, seed=3), torch.full((1, 1), 40.0, dtype=torch.float64)
    model = models["one"]
    before = model.posterior(X).mean
    moves = [
        float(model.condition_on_observations(X, Y, torch.full((1, 1), v)).posterior(X).mean - before)
        for v in (1e-4, 1.0, 100.0, 1e8)
    ]
    assert moves == sorted(moves, reverse=True)
    assert moves[0] > 1.0
    assert moves[-1] < 1e-3


@pytest.mark.parametrize("kind", ["one", "last"])
def test_acquisition_functions_of_botorch(models, kind):
    model = models[kind]
    bounds = torch.tensor([[0.0, 0.0], [1.0, 1.0]], dtype=torch.float64)
    sampler = SobolQMCNormalSampler(torch.Size([16]), seed=0)
    best = float(model.train_targets.max())
    functions = [
        (qLogExpectedImprovement(model, best_f=best, sampler=sampler, X_pending=rand(1, 2)), 2),
        (qUpperConfidenceBound(model, beta=2.0, sampler=sampler), 2),
        (PosteriorStandardDeviation(model), 1),
        (qNegIntegratedPosteriorVariance(model, mc_points=rand(40, 2, seed=2)), 1),
    ]
    grid = rand(64, 2, seed=3)
    for function, q in functions:
        assert function(rand(5, q, 2)).shape == (5,)
        with torch.random.fork_rng():
            torch.manual_seed(0)
            X, value = optimize_acqf(
                function, bounds, q=q, num_restarts=2, raw_samples=16, options={"maxiter": 15, "seed": 0}
            )
        assert X.shape == (q, 2)
        typical = function(grid.view(-1, q, 2)).median()
        assert float(value) > float(typical)


def test_disagreement_of_members_counts_in_the_variance():
    X, Y = data(8)
    model = PBNN(X, Y, **SMALL)
    test = rand(50, 2, seed=3)
    belief = model.member_posterior.evaluate(test)
    average = model.mixture_weights[0] @ belief.variance() * model.standardisation(0)[1] ** 2
    excess = model.posterior(test).variance.squeeze(-1) - average
    assert (excess > 0).all()


def test_same_seed_same_model_whatever_others_do_with_the_global_generator():
    X, Y = data()
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = PBNN(X, Y, seed=3, **SMALL)
    assert torch.equal(torch.get_rng_state(), state)
    stop = threading.Event()

    def disturb():
        while not stop.is_set():
            torch.rand(3)
            torch.manual_seed(5)

    thread = threading.Thread(target=disturb)
    thread.start()
    try:
        second = PBNN(X, Y, seed=3, **SMALL)
    finally:
        stop.set()
        thread.join()
    test = rand(5, 2, seed=2)
    assert torch.equal(first.posterior(test).mean, second.posterior(test).mean)
    assert torch.equal(first.posterior(test).variance, second.posterior(test).variance)
    assert not torch.equal(first.posterior(test).mean, PBNN(X, Y, seed=4, **SMALL).posterior(test).mean)


def test_fit_works_where_gradients_are_off():
    X, Y = data()
    with torch.no_grad():
        off = PBNN(X, Y, **SMALL).posterior(X).mean
    torch.testing.assert_close(off, PBNN(X, Y, **SMALL).posterior(X).mean)


def test_order_of_the_data_does_not_matter():
    X, Y = data()
    order = torch.randperm(12, generator=torch.Generator().manual_seed(0))
    test = rand(5, 2, seed=2)
    one, two = PBNN(X, Y, **SMALL).posterior(test), PBNN(X[order], Y[order], **SMALL).posterior(test)
    # Training is in single precision: sums in another order differ in the last digits.
    torch.testing.assert_close(one.mean, two.mean, rtol=1e-2, atol=1e-2)
    torch.testing.assert_close(one.variance, two.variance, rtol=5e-2, atol=1e-2)


def test_units_of_the_values_do_not_matter():
    X, Y = data()
    test = rand(5, 2, seed=2)
    one = PBNN(X, Y, torch.full_like(Y, 0.01), **SMALL).posterior(test, observation_noise=True)
    two = PBNN(X, 1e3 * Y, torch.full_like(Y, 1e4), **SMALL).posterior(test, observation_noise=True)
    torch.testing.assert_close(two.mean, 1e3 * one.mean, rtol=1e-4, atol=0)
    torch.testing.assert_close(two.variance, 1e6 * one.variance, rtol=1e-2, atol=0)


@pytest.mark.parametrize("kind", ["one", "two", "measured", "last"])
def test_saved_model_predicts_bit_by_bit(models, kind, tmp_path):
    model, X = models[kind], rand(30, 2, seed=2)
    model.save(tmp_path / "model")
    again = PBNN.load(tmp_path / "model")
    with torch.no_grad():
        for noise in (False, True):
            one, two = model.posterior(X, observation_noise=noise), again.posterior(X, observation_noise=noise)
            assert torch.equal(one.mean, two.mean)
            assert torch.equal(one.variance, two.variance)
    assert again.diagnostics() == model.diagnostics()


def test_files_that_hold_no_model(models, tmp_path):
    with pytest.raises(SurrogateError, match="no model can be read"):
        PBNN.load(tmp_path / "nothing")
    models["one"].save(tmp_path / "model")
    (tmp_path / "model.json").write_text("{}")
    with pytest.raises(SurrogateError, match="not a PBNN"):
        PBNN.load(tmp_path / "model")
    fantasy = models["one"].condition_on_observations(rand(1, 2), rand(1, 1))
    with pytest.raises(SurrogateError, match="fantasies"):
        fantasy.save(tmp_path / "fantasy")
    with pytest.raises(SurrogateError, match="fantasies"):
        fantasy.update(rand(1, 2), rand(1, 1))


@pytest.mark.parametrize(
    ("X", "Y", "Yvar", "message"),
    [
        (rand(1, 2), rand(1, 1), None, "at least 2"),
        (rand(3, 2), torch.tensor([[1.0], [math.nan], [2.0]]).double(), None, r"Y holds .* rows \[1\]"),
        (torch.full((3, 2), math.inf), rand(3, 1), None, "X holds"),
        (rand(3, 2), rand(3), None, "same n"),
        (rand(3, 2), rand(4, 1), None, "same n"),
        (rand(3, 2), rand(3, 1), rand(3, 2), "shape of Y"),
        (rand(3, 2), rand(3, 1), -rand(3, 1), "negative"),
        (torch.zeros(3, 2, dtype=torch.long), rand(3, 1), None, "floating point"),
    ],
)
def test_unusable_data_is_refused_in_words(X, Y, Yvar, message):
    with pytest.raises(SurrogateError, match=message):
        PBNN(X, Y, Yvar, **SMALL)


def test_unusable_options_are_refused_in_words(models):
    X, Y = data()
    for options, message in (
        ({"bayesian": (7,)}, "dense0, dense1, output"),
        ({"bayesian": "middle"}, "middle"),
        ({"members": 0}, "members"),
        ({"likelihood": "categorical"}, "classes"),
        ({"likelihood": {"kind": "categorical", "classes": 3}}, "PBNNClassifier"),
        ({"likelihood": "student_t", "inference": "linearised"}, "Gaussian"),
        ({"likelihood": "student_t", "bayesian": "last", "inference": "conjugate"}, "Gaussian"),
        ({"inference": "magic"}, "hmc"),
        ({"inference": {"kind": "linearised", "chains": 3}}, "chains"),
        ({"mixing": "best"}, "evidence"),
        ({"prior_sd": {"low": 1.0}}, "LogGrid"),
        ({"inference": "conjugate", "bayesian": "first"}, "last layer alone"),
        ({"network": {"activation": "swishy"}}, "swishy"),
    ):
        with pytest.raises(SurrogateError, match=message):
            PBNN(X, Y, **{**SMALL, **options})
    with pytest.raises(SurrogateError, match="points must be"):
        models["one"].posterior(rand(4, 3))


def test_constant_values_and_repeated_points():
    X = rand(3, 2).repeat(2, 1)
    posterior = PBNN(X, torch.full((6, 1), 7.0, dtype=torch.float64), **SMALL).posterior(rand(4, 2, seed=1))
    assert torch.isfinite(posterior.variance).all()
    assert (posterior.mean - 7).abs().max() < 1


def test_single_precision_points():
    X, Y = data()
    posterior = PBNN(X.float(), Y.float(), **SMALL).posterior(rand(4, 2, seed=1).float())
    assert posterior.mean.dtype == posterior.variance.dtype == torch.float32


def test_diagnostics_are_plain_numbers(models):
    found = models["two"].diagnostics()
    assert found["engine"] == "linearised"
    assert models["last"].diagnostics()["engine"] == "conjugate"
    assert all(type(v) in (float, str) for v in found.values())
    assert 0 < found["noise_sd.0"] < found["prior_sd.0"]


def test_intervals_cover_a_draw_of_a_gaussian_process():
    """95 % intervals of new noisy values of smooth random functions hold 90 to 99.5 % of them."""
    hits = []
    for seed in range(4):
        X = rand(130, 2, seed=seed)
        kernel = torch.exp(-0.5 * (torch.cdist(X, X) / 0.35).square()) + 1e-8 * torch.eye(130).double()
        f = torch.linalg.cholesky(kernel) @ normal(130, 1, seed=seed)
        Y = f + 0.1 * normal(130, 1, seed=100 + seed)
        with torch.no_grad():
            posterior = PBNN(X[:30], Y[:30], seed=seed).posterior(X[30:], observation_noise=True)
        hits.append((Y[30:] - posterior.mean).abs() < 1.96 * posterior.variance.sqrt())
    coverage = float(torch.cat(hits).double().mean())
    assert 0.9 <= coverage <= 0.995

"""The Gaussian process: measured and learned noise, conditioning, fantasies, refusals."""

import math
import warnings

import pytest
import torch
from botorch.acquisition.active_learning import qNegIntegratedPosteriorVariance
from botorch.sampling import SobolQMCNormalSampler

from surrogates.errors import SurrogateError
from surrogates.gp import GaussianProcess


def rand(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def data(n=25, m=1, noise=0.3):
    X = rand(n, 2)
    Y = torch.stack([20 + 5 * torch.sin((4 + k) * X[:, 0]) - X[:, 1] for k in range(m)], -1)
    return X, Y + noise * normal(n, m, seed=1)


@pytest.mark.parametrize("m", [1, 2])
def test_measured_variances_and_learned_noise_add_up_once(m):
    X, Y = data(m=m)
    model = GaussianProcess(X, Y, torch.full_like(Y, 0.04))
    test = rand(4, 2, seed=3)
    gap = model.posterior(test, observation_noise=True).variance - model.posterior(test).variance
    diagnostics = model.diagnostics()
    learned = [diagnostics["noise_sd" + (f".{i}" if m > 1 else "")] for i in range(m)]
    expected = torch.tensor(learned, dtype=torch.float64).square() + 0.04
    torch.testing.assert_close(gap, expected.expand(4, m), rtol=1e-4, atol=1e-8)


def test_noise_beyond_the_error_bars_is_learned():
    X, Y = data(n=60, noise=0.5)
    model = GaussianProcess(X, Y, torch.full_like(Y, 0.01))
    assert 0.3 < model.diagnostics()["noise_sd"] < 0.7


@pytest.mark.parametrize("measured", [False, True])
@pytest.mark.parametrize("m", [1, 2])
def test_conditioning_is_the_posterior_with_all_data(m, measured):
    """Dense linear algebra with the model's own kernel is the reference."""
    X, Y = data(m=m)
    Yvar = 0.02 + 0.1 * rand(*Y.shape, seed=4) if measured else None
    model = GaussianProcess(X, Y, Yvar)
    test, more = rand(4, 2, seed=3), rand(3, 2, seed=5)
    values, noise = 20 + normal(3, m, seed=6), 0.2 + rand(3, m, seed=7)
    model.posterior(test)
    with torch.no_grad():
        found = model.condition_on_observations(more, values, noise=noise if measured else None).posterior(test)
        shift, scale = model.outcome_transform.means[0], model.outcome_transform.stdvs[0]
        whole = torch.cat([X, more])
        for i in range(m):
            kernel = model.covar_module
            K, cross = (kernel(a, b).to_dense() for a, b in ((whole, whole), (test, whole)))
            K, cross = (K[i], cross[i]) if m > 1 else (K, cross)
            constant = model.mean_module.constant.reshape(-1)[i]
            learned = (model.diagnostics()["noise_sd" + (f".{i}" if m > 1 else "")] / scale[i]) ** 2
            variances = torch.full((len(whole),), float(learned), dtype=torch.float64)
            if measured:
                variances = variances + torch.cat([Yvar, noise])[:, i] / scale[i] ** 2
            targets = (torch.cat([Y, values])[:, i] - shift[i]) / scale[i] - constant
            mean = constant + cross @ torch.linalg.solve(K + variances.diag(), targets)
            torch.testing.assert_close(found.mean[:, i], shift[i] + scale[i] * mean, rtol=1e-4, atol=1e-4)
            variance = 1 - (cross @ torch.linalg.solve(K + variances.diag(), cross.T)).diagonal()
            torch.testing.assert_close(found.variance[:, i], scale[i] ** 2 * variance, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("measured", [False, True])
def test_fantasies(measured):
    X, Y = data(m=2)
    model = GaussianProcess(X, Y, torch.full_like(Y, 0.04) if measured else None)
    points = rand(4, 1, 2, seed=3)
    fantasy = model.fantasize(points, SobolQMCNormalSampler(torch.Size([3]), seed=1))
    variance = fantasy.posterior(points).variance
    assert variance.shape == (3, 4, 1, 2)
    assert (variance < model.posterior(points).variance).all()
    # A Gaussian process's variance after a measurement: prior times noise over their sum, noise counted once.
    prior = model.posterior(points).variance
    noise = model.posterior(points, observation_noise=True).variance - prior
    torch.testing.assert_close(variance[0], prior * noise / (prior + noise), rtol=1e-3, atol=1e-5)


def test_integrated_variance_with_measured_noise():
    X, Y = data()
    model = GaussianProcess(X, Y, torch.full_like(Y, 0.04))
    function = qNegIntegratedPosteriorVariance(model, mc_points=rand(30, 2, seed=2))
    assert torch.isfinite(function(rand(5, 1, 2, seed=3))).all()


def test_same_data_same_model_and_no_global_randomness():
    X, Y = data()
    torch.manual_seed(1)
    state = torch.get_rng_state()
    one = GaussianProcess(X, Y, seed=1)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    two = GaussianProcess(X, Y, seed=2)
    test = rand(4, 2, seed=3)
    assert torch.equal(one.posterior(test).mean, two.posterior(test).mean)
    assert torch.equal(one.posterior(test).variance, two.posterior(test).variance)


def test_interpolates_where_noise_is_small():
    X, Y = data(n=40, noise=0.0)
    model = GaussianProcess(X, Y)
    test, truth = data(n=60, noise=0.0)
    assert (model.posterior(test).mean - truth).abs().max() < 0.3


@pytest.mark.parametrize(
    ("X", "Y", "message"),
    [
        (rand(1, 2), rand(1, 1), "at least 2"),
        (rand(3, 2), torch.tensor([[1.0], [math.nan], [2.0]]).double(), "not finite"),
        (rand(3, 2), rand(4, 1), "same n"),
    ],
)
def test_unusable_data_is_refused_in_words(X, Y, message):
    with pytest.raises(SurrogateError, match=message):
        GaussianProcess(X, Y)


def test_tiny_measured_variances_are_no_cause_for_warnings():
    X = torch.linspace(0, 1, 8, dtype=torch.float64).unsqueeze(-1)
    Y = torch.sin(6 * X)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        GaussianProcess(X, Y, torch.full_like(Y, 1e-9))

"""Likelihoods against scipy and against their own Pyro distributions."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from surrogates.errors import SurrogateError
from surrogates.likelihoods import (
    LIKELIHOODS,
    Categorical,
    Gaussian,
    Heteroscedastic,
    StudentT,
    describe_likelihood,
    make_likelihood,
)

ALL = [Gaussian(), Heteroscedastic(), StudentT(3.5), Categorical(3)]
NUMERIC = ALL[:3]
MEASURED = [False, True]


def normal(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def case(likelihood, lead, n, measured, seed=0):
    f = normal(*lead, n, likelihood.heads, seed=seed)
    y = normal(*lead, n, seed=seed + 1)
    if isinstance(likelihood, Categorical):
        y = (y.abs() * 1.5).floor().clamp_max(likelihood.classes - 1)
    noise = 0.2 + normal(*lead, seed=seed + 2).abs()
    variances = 0.1 + normal(*lead, n, seed=seed + 3).square() if measured else None
    return f, y, noise, variances


def by_scipy(likelihood, f, y, noise, variances):
    """One set of values: ``(n, heads)``, ``(n,)``, a number, ``(n,)``."""
    f, y, noise = f.numpy(), y.numpy(), float(noise)
    extra = 0.0 if variances is None else variances.numpy()
    if isinstance(likelihood, Categorical):
        p = np.exp(f) / np.exp(f).sum(1, keepdims=True)
        return np.log(p[np.arange(len(y)), y.astype(int)]).sum()
    own = noise * np.exp(f[:, 1]) if isinstance(likelihood, Heteroscedastic) else noise
    scale = np.sqrt(own**2 + extra)
    if isinstance(likelihood, StudentT):
        return stats.t(likelihood.df, f[:, 0], scale).logpdf(y).sum()
    return stats.norm(f[:, 0], scale).logpdf(y).sum()


@pytest.mark.parametrize("measured", MEASURED)
@pytest.mark.parametrize("likelihood", ALL, ids=lambda x: x.kind)
@given(lead=st.lists(st.integers(1, 3), max_size=2), n=st.integers(1, 5), seed=st.integers(0, 100))
@settings(max_examples=15, deadline=None)
def test_log_probability_is_scipy_s_and_its_distribution_s(likelihood, measured, lead, n, seed):
    f, y, noise, variances = case(likelihood, lead, n, measured, seed)
    found = likelihood.log_prob(f, y, noise, variances)
    assert found.shape == tuple(lead)
    torch.testing.assert_close(likelihood.distribution(f, noise, variances).log_prob(y).sum(-1), found)
    for index in np.ndindex(*lead):
        own = None if variances is None else variances[index]
        expected = by_scipy(likelihood, f[index], y[index], noise[index], own)
        assert float(found[index]) == pytest.approx(float(expected), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("measured", MEASURED)
@pytest.mark.parametrize("likelihood", ALL, ids=lambda x: x.kind)
def test_values_broadcast_over_draws(likelihood, measured):
    f, _, noise, _ = case(likelihood, (2, 4), 5, measured)
    _, y, _, variances = case(likelihood, (2, 1), 5, measured)
    together = likelihood.log_prob(f, y, noise, variances)
    for g, s in np.ndindex(2, 4):
        own = None if variances is None else variances[g, 0]
        torch.testing.assert_close(together[g, s], likelihood.log_prob(f[g, s], y[g, 0], noise[g, s], own))


@pytest.mark.parametrize("likelihood", NUMERIC, ids=lambda x: x.kind)
def test_moments_are_those_of_the_distribution(likelihood):
    f, _, noise, _ = case(likelihood, (2,), 5, False)
    mean, variance = likelihood.moments(f, noise)
    distribution = likelihood.distribution(f, noise, None)
    torch.testing.assert_close(mean, distribution.mean.expand_as(mean))
    torch.testing.assert_close(variance, distribution.variance.expand_as(variance))


@pytest.mark.parametrize("likelihood", ALL, ids=lambda x: x.kind)
def test_gradients_are_finite_for_wild_networks(likelihood):
    f, y, noise, variances = case(likelihood, (), 4, True)
    f = (1e3 * f).requires_grad_()
    gradient = torch.autograd.grad(likelihood.log_prob(f, y, noise, variances), f)[0]
    assert torch.isfinite(gradient).all()


def test_an_outlier_weighs_less_with_heavy_tails():
    f = torch.zeros(1, 1, dtype=torch.float64, requires_grad=True)
    y, noise = torch.tensor([50.0], dtype=torch.float64), torch.ones((), dtype=torch.float64)
    pull = [float(torch.autograd.grad(kind.log_prob(f, y, noise, None), f)[0]) for kind in (Gaussian(), StudentT(4.0))]
    assert pull[0] == pytest.approx(50)
    assert 0 < pull[1] < 0.2


def test_the_tails_of_student_become_normal():
    f, y, noise, variances = case(Gaussian(), (3,), 6, True)
    torch.testing.assert_close(
        StudentT(1e7).log_prob(f, y, noise, variances), Gaussian().log_prob(f, y, noise, variances), rtol=1e-5, atol=0
    )


@pytest.mark.parametrize("likelihood", ALL, ids=lambda x: x.kind)
def test_description_makes_the_same(likelihood):
    assert make_likelihood(describe_likelihood(likelihood)) == likelihood
    assert LIKELIHOODS[likelihood.kind] is type(likelihood)


def test_labels_have_no_mean():
    with pytest.raises(SurrogateError, match="probabilities"):
        Categorical(2).moments(normal(3, 2), torch.ones(()))


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("poisson", "student_t"),
        ({"kind": "gaussian", "df": 3}, "df"),
        ({"kind": "student_t", "df": 2.0}, "above 2"),
        ({"kind": "student_t", "df": math.inf}, "above 2"),
        ({"kind": "categorical"}, "classes"),
        ({"kind": "categorical", "classes": 1}, "two classes"),
    ],
)
def test_specifications_that_make_no_sense_are_refused(spec, message):
    with pytest.raises(SurrogateError, match=message):
        make_likelihood(spec)

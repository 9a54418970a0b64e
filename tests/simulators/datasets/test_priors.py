"""Priors: ranges, shapes of the distributions, widening."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from scipy import stats

from simulators.datasets.priors import Fixed, LogUniform, Normal, Prior, Uniform

ADAPTER: TypeAdapter[Prior] = TypeAdapter(Prior)
SHARES = (np.arange(2000) + 0.5) / 2000


def test_each_has_its_distribution() -> None:
    uniform = Uniform(kind="uniform", low=-1.0, high=3.0).quantile(SHARES)
    log = LogUniform(kind="loguniform", low=1e-3, high=10.0).quantile(SHARES)
    normal = Normal(kind="normal", mean=1.0, sd=2.0, low=0.0, high=2.5).quantile(SHARES)
    assert stats.kstest(uniform, stats.uniform(-1, 4).cdf).pvalue > 0.99
    assert stats.kstest(log, stats.loguniform(1e-3, 10).cdf).pvalue > 0.99
    assert stats.kstest(normal, stats.truncnorm(-0.5, 0.75, 1.0, 2.0).cdf).pvalue > 0.99
    assert np.all(Fixed(kind="fixed", value=3.0).quantile(SHARES) == 3.0)


@given(st.floats(1e-3, 1e3), st.floats(1.1, 1e3), st.floats(0.01, 1.0))
def test_widened_ranges_are_wider_by_the_share(low: float, ratio: float, share: float) -> None:
    high = low * ratio
    uniform = Uniform(kind="uniform", low=low, high=high).widened(share)
    assert np.isclose(uniform.high - uniform.low, (1 + share) * (high - low))
    assert np.isclose(uniform.high + uniform.low, high + low)
    log = LogUniform(kind="loguniform", low=low, high=high).widened(share)
    assert np.isclose(np.log(log.high / log.low), (1 + share) * np.log(ratio))
    assert log.low > 0
    normal = Normal(kind="normal", mean=0.5 * (low + high), sd=low, low=low, high=high).widened(share)
    assert np.isclose(normal.sd, low * (1 + share))
    assert normal.low < low < high < normal.high


@pytest.mark.parametrize(
    ("prior", "text"),
    [
        ({"kind": "uniform", "low": 2.0, "high": 1.0}, "less than high"),
        ({"kind": "loguniform", "low": 0.0, "high": 1.0}, "greater than 0"),
        ({"kind": "normal", "mean": 3.0, "sd": 1.0, "low": 0.0, "high": 1.0}, "between low and high"),
        ({"kind": "normal", "mean": 0.5, "sd": 0.0, "low": 0.0, "high": 1.0}, "greater than 0"),
        ({"kind": "uniform", "low": 0.0, "high": float("inf")}, "finite"),
        ({"kind": "gamma", "value": 1.0}, "does not match any of the expected tags"),
    ],
)
def test_what_is_no_prior_is_refused(prior: dict[str, object], text: str) -> None:
    with pytest.raises(ValidationError, match=text):
        ADAPTER.validate_python(prior)

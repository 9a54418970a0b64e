"""When the model is fitted and when it is updated, and what it says of itself."""

from __future__ import annotations

import math

import pytest
import torch
from botorch.models import SingleTaskGP
from hypothesis import given
from hypothesis import strategies as st

from loop.belief import MIN_MEASURED, Belief, last_fit
from loop.records import Observation, Status
from loop.space import BoxSpace, Continuous
from surrogates.pbnn import PBNN

SPACE = BoxSpace([Continuous("x", 0, 1, "mm")])


def observation(k, *, sd=0.1):
    x = (0.37 * k) % 1
    sds = {} if sd is None else {"y": sd}
    return Observation(f"s{k}", {"x": x}, Status.MEASURED, values={"y": math.sin(5 * x)}, sds=sds)


class Updatable(SingleTaskGP):
    """A model that notes how it came about."""

    def __init__(self, X, Y, Yvar=None, *, seed=0, history=()):
        super().__init__(X, Y, Yvar)
        self.given = (X, Y, Yvar)
        self.history = history or (len(X),)
        self.eval()

    def update(self, X, Y, Yvar=None):
        joined = [
            None if old is None else torch.cat([old, new]) for old, new in zip(self.given, (X, Y, Yvar), strict=True)
        ]
        return Updatable(*joined, history=(*self.history, len(X)))

    def diagnostics(self):
        return {"engine": "spy", "converged": 1.0, "fit_s": 12.0}


def belief(n, *, surrogate=Updatable, refit=0.5, sds=0.1):
    made = Belief(SPACE, surrogate, ("y",), 0, refit)
    made.measured += [observation(k, sd=sds) for k in range(n)]
    return made


@given(n=st.integers(MIN_MEASURED, 400), growth=st.floats(0, 1))
def test_fits_are_never_further_apart_than_the_growth_allows(n, growth):
    at = last_fit(n, growth)
    assert MIN_MEASURED <= at <= n
    assert n < max(at + 1, math.ceil(at * (1 + growth)))
    assert last_fit(at, growth) == at


def test_between_fits_the_model_is_updated_from_the_last_fit_at_once():
    grown = belief(2)
    histories = []
    for k in range(2, 10):
        histories.append(grown.model().history)
        grown.measured.append(observation(k))
    assert histories == [(2,), (3,), (3, 1), (5,), (5, 1), (5, 2), (8,), (8, 1)]


@pytest.mark.parametrize("surrogate", [Updatable, PBNN])
def test_a_belief_that_begins_late_is_the_same(surrogate):
    early, late = belief(2, surrogate=surrogate), belief(7, surrogate=surrogate)
    for k in range(2, 7):
        early.model()
        early.measured.append(observation(k))
    X = torch.rand(5, 1, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    assert early.predict(X) == late.predict(X)


def test_zero_growth_fits_every_time():
    made = belief(2, refit=0.0)
    for k in range(2, 6):
        assert made.model().history == (k,)
        made.measured.append(observation(k))


def test_a_surrogate_that_cannot_update_is_fitted_once_for_each_point():
    fits = []

    def surrogate(X, Y, Yvar=None, *, seed=0):
        fits.append(len(X))
        return SingleTaskGP(X, Y, Yvar).eval()

    made = belief(2, surrogate=surrogate)
    for k in range(2, 8):
        made.model()
        made.measured.append(observation(k))
    assert fits == [2, 3, 4, 5, 6, 7]


def test_error_bars_that_end_make_a_new_fit():
    made = belief(3)
    assert made.model().history == (3,)
    made.measured.append(observation(3, sd=None))
    assert made.model().history == (4,)


def test_the_report_holds_no_times():
    assert belief(3).report() == {"engine": "spy", "converged": 1.0}
    silent = belief(3, surrogate=lambda X, Y, Yvar=None, *, seed=0: SingleTaskGP(X, Y, Yvar).eval())
    assert silent.report() == {}
    assert belief(3, surrogate=PBNN).report()["engine"] == "linearised"

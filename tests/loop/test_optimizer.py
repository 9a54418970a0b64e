"""The agent behind dictionaries, as blop and others know an optimizer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import pytest
from botorch.models import SingleTaskGP
from botorch.models.transforms import Standardize

from loop.agent import Agent, AgentError
from loop.errors import SpaceError
from loop.records import Origin, Status
from loop.space import BoxSpace, Continuous, PoolSpace


@runtime_checkable
class BlopOptimizer(Protocol):
    """What `blop.protocols.Optimizer`, `CanRegisterSuggestions` and `TrialFaultAware` ask for."""

    def suggest(self, num_points: int | None = None) -> Sequence[Mapping[str, Any]]: ...
    def ingest(self, points: Sequence[Mapping[str, Any]]) -> None: ...
    def get_best_points(self) -> Sequence[tuple[Any, Mapping[str, Any], Mapping[str, Any]]]: ...
    def register_suggestions(self, suggestions: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]: ...
    def register_failures(self, suggestions: Sequence[Mapping[str, Any]]) -> None: ...


def gp(train_X, train_Y, train_Yvar=None, *, seed=0):
    return SingleTaskGP(train_X, train_Y, train_Yvar, outcome_transform=Standardize(1)).eval()


@pytest.fixture
def optimizer():
    space = BoxSpace([Continuous("x", 0, 10, "mm")])
    return Agent(space, gp, "log_ei", observables=("y",), direction="minimise", n_initial=3).as_optimizer()


def test_it_has_blops_methods(optimizer):
    checked: BlopOptimizer = optimizer
    assert isinstance(checked, BlopOptimizer)


def test_a_loop_of_dictionaries_finds_the_minimum(optimizer):
    for _ in range(6):
        points = optimizer.suggest(2)
        assert len({p["_id"] for p in points}) == 2
        # In another order, as a routed acquisition may return them.
        optimizer.ingest([{"_id": p["_id"], "y": (p["x"] - 3) ** 2, "y_sd": 0.2} for p in reversed(points)])
    assert optimizer.agent.measured[0].sds == {"y": 0.2}
    ((identity, parameters, outcome),) = optimizer.get_best_points()
    assert parameters["x"] == pytest.approx(3, abs=0.3)
    assert outcome["y"] == pytest.approx((parameters["x"] - 3) ** 2)
    assert identity in {s.id for s in optimizer.agent.suggestions}


def test_one_point_is_the_default(optimizer):
    (point,) = optimizer.suggest()
    assert set(point) == {"_id", "x"}
    assert optimizer.get_best_points() == []


def test_outcomes_from_elsewhere_enter_as_manual_points(optimizer):
    optimizer.ingest([{"x": 4.0, "y": 1.0}, {"_id": "baseline", "x": 5.0, "y": 4.0}])
    assert [s.origin for s in optimizer.agent.suggestions] == [Origin.MANUAL, Origin.MANUAL]
    assert [o.values["y"] for o in optimizer.agent.measured] == [1.0, 4.0]
    with pytest.raises(SpaceError, match="'x' is missing"):
        optimizer.ingest([{"y": 1.0}])
    with pytest.raises(AgentError, match=r"lacks \['y'\]"):
        optimizer.ingest([{"x": 1.0}])


def test_registered_and_failed_suggestions(optimizer):
    (point,) = optimizer.register_suggestions([{"_id": "theirs", "x": 2.0}])
    assert point["_id"] != "theirs"
    assert point["x"] == 2.0
    optimizer.register_failures([point])
    assert optimizer.agent.observations[0].status is Status.FAILED
    with pytest.raises(AgentError, match="'nobody', which was never suggested"):
        optimizer.register_failures([{"_id": "nobody", "x": 1}])


def test_an_outcome_that_is_no_number_counts_as_failed(optimizer):
    (point,) = optimizer.suggest()
    optimizer.ingest([{"_id": point["_id"], "y": float("nan")}])
    (outcome,) = optimizer.agent.observations
    assert outcome.status is Status.FAILED
    assert "['y']" in outcome.reason


def test_a_pools_samples_keep_their_identity():
    pool = PoolSpace(["a", "b"], [[1.0], [2.0]], ["dose"])
    optimizer = Agent(pool, gp, "random", observables=("y",), n_initial=1).as_optimizer()
    (point,) = optimizer.suggest()
    assert set(point) == {"_id", "sample", "dose"}
    optimizer.ingest([{"sample": "b" if point["sample"] == "a" else "a", "y": 2.0}])
    assert optimizer.agent.remaining == 0
    assert optimizer.get_best_points() == []

from __future__ import annotations

from dataclasses import replace

import pytest

from loop.records import Observation, Origin, Prediction, Status, Suggestion
from loop.stopping import (
    AllOf,
    MaxPoints,
    MaxTime,
    NoImprovement,
    PredictedSdBelow,
    StoppingError,
    StoppingRule,
    StopState,
    TargetReached,
)


def state(*values, lost=0, **kwargs):
    """A campaign that measured these values of y, after so many lost points."""
    outcomes = [Observation(f"l{i}", {}, Status.FAILED) for i in range(lost)]
    outcomes += [Observation(f"m{i}", {}, Status.MEASURED, values={"y": v}) for i, v in enumerate(values)]
    return StopState(**{"observations": tuple(outcomes), "objective": "y", "direction": "maximise", **kwargs})


def predicted(*sds):
    return tuple(
        Suggestion(
            str(i), i, {}, Origin.ACQUISITION, prediction=None if sd is None else Prediction({"y": 0}, {"y": sd})
        )
        for i, sd in enumerate(sds)
    )


def test_max_points_counts_what_is_measured_and_in_flight():
    rule = MaxPoints(3)
    assert rule.reason(state(1, 2, lost=1)) is None
    assert rule.reason(state(1, 2, 3)) == "3 points are measured"
    assert rule.reason(state(1, 2, in_flight=1)) == "3 points are measured"


def test_max_points_gives_up_when_everything_is_lost():
    rule = MaxPoints(4)
    assert rule.reason(state(1, lost=6)) is None
    reason = rule.reason(state(1, lost=7))
    assert reason.startswith("8 points were tried for 4 measured ones, and only 1 could be measured")
    assert MaxPoints(4, patience=3).reason(state(1, lost=7)) is None


def test_max_time():
    assert MaxTime(2).reason(state(elapsed_s=119.9)) is None
    assert MaxTime(2).reason(state(elapsed_s=120)) == "2 minutes are over"


@pytest.mark.parametrize(
    ("direction", "values", "stops"),
    [
        ("maximise", (1, 5, 2), True),
        ("maximise", (1, 4.9), False),
        ("minimise", (9, 5), True),
        ("minimise", (9, 5.1), False),
        ("maximise", (), False),
    ],
)
def test_target_reached(direction, values, stops):
    reason = TargetReached("y", 5, direction).reason(state(*values))
    assert (reason is not None) is stops
    if stops:
        assert reason == "y has reached 5 (target 5)"


@pytest.mark.parametrize(
    ("direction", "values", "stops"),
    [
        ("maximise", (1, 3, 2, 3), True),
        ("maximise", (1, 2, 3), False),
        ("maximise", (3, 2), False),
        ("minimise", (3, 2, 2.5, 2), True),
        ("minimise", (3, 2.5, 2), False),
    ],
)
def test_no_improvement(direction, values, stops):
    reason = NoImprovement(2).reason(state(*values, direction=direction))
    assert (reason is not None) is stops


def test_no_improvement_forgives_small_gains_and_ignores_lost_and_pending_points():
    values = (1, 3, 3.05, 3.08)
    assert NoImprovement(2).reason(state(*values)) is None
    assert "not improved over the last 2" in NoImprovement(2, tolerance=0.1).reason(state(*values))
    assert NoImprovement(3).reason(state(3, 2, 1, in_flight=1, lost=5)) is None


def test_no_improvement_needs_a_direction():
    with pytest.raises(StoppingError, match="needs a direction"):
        NoImprovement(2).reason(state(1, 2, 3, direction=None))


def test_predicted_sd_below():
    rule = PredictedSdBelow(0.1, window=2)
    assert rule.reason(state(suggestions=predicted(None, 0.5, 0.05))) is None
    assert rule.reason(state(suggestions=predicted(None, 0.09, 0.1))) is None
    assert rule.reason(state(suggestions=predicted(None, None))) is None
    assert "predicted to 0.09 in y" in rule.reason(state(suggestions=predicted(None, 0.5, 0.09, 0.05)))


def test_predicted_sd_below_does_not_look_at_follow_ups_of_reactions():
    rule = PredictedSdBelow(0.1, window=2)
    suggestions = predicted(0.05, 0.5, 0.05, 0.05)
    again = tuple(replace(s, origin=Origin.REACTION) for s in suggestions[2:])
    assert rule.reason(state(suggestions=suggestions)) is not None
    assert rule.reason(state(suggestions=(*suggestions[:2], *again))) is None


def test_rules_compose():
    points, time = MaxPoints(2), MaxTime(1)
    either, both = points | time, points & time
    assert either.reason(state(1, 2)) == "2 points are measured"
    assert either.reason(state(1, elapsed_s=60)) == "1 minutes are over"
    assert either.reason(state(1)) is None
    assert both.reason(state(1, 2)) is None
    assert both.reason(state(1, elapsed_s=60)) is None
    assert both.reason(state(1, 2, elapsed_s=60)) == "2 points are measured and 1 minutes are over"
    nested = points & time | TargetReached("y", 9, "maximise")
    assert nested.reason(state(9)) == "y has reached 9 (target 9)"
    assert nested == (points & time) | TargetReached("y", 9, "maximise")
    assert AllOf(()).reason(state()) is None


def test_a_rule_of_ones_own_composes():
    class Odd(StoppingRule):
        def reason(self, state):
            return "odd" if state.measured % 2 else None

    assert (Odd() | MaxPoints(5)).reason(state(1)) == "odd"


@pytest.mark.parametrize(
    "make",
    [
        lambda: MaxPoints(0),
        lambda: MaxPoints(3, patience=0.5),
        lambda: MaxTime(0),
        lambda: MaxTime(float("nan")),
        lambda: TargetReached("y", float("nan"), "maximise"),
        lambda: TargetReached("y", 1, "max"),
        lambda: NoImprovement(0),
        lambda: NoImprovement(3, tolerance=-1),
        lambda: PredictedSdBelow(0),
        lambda: PredictedSdBelow(1, window=0),
    ],
)
def test_rules_that_make_no_sense_are_refused(make):
    with pytest.raises(StoppingError, match="expected"):
        make()

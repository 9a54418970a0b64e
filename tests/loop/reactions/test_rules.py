"""When a reaction is triggered."""

import math

import pytest

from loop.reactions import Condition, Note, ReactionError, Rule
from loop.records import Observation, Status


def outcome(value, sd=None, status=Status.MEASURED):
    return Observation("s", {"x": 0.0}, status, {"y": value}, {} if sd is None else {"y": sd})


@pytest.mark.parametrize(
    ("condition", "value", "sd", "holds"),
    [
        (Condition("y", "above", 2.0), 2.1, 0.5, True),
        (Condition("y", "above", 2.0), 2.0, 0.5, False),
        (Condition("y", "below", 2.0), 1.9, None, True),
        (Condition("y", "below", 2.0), 2.1, None, False),
        (Condition("y", "above", 2.0, 3.0), 3.4, 0.5, False),
        (Condition("y", "above", 2.0, 3.0), 3.6, 0.5, True),
        (Condition("y", "below", 2.0, 3.0), 0.4, 0.5, True),
        (Condition("y", "below", 2.0, 3.0), 0.6, 0.5, False),
        # Nobody knows how significant it is.
        (Condition("y", "above", 2.0, 3.0), 100.0, None, False),
        (Condition("y", "above", 2.0, 3.0), 100.0, math.nan, False),
        (Condition("z", "above", 2.0), 100.0, 1.0, False),
    ],
)
def test_a_condition(condition, value, sd, holds):
    assert condition.holds(outcome(value, sd)) is holds


@pytest.mark.parametrize("status", [Status.REJECTED, Status.FAILED, Status.ABANDONED])
def test_only_measured_outcomes_count(status):
    assert not Condition("y", "above", 0.0).holds(outcome(5.0, 0.1, status))


def test_contradictions_are_refused():
    with pytest.raises(ReactionError, match="finite threshold"):
        Condition("y", "above", math.nan)
    with pytest.raises(ReactionError, match="side"):
        Condition("y", "beyond", 1.0)
    with pytest.raises(ReactionError, match="significance"):
        Condition("y", "above", 1.0, -1.0)
    with pytest.raises(ReactionError, match="at_most"):
        Rule("r", Condition("y", "above", 1.0), Note(), at_most=0)

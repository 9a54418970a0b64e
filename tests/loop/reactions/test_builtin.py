"""What the built-in reactions ask for."""

import numpy as np
import pytest

from loop.errors import SpaceError
from loop.reactions import FollowUp, LookAround, Note, ReactionError, Remeasure, Situation
from loop.records import Observation, Origin, Status, Suggestion
from loop.space import BoxSpace, Continuous, LinearConstraint, PoolSpace

BOX = BoxSpace([Continuous("x", 0, 10, "mm"), Continuous("T", 300, 700, "degC")])


def ask(reaction, point, space=BOX, taken=(), unknown=(), exclusion=0.01):
    suggestion = Suggestion("s", 0, point, Origin.INITIAL)
    observation = Observation("s", point, Status.MEASURED, values={"y": 1.0})
    situation = Situation(space, (point, *taken), tuple(unknown), exclusion)
    return list(reaction(suggestion, observation, situation))


def places(asked, space=BOX):
    return space.encode([follow_up.point for follow_up in asked]).numpy()


def test_remeasuring_is_the_same_point_with_a_longer_exposure():
    assert ask(Remeasure(exposure_factor=3.0), {"x": 2.0, "T": 400.0}) == [FollowUp({"x": 2.0, "T": 400.0}, 3.0)]
    assert ask(Note(), {"x": 2.0, "T": 400.0}) == []


@pytest.mark.parametrize("point", [{"x": 5.0, "T": 500.0}, {"x": 0.0, "T": 700.0}, {"x": 9.9, "T": 430.0}])
def test_looking_around_stays_near_and_inside_and_is_spread_out(point):
    asked = ask(LookAround(points=4, radius=0.05), point)
    assert len(asked) == 4
    assert all(follow_up.exposure_factor == 1 for follow_up in asked)
    around, centre = places(asked), places([FollowUp(point)])
    assert np.abs(around - centre).max() <= 0.05 + 1e-9
    assert around.min() >= 0
    assert around.max() <= 1
    everything = np.vstack([around, centre])
    distance = np.linalg.norm(everything[:, None] - everything, axis=-1) + np.eye(5)
    # Four points in the area that is left, and the centre: none crowd together.
    assert distance.min() > 0.03


def test_looking_around_one_parameter_goes_both_ways():
    line = BoxSpace([Continuous("x", 0, 1)])
    asked = ask(LookAround(points=2, radius=0.1), {"x": 0.5}, line)
    first, second = sorted(follow_up.point["x"] for follow_up in asked)
    assert first == pytest.approx(0.4, abs=0.002)
    assert second == pytest.approx(0.6, abs=0.002)


def test_looking_around_again_takes_other_places():
    point = {"x": 5.0, "T": 500.0}
    first = ask(LookAround(points=4, radius=0.05), point)
    again = ask(LookAround(points=4, radius=0.05), point, taken=[f.point for f in first])
    distance = np.linalg.norm(places(first)[:, None] - places(again), axis=-1)
    assert distance.min() > 0.02


def test_looking_around_keeps_clear_of_lost_points_and_obeys_constraints():
    point = {"x": 5.0, "T": 500.0}
    lost = {"x": 5.4, "T": 500.0}
    asked = ask(LookAround(points=30, radius=0.05), point, unknown=[lost], taken=[lost], exclusion=0.03)
    assert len(asked) == 30
    assert np.abs(places(asked) - places([FollowUp(lost)])).max(axis=1).min() > 0.03
    half = BoxSpace(BOX.parameters, [LinearConstraint({"x": 1.0}, 5.0)])
    asked = ask(LookAround(points=6, radius=0.05), point, half)
    assert len(asked) == 6
    assert max(follow_up.point["x"] for follow_up in asked) <= 5.0


def test_looking_around_where_nothing_is_free_asks_for_nothing():
    point = {"x": 5.0, "T": 500.0}
    assert ask(LookAround(radius=0.05), point, unknown=[point], exclusion=0.2) == []


def test_looking_around_in_a_pool_takes_the_nearest_that_are_left():
    pool = PoolSpace([f"s{k}" for k in range(8)], [[k, 0.0] for k in range(8)], ["a", "b"])
    asked = ask(LookAround(points=3), pool.at(3), pool, taken=[pool.at(2), pool.at(6)])
    assert [follow_up.point["sample"] for follow_up in asked] == ["s4", "s1", "s5"]
    rest = ask(LookAround(points=9), pool.at(0), pool, taken=[pool.at(k) for k in range(1, 7)])
    assert [follow_up.point["sample"] for follow_up in rest] == ["s7"]


@pytest.mark.parametrize(
    ("reaction", "options", "words"),
    [
        (Remeasure, {"exposure_factor": 0.0}, "exposure_factor"),
        (LookAround, {"points": 0}, "points"),
        (LookAround, {"points": 2.5}, "whole number"),
        (LookAround, {"radius": 0.0}, "radius"),
        (LookAround, {"radius": 1.5}, "radius"),
    ],
)
def test_options_out_of_range_are_refused(reaction, options, words):
    with pytest.raises(ReactionError, match=words):
        reaction(**options)


def test_what_is_free():
    here, lost = {"x": 5.0, "T": 500.0}, {"x": 1.0, "T": 350.0}
    situation = Situation(BOX, (here, lost), (lost,), 0.01)
    assert not situation.free(here)
    assert situation.free({"x": 5.001, "T": 500.0})  # measured points may have close neighbours,
    assert not situation.free({"x": 1.05, "T": 351.0})  # lost ones not
    assert situation.free({"x": 1.2, "T": 351.0})
    assert not situation.free({"x": 11.0, "T": 500.0})
    assert not situation.free({"x": 5.5})
    pool = PoolSpace(["a", "b"], [[0.0], [1.0]], ["f"])
    assert not Situation(pool, (pool.at(0),), (), 0.01).free({"sample": "a"})
    assert Situation(pool, (pool.at(0),), (), 0.01).free({"sample": "b"})
    with pytest.raises(SpaceError):
        pool.validate({"sample": "c"})
    assert not Situation(pool, (), (), 0.01).free({"sample": "c"})

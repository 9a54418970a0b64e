from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from loop.errors import SpaceError
from loop.space import BoxSpace, Continuous, LinearConstraint, PoolSpace

BOX = BoxSpace([Continuous("T", 200, 600, "°C"), Continuous("x", -1.5, 2.5, "mm")])
POOL = PoolSpace(
    ["a", "b", "c", "d", "e"],
    [[1.0, 7.0, 0.1], [3.0, 7.0, 0.2], [3.0, 7.0, 0.2], [9.0, 7.0, 0.4], [2.0, 7.0, 0.9]],
    ["dose", "constant", "ph"],
    ["kGy", "", ""],
)

finite = st.floats(-1e6, 1e6)


@st.composite
def boxes(draw):
    parameters = []
    for i in range(draw(st.integers(1, 4))):
        low = draw(finite)
        parameters.append(Continuous(f"p{i}", low, low + draw(st.floats(1e-3, 1e6))))
    return BoxSpace(parameters)


@st.composite
def pools(draw):
    n, d = draw(st.integers(1, 12)), draw(st.integers(1, 3))
    # Few distinct values, so that constants and replicates come up.
    values = draw(st.lists(st.sampled_from([0.0, 1.0, -2.5, 1e5]), min_size=n * d, max_size=n * d))
    return PoolSpace([f"s{i}" for i in range(n)], np.reshape(values, (n, d)), [f"f{i}" for i in range(d)])


@given(boxes(), st.integers(0, 2**32 - 1))
def test_a_boxs_points_lie_inside_and_survive_the_round_trip(space, seed):
    points = space.initial(5, seed=seed) + space.random(5, seed=seed)
    X = space.encode(points)
    assert X.shape == (10, len(space.names))
    assert X.dtype == torch.float64
    assert float(X.min()) >= -1e-9
    assert float(X.max()) <= 1 + 1e-9
    for point, back in zip(points, space.decode(X), strict=True):
        assert space.validate(point) == point
        space.validate(back)
        for p in space.parameters:
            assert back[p.name] == pytest.approx(point[p.name], abs=1e-9 * (p.high - p.low) + 1e-12 * abs(p.low))


@given(boxes(), st.integers(0, 2**32 - 1), st.integers(1, 9))
def test_a_longer_beginning_starts_with_the_shorter_one(space, seed, n):
    assert space.initial(n + 3, seed=seed)[:n] == space.initial(n, seed=seed)


def test_encoding_is_the_unit_cube():
    X = BOX.encode([{"T": 200, "x": 2.5}, {"T": 400.0, "x": 0.5}])
    assert torch.equal(X, torch.tensor([[0.0, 1.0], [0.5, 0.5]], dtype=torch.float64))
    assert BOX.encode([]).shape == (0, 2)
    # A motor's read-back may lie a little outside.
    assert BOX.encode([{"T": 600.4, "x": 0}])[0, 0] == pytest.approx(1.001)


def test_decoding_never_leaves_the_bounds():
    assert BOX.decode(torch.tensor([[1 + 1e-12, -1e-12]], dtype=torch.float64)) == [{"T": 600.0, "x": -1.5}]


def test_initial_points_fill_the_box_better_than_random_ones():
    X = BOX.encode(BOX.initial(64, seed=1))
    assert stats.qmc.discrepancy(X.numpy()) < 0.5 * stats.qmc.discrepancy(BOX.encode(BOX.random(64, seed=1)).numpy())


def test_seeds_matter_and_the_global_state_does_not():
    torch.manual_seed(0)
    first = BOX.initial(3, seed=1), BOX.random(3, seed=1), POOL.initial(3, seed=1), POOL.random(3, seed=1)
    torch.manual_seed(99)
    assert first == (BOX.initial(3, seed=1), BOX.random(3, seed=1), POOL.initial(3, seed=1), POOL.random(3, seed=1))
    assert BOX.initial(3, seed=1) != BOX.initial(3, seed=2)
    assert BOX.random(3, seed=1) != BOX.random(3, seed=2)


@pytest.mark.parametrize(
    ("point", "message"),
    [
        ({"T": 610, "x": 0}, r"'T': 610.0 °C is outside 200 .. 600 °C"),
        ({"T": 300}, r"'x' is missing from point {'T': 300}"),
        ({"T": math.nan, "x": 0}, r"'T': expected a finite number in °C, got nan"),
        ({"T": "hot", "x": 0}, r"'T': expected a finite number in °C, got 'hot'"),
        ({"T": True, "x": 0}, r"'T': expected a finite number in °C, got True"),
        ({"T": 300, "x": 0, "y": 1}, r"has \['y'\]; this space has only \['T', 'x'\]"),
    ],
)
def test_a_box_says_what_is_wrong_with_a_point(point, message):
    with pytest.raises(SpaceError, match=message):
        BOX.validate(point)


def test_validate_gives_the_canonical_form():
    point = BOX.validate({"x": 0, "T": 300})
    assert list(point.items()) == [("T", 300.0), ("x", 0.0)]
    assert isinstance(point["x"], float)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: BoxSpace([]), "at least one parameter"),
        (lambda: BoxSpace([Continuous("x", 0, 1), Continuous("x", 0, 2)]), "must be distinct"),
        (lambda: Continuous("x", 1, 1, "mm"), "'x': expected finite low < high, got 1 .. 1 mm"),
        (lambda: Continuous("x", 0, math.inf), "got 0 .. inf"),
        (lambda: Continuous("", 0, 1), "needs a name"),
        (lambda: BoxSpace([Continuous("sample", 0, 1)]), "'sample' is reserved"),
        (
            lambda: BoxSpace([Continuous("x", 0, 1)], [LinearConstraint({"z": 1.0}, 1)]),
            r"1\*z <= 1 names \['z'\], but the space has \['x'\]",
        ),
        (lambda: BoxSpace([Continuous("x", 0, 1)], [LinearConstraint({"x": 1.0}, -1)]), r"only 0 of .*1\*x <= -1"),
        (lambda: PoolSpace(["a"], [[1.0, 2.0]], ["f"]), r"expected features of shape \(1, 1\).* got \(1, 2\)"),
        (lambda: PoolSpace([], np.empty((0, 1)), ["f"]), "at least one row"),
        (lambda: PoolSpace(["a", "a"], [[1.0], [2.0]], ["f"]), "the id 'a' is used 2 times"),
        (lambda: PoolSpace(["a", "b"], [[1.0], [math.nan]], ["f"]), "sample 'b' has 'f' = nan"),
        (lambda: PoolSpace(["a"], [[1.0]], ["f"], ["m", "s"]), "2 units for 1 features"),
    ],
)
def test_a_space_that_contradicts_itself_is_refused(make, message):
    with pytest.raises(SpaceError, match=message):
        make()


def test_constraints_cut_the_box():
    space = BoxSpace(
        [Continuous("x", 0, 10), Continuous("y", 0, 10)], [LinearConstraint({"x": 1.0, "y": 1.0}, upper=5.0)]
    )
    points = space.initial(50, seed=0) + space.random(50, seed=0)
    assert all(p["x"] + p["y"] <= 5 for p in points)
    assert space.initial(20, seed=0) == space.initial(50, seed=0)[:20]
    assert space.feasible(torch.tensor([[0.5, 0.0], [0.5, 0.1]], dtype=torch.float64)).tolist() == [True, False]
    with pytest.raises(SpaceError, match=r"breaks the constraint 1\*x \+ 1\*y <= 5"):
        space.validate({"x": 3, "y": 3})
    # On the border, where rounding decides.
    thirds = BoxSpace([Continuous("x", 0, 1)], [LinearConstraint({"x": 0.1}, upper=0.1 * (1 / 3))])
    assert thirds.validate({"x": 1 / 3}) == {"x": 1 / 3}


@given(pools(), st.integers(0, 2**32 - 1), st.data())
def test_a_pools_points_are_distinct_samples(space, seed, data):
    n = data.draw(st.integers(0, len(space)))
    for points in (space.initial(n, seed=seed), space.random(n, seed=seed)):
        assert len({p["sample"] for p in points}) == n
        for point in points:
            assert space.validate(point) == point
            assert space.at(space.index(point)) == point
    assert space.initial(len(space), seed=seed)[:n] == space.initial(n, seed=seed)


@given(pools())
def test_a_pools_candidates_fill_the_cube(space):
    X = space.candidates
    varying = space.features.min(axis=0) != space.features.max(axis=0)
    assert (X[:, ~varying] == 0.5).all()
    assert (X[:, varying].amin(dim=0) == 0).all()
    assert (X[:, varying].amax(dim=0) == 1).all()
    assert torch.equal(space.encode([space.at(i) for i in range(len(space))]), X)
    for row, point in zip(X, space.decode(X), strict=True):
        assert torch.equal(space.encode([point])[0], row)


def test_replicates_are_different_samples_and_come_last():
    assert POOL.at(1) != POOL.at(2)
    assert torch.equal(POOL.candidates[1], POOL.candidates[2])
    for seed in range(20):
        first = [p["sample"] for p in POOL.initial(4, seed=seed)]
        assert not {"b", "c"} <= set(first)


def test_initial_samples_spread_over_a_skewed_pool():
    features = np.geomspace(1, 1e6, 100).reshape(-1, 1)
    pool = PoolSpace([str(i) for i in range(100)], features, ["f"])
    rows = sorted(pool.index(p) for p in pool.initial(10, seed=3))
    # One in each tenth of the pool, although nearly all of it lies in the lowest percent of the range.
    assert all(abs(row - (10 * i + 5)) < 12 for i, row in enumerate(rows))


def test_a_pool_knows_its_samples_by_id():
    assert POOL.validate({"sample": "d"}) == {"sample": "d", "dose": 9.0, "constant": 7.0, "ph": 0.4}
    with pytest.raises(SpaceError, match=r"sample 'z' is not in the pool of 5: 'a' .. 'e'"):
        POOL.validate({"sample": "z"})
    with pytest.raises(SpaceError, match="has no 'sample'"):
        POOL.encode([{"dose": 1.0}])
    with pytest.raises(SpaceError, match=r"sample 'd': 'dose' = 8.0 contradicts the pool's 9.0"):
        POOL.validate({"sample": "d", "dose": 8.0})
    with pytest.raises(SpaceError, match="has 'colour'; the pool's features are"):
        POOL.validate({"sample": "d", "colour": 1.0})
    with pytest.raises(SpaceError, match="6 points asked of a pool of 5"):
        POOL.random(6, seed=0)
    with pytest.raises(SpaceError, match="no row of the pool; the nearest is sample 'a'"):
        POOL.decode(torch.tensor([[0.01, 0.5, 0.0]], dtype=torch.float64))


def test_a_pools_features_cannot_be_changed():
    with pytest.raises(ValueError, match="read-only"):
        POOL.features[0, 0] = 5


def test_a_feature_is_seen_on_its_scale():
    features = [[1.0, 1.0, 1.0], [10.0, 10.0, 2.0], [100.0, 11.0, 3.0], [1000.0, 1000.0, 4.0]]
    pool = PoolSpace("abcd", features, ["a", "b", "c"], scales=["log", "rank", "linear"])
    assert all(column.tolist() == pytest.approx([0, 1 / 3, 2 / 3, 1]) for column in pool.candidates.T)
    assert pool.at(2) == {"sample": "c", "a": 100.0, "b": 11.0, "c": 3.0}


def test_scales_that_cannot_be_are_refused():
    with pytest.raises(SpaceError, match=r"'x'.*log scale.*'b' has 0"):
        PoolSpace("ab", [[1.0], [0.0]], ["x"], scales=["log"])
    with pytest.raises(SpaceError, match="2 scales for 1 features"):
        PoolSpace("ab", [[1.0], [2.0]], ["x"], scales=["log", "rank"])

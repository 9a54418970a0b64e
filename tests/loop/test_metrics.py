from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from loop import metrics
from loop.records import Observation, Origin, Prediction, Status, Suggestion

RNG = np.random.default_rng(np.random.SeedSequence(1))


def test_rmse():
    assert metrics.rmse([1, 2, 3], [1, 2, 6]) == pytest.approx(math.sqrt(3))
    assert metrics.rmse([1, 2, 3], [1, 4, math.nan]) == pytest.approx(math.sqrt(2))


def test_nlpd_is_the_gaussian_density():
    mean, sd, y = RNG.normal(size=20), RNG.uniform(0.5, 2, 20), RNG.normal(size=20)
    assert metrics.nlpd(mean, sd, y) == pytest.approx(-stats.norm.logpdf(y, mean, sd).mean())
    assert metrics.nlpd([0.0], [1.0], [0.0]) == pytest.approx(0.5 * math.log(2 * math.pi))


def test_coverage():
    assert metrics.half_width(0.95) == pytest.approx(1.959964, abs=1e-6)
    assert metrics.coverage([0] * 4, [1] * 4, [0, 1.9, -1.95, 2.0]) == 0.75
    assert metrics.coverage([0] * 2, [1] * 2, [0.6, 0.7], level=0.5) == 0.5
    with pytest.raises(ValueError, match="between 0 and 1, got 95"):
        metrics.half_width(95)


def test_calibration_of_honest_and_dishonest_predictions():
    y = RNG.normal(size=20000)
    nominal, actual = metrics.calibration(np.zeros_like(y), np.ones_like(y), y)
    assert np.allclose(nominal, actual, atol=0.02)
    assert metrics.calibration_error(np.zeros_like(y), np.ones_like(y), y) < 0.01
    # Twice too narrow: the nominal p interval holds what lies inside half its width.
    _, narrow = metrics.calibration(np.zeros_like(y), 0.5 * np.ones_like(y), y, levels=[0.95])
    assert narrow[0] == pytest.approx(2 * stats.norm.cdf(0.98) - 1, abs=0.02)


def test_forecasts_pair_predictions_with_what_was_measured():
    def suggestion(i, mean=None):
        prediction = None if mean is None else Prediction({"y": mean, "z": 0}, {"y": 0.5, "z": 1})
        return Suggestion(f"s{i}", i, {}, Origin.ACQUISITION, prediction)

    suggestions = [suggestion(0), suggestion(1, 1.0), suggestion(2, 2.0), suggestion(3, 3.0), suggestion(4, 4.0)]
    observations = [
        Observation("s0", {}, Status.MEASURED, {"y": 9, "z": 9}),
        Observation("s2", {}, Status.MEASURED, {"y": 3, "z": 9}),
        Observation("s1", {}, Status.MEASURED, {"y": 1.5, "z": 9}),
        Observation("s3", {}, Status.REJECTED, {"y": 100}),
    ]
    found = metrics.forecasts(suggestions, observations, "y")
    assert found.iteration.tolist() == [1, 2]
    assert found.mean.tolist() == [1.0, 2.0]
    assert found.observed.tolist() == [1.5, 3.0]
    assert found.z.tolist() == [1.0, 2.0]
    assert len(metrics.forecasts(suggestions, [], "y")) == 0


@given(st.lists(st.floats(-1e6, 1e6), min_size=1))
def test_best_so_far(values):
    best = metrics.best_so_far(values, "maximise")
    assert best.tolist() == [max(values[: i + 1]) for i in range(len(values))]
    assert metrics.best_so_far([-v for v in values], "minimise").tolist() == [-b for b in best]


def test_best_so_far_passes_over_nan():
    assert metrics.best_so_far([2, math.nan, 1], "minimise").tolist() == [2, 2, 1]


def test_measurements_to_reach():
    assert metrics.measurements_to_reach([1, 5, 3, 6], 4, "maximise") == 2
    assert metrics.measurements_to_reach([1, 5, 3, 0], 0.5, "minimise") == 4
    assert metrics.measurements_to_reach([1, 5], 5.1, "maximise") == math.inf
    assert metrics.measurements_to_reach([math.nan, 5], 5, "maximise") == 2


def test_area_under_curve_is_a_mean_height():
    assert metrics.area_under_curve([2, 2, 2]) == 2
    assert metrics.area_under_curve([0, 1, 2]) == 1
    assert metrics.area_under_curve([0, 1, 1], x=[0, 1, 3]) == pytest.approx((0.5 + 2) / 3)
    assert metrics.area_under_curve([4]) == 4


def test_bootstrap_interval_is_that_of_the_mean():
    sample = RNG.normal(3, 2, size=400)
    found = metrics.bootstrap([sample], lambda a: float(a.mean()), seed=0)
    standard_error = sample.std() / 20
    assert found.value == pytest.approx(sample.mean())
    assert found.low == pytest.approx(sample.mean() - 1.96 * standard_error, abs=0.3 * standard_error)
    assert found.high == pytest.approx(sample.mean() + 1.96 * standard_error, abs=0.3 * standard_error)
    assert found == metrics.bootstrap([sample], lambda a: float(a.mean()), seed=0)
    assert str(metrics.Interval(2, 1.5, 3.25)) == "2 [1.5, 3.25]"


def test_paired_bootstrap_keeps_pairs_together():
    a = RNG.normal(size=50)
    found = metrics.bootstrap([a, a + 1], lambda x, y: float((y - x).mean()), seed=0, paired=True)
    assert (found.low, found.high) == pytest.approx((1, 1))
    with pytest.raises(ValueError, match="equally long"):
        metrics.bootstrap([a, a[:3]], lambda x, y: 0.0, seed=0, paired=True)


def test_acceleration_factor():
    found = metrics.acceleration_factor([10, 12, 8] * 10, [40, 50, 45] * 10, seed=0)
    assert found.value == 4.5
    assert 3 < found.low <= 4.5 <= found.high < 6.5
    assert metrics.acceleration_factor([10, math.inf, 8], [math.inf] * 3, seed=0).value == math.inf
    assert metrics.acceleration_factor([math.inf] * 3, [5, 6, 7], seed=0).value == 0
    assert metrics.acceleration_factor([math.inf] * 3, [math.inf] * 3, seed=0).value == 1


@pytest.mark.parametrize("columns", [([1, 2], [1]), ([], []), ([[1]], [[1]])])
def test_shapes_are_checked(columns):
    with pytest.raises(ValueError, match=r"expected arrays of one shape \(n,\)"):
        metrics.rmse(*columns)

"""The analysis of campaigns whose truth is known."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binomtest, norm

from loop.findings import analyse
from loop.findings.calibration import calibration
from loop.findings.learning import stays_below
from loop.findings.records import PointRow
from loop.findings.search import search
from loop.findings.verdicts import verdicts
from loop.records import Origin, Status


def run(campaign, repeats=2, **changes):
    history = replace(campaign.history, **changes) if changes else campaign.history
    return analyse(history, agent_factory=campaign.factory, experiment=campaign.experiment, repeats=repeats, seed=1)


@pytest.fixture(scope="module")
def found_map(map_campaign):
    return run(map_campaign)


@pytest.fixture(scope="module")
def found_pool(pool_campaign):
    return run(pool_campaign)


def row(iteration, predicted=None, sd=None, measured=None, status=Status.MEASURED, truth=None):
    pull = None if predicted is None or measured is None else (measured - predicted) / sd
    return PointRow(
        iteration,
        {"x": 0.0},
        Origin.ACQUISITION,
        status,
        predicted,
        sd,
        measured,
        0.1,
        pull,
        truth,
        "",
        1,
        0.1,
        0.0,
        1.0,
    )


def test_nothing_is_left_out_in_silence(found_map, found_pool):
    for found in (found_map, found_pool):
        assert not [r for r in found.remarks if r.startswith("Left out")]


def test_setting_carries_units(found_map):
    setting = found_map.setting
    assert (setting.observable, setting.unit, setting.direction) == ("invariant", "1/cm", None)
    assert setting.parameter_units == {"temperature": "°C", "composition": ""}
    assert setting.objective == "map of invariant"


def test_the_grid_is_oriented_as_it_says(found_map, map_campaign):
    reference = found_map.reference
    temperature, composition = (axis.values for axis in reference.axes)
    assert (temperature[0], temperature[-1], composition[0], composition[-1]) == (300, 900, 0, 1)
    for i, j in ((0, 0), (10, 50), (59, 3)):
        point = {"temperature": temperature[j], "composition": composition[i]}
        assert reference.truth[i, j] == pytest.approx(map_campaign.experiment.truth([point])["invariant"][0])
    assert reference.rmse == pytest.approx(np.sqrt(np.mean((reference.mean - reference.truth) ** 2)))
    assert reference.rmse < 0.3 * reference.truth_spread


def test_the_belief_is_the_surrogate_s(found_map, map_campaign):
    agent = map_campaign.factory()
    for step in map_campaign.history.steps:
        agent.register(step.suggestion)
        agent.ingest(step.observation)
    axes = found_map.reference.axes
    point = {"temperature": axes[0].values[20], "composition": axes[1].values[40]}
    posterior = agent.model().posterior(agent.space.encode([point]))
    assert found_map.reference.mean[40, 20] == pytest.approx(float(posterior.mean.detach()), abs=1e-6)
    assert found_map.reference.sd[40, 20] == pytest.approx(float(posterior.variance.detach().sqrt()), abs=1e-6)


def test_a_space_with_constraints_shows_only_what_is_allowed(map_campaign):
    from loop.space import BoxSpace, LinearConstraint

    box = map_campaign.factory().space
    cut = BoxSpace(box.parameters, [LinearConstraint({"temperature": 1.0}, 600.0)])

    def factory():
        agent = map_campaign.factory()
        agent.space = cut
        return agent

    steps = tuple(s for s in map_campaign.history.steps if s.suggestion.point["temperature"] <= 600)
    steps = tuple(replace(s, suggestion=replace(s.suggestion, iteration=k)) for k, s in enumerate(steps))
    found = analyse(
        replace(map_campaign.history, steps=steps), agent_factory=factory, experiment=map_campaign.experiment, repeats=1
    )
    inside = found.reference.axes[0].values <= 600
    assert np.isfinite(found.reference.mean[:, inside]).all()
    assert np.isnan(found.reference.mean[:, ~inside]).all()
    assert found.reference.rmse is not None
    assert np.isfinite(found.learning.campaign).all()
    assert not [r for r in found.remarks if r.startswith("Left out")]


def test_learning_curve_ends_at_the_campaign_s_own_error(found_map):
    learning = found_map.learning
    assert learning.budgets[0] == 4
    assert learning.budgets[-1] == found_map.count(Status.MEASURED) == 43
    assert 8 <= len(learning.budgets) <= 12
    assert learning.random.shape == (2, len(learning.budgets))
    # The same model, judged on a quarter of the grid's points.
    assert learning.campaign[-1] == pytest.approx(found_map.reference.rmse, rel=0.2)
    assert learning.campaign[-1] < 0.3 * learning.campaign[0]
    assert learning.reached_at is not None
    assert learning.reached_at < 43


def test_the_analysis_is_reproducible(map_campaign, found_map):
    again = run(map_campaign)
    assert json.dumps(again.to_json()) == json.dumps(found_map.to_json())


@pytest.mark.parametrize(
    ("errors", "level", "expected"),
    [
        ([8.0, 4.0, 2.0, 1.0], 4.0, 8),
        ([8.0, 4.0, 2.0, 1.0], 0.5, None),
        ([8.0, 1.0, 3.0, 1.0], 2.0, 22),
        ([1.0, 1.0, 1.0, 1.0], 2.0, 4),
        ([math.nan, 1.0, 1.0, 1.0], 2.0, 8),
    ],
)
def test_reaching_a_level_means_staying_there(errors, level, expected):
    assert stays_below(np.array([4, 8, 16, 32]), np.array(errors), level) == expected


def test_calibration_against_scipy():
    rng = np.random.default_rng(0)
    sd = rng.uniform(0.5, 2.0, 60)
    mean = rng.normal(size=60)
    measured = mean + sd * rng.normal(size=60)
    rows = [row(k, mean[k], sd[k], measured[k]) for k in range(60)]
    result = calibration([*rows, row(60), row(61, 0.0, 1.0, None, Status.REJECTED)])
    assert len(result.pulls) == 60
    assert result.nlpd == pytest.approx(-np.mean(norm.logpdf(measured, mean, sd)))
    assert result.pit == pytest.approx(norm.cdf(measured, mean, sd))
    for level, share, interval in zip(result.levels, result.coverage, result.interval, strict=True):
        inside = np.sum(np.abs(measured - mean) < norm.interval(level)[1] * sd)
        assert share == inside / 60
        assert interval == pytest.approx(binomtest(int(inside), 60).proportion_ci(method="wilson"))


def test_two_predictions_say_nothing():
    assert calibration([row(k, 0.0, 1.0, 0.5) for k in range(2)]) is None


@pytest.mark.parametrize(("factor", "words"), [(1.0, "can be trusted"), (3.0, "too sure"), (0.3, "too cautious")])
def test_the_verdict_on_calibration(found_map, factor, words):
    rng = np.random.default_rng(1)
    rows = [row(k, 0.0, 1.0, factor * float(z)) for k, z in enumerate(rng.normal(size=80))]
    texts = [v.text for v in verdicts(replace(found_map, calibration=calibration(rows)))]
    assert sum(words in text for text in texts) == 1


def test_surprises_are_the_largest_pulls_with_their_curves(found_map):
    pulls = sorted((abs(r.pull) for r in found_map.points if r.pull is not None), reverse=True)
    assert [abs(s.row.pull) for s in found_map.surprises] == pulls[:3]
    for surprise in found_map.surprises:
        assert surprise.curve.q.shape == surprise.curve.intensity.shape == surprise.curve.sigma.shape
        assert surprise.neighbour.iteration != surprise.row.iteration
        assert surprise.neighbour.status is Status.MEASURED


def test_lost_points_keep_their_reasons(found_map):
    lost = {r.iteration: (r.status, r.reason, r.measured) for r in found_map.points if r.status is not Status.MEASURED}
    assert lost[17] == (Status.REJECTED, "83 % of the pixels are saturated, 5 % allowed", None)
    assert lost[30][0] is Status.FAILED
    assert any("1 rejected, 1 failed of 45" in v.text for v in found_map.verdicts)


def test_timings_add_up(found_map):
    timings = found_map.timings
    assert timings.idle_s == pytest.approx(45 * 0.02)
    assert timings.measuring_s == pytest.approx(45 * 1.2)
    assert timings.idle_s + timings.measuring_s + timings.other_s == pytest.approx(timings.elapsed_s)
    median, high, worst = timings.decisions
    assert 0.15 <= median <= high <= worst <= 0.16


def test_search_in_a_pool(found_pool, pool_campaign):
    result = found_pool.search
    everywhere = pool_campaign.experiment.truth(pool_campaign.factory().space.random(150, seed=0))["invariant"]
    good = np.sort(everywhere[np.isfinite(everywhere)])
    assert result.optimum == pytest.approx(good[0])
    assert np.sum(good <= result.threshold) == math.ceil(0.05 * len(good))
    assert np.all(np.diff(result.best) <= 0)
    first = next(k for k, value in enumerate(result.best, start=1) if value <= result.threshold)
    assert result.reached_at == first
    assert result.best_measured == min(r.measured for r in found_pool.points if r.measured is not None)
    assert found_pool.learning is None
    assert [s.row.measured for s in found_pool.best_curves] == sorted(s.row.measured for s in found_pool.best_curves)


def test_random_orders_agree_with_the_hypergeometric_law():
    """The first of K good among N comes after (N + 1) / (K + 1) draws on average; the median has a closed form, too."""
    everywhere = np.arange(100.0)
    rows = [row(k, measured=float(k), truth=float(k)) for k in range(20)]
    result = search(rows, "minimise", everywhere, finite=True, seed=3)
    good = 5
    none_yet = np.cumprod([(100 - good - k) / (100 - k) for k in range(60)])
    median = int(np.argmax(none_yet <= 0.5)) + 1
    assert result.threshold == 4.0
    assert abs(result.random_reached[1] - median) <= 1.5
    assert result.reached_at == 1


def test_refused_points_count_as_tried():
    rows = [
        row(0, measured=None, status=Status.REJECTED),
        row(1, measured=3.0, truth=3.0),
        row(2, measured=0.0, truth=0.0),
    ]
    result = search(rows, "minimise", np.arange(100.0), finite=True, seed=3)
    assert np.isnan(result.best[0])
    assert result.best[1:].tolist() == [3.0, 0.0]
    assert result.reached_at == 2


def test_replicates_in_a_pool_stay_apart(series_campaign):
    from loop.findings.reference import reference_points
    from loop.space import PoolSpace

    space = PoolSpace(["a", "b", "c"], [[1.0], [1.0], [2.0]], ["x"], ["mm"])
    found = run(series_campaign, repeats=0)
    points, _ = reference_points(space, found.setting)
    assert sorted(str(p["sample"]) for p in points) == ["a", "b", "c"]


def test_a_series_is_judged_over_all_its_rows(series_campaign):
    found = run(series_campaign)
    assert found.reference.kind == "pool"
    assert found.reference.mean.shape == (60,)
    assert found.learning.campaign[-1] == pytest.approx(found.reference.rmse)


def test_slices_cross_at_the_best_point(cube_campaign):
    found = run(cube_campaign)
    reference = found.reference
    assert reference.kind == "slices"
    assert reference.mean.shape == (4, 100)
    assert dict(reference.through) == pytest.approx(dict(found.search.best_point))
    for k, axis in enumerate(reference.axes):
        assert axis.values[0] == 0.0
        point = {**reference.through, axis.name: axis.values[7]}
        assert reference.truth[k, 7] == pytest.approx(cube_campaign.experiment.truth([point])["invariant"][0])


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_short_campaigns_say_what_is_missing(line_campaign, count):
    found = run(line_campaign, steps=line_campaign.history.steps[:count])
    assert not [r for r in found.remarks if r.startswith("Left out")]
    assert (found.reference is None) == (count < 2)
    assert (found.learning is None) == (count < 3)
    assert found.calibration is None
    assert any("Calibration needs at least 3" in r for r in found.remarks)
    assert any("Nothing was measured" in v.text for v in found.verdicts) == (count == 0)
    json.dumps(found.to_json(), allow_nan=False)


def test_a_point_in_flight_is_listed_and_not_learned(line_campaign):
    found = run(line_campaign)
    assert found.points[-1].status is None
    assert found.count(Status.MEASURED) == 12
    assert found.reference.kind == "line"
    assert found.reference.mean.shape == (200,)


class Blind:
    """An experiment that knows nothing and cannot be asked offline."""

    observables = ("invariant",)

    def __init__(self, world):
        self.evaluate = world.evaluate
        self.describe = world.describe


def test_without_truth(map_campaign, pool_campaign):
    found = analyse(
        map_campaign.history, agent_factory=map_campaign.factory, experiment=Blind(map_campaign.experiment), seed=1
    )
    assert found.reference.truth is None
    assert found.reference.rmse is None
    assert found.learning is None
    assert found.calibration is not None
    assert any("truth is not known" in r for r in found.remarks)
    found = analyse(
        pool_campaign.history, agent_factory=pool_campaign.factory, experiment=Blind(pool_campaign.experiment), seed=1
    )
    assert not found.search.noise_free
    assert found.search.random is None
    assert found.search.reached_at is None


def test_a_failing_part_costs_that_part_alone(map_campaign):
    class Failing(Blind):
        def evaluate(self, documents):
            raise RuntimeError("frame 12 is gone")

        def __init__(self, world):
            self.describe = world.describe

    found = analyse(
        map_campaign.history, agent_factory=map_campaign.factory, experiment=Failing(map_campaign.experiment)
    )
    assert found.surprises == ()
    assert found.reference is not None
    assert any("RuntimeError: frame 12 is gone" in r for r in found.remarks)


def test_json_is_plain(found_map, found_pool):
    for found in (found_map, found_pool):
        data = json.loads(json.dumps(found.to_json(), allow_nan=False))
        assert data["points"][0]["status"] == "measured"
        assert len(data["reference"]["axes"]) == len(found.setting.parameters)

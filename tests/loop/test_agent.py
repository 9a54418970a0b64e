from __future__ import annotations

import json
import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from botorch.acquisition import AcquisitionFunction
from botorch.fit import fit_gpytorch_mll
from botorch.models import SingleTaskGP
from botorch.models.transforms import Standardize
from gpytorch.mlls import ExactMarginalLogLikelihood

from loop.acquisition.registry import BUILTIN
from loop.agent import Agent, AgentError
from loop.errors import PluginError, SpaceError
from loop.records import Cause, Observation, Origin, Status, Suggestion
from loop.space import BoxSpace, Continuous, LinearConstraint, PoolSpace
from surrogates.errors import SurrogateError
from surrogates.pbnn import PBNN

# Near a measured point the joint covariance of BoTorch's qLogNoisyEI is singular to rounding.
pytestmark = pytest.mark.filterwarnings("ignore:A not p.d., added jitter:RuntimeWarning")

BOX = BoxSpace([Continuous("T", 200, 600, "°C"), Continuous("x", -1, 1, "mm")])
POOL = PoolSpace([f"s{i}" for i in range(12)], [[i // 2, (i // 2) ** 2] for i in range(12)], ["a", "b"])


class Spy:
    """A surrogate of known hyper-parameters, quick and exact, that notes what it was given."""

    def __init__(self):
        self.fits = []

    def __call__(self, train_X, train_Y, train_Yvar=None, *, seed=0):
        self.fits.append((train_X, train_Y, train_Yvar, seed))
        model = SingleTaskGP(train_X, train_Y, train_Yvar, outcome_transform=Standardize(train_Y.shape[-1]))
        model.covar_module.lengthscale = 0.3
        if train_Yvar is None:
            model.likelihood.noise = 1e-2
        return model.eval()


def fitted_gp(train_X, train_Y, train_Yvar=None, *, seed=0):
    model = SingleTaskGP(train_X, train_Y, train_Yvar, outcome_transform=Standardize(train_Y.shape[-1]))
    return fit_gpytorch_mll(ExactMarginalLogLikelihood(model.likelihood, model)).model


def height(point):
    """A hill of height 5 at T = 500 °C, x = 0.5 mm."""
    return 5 - ((point["T"] - 500) / 100) ** 2 - (2 * point["x"] - 1) ** 2


def measured(suggestion, value=None, *, sd=None, name="y"):
    value = height(suggestion.point) if value is None else value
    sds = {} if sd is None else {name: sd}
    return Observation(suggestion.id, suggestion.point, Status.MEASURED, values={name: value}, sds=sds)


def lost(suggestion, status=Status.FAILED):
    return Observation(suggestion.id, suggestion.point, status, reason="no beam")


def agent(space=BOX, surrogate=None, acquisition="variance", **kwargs):
    options = {"observables": ("y",), "n_initial": 4, "seed": 3, "clock": lambda: 0.0, **kwargs}
    return Agent(space, surrogate or Spy(), acquisition, **options)


def run(agent, n, *, ahead=1):
    """Measure `n` points, deciding on each while `ahead` others are in flight, as the engine does."""
    for _ in range(n):
        while len(agent.pending) < 1 + ahead:
            agent.suggest()
        agent.ingest(measured(agent.pending[0]))
    return agent


@pytest.mark.parametrize("acquisition", list(BUILTIN))
def test_a_campaign_is_a_function_of_its_arguments(acquisition):
    torch.manual_seed(0)
    first = run(agent(acquisition=acquisition, direction="maximise"), 8)
    torch.manual_seed(123)
    np.random.seed(5)  # noqa: NPY002 (that it does not matter is the point)
    second = run(agent(acquisition=acquisition, direction="maximise"), 8)
    assert first.suggestions == second.suggestions
    assert run(agent(acquisition=acquisition, direction="maximise", seed=4), 8).suggestions != first.suggestions


def test_the_global_generators_state_is_left_alone():
    state = torch.get_rng_state()
    run(agent(acquisition="log_noisy_ei", direction="maximise"), 6)
    assert torch.equal(torch.get_rng_state(), state)


def test_a_batch_is_single_suggestions_in_a_row():
    one, batch = run(agent(), 5), run(agent(), 5)
    assert batch.suggest(3) == [one.suggest()[0] for _ in range(3)]


def test_a_suggestion_knows_what_it_was_based_on():
    a = run(agent(), 5)
    (s,) = a.suggest()
    assert s.iteration == 6
    assert s.based_on == 5
    assert s.pending == (a.suggestions[5].id,)
    assert s.origin is Origin.ACQUISITION
    assert s.id.startswith("0006-")
    assert [x.id for x in agent(seed=4).suggest(7)][6] != s.id


def test_asking_for_predictions_in_between_changes_nothing():
    quiet, curious = run(agent(), 5), run(agent(), 5)
    grid = BOX.random(300, seed=0)
    curious.predict(grid)
    curious.model().posterior(BOX.encode(grid)).variance.sum()
    assert curious.suggest(2) == quiet.suggest(2)


def test_a_worker_thread_decides_the_same():
    here, there = run(agent(surrogate=fitted_gp), 5), run(agent(surrogate=fitted_gp), 5)
    with ThreadPoolExecutor(1) as worker:
        assert worker.submit(there.suggest).result() == here.suggest()


def test_a_journal_rebuilds_the_agent_without_fitting():
    original = run(agent(acquisition="log_ei", direction="maximise"), 9)
    rejected = original.pending[0]
    original.ingest(lost(rejected, Status.REJECTED))
    original.add({"T": 300, "x": 0.1})
    original.suggest()

    spy = Spy()
    rebuilt = agent(surrogate=spy, acquisition="log_ei", direction="maximise")
    journal = [json.dumps(s.to_json()) for s in original.suggestions]
    outcomes = [json.dumps(o.to_json()) for o in original.observations]
    for line in journal:
        rebuilt.register(Suggestion.from_json(json.loads(line)))
    for line in outcomes:
        rebuilt.ingest(Observation.from_json(json.loads(line)))
    assert spy.fits == []
    assert rebuilt.observations == original.observations
    assert rebuilt.pending == original.pending
    for a in (original, rebuilt):
        run(a, 3)
    assert rebuilt.suggestions == original.suggestions


def test_the_model_is_fitted_once_for_each_new_measurement():
    spy = Spy()
    a = agent(surrogate=spy)
    for s in a.suggest(4):
        a.ingest(measured(s))
    assert spy.fits == []
    a.suggest(3)
    a.predict([a.pending[0].point])
    assert a.model() is a.model()
    assert len(spy.fits) == 1
    a.ingest(lost(a.pending[0]))
    a.suggest()
    assert len(spy.fits) == 1
    a.ingest(measured(a.pending[0]))
    a.suggest()
    assert len(spy.fits) == 2
    # Another seed for each size of the data, and the same in every replay.
    assert len({fit[3] for fit in spy.fits}) == 2


def test_only_measured_points_reach_the_model():
    spy = Spy()
    a = agent(surrogate=spy)
    points = a.suggest(4)
    for s, status in zip(points, [None, Status.REJECTED, None, Status.ABANDONED], strict=True):
        a.ingest(measured(s) if status is None else lost(s, status))
    a.model()
    X, Y, Yvar, _ = spy.fits[0]
    assert torch.equal(X, BOX.encode([points[0].point, points[2].point]))
    assert Y[:, 0].tolist() == [height(points[0].point), height(points[2].point)]
    assert Yvar is None


@pytest.mark.parametrize(("last", "known"), [(0.5, True), (None, False), (0.0, False), (math.inf, False)])
def test_measured_variances_count_if_all_are_known(last, known):
    spy = Spy()
    a = agent(surrogate=spy)
    first, second = a.suggest(2)
    a.ingest(measured(first, sd=0.1))
    a.ingest(measured(second, sd=last))
    a.model()
    Yvar = spy.fits[0][2]
    assert (Yvar is not None) is known
    if known:
        assert Yvar[:, 0].tolist() == pytest.approx([0.01, 0.25])


def test_a_prediction_is_the_posterior_of_a_measured_value():
    a = run(agent(), 6)
    s = a.suggest()[0]
    posterior = a.model().posterior(BOX.encode([s.point]), observation_noise=True)
    assert s.prediction.mean["y"] == pytest.approx(posterior.mean.item())
    assert s.prediction.sd["y"] == pytest.approx(posterior.variance.sqrt().item())
    assert s.prediction.sd["y"] > a.model().posterior(BOX.encode([s.point])).variance.sqrt().item()
    assert a.predict([s.point]) == [s.prediction]
    assert a.predict([]) == []
    assert all(i.prediction is None and i.acquisition_value is None for i in a.suggestions[:4])


def test_several_observables_are_predicted_and_the_first_is_the_objective():
    one = agent(acquisition="log_ei", direction="minimise", observables=("y",))
    two = agent(acquisition="log_ei", direction="minimise", observables=("y", "z"))
    for a in (one, two):
        for s in a.suggest(6):
            a.ingest(Observation(s.id, s.point, Status.MEASURED, values={"y": height(s.point), "z": s.point["x"]}))
    s1, s2 = one.suggest()[0], two.suggest()[0]
    assert BOX.encode([s2.point]).tolist()[0] == pytest.approx(BOX.encode([s1.point]).tolist()[0], abs=1e-3)
    assert set(s2.prediction.mean) == set(s2.prediction.sd) == {"y", "z"}
    assert s2.prediction.mean["z"] == pytest.approx(s2.point["x"], abs=0.5)


def test_a_model_needs_two_points():
    a = agent(n_initial=0)
    a.ingest(measured(a.suggest()[0]))
    with pytest.raises(AgentError, match="needs 2 measured points, there are 1"):
        a.model()
    assert a.suggest()[0].origin is Origin.INITIAL


def test_the_beginning_is_space_filling():
    a = agent(n_initial=8)
    points = [s.point for s in a.suggest(8)]
    assert all(s.origin is Origin.INITIAL for s in a.suggestions)
    X = np.sort(BOX.encode(points).numpy(), axis=0)
    # Eight points of a scrambled Sobol sequence: one in each eighth of each axis.
    assert (np.floor(8 * X) == np.arange(8).reshape(-1, 1)).all()


def test_lost_initial_points_are_replaced_and_manual_ones_count():
    a = agent(n_initial=4)
    first = a.suggest(2)
    a.add({"T": 250, "x": 0})
    a.ingest(lost(first[0]))
    origins = [s.origin for s in a.suggest(2)]
    assert origins == [Origin.INITIAL, Origin.INITIAL]
    for s in a.pending:
        a.ingest(measured(s))
    assert a.suggest()[0].origin is Origin.ACQUISITION
    assert len({tuple(s.point.values()) for s in a.suggestions}) == len(a.suggestions)


def test_follow_ups_of_reactions_are_points_of_their_own_and_no_initial_ones():
    a = agent(n_initial=3)
    first = a.suggest()[0]
    a.ingest(measured(first))
    again = a.add(first.point, cause=Cause(first.id, "closer"), exposure_s=4.0)
    assert (again.origin, again.iteration, again.point) == (Origin.REACTION, 1, first.point)
    assert (again.cause, again.exposure_s) == (Cause(first.id, "closer"), 4.0)
    a.ingest(measured(again, 1.0))
    near = a.add({"T": 300, "x": 0.1}, cause=Cause(first.id, "around"))
    assert near.prediction is not None  # stated before it is measured, as every other
    a.ingest(lost(near))
    for s in (rest := a.suggest(2)):
        a.ingest(measured(s))
    assert [s.origin for s in rest] == [Origin.INITIAL] * 2
    assert a.suggest()[0].origin is Origin.ACQUISITION
    other = agent(n_initial=3)
    for s in a.suggestions:
        other.register(Suggestion.from_json(json.loads(json.dumps(s.to_json()))))
    assert other.suggestions == a.suggestions


def test_nothing_near_a_lost_or_pending_point_is_suggested():
    a = agent(acquisition="log_ei", direction="maximise", exclusion=0.05)
    for s in a.suggest(12):
        a.ingest(measured(s))
    for _ in range(4):
        a.ingest(lost(a.suggest()[0]))
    last = a.suggest(2)
    X = BOX.encode([s.point for s in a.suggestions[12:]])
    distance = (X.unsqueeze(0) - X.unsqueeze(1)).abs().amax(-1) + torch.eye(len(X))
    assert float(distance.min()) > 0.05
    assert all(s.origin is Origin.ACQUISITION for s in last)


def test_an_unreachable_corner_does_not_eat_the_budget():
    a = agent(acquisition="variance", n_initial=4)
    for _ in range(40):
        s = a.suggest()[0]
        a.ingest(lost(s) if s.point["T"] > 520 and s.point["x"] > 0.6 else measured(s))
    tried = [o for o in a.observations if o.status is Status.FAILED]
    # The corner is 4 % of the box; a rule that only forbids repeats would send most suggestions there.
    assert 1 <= len(tried) <= 6


def test_points_in_a_batch_stay_apart():
    a = run(agent(), 6)
    X = BOX.encode([s.point for s in a.suggest(5)])
    distance = torch.pdist(X)
    assert float(distance.min()) > 0.1


def test_a_pool_gives_every_sample_once_and_then_nothing():
    a = agent(POOL, acquisition="integrated_variance")
    seen = []
    while new := a.suggest():
        assert a.remaining == 12 - len(a.suggestions)
        seen.append(new[0].point["sample"])
        a.ingest(measured(new[0], float(new[0].point["a"])) if len(seen) % 3 else lost(new[0]))
    assert sorted(seen) == sorted(POOL.ids)
    assert a.remaining == 0
    assert agent(POOL).suggest(50)[-1].iteration == 11
    assert agent().remaining is None


def test_replicates_are_measured_apart():
    a = agent(POOL, n_initial=2, acquisition="log_ei", direction="maximise")
    for _ in range(6):
        s = a.suggest()[0]
        a.ingest(measured(s, float(s.point["a"])))
    # The best composition has two samples: both are found, one after the other.
    assert [o.point["sample"] for o in a.observations if o.point["a"] == 5.0] in (["s10", "s11"], ["s11", "s10"])


def test_a_pool_smaller_than_its_beginning():
    assert len(agent(POOL, n_initial=30).suggest(30)) == 12


@pytest.mark.parametrize("acquisition", ["log_ei", "ucb", "thompson", "log_noisy_ei"])
def test_an_optimum_is_found(acquisition):
    a = run(agent(acquisition=acquisition, direction="maximise", n_initial=5), 20)
    best = max(o.values["y"] for o in a.measured)
    random = [max(height(p) for p in BOX.random(20, seed=s)) for s in range(50)]
    assert best > np.quantile(random, 0.8)


@pytest.mark.parametrize("acquisition", ["variance", "integrated_variance"])
def test_a_map_is_learned_from_fewer_points_than_random_ones_need(acquisition):
    def error(a):
        grid = BOX.random(200, seed=7)
        predicted = [p.mean["y"] for p in a.predict(grid)]
        return float(np.sqrt(np.mean((np.array(predicted) - [height(p) for p in grid]) ** 2)))

    ours = np.median([error(run(agent(acquisition=acquisition, seed=s), 14)) for s in range(3)])
    random = np.median([error(run(agent(acquisition="random", seed=s), 14)) for s in range(3)])
    assert ours < 0.7 * random


def test_with_the_projects_own_surrogate():
    def small(*args, **kwargs):
        return PBNN(*args, **kwargs, members=3, epochs=30, network={"hidden": (16, 8)})

    first = run(agent(surrogate=small, acquisition="integrated_variance", direction="minimise"), 5)
    second = run(agent(surrogate=small, acquisition="integrated_variance", direction="minimise"), 5)
    assert first.suggestions == second.suggestions
    assert first.suggestions[-1].prediction.sd["y"] > 0


def test_constraints_are_kept():
    space = BoxSpace(BOX.parameters, [LinearConstraint({"T": 1.0, "x": 100.0}, upper=450)])
    a = run(agent(space), 10)
    assert all(s.point["T"] + 100 * s.point["x"] <= 450 + 1e-6 for s in a.suggestions)


class Exploding(AcquisitionFunction):
    def __init__(self, model, context, fuse=1):
        super().__init__(model=model)

    def forward(self, X):
        raise RuntimeError("bang")


class Flat(Exploding):
    def forward(self, X):
        return X.sum()


def bad_surrogate(train_X, train_Y, train_Yvar=None, *, seed=0):
    raise FloatingPointError("singular")


def test_a_plug_ins_failure_names_it_and_leaves_the_agent_usable():
    a = agent(acquisition=Exploding)
    with pytest.raises(PluginError, match="test_agent:Exploding failed, deciding on suggestion 4: RuntimeError: bang"):
        run(a, 5)
    before = a.suggestions
    with pytest.raises(PluginError, match="bang"):
        a.suggest()
    assert a.suggestions == before
    with pytest.raises(PluginError, match=r"Flat failed, .*expected one value per point, shape \(\d+,\)"):
        run(agent(acquisition=Flat), 5)
    with pytest.raises(PluginError, match="bad_surrogate failed, fitting 3 points: FloatingPointError: singular"):
        run(agent(surrogate=bad_surrogate), 5)
    with pytest.raises(PluginError, match=r"test_agent:.*lambda.* expected an AcquisitionFunction, got int"):
        run(agent(acquisition=lambda model, context: 3), 5)


def test_our_own_surrogates_failure_passes_with_a_note():
    def bad_options(*args, **kwargs):
        return PBNN(*args, **kwargs, members=0)

    bad_options.__module__ = "surrogates.pbnn"
    with pytest.raises(SurrogateError, match="members") as caught:
        run(agent(surrogate=bad_options), 5)
    assert "fitting 3 points" in caught.value.__notes__[0]


def test_an_acquisition_that_does_not_fit_is_refused_at_once():
    with pytest.raises(PluginError, match="no direction"):
        agent(acquisition="log_ei")
    with pytest.raises(PluginError, match=r"options are \['fuse'\]"):
        agent(acquisition=Exploding, acquisition_options={"fuze": 2})
    with pytest.raises(PluginError, match="there is no acquisition 'nonsense'"):
        agent(acquisition="nonsense")


@pytest.mark.parametrize(
    "options",
    [{"observables": ()}, {"observables": ("y", "y")}, {"direction": "max"}, {"seed": -1}, {"n_initial": -1}],
)
def test_arguments_that_contradict_each_other_are_refused(options):
    with pytest.raises(AgentError, match="expected"):
        agent(**options)


def test_outcomes_are_checked():
    a = agent()
    s, other = a.suggest(2)
    with pytest.raises(AgentError, match="'nobody', which is unknown"):
        a.ingest(Observation("nobody", s.point, Status.FAILED))
    with pytest.raises(AgentError, match=f"{s.id} counts as measured, but its 'y' is nan"):
        a.ingest(measured(s, math.nan))
    with pytest.raises(AgentError, match="its 'y' is None"):
        a.ingest(Observation(s.id, s.point, Status.MEASURED))
    a.ingest(measured(s))
    with pytest.raises(AgentError, match="has an outcome already"):
        a.ingest(lost(s))
    assert a.pending == (other,)


def test_suggestions_are_checked_and_known_ones_change_nothing():
    a = agent()
    s = a.suggest()[0]
    a.register(s)
    assert a.suggestions == (s,)
    with pytest.raises(AgentError, match="two campaigns in one journal"):
        a.register(Suggestion(s.id, 0, {"T": 300.0, "x": 0.0}, Origin.INITIAL))
    with pytest.raises(AgentError, match="number 7, but 1 are known"):
        a.register(Suggestion("new", 7, s.point, Origin.INITIAL))
    with pytest.raises(SpaceError, match="'x' is missing"):
        a.register(Suggestion("new", 1, {"T": 300.0}, Origin.INITIAL))
    with pytest.raises(SpaceError, match="outside"):
        a.add({"T": 999, "x": 0})
    assert a.suggestions == (s,)

"""The engine on a real RunEngine, with an instant experiment whose noise is keyed by the frame's number."""

import json
import threading
from dataclasses import dataclass, field
from itertools import pairwise

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
import event_model
import numpy as np
import pytest
from bluesky.utils import RunEngineInterrupted
from botorch.models import SingleTaskGP
from ophyd.sim import SynAxis, SynSignal

from loop.agent import Agent
from loop.engine import Campaign
from loop.executor import run_engine
from loop.history import close_unfinished, read_history
from loop.journal import FILE_NAME, Journal, read_documents
from loop.progress import NullProgress
from loop.reactions import Condition, FollowUp, LookAround, Note, Remeasure, Rule
from loop.records import Origin, Status
from loop.space import BoxSpace, Continuous
from loop.stopping import MaxPoints


@dataclass(frozen=True)
class Verdict:
    accepted: bool
    reason: str = ""
    values: dict = field(default_factory=dict)
    sds: dict = field(default_factory=dict)
    curve: None = None


class Instant:
    """y = sin(3x) + noise of the frame's number and the exposure; `trouble`: a frame's number -> what goes wrong."""

    observables = ("y",)

    def __init__(self, trouble=None):
        self.trouble = dict(trouble or {})
        self._value = 0.0
        self.motor = SynAxis(name="x")
        self.signal = SynSignal(func=lambda: self._value, name="raw")
        self.frames = []
        self.exposures = []
        self.restored = None
        self.finished = 0
        self.prepared = 0

    def check(self, points):
        pass

    def describe(self):
        return {"kind": "instant"}

    def prepare(self):
        self.prepared += 1

        @bpp.run_decorator(md={"plan_name": "prepare"})
        def plan():
            yield from bps.trigger_and_read([self.motor])

        yield from plan()

    def restore(self, runs):
        self.restored = runs

    def measure(self, point, *, frame_number, metadata, exposure_s=1.0):
        trouble = self.trouble.get(frame_number)

        @bpp.run_decorator(md=metadata)
        def plan():
            yield from bps.mv(self.motor, point["x"])
            if trouble == "device":
                del self.trouble[frame_number]
                raise RuntimeError("the motor refuses")
            noise = np.random.default_rng([7, frame_number]).normal(0, 0.05) / np.sqrt(exposure_s)
            self._value = np.sin(3 * point["x"]) + noise if trouble != "bad frame" else 1e9
            yield from bps.trigger_and_read([self.signal, self.motor])
            self.frames.append(frame_number)
            self.exposures.append(exposure_s)
            yield from bps.checkpoint()

        yield from plan()

    def finish(self):
        self.finished += 1
        yield from bps.null()

    def evaluate(self, documents):
        value = next(doc["data"]["raw"] for name, doc in documents if name == "event")
        if value > 100:
            return Verdict(False, "the frame is saturated")
        return Verdict(True, values={"y": value}, sds={"y": 0.05})


def surrogate(X, Y, Yvar=None, *, seed=0):
    return SingleTaskGP(X, Y, train_Yvar=Yvar)


def agent():
    return Agent(
        BoxSpace([Continuous("x", -1, 1, "mm")]), surrogate, "variance", observables=("y",), n_initial=3, seed=5
    )


METADATA = {"campaign": "test", "seed": 5, "config_hash": "abc", "versions": {"beamloop": "0"}, "config": {"a": 1}}


def run(folder, *, points=7, trouble=None, **kwargs):
    """Run or resume, whatever the folder holds; return the experiment and the history."""
    experiment = Instant(trouble)
    with Journal(folder) as journal:
        documents = list(read_documents(folder))
        history = None
        if any(doc.get("purpose") == "decisions" for _, doc in documents):
            for name, doc in close_unfinished(documents):
                journal(name, doc)
            history = read_history(read_documents(folder))
        campaign = Campaign(agent(), experiment, MaxPoints(points), metadata=METADATA, history=history, **kwargs)
        with run_engine(journal) as RE:
            result = RE(campaign.plan())
    return experiment, result.plan_result, read_history(read_documents(folder))


def story(history):
    return [
        (s.suggestion.to_json() | {"decision_s": 0}, s.observation.to_json() | {"run_uids": 0}) for s in history.steps
    ]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    return folder, *run(folder, trouble={2: "bad frame", 4: "device"})


def test_a_campaign_measures_what_was_asked(undisturbed):
    _, experiment, reason, history = undisturbed
    assert "7" in reason
    assert history.stop_reason == reason
    assert [s.observation.status for s in history.steps] == [Status.MEASURED] * 7
    assert experiment.frames == list(range(8))  # one was refused and taken anew
    assert history.steps[2].observation.attempts == 2
    assert experiment.prepared == experiment.finished == 1
    assert len(experiment.restored) == 1


def test_predictions_precede_measurements_and_the_point_in_flight_is_pending(undisturbed):
    steps = undisturbed[-1].steps
    assert all(s.suggestion.prediction is None for s in steps[:3])
    for before, step in pairwise(steps[2:]):
        assert step.suggestion.prediction.sd["y"] > 0
        assert step.suggestion.pending == (before.suggestion.id,)
        assert step.suggestion.based_on == step.suggestion.iteration - 1


def test_documents_validate_and_every_run_says_where_it_belongs(undisturbed):
    for name, doc in read_documents(undisturbed[0]):
        event_model.schema_validators[event_model.DocumentNames[name]].validate(doc)
        if name == "start":
            assert {"campaign", "seed", "config_hash", "versions", "purpose"} <= set(doc)
            assert "iteration" in doc
            assert "suggestion_id" in doc
    measured = [d for n, d in read_documents(undisturbed[0]) if n == "start" and d["purpose"] == "measurement"]
    assert {d["iteration"] for d in measured} == set(range(7))


def test_resume_from_every_instant_gives_the_same_campaign(undisturbed, tmp_path):
    """Cut the journal after every line, and in the middle of every line: nothing is lost, nothing is taken twice."""
    source, _, _, history = undisturbed
    lines = (source / FILE_NAME).read_bytes().splitlines(keepends=True)
    expected = story(history)
    for cut in range(len(lines)):
        for torn in (b"", lines[cut][: len(lines[cut]) // 2]):
            if torn and cut % 3:
                continue
            folder = tmp_path / f"{cut}-{len(torn)}"
            folder.mkdir()
            (folder / FILE_NAME).write_bytes(b"".join(lines[:cut]) + torn)
            trouble = {2: "bad frame", 4: "device"}
            if b'"exit_status":"fail"' in b"".join(lines[:cut]):
                del trouble[4]  # the device has failed already, and does so once
            _, _, resumed = run(folder, trouble=trouble)
            assert [s for s, _ in story(resumed)] == [s for s, _ in expected], cut
            assert [o["values"] for _, o in story(resumed)] == [o["values"] for _, o in expected], cut
            taken = [
                doc["frame_number"]
                for step in resumed.steps
                for docs in step.runs
                for name, doc in docs
                if name == "start" and any(n == "event" for n, _ in docs)
            ]
            assert taken == list(range(8)), cut
            assert resumed.unfinished_runs == ()


def test_a_finished_campaign_is_not_measured_again(undisturbed, tmp_path):
    (tmp_path / FILE_NAME).write_bytes((undisturbed[0] / FILE_NAME).read_bytes())
    experiment, reason, history = run(tmp_path)
    assert experiment.frames == []
    assert story(history) == story(undisturbed[-1])
    assert reason == undisturbed[2]


def test_a_finished_campaign_can_be_given_more_points(undisturbed, tmp_path):
    (tmp_path / FILE_NAME).write_bytes((undisturbed[0] / FILE_NAME).read_bytes())
    experiment, _, history = run(tmp_path, points=9)
    assert experiment.frames == [8, 9]
    assert [s.observation.status for s in history.steps] == [Status.MEASURED] * 9


def test_a_point_that_fails_for_good_is_recorded_and_left_out(tmp_path):
    _, _, history = run(tmp_path, trouble={2: "bad frame", 3: "bad frame"})
    statuses = [s.observation.status for s in history.steps]
    assert statuses == [Status.MEASURED] * 2 + [Status.REJECTED] + [Status.MEASURED] * 5
    assert "saturated" in history.steps[2].observation.reason


class Notes(NullProgress):
    def __init__(self):
        self.paused_for = []
        self.notes = []

    def paused(self, message):
        self.paused_for.append(message)

    def note(self, message):
        self.notes.append(message)


def _until_done(RE, plan):
    """Run a plan and resume it whenever it pauses; return its result and the number of pauses."""
    pauses = 0
    try:
        result = RE(plan)
    except RunEngineInterrupted:
        while True:
            pauses += 1
            try:
                result = RE.resume()
                break
            except RunEngineInterrupted:
                continue
    return result, pauses


def test_three_failures_in_a_row_pause_the_campaign(tmp_path):
    notes = Notes()
    experiment = Instant(dict.fromkeys(range(2, 8), "bad frame"))
    with Journal(tmp_path) as journal, run_engine(journal) as RE:
        _, pauses = _until_done(RE, Campaign(agent(), experiment, MaxPoints(5), METADATA, progress=notes).plan())
    assert pauses == 1
    assert "3 points in a row" in notes.paused_for[0]
    assert len(read_history(read_documents(tmp_path)).measured) == 5


def test_a_guard_pauses_until_it_is_satisfied(tmp_path):
    answers = iter(["the disk is full", "the disk is full"])
    notes = Notes()
    campaign = Campaign(
        agent(), Instant(), MaxPoints(3), METADATA, progress=notes, guards=(lambda: next(answers, None),)
    )
    with run_engine() as RE:
        _, pauses = _until_done(RE, campaign.plan())
    assert pauses == 2
    assert notes.paused_for == ["the disk is full"] * 2


def test_a_surrogate_that_raises_pauses_and_is_named(tmp_path):
    calls = []

    def moody(X, Y, Yvar=None, *, seed=0):
        calls.append(len(X))
        if len(calls) == 1:
            raise ValueError("no convergence")
        return surrogate(X, Y, Yvar, seed=seed)

    notes = Notes()
    own = Agent(BoxSpace([Continuous("x", -1, 1, "mm")]), moody, "variance", observables=("y",), n_initial=3, seed=5)
    with run_engine() as RE:
        _, pauses = _until_done(RE, Campaign(own, Instant(), MaxPoints(5), METADATA, progress=notes).plan())
    assert pauses == 1
    assert "moody" in notes.paused_for[0]
    assert "no convergence" in notes.paused_for[0]


def test_a_slow_decision_does_not_keep_the_run_engine_from_pausing():
    entered, release = threading.Event(), threading.Event()

    def slow(X, Y, Yvar=None, *, seed=0):
        entered.set()
        assert release.wait(10)
        return surrogate(X, Y, Yvar, seed=seed)

    own = Agent(BoxSpace([Continuous("x", -1, 1, "mm")]), slow, "variance", observables=("y",), n_initial=3, seed=5)

    with run_engine() as RE:

        def interrupt():
            assert entered.wait(10)
            RE.request_pause()

        thread = threading.Thread(target=interrupt)
        thread.start()
        with pytest.raises(RunEngineInterrupted):
            RE(Campaign(own, Instant(), MaxPoints(5), METADATA).plan())
        thread.join()
        assert RE.state == "paused"
        assert not release.is_set()
        release.set()
        result = RE.resume()
    assert "5" in result.plan_result


def test_abort_finishes_the_instrument_and_leaves_a_campaign_to_resume(tmp_path):
    experiment = Instant()
    stop_at = 4

    class Aborting(NullProgress):
        def measuring(self, suggestion, attempt=1):
            if suggestion.iteration == stop_at:
                threading.Thread(target=RE.request_pause).start()

    with Journal(tmp_path) as journal, run_engine(journal) as RE:
        with pytest.raises(RunEngineInterrupted):
            RE(Campaign(agent(), experiment, MaxPoints(7), METADATA, progress=Aborting()).plan())
        RE.abort("a person")
    assert experiment.finished == 1
    history = read_history(read_documents(tmp_path))
    assert history.stop_reason == ""
    _, _, resumed = run(tmp_path)
    _, _, whole = run(tmp_path / "whole")
    assert [s for s, _ in story(resumed)] == [s for s, _ in story(whole)]


def test_metadata_is_plain_json(undisturbed):
    for _, doc in read_documents(undisturbed[0]):
        json.dumps(doc)


HIGH = Condition("y", "above", 0.3, significance=2)
RULES = (
    Rule("closer", HIGH, Remeasure(4.0), at_most=2),
    Rule("around", HIGH, LookAround(points=3, radius=0.1), at_most=2),
    Rule("low", Condition("y", "below", -0.5), Note()),
)
REACTING = {"points": 11, "reactions": RULES, "exposure_s": 1.0}


@pytest.fixture(scope="module")
def reacting(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reacting")
    return folder, *run(folder, trouble={3: "bad frame"}, **REACTING)


def test_reactions_are_followed_within_the_budget(reacting):
    _, experiment, reason, history = reacting
    assert reason == "11 points are measured"
    assert len(history.steps) == 11
    suggestions = [step.suggestion for step in history.steps]
    outcomes = {step.suggestion.id: step.observation for step in history.steps}
    followed = [s for s in suggestions if s.origin is Origin.REACTION]
    assert {s.cause.reaction for s in followed} == {"closer", "around"}
    for s in followed:
        trigger = outcomes[s.cause.suggestion_id]
        assert trigger.values["y"] - 2 * trigger.sds["y"] > 0.3
        # The point after the trigger had been decided when its outcome came.
        assert s.iteration >= next(t.iteration for t in suggestions if t.id == s.cause.suggestion_id) + 2
        assert s.based_on == s.iteration - 1
        assert s.exposure_s == (4.0 if s.cause.reaction == "closer" else None)
    assert sorted(set(experiment.exposures)) == [1.0, 4.0]
    # An alert for every condition that held, in the order of the outcomes.
    expected = [
        (step.suggestion.id, rule.name) for step in history.steps for rule in RULES if rule.when.holds(step.observation)
    ]
    assert [alert.key for alert in history.alerts] == expected
    assert {name for _, name in expected} == {"closer", "around", "low"}
    asked = {alert.key: alert.follow_ups for alert in history.alerts}
    assert sum(asked.values()) >= len(followed)
    for s in followed:
        assert asked[(s.cause.suggestion_id, s.cause.reaction)] > 0
    initial = [s for s in suggestions if s.origin is Origin.INITIAL]
    assert len(initial) == 3


def test_alerts_are_valid_documents_that_others_can_hear(reacting):
    documents = list(read_documents(reacting[0]))
    for name, doc in documents:
        event_model.schema_validators[event_model.DocumentNames[name]].validate(doc)
    streams = {doc["uid"]: doc["name"] for name, doc in documents if name == "descriptor"}
    alerts = [doc["data"] for name, doc in documents if name == "event" and streams[doc["descriptor"]] == "alert"]
    assert alerts
    assert set(alerts[0]) == {
        "suggestion_id", "reaction", "observable", "value", "sd", "side", "threshold", "follow_ups",
    }  # fmt: skip


def test_resume_from_every_instant_reacts_as_an_undisturbed_campaign(reacting, tmp_path):
    source, _, _, history = reacting
    lines = (source / FILE_NAME).read_bytes().splitlines(keepends=True)
    expected = story(history)
    # Everything that reactions depend on is decided between the events of the decisions run.
    decisions = [n for n, line in enumerate(lines) if b'"suggestion_id":' in line and line.startswith(b'["event"')]
    for cut in sorted({n + k for n in decisions for k in (0, 1)}):
        folder = tmp_path / str(cut)
        folder.mkdir()
        (folder / FILE_NAME).write_bytes(b"".join(lines[:cut]))
        _, _, resumed = run(folder, trouble={3: "bad frame"}, **REACTING)
        assert [s for s, _ in story(resumed)] == [s for s, _ in expected], cut
        assert [o["values"] for _, o in story(resumed)] == [o["values"] for _, o in expected], cut
        assert resumed.alerts == history.alerts, cut
        assert resumed.frames == history.frames


def test_a_reaction_that_fails_pauses_and_is_asked_again(tmp_path):
    calls = []

    def moody(suggestion, observation, situation):
        calls.append(suggestion.iteration)
        if len(calls) == 1:
            raise ValueError("not today")
        return [FollowUp({"x": 0.123})]

    notes = Notes()
    rules = (Rule("moody", Condition("y", "above", -9.0), moody, at_most=1),)
    campaign = Campaign(agent(), Instant(), MaxPoints(4), METADATA, progress=notes, reactions=rules, exposure_s=1.0)
    with Journal(tmp_path) as journal, run_engine(journal) as RE:
        _, pauses = _until_done(RE, campaign.plan())
    assert pauses == 1
    assert "moody" in notes.paused_for[0]
    assert "not today" in notes.paused_for[0]
    assert calls == [0, 0]
    history = read_history(read_documents(tmp_path))
    assert history.steps[2].suggestion.point == {"x": 0.123}
    assert [alert.follow_ups for alert in history.alerts] == [1, 0, 0, 0]
    # What nothing follows any more is not told on the screen.
    assert notes.notes == ["point 0: " + notes.notes[0].partition(": ")[2]]
    assert "(moody, 1 follow-up)" in notes.notes[0]


def test_an_experiment_that_knows_no_exposure_is_never_asked_for_one(tmp_path):
    class Plain(Instant):
        def measure(self, point, *, frame_number, metadata):
            return super().measure(point, frame_number=frame_number, metadata=metadata)

    rules = (Rule("around", Condition("y", "above", -9.0), LookAround(1, 0.1)),)
    with Journal(tmp_path) as journal, run_engine(journal) as RE:
        RE(Campaign(agent(), Plain(), MaxPoints(5), METADATA, reactions=rules).plan())
    assert any(step.suggestion.origin is Origin.REACTION for step in read_history(read_documents(tmp_path)).steps)

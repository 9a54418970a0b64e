"""A campaign read back from documents that were written by hand."""

import json

import event_model
import pytest

from loop.errors import JournalError
from loop.history import MEASUREMENT, PREPARATION, close_unfinished, has_event, read_history
from loop.records import Alert, Observation, Origin, Status, Suggestion


def start(uid, purpose, time=0.0, **more):
    return "start", {"uid": uid, "time": time, "purpose": purpose, "campaign": "c", **more}


def descriptor(uid, run, name="primary", time=0.0):
    return "descriptor", {"uid": uid, "run_start": run, "name": name, "time": time, "data_keys": {}}


def event(of, time=0.0, seq_num=1, **data):
    return "event", {
        "uid": f"{of}-{seq_num}",
        "descriptor": of,
        "time": time,
        "seq_num": seq_num,
        "data": data,
        "timestamps": {},
    }


def stop(run, time=0.0, status="success", reason=""):
    return "stop", {"uid": f"{run}-stop", "run_start": run, "time": time, "exit_status": status, "reason": reason}


def suggestion(k):
    return Suggestion(f"s{k}", k, {"x": float(k)}, Origin.INITIAL)


def suggested(k, time, of="d-s", idle_s=0.5):
    return event(of, time, seq_num=k + 1, record=json.dumps(suggestion(k).to_json()), idle_s=idle_s)


def ended(k, time, of="d-o", status=Status.MEASURED):
    observation = Observation(f"s{k}", {"x": float(k)}, status, {"y": 1.0}, {"y": 0.1})
    return event(of, time, seq_num=k + 1, record=json.dumps(observation.to_json()))


def measurement(k, uid, time, *, frame=True, close="success"):
    run = [start(uid, MEASUREMENT, time, suggestion_id=f"s{k}")]
    if frame:
        run += [
            descriptor(f"d-{uid}", uid),
            ("stream_resource", {"uid": f"r-{uid}", "run_start": uid}),
            ("stream_datum", {"uid": f"r-{uid}/0", "stream_resource": f"r-{uid}", "descriptor": f"d-{uid}"}),
            event(f"d-{uid}", time + 1),
        ]
    return run + ([stop(uid, time + 2, close)] if close else [])


def opened(uid="D", time=0.0, suffix=""):
    return [
        start(uid, "decisions", time, config={"a": 1}, seed=3),
        descriptor(f"d-s{suffix}", uid, "suggestion"),
        descriptor(f"d-o{suffix}", uid, "outcome"),
    ]


WHOLE = [
    *opened(),
    start("P", PREPARATION, 1.0),
    stop("P", 2.0),
    suggested(0, 3.0),
    *measurement(0, "m0", 4.0, frame=False, close="fail"),
    *measurement(0, "m1", 6.0),
    ended(0, 9.0),
    suggested(1, 10.0),
    *measurement(1, "m2", 11.0),
    ended(1, 14.0, status=Status.REJECTED),
    stop("D", 15.0, reason="2 points are measured"),
]


def test_a_whole_campaign():
    history = read_history(WHOLE, notes=["a note"])
    assert history.name == "c"
    assert history.config == {"a": 1}
    assert history.metadata["seed"] == 3
    assert [step.suggestion for step in history.steps] == [suggestion(0), suggestion(1)]
    assert [step.observation.status for step in history.steps] == [Status.MEASURED, Status.REJECTED]
    assert [[run[0][1]["uid"] for run in step.runs] for step in history.steps] == [["m0", "m1"], ["m2"]]
    assert [has_event(run) for run in history.steps[0].runs] == [False, True]
    assert len(history.steps[0].runs[1]) == 6
    assert history.frames == 2
    assert len(history.measured) == 1
    assert history.idle_s == 1.0
    assert history.elapsed_s == 15.0
    assert history.stop_reason == "2 points are measured"
    assert [run[0][1]["uid"] for run in history.preparation] == ["P"]
    assert history.unfinished_runs == ()
    assert history.notes == ("a note",)


def test_alerts_are_read_and_what_later_versions_may_add_is_passed_over():
    data = {"reaction": "r", "observable": "y", "value": 2.0, "sd": 0.1, "side": "above", "threshold": 1.0}
    history = read_history(
        [
            *WHOLE[:-1],
            descriptor("d-a", "D", "alert"),
            event("d-a", 14.1, suggestion_id="s0", follow_ups=3, **data),
            descriptor("d-x", "D", "something new"),
            event("d-x", 14.2, whatever=1),
            WHOLE[-1],
        ]
    )
    assert history.alerts == (Alert("s0", "r", "y", 2.0, 0.1, "above", 1.0, 3),)
    assert len(history.steps) == 2


@pytest.mark.parametrize("cut", range(len(WHOLE)))
def test_a_journal_that_ends_anywhere_can_be_read_and_closed(cut):
    documents = WHOLE[:cut]
    closing = close_unfinished(documents)
    began = {doc["uid"] for name, doc in documents if name == "start"}
    closed = {doc["run_start"] for name, doc in documents if name == "stop"}
    assert {doc["run_start"] for _, doc in closing} == began - closed
    for name, doc in closing:
        event_model.schema_validators[event_model.DocumentNames[name]].validate(doc)
        of = {d["uid"] for n, d in documents if n == "descriptor" and d["run_start"] == doc["run_start"]}
        assert sum(doc["num_events"].values()) == sum(n == "event" and d["descriptor"] in of for n, d in documents)
        assert doc["time"] == max(d.get("time", 0.0) for _, d in documents)
    if not cut:
        with pytest.raises(JournalError, match="before its first document"):
            read_history(documents)
        return
    assert set(read_history(documents).unfinished_runs) == began - closed
    history = read_history([*documents, *closing])
    assert history.unfinished_runs == ()
    assert history.stop_reason == ""
    assert close_unfinished([*documents, *closing]) == []


def test_the_time_between_a_death_and_a_resume_does_not_count():
    first = WHOLE[: WHOLE.index(ended(0, 9.0)) + 1]
    resumed = [*opened("E", 1000.0, "2"), suggested(1, 1001.0, "d-s2"), ended(1, 1005.0, "d-o2")]
    history = read_history([*first, *close_unfinished(first), *resumed])
    assert history.elapsed_s == 9.0 + 5.0
    assert [step.suggestion.id for step in history.steps] == ["s0", "s1"]
    assert history.metadata["uid"] == "D"
    # The stop reason is the last process's: this one has not ended.
    assert history.stop_reason == ""


def test_a_preparation_that_failed_or_broke_off_is_not_one():
    documents = [*opened(), start("P", PREPARATION), stop("P", status="fail"), start("Q", PREPARATION)]
    assert read_history(documents).preparation == ()


def test_an_aborted_campaign_has_not_ended():
    assert read_history([*opened(), stop("D", status="abort", reason="a person")]).stop_reason == ""

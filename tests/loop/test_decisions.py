"""Decisions as documents, through a real RunEngine and back."""

import json
import math

import event_model
import pytest
from bluesky import RunEngine
from hypothesis import given
from hypothesis import strategies as st

from loop.decisions import ALERT, OUTCOME, PURPOSE, SUGGESTION, Decisions, alert_of, outcome_of, suggestion_of
from loop.journal import plain_document
from loop.records import Alert, Cause, Observation, Origin, Prediction, Status, Suggestion

finite = st.floats(allow_nan=False, allow_infinity=False)
points = st.fixed_dictionaries({"T": finite, "sample": st.text(max_size=6)})
suggestions = st.builds(
    Suggestion,
    id=st.text(min_size=1, max_size=8),
    iteration=st.integers(0, 10**6),
    point=points,
    origin=st.sampled_from(Origin),
    prediction=st.none()
    | st.builds(Prediction, mean=st.fixed_dictionaries({"y": finite}), sd=st.fixed_dictionaries({"y": finite})),
    acquisition_value=st.none() | finite,
    based_on=st.integers(0, 99),
    pending=st.lists(st.text(max_size=4), max_size=2).map(tuple),
    decision_s=finite,
    cause=st.none() | st.builds(Cause, st.text(max_size=4), st.text(max_size=4)),
    exposure_s=st.none() | finite,
)
observations = st.builds(
    Observation,
    suggestion_id=st.text(min_size=1, max_size=8),
    point=points,
    status=st.sampled_from(Status),
    values=st.fixed_dictionaries({"y": finite}) | st.just({}),
    sds=st.fixed_dictionaries({"y": finite}) | st.just({}),
    reason=st.text(max_size=20),
    attempts=st.integers(0, 9),
    run_uids=st.lists(st.text(max_size=4), max_size=3).map(tuple),
)


def through_json(record):
    """As an event of the journal shows it."""
    return plain_document("event", {"data": {"record": json.dumps(record.to_json()), "idle_s": 0.25}})


@given(suggestions)
def test_a_suggestion_comes_back_bit_by_bit(suggestion):
    assert suggestion_of(through_json(suggestion)) == (suggestion, 0.25)


def test_a_suggestion_of_an_earlier_version_can_be_read():
    record = Suggestion("s0", 0, {"T": 1.0}, Origin.INITIAL).to_json()
    del record["cause"], record["exposure_s"]
    assert Suggestion.from_json(record) == Suggestion("s0", 0, {"T": 1.0}, Origin.INITIAL)


@given(observations)
def test_an_outcome_comes_back_bit_by_bit(observation):
    assert outcome_of(through_json(observation)) == observation


ALARM = Alert("s0", "closer", "y", 0.3, 0.01, "above", 0.2, 1)


@pytest.fixture
def emitted():
    """Documents of a decisions run with one suggestion, its outcome, and one that was lost."""
    documents = []
    decisions = Decisions(("y", "z"))
    prediction = Prediction({"y": 0.1 + 0.2, "z": 1.0}, {"y": 1 / 3, "z": 0.5})
    first = Suggestion("s0", 0, {"x": 1.0}, Origin.ACQUISITION, prediction, acquisition_value=2.5, decision_s=0.5)
    second = Suggestion("s1", 1, {"x": 2.0}, Origin.REACTION, cause=Cause("s0", "closer"), exposure_s=4.0)
    measured = Observation("s0", {"x": 1.0}, Status.MEASURED, {"y": 0.3, "z": 1.1}, {"y": 0.01, "z": 0.02})
    lost = Observation("s1", {"x": 2.0}, Status.FAILED, reason="stuck")

    def plan():
        yield from decisions.open({"campaign": "c"})
        yield from decisions.suggestion(first, idle_s=0.125)
        yield from decisions.outcome(measured)
        yield from decisions.alert(ALARM)
        yield from decisions.suggestion(second, idle_s=0.0)
        yield from decisions.outcome(lost)
        yield from decisions.close("enough")

    engine = RunEngine({})
    engine(plan(), lambda name, doc: documents.append((name, plain_document(name, doc))))
    return documents, (first, second), (measured, lost)


def test_the_run_is_valid_and_says_what_it_is(emitted):
    documents, *_ = emitted
    for name, doc in documents:
        event_model.schema_validators[event_model.DocumentNames[name]].validate(doc)
    assert documents[0][1]["purpose"] == PURPOSE
    assert documents[0][1]["campaign"] == "c"
    assert documents[-1][1]["reason"] == "enough"
    assert documents[-1][1]["num_events"] == {SUGGESTION: 2, OUTCOME: 2, ALERT: 1}


def test_records_and_columns_agree(emitted):
    documents, suggested, observed = emitted
    streams = {doc["uid"]: doc["name"] for name, doc in documents if name == "descriptor"}
    events = [(streams[doc["descriptor"]], doc) for name, doc in documents if name == "event"]
    assert [stream for stream, _ in events] == [SUGGESTION, OUTCOME, ALERT, SUGGESTION, OUTCOME]
    assert alert_of(events[2][1]) == ALARM
    asked = [doc for stream, doc in events if stream == SUGGESTION]
    ended = [doc for stream, doc in events if stream == OUTCOME]
    assert [suggestion_of(doc)[0] for doc in asked] == list(suggested)
    assert suggestion_of(asked[0])[1] == 0.125
    assert [outcome_of(doc) for doc in ended] == list(observed)
    assert asked[0]["data"]["predicted_y"] == 0.1 + 0.2
    assert asked[0]["data"]["predicted_y_sd"] == 1 / 3
    assert asked[0]["data"]["acquisition_value"] == 2.5
    assert math.isnan(asked[1]["data"]["predicted_z"])
    assert math.isnan(asked[1]["data"]["acquisition_value"])
    assert ended[0]["data"]["z"] == 1.1
    assert ended[0]["data"]["z_sd"] == 0.02
    assert math.isnan(ended[1]["data"]["y"])
    assert ended[1]["data"]["status"] == "failed"
    assert (asked[0]["data"]["cause"], asked[0]["data"]["reaction"]) == ("", "")
    assert (asked[1]["data"]["cause"], asked[1]["data"]["reaction"]) == ("s0", "closer")
    assert math.isnan(asked[0]["data"]["exposure_s"])
    assert asked[1]["data"]["exposure_s"] == 4.0

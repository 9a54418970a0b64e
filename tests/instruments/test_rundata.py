from __future__ import annotations

import copy
import json

import event_model
import numpy as np
import pytest

from instruments.rundata import RunCollector, RunData, RunDataError


def run_documents(n_events=2, key="a"):
    run = event_model.compose_run(metadata={"purpose": "test"})
    documents = [("start", run.start_doc)]
    stream = run.compose_descriptor(
        name="primary",
        data_keys={key: {"source": "s", "dtype": "number", "shape": [], "object_name": "dev"}},
        configuration={"dev": {"data": {"dev_exposure": 2.5}, "timestamps": {"dev_exposure": 0.0}, "data_keys": {}}},
        object_keys={"dev": [key]},
    )
    other = run.compose_descriptor(name="baseline", data_keys={"b": {"source": "s", "dtype": "number", "shape": []}})
    documents += [("descriptor", stream.descriptor_doc), ("descriptor", other.descriptor_doc)]
    documents.append(("event", other.compose_event(data={"b": 9.0}, timestamps={"b": 0.0})))
    for number in range(n_events):
        documents.append(("event", stream.compose_event(data={key: float(number)}, timestamps={key: 0.0})))
    documents.append(("stop", run.compose_stop()))
    return documents


def with_frame(documents, uri):
    resource = {"uid": "r", "data_key": "im", "mimetype": "x", "uri": uri, "parameters": {}, "run_start": "u"}
    datum = {"uid": "r/0", "stream_resource": "r", "descriptor": "d", "indices": {"start": 0, "stop": 1}}
    datum["seq_nums"] = {"start": 1, "stop": 2}
    return [*documents[:3], ("stream_resource", resource), ("stream_datum", datum), *documents[3:]]


def test_the_primary_stream_is_read():
    documents = run_documents()
    run = RunData.from_documents(documents, validate=True)
    assert run.start["purpose"] == "test"
    assert run.stop["exit_status"] == "success"
    assert [dict(event) for event in run.events] == [{"a": 0.0}, {"a": 1.0}]
    assert run.configuration == {"dev_exposure": 2.5}
    assert run.value("a") == 1.0
    assert run.value("a", event=0) == 0.0
    assert run.frames == ()


def test_documents_that_went_through_json_read_the_same():
    documents = run_documents()
    assert RunData.from_documents(json.loads(json.dumps(documents))) == RunData.from_documents(documents)


def test_event_pages_read_as_their_events():
    documents = run_documents()
    events = [doc for name, doc in documents if name == "event" and "a" in doc["data"]]
    page = ("event_page", event_model.pack_event_page(*events))
    paged = [pair for pair in documents if pair[0] != "event"] + [page]
    assert RunData.from_documents(paged, validate=True).events == RunData.from_documents(documents).events


def test_a_run_cut_short_is_read_as_far_as_it_goes():
    documents = run_documents()
    for length in range(1, len(documents)):
        run = RunData.from_documents(documents[:length])
        assert run.stop is None
        assert len(run.events) == max(0, length - 4)


@pytest.mark.parametrize("host", ["", "localhost"])
def test_frames_are_found_by_uri_or_in_the_campaign_s_folder(tmp_path, host):
    there = tmp_path / "old place, 100 %" / "frame_000001.h5"
    moved = tmp_path / "new" / there.name
    quoted = str(there).replace("%", "%25").replace(" ", "%20")
    documents = with_frame(run_documents(), f"file://{host}{quoted}")
    assert RunData.from_documents(documents).frames == (there,)
    assert RunData.from_documents(documents, frames_folder=moved.parent).frames == (moved,)
    there.parent.mkdir()
    there.touch()
    assert RunData.from_documents(documents, frames_folder=moved.parent).frames == (there,)


@pytest.mark.parametrize("uri", ["http://localhost/x.h5", "file://elsewhere/x.h5"])
def test_a_uri_of_another_machine_is_told(uri):
    with pytest.raises(RunDataError, match=r"document 4 \(stream_datum\).*file URI of this machine"):
        RunData.from_documents(with_frame(run_documents(), uri))


def test_what_is_missing_is_told():
    with pytest.raises(RunDataError, match="begins with a start document"):
        RunData.from_documents([])
    documents = run_documents(0)
    with pytest.raises(RunDataError, match="emitted no event"):
        RunData.from_documents(documents).value("a")
    with pytest.raises(RunDataError, match=r"has no 'c', only \['a'\]"):
        RunData.from_documents(run_documents()).value("c")
    without = [pair for pair in run_documents() if pair[0] != "descriptor"]
    with pytest.raises(RunDataError, match=r"document 1 \(event\)"):
        RunData.from_documents(without)


def test_documents_against_the_schema():
    documents = copy.deepcopy(run_documents())
    documents[4][1]["seq_num"] = "one"
    assert RunData.from_documents(documents).events
    with pytest.raises(RunDataError, match=r"document 4 \(event\).*seq_num: 'one' is not of type 'integer'"):
        RunData.from_documents(documents, validate=True)


def test_the_collector_keeps_the_first_run_and_nothing_of_others():
    first, second = run_documents(), run_documents(1)
    collector = RunCollector()
    for name, doc in [*second[1:2], first[0], second[0]]:
        collector(name, doc)
    for index in range(1, len(first)):
        for documents in (second, first):
            if index < len(documents):
                collector(*documents[index])
    assert collector.documents == first


def test_arrays_are_valid_data():
    documents = run_documents(1)
    documents[1][1]["data_keys"]["a"].update(dtype="array", shape=[3])
    documents[4][1]["data"]["a"] = np.array([1.0, np.nan, 3.0])
    assert RunData.from_documents(documents, validate=True).value("a").shape == (3,)

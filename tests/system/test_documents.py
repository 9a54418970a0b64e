"""The documents of a whole campaign with the demo's parts: valid, and each run says where it belongs."""

from __future__ import annotations

import json
import shutil

import event_model
import pytest

from loop.config import config_hash, parse_config
from loop.exitcodes import ExitCode
from loop.journal import FILE_NAME
from loop.run import resume_campaign, run_campaign


@pytest.fixture(scope="module")
def campaign(config_text, read_record, tmp_path_factory):
    folder = tmp_path_factory.mktemp("documents") / "campaign"
    text = config_text.replace("kind: gp", "kind: pbnn").replace("points: 12", "points: 9")
    config = parse_config(text, name="test")
    assert run_campaign(config, folder, progress=False).exit_code is ExitCode.DONE
    return config, read_record(folder)


def test_every_document_is_valid(campaign):
    names = set()
    for name, doc in campaign[1].documents:
        event_model.schema_validators[event_model.DocumentNames[name]].validate(doc)
        names.add(name)
    assert names == {"start", "descriptor", "event", "stream_resource", "stream_datum", "stop"}


def test_every_document_belongs_to_a_run_that_began_before_and_ends_after_it(campaign):
    open_runs, descriptors, resources, events = {}, {}, {}, {}
    for name, doc in campaign[1].documents:
        match name:
            case "start":
                open_runs[doc["uid"]] = {}
            case "descriptor":
                open_runs[doc["run_start"]][doc["name"]] = 0
                descriptors[doc["uid"]] = doc["run_start"], doc["name"]
            case "stream_resource":
                assert doc["run_start"] in open_runs
                resources[doc["uid"]] = doc["run_start"]
            case "stream_datum":
                assert resources[doc["stream_resource"]] == descriptors[doc["descriptor"]][0]
            case "event":
                run, stream = descriptors[doc["descriptor"]]
                open_runs[run][stream] += 1
                assert doc["seq_num"] == open_runs[run][stream]
            case "stop":
                assert doc["num_events"] == open_runs.pop(doc["run_start"])
                events[doc["run_start"]] = doc["num_events"]
    assert open_runs == {}
    assert sorted(json.dumps(n) for n in events.values())[-1] == '{"suggestion": 9, "outcome": 9}'


def test_every_run_says_where_it_belongs(campaign):
    config, record = campaign
    suggestions = {step.suggestion.id: step.suggestion.iteration for step in record.history.steps}
    starts = [doc for name, doc in record.documents if name == "start"]
    assert [doc["purpose"] for doc in starts].count("measurement") == len(suggestions) == 9
    for doc in starts:
        assert doc["campaign"] == "small"
        assert doc["seed"] == 11
        assert doc["config_hash"] == config_hash(config)
        assert {"python", "beamloop", "bluesky", "torch", "botorch", "pyFAI", "numpy"} <= set(doc["versions"])
        if doc["purpose"] == "measurement":
            assert suggestions[doc["suggestion_id"]] == doc["iteration"]
        else:
            assert doc["suggestion_id"] is doc["iteration"] is None
    decisions = next(doc for doc in starts if doc["purpose"] == "decisions")
    assert decisions["config"]["name"] == "small"
    assert decisions["experiment"]["kind"] == "simulated"


@pytest.mark.parametrize("outcomes", [5, 7])
def test_the_demo_s_surrogate_is_restored_bit_by_bit(campaign, read_record, tmp_path, outcomes):
    record = campaign[1]
    folder = tmp_path / "campaign"
    shutil.copytree(record.folder, folder)
    lines = (folder / FILE_NAME).read_bytes().splitlines(keepends=True)
    ends = [i for i, line in enumerate(lines) if line.startswith(b'["event"') and b'"status":' in line]
    (folder / FILE_NAME).write_bytes(b"".join(lines[: ends[outcomes] + 1]))
    assert resume_campaign(folder, progress=False).exit_code is ExitCode.DONE
    assert read_record(folder).story == record.story

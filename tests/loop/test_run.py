"""Running, resuming, checking and reporting in this process: a small simulated campaign, and a made-up recording."""

from __future__ import annotations

import json
import os
import signal

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from instruments.errors import LimitsError
from loop.cli import app
from loop.config import parse_config
from loop.driver import terminated_pauses
from loop.errors import BeamloopError, JournalError
from loop.executor import run_engine
from loop.exitcodes import ExitCode
from loop.history import read_history
from loop.journal import FILE_NAME, Journal, read_documents
from loop.records import Status
from loop.run import CONFIG_NAME, check_campaign, resume_campaign, run_campaign, write_report

SIMULATED = """\
name: small
seed: 11
objective: {kind: optimise, observable: band, direction: maximise}
observables: {band: {kind: band, options: {q_min: 0.015, q_max: 0.05}}}
space:
  kind: box
  parameters:
    anneal_temperature: {low: 300, high: 700, unit: degC, device: temperature}
    x: {low: -20, high: 20, unit: mm, device: sample_x}
surrogate: {kind: gp}
initial: {points: 4}
stopping: {points: 6}
threads: 1
measurement: {exposure_s: 0.2}
reduction: {n_bins: 60}
beamline:
  kind: simulated
  time_scale: 0.0
  background_frames: 2
  scenario: {kind: annealing}
  instrument: {shape: [120, 100], beam_centre_px: [15.2, 12.7], pixel_mm: 0.6, module_rows: 50, gap_px: 4}
  devices:
    temperature: {kind: temperature_stage, low: 20, high: 900, unit: degC, ramp_rate: 1000, start: 300}
    sample_x: {kind: motor, low: -25, high: 25, unit: mm, velocity: 50, start: 0}
quality: {q_low: 0.015, q_high: 0.1, min_points: 15}
report: {baseline_repeats: 0}
storage: {tiled: none}
"""
REPLAY = """\
name: replay
seed: 4
objective: {kind: target, observable: distance}
observables: {distance: {kind: match, options: {target: {sample: target}, q_min: 0.01, q_max: 0.1}}}
space: {kind: pool, features: {radius: {unit: nm}, salt: {unit: mmol/L}}}
surrogate: {kind: gp}
initial: {points: 5}
stopping: {points: 16}
threads: 1
measurement: {exposure_s: 0.1, attempts: 1, failures_in_a_row: 4}
beamline: {kind: replay, data: made_up/table.parquet, id: name, exclude: [target], time_scale: 0.0}
quality: {q_low: 0.01, q_high: 0.1, min_points: 10}
report: {baseline_repeats: 0}
storage: {tiled: none}
"""
BAD = ("nan", "noise", "dead")


def history_of(folder):
    return read_history(read_documents(folder))


def story(folder):
    return [
        ({**s.suggestion.to_json(), "decision_s": 0}, {**s.observation.to_json(), "run_uids": 0})
        for s in history_of(folder).steps
    ]


@pytest.fixture(scope="module")
def campaign(tmp_path_factory):
    """A finished campaign."""
    folder = tmp_path_factory.mktemp("run") / "campaign"
    result = run_campaign(parse_config(SIMULATED, name="test"), folder, progress=False)
    return result, folder


@pytest.fixture
def data(tmp_path, monkeypatch):
    """Curves of Guinier's law over two features; three of them are bad, and the file says nothing of it."""
    rng = np.random.default_rng(3)
    q = np.linspace(0.005, 0.15, 80)
    rows = []
    for k in range(24):
        radius, salt = 2.0 + 4.0 * (k % 6) / 5, 10.0 * (k // 6)
        intensity = (100 + salt) * np.exp(-((q * 10 * radius) ** 2) / 15) + 0.1
        sigma = 0.02 * intensity
        rows.append(
            {"name": f"s{k}", "radius": radius, "salt": salt, "q": q, "i": rng.normal(intensity, sigma), "sigma": sigma}
        )
    rows[3] |= {"name": "nan", "i": np.full(80, np.nan)}
    rows[9] |= {"name": "noise", "i": rng.normal(0, 5, 80), "sigma": np.full(80, 5.0)}
    rows[20] |= {"name": "dead", "i": np.zeros(80), "sigma": np.zeros(80)}
    rows[16]["name"] = "target"
    folder = tmp_path / "data"
    (folder / "made_up").mkdir(parents=True)
    pd.DataFrame(rows).to_parquet(folder / "made_up" / "table.parquet")
    monkeypatch.setenv("BEAMLOOP_DATA", str(folder))
    return folder


def test_a_campaign_from_its_beginning_to_its_end(campaign):
    result, folder = campaign
    assert result.exit_code is ExitCode.DONE
    assert result.stop_reason == "6 points are measured"
    assert result.folder == folder
    history = history_of(folder)
    assert history.stop_reason == "6 points are measured"
    assert len(history.measured) == 6
    assert json.loads((folder / CONFIG_NAME).read_text())["seed"] == 11
    # `tiled: none`: no catalogue, no process of its own.
    assert not (folder / "catalog").exists()
    assert not (folder / "reserve").exists()


def test_the_same_file_gives_the_same_campaign(campaign, tmp_path):
    run_campaign(parse_config(SIMULATED, name="test"), tmp_path / "again", progress=False)
    assert story(tmp_path / "again") == story(campaign[1])


def test_a_finished_campaign_is_left_as_it_is(campaign):
    _, folder = campaign
    before = story(folder)
    assert resume_campaign(folder, progress=False).exit_code is ExitCode.DONE
    assert story(folder) == before
    assert history_of(folder).frames == 6


def test_a_folder_in_use_is_refused_and_untouched(campaign):
    _, folder = campaign
    before = (folder / CONFIG_NAME).read_bytes(), (folder / FILE_NAME).read_bytes()
    with pytest.raises(JournalError, match="beamloop resume"):
        run_campaign(parse_config(SIMULATED, name="test"), folder, progress=False)
    assert ((folder / CONFIG_NAME).read_bytes(), (folder / FILE_NAME).read_bytes()) == before


def test_a_second_process_is_refused(campaign):
    _, folder = campaign
    with Journal(folder), pytest.raises(JournalError, match="another process is running this campaign"):
        resume_campaign(folder, progress=False)


@pytest.mark.parametrize("missing", ["campaign", CONFIG_NAME])
def test_a_folder_without_campaign_is_told(campaign, tmp_path, missing):
    folder = tmp_path / "folder"
    if missing == CONFIG_NAME:
        folder.mkdir()
        (folder / FILE_NAME).write_bytes((campaign[1] / FILE_NAME).read_bytes())
    with pytest.raises(JournalError, match=f"no campaign here: expected {CONFIG_NAME}"):
        resume_campaign(folder, progress=False)
    with pytest.raises(JournalError, match="no campaign here"):
        write_report(folder)


def test_what_cannot_be_built_leaves_nothing_behind(tmp_path):
    config = parse_config(SIMULATED.replace("{kind: annealing}", "{kind: unknown}"), name="test")
    with pytest.raises(Exception, match="unknown"):
        run_campaign(config, tmp_path / "campaign", progress=False)
    assert not (tmp_path / "campaign").exists()


def test_check_measures_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = check_campaign(parse_config(SIMULATED, name="test"))
    assert len(found) == 3
    assert "all 4 corners" in found[-1]
    assert list(tmp_path.iterdir()) == []


def test_check_takes_a_decision_so_that_an_option_s_value_is_told(tmp_path):
    text = SIMULATED.replace("{kind: gp}", "{kind: pbnn, options: {members: 0}}")
    with pytest.raises(Exception, match="members = 0"):
        check_campaign(parse_config(text, name="test"))


def test_limits_are_asked_for_before_anything_moves(tmp_path, monkeypatch):
    """The configuration compares too; this is the device's own word."""
    monkeypatch.setattr(
        "instruments.devices.SimulatedMotor.check_value", lambda self, pos: (_ for _ in ()).throw(ValueError("jammed"))
    )
    with pytest.raises(LimitsError, match="parameter x: jammed"):
        run_campaign(parse_config(SIMULATED, name="test"), tmp_path / "campaign", progress=False)
    assert not (tmp_path / "campaign").exists()


def test_a_report_of_a_campaign_that_has_only_begun(campaign, tmp_path):
    source = campaign[1]
    folder = tmp_path / "campaign"
    (folder / "frames").mkdir(parents=True)
    for path in (*(source / "frames").iterdir(), source / CONFIG_NAME):
        (folder / path.relative_to(source)).write_bytes(path.read_bytes())
    lines = (source / FILE_NAME).read_bytes().splitlines(keepends=True)
    ends = [i for i, line in enumerate(lines) if line.startswith(b'["event"') and b'"status":' in line]
    (folder / FILE_NAME).write_bytes(b"".join(lines[: ends[1] + 1]) + lines[ends[1] + 1][:20])
    page = write_report(folder)
    assert page == folder / "report" / "report.html"
    assert page.read_text().rstrip().endswith("</html>")


def test_a_surrogate_that_fails_midway_pauses_and_the_message_reaches_the_caller(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "moody_model.py").write_text(
        "from pathlib import Path\n"
        "from surrogates.gp import GaussianProcess\n"
        "def moody(X, Y, Yvar=None, *, seed=0):\n"
        "    if len(X) == 5 and not Path('mood').read_text():\n"
        "        raise ValueError('no convergence today')\n"
        "    return GaussianProcess(X, Y, Yvar, seed=seed)\n"
    )
    (tmp_path / "mood").write_text("good")
    monkeypatch.syspath_prepend(tmp_path)
    text = SIMULATED.replace("{kind: gp}", "{kind: 'moody_model:moody'}").replace("points: 6", "points: 7")
    monkeypatch.setattr("loop.run.warm_up", lambda *_: (tmp_path / "mood").write_text(""))
    result = run_campaign(parse_config(text, name="test"), tmp_path / "campaign", progress=False)
    assert result.exit_code is ExitCode.PAUSED
    assert "no convergence today" in result.stop_reason
    assert "moody" in result.stop_reason
    monkeypatch.setattr("loop.run.warm_up", lambda *_: (tmp_path / "mood").write_text("good"))
    assert resume_campaign(tmp_path / "campaign", progress=False).exit_code is ExitCode.DONE
    assert len(history_of(tmp_path / "campaign").measured) == 7


def test_a_signal_before_the_plan_has_begun_pauses_it_all_the_same(tmp_path):
    import bluesky.plan_stubs as bps
    from bluesky.utils import RunEngineInterrupted

    def plan():
        for _ in range(100):
            yield from bps.checkpoint()
            yield from bps.sleep(0.05)

    with run_engine() as engine, terminated_pauses(engine):
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(RunEngineInterrupted):
            engine(plan())
        assert engine.state == "paused"


def test_recorded_data_played_back(data, tmp_path):
    folder = tmp_path / "campaign"
    result = run_campaign(parse_config(REPLAY, name="test"), folder, progress=False)
    assert result.exit_code is ExitCode.DONE
    history = history_of(folder)
    assert len(history.measured) == 16
    best = min(history.measured, key=lambda step: step.observation.values["distance"])
    # The target has radius 5.2 nm; the others of that radius, and it alone, differ by a few per cent in intensity.
    assert best.suggestion.point["radius"] == pytest.approx(5.2)
    tried = {step.suggestion.point["sample"]: step.observation for step in history.steps}
    assert "target" not in tried
    assert len(tried) == len(history.steps)
    refused = {name for name, outcome in tried.items() if outcome.status is Status.REJECTED}
    assert refused == set(BAD) & set(tried)
    assert refused
    assert all(tried[name].reason and not tried[name].values for name in refused)
    page = write_report(folder)
    assert page.exists()


def test_a_pool_that_is_used_up_ends_the_campaign(data, tmp_path):
    text = REPLAY.replace("points: 16", "points: 100").replace("initial: {points: 5}", "initial: {points: 20}")
    folder = tmp_path / "campaign"
    result = run_campaign(parse_config(text, name="test"), folder, progress=False)
    assert result.exit_code is ExitCode.DONE
    assert "every sample of the pool" in result.stop_reason
    history = history_of(folder)
    assert len(history.steps) == 23
    assert {s.suggestion.point["sample"] for s in history.steps if s.observation.status is Status.REJECTED} == set(BAD)
    assert len(history.measured) == 20


def test_missing_data_are_told_with_the_places_where_they_were_sought(tmp_path, monkeypatch):
    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.setenv("BEAMLOOP_DATA", str(empty))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "replay.yaml").write_text(REPLAY)
    for command in ("run", "check"):
        result = CliRunner().invoke(app, [command, "replay.yaml"])
        assert result.exit_code == ExitCode.BAD_INPUT
        assert "made_up/table.parquet" in result.stderr
        assert str(empty) in result.stderr
        assert "BEAMLOOP_DATA" in result.stderr
        assert "Traceback" not in result.stderr
    assert issubclass(JournalError, BeamloopError)

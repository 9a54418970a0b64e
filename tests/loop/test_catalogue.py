"""The catalogue follows the journal: line by line, again after a death, and at another place."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import dask
import numpy as np
import pytest

from instruments.frames import read_frame
from loop.catalogue import Feeder, _Runs, feed, follow, open_catalogue
from loop.config import parse_config
from loop.errors import JournalError
from loop.journal import FILE_NAME, Journal, read_documents, to_line
from loop.run import resume_campaign, run_campaign

CONFIG = """\
name: small
seed: 3
objective: {kind: map, observable: band}
observables: {band: {kind: band, options: {q_min: 0.015, q_max: 0.05}}}
space:
  kind: box
  parameters:
    anneal_temperature: {low: 300, high: 700, unit: degC, device: temperature}
    x: {low: -20, high: 20, unit: mm, device: sample_x}
surrogate: {kind: gp}
initial: {points: 3}
stopping: {points: 3}
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
storage: {tiled: none}
"""
# Bluesky's writer calls Tiled's client in the former order of arguments.
pytestmark = pytest.mark.filterwarnings("ignore:The order of arguments has changed:DeprecationWarning")
AT_ONCE = threading.Event()
AT_ONCE.set()


def lines(*texts):
    return "".join(to_line("event", {"text": text}) for text in texts)


def texts(items):
    return [item[1]["text"] for item in items if item is not None]


def test_follow_yields_whole_lines_and_ends_at_the_end(tmp_path):
    path = tmp_path / FILE_NAME
    path.write_text(lines("a", "b") + '["event", {"te')
    assert texts(follow(path, AT_ONCE)) == ["a", "b"]


def test_follow_goes_on_after_a_torn_line_was_cut_off(tmp_path):
    path = tmp_path / FILE_NAME
    ended = threading.Event()
    torn = '["event", {"text": "é'
    path.write_text(lines("a") + torn)
    items = follow(path, ended)
    assert texts([next(items), next(items)]) == ["a"]
    with path.open("r+b") as file:
        file.truncate(len(lines("a").encode()))
        file.seek(0, os.SEEK_END)
        file.write(lines("b", "c").encode())
    assert texts([next(items) for _ in range(3)]) == ["b", "c"]
    ended.set()
    assert texts(items) == []


def test_follow_reads_a_line_that_comes_in_pieces_once(tmp_path):
    path = tmp_path / FILE_NAME
    whole = lines("a" * 3000).encode()
    path.write_bytes(b"")
    ended = threading.Event()
    seen = []
    reader = threading.Thread(target=lambda: seen.extend(follow(path, ended)))
    reader.start()
    with path.open("ab", buffering=0) as file:
        for start in range(0, len(whole), 700):
            file.write(whole[start : start + 700])
            time.sleep(0.02)
    ended.set()
    reader.join(10)
    assert texts(seen) == ["a" * 3000]


def test_a_folder_without_campaign_is_told(tmp_path):
    with pytest.raises(JournalError, match="no campaign here"):
        feed(tmp_path, "embedded", AT_ONCE)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A finished campaign of three points, without a catalogue."""
    folder = tmp_path_factory.mktemp("source") / "campaign"
    run_campaign(parse_config(CONFIG, name="test"), folder, progress=False)
    return folder


@pytest.fixture
def campaign(source, tmp_path):
    """A copy of its own: the frames' addresses in the journal are those of the first place."""
    shutil.copytree(source, tmp_path / "campaign")
    return tmp_path / "campaign"


def cut(folder, n):
    """Leave the first n documents."""
    path = folder / FILE_NAME
    kept = b"".join(path.read_bytes().splitlines(keepends=True)[:n])
    path.write_bytes(kept)


def check_complete(folder):
    """Every run of the journal is there once, complete, with readable frames."""
    documents = list(read_documents(folder))
    starts = {doc["uid"]: doc for name, doc in documents if name == "start"}
    # One thread: dask's own would outlive the test.
    with dask.config.set(scheduler="synchronous"), open_catalogue(folder, "embedded") as client:
        assert sorted(client) == sorted(starts)
        for uid, start in starts.items():
            run = client[uid]
            assert run.metadata["stop"]["run_start"] == uid
            if start["purpose"] == "measurement" and "primary" in run:
                image = run["primary"]["det_image"]
                assert image.shape == (1, 120, 100)
                frame = read_frame(folder / "frames" / f"frame_{start['frame_number']:06d}.h5")
                assert np.array_equal(image.read()[0], frame)
        return {uid: run.metadata["stop"]["uid"] for uid, run in client.items()}


def test_the_catalogue_catches_up_wherever_it_was_left_and_follows_a_move(source, campaign):
    whole = (source / FILE_NAME).read_bytes()
    total = len(whole.splitlines())
    # The journal as it was at several instants: runs begun, with a frame and no end, ended.
    for n in (total // 3, total - 3):
        (campaign / FILE_NAME).write_bytes(whole)
        cut(campaign, n)
        assert feed(campaign, "embedded", AT_ONCE) == 0
    (campaign / FILE_NAME).write_bytes(whole)
    assert feed(campaign, "embedded", AT_ONCE) == 0
    first = check_complete(campaign)
    assert feed(campaign, "embedded", AT_ONCE) == 0
    assert check_complete(campaign) == first
    # Moved, it gets a catalogue that finds the frames at their new place.
    moved = campaign.rename(campaign.with_name("elsewhere"))
    assert feed(moved, "embedded", AT_ONCE) == 0
    assert check_complete(moved) == first


class Fussy:
    """Stands in for TiledWriter: refuses events of one run."""

    refused = ""
    written: list = []  # noqa: RUF012 - emptied by the test

    def __init__(self, client, batch_size):
        pass

    def __call__(self, name, doc):
        if name == "event" and doc["data"]["run"] == self.refused:
            raise OSError("the server has gone")
        self.written.append((name, doc.get("uid")))


def test_a_run_that_cannot_be_written_does_not_keep_the_others_back(monkeypatch, tmp_path, caplog):
    monkeypatch.setattr("bluesky.callbacks.tiled_writer.TiledWriter", Fussy)
    monkeypatch.setattr(Fussy, "written", [])
    monkeypatch.setattr(Fussy, "refused", "b")
    runs = _Runs({}, tmp_path)
    for run in "abc":
        runs("start", {"uid": run})
        runs("descriptor", {"uid": f"d-{run}", "run_start": run})
    for run in "abc":
        runs("event", {"uid": f"e-{run}", "descriptor": f"d-{run}", "data": {"run": run}})
        runs("stop", {"uid": f"s-{run}", "run_start": run})
    assert runs.failed == {"b"}
    assert ("event", "e-a") in Fussy.written
    assert ("stop", "s-b") not in Fussy.written
    assert ("stop", "s-c") in Fussy.written
    assert "the server has gone" in caplog.text


def test_a_run_that_could_not_be_written_is_tried_once_more(monkeypatch, tmp_path):
    monkeypatch.setattr("bluesky.callbacks.tiled_writer.TiledWriter", Fussy)
    monkeypatch.setattr(Fussy, "written", [])
    opened = []

    @contextmanager
    def away_for_a_while(folder, target):
        opened.append(target)
        monkeypatch.setattr(Fussy, "refused", "a" if len(opened) == 1 else "")
        yield {}

    monkeypatch.setattr("loop.catalogue.open_catalogue", away_for_a_while)
    (tmp_path / FILE_NAME).write_text(
        to_line("start", {"uid": "a"})
        + to_line("descriptor", {"uid": "d", "run_start": "a"})
        + to_line("event", {"uid": "e", "descriptor": "d", "data": {"run": "a"}})
    )
    assert feed(tmp_path, "http://nowhere", AT_ONCE) == 0
    assert len(opened) == 2
    assert Fussy.written[-1] == ("event", "e")


def test_a_feeder_that_died_is_told(campaign):
    feeder = Feeder(campaign)
    os.kill(feeder._process.pid, signal.SIGKILL)
    assert f"beamloop catalogue {campaign}" in feeder.finish(timeout_s=10)


def test_a_feeder_that_takes_long_is_told_and_left_alone(campaign):
    feeder = Feeder(campaign)
    os.kill(feeder._process.pid, signal.SIGSTOP)
    try:
        assert "still catching up" in feeder.finish(timeout_s=0.1)
    finally:
        feeder.kill()


@pytest.mark.timeout(240)
def test_the_feeder_s_process_ends_with_its_parent(campaign):
    """What happens to the feeder of a campaign that is killed: its standard input closes."""
    with (campaign / "log").open("wb") as log:
        feeder = subprocess.Popen(
            [sys.executable, "-m", "loop.catalogue", str(campaign), "embedded"],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
        )
    feeder.stdin.close()
    try:
        assert feeder.wait(180) == 0, (campaign / "log").read_text()
    finally:
        feeder.kill()
    check_complete(campaign)


def test_a_campaign_goes_on_without_a_catalogue_that_cannot_be_reached(campaign, capfd, monkeypatch):
    """A server that is not there: the campaign says so at its end, and has lost nothing."""
    config = campaign / "campaign.json"
    config.write_text(
        config.read_text()
        .replace('"tiled":"none"', '"tiled":"http://127.0.0.1:9"')
        .replace('"tiled": "none"', '"tiled": "http://127.0.0.1:9"')
    )
    assert "127.0.0.1:9" in config.read_text()
    cut(campaign, 20)
    started = []

    class Hasty(Feeder):
        def __init__(self, *args):
            super().__init__(*args)
            started.append(self)

        def finish(self, timeout_s=0.5):
            return super().finish(timeout_s)

    monkeypatch.setattr("loop.run.Feeder", Hasty)
    try:
        assert resume_campaign(campaign, progress=False).exit_code == 0
        assert "catalogue is still catching up" in capfd.readouterr().err
    finally:
        for feeder in started:
            feeder.kill()
    with Journal(campaign):
        pass

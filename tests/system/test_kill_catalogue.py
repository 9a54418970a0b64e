"""The Tiled catalogue follows the journal, whoever is killed: in the end it holds every run once, complete."""

from __future__ import annotations

import os
import signal
import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path

import dask
import numpy as np
import pytest

from instruments.frames import read_frame
from loop.catalogue import FOLDER_NAME, open_catalogue
from loop.exitcodes import ExitCode
from loop.history import has_event

BOUND_S = 90


def feeders(folder: Path) -> list[int]:
    """Processes that feed this campaign's catalogue."""
    found = []
    for process in filter(str.isdigit, os.listdir("/proc")):
        try:
            arguments = Path("/proc", process, "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"loop.catalogue" in arguments and str(folder).encode() in arguments:
            found.append(int(process))
    return found


def wait_until(condition, what):
    deadline = time.monotonic() + BOUND_S
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def runs_in(database: Path) -> int:
    """Runs that the catalogue's database holds by now."""
    try:
        with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=0.1)) as connection:
            (count,) = connection.execute("SELECT COUNT(*) FROM nodes WHERE parent = 0").fetchone()
    except sqlite3.Error:  # not there yet, or being written
        return 0
    return int(count)


@pytest.mark.timeout(300)
def test_after_kills_of_campaign_and_feeder_the_catalogue_holds_every_run_once(
    zygote, config_text, read_record, tmp_path
):
    folder = tmp_path / "campaign"
    config = config_text.replace("tiled: none", "tiled: embedded").replace("points: 12", "points: 8")
    # The campaign dies; its feeder goes on with what there is.
    assert zygote("run", folder, config=config, die="half a document is written", n=60)["code"] == -9

    # It is resumed at once, and the feeders die while they write. The campaign is none the worse for it, and says so.
    def kill_the_feeders():
        wait_until(lambda: runs_in(folder / FOLDER_NAME / "catalog.db") >= 4, "the feeder writes nothing")
        for process in feeders(folder):
            os.kill(process, signal.SIGKILL)

    killer = threading.Thread(target=kill_the_feeders)
    killer.start()
    ended = zygote("resume", folder, timeout_s=BOUND_S)
    killer.join()
    assert ended["code"] == 0, zygote.log
    assert ended["result"][0] == ExitCode.DONE
    assert "the Tiled catalogue is incomplete" in zygote.log
    assert f"beamloop catalogue {folder}" in zygote.log

    # Nothing is left to measure: this resume completes the catalogue.
    assert zygote("resume", folder, timeout_s=BOUND_S)["code"] == 0, zygote.log
    assert feeders(folder) == []

    record = read_record(folder)
    starts = {doc["uid"]: doc for name, doc in record.documents if name == "start"}
    stops = {doc["run_start"]: doc for name, doc in record.documents if name == "stop"}
    assert set(stops) == set(starts)
    measured = {run[0][1]["uid"] for step in record.history.steps for run in step.runs if has_event(run)}
    # One thread: dask's own would outlive the test.
    with dask.config.set(scheduler="synchronous"), open_catalogue(folder, "embedded") as client:
        assert sorted(client) == sorted(starts)
        for uid, start in starts.items():
            run = client[uid]
            assert run.metadata["start"]["purpose"] == start["purpose"]
            assert run.metadata["stop"]["exit_status"] == stops[uid]["exit_status"]
            if uid in measured:
                image = run["primary"]["det_image"]
                assert image.shape == (1, 120, 100)
                frame = read_frame(folder / "frames" / f"frame_{start['frame_number']:06d}.h5")
                assert np.array_equal(image.read()[0], frame)
        decisions = [uid for uid, start in starts.items() if start["purpose"] == "decisions"]
        outcomes = [client[uid]["outcome"].read() for uid in decisions if "outcome" in client[uid]]
        told = [identity for table in outcomes for identity in table["suggestion_id"].values]
        assert told == [step.suggestion.id for step in record.history.steps]

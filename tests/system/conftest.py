"""Real processes that run real campaigns on a small simulated beamline, and what they leave on disk."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from instruments.frames import read_frame
from loop.history import History, has_event, read_history
from loop.journal import read_documents

# 120 x 100 large pixels: a frame takes a millisecond.
CONFIG = """\
name: small
seed: 11
objective: {kind: map, observable: band}
observables: {band: {kind: band, options: {q_min: 0.015, q_max: 0.05}}}
space:
  kind: box
  parameters:
    anneal_temperature: {low: 300, high: 700, unit: degC, device: temperature}
    x: {low: -20, high: 20, unit: mm, device: sample_x}
surrogate: {kind: gp}
initial: {points: 5}
stopping: {points: 12}
threads: 1
measurement: {exposure_s: 0.2, attempts: 2, detector_timeout_s: 5, move_timeout_s: 5}
reduction: {n_bins: 60}
beamline:
  kind: simulated
  time_scale: 0.0
  background_frames: 2
  scenario: {kind: annealing}
  instrument: {shape: [120, 100], beam_centre_px: [15.2, 12.7], pixel_mm: 0.6, module_rows: 50, gap_px: 4,
               n_hot: 2, n_dead: 3}
  devices:
    temperature: {kind: temperature_stage, low: 20, high: 900, unit: degC, ramp_rate: 1000, start: 300}
    sample_x: {kind: motor, low: -25, high: 25, unit: mm, velocity: 50, start: 0}
quality: {q_low: 0.015, q_high: 0.1, min_points: 15}
report: {baseline_repeats: 0}
storage: {tiled: none}
"""


@pytest.fixture(scope="session")
def config_text() -> str:
    """A campaign file: twelve points, a second or two of work."""
    return CONFIG


@pytest.fixture(scope="session")
def environment(project_root: Path) -> dict[str, str]:
    """Environment of a child process: one thread for numerics, soft devices only, the source tree importable."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS"), "1")
    return {**os.environ, **threads, "PYTHONPATH": str(project_root), "OPHYD_CONTROL_LAYER": "dummy", "COLUMNS": "300"}


@pytest.fixture(autouse=True)
def nothing_outlives_its_test() -> Iterator[None]:
    """No thread of a campaign may be left behind."""
    before = set(threading.enumerate())
    yield
    deadline = time.monotonic() + 10
    while left := [t for t in set(threading.enumerate()) - before if not t.daemon]:
        assert time.monotonic() < deadline, f"still alive: {left}"
        time.sleep(0.01)


class Zygote:
    """The test's side of `zygote.py`."""

    def __init__(self, environment: dict[str, str], config: str, folder: Path) -> None:
        self._log = folder / "log"
        self._result = folder / "result"
        self._config = config
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("zygote.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            text=True,
        )
        assert self._ask({"config": config, "folder": str(folder / "warm")}) == "ready"

    def __call__(self, do: str, folder: Path, **how: Any) -> dict[str, Any]:
        """Let a child run, resume or report a campaign; return how it ended: code, seconds, result."""
        self._result.unlink(missing_ok=True)
        job = {"do": do, "folder": str(folder), "config": self._config, "timeout_s": 60}
        ended = self._ask({**job, "log": str(self._log), "result": str(self._result), **how})
        if ended["code"] == 0:
            ended["result"] = json.loads(self._result.read_text())
        return ended

    @property
    def log(self) -> str:
        """What the children printed."""
        return self._log.read_text() if self._log.exists() else ""

    def close(self) -> None:
        """End it; it has no children left."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        assert self._process.wait(30) == 0
        self._process.stdout.close()

    def _ask(self, job: dict[str, Any]) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())


@pytest.fixture(scope="module")
def zygote(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Zygote]:
    """Forks a child that runs, resumes or reports, and tells how it ended."""
    parent = Zygote(environment, CONFIG, tmp_path_factory.mktemp("zygote"))
    yield parent
    parent.close()


@dataclass(frozen=True)
class Record:
    """What a campaign has left in its folder."""

    folder: Path
    documents: list[tuple[str, dict[str, Any]]]
    history: History

    @property
    def story(self) -> list[tuple[dict[str, Any], dict[str, Any]]]:
        """Suggestions and outcomes without what differs from process to process: durations and uids."""
        return [
            (
                {**step.suggestion.to_json(), "decision_s": None},
                {**step.observation.to_json(), "run_uids": None} if step.observation else {},
            )
            for step in self.history.steps
        ]

    @property
    def frames(self) -> dict[int, np.ndarray]:
        """Frames that were emitted, by number; asserts that no number was taken twice and that files match events."""
        frames: dict[int, np.ndarray] = {}
        for step in self.history.steps:
            for run in filter(has_event, step.runs):
                number = run[0][1]["frame_number"]
                (event,) = (doc["data"] for name, doc in run if name == "event")
                assert number not in frames
                assert event["det_frame_number"] == number
                frames[number] = read_frame(self.folder / "frames" / f"frame_{number:06d}.h5")
                assert frames[number].sum(dtype=float) == event["det_total"]
        return frames


@pytest.fixture(scope="session")
def read_record() -> Callable[[Path], Record]:
    """Reads a campaign's folder."""

    def read(folder: Path) -> Record:
        documents = list(read_documents(folder))
        return Record(folder, documents, read_history(documents))

    return read

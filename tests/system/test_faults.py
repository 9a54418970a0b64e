"""What a campaign makes of bad frames, devices that fail and disks that fill: it goes on, or pauses and says why."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import event_model
import pytest
from bluesky.utils import RunEngineInterrupted
from botorch.models import SingleTaskGP

from instruments.devices import Fault, Faults
from instruments.devices.detector import SaxsDetector
from instruments.observables import make_observable
from instruments.quality import QualityGate
from instruments.simulated import SimulatedExperiment
from loop.agent import Agent
from loop.config import parse_config
from loop.engine import Campaign
from loop.errors import StorageFullError
from loop.executor import run_engine
from loop.exitcodes import ExitCode
from loop.history import close_unfinished, has_event, read_history
from loop.journal import FILE_NAME, Journal, read_documents
from loop.progress import NullProgress
from loop.records import Status
from loop.run import resume_campaign, run_campaign
from loop.space import BoxSpace, Continuous
from loop.stopping import MaxPoints
from simulators.instrument import InstrumentModel
from simulators.scenarios import make_scenario

METADATA = {"campaign": "faults", "seed": 5, "config_hash": "abc", "versions": {}, "config": {}}
POINTS = 6
BACKGROUNDS = 2
"""Triggers of the detector before the first point."""


@dataclass
class Told(NullProgress):
    """What a person was told."""

    pauses: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def paused(self, message):
        self.pauses.append(message)

    def note(self, message):
        self.notes.append(message)


@dataclass
class Setup:
    """A campaign in one folder; each call is a process of its own, as far as the campaign knows."""

    folder: Path
    told: Told = field(default_factory=Told)
    learned: list[list[float]] = field(default_factory=list)
    """What each fit was given."""

    def surrogate(self, X, Y, Yvar=None, *, seed=0):
        self.learned.append(Y[:, 0].tolist())
        return SingleTaskGP(X, Y, train_Yvar=Yvar)

    def __call__(self, schedule=None, *, resume_at_pause=True, points=POINTS, **options: Any):
        experiment = SimulatedExperiment(
            make_scenario("annealing"),
            InstrumentModel(
                shape=(120, 100), beam_centre_px=(15.2, 12.7), pixel_mm=0.6, module_rows=50, gap_px=4, n_hot=2, n_dead=3
            ),
            frames=self.folder / "frames",
            quality=QualityGate(q_low=0.015, q_high=0.1, min_points=15),
            observables={"band": make_observable("band", q_min=0.015, q_max=0.05)},
            reduction={"n_bins": 60},
            exposure_s=0.2,
            background_frames=BACKGROUNDS,
            seed=7,
            time_scale=0.0,
            detector_timeout_s=0.3,
            move_timeout_s=0.3,
            faults=Faults(schedule),
        )
        space = BoxSpace([Continuous("anneal_temperature", 300, 700, "°C"), Continuous("x", -20, 20, "mm")])
        agent = Agent(space, self.surrogate, "variance", observables=("band",), n_initial=4, seed=5)
        with Journal(self.folder) as journal:
            documents = list(read_documents(self.folder))
            for name, doc in close_unfinished(documents):
                journal(name, doc)
            history = read_history(read_documents(self.folder)) if documents else None
            campaign = Campaign(
                agent, experiment, MaxPoints(points), METADATA, progress=self.told, history=history, **options
            )
            with run_engine(journal) as engine:
                try:
                    engine(campaign.plan())
                except RunEngineInterrupted:
                    while resume_at_pause and engine.state == "paused":
                        try:
                            engine.resume()
                        except RunEngineInterrupted:
                            continue
        return self.read()

    def read(self):
        """Read the campaign back; asserts what holds after every end: valid documents, closed runs, a clean model."""
        documents = list(read_documents(self.folder))
        for name, doc in documents:
            event_model.schema_validators[event_model.DocumentNames[name]].validate(doc)
        history = read_history(documents)
        assert history.unfinished_runs == ()
        emitted = [run[0][1]["frame_number"] for step in history.steps for run in step.runs if has_event(run)]
        assert emitted == list(range(len(emitted)))
        accepted = [step.observation.values["band"] for step in history.measured]
        for values in self.learned:
            assert values == accepted[: len(values)]
        return history


@pytest.fixture
def setup(tmp_path):
    return Setup(tmp_path / "campaign")


def nth_frame(*numbers, fault):
    """Schedule a fault for the detector at frames of points, counted from 1."""
    return {"det": {BACKGROUNDS + number: fault for number in numbers}}


BAD_FRAMES = {
    Fault.NAN_FRAME: "",
    Fault.ZERO_FRAME: "",
    Fault.SATURATED_FRAME: "saturated",
    Fault.HALF_MASKED_FRAME: "",
}


@pytest.mark.parametrize("fault", BAD_FRAMES)
def test_a_bad_frame_is_taken_anew_and_never_reaches_the_model(setup, fault):
    # The second point at its first attempt, the fourth at both.
    history = setup(nth_frame(2, 5, 6, fault=fault))
    outcomes = [step.observation for step in history.steps]
    assert [o.status for o in outcomes] == [Status.MEASURED] * 3 + [Status.REJECTED] + [Status.MEASURED] * 3
    assert [o.attempts for o in outcomes] == [1, 2, 1, 2, 1, 1, 1]
    assert outcomes[3].values == {}
    assert outcomes[3].reason
    assert BAD_FRAMES[fault] in outcomes[3].reason
    assert setup.told.pauses == []
    assert len(setup.told.notes) == 3
    # Rejected frames are kept: nothing measured is thrown away.
    assert history.frames == 9
    assert len(list((setup.folder / "frames").glob("frame_*.h5"))) == 9


@pytest.mark.parametrize(
    ("device", "fault", "words"),
    [
        ("x", Fault.REFUSE, "x: the controller refuses"),
        ("x", Fault.LIMIT, "limit switch"),
        ("anneal_temperature", Fault.STUCK, "not arrived within 0.3 s: anneal_temperature"),
        ("det", Fault.HANG, "det did not finish within"),
    ],
)
def test_a_device_that_fails_is_tried_again_then_the_point_is_left_out(setup, device, fault, words):
    offset = BACKGROUNDS if device == "det" else 0
    history = setup({device: {offset + use: fault for use in (2, 5, 6)}})
    outcomes = [step.observation for step in history.steps]
    assert [o.status for o in outcomes] == [Status.MEASURED] * 3 + [Status.FAILED] + [Status.MEASURED] * 3
    assert [o.attempts for o in outcomes] == [1, 2, 1, 2, 1, 1, 1]
    assert words in outcomes[3].reason
    assert history.frames == POINTS
    assert setup.told.pauses == []


def test_a_device_that_stays_broken_pauses_the_campaign_and_a_resume_looks_again(setup):
    broken = {"x": dict.fromkeys(range(3, 50), Fault.REFUSE)}
    history = setup(broken, resume_at_pause=False, failures_in_a_row=2)
    assert len(setup.told.pauses) == 1
    assert "2 points in a row" in setup.told.pauses[0]
    assert "the controller refuses" in setup.told.pauses[0]
    assert len(history.measured) == 2
    # Somebody has mended it; the first thing that a resume does is not to pause for what has been told already.
    history = setup(failures_in_a_row=1)
    assert len(setup.told.pauses) == 1
    assert len(history.measured) == POINTS


def test_a_disk_full_while_a_frame_is_written_pauses_and_costs_no_attempt(setup):
    history = setup(nth_frame(3, 4, 5, fault=Fault.DISK_FULL))
    assert len(setup.told.pauses) == 3
    assert all("No space left on device" in why and "frame_000002.h5" in why for why in setup.told.pauses)
    outcomes = [step.observation for step in history.steps]
    assert [(o.status, o.attempts) for o in outcomes] == [(Status.MEASURED, 1)] * POINTS
    # The three aborted runs stand in the journal, and in the outcome's list of runs.
    assert len(outcomes[2].run_uids) == 4


def test_a_process_that_ends_while_it_is_paused_for_a_full_disk_has_lost_no_attempt_either(setup):
    setup(nth_frame(3, fault=Fault.DISK_FULL), resume_at_pause=False)
    setup(nth_frame(1, fault=Fault.DISK_FULL), resume_at_pause=False)
    history = setup()
    assert len(setup.told.pauses) == 2
    assert [(s.observation.status, s.observation.attempts) for s in history.steps] == [(Status.MEASURED, 1)] * POINTS
    assert history.frames == POINTS


def test_a_frame_folder_that_may_not_be_written_pauses(setup, monkeypatch):
    replace, calls = os.replace, []

    def refuse(source, target):
        calls.append(target)
        if len(calls) == BACKGROUNDS + 2:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(target))
        replace(source, target)

    monkeypatch.setattr("instruments.frames.os.replace", refuse)
    history = setup()
    (why,) = setup.told.pauses
    assert "Permission denied" in why
    assert "frame_000001.h5" in why
    assert [(s.observation.status, s.observation.attempts) for s in history.steps] == [(Status.MEASURED, 1)] * POINTS


def test_a_frame_folder_that_cannot_be_made_pauses(setup):
    setup.folder.mkdir()
    (setup.folder / "frames").write_text("in the way")
    setup(resume_at_pause=False)
    assert "frames" in setup.told.pauses[0]
    (setup.folder / "frames").unlink()
    assert len(setup().measured) == POINTS


@pytest.mark.parametrize("fault", [Fault.NAN_FRAME, Fault.HANG, Fault.DISK_FULL])
def test_a_background_that_fails_is_taken_anew_then_the_campaign_pauses(setup, fault):
    setup({"det": {1: fault}})
    assert setup.told.pauses == [] or fault is Fault.DISK_FULL
    again = Setup(setup.folder.with_name("again"))
    # Every attempt fails, the process ends; another one finds things in order.
    again({"det": dict.fromkeys(range(1, 9), fault)}, resume_at_pause=False)
    (why,) = again.told.pauses
    assert why.startswith("preparing failed: ")
    assert values(again()) == values(setup.read())


def values(history):
    """What was measured, in order."""
    return [step.observation.values for step in history.measured]


def cut_after_event(folder, number):
    """Take away what follows the event of a frame, as if the process had died before the outcome."""
    lines = (folder / FILE_NAME).read_bytes().splitlines(keepends=True)
    events = [i for i, line in enumerate(lines) if line.startswith(b'["event"') and b'"det_total"' in line]
    (folder / FILE_NAME).write_bytes(b"".join(lines[: events[BACKGROUNDS + number] + 1]))


def spoil(path):
    """Cut a file in half."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def test_a_frame_that_is_broken_at_resume_is_taken_anew(setup):
    whole = setup()
    cut_after_event(setup.folder, 3)
    spoil(setup.folder / "frames" / "frame_000003.h5")
    resumed = Setup(setup.folder)
    history = resumed()
    assert [s.observation.status for s in history.steps] == [Status.MEASURED] * POINTS
    assert [s.observation.attempts for s in history.steps] == [1, 1, 1, 2, 1, 1]
    assert "frame_000003.h5 cannot be read" in resumed.told.notes[0]
    assert values(history)[:3] == values(whole)[:3]


@pytest.mark.parametrize("how", ["broken", "gone"])
def test_a_background_that_is_broken_at_resume_is_taken_anew(setup, how):
    whole = setup()
    cut_after_event(setup.folder, 3)
    background = setup.folder / "frames" / "background_000.h5"
    if how == "broken":
        spoil(background)
    else:
        background.unlink()
    resumed = Setup(setup.folder)
    history = resumed()
    assert values(history) == values(whole)
    assert resumed.told.pauses == []
    assert "background_000.h5" in resumed.told.notes[0]


@pytest.fixture
def small_disk(tmp_path):
    """A file system of its own, of 8 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if os.geteuid() or shutil.which("mount") is None:
        pytest.skip("only root can mount a small file system")
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(disk)], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"no small file system can be mounted here: {mounted.stderr.decode().strip()}")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def fill(disk):
    """Leave not a byte."""
    with (disk / "ballast").open("wb", buffering=0) as file:
        for size in (1 << 20, 4096, 1):
            with suppress(OSError):
                while True:
                    file.write(b"x" * size)
    assert shutil.disk_usage(disk).free == 0


def fill_at_frame(monkeypatch, disk, number, *, written=False):
    """Fill the disk once, when a frame is about to be written; or just after, and the journal's reserve as well."""
    acquire = SaxsDetector.acquire
    done = []

    def acquire_on_a_full_disk(self, job, fault):
        now = self.series.get() == "frame" and job.number == number and not done
        if now and not written:
            done.append(fill(disk))
        result = acquire(self, job, fault)
        if now and written:
            (disk / "campaign" / "reserve").unlink()
            done.append(fill(disk))
        return result

    monkeypatch.setattr(SaxsDetector, "acquire", acquire_on_a_full_disk)


@pytest.fixture
def config(config_text):
    return parse_config(config_text.replace("points: 12", "points: 8"), name="test")


def test_a_disk_that_is_really_full_pauses_and_the_campaign_goes_on_once_there_is_room(
    config, small_disk, monkeypatch, read_record, tmp_path
):
    assert run_campaign(config, tmp_path / "whole", progress=False).exit_code is ExitCode.DONE
    folder = small_disk / "campaign"
    monkeypatch.setattr("loop.run.MIN_FREE_BYTES", 0)
    fill_at_frame(monkeypatch, small_disk, 3)
    result = run_campaign(config, folder, progress=False)
    assert result.exit_code is ExitCode.PAUSED
    assert "No space left on device" in result.stop_reason
    # Still no room: a resume says so at once and takes no frame.
    before = read_record(folder)
    result = resume_campaign(folder, progress=False)
    assert result.exit_code is ExitCode.PAUSED
    assert "Nothing is lost; free some space" in result.stop_reason
    assert read_record(folder).history.frames == before.history.frames == 3
    (small_disk / "ballast").unlink()
    assert resume_campaign(folder, progress=False).exit_code is ExitCode.DONE
    record = read_record(folder)
    assert record.story == read_record(tmp_path / "whole").story
    assert list(record.frames) == list(range(8))


def test_a_disk_so_full_that_the_journal_cannot_be_written_ends_the_process_with_nothing_lost(
    config, small_disk, monkeypatch, read_record, tmp_path
):
    assert run_campaign(config, tmp_path / "whole", progress=False).exit_code is ExitCode.DONE
    folder = small_disk / "campaign"
    monkeypatch.setattr("loop.run.MIN_FREE_BYTES", 0)
    # The frame is there, but its documents (more than the rest of a page) do not fit.
    fill_at_frame(monkeypatch, small_disk, 3, written=True)
    with pytest.raises(StorageFullError, match="beamloop resume") as caught:
        run_campaign(config, folder, progress=False)
    assert str(folder) in str(caught.value)
    assert (folder / FILE_NAME).read_bytes().endswith(b"\n")
    before = (folder / FILE_NAME).read_bytes()
    (small_disk / "ballast").unlink()
    assert resume_campaign(folder, progress=False).exit_code is ExitCode.DONE
    assert (folder / FILE_NAME).read_bytes().startswith(before)
    assert read_record(folder).story == read_record(tmp_path / "whole").story


def test_too_little_room_pauses_before_an_exposure(config, monkeypatch, tmp_path, read_record):
    monkeypatch.setattr("loop.run.MIN_FREE_BYTES", 1 << 60)
    folder = tmp_path / "campaign"
    result = run_campaign(config, folder, progress=False)
    assert result.exit_code is ExitCode.PAUSED
    assert "MiB are needed" in result.stop_reason
    assert not (folder / "frames").exists()
    monkeypatch.undo()
    assert resume_campaign(folder, progress=False).exit_code is ExitCode.DONE
    assert len(read_record(folder).history.measured) == 8

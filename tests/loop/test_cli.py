"""The command line: what is called, what is printed, and the exit codes."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from typer.testing import CliRunner, Result

import loop
from instruments.errors import LimitsError
from loop.cli import app
from loop.commands.folders import new_folder
from loop.config import CampaignConfig
from loop.errors import BeamloopError, StorageFullError
from loop.journal import FILE_NAME
from simulators.errors import DataMissingError
from surrogates.errors import SurrogateError

DEMO = """\
name: demo
description: A test.
seed: 1
objective: {kind: map, observable: band}
observables: {band: {kind: band, options: {q_min: 0.01}}}
space:
  kind: box
  parameters: {x: {low: -20, high: 20, unit: mm, device: motor}}
stopping: {points: 45, minutes: 3}
beamline:
  kind: simulated
  scenario: {kind: annealing}
  devices: {motor: {kind: motor, low: -25, high: 25, unit: mm}}
"""


@dataclass(frozen=True)
class Ended:
    """What `loop.run` gives back."""

    folder: Path
    stop_reason: str = "45 points are measured"
    exit_code: int = 0


class Campaigns(ModuleType):
    """Stands in for `loop.run`: notes what it is asked, does what the test says."""

    def __init__(self) -> None:
        super().__init__("loop.run")
        self.calls: list[tuple[Any, ...]] = []
        self.end: Callable[[Path], Ended] = Ended

    def run_campaign(self, config: CampaignConfig, folder: Path, *, progress: bool) -> Ended:
        self.calls.append(("run", config, folder, progress))
        return self.end(folder)

    def resume_campaign(self, folder: Path, *, progress: bool) -> Ended:
        self.calls.append(("resume", folder, progress))
        return self.end(folder)

    def check_campaign(self, config: CampaignConfig) -> list[str]:
        self.calls.append(("check", config))
        self.end(Path())
        return ["[bold]2[/bold] corners are within reach"]

    def write_report(self, folder: Path) -> Path:
        self.calls.append(("report", folder))
        return self.end(folder).folder / "report.html"

    @property
    def names(self) -> list[str]:
        """What was called."""
        return [call[0] for call in self.calls]


@pytest.fixture
def campaigns(monkeypatch: pytest.MonkeyPatch) -> Campaigns:
    module = Campaigns()
    monkeypatch.setitem(sys.modules, "loop.run", module)
    monkeypatch.setattr(loop, "run", module, raising=False)
    return module


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A campaign file in an empty working directory; campaigns go below it."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "c.yaml"
    path.write_text(DEMO)
    return path


@pytest.fixture
def campaign(tmp_path: Path) -> Path:
    """Folder that holds a (made-up) journal."""
    folder = tmp_path / "campaigns" / "demo-1"
    folder.mkdir(parents=True)
    (folder / FILE_NAME).write_text("")
    return folder


def beamloop(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def fails(error: BaseException) -> Callable[[Path], Ended]:
    def end(folder: Path) -> Ended:
        raise error

    return end


def test_run_hands_the_config_over_and_writes_the_report(config: Path, campaigns: Campaigns) -> None:
    result = beamloop("run", config, "--set", "seed=7", "--set", "stopping.points=9")
    assert result.exit_code == 0, result.output
    (_, given, folder, progress), (_, reported) = campaigns.calls
    assert (given.seed, given.stopping.points, progress) == (7, 9, True)
    assert folder == reported
    assert folder.is_dir()
    assert folder.parent == Path("campaigns")
    assert folder.name.startswith("demo-")
    assert f"Campaign folder: {folder}" in result.stdout
    assert "Ended: 45 points are measured" in result.stdout
    assert f"Report: {folder}/report.html" in result.stdout


def test_run_without_report_and_quietly(config: Path, campaigns: Campaigns, tmp_path: Path) -> None:
    result = beamloop("run", config, "--no-report", "--quiet", "--out", tmp_path / "here")
    assert (result.exit_code, result.output) == (0, "")
    ((_, _, folder, progress),) = campaigns.calls
    assert (folder, progress) == (tmp_path / "here", False)


@pytest.mark.parametrize(("code", "word"), [(3, "Paused"), (4, "Stopped")])
def test_a_campaign_that_did_not_end_says_how_to_go_on(
    config: Path, campaigns: Campaigns, code: int, word: str
) -> None:
    campaigns.end = lambda folder: Ended(folder, "the disk is full", code)
    result = beamloop("run", config)
    assert result.exit_code == code
    assert f"{word}: the disk is full\nTo go on: beamloop resume campaigns/demo-" in result.stderr
    assert campaigns.names == ["run"]


def test_resume_and_report(campaign: Path, campaigns: Campaigns) -> None:
    assert beamloop("resume", campaign, "-q").exit_code == 0
    assert beamloop("report", campaign).stdout == f"Report: {campaign}/report.html\n"
    assert campaigns.calls == [("resume", campaign, False), ("report", campaign), ("report", campaign)]


def test_check_prints_what_would_run(config: Path, campaigns: Campaigns) -> None:
    result = beamloop("check", config)
    assert result.exit_code == 0, result.output
    for text in (
        "A test.",
        "map band",
        "-20 to 20 mm, set by motor",
        "motor, -25 to 25 mm",
        "annealing",
        "8 initial; ends at 45 points or 3 min",
        "✓ [bold]2[/bold] corners are within reach",
        "Ready to run.",
    ):
        assert text in result.stdout
    assert not (config.parent / "campaigns").exists()


@pytest.mark.parametrize("name", ["demo", "replay_stober", "replay_series"])
def test_check_describes_every_file_of_the_project(name: str, campaigns: Campaigns, project_root: Path) -> None:
    result = beamloop("check", project_root / "configs" / f"{name}.yaml")
    assert result.exit_code == 0, result.output
    assert "Ready to run." in result.stdout


def test_check_says_what_the_objects_refuse(config: Path, campaigns: Campaigns) -> None:
    campaigns.end = fails(LimitsError("motor: 30 mm lies outside its limits"))
    result = beamloop("check", config)
    assert (result.exit_code, result.stderr) == (2, "motor: 30 mm lies outside its limits\n")
    assert "Ready" not in result.stdout


@pytest.mark.parametrize("command", ["run", "check"])
def test_bad_config(config: Path, campaigns: Campaigns, command: str) -> None:
    config.write_text(DEMO.replace("low: -20", "low: 30"))
    result = beamloop(command, config, "--set", "initial.points=50")
    assert result.exit_code == 2
    assert result.stderr == (
        f"{config}:8: space.parameters.x.low: found 30, expected a number less than high (20).\n"
        f"{config}: --set initial.points=50: initial.points: found 50, expected at most stopping.points (45).\n"
    )
    assert campaigns.calls == []
    assert not (config.parent / "campaigns").exists()


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (BeamloopError("the message"), 2),
        (DataMissingError("the message"), 2),
        (LimitsError("the message"), 2),
        (SurrogateError("the message"), 2),
        (StorageFullError("the message"), 3),
    ],
)
def test_foreseen_errors_are_their_message(config: Path, campaigns: Campaigns, error: Exception, code: int) -> None:
    campaigns.end = fails(error)
    result = beamloop("run", config, "-q")
    assert (result.exit_code, result.stderr) == (code, "the message\n")


def test_an_unforeseen_error_is_one_line_and_a_log(config: Path, campaigns: Campaigns) -> None:
    def end(folder: Path) -> Ended:
        (folder / FILE_NAME).touch()
        raise ZeroDivisionError("division\nby zero")

    campaigns.end = end
    result = beamloop("run", config, "-q")
    assert result.exit_code == 1
    first, second = result.stderr.splitlines()
    assert first == "beamloop failed unexpectedly: ZeroDivisionError: division by zero"
    log = Path(second.removeprefix("The traceback is in ").partition(";")[0])
    assert log.parent.parent == Path("campaigns")
    assert "Traceback (most recent call last)" in log.read_text()


def test_a_campaign_that_could_not_begin_leaves_no_folder(config: Path, campaigns: Campaigns) -> None:
    campaigns.end = fails(BeamloopError("the data are missing"))
    assert beamloop("run", config, "-q").exit_code == 2
    assert not list(Path("campaigns").iterdir())


def test_an_unforeseen_error_before_there_is_a_folder(
    config: Path, campaigns: Campaigns, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    campaigns.end = fails(ZeroDivisionError("by zero"))
    result = beamloop("check", config)
    assert result.exit_code == 1
    (log,) = tmp_path.glob("beamloop-*.log")
    assert str(log) in result.stderr
    assert "ZeroDivisionError" in log.read_text()


def test_debug_shows_the_traceback(config: Path, campaigns: Campaigns) -> None:
    error = ZeroDivisionError("by zero")
    campaigns.end = fails(error)
    result = beamloop("--debug", "run", config, "-q")
    assert result.exit_code == 1
    assert result.exception is error


def test_control_c(config: Path, campaigns: Campaigns) -> None:
    campaigns.end = fails(KeyboardInterrupt())
    result = beamloop("run", config, "-q")
    assert result.exit_code == 4
    assert result.stderr.startswith("Stopped. To go on: beamloop resume campaigns/demo-")


@pytest.mark.parametrize("command", ["resume", "report", "status", "catalogue"])
def test_no_campaign_there(tmp_path: Path, campaigns: Campaigns, command: str) -> None:
    absent = beamloop(command, tmp_path / "absent")
    assert absent.exit_code == 2
    assert f"{tmp_path}/absent: found no folder" in absent.stderr
    empty = beamloop(command, tmp_path)
    assert empty.exit_code == 2
    assert f"{tmp_path}: found a folder without the campaign's journal" in empty.stderr
    assert campaigns.calls == []


def test_a_folder_in_use_is_refused(config: Path, campaigns: Campaigns, campaign: Path, tmp_path: Path) -> None:
    taken = beamloop("run", config, "--out", campaign)
    assert taken.exit_code == 2
    assert f"To go on with it: beamloop resume {campaign}" in taken.stderr
    occupied = beamloop("run", config, "--out", tmp_path)
    assert (occupied.exit_code, occupied.stderr) == (
        2,
        f"{tmp_path}: is not empty; choose another place with --out.\n",
    )
    a_file = beamloop("run", config, "--out", config)
    assert a_file.exit_code == 2
    assert "cannot be used" in a_file.stderr
    below_a_file = beamloop("run", config, "--set", "storage.folder=c.yaml")
    assert below_a_file.exit_code == 2
    assert "choose another place with --out." in below_a_file.stderr
    assert campaigns.calls == []


def test_campaigns_that_start_in_the_same_second_have_folders_of_their_own(tmp_path: Path) -> None:
    folders = {new_folder(tmp_path / "a" / "b", "demo") for _ in range(4)}
    assert len(folders) == 4
    assert all(folder.is_dir() for folder in folders)

"""The command itself, as a process: exit codes, signals, and two processes on one campaign."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest

from loop.errors import JournalError
from loop.exitcodes import ExitCode
from loop.journal import FILE_NAME
from loop.run import resume_campaign


@pytest.fixture
def beamloop(environment, tmp_path):
    """Starts the command in an empty folder; whatever still runs at the end of the test is killed."""
    started = []

    def start(*arguments):
        process = subprocess.Popen(
            [sys.executable, "-m", "loop.cli", *map(str, arguments)],
            cwd=tmp_path,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
            process.communicate()


def ended(process, timeout=60):
    output, errors = process.communicate(timeout=timeout)
    return process.returncode, output, errors


def outcomes(folder):
    path = folder / FILE_NAME
    return path.read_text().count('"status":"measured"') if path.exists() else 0


def wait_for_outcomes(folder, n, process):
    deadline = time.monotonic() + 60
    while outcomes(folder) < n:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_wrong_campaign_file_and_a_used_folder_are_told_in_one_message(beamloop, tmp_path, config_text):
    (tmp_path / "wrong.yaml").write_text(config_text.replace("x: {low: -20,", "x: {low: -200,"))
    (tmp_path / "right.yaml").write_text(config_text)
    used = tmp_path / "used"
    used.mkdir()
    (used / FILE_NAME).write_text("")
    wrong = beamloop("run", "wrong.yaml")
    again = beamloop("run", "right.yaml", "--out", used)
    code, output, errors = ended(wrong)
    assert code == ExitCode.BAD_INPUT
    assert output == ""
    assert "Traceback" not in errors
    assert "wrong.yaml" in errors
    assert "space.parameters.x.low" in errors
    assert "-200" in errors
    assert "-25 to 25 mm" in errors
    assert not (tmp_path / "campaigns").exists()
    code, _, errors = ended(again)
    assert code == ExitCode.BAD_INPUT
    assert "Traceback" not in errors
    assert f"beamloop resume {used}" in errors


def test_signals_pause_a_campaign_that_can_be_resumed(beamloop, tmp_path, config_text, read_record):
    # A fifth of real time: a point takes long enough to be interrupted.
    (tmp_path / "c.yaml").write_text(config_text.replace("time_scale: 0.0", "time_scale: 0.2"))
    folder = tmp_path / "campaign"
    process = beamloop("run", "c.yaml", "--out", folder)
    wait_for_outcomes(folder, 2, process)
    with pytest.raises(JournalError, match="another process is running this campaign"):
        resume_campaign(folder, progress=False)
    process.send_signal(signal.SIGTERM)
    code, output, errors = ended(process, timeout=30)
    assert code == ExitCode.PAUSED, errors
    assert "Traceback" not in output + errors
    assert f"To go on: beamloop resume {folder}" in errors
    record = read_record(folder)
    assert record.history.unfinished_runs == ()
    known = len(record.history.measured)
    assert 2 <= known < 12

    process = beamloop("resume", folder)
    wait_for_outcomes(folder, known + 1, process)
    process.send_signal(signal.SIGINT)
    code, output, errors = ended(process, timeout=30)
    assert code in (ExitCode.PAUSED, ExitCode.STOPPED), errors
    assert "Traceback" not in output + errors
    assert f"beamloop resume {folder}" in errors
    assert known < len(read_record(folder).history.measured) < 12

    result = resume_campaign(folder, progress=False)
    assert result.exit_code is ExitCode.DONE
    record = read_record(folder)
    assert len(record.history.measured) == 12
    assert list(record.frames) == list(range(12))

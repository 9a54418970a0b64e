"""`beamloop status` and `beamloop catalogue`, on a journal that a RunEngine wrote."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from bluesky import RunEngine
from bluesky.utils import MsgGenerator
from typer.testing import CliRunner

from loop.cli import app
from loop.decisions import Decisions
from loop.journal import FILE_NAME, Journal
from loop.records import Observation, Origin, Status, Suggestion


def decisions(reason: str | None) -> MsgGenerator[None]:
    """Three points: one measured, one rejected, one in flight."""
    run = Decisions(("band",))
    yield from run.open({"campaign": "demo", "config": {}})
    for index, status in enumerate((Status.MEASURED, Status.REJECTED, None)):
        suggestion = Suggestion(f"demo-{index}", index, {"x": float(index)}, Origin.INITIAL)
        yield from run.suggestion(suggestion, idle_s=0.0)
        if status is not None:
            yield from run.outcome(Observation(suggestion.id, suggestion.point, status))
    if reason is not None:
        yield from run.close(reason)


def journal(folder: Path, reason: str | None) -> Path:
    engine = RunEngine({}, context_managers=[])
    with Journal(folder) as written:
        engine.subscribe(written)
        engine(decisions(reason))
    return folder


def test_status_of_a_campaign_that_ended(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["status", str(journal(tmp_path, "45 points are measured"))])
    assert result.exit_code == 0, result.output
    lines = dict(line.split(None, 1) for line in result.stdout.splitlines() if not line.startswith("beam idle"))
    assert lines["campaign"] == "demo"
    assert lines["points"] == "1 measured, 1 rejected, 1 in flight"
    assert lines["frames"] == "0"
    assert lines["ended"] == "45 points are measured"


def test_status_of_a_campaign_that_was_killed(tmp_path: Path) -> None:
    folder = journal(tmp_path, "done")
    path = folder / FILE_NAME
    # Without its last document (the stop), and with half a line of another one.
    *whole, _ = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(whole) + b'["event", {"uid"')
    result = CliRunner().invoke(app, ["status", str(folder)])
    assert result.exit_code == 0, result.output
    assert f"not yet; to go on: beamloop resume {folder}" in result.stdout


def test_status_of_a_journal_that_something_else_changed(tmp_path: Path) -> None:
    folder = journal(tmp_path, "done")
    path = folder / FILE_NAME
    path.write_text("nonsense\n" + path.read_text())
    result = CliRunner().invoke(app, ["status", str(folder)])
    assert result.exit_code == 2
    assert "line 1 is not a document" in result.stderr


@pytest.mark.parametrize(("failed", "code"), [(0, 0), (2, 1)])
def test_catalogue_is_filled_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failed: int, code: int) -> None:
    folder = journal(tmp_path, "done")
    calls = []

    def feed(where: Path, target: str, ended: threading.Event) -> int:
        calls.append((where, target, ended.is_set()))
        return failed

    monkeypatch.setattr("loop.catalogue.feed", feed)
    result = CliRunner().invoke(app, ["catalogue", str(folder), "--to", "http://localhost:8000"])
    assert calls == [(folder, "http://localhost:8000", True)]
    assert result.exit_code == code
    assert ("2 runs could not be written" in result.stderr) == bool(failed)

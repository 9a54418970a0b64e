"""Run, resume and report."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from loop.commands.failures import Session, say
from loop.commands.folders import campaign_folder, given_folder, new_folder
from loop.exitcodes import ExitCode

if TYPE_CHECKING:
    from loop.run import CampaignResult


def run(session: Session, path: Path, overrides: Sequence[str], *, out: Path | None, report: bool, quiet: bool) -> int:
    """Run a campaign file; return the exit code."""
    from loop.config import load_config

    config = load_config(path, overrides)
    from loop import run as campaigns

    folder = given_folder(out) if out is not None else new_folder(Path(config.storage.folder), config.name)
    session.folder = folder
    if not quiet:
        print(f"Campaign folder: {folder}", flush=True)
    try:
        result = campaigns.run_campaign(config, folder, progress=not quiet)
    except BaseException:
        with suppress(OSError):
            folder.rmdir()  # goes only if nothing has been written into it
        raise
    return _finish(result, report=report, quiet=quiet)


def resume(session: Session, folder: Path, *, report: bool, quiet: bool) -> int:
    """Go on with a campaign; return the exit code."""
    session.folder = campaign_folder(folder)
    from loop import run as campaigns

    return _finish(campaigns.resume_campaign(folder, progress=not quiet), report=report, quiet=quiet)


def write_report(session: Session, folder: Path) -> int:
    """Write the report of a campaign as it stands; return the exit code."""
    session.folder = campaign_folder(folder)
    from loop import run as campaigns

    print(f"Report: {campaigns.write_report(folder)}")
    return ExitCode.DONE


def _finish(result: CampaignResult, *, report: bool, quiet: bool) -> int:
    from loop import run as campaigns

    code = ExitCode(result.exit_code)
    if code in (ExitCode.PAUSED, ExitCode.STOPPED):
        word = "Paused" if code is ExitCode.PAUSED else "Stopped"
        say(f"{word}: {result.stop_reason}\nTo go on: beamloop resume {result.folder}")
    elif not quiet:
        print(f"Ended: {result.stop_reason}", flush=True)
    if code is ExitCode.DONE and report:
        path = campaigns.write_report(result.folder)
        if not quiet:
            print(f"Report: {path}")
    return code

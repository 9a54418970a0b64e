"""What is on record: the state of a campaign, and its catalogue."""

from __future__ import annotations

import threading
from collections import Counter
from datetime import datetime
from pathlib import Path

from loop.commands.failures import Session, say
from loop.commands.folders import campaign_folder
from loop.exitcodes import ExitCode


def status(session: Session, folder: Path) -> int:
    """Print what the journal says of a campaign."""
    session.folder = campaign_folder(folder)
    from loop.history import read_history
    from loop.journal import read_documents
    from loop.wording import duration, percent

    history = read_history(read_documents(folder))
    ended = Counter(str(step.observation.status) for step in history.steps if step.observation is not None)
    in_flight = sum(step.observation is None for step in history.steps)
    counts = ", ".join(f"{number} {name}" for name, number in ended.items()) or "none ended"
    share = history.idle_s / history.elapsed_s if history.elapsed_s > 0 else None
    lines = {
        "campaign": history.name,
        "started": f"{datetime.fromtimestamp(history.started).astimezone():%Y-%m-%d %H:%M:%S %z}",
        "points": counts + (f", {in_flight} in flight" if in_flight else ""),
        **({"alerts": str(len(history.alerts))} if history.alerts else {}),
        "frames": str(history.frames),
        "elapsed": duration(history.elapsed_s),
        "beam idle": f"{duration(history.idle_s)} ({percent(share)})",
        "ended": history.stop_reason or f"not yet; to go on: beamloop resume {folder}",
    }
    width = max(map(len, lines))
    for key, value in lines.items():
        print(f"{key:<{width}}  {value}")
    return ExitCode.DONE


def catalogue(session: Session, folder: Path, target: str) -> int:
    """Fill a Tiled catalogue from the journal; runs that are complete there stay as they are."""
    session.folder = campaign_folder(folder)
    from loop.catalogue import feed

    at_once = threading.Event()
    at_once.set()
    failed = feed(folder, target, at_once)
    if failed:
        say(f"{failed} runs could not be written; the error output above says why. The journal is complete: try again.")
        return ExitCode.INTERNAL_ERROR
    print(f"The catalogue ({target}) holds every run of {folder}.")
    return ExitCode.DONE

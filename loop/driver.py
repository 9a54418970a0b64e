"""Executing a campaign's plan in this process: pauses, signals and the log."""

from __future__ import annotations

import logging
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from bluesky import RunEngine
from bluesky.run_engine import TransitionError
from bluesky.utils import RunEngineInterrupted

from loop.engine import Campaign
from loop.exitcodes import ExitCode

LOG_NAME = "campaign.log"


def drive(engine: RunEngine, campaign: Campaign) -> tuple[ExitCode, str]:
    """Execute a campaign; whenever it pauses, ask the person at the terminal, if there is one.

    Returns
    -------
    code, reason
        How it ended, and why in words.
    """
    whys: list[str] = []
    campaign = replace(campaign, on_pause=whys.append)
    go: Callable[[], Any] = partial(engine, campaign.plan())
    while True:
        try:
            return ExitCode.DONE, go().plan_result
        except RunEngineInterrupted:
            if engine.state != "paused":
                return ExitCode.STOPPED, "stopped by a person"
            if whys:
                why = whys.pop()
            else:
                why = "paused by a person"
                campaign.progress.paused(why)
            answer = _ask(why)
            if answer == "c":
                go = engine.resume
                continue
            engine.abort(why)
            return (ExitCode.STOPPED if answer == "s" else ExitCode.PAUSED), why


def _ask(why: str) -> str:
    """Ask what to do with a paused campaign: c continue, s stop, l leave it paused for a later resume."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return "l"
    # The live display lets go of the terminal from a thread of its own.
    time.sleep(0.3)
    print(f"\nPaused: {why}")
    while True:
        try:
            answer = input("(c)ontinue or (s)top? A later `beamloop resume` goes on. ").strip().lower()[:1]
        except (EOFError, KeyboardInterrupt):
            return "s"
        if answer in ("c", "s"):
            return answer


@contextmanager
def terminated_pauses(engine: RunEngine) -> Iterator[None]:
    """Make SIGTERM pause the campaign at the next safe place instead of killing it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    over = threading.Event()

    def pause() -> None:
        while not over.is_set():
            try:
                engine.request_pause(defer=True)
            except TransitionError:
                over.wait(0.05)  # the plan is about to begin, or a pause is under way
            else:
                return

    before = signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=pause, daemon=True).start())
    try:
        yield
    finally:
        over.set()
        signal.signal(signal.SIGTERM, before)


class _Log(logging.FileHandler):
    """A log that falls silent where it cannot be written: a full disk is told otherwise, and never by a traceback."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the base class's name
        """Ignore."""

    def close(self) -> None:
        """Close, whether or not the last lines fit on the disk."""
        with suppress(OSError):
            super().close()


@contextmanager
def logging_to(folder: Path) -> Iterator[None]:
    """Send the log of Bluesky and Ophyd, tracebacks included, to the campaign's log instead of the terminal."""
    handler = _Log(folder / LOG_NAME, delay=True)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    loggers = [logging.getLogger(name) for name in ("bluesky", "ophyd", "loop")]
    before = [logger.propagate for logger in loggers]
    for logger in loggers:
        logger.addHandler(handler)
        logger.propagate = False
    try:
        yield
    finally:
        for logger, propagate in zip(loggers, before, strict=True):
            logger.removeHandler(handler)
            logger.propagate = propagate
        handler.close()

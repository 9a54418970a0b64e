"""Failures as a person sees them: one message and an exit code, a traceback only where nobody foresaw it."""

from __future__ import annotations

import os
import sys
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from loop.exitcodes import ExitCode

_FORESEEN = frozenset(
    {
        "loop.errors.BeamloopError",
        "instruments.errors.InstrumentError",
        "simulators.errors.SimulatorError",
        "surrogates.errors.SurrogateError",
    }
)
"""Base classes of everything that is raised on purpose; by name, because importing them all would take long."""

_PAUSING = frozenset({"loop.errors.StorageFullError"})

LOG_NAME = "error.log"


@dataclass
class Session:
    """What the failure handler needs to know of the command that is running."""

    debug: bool = False
    """Let unforeseen errors through with their traceback."""
    folder: Path | None = None
    """The campaign's folder, once there is one."""


def _names(error: BaseException) -> set[str]:
    return {f"{base.__module__}.{base.__qualname__}" for base in type(error).__mro__}


def say(text: str) -> None:
    """Write a message to standard error."""
    print(text, file=sys.stderr, flush=True)


@contextmanager
def failures(session: Session) -> Iterator[None]:
    """Turn what a command raises into a message on standard error and an exit code (`SystemExit`)."""
    try:
        yield
    except KeyboardInterrupt:
        going_on = f" To go on: beamloop resume {session.folder}" if session.folder else ""
        say(f"Stopped.{going_on}")
        raise SystemExit(ExitCode.STOPPED) from None
    except BrokenPipeError:
        # Whoever read our output (`head`, a pager) has gone; the interpreter must not complain about it at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        raise SystemExit(ExitCode.DONE) from None
    except Exception as error:
        names = _names(error)
        if names & _FORESEEN:
            say(str(error))
            raise SystemExit(ExitCode.PAUSED if names & _PAUSING else ExitCode.BAD_INPUT) from error
        if session.debug:
            raise
        summary = " ".join(str(error).split())
        say(
            f"beamloop failed unexpectedly: {type(error).__name__}: {summary[:300]}\n"
            f"The traceback is in {_log(error, session.folder)}; --debug (before the command's name) shows it here."
        )
        raise SystemExit(ExitCode.INTERNAL_ERROR) from None


def _log(error: Exception, folder: Path | None) -> Path:
    """Append the traceback to the campaign's log, or to one among the temporary files."""
    text = f"{datetime.now().astimezone().isoformat(timespec='seconds')} {' '.join(sys.argv)}\n"
    text += "".join(traceback.format_exception(error)) + "\n"
    if folder is not None and folder.is_dir():
        # On a full disk, say, the temporary files may lie elsewhere.
        with suppress(OSError), (folder / LOG_NAME).open("a", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            return folder / LOG_NAME
    descriptor, name = tempfile.mkstemp(prefix="beamloop-", suffix=".log")
    with open(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    return Path(name)

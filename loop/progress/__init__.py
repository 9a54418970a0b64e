"""Telling people how a campaign goes while it goes.

Nothing here can stop or delay a campaign: displays write from a thread of their own, and one that fails falls silent.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Literal, Protocol, TextIO

from loop.progress.board import Header
from loop.progress.plain import PlainProgress
from loop.records import Observation, Suggestion

__all__ = ["Header", "NullProgress", "PlainProgress", "Progress", "RichProgress", "make_progress"]


class Progress(Protocol):
    """What the engine reports; every call returns at once and never raises."""

    def started(self, header: Header) -> None:
        """Begin, or go on after a resume."""

    def suggested(self, suggestion: Suggestion) -> None:
        """Report a decision (the next point may be decided while the present one is being measured)."""

    def measuring(self, suggestion: Suggestion, attempt: int = 1) -> None:
        """Report that a measurement of the point begins, the `attempt`-th one (1, 2, ...)."""

    def finished(
        self,
        suggestion: Suggestion,
        observation: Observation,
        *,
        idle_s: float = 0.0,
        model_error: float | None = None,
    ) -> None:
        """Report how a point ended.

        Parameters
        ----------
        idle_s
            Seconds that the beam waited for the decision on this point.
        model_error
            The header's `error_name` after this point, where it is known.
        """

    def paused(self, message: str) -> None:
        """Report that the campaign waits for a person, and why."""

    def note(self, message: str) -> None:
        """Report something that a reader should know."""

    def ended(self, reason: str, summary: Mapping[str, object] | None = None) -> None:
        """Report the end; nothing is shown after it."""


class NullProgress:
    """Says nothing."""

    def started(self, header: Header) -> None:
        """Ignore."""

    def suggested(self, suggestion: Suggestion) -> None:
        """Ignore."""

    def measuring(self, suggestion: Suggestion, attempt: int = 1) -> None:
        """Ignore."""

    def finished(
        self,
        suggestion: Suggestion,
        observation: Observation,
        *,
        idle_s: float = 0.0,
        model_error: float | None = None,
    ) -> None:
        """Ignore."""

    def paused(self, message: str) -> None:
        """Ignore."""

    def note(self, message: str) -> None:
        """Ignore."""

    def ended(self, reason: str, summary: Mapping[str, object] | None = None) -> None:
        """Ignore."""


def make_progress(kind: Literal["auto", "live", "plain", "none"] = "auto", stream: TextIO | None = None) -> Progress:
    """Choose a display.

    Parameters
    ----------
    kind
        ``auto`` is the live display in a terminal and lines of text elsewhere.
    stream
        Where to; standard output by default.
    """
    if kind == "none":
        return NullProgress()
    stream = sys.stdout if stream is None else stream
    if kind == "live" or (kind == "auto" and stream.isatty()):
        from rich.console import Console

        from loop.progress.live import RichProgress

        return RichProgress(Console(file=stream, force_terminal=kind == "live" or None))
    return PlainProgress(stream)


def __getattr__(name: str) -> object:
    # Rich's tables and live display load only where they are shown.
    if name == "RichProgress":
        from loop.progress.live import RichProgress

        return RichProgress
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

"""Writing to a terminal from a thread of its own, so that neither a broken nor a stalled one holds up a campaign."""

from __future__ import annotations

import atexit
import queue
import threading
from collections.abc import Callable, Mapping
from typing import Any

from loop.progress.board import Header
from loop.records import Observation, Suggestion

_FLUSH_S = 2.0


class Display:
    """What a display does with each event; the thread of `Background` calls it, and it may raise."""

    tick_s: float | None = None
    """How often `tick` is due while nothing happens; None for never."""

    def started(self, header: Header) -> None:
        """Show that the campaign begins or is resumed."""

    def suggested(self, suggestion: Suggestion) -> None:
        """Show a decision."""

    def measuring(self, suggestion: Suggestion, attempt: int) -> None:
        """Show that a point is being measured, for the `attempt`-th time (1, 2, ...)."""

    def finished(
        self, suggestion: Suggestion, observation: Observation, idle_s: float, model_error: float | None
    ) -> None:
        """Show how a point ended."""

    def paused(self, message: str) -> None:
        """Show that the campaign waits for a person."""

    def note(self, message: str) -> None:
        """Something that a reader should know."""

    def ended(self, reason: str, summary: Mapping[str, object]) -> None:
        """Show that the campaign is over."""

    def tick(self) -> None:
        """Show that time passes."""

    def close(self) -> None:
        """Leave the terminal as it was found."""


class Background:
    """Hands events to a `Display` in another thread; satisfies `loop.progress.Progress`.

    The first exception silences the display for good: the campaign's record is its journal, not its terminal.
    """

    def __init__(self, display: Display) -> None:
        self._display = display
        self._events: queue.SimpleQueue[tuple[str, tuple[Any, ...]] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._closed = False

    def started(self, header: Header) -> None:
        """See `loop.progress.Progress`."""
        self._put("started", header)

    def suggested(self, suggestion: Suggestion) -> None:
        """See `loop.progress.Progress`."""
        self._put("suggested", suggestion)

    def measuring(self, suggestion: Suggestion, attempt: int = 1) -> None:
        """See `loop.progress.Progress`."""
        self._put("measuring", suggestion, attempt)

    def finished(
        self,
        suggestion: Suggestion,
        observation: Observation,
        *,
        idle_s: float = 0.0,
        model_error: float | None = None,
    ) -> None:
        """See `loop.progress.Progress`."""
        self._put("finished", suggestion, observation, idle_s, model_error)

    def paused(self, message: str) -> None:
        """See `loop.progress.Progress`."""
        self._put("paused", message)

    def note(self, message: str) -> None:
        """See `loop.progress.Progress`."""
        self._put("note", message)

    def ended(self, reason: str, summary: Mapping[str, object] | None = None) -> None:
        """See `loop.progress.Progress`."""
        self._put("ended", reason, dict(summary or {}))
        self.close()

    def close(self) -> None:
        """Write what is still waiting (two seconds at most) and give the terminal back; harmless when repeated."""
        if self._closed:
            return
        self._closed = True
        self._events.put(None)
        if self._thread is not None:
            self._thread.join(_FLUSH_S)
        atexit.unregister(self.close)

    def _put(self, name: str, *arguments: Any) -> None:
        if self._closed:
            return
        if self._thread is None:
            # A process that ends without `ended` (an exception, Ctrl-C) must still show its cursor again.
            atexit.register(self.close)
            self._thread = threading.Thread(target=self._work, name="beamloop-progress", daemon=True)
            self._thread.start()
        self._events.put((name, arguments))

    def _work(self) -> None:
        try:
            while True:
                event = self._next()
                if event is None:
                    break
                name, arguments = event
                handler: Callable[..., None] = getattr(self._display, name)
                handler(*arguments)
        except Exception:
            self._closed = True  # nothing is left to tell anybody with
        finally:
            try:
                self._display.close()
            except Exception:
                self._closed = True

    def _next(self) -> tuple[str, tuple[Any, ...]] | None:
        try:
            return self._events.get(timeout=self._display.tick_s)
        except queue.Empty:
            return ("tick", ())

"""Lines of progress, not too many of them."""

from __future__ import annotations

import time


class Pace:
    """Says when the next line is due, and how long the rest will take.

    Parameters
    ----------
    step_s
        Seconds between two lines, at least.
    """

    def __init__(self, step_s: float) -> None:
        self._began = self._last = time.perf_counter()
        self._step_s = step_s

    @property
    def seconds(self) -> float:
        """Since the beginning."""
        return time.perf_counter() - self._began

    def due(self) -> bool:
        """Whether a line is due; if so, the next one is not for a while."""
        now = time.perf_counter()
        if now - self._last < self._step_s:
            return False
        self._last = now
        return True

    def left(self, done: float, rest: float) -> str:
        """Return ", N s left", or nothing while nothing is done."""
        return f", {rest * self.seconds / done:.0f} s left" if done else ""

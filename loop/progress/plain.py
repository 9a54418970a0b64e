"""One line per point, for log files and pipes."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TextIO

from loop.progress.background import Background, Display
from loop.progress.board import Board, Header, Row
from loop.records import Observation, Status, Suggestion
from loop.wording import duration, number, percent, quantity, with_error


class PlainDisplay(Display):
    """Writes lines to a stream."""

    def __init__(self, stream: TextIO, board: Board) -> None:
        self._stream = stream
        self._board = board

    def started(self, header: Header) -> None:
        """Say what is about to happen."""
        self._board.started(header)
        seed = "" if header.seed is None else f", seed {header.seed}"
        budget = "" if header.budget is None else f", {header.budget} points"
        self._write(f"{header.campaign}: {header.objective}{budget}{seed}")
        if header.elapsed_s:
            self._write(f"resumed after {duration(header.elapsed_s)}")

    def measuring(self, suggestion: Suggestion, attempt: int) -> None:
        """Only a repetition is worth a line."""
        self._board.measuring(suggestion, attempt)
        if attempt > 1:
            self._write(f"{suggestion.iteration:>4}  attempt {attempt}: {self._point(suggestion)}")

    def finished(
        self, suggestion: Suggestion, observation: Observation, idle_s: float, model_error: float | None
    ) -> None:
        """Write the point's line."""
        board = self._board
        row = board.outcome(suggestion, observation, idle_s, model_error)
        parts = [f"{suggestion.iteration:>4}  {self._point(suggestion)}", self._result(row)]
        if model_error is not None:
            parts.append(f"{board.header.error_name} {quantity(number(model_error, 3), board.header.error_unit)}")
        parts.append(f"idle {percent(board.idle_fraction)}")
        self._write(" | ".join(parts))

    def paused(self, message: str) -> None:
        """Write it."""
        self._write(f"paused: {message}")

    def note(self, message: str) -> None:
        """Write it."""
        self._write(f"note: {message}")

    def ended(self, reason: str, summary: Mapping[str, object]) -> None:
        """Write why and what came of it."""
        board = self._board
        board.ended()
        self._write(
            f"ended after {duration(board.elapsed_s)}: {reason} ({board.measured} measured, "
            f"beam idle {percent(board.idle_fraction)})"
        )
        for name, value in summary.items():
            self._write(f"  {name}: {value}")

    def _point(self, suggestion: Suggestion) -> str:
        units = self._board.header.parameter_units
        names = [n for n in units if n in suggestion.point] or list(suggestion.point)
        return ", ".join(f"{n} = {quantity(number(suggestion.point[n]), units.get(n, ''))}" for n in names)

    def _result(self, row: Row) -> str:
        header, observation = self._board.header, row.observation
        name, unit, prediction = header.observable, header.observable_unit, row.suggestion.prediction
        expected = (
            "no prediction yet"
            if prediction is None
            else f"predicted {with_error(prediction.mean.get(name), prediction.sd.get(name))}"
        )
        if observation is None or observation.status is not Status.MEASURED:
            verdict = (
                "unfinished"
                if observation is None
                else f"{observation.status}: {observation.reason or 'no reason given'}"
            )
            return f"{expected} | {verdict}"
        got = quantity(with_error(observation.values.get(name), observation.sds.get(name)), unit)
        pull = row.pull(name)
        return f"{expected} | measured {got}" + ("" if pull is None else f" (pull {pull:+.1f})")

    def _write(self, line: str) -> None:
        self._stream.write(line + "\n")
        self._stream.flush()


class PlainProgress(Background):
    """One line per point.

    Parameters
    ----------
    stream
        Where to; standard output by default.
    board
        State to start from (a test's clock).
    """

    def __init__(self, stream: TextIO | None = None, *, board: Board | None = None) -> None:
        super().__init__(PlainDisplay(sys.stdout if stream is None else stream, board or Board()))

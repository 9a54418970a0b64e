"""What the progress display knows, apart from how it looks."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from loop.records import Observation, Status, Suggestion
from loop.wording import symbol


@dataclass(frozen=True)
class Header:
    """What a campaign says of itself before its first point."""

    campaign: str
    objective: str
    """In words: ``map of invariant``, ``minimise distance``."""
    observable: str
    """Name of the objective's observable, a key of the predictions' and outcomes' values."""
    observable_unit: str = ""
    parameter_units: Mapping[str, str] = field(default_factory=dict)
    """Parameter name -> unit, in the order in which they are shown; others of a point are left out when not empty."""
    seed: int | None = None
    budget: int | None = None
    """How many points are to be tried; None where only the stopping rule knows."""
    elapsed_s: float = 0.0
    """Seconds that the campaign has taken before this process began; its earlier points are reported again."""
    error_name: str = "model error"
    """What `model_error` is: ``map RMSE``, ``mean predictive sd``, ``best so far``."""
    error_unit: str = ""
    folder: str = ""


@dataclass
class Row:
    """One point on display."""

    suggestion: Suggestion
    attempt: int = 0
    since: float = 0.0
    """When the present attempt began, by the board's clock."""
    observation: Observation | None = None

    def pull(self, observable: str) -> float | None:
        """(outcome - prediction) / predicted sd of a measured value; None where either is not known."""
        prediction = self.suggestion.prediction
        if self.observation is None or prediction is None:
            return None
        value, mean = self.observation.values.get(observable), prediction.mean.get(observable)
        sd = prediction.sd.get(observable)
        if value is None or mean is None or sd is None or not sd > 0:
            return None
        pull = (value - mean) / sd
        return pull if math.isfinite(pull) else None


class Board:
    """Mutable state behind every display; touched by one thread only.

    Parameters
    ----------
    clock
        Seconds that never jump (`time.monotonic`); a test hands in its own.
    keep
        How many points stay visible.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, keep: int = 8) -> None:
        self.clock = clock
        self.header = Header(campaign="", objective="", observable="")
        self.rows: deque[Row] = deque(maxlen=keep)
        self.counts: dict[Status, int] = dict.fromkeys(Status, 0)
        self.errors: list[float] = []
        self.idle_s = 0.0
        self.message = ""
        self.paused = False
        self.finished = False
        self._began = clock()
        self._ended: float | None = None

    def started(self, header: Header) -> None:
        """Begin."""
        units = {name: symbol(unit) for name, unit in header.parameter_units.items()}
        self.header = replace(header, parameter_units=units)
        self._began = self.clock()

    def row(self, suggestion: Suggestion) -> Row:
        """Return the row of `suggestion`, made if it is new."""
        for row in self.rows:
            if row.suggestion.id == suggestion.id:
                return row
        row = Row(suggestion)
        self.rows.append(row)
        return row

    def measuring(self, suggestion: Suggestion, attempt: int) -> Row:
        """Mark a point as being measured."""
        row = self.row(suggestion)
        row.attempt, row.since, self.paused = attempt, self.clock(), False
        return row

    def outcome(
        self, suggestion: Suggestion, observation: Observation, idle_s: float, model_error: float | None
    ) -> Row:
        """Mark a point as ended."""
        row = self.row(suggestion)
        row.observation = observation
        self.counts[observation.status] += 1
        self.idle_s += max(idle_s, 0.0)
        if model_error is not None and math.isfinite(model_error):
            self.errors.append(model_error)
        return row

    def ended(self) -> None:
        """Stop the clock."""
        self._ended, self.finished, self.paused = self.clock(), True, False

    @property
    def measured(self) -> int:
        """Points that reached the model."""
        return self.counts[Status.MEASURED]

    @property
    def done(self) -> int:
        """Points that ended, however they did."""
        return sum(self.counts.values())

    @property
    def elapsed_s(self) -> float:
        """Seconds of the whole campaign, the time between a crash and its resume left out."""
        return self.header.elapsed_s + (self.clock() if self._ended is None else self._ended) - self._began

    @property
    def idle_fraction(self) -> float | None:
        """Share of the time in which the beam waited for a decision; None before the first point ended."""
        return min(self.idle_s / self.elapsed_s, 1.0) if self.elapsed_s > 0 and self.done else None

    @property
    def remaining_s(self) -> float | None:
        """Estimate from the pace so far; None where there is no budget or no pace yet."""
        if self.header.budget is None or not self.done or self.finished:
            return None
        return self.elapsed_s / self.done * max(self.header.budget - self.done, 0)

    def point_columns(self) -> list[str]:
        """Parameters on display, in order: those that the header names, else all of the last point."""
        if self.header.parameter_units:
            return list(self.header.parameter_units)
        return list(self.rows[-1].suggestion.point) if self.rows else []


def sparkline(values: list[float], width: int = 24) -> str:
    """Draw a trend in `width` characters at most, on a logarithmic scale where all values are positive.

    >>> sparkline([8.0, 4.0, 2.0, 1.0])
    '█▆▃▁'
    """
    bars = "▁▂▃▄▅▆▇█"
    if not values:
        return ""
    step = max(len(values) / width, 1.0)
    chosen = [values[min(int((i + 1) * step) - 1, len(values) - 1)] for i in range(int(len(values) / step))]
    heights = [math.log(v) for v in chosen] if min(chosen) > 0 else chosen
    low, span = min(heights), max(heights) - min(heights)
    return "".join(bars[round((h - low) / span * 7) if span > 0 else 3] for h in heights)

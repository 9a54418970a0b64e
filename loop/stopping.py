"""When a campaign ends: frozen rules that compose, as in ``MaxPoints(60) | (NoImprovement(10) & MaxTime(5))``.

A rule of one's own is a class with `reason`, derived from `StoppingRule` for the sake of ``&`` and ``|``.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Literal

from loop.errors import BeamloopError
from loop.metrics import best_so_far
from loop.records import Observation, Origin, Status, Suggestion

Direction = Literal["maximise", "minimise"]


class StoppingError(BeamloopError, ValueError):
    """A stopping rule contradicts itself or the campaign."""


@dataclass(frozen=True)
class StopState:
    """What a rule may look at."""

    observations: tuple[Observation, ...] = ()
    """Every outcome, in order."""
    in_flight: int = 0
    """Points under way, counted as if they were measured: whether a further point is worth deciding on."""
    elapsed_s: float = 0.0
    """Seconds since the campaign began, time between a crash and its resume left out."""
    objective: str = ""
    """The observable that the campaign is about."""
    direction: Direction | None = None
    """What it wants of it."""
    suggestions: tuple[Suggestion, ...] = field(default=())
    """Every suggestion, in order, with the prediction made before measuring."""

    @property
    def measured(self) -> int:
        """Points that count as measured, those in flight among them."""
        return self.in_flight + sum(o.status is Status.MEASURED for o in self.observations)

    def values(self, observable: str) -> list[float]:
        """Return what was measured of one observable, in order."""
        return [o.values[observable] for o in self.observations if o.status is Status.MEASURED]


class StoppingRule(ABC):
    """Says when to stop, and why."""

    @abstractmethod
    def reason(self, state: StopState) -> str | None:
        """Return why the campaign should end now, in words; None to go on."""

    def __and__(self, other: StoppingRule) -> StoppingRule:
        return AllOf((self, other))

    def __or__(self, other: StoppingRule) -> StoppingRule:
        return AnyOf((self, other))


@dataclass(frozen=True)
class AllOf(StoppingRule):
    """Stops once every rule would."""

    rules: tuple[StoppingRule, ...]

    def reason(self, state: StopState) -> str | None:
        """See `StoppingRule.reason`."""
        reasons = [rule.reason(state) for rule in self.rules]
        spoken = [r for r in reasons if r is not None]
        return " and ".join(spoken) if spoken and len(spoken) == len(reasons) else None


@dataclass(frozen=True)
class AnyOf(StoppingRule):
    """Stops once one rule would."""

    rules: tuple[StoppingRule, ...]

    def reason(self, state: StopState) -> str | None:
        """See `StoppingRule.reason`."""
        return next((r for rule in self.rules if (r := rule.reason(state)) is not None), None)


@dataclass(frozen=True)
class MaxPoints(StoppingRule):
    """Stops after `n` measured points; and after ``patience * n`` points tried, should most of them be lost."""

    n: int
    patience: float = 2.0

    def __post_init__(self) -> None:
        if self.n < 1 or self.patience < 1:
            raise StoppingError(f"MaxPoints: expected n >= 1 and patience >= 1, got {self.n} and {self.patience}")

    def reason(self, state: StopState) -> str | None:
        """See `StoppingRule.reason`."""
        if state.measured >= self.n:
            return f"{self.n} points are measured"
        tried = len(state.observations) + state.in_flight
        if tried >= math.ceil(self.patience * self.n):
            return (
                f"{tried} points were tried for {self.n} measured ones, and only {state.measured} could be measured: "
                "look at why the others were lost"
            )
        return None


@dataclass(frozen=True)
class MaxTime(StoppingRule):
    """Stops after so many minutes."""

    minutes: float

    def __post_init__(self) -> None:
        if not self.minutes > 0:
            raise StoppingError(f"MaxTime: expected minutes > 0, got {self.minutes}")

    def reason(self, state: StopState) -> str | None:
        """See `StoppingRule.reason`."""
        return f"{self.minutes:g} minutes are over" if state.elapsed_s >= 60 * self.minutes else None


@dataclass(frozen=True)
class TargetReached(StoppingRule):
    """Stops when an observable has been measured at or beyond a value."""

    observable: str
    value: float
    direction: Direction

    def __post_init__(self) -> None:
        if self.direction not in ("maximise", "minimise") or not math.isfinite(self.value):
            raise StoppingError(
                "TargetReached: expected a finite value and the direction 'maximise' or 'minimise', "
                f"got {self.value} and {self.direction!r}"
            )

    def reason(self, state: StopState) -> str | None:
        """See `StoppingRule.reason`."""
        values = state.values(self.observable)
        if not values:
            return None
        best = float(best_so_far(values, self.direction)[-1])
        reached = best >= self.value if self.direction == "maximise" else best <= self.value
        return f"{self.observable} has reached {best:.6g} (target {self.value:g})" if reached else None


@dataclass(frozen=True)
class NoImprovement(StoppingRule):
    """Stops when the best objective has not improved over the last `window` measured points.

    Points in flight are not counted: they may be the improvement.
    """

    window: int
    tolerance: float = 0.0
    """An improvement must exceed this, in the objective's unit."""

    def __post_init__(self) -> None:
        if self.window < 1 or self.tolerance < 0:
            raise StoppingError(
                f"NoImprovement: expected window >= 1 and tolerance >= 0, got {self.window} and {self.tolerance}"
            )

    def reason(self, state: StopState) -> str | None:
        """See `StoppingRule.reason`.

        Raises
        ------
        StoppingError
            The campaign has no direction.
        """
        if state.direction is None:
            raise StoppingError("NoImprovement needs a direction: in a map nothing is better than anything else")
        values = state.values(state.objective)
        if len(values) <= self.window:
            return None
        best = best_so_far(values, state.direction)
        gain = abs(float(best[-1] - best[-1 - self.window]))
        if gain > self.tolerance:
            return None
        return f"the best {state.objective} has not improved over the last {self.window} measured points"


@dataclass(frozen=True)
class PredictedSdBelow(StoppingRule):
    """Stops when the points that the acquisition chose were already known: each of the last `window` had a small sd.

    The sd is the one predicted before measuring, measurement noise included, so `sd` must lie above the noise.
    Reactions' follow-ups are left out: nobody chose them for what is not known there.
    """

    sd: float
    """In the objective's unit."""
    window: int = 3

    def __post_init__(self) -> None:
        if not self.sd > 0 or self.window < 1:
            raise StoppingError(f"PredictedSdBelow: expected sd > 0 and window >= 1, got {self.sd} and {self.window}")

    def reason(self, state: StopState) -> str | None:
        """See `StoppingRule.reason`."""
        chosen = [s for s in state.suggestions if s.origin is not Origin.REACTION]
        sds = [s.prediction.sd[state.objective] for s in chosen if s.prediction is not None]
        last = sds[-self.window :]
        if len(last) < self.window or max(last) >= self.sd:
            return None
        return (
            f"the last {self.window} points were predicted to {max(last):.3g} in {state.objective}, "
            f"better than the {self.sd:g} asked for"
        )

"""When a campaign reacts, and with what."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from loop.reactions.contract import Reaction, ReactionError
from loop.records import Observation, Status


@dataclass(frozen=True)
class Condition:
    """An observable lies beyond a threshold."""

    observable: str
    side: Literal["above", "below"]
    threshold: float
    """In the observable's unit."""
    significance: float = 0.0
    """How many of its own standard deviations it must lie beyond. Above 0, a value without one never does."""

    def __post_init__(self) -> None:
        if self.side not in ("above", "below") or not math.isfinite(self.threshold) or not self.significance >= 0:
            raise ReactionError(
                "a condition needs side 'above' or 'below', a finite threshold and significance >= 0, got "
                f"{self.side!r}, {self.threshold!r} and {self.significance!r}"
            )

    def holds(self, observation: Observation) -> bool:
        """Whether it holds for a measured outcome; never for any other."""
        if observation.status is not Status.MEASURED or self.observable not in observation.values:
            return False
        beyond = observation.values[self.observable] - self.threshold
        if self.side == "below":
            beyond = -beyond
        needed = self.significance * observation.sds.get(self.observable, math.nan) if self.significance else 0.0
        return beyond > needed


@dataclass(frozen=True)
class Rule:
    """One reaction and its condition."""

    name: str
    """Distinct in a campaign."""
    when: Condition
    do: Reaction
    at_most: int = 5
    """How often in a campaign it may ask for follow-ups."""

    def __post_init__(self) -> None:
        if self.at_most < 1:
            raise ReactionError(f"reaction {self.name!r}: at_most must be at least 1, got {self.at_most!r}")

"""A campaign as it stands, read back from its journal: what the agent is rebuilt from and the report is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from loop.records import Observation, Status, Suggestion


@dataclass(frozen=True)
class Step:
    """One suggestion and how it ended."""

    suggestion: Suggestion
    observation: Observation | None = None
    """None while it is in flight (or when the process died before its outcome was written)."""
    runs: tuple[tuple[tuple[str, Mapping[str, Any]], ...], ...] = ()
    """The documents ``(name, document)`` of each measurement run taken for it, in order of time; the last may be incomplete."""
    idle_s: float = 0.0
    """Seconds that the beam waited for the decision on this point."""


@dataclass(frozen=True)
class History:
    """Everything the journal tells of a campaign."""

    name: str
    config: Mapping[str, Any]
    """The campaign file as it was validated, plain JSON."""
    metadata: Mapping[str, Any]
    """Versions, seed, config hash, instrument description: the campaign run's start document."""
    steps: tuple[Step, ...]
    """In order of suggestion."""
    started: float = 0.0
    """Unix time of the first document."""
    elapsed_s: float = 0.0
    """Seconds between first and last document, time between a crash and its resume left out."""
    stop_reason: str = ""
    """Why the campaign ended; empty if it did not."""
    frames: int = 0
    """Exposures taken so far: the next frame's number."""
    notes: tuple[str, ...] = field(default_factory=tuple)
    """What a reader should know: a torn last line that was set aside, runs that were closed at a resume."""

    @property
    def measured(self) -> tuple[Step, ...]:
        """The steps that reached the model."""
        return tuple(s for s in self.steps if s.observation is not None and s.observation.status is Status.MEASURED)

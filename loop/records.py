"""What everything on the decision side passes around: frozen records, convertible to and from plain JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

Point = Mapping[str, float | int | str]
"""A place in the search space: parameter name -> value in the parameter's own unit."""


class Status(StrEnum):
    """How a point ended. Only measured points reach the model; all reach the journal."""

    MEASURED = "measured"
    """Measured, and accepted by the quality gate."""
    REJECTED = "rejected"
    """Measured, but the quality gate refused it as often as the campaign allows."""
    FAILED = "failed"
    """A device raised, refused or timed out as often as the campaign allows."""
    ABANDONED = "abandoned"
    """Vetoed by a person before it was measured."""


class Origin(StrEnum):
    """Who asked for a point."""

    INITIAL = "initial"
    ACQUISITION = "acquisition"
    MANUAL = "manual"
    REACTION = "reaction"
    """A follow-up of another point's outcome: see `loop.reactions`."""


@dataclass(frozen=True)
class Prediction:
    """The model's belief about the observables of one point, stated before it is measured."""

    mean: Mapping[str, float]
    """Posterior mean of each observable, in the observable's unit."""
    sd: Mapping[str, float]
    """Standard deviation expected of a *measured* value: model and noise together."""


@dataclass(frozen=True)
class Cause:
    """What a follow-up follows."""

    suggestion_id: str
    """Of the point whose outcome triggered the reaction."""
    reaction: str
    """Name of the reaction."""


@dataclass(frozen=True)
class Suggestion:
    """One point that the agent wants measured, and why."""

    id: str
    """Unique in its campaign and the same in every replay: the vocabulary of blop and Xopt calls it ``_id``."""
    iteration: int
    """0 for the campaign's first point."""
    point: Point
    origin: Origin
    prediction: Prediction | None = None
    """None as long as there is no model (initial points)."""
    acquisition_value: float | None = None
    based_on: int = 0
    """How many outcomes were known when this was decided."""
    pending: tuple[str, ...] = ()
    """Suggestions in flight at that time."""
    model: Mapping[str, float | str] = field(default_factory=dict)
    """What the model says of its own inference: engine, whether it converged, scales. Empty without a model."""
    decision_s: float = 0.0
    """Seconds that the decision took."""
    cause: Cause | None = None
    """Of a reaction's follow-up."""
    exposure_s: float | None = None
    """Exposure time, s, where it is not the campaign's."""

    def to_json(self) -> dict[str, Any]:
        """Plain JSON, `from_json`'s inverse."""
        return {**asdict(self), "origin": str(self.origin), "pending": list(self.pending)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Suggestion:
        """Rebuild from `to_json`'s output; journals of earlier versions lack the last fields."""
        prediction, cause = data["prediction"], data.get("cause")
        return cls(
            **{
                **data,
                "origin": Origin(data["origin"]),
                "prediction": None if prediction is None else Prediction(**prediction),
                "pending": tuple(data["pending"]),
                "cause": None if cause is None else Cause(**cause),
            }
        )


@dataclass(frozen=True)
class Observation:
    """How a suggestion ended: what was measured, or why nothing was."""

    suggestion_id: str
    point: Point
    status: Status
    values: Mapping[str, float] = field(default_factory=dict)
    """Observables; empty unless something could be reduced."""
    sds: Mapping[str, float] = field(default_factory=dict)
    """One standard deviation of each observable, propagated from counting statistics."""
    reason: str = ""
    """Why it was rejected, failed or abandoned, in words."""
    attempts: int = 1
    run_uids: tuple[str, ...] = ()
    """Every Bluesky run that was started for it, in order."""

    def to_json(self) -> dict[str, Any]:
        """Plain JSON, `from_json`'s inverse."""
        return {**asdict(self), "status": str(self.status), "run_uids": list(self.run_uids)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Observation:
        """Rebuild from `to_json`'s output."""
        return cls(**{**data, "status": Status(data["status"]), "run_uids": tuple(data["run_uids"])})


@dataclass(frozen=True)
class Alert:
    """The condition of a reaction held for an outcome: an event that whoever listens may act on."""

    suggestion_id: str
    """Of the point."""
    reaction: str
    """Name of the reaction."""
    observable: str
    value: float
    """As measured, in the observable's unit."""
    sd: float
    """Its standard deviation; NaN if it is not known."""
    side: str
    """``above`` or ``below`` the threshold."""
    threshold: float
    follow_ups: int
    """How many points the reaction asks for."""

    @property
    def key(self) -> tuple[str, str]:
        """Point and reaction: each pair has at most one alert."""
        return self.suggestion_id, self.reaction

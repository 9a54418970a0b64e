"""What reactions noticed, and what came of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from loop.history import History
from loop.records import Cause
from loop.wording import symbol


@dataclass(frozen=True)
class AlertRow:
    """One alert, as the table shows it."""

    iteration: int
    """Number of the point."""
    reaction: str
    observable: str
    unit: str
    value: float
    sd: float | None
    side: str
    """``above`` or ``below``."""
    threshold: float
    asked: int
    """Follow-ups that the reaction asked for."""
    followed: tuple[int, ...]
    """Numbers of those that were suggested."""


def alert_rows(history: History, instrument: Mapping[str, Any]) -> tuple[AlertRow, ...]:
    """One row per alert, in order; units as the instrument describes its observables."""
    number = {step.suggestion.id: step.suggestion.iteration for step in history.steps}
    followed: dict[Cause, list[int]] = {}
    for step in history.steps:
        if step.suggestion.cause is not None:
            followed.setdefault(step.suggestion.cause, []).append(step.suggestion.iteration)
    described = instrument.get("observables", {})
    return tuple(
        AlertRow(
            iteration=number[alert.suggestion_id],
            reaction=alert.reaction,
            observable=alert.observable,
            unit=symbol(str(described.get(alert.observable, {}).get("unit") or "")),
            value=alert.value,
            sd=alert.sd if math.isfinite(alert.sd) else None,
            side=alert.side,
            threshold=alert.threshold,
            asked=alert.follow_ups,
            followed=tuple(followed.get(Cause(*alert.key), ())),
        )
        for alert in history.alerts
    )

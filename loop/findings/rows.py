"""The campaign's points as a table, what it was about, and where its time went."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from loop.findings.beliefs import AgentLike
from loop.findings.records import PointRow, Setting, Timings
from loop.history import History, RunDocuments, Step
from loop.records import Status
from loop.wording import label, symbol


def setting_of(history: History, agent: AgentLike, instrument: Mapping[str, Any]) -> Setting:
    """Gather names and units from the campaign file and the instrument's description."""
    names = tuple(agent.space.names)
    spelled = tuple(getattr(agent.space, "units", ())) or ("",) * len(names)
    units = {name: symbol(str(unit)) for name, unit in zip(names, spelled, strict=True)}
    observable = agent.observables[0]
    described = instrument.get("observables", {})
    about = described.get(observable, {}) if isinstance(described, Mapping) else {}
    about = about if isinstance(about, Mapping) else {}
    kind = history.config.get("objective", {}).get("kind", "")
    verb = {None: "map of", "maximise": "maximise", "minimise": "minimise"}[agent.direction]
    words = f"{verb} {label(observable)}"
    return Setting(
        campaign=history.name,
        objective=f"match a target: {words}" if kind == "target" else words,
        observable=observable,
        unit=symbol(str(about.get("unit") or "")),
        description=str(about.get("description") or ""),
        direction=agent.direction,
        parameters=names,
        parameter_units=units,
    )


def point_rows(history: History, observable: str, truth: np.ndarray | None) -> tuple[PointRow, ...]:
    """One row per suggestion, in order; `truth` ``(n,)`` belongs to ``history.steps``."""
    number = {step.suggestion.id: step.suggestion.iteration for step in history.steps}
    return tuple(
        _row(step, observable, None if truth is None else float(truth[i]), number)
        for i, step in enumerate(history.steps)
    )


def _row(step: Step, observable: str, truth: float | None, number: Mapping[str, int]) -> PointRow:
    suggestion, observation, cause = step.suggestion, step.observation, step.suggestion.cause
    prediction = suggestion.prediction
    mean = _finite(prediction.mean.get(observable)) if prediction else None
    sd = _finite(prediction.sd.get(observable)) if prediction else None
    status = observation.status if observation else None
    measured = _finite(observation.values.get(observable)) if observation else None
    pull = None
    if status is Status.MEASURED and measured is not None and mean is not None and sd is not None and sd > 0:
        pull = (measured - mean) / sd
    return PointRow(
        iteration=suggestion.iteration,
        point=suggestion.point,
        origin=suggestion.origin,
        status=status,
        predicted=mean,
        predicted_sd=sd,
        measured=measured,
        measured_sd=_finite(observation.sds.get(observable)) if observation else None,
        pull=pull,
        truth=_finite(truth),
        reason=observation.reason if observation else "",
        attempts=observation.attempts if observation else 0,
        decision_s=suggestion.decision_s,
        idle_s=step.idle_s,
        measuring_s=sum(run_seconds(run) for run in step.runs),
        follows=None if cause is None else number.get(cause.suggestion_id),
        reaction="" if cause is None else cause.reaction,
        exposure_s=suggestion.exposure_s,
    )


def timings(history: History, rows: tuple[PointRow, ...]) -> Timings:
    """Add up where the time went."""
    decisions = np.array([r.decision_s for r in rows if r.predicted is not None])
    return Timings(
        elapsed_s=history.elapsed_s,
        idle_s=sum(r.idle_s for r in rows),
        preparation_s=sum(run_seconds(run) for run in history.preparation),
        measuring_s=sum(r.measuring_s for r in rows),
        decisions=(
            (float(np.median(decisions)), float(np.percentile(decisions, 90)), float(decisions.max()))
            if len(decisions)
            else None
        ),
    )


def run_seconds(run: RunDocuments) -> float:
    """Seconds from a run's first document to its last that states a time."""
    times = [float(doc["time"]) for _, doc in run if "time" in doc]
    return max(times) - min(times) if times else 0.0


def _finite(value: float | None) -> float | None:
    return None if value is None or not np.isfinite(value) else float(value)

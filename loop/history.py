"""A campaign as it stands, read back from its journal: what the agent is rebuilt from and the report is made of."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from loop.decisions import ALERT, OUTCOME, SUGGESTION, alert_of, outcome_of, suggestion_of
from loop.decisions import PURPOSE as DECISIONS
from loop.errors import JournalError
from loop.records import Alert, Observation, Status, Suggestion

MEASUREMENT, PREPARATION = "measurement", "preparation"
"""What a run is for: the key ``purpose`` of its start document."""

RunDocuments = tuple[tuple[str, Mapping[str, Any]], ...]
"""One Bluesky run: ``(name, document)`` pairs in order of emission."""


@dataclass(frozen=True)
class Step:
    """One suggestion and how it ended."""

    suggestion: Suggestion
    observation: Observation | None = None
    """None while it is in flight (or when the process died before its outcome was written)."""
    runs: tuple[RunDocuments, ...] = ()
    """Each measurement run that was started for it, in order of time; the last may be incomplete."""
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
    alerts: tuple[Alert, ...] = ()
    """What reactions have told, in order."""
    started: float = 0.0
    """Unix time of the first document."""
    elapsed_s: float = 0.0
    """Seconds between first and last document, time between a crash and its resume left out."""
    stop_reason: str = ""
    """Why the campaign ended; empty if it did not."""
    frames: int = 0
    """Exposures of points taken so far: the next frame's number."""
    preparation: tuple[RunDocuments, ...] = ()
    """The documents of each complete run that `Experiment.prepare` took."""
    unfinished_runs: tuple[str, ...] = ()
    """Runs without a stop document: their process died."""
    notes: tuple[str, ...] = field(default_factory=tuple)
    """What a reader should know: a torn last line that was set aside, runs that were closed at a resume."""

    @property
    def measured(self) -> tuple[Step, ...]:
        """The steps that reached the model."""
        return tuple(s for s in self.steps if s.observation is not None and s.observation.status is Status.MEASURED)

    @property
    def idle_s(self) -> float:
        """Seconds that the beam waited for decisions, all together."""
        return sum(s.idle_s for s in self.steps)


def read_history(documents: Iterable[tuple[str, Mapping[str, Any]]], *, notes: Iterable[str] = ()) -> History:
    """Put a campaign together from its documents.

    Parameters
    ----------
    documents
        ``(name, document)`` in order of emission, as `loop.journal.read_documents` yields them.
    notes
        Passed on to `History.notes`.

    Raises
    ------
    JournalError
        If there is no decisions run among the documents.
    """
    runs: dict[str, list[tuple[str, Mapping[str, Any]]]] = {}
    run_of: dict[str, str] = {}
    stream_of: dict[str, str] = {}
    suggestions: dict[str, tuple[Suggestion, float]] = {}
    outcomes: dict[str, Observation] = {}
    alerts: list[Alert] = []
    segments: list[tuple[float, float]] = []
    metadata: Mapping[str, Any] | None = None
    stop_reason = ""
    for name, doc in documents:
        if name == "start":
            uid = doc["uid"]
            runs[uid] = []
            if doc.get("purpose") == DECISIONS:
                metadata = metadata or doc
                stop_reason = ""
                segments.append((doc["time"], doc["time"]))
        elif name == "stop":
            uid = doc["run_start"]
            if runs[uid][0][1].get("purpose") == DECISIONS:
                stop_reason = doc.get("reason", "") if doc["exit_status"] == "success" else ""
        elif name == "descriptor":
            uid = run_of[doc["uid"]] = doc["run_start"]
            stream_of[doc["uid"]] = doc["name"]
        elif name == "stream_resource":
            uid = run_of[doc["uid"]] = doc["run_start"]
        elif name == "stream_datum":
            uid = run_of[doc["stream_resource"]]
        else:
            uid = run_of[doc["descriptor"]]
            if runs[uid][0][1].get("purpose") == DECISIONS:
                stream = stream_of[doc["descriptor"]]
                if stream == SUGGESTION:
                    suggestion, idle_s = suggestion_of(doc)
                    suggestions[suggestion.id] = suggestion, idle_s
                elif stream == OUTCOME:
                    outcome = outcome_of(doc)
                    outcomes[outcome.suggestion_id] = outcome
                elif stream == ALERT:
                    alerts.append(alert_of(doc))
        runs[uid].append((name, doc))
        if "time" in doc and segments:
            segments[-1] = segments[-1][0], max(segments[-1][1], doc["time"])
    if metadata is None:
        raise JournalError("the journal holds no campaign: it ended before its first document. Start it again.")
    measurements: dict[str, list[RunDocuments]] = {}
    preparation: list[RunDocuments] = []
    unfinished: list[str] = []
    for uid, docs in runs.items():
        start = docs[0][1]
        complete = docs[-1][0] == "stop"
        if not complete:
            unfinished.append(uid)
        if start.get("purpose") == MEASUREMENT:
            measurements.setdefault(start["suggestion_id"], []).append(tuple(docs))
        elif start.get("purpose") == PREPARATION and complete and docs[-1][1]["exit_status"] == "success":
            preparation.append(tuple(docs))
    return History(
        name=metadata["campaign"],
        config=metadata.get("config", {}),
        metadata=metadata,
        steps=tuple(
            Step(s, outcomes.get(sid), tuple(measurements.get(sid, ())), idle_s)
            for sid, (s, idle_s) in suggestions.items()
        ),
        alerts=tuple(alerts),
        started=metadata["time"],
        elapsed_s=sum(end - begin for begin, end in segments),
        stop_reason=stop_reason,
        frames=sum(has_event(run) for taken in measurements.values() for run in taken),
        preparation=tuple(preparation),
        unfinished_runs=tuple(unfinished),
        notes=tuple(notes),
    )


def has_event(run: RunDocuments) -> bool:
    """Whether a measurement run got as far as emitting its frame."""
    return any(name == "event" for name, _ in run)


def close_unfinished(documents: Iterable[tuple[str, Mapping[str, Any]]]) -> list[tuple[str, dict[str, Any]]]:
    """Compose the stop documents of runs whose process died, to be written before a campaign is resumed."""
    open_runs: dict[str, dict[str, int]] = {}
    stream_of: dict[str, tuple[str, str]] = {}
    last_time = 0.0
    for name, doc in documents:
        last_time = max(last_time, doc.get("time", 0.0))
        if name == "start":
            open_runs[doc["uid"]] = {}
        elif name == "descriptor":
            stream_of[doc["uid"]] = doc["run_start"], doc["name"]
            open_runs[doc["run_start"]][doc["name"]] = 0
        elif name == "event":
            uid, stream = stream_of[doc["descriptor"]]
            open_runs[uid][stream] += 1
        elif name == "stop":
            open_runs.pop(doc["run_start"])
    return [
        (
            "stop",
            {
                "uid": str(uuid.uuid4()),
                "time": last_time,
                "run_start": uid,
                "exit_status": "abort",
                "reason": "its process ended before the run did; closed when the campaign was resumed",
                "num_events": events,
            },
        )
        for uid, events in open_runs.items()
    ]

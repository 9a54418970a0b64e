"""Decisions as Bluesky documents: what was suggested and predicted, and how it ended.

A campaign keeps one run open, the *decisions run*, with two streams of one event a point: ``suggestion`` before it is
measured and ``outcome`` after. The key ``record`` holds the whole record as JSON; the other keys repeat its numbers as
columns, so that a table of the run reads well. A third stream, ``alert``, has an event for each reaction's condition
that held for an outcome (`loop.reactions`).
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
from bluesky.utils import MsgGenerator

from loop.records import Alert, Observation, Suggestion

PURPOSE = "decisions"
RUN_KEY = "decisions"
SUGGESTION, OUTCOME, ALERT = "suggestion", "outcome", "alert"


class _Columns:
    """The smallest readable object: a dictionary of columns, read as one event."""

    parent = None

    def __init__(self, name: str, columns: Mapping[str, str]) -> None:
        self.name = name
        self._dtypes = dict(columns)
        self._values: dict[str, Any] = {}
        self._time = 0.0

    def put(self, values: Mapping[str, Any]) -> None:
        self._values, self._time = dict(values), time.time()

    def describe(self) -> dict[str, dict[str, Any]]:
        return {key: {"source": "beamloop", "dtype": dtype, "shape": []} for key, dtype in self._dtypes.items()}

    def read(self) -> dict[str, dict[str, Any]]:
        return {key: {"value": self._values[key], "timestamp": self._time} for key in self._dtypes}


class Decisions:
    """Writes the decisions run of one campaign; its methods are plan stubs.

    Parameters
    ----------
    observables
        Names of the observables, which become columns.
    """

    def __init__(self, observables: Sequence[str]) -> None:
        self.observables = tuple(observables)
        predicted = [f"predicted_{o}{suffix}" for o in self.observables for suffix in ("", "_sd")]
        measured = [f"{o}{suffix}" for o in self.observables for suffix in ("", "_sd")]
        self._suggestion = _Columns(
            SUGGESTION,
            {
                "suggestion_id": "string",
                "iteration": "integer",
                "acquisition_value": "number",
                **dict.fromkeys(predicted, "number"),
                "engine": "string",
                "converged": "number",
                "decision_s": "number",
                "idle_s": "number",
                "cause": "string",
                "reaction": "string",
                "exposure_s": "number",
                "record": "string",
            },
        )
        self._outcome = _Columns(
            OUTCOME,
            {
                "suggestion_id": "string",
                "status": "string",
                **dict.fromkeys(measured, "number"),
                "attempts": "integer",
                "record": "string",
            },
        )
        self._alert = _Columns(
            ALERT,
            {
                "suggestion_id": "string",
                "reaction": "string",
                "observable": "string",
                "value": "number",
                "sd": "number",
                "side": "string",
                "threshold": "number",
                "follow_ups": "integer",
            },
        )

    def open(self, metadata: Mapping[str, Any]) -> MsgGenerator[Any]:
        """Open the run."""
        return (yield from self._keyed(bps.open_run({**metadata, "purpose": PURPOSE})))

    def close(self, reason: str, *, exit_status: str = "success") -> MsgGenerator[Any]:
        """Close the run, saying why the campaign ended."""
        return (yield from self._keyed(bps.close_run(exit_status=exit_status, reason=reason)))

    def suggestion(self, suggestion: Suggestion, *, idle_s: float) -> MsgGenerator[Any]:
        """Record what will be measured next, the prediction included."""
        nan = math.nan
        prediction, cause = suggestion.prediction, suggestion.cause
        columns: dict[str, Any] = {
            "suggestion_id": suggestion.id,
            "iteration": suggestion.iteration,
            "acquisition_value": nan if suggestion.acquisition_value is None else suggestion.acquisition_value,
            "engine": str(suggestion.model.get("engine", "")),
            "converged": float(suggestion.model.get("converged", nan)),
            "decision_s": suggestion.decision_s,
            "idle_s": idle_s,
            "cause": "" if cause is None else cause.suggestion_id,
            "reaction": "" if cause is None else cause.reaction,
            "exposure_s": nan if suggestion.exposure_s is None else suggestion.exposure_s,
            "record": json.dumps(suggestion.to_json()),
        }
        for name in self.observables:
            columns[f"predicted_{name}"] = prediction.mean.get(name, nan) if prediction else nan
            columns[f"predicted_{name}_sd"] = prediction.sd.get(name, nan) if prediction else nan
        yield from self._write(self._suggestion, columns)

    def outcome(self, observation: Observation) -> MsgGenerator[Any]:
        """Record how it ended."""
        nan = math.nan
        columns: dict[str, Any] = {
            "suggestion_id": observation.suggestion_id,
            "status": str(observation.status),
            "attempts": observation.attempts,
            "record": json.dumps(observation.to_json()),
        }
        for name in self.observables:
            columns[name] = observation.values.get(name, nan)
            columns[f"{name}_sd"] = observation.sds.get(name, nan)
        yield from self._write(self._outcome, columns)

    def alert(self, alert: Alert) -> MsgGenerator[Any]:
        """Record that a reaction's condition held."""
        yield from self._write(self._alert, asdict(alert))

    def _write(self, columns: _Columns, values: Mapping[str, Any]) -> MsgGenerator[None]:
        columns.put(values)

        def event() -> MsgGenerator[None]:
            yield from bps.create(columns.name)
            yield from bps.read(columns)
            yield from bps.save()

        # Not rewindable: a pause must never replay an event that has been emitted. Nothing here waits, so that
        # nothing can be interrupted halfway.
        yield from bpp.rewindable_wrapper(self._keyed(event()), False)
        yield from bps.checkpoint()

    @staticmethod
    def _keyed(plan: MsgGenerator[Any]) -> MsgGenerator[Any]:
        return (yield from bpp.set_run_key_wrapper(plan, RUN_KEY))


def suggestion_of(event: Mapping[str, Any]) -> tuple[Suggestion, float]:
    """Read a ``suggestion`` event back: the suggestion and the beam's idle seconds before it."""
    return Suggestion.from_json(json.loads(event["data"]["record"])), event["data"]["idle_s"]


def outcome_of(event: Mapping[str, Any]) -> Observation:
    """Read an ``outcome`` event back."""
    return Observation.from_json(json.loads(event["data"]["record"]))


def alert_of(event: Mapping[str, Any]) -> Alert:
    """Read an ``alert`` event back."""
    return Alert(**event["data"])

"""The reduced curves of a campaign: those that its documents hold, else its frames, reduced as they were then."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loop.commands.classify_inputs import Input, Reading, point_label
from loop.errors import BeamloopError, JournalError

if TYPE_CHECKING:
    from instruments.readers import ReadCurve
    from loop.history import History, Step
    from loop.protocols import Documents, Experiment

_ONLY_THE_EXPERIMENT: Mapping[str, Any] = {
    # A model's plugin or prior, an observable's classifier may be elsewhere by now; reduction needs none of them.
    "objective": {"kind": "map", "observable": "band"},
    "observables": {"band": {"kind": "band", "options": {"q_min": 0.01, "q_max": 0.1}}},
    "surrogate": {"kind": "gp"},
    "acquisition": {"kind": "random"},
    "stopping": {"points": 1_000_000},
    "device": "cpu",
}


def read_campaign(folder: Path, reading: Reading) -> tuple[list[Input], list[str]]:
    """Read the curve of every point of a campaign that was measured, finished or not.

    Raises
    ------
    BeamloopError, InstrumentError
        If there is no journal or no measured point, or frames cannot be reduced.
    """
    from loop.history import read_history
    from loop.journal import read_documents

    inputs, refused = CampaignCurves(read_history(read_documents(folder)), folder, str(folder), reading).read()
    if not inputs and not refused:
        raise JournalError(f"{folder}: not one point has been measured yet; there is nothing to classify.")
    return inputs, refused


class CampaignCurves:
    """Reads curves from a campaign's history.

    Parameters
    ----------
    history
        Of the campaign; its steps may be some only.
    folder
        Where frames are, unless their documents say so.
    name
        What messages begin with.
    reading
        How.
    """

    def __init__(self, history: History, folder: Path, name: str, reading: Reading) -> None:
        self.history = history
        self.folder = folder
        self.name = name
        self.reading = reading

    def read(self) -> tuple[list[Input], list[str]]:
        """Return the last curve of each point, and a line for each point whose curve cannot be used.

        Raises
        ------
        BeamloopError, InstrumentError, SimulatorError
            If frames have to be reduced and the experiment cannot be built.
        """
        from instruments.errors import InstrumentError
        from loop.history import has_event

        inputs: list[Input] = []
        refused: list[str] = []
        for step in self.history.steps:
            runs = [run for run in step.runs if has_event(run)]
            if not runs:
                continue
            name = f"{self.name}: point {step.suggestion.iteration} ({step.suggestion.id})"
            try:
                read = _recorded(runs[-1], name, self.reading) or self._reduced(runs[-1], name)
            except InstrumentError as error:
                refused.append(" ".join(str(error).split()))
                continue
            suggestion = step.suggestion
            origin = {
                "campaign": self.history.name,
                "iteration": suggestion.iteration,
                "suggestion_id": suggestion.id,
                "point": dict(suggestion.point),
                "run": runs[-1][0][1]["uid"],
            }
            inputs.append(Input(_noted(read, step), point_label(suggestion.id, suggestion.point), origin))
        return inputs, refused

    @cached_property
    def experiment(self) -> Experiment:
        """What reduces frames, with the background that the campaign measured."""
        from loop.compose import compose
        from loop.config import parse_config

        config = self.history.config
        if not config:
            raise BeamloopError(
                f"{self.name}: its documents hold frames and no campaign file (it was run from Python); "
                "reduce the frames, then classify the curves."
            )
        plain = {key: value for key, value in config.items() if key != "reactions"}
        text = json.dumps({**plain, **_ONLY_THE_EXPERIMENT})
        experiment = compose(parse_config(text, name=f"{self.name}: campaign file"), self.folder).experiment
        if self.history.preparation:
            experiment.restore(self.history.preparation)
        return experiment

    def _reduced(self, run: Documents, name: str) -> ReadCurve:
        """Reduce a run's frame as the campaign did; a curve that its quality gate refused is a curve."""
        import numpy as np

        from instruments.readers import Columns, CurveFileError, checked

        evaluation = self.experiment.evaluate(run)
        curve = evaluation.curve
        if curve is None:
            raise CurveFileError(f"{name}: has no curve: {evaluation.reason}")
        q, intensity, sigma = (np.asarray(values) for values in (curve.q, curve.intensity, curve.sigma))
        return checked(name, Columns(q, intensity, sigma, q_unit="1/A"), skip_bad_rows=self.reading.skip_bad_rows)


def _recorded(run: Documents, name: str, reading: Reading) -> ReadCurve | None:
    """Return the curve that a run's last event holds, if it does: a recording, a detector that reduces by itself."""
    import numpy as np

    from instruments.readers import Columns, CurveFileError, checked
    from instruments.readers.names import curve_columns
    from instruments.rundata import RunData

    data = RunData.from_documents(run).events[-1]
    arrays = [key for key, value in data.items() if isinstance(value, list | tuple) and len(value) > 1]
    try:
        found = curve_columns(arrays, reading.columns)
    except ValueError as error:
        raise CurveFileError(f"{name}: {error}") from error
    if not found:
        return None
    units = {
        key: value.get("units")
        for kind, doc in run
        if kind == "descriptor"
        for key, value in doc.get("data_keys", {}).items()
    }
    q, intensity, sigma = found[0].q, found[0].intensity, found[0].sigma
    columns = Columns(
        np.asarray(data[q], dtype=np.float64),
        np.asarray(data[intensity], dtype=np.float64),
        np.asarray(data[sigma], dtype=np.float64) if sigma else None,
        q_unit=units.get(q),
        intensity_unit=units.get(intensity),
    )
    return checked(name, columns, unit=reading.unit, skip_bad_rows=reading.skip_bad_rows)


def _noted(read: ReadCurve, step: Step) -> ReadCurve:
    from loop.records import Status

    observation = step.observation
    if observation is None or observation.status is Status.MEASURED:
        return read
    return replace(read, notes=(*read.notes, f"{observation.status} in the campaign: {observation.reason}"))

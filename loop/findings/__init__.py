"""What a campaign found: analysis alone, no pictures.

`analyse` refits the campaign's own surrogate to prefixes of its own data, so that every number can be
had again from the journal.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

import numpy as np

from loop.findings.alerts import alert_rows
from loop.findings.beliefs import AgentFactory, AgentLike, Outcome, informed
from loop.findings.calibration import ENOUGH, calibration
from loop.findings.learning import learning_curve, random_outcomes
from loop.findings.records import Findings, Learning, PointRow, Reference, Search, Setting
from loop.findings.reference import fill, judged_points, known_truth, reference_points
from loop.findings.rows import point_rows, setting_of, timings
from loop.findings.search import search
from loop.findings.surprises import best_curves, curve_data, most_surprising
from loop.findings.verdicts import verdicts
from loop.history import History
from loop.protocols import CanSampleOffline, Experiment, KnowsTruth, SearchSpace
from loop.records import Point

__all__ = ["AgentFactory", "AgentLike", "Findings", "analyse"]

T = TypeVar("T")
_REPRESENTATIVE = 2000
"""Random points that stand for a continuous space when the campaign is compared with random orders."""


def analyse(
    history: History,
    *,
    agent_factory: AgentFactory,
    experiment: Experiment,
    repeats: int = 3,
    seed: int = 0,
) -> Findings:
    """Analyse a campaign.

    Parameters
    ----------
    history
        The campaign, finished or not.
    agent_factory
        Gives a fresh agent with the campaign's space, surrogate and seed.
    experiment
        The campaign's, prepared (or restored), so that it can evaluate runs.
    repeats
        How often random sampling at equal budget is repeated; 0 for not at all.
    seed
        Of everything random in the analysis.

    Returns
    -------
    Findings
        What cannot be known (no truth, too few points) is None, and a remark says why. A part that fails, through a
        plug-in for instance, costs that part alone.
    """
    return _Analysis(history, agent_factory, experiment, repeats, seed).findings()


class _Analysis:
    def __init__(
        self, history: History, factory: AgentFactory, experiment: Experiment, repeats: int, seed: int
    ) -> None:
        self.history, self.factory, self.experiment = history, factory, experiment
        self.repeats, self.seed = repeats, seed
        self.remarks: list[str] = []
        self.outcomes: list[Outcome] = [(s.suggestion, s.observation) for s in history.steps]
        self.measured = len(history.measured)

    def findings(self) -> Findings:
        history, experiment = self.history, self.experiment
        fresh = self.factory()
        instrument = self._try("the instrument's description", lambda: dict(experiment.describe())) or {}
        setting = setting_of(history, fresh, instrument)
        places = [s.suggestion.point for s in history.steps]
        truth = self._try("the truth at the points", lambda: self._truth(places, setting))
        rows = point_rows(history, setting.observable, truth)
        calibrated = calibration(rows)
        if calibrated is None:
            known = sum(r.pull is not None for r in rows)
            self.remarks.append(
                f"Calibration needs at least {ENOUGH} measured points that were predicted; there are {known}."
            )
        reference, learning = self._map(setting)
        found = Findings(
            setting=setting,
            points=rows,
            reference=reference,
            calibration=calibrated,
            learning=learning,
            search=self._try("the search", lambda: self._search(fresh.space, setting, rows)),
            surprises=self._try("surprising curves", lambda: most_surprising(history, rows, experiment, fresh.space))
            or (),
            best_curves=self._try("best curves", lambda: best_curves(history, rows, experiment, setting.direction))
            or (),
            target=curve_data(getattr(experiment, "target", None)),
            timings=timings(history, rows),
            instrument=instrument,
            alerts=self._try("alerts", lambda: alert_rows(history, instrument)) or (),
        )
        if found.surprises and all(s.curve is None for s in found.surprises):
            self.remarks.append("The journal holds no runs that give the surprising points' curves.")
        return replace(found, verdicts=tuple(verdicts(found)), remarks=tuple(self.remarks))

    def _map(self, setting: Setting) -> tuple[Reference | None, Learning | None]:
        """Compute the final belief over the space, and how the error got there."""
        if self.measured < 2:
            self.remarks.append(f"No model: it needs at least 2 measured points, there are {self.measured}.")
            return None, None
        agent = self._try("the model", lambda: informed(self.factory, self.outcomes))
        if agent is None:
            return None, None
        points, blank = reference_points(agent.space, setting, self._centre(setting))
        truth = self._try("the truth", lambda: self._truth(points, setting))
        if truth is None:
            self.remarks.append("The truth is not known here, so the map's error is not either.")
        reference = self._try("the map", lambda: fill(blank, points, agent, truth))
        if setting.direction is not None or truth is None or reference is None:
            return reference, None
        return reference, self._try("the learning curve", lambda: self._learning(agent, points, reference, setting))

    def _centre(self, setting: Setting) -> Point | None:
        if setting.direction is None:
            return None
        sign = 1.0 if setting.direction == "maximise" else -1.0
        observed = [s.observation for s in self.history.measured if s.observation is not None]
        return max(observed, key=lambda o: sign * o.values.get(setting.observable, -sign * np.inf)).point

    def _learning(
        self, agent: AgentLike, points: list[Point], reference: Reference, setting: Setting
    ) -> Learning | None:
        if self.measured < 3:
            self.remarks.append(f"A learning curve needs at least 3 measured points; there are {self.measured}.")
            return None
        judged = judged_points(agent.space, points, reference, seed=self.seed)
        truth = self._truth(judged, setting)
        if truth is None:
            return None
        return learning_curve(self.factory, self.outcomes, judged, truth, self._random_runs(agent))

    def _random_runs(self, agent: AgentLike) -> list[list[Outcome]]:
        if not isinstance(self.experiment, CanSampleOffline):
            self.remarks.append("No comparison with random sampling: this instrument cannot be asked offline.")
            return []
        runs = [
            random_outcomes(self.experiment, agent, self.measured, seed=self.seed, repeat=r)
            for r in range(self.repeats)
        ]
        whole = [run for run in runs if run is not None]
        if len(whole) < len(runs):
            self.remarks.append(
                f"{len(runs) - len(whole)} of {len(runs)} random repeats found fewer than {self.measured} "
                "points that can be measured, and are left out."
            )
        return whole

    def _search(self, space: SearchSpace, setting: Setting, rows: tuple[PointRow, ...]) -> Search | None:
        if setting.direction is None:
            return None
        finite = space.candidates is not None
        count = _REPRESENTATIVE if space.candidates is None else len(space.candidates)
        points = space.random(count, seed=self.seed)
        everywhere = self._truth(points, setting)
        if everywhere is None:
            self.remarks.append("The truth is not known here, so there is no comparison with a random order.")
        found = search(rows, setting.direction, everywhere, finite=finite, seed=self.seed)
        if found is None:
            self.remarks.append("Nothing was measured, so there is no best value.")
        return found

    def _truth(self, points: list[Point], setting: Setting) -> np.ndarray | None:
        if not isinstance(self.experiment, KnowsTruth):
            return None
        return known_truth(self.experiment, points, setting.observable)

    def _try(self, what: str, compute: Callable[[], T]) -> T | None:
        try:
            return compute()
        except Exception as error:  # a plug-in may raise anything, and the rest of the report must still appear
            self.remarks.append(f"Left out: {what}, because of {type(error).__name__}: {error}")
            return None

"""How wrong the model is while the campaign runs, in one number."""

from __future__ import annotations

import numpy as np

from loop.agent import Agent
from loop.metrics import rmse
from loop.protocols import Experiment, KnowsTruth
from loop.records import Point


class ModelError:
    """RMSE against the truth where a map is sought and the truth is known, else the mean predicted sd.

    Parameters
    ----------
    experiment
        Asked for the truth, once.
    is_map
        Whether the objective is a map.
    n
        Points at which the model is asked (at most all of a pool).
    """

    def __init__(self, experiment: Experiment, *, is_map: bool, n: int = 400) -> None:
        self._truth_of = experiment if is_map and isinstance(experiment, KnowsTruth) else None
        self._n = n
        self._points: list[Point] = []
        self._truth: np.ndarray | None = None

    @property
    def name(self) -> str:
        """What the number is."""
        return "mean predictive sd" if self._truth_of is None else "map RMSE"

    def prepare(self, agent: Agent) -> None:
        """Choose the points and look up the truth there, once."""
        if self._points:
            return
        candidates = agent.space.candidates
        self._points = agent.space.random(self._n if candidates is None else min(self._n, len(candidates)), seed=0)
        if self._truth_of is not None:
            self._truth = np.asarray(self._truth_of.truth(self._points)[agent.observables[0]])

    def __call__(self, agent: Agent) -> float | None:
        """Return the present model's error; None as long as there is no model."""
        if len(agent.measured) < max(2, agent.n_initial - 1):
            return None
        name = agent.observables[0]
        self.prepare(agent)
        predictions = agent.predict(self._points)
        if self._truth is None:
            return float(np.mean([p.sd[name] for p in predictions]))
        known = np.isfinite(self._truth)
        mean = np.array([p.mean[name] for p in predictions])
        return float(rmse(self._truth[known], mean[known])) if known.any() else None

"""The agent as other frameworks know an optimizer: dictionaries with ``"_id"`` outside, typed records inside.

`AgentOptimizer` satisfies `blop.protocols.Optimizer`, `CanRegisterSuggestions` and `TrialFaultAware` structurally; blop
itself is not needed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from loop.agent import Agent
from loop.belief import AgentError
from loop.records import Observation, Status, Suggestion

ID = "_id"


class AgentOptimizer:
    """An `Agent` behind dictionaries.

    A suggestion is ``{"_id": ..., parameter: value, ...}``; an outcome ``{"_id": ..., observable: value, ...}``, where
    ``"<observable>_sd"`` may give the standard deviation.

    Parameters
    ----------
    agent
        The agent that decides and learns; it can be used directly at the same time.
    """

    def __init__(self, agent: Agent) -> None:
        self.agent = agent

    def suggest(self, num_points: int | None = None) -> list[dict[str, Any]]:
        """Suggest the next points to measure (one when left out)."""
        return [_as_dict(s) for s in self.agent.suggest(1 if num_points is None else num_points)]

    def ingest(self, points: Sequence[Mapping[str, Any]]) -> None:
        """Learn outcomes; one without a known ``"_id"`` must hold the parameters too, and enters as a manual point.

        An outcome with an observable that is not a finite number counts as failed.

        Raises
        ------
        AgentError
            An observable is missing.
        SpaceError
            A point without ``"_id"`` is not in the space.
        """
        suggested = {s.id: s for s in self.agent.suggestions}
        for outcome in points:
            suggestion = suggested.get(outcome.get(ID, ""))
            missing = [name for name in self.agent.observables if name not in outcome]
            if missing:
                raise AgentError(
                    f"outcome {dict(outcome)} lacks {missing}: expected all of {list(self.agent.observables)}"
                )
            if suggestion is None:
                suggestion = self.agent.add({n: outcome[n] for n in self._parameters() if n in outcome})
            values = {name: float(outcome[name]) for name in self.agent.observables}
            bad = [name for name, value in values.items() if not math.isfinite(value)]
            self.agent.ingest(
                Observation(
                    suggestion.id,
                    suggestion.point,
                    Status.FAILED if bad else Status.MEASURED,
                    values={} if bad else values,
                    sds={} if bad else {n: float(outcome[f"{n}_sd"]) for n in values if f"{n}_sd" in outcome},
                    reason=f"not a finite number: {bad}" if bad else "",
                )
            )

    def register_suggestions(self, suggestions: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Enter points that a person wants measured, and return them with their ``"_id"``."""
        return [_as_dict(self.agent.add({k: v for k, v in s.items() if k != ID})) for s in suggestions]

    def register_failures(self, suggestions: Sequence[Mapping[str, Any]]) -> None:
        """Say that these suggestions could not be measured."""
        known = {s.id: s for s in self.agent.suggestions}
        for failed in suggestions:
            if failed.get(ID) not in known:
                raise AgentError(f"a failure came for {failed.get(ID)!r}, which was never suggested")
            suggestion = known[failed[ID]]
            self.agent.ingest(Observation(suggestion.id, suggestion.point, Status.FAILED, reason="reported as failed"))

    def get_best_points(self) -> list[tuple[str, dict[str, Any], dict[str, float]]]:
        """Return ``(id, parameters, outcome)`` of the best point measured; none without a direction or measurement."""
        measured = self.agent.measured
        if self.agent.direction is None or not measured:
            return []
        sign = -1.0 if self.agent.direction == "minimise" else 1.0
        best = max(measured, key=lambda o: sign * o.values[self.agent.observables[0]])
        return [(best.suggestion_id, dict(best.point), {n: best.values[n] for n in self.agent.observables})]

    def _parameters(self) -> tuple[str, ...]:
        """Parameter names, a pool's identity among them."""
        first = self.agent.space.random(1, seed=0)[0]
        return tuple(first)


def _as_dict(suggestion: Suggestion) -> dict[str, Any]:
    return {ID: suggestion.id, **suggestion.point}

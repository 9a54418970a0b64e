"""What was asked for and how it ended: every suggestion and every outcome of a campaign, in order."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from loop.belief import AgentError
from loop.protocols import SearchSpace
from loop.records import Observation, Origin, Point, Status, Suggestion
from loop.seeds import INITIAL, derive
from loop.space import finite


class Ledger:
    """Suggestions and outcomes by the suggestion's id, with the checks that keep them consistent."""

    def __init__(self) -> None:
        self.suggestions: dict[str, Suggestion] = {}
        self.outcomes: dict[str, Observation] = {}

    @property
    def in_flight(self) -> tuple[Suggestion, ...]:
        """Suggestions without an outcome."""
        return tuple(s for s in self.suggestions.values() if s.id not in self.outcomes)

    @property
    def unknown(self) -> tuple[Suggestion, ...]:
        """Suggestions of which nothing was learned: in flight, or lost (failed, rejected, abandoned)."""
        return tuple(s for s in self.suggestions.values() if not self._is_measured(s.id))

    @property
    def spread(self) -> int:
        """How many suggestions count as initial points: not those that were lost, nor reactions' follow-ups.

        Follow-ups crowd around what they follow.
        """
        return sum(
            s.origin is not Origin.REACTION and (s.id not in self.outcomes or self._is_measured(s.id))
            for s in self.suggestions.values()
        )

    def register(self, suggestion: Suggestion) -> bool:
        """Enter a suggestion; return whether it is new.

        Raises
        ------
        AgentError
            It contradicts what is known: another point under the same id, or out of order.
        """
        known = self.suggestions.get(suggestion.id)
        if known is None:
            if suggestion.iteration != len(self.suggestions):
                raise AgentError(
                    f"suggestion {suggestion.id} is number {suggestion.iteration}, but {len(self.suggestions)} are "
                    "known: register them all, in order"
                )
            self.suggestions[suggestion.id] = suggestion
            return True
        if dict(known.point) != dict(suggestion.point):
            raise AgentError(
                f"suggestion {suggestion.id} is known with the point {dict(known.point)}, "
                f"and now comes with {dict(suggestion.point)}: two campaigns in one journal?"
            )
        return False

    def check(self, observation: Observation) -> None:
        """Raise `AgentError` unless this is the first outcome of a known suggestion."""
        if observation.suggestion_id not in self.suggestions:
            raise AgentError(
                f"an outcome came for suggestion {observation.suggestion_id!r}, which is unknown: register it first"
            )
        if observation.suggestion_id in self.outcomes:
            raise AgentError(f"suggestion {observation.suggestion_id} has an outcome already: each has one")

    def available(self, space: SearchSpace) -> NDArray[np.bool_]:
        """Tell which rows ``(n,)`` of a pool's candidates have not been suggested yet."""
        pool = finite(space)
        left = np.ones(len(space.candidates if space.candidates is not None else ()), dtype=np.bool_)
        left[[pool.index(s.point) for s in self.suggestions.values()]] = False
        return left

    def space_filling(self, space: SearchSpace, n: int, seed: int) -> Point:
        """Return the first point of the space-filling sequence, `n` long at least, that was not suggested yet."""
        used = [dict(s.point) for s in self.suggestions.values()]
        n = max(n, len(used) + 1)
        if space.candidates is not None:
            n = min(n, len(space.candidates))
        sequence = space.initial(n, seed=derive(seed, INITIAL))
        # A pool that is not used up, or one point more than were used: there is always one left.
        return next(p for p in sequence if dict(p) not in used)

    def _is_measured(self, identity: str) -> bool:
        return identity in self.outcomes and self.outcomes[identity].status is Status.MEASURED

"""What a reaction is: called with a point, its outcome and the situation, it names points to be measured next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

from loop.errors import BeamloopError, SpaceError
from loop.protocols import SearchSpace
from loop.records import Observation, Point, Status, Suggestion
from loop.space import finite

if TYPE_CHECKING:
    from torch import Tensor

    from loop.agent import Agent

SAME = 1e-6
"""Points nearer than this share of a range in every coordinate are one point."""


class ReactionError(BeamloopError, ValueError):
    """A reaction contradicts itself, the campaign or its contract."""


@dataclass(frozen=True)
class FollowUp:
    """A point that a reaction wants measured."""

    point: Point
    exposure_factor: float = 1.0
    """Exposure time over the campaign's; only experiments that can expose longer take another than 1."""


@dataclass(frozen=True)
class Situation:
    """What a reaction may look at besides the outcome."""

    space: SearchSpace
    taken: tuple[Point, ...]
    """Every point suggested so far, in order, and those that wait as follow-ups."""
    unknown: tuple[Point, ...]
    """Those suggested of which nothing was learned: in flight, or lost."""
    exclusion: float
    """How close to an unknown point a box may be measured: largest difference in a coordinate over its range."""

    @classmethod
    def of(cls, agent: Agent, waiting: Sequence[Point] = ()) -> Situation:
        """Return an agent's situation, points that wait to be suggested counted as taken."""
        known = {o.suggestion_id for o in agent.observations if o.status is Status.MEASURED}
        suggestions = agent.suggestions
        return cls(
            agent.space,
            (*(s.point for s in suggestions), *waiting),
            tuple(s.point for s in suggestions if s.id not in known),
            agent.exclusion,
        )

    def free(self, point: Point) -> bool:
        """Whether a point lies in the space, is not taken, and in a box is far enough from unknown ones."""
        try:
            point = self.space.validate(point)
        except SpaceError:
            return False
        if self.space.candidates is not None:
            return finite(self.space).index(point) not in self.taken_rows
        x = self.space.encode([point])
        return _clear(x, self._taken_places, SAME) and _clear(x, self._unknown_places, self.exclusion)

    @cached_property
    def taken_rows(self) -> frozenset[int]:
        """Rows of a pool's samples that are taken."""
        pool = finite(self.space)
        return frozenset(pool.index(point) for point in self.taken)

    @cached_property
    def _taken_places(self) -> Tensor:
        return self.space.encode(self.taken)

    @cached_property
    def _unknown_places(self) -> Tensor:
        return self.space.encode(self.unknown)


class Reaction(Protocol):
    """What follows where a condition holds."""

    def __call__(self, suggestion: Suggestion, observation: Observation, situation: Situation, /) -> Sequence[FollowUp]:
        """Return what is to be measured next, the most important first: a function of the arguments alone."""
        ...


def _clear(x: Tensor, others: Tensor, radius: float) -> bool:
    return bool(((others - x).abs().amax(dim=-1) > radius).all()) if len(others) else True

"""The reactions that come with beamloop."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.quasirandom import SobolEngine

from loop.reactions.contract import FollowUp, ReactionError, Situation
from loop.records import Observation, Point, Suggestion
from loop.space import finite

BUILTIN = {
    "remeasure": "loop.reactions.builtin:Remeasure",
    "look_around": "loop.reactions.builtin:LookAround",
    "note": "loop.reactions.builtin:Note",
}
"""Name -> ``module:Name``."""

_CANDIDATES = 256
"""Places around a point among which the best spread ones are chosen."""


@dataclass(frozen=True)
class Remeasure:
    """Measures the same point again, with a longer exposure."""

    exposure_factor: float = 4.0
    """Exposure time over the campaign's."""

    def __post_init__(self) -> None:
        if not 0 < self.exposure_factor < math.inf:
            raise ReactionError(f"exposure_factor must be a number above 0, got {self.exposure_factor!r}")

    def __call__(self, suggestion: Suggestion, observation: Observation, situation: Situation) -> Sequence[FollowUp]:
        """See `loop.reactions.contract.Reaction`."""
        return (FollowUp(suggestion.point, self.exposure_factor),)


@dataclass(frozen=True)
class LookAround:
    """Measures points around it; of a pool, the nearest samples that are left."""

    points: int = 4
    """How many."""
    radius: float = 0.05
    """How far at most, as a fraction of each parameter's range; a pool's samples may lie farther."""

    def __post_init__(self) -> None:
        if not isinstance(self.points, int) or self.points < 1 or not 0 < self.radius <= 1:
            raise ReactionError(
                "points must be a whole number of at least 1 and radius above 0 and at most 1, got "
                f"{self.points!r} and {self.radius!r}"
            )

    def __call__(self, suggestion: Suggestion, observation: Observation, situation: Situation) -> Sequence[FollowUp]:
        """See `loop.reactions.contract.Reaction`."""
        near = self._nearest if situation.space.candidates is not None else self._around
        return tuple(FollowUp(point) for point in near(suggestion.point, situation))

    def _around(self, centre: Point, situation: Situation) -> list[Point]:
        """Choose places one by one, each as far as can be from all that are taken."""
        space = situation.space
        x = space.encode([centre]).clamp(0.0, 1.0)
        low, high = (x - self.radius).clamp_min(0.0), (x + self.radius).clamp_max(1.0)
        grid = SobolEngine(len(space.names), scramble=False).draw(_CANDIDATES, dtype=torch.float64)
        # A coordinate has no meaning below a millionth of its range.
        places = torch.round(low + grid * (high - low), decimals=6)
        free = [(row, point) for row, point in enumerate(space.decode(places)) if situation.free(point)]
        if not free:
            return []
        places = places[[row for row, _ in free]]
        distance = _nearest_of(places, torch.cat([x, space.encode(situation.taken)]))
        chosen: list[Point] = []
        while len(chosen) < min(self.points, len(free)):
            best = int(distance.numpy().argmax())
            chosen.append(free[best][1])
            distance = torch.minimum(distance, _nearest_of(places, places[best : best + 1]))
        return chosen

    def _nearest(self, centre: Point, situation: Situation) -> list[Point]:
        pool, candidates = finite(situation.space), situation.space.candidates
        assert candidates is not None  # noqa: S101 - the caller has looked
        distance = torch.linalg.vector_norm(candidates - candidates[pool.index(centre)], dim=1)
        order = distance.numpy().argsort(kind="stable")
        return [pool.at(row) for row in order.tolist() if row not in situation.taken_rows][: self.points]


@dataclass(frozen=True)
class Note:
    """Asks for nothing: the alert alone is what is wanted."""

    def __call__(self, suggestion: Suggestion, observation: Observation, situation: Situation) -> Sequence[FollowUp]:
        """See `loop.reactions.contract.Reaction`."""
        return ()


def _nearest_of(places: Tensor, others: Tensor) -> Tensor:
    """Return the distance of each place ``(n, d)`` to the nearest of the others, ``(n,)``."""
    return torch.cdist(places, others).amin(dim=1)

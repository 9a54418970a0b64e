"""What the search spaces share: names and numbers checked in one way."""

from __future__ import annotations

import math
from typing import Protocol, runtime_checkable

from loop.errors import SpaceError
from loop.records import Point

SAMPLE = "sample"
"""The key under which a pool's point carries its identity."""


@runtime_checkable
class FiniteSpace(Protocol):
    """What a space with `candidates` does besides `loop.protocols.SearchSpace`: its rows have an identity."""

    def at(self, index: int, /) -> Point:
        """Return the point of a row of `candidates`."""
        ...

    def index(self, point: Point, /) -> int:
        """Return the row of `candidates` that a point stands for."""
        ...


def check_names(names: tuple[str, ...]) -> None:
    """Raise `SpaceError` unless the names are there, distinct and not reserved."""
    if not names:
        raise SpaceError("a search space needs at least one parameter, got none")
    if len(set(names)) != len(names):
        raise SpaceError(f"parameter names must be distinct, got {list(names)}")
    if reserved := {SAMPLE, "_id"} & set(names):
        raise SpaceError(f"the name {sorted(reserved)[0]!r} is reserved; call the parameter something else")


def number(point: Point, name: str, unit: str) -> float:
    """Return a point's value as a finite float; raise `SpaceError` naming the parameter otherwise."""
    if name not in point:
        raise SpaceError(f"parameter {name!r} is missing from point {dict(point)}")
    value = point[name]
    if isinstance(value, (bool, str)) or not math.isfinite(value):
        raise SpaceError(f"parameter {name!r}: expected a finite number{f' in {unit}' if unit else ''}, got {value!r}")
    return float(value)


def finite(space: object) -> FiniteSpace:
    """Return the space as one whose candidates have an identity; raise `SpaceError` if it is none."""
    if not isinstance(space, FiniteSpace):
        raise SpaceError(f"{type(space).__name__} has candidates, so it needs the methods at(row) and index(point) too")
    return space

"""The parts of a box: continuous parameters and the constraints between them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from loop.errors import SpaceError


@dataclass(frozen=True)
class Continuous:
    """One continuous parameter."""

    name: str
    low: float
    """Lower bound, in `unit`."""
    high: float
    """Upper bound, in `unit`."""
    unit: str = ""

    def __post_init__(self) -> None:
        if not self.name:
            raise SpaceError("a parameter needs a name, got an empty one")
        if not (math.isfinite(self.low) and math.isfinite(self.high)) or self.low >= self.high:
            raise SpaceError(
                f"parameter {self.name!r}: expected finite low < high, got {self.low} .. {self.high} {self.unit}"
            )


class Constraint(Protocol):
    """A condition that a point must fulfil besides the bounds; `str` of it is what error messages show."""

    def holds(self, values: Mapping[str, NDArray[np.float64]]) -> NDArray[np.bool_]:
        """Tell where it holds: parameter name -> ``(n,)`` in the parameter's unit, to ``(n,)`` bool."""
        ...


@dataclass(frozen=True)
class LinearConstraint:
    """``sum_i coefficients[i] * parameter_i <= upper``, in the parameters' units."""

    coefficients: Mapping[str, float]
    upper: float

    def holds(self, values: Mapping[str, NDArray[np.float64]]) -> NDArray[np.bool_]:
        """See `Constraint.holds`; a billionth of the terms' size is left for rounding."""
        terms = [factor * values[name] for name, factor in self.coefficients.items()]
        size = np.sum(np.abs(terms), axis=0) + abs(self.upper)
        return np.asarray(np.sum(terms, axis=0) <= self.upper + 1e-9 * size, dtype=np.bool_)

    def __str__(self) -> str:
        return " + ".join(f"{c:g}*{n}" for n, c in self.coefficients.items()) + f" <= {self.upper:g}"

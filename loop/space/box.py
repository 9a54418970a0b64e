"""A box of continuous parameters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.quasirandom import SobolEngine

from loop.errors import SpaceError
from loop.records import Point
from loop.space._common import check_names, number
from loop.space.parameters import Constraint, Continuous, LinearConstraint

_MAX_DRAWS = 2**21


class _Draw(Protocol):
    def __call__(self, m: int, /) -> Tensor: ...


class BoxSpace:
    """A box of continuous parameters, optionally cut by constraints.

    Parameters
    ----------
    parameters
        One `Continuous` per dimension, names distinct.
    constraints
        Anything with `Constraint.holds`.

    Raises
    ------
    SpaceError
        No parameters, a name used twice, a constraint on an unknown parameter, or constraints that no point fulfils.
    """

    def __init__(self, parameters: Sequence[Continuous], constraints: Sequence[Constraint] = ()) -> None:
        self.parameters = tuple(parameters)
        self.constraints = tuple(constraints)
        self.names: tuple[str, ...] = tuple(p.name for p in self.parameters)
        self.units: tuple[str, ...] = tuple(p.unit for p in self.parameters)
        self.candidates: Tensor | None = None
        check_names(self.names)
        self._low = torch.tensor([p.low for p in self.parameters], dtype=torch.float64)
        self._span = torch.tensor([p.high - p.low for p in self.parameters], dtype=torch.float64)
        for constraint in self.constraints:
            if isinstance(constraint, LinearConstraint) and (unknown := set(constraint.coefficients) - set(self.names)):
                raise SpaceError(
                    f"constraint {constraint} names {sorted(unknown)}, but the space has {list(self.names)}"
                )
        if self.constraints:
            self._sobol(1, seed=0)

    def encode(self, points: Sequence[Point]) -> Tensor:
        """Points to ``(n, d)`` float64 in the unit cube; a read-back just outside the bounds lands just outside it.

        Raises
        ------
        SpaceError
            A parameter is missing or not a finite number.
        """
        rows = [[number(point, p.name, p.unit) for p in self.parameters] for point in points]
        values = torch.tensor(rows, dtype=torch.float64).reshape(len(rows), len(self.names))
        return (values - self._low) / self._span

    def decode(self, X: Tensor) -> list[Point]:
        """``(n, d)`` in the unit cube back to points; rounding never leads out of the bounds."""
        values = self._low + X.detach().to(torch.float64) * self._span
        return [
            {p.name: min(max(v, p.low), p.high) for p, v in zip(self.parameters, row, strict=True)}
            for row in values.tolist()
        ]

    def feasible(self, X: Tensor) -> Tensor:
        """Tell which of ``(n, d)`` points in the unit cube fulfil the constraints: ``(n,)`` bool."""
        values = (self._low + X.detach().to(torch.float64) * self._span).numpy()
        columns = {name: values[:, i] for i, name in enumerate(self.names)}
        holds = np.ones(len(values), dtype=np.bool_)
        for constraint in self.constraints:
            holds &= constraint.holds(columns)
        return torch.from_numpy(holds)

    def initial(self, n: int, *, seed: int) -> list[Point]:
        """First `n` points of a scrambled Sobol sequence, those that break a constraint left out.

        The first points do not depend on `n`.
        """
        return self.decode(self._sobol(n, seed=seed))

    def random(self, n: int, *, seed: int) -> list[Point]:
        """`n` uniformly random points that fulfil the constraints."""
        generator = torch.Generator().manual_seed(seed)
        return self.decode(
            self._collect(n, lambda m: torch.rand(m, len(self.names), dtype=torch.float64, generator=generator))
        )

    def validate(self, point: Point) -> Point:
        """Return the point with its parameters as floats, in the space's order.

        Raises
        ------
        SpaceError
            Names the parameter, the value and the bounds, or the constraint that is broken.
        """
        if unknown := set(point) - set(self.names):
            raise SpaceError(f"point {dict(point)} has {sorted(unknown)}; this space has only {list(self.names)}")
        canonical: dict[str, float | int | str] = {}
        for p in self.parameters:
            value = number(point, p.name, p.unit)
            if not p.low <= value <= p.high:
                raise SpaceError(f"parameter {p.name!r}: {value} {p.unit} is outside {p.low} .. {p.high} {p.unit}")
            canonical[p.name] = value
        columns = {name: np.array([float(value)]) for name, value in canonical.items()}
        for constraint in self.constraints:
            if not constraint.holds(columns)[0]:
                raise SpaceError(f"point {canonical} breaks the constraint {constraint}")
        return canonical

    def _sobol(self, n: int, *, seed: int) -> Tensor:
        engine = SobolEngine(len(self.names), scramble=True, seed=seed)
        return self._collect(n, lambda m: engine.draw(m, dtype=torch.float64))

    def _collect(self, n: int, draw: _Draw) -> Tensor:
        """Draw until `n` points fulfil the constraints."""
        kept: list[Tensor] = []
        found = drawn = 0
        while found < n:
            if drawn >= _MAX_DRAWS:
                raise SpaceError(
                    f"only {found} of {drawn} points of the box fulfil the constraints "
                    f"{[str(c) for c in self.constraints]}; {n} are needed: loosen them or tighten the bounds"
                )
            # All at once where there is nothing to reject; where there is, ever larger blocks.
            X = draw(min(max(n, 2 * drawn), 2**16) if self.constraints else n)
            drawn += len(X)
            kept.append(X[self.feasible(X)])
            found += len(kept[-1])
        return torch.cat(kept)[:n] if kept else torch.empty(0, len(self.names), dtype=torch.float64)

    def __repr__(self) -> str:
        return f"BoxSpace({list(self.parameters)}, constraints={[str(c) for c in self.constraints]})"

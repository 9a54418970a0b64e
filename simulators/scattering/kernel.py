"""What a kernel is: a function with its parameters, its source, its range, and numbers that it must reproduce."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from simulators.errors import ParameterError

Values = float | Sequence[float] | np.ndarray | Tensor
"""What a parameter may be: a number, or ``(n,)`` of them. Of q: ``(k,)``."""


@dataclass(frozen=True)
class Parameter:
    """One argument of a kernel."""

    name: str
    unit: str
    low: float
    """Lowest allowed value, itself allowed."""
    high: float
    """Highest allowed value, itself allowed."""
    default: float
    description: str


@dataclass(frozen=True)
class SelfTest:
    """Numbers that a kernel must reproduce, found in another way than by running it."""

    parameters: Mapping[str, Any]
    q: tuple[float, ...]
    """1/Å."""
    expected: tuple[float, ...]
    """In the kernel's unit."""
    origin: str
    """Where the numbers come from."""
    rtol: float = 1e-6


@dataclass(frozen=True)
class Kernel:
    """A scattering kernel with all that a person or a recipe must know of it."""

    name: str
    function: Callable[..., Tensor]
    """``function(q, **parameters)`` gives ``(n, k)``."""
    parameters: tuple[Parameter, ...]
    source: str
    """DOI, or author, journal and year."""
    valid: str
    """Where the kernel holds, in words."""
    tests: tuple[SelfTest, ...]
    options: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Arguments that are words, each with its choices; the first is the default."""
    unit: str = "1/cm"
    """Of the result: ``"1/cm"`` for dΣ/dΩ, ``"(1)"`` for a structure factor."""

    def __post_init__(self) -> None:
        """Freeze the options."""
        object.__setattr__(self, "options", MappingProxyType(dict(self.options)))

    def __call__(self, q: Values, **parameters: Any) -> Tensor:
        """Evaluate with defaults for what is not given.

        Parameters
        ----------
        q
            ``(k,)`` 1/Å.
        **parameters
            Numbers or ``(n,)``, and options.

        Returns
        -------
        Tensor
            ``(n, k)`` in `unit`.

        Raises
        ------
        ParameterError
            If a parameter is unknown or out of its range.
        """
        known = {parameter.name: parameter.default for parameter in self.parameters}
        unknown = sorted(set(parameters) - set(known) - set(self.options))
        if unknown:
            raise ParameterError(f"{self.name} has no parameter {unknown}; it has {[*known, *self.options]}")
        return self.function(q, **{**known, **parameters})

    def deviations(self) -> tuple[float, ...]:
        """Return the largest relative deviation in each self-test, in units of that test's tolerance."""
        result = []
        for test in self.tests:
            expected = torch.tensor(test.expected, dtype=torch.float64)
            found = self.function(list(test.q), **test.parameters)[0]
            result.append(float(((found - expected).abs() / (test.rtol * expected.abs())).max()))
        return tuple(result)

"""Matérn kernels that see what a theory says: the stationary groups that know one.

Where theory has a border, what it leaves over often has one too. Points on the two sides of it are far apart along a
further axis, the theory's value (as in nonlinear autoregressive co-kriging: Perdikaris et al., 2017,
doi:10.1098/rspa.2016.0751).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from surrogates.inference.stationary import Matern, MaternTangent
from surrogates.theory_function import TheoryFunction

_SPREAD = 4.0
"""Standard deviations of the values that the theory's axis counts as the cube's width."""


@dataclass(frozen=True, eq=False)
class TheoryMatern:
    """Matérn-5/2 kernels over the inputs and the theory's value; a `surrogates.inference.base.KernelSource`."""

    lengthscale: Tensor
    """``(m D, d + 1)``; the last of the theory's value, in units of `_SPREAD` standard deviations."""
    theory: TheoryFunction
    scaled: bool = False
    """Whether slope and offset of the theory are integrated: a kernel linear in its value is added, of variance 1 for
    each, in units of the Matérn kernel's."""

    @property
    def members(self) -> int:
        """Number of kernels `G`."""
        return self.lengthscale.shape[0]

    def tangent(self, X: Tensor, layers: Sequence[int] = ()) -> MaternTangent:
        """See `Matern`."""
        value = self.theory(X).unsqueeze(-1)
        points = torch.cat([X.expand(len(value), *X.shape), value / _SPREAD], -1)
        linear = torch.cat([torch.ones_like(value), value], -1) if self.scaled else None
        return Matern(self.lengthscale).of(points, linear)


def with_theory(X: Tensor, values: Tensor) -> Tensor:
    """Points with the theory's ``values (n,)`` as a further axis, ``(n, d + 1)``: where length scales are fitted."""
    return torch.cat([X, values.unsqueeze(-1) / _SPREAD], -1)

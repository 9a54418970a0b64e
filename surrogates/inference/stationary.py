"""A Matérn kernel in the place of networks: the stationary member of an ensemble.

Networks follow borders and interactions; where a function is simply smooth, a Matérn kernel with one length scale an
input is hard to beat, and with few points a mixture of both is better calibrated than either.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

_SMALLEST = 1e-24
"""Of squared distances, so that the square root has a gradient at a point itself."""


@dataclass(frozen=True)
class MaternTangent:
    """Points of one kernel a network index; a `surrogates.networks.Tangent`."""

    scaled: Tensor
    """``(G, *batch, q, d)`` points divided by the length scales."""
    linear: Tensor | None = None
    """``(G, *batch, q, k)`` features of a linear kernel of variance 1 each, which is added."""

    @property
    def batch_shape(self) -> torch.Size:
        """See `Tangent`."""
        return self.scaled.shape[1:-1]

    def diagonal(self) -> Tensor:
        """See `Tangent`."""
        one = torch.ones_like(self.scaled[..., 0])
        return one if self.linear is None else one + self.linear.square().sum(-1)

    def kernel(self, other: MaternTangent) -> Tensor:
        """See `Tangent`; Rasmussen & Williams, 2006, equation 4.17."""
        a, b = self.scaled, other.scaled
        centre = b.mean(-2, keepdim=True)
        a, b = a - centre, b - centre
        squared = a.square().sum(-1, keepdim=True) + b.square().sum(-1).unsqueeze(-2) - 2 * a @ b.mT
        r = math.sqrt(5) * squared.clamp_min(_SMALLEST).sqrt()
        matern = (1 + r + r.square() / 3) * torch.exp(-r)
        if self.linear is None or other.linear is None:
            return matern
        return matern + self.linear @ other.linear.mT

    def map(self, change: Callable[[Tensor], Tensor]) -> MaternTangent:
        """See `Tangent`."""
        return MaternTangent(change(self.scaled), None if self.linear is None else change(self.linear))


@dataclass(frozen=True, eq=False)
class Matern:
    """Matérn-5/2 kernels of variance 1; a `surrogates.inference.base.KernelSource`."""

    lengthscale: Tensor
    """``(G, d)`` in the unit cube, float64."""

    @property
    def members(self) -> int:
        """Number of kernels `G`."""
        return self.lengthscale.shape[0]

    def tangent(self, X: Tensor, layers: Sequence[int] = ()) -> MaternTangent:
        """Points ``(*batch, q, d)`` for each kernel; `layers` says nothing here."""
        return self.of(X.unsqueeze(0))

    def of(self, points: Tensor, linear: Tensor | None = None) -> MaternTangent:
        """Points ``(G or 1, *batch, q, d)``, which may differ from kernel to kernel; `linear` see `MaternTangent`."""
        shape = (self.members, *[1] * (points.ndim - 2), points.shape[-1])
        return MaternTangent(points / self.lengthscale.view(shape), linear)

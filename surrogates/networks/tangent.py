"""Tangent kernels: scalar products of the networks' gradients by the parameters of chosen layers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, Self

import torch
from torch import Tensor

from surrogates.errors import SurrogateError


class Tangent(Protocol):
    """What the tangent kernel needs of some points ``(*batch, q)``, for each of `G` networks."""

    @property
    def batch_shape(self) -> torch.Size:
        """``(*batch, q)``."""
        ...

    def diagonal(self) -> Tensor:
        """``k(x, x)`` as ``(G, *batch, q)``."""
        ...

    def kernel(self, other: Self) -> Tensor:
        """``k(x, x')`` as ``(G, *batch, q, q')``; batch dimensions broadcast."""
        ...

    def map(self, change: Callable[[Tensor], Tensor]) -> Self:
        """Apply `change` to every tensor ``(G, *batch, q, k)`` (to insert batch dimensions, say)."""
        ...


@dataclass(frozen=True)
class DenseTangent:
    """Of dense layers followed by dense layers alone: what went in, and how the output depends on what came out.

    The gradient by a layer's weights is the outer product of its input and its slope, so that the scalar product of
    two gradients is ``(slope . slope') (1 + input . input')``, the 1 being the bias: no Jacobian is ever formed.
    """

    inputs: tuple[Tensor, ...]
    """Per chosen layer ``(G, *batch, q, fan_in)``, already divided by ``sqrt(fan_in)``."""
    slopes: tuple[Tensor, ...]
    """Per chosen layer ``(G, *batch, q, fan_out)``: derivative of the network's output by the layer's
    pre-activation."""

    def __post_init__(self) -> None:
        if not self.inputs:
            raise SurrogateError("a tangent kernel needs at least one layer, got none")

    @property
    def batch_shape(self) -> torch.Size:
        """See `Tangent`."""
        return self.inputs[0].shape[1:-1]

    def diagonal(self) -> Tensor:
        """See `Tangent`."""
        terms = [d.square().sum(-1) * (1 + h.square().sum(-1)) for h, d in zip(self.inputs, self.slopes, strict=True)]
        return torch.stack(terms).sum(0)

    def kernel(self, other: DenseTangent) -> Tensor:
        """See `Tangent`."""
        total: Tensor | float = 0.0
        for h, d, h2, d2 in zip(self.inputs, self.slopes, other.inputs, other.slopes, strict=True):
            total = total + (d @ d2.mT) * (1 + h @ h2.mT)
        assert isinstance(total, Tensor)  # noqa: S101 - there is at least one layer
        return total

    def map(self, change: Callable[[Tensor], Tensor]) -> DenseTangent:
        """See `Tangent`."""
        return DenseTangent(tuple(map(change, self.inputs)), tuple(map(change, self.slopes)))


@dataclass(frozen=True)
class JacobianTangent:
    """Of any layers: the gradients themselves."""

    jacobian: Tensor
    """``(G, *batch, q, p)`` for `p` parameters of the chosen layers."""

    @property
    def batch_shape(self) -> torch.Size:
        """See `Tangent`."""
        return self.jacobian.shape[1:-1]

    def diagonal(self) -> Tensor:
        """See `Tangent`."""
        return self.jacobian.square().sum(-1)

    def kernel(self, other: JacobianTangent) -> Tensor:
        """See `Tangent`."""
        return self.jacobian @ other.jacobian.mT

    def map(self, change: Callable[[Tensor], Tensor]) -> JacobianTangent:
        """See `Tangent`."""
        return JacobianTangent(change(self.jacobian))

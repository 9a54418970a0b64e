"""What a network is made of: layers that compute for many networks at once.

A layer holds shapes and no parameters. It is called with parameters that carry any leading dimensions ``*L`` (networks,
chains, draws) and with inputs ``(*L', N, ...)`` for `N` points; the leading dimensions broadcast. Weights are divided
by ``sqrt(fan_in)`` inside, which keeps the function's prior the same whatever the width (Jacot et al., 2018,
arXiv:1806.07572): one prior width serves all of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from surrogates.errors import SurrogateError
from surrogates.networks.activations import ACTIVATIONS, check_activation

Parameters = Mapping[str, Tensor]
"""Of one layer: name -> ``(*L, *shape)``."""

BIAS = "bias"
"""Parameters whose name begins so start from the biases' prior, all others from the weights'."""


class Layer(Protocol):
    """One layer of an architecture; the smallest part that is Bayesian or not."""

    @property
    def name(self) -> str:
        """Unique in its network."""
        ...

    @property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """Parameters of one network, by name."""
        ...

    def __call__(self, parameters: Parameters, h: Tensor) -> Tensor:
        """Compute; differentiable in both, and a fit subject of `torch.func.vmap`."""
        ...


@dataclass(frozen=True)
class Dense:
    """Affine map and activation: ``(*L, N, fan_in)`` to ``(*L, N, fan_out)``."""

    name: str
    fan_in: int
    fan_out: int
    activation: str | None = None
    """None: linear."""

    def __post_init__(self) -> None:
        if self.activation is not None:
            check_activation(self.activation)
        if self.fan_in < 1 or self.fan_out < 1:
            raise SurrogateError(f"layer {self.name!r} needs at least one input and one output, got {self}")

    @property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """See `Layer`."""
        return {"weight": (self.fan_in, self.fan_out), BIAS: (self.fan_out,)}

    def affine(self, parameters: Parameters, h: Tensor) -> Tensor:
        """Compute what the activation is applied to."""
        weight, bias = parameters["weight"], parameters[BIAS].unsqueeze(-2)
        if weight.ndim == 3 and h.ndim == 3 and h.shape[0] == weight.shape[0]:
            return torch.baddbmm(bias, h, weight, alpha=self.fan_in**-0.5)
        return h @ (weight * self.fan_in**-0.5) + bias

    def slope(self, z: Tensor) -> Tensor:
        """Compute the derivative of the activation."""
        return torch.ones_like(z) if self.activation is None else ACTIVATIONS[self.activation][1](z)

    def activate(self, z: Tensor) -> Tensor:
        """Apply the activation."""
        return z if self.activation is None else ACTIVATIONS[self.activation][0](z)

    def __call__(self, parameters: Parameters, h: Tensor) -> Tensor:
        """See `Layer`."""
        return self.activate(self.affine(parameters, h))

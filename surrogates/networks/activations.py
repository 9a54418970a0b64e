"""Activation functions with their derivatives."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from surrogates.errors import SurrogateError


def _tanh_slope(z: Tensor) -> Tensor:
    return 1 - torch.tanh(z).square()


def _silu_slope(z: Tensor) -> Tensor:
    s = torch.sigmoid(z)
    return s * (1 + z * (1 - s))


def _gelu_slope(z: Tensor) -> Tensor:
    density = torch.exp(-0.5 * z.square()) / math.sqrt(2 * math.pi)
    return 0.5 * (1 + torch.erf(z / math.sqrt(2))) + z * density


ACTIVATIONS: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]] = {
    "tanh": (torch.tanh, _tanh_slope),
    "relu": (torch.relu, lambda z: (z > 0).to(z.dtype)),
    "silu": (functional.silu, _silu_slope),
    "gelu": (functional.gelu, _gelu_slope),
    "softplus": (functional.softplus, torch.sigmoid),
    "sin": (torch.sin, torch.cos),
}
"""Name -> the function and its derivative. The derivative is a plain torch function too, so that it has gradients."""


def check_activation(name: str) -> None:
    """Raise `SurrogateError` unless there is an activation of that name."""
    if name not in ACTIVATIONS:
        raise SurrogateError(f"unknown activation {name!r}: choose one of {', '.join(sorted(ACTIVATIONS))}")

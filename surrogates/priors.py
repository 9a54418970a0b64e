"""Priors of networks and of scales that are integrated over a grid."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from surrogates.errors import SurrogateError


@dataclass(frozen=True)
class WeightPrior:
    """Gaussian prior of the weights (in units of ``1 / sqrt(fan_in)``) and biases that members start from.

    The default weight scale makes tanh networks rough enough for sharp borders; at scale 1 they are too smooth.
    """

    weight_sd: float = 2.0
    bias_sd: float = 0.3

    def __post_init__(self) -> None:
        if not (self.weight_sd > 0 and self.bias_sd > 0):
            raise SurrogateError(f"prior widths must be positive, got {self}")


@dataclass(frozen=True)
class LogGrid:
    """Log-uniform prior of a positive scale, as `size` equally likely nodes from `low` to `high`."""

    low: float
    high: float
    size: int

    def __post_init__(self) -> None:
        if not (0 < self.low <= self.high < math.inf) or self.size < 1 or (self.size == 1) != (self.low == self.high):
            raise SurrogateError(
                f"a grid needs 0 < low < high and size > 1 (or low = high and size = 1), got low = {self.low}, "
                f"high = {self.high}, size = {self.size}"
            )

    @classmethod
    def fixed(cls, value: float) -> LogGrid:
        """One node: the scale is known."""
        return cls(value, value, 1)

    def nodes(self, like: Tensor) -> Tensor:
        """``(size,)`` with the device of `like`, float64."""
        return torch.logspace(
            math.log10(self.low), math.log10(self.high), self.size, dtype=torch.float64, device=like.device
        )

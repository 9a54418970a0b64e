"""Priors of networks and of scales that are integrated over a grid."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from surrogates.errors import SurrogateError


@dataclass(frozen=True)
class WeightPrior:
    """What the trunks are drawn from and drawn back to, in units of ``1 / sqrt(fan_in)``."""

    weight_sd: float = 2.0
    """Of the starting weights. 2 makes tanh networks rough enough for sharp borders; at 1 they are too smooth."""
    bias_sd: float = 0.3
    """Of the starting biases."""
    map_sd: float = 0.7
    """Of the Gaussian prior around zero that the maximum a posteriori is trained with."""

    def __post_init__(self) -> None:
        if not (self.weight_sd > 0 and self.bias_sd > 0 and self.map_sd > 0):
            raise SurrogateError(f"prior widths must be positive, got {self}")


@dataclass(frozen=True)
class LogGrid:
    """Prior of a positive scale on `size` nodes, equally spaced in the logarithm from `low` to `high`.

    Log-uniform, or log-normal with a `median`.
    """

    low: float
    high: float
    size: int
    median: float | None = None
    log_sd: float = 0.5
    """Standard deviation of the logarithm; of no account without a `median`."""

    def __post_init__(self) -> None:
        if not (0 < self.low <= self.high < math.inf) or self.size < 1 or (self.size == 1) != (self.low == self.high):
            raise SurrogateError(
                f"a grid needs 0 < low < high and size > 1 (or low = high and size = 1), got low = {self.low}, "
                f"high = {self.high}, size = {self.size}"
            )
        if not (self.median is None or 0 < self.median < math.inf) or not self.log_sd > 0:
            raise SurrogateError(f"a grid needs median > 0 or None and log_sd > 0, got {self.median} and {self.log_sd}")

    @classmethod
    def fixed(cls, value: float) -> LogGrid:
        """One node: the scale is known."""
        return cls(value, value, 1)

    def nodes(self, like: Tensor) -> Tensor:
        """``(size,)`` with the device of `like`, float64."""
        ends = torch.tensor([self.low, self.high], dtype=torch.float64, device=like.device)
        if self.size == 1:
            return ends[:1]
        steps = torch.linspace(0, 1, self.size, dtype=torch.float64, device=like.device)
        return ends[0] * (ends[1] / ends[0]) ** steps

    def log_density(self, nodes: Tensor) -> Tensor:
        """Logarithm of the prior, by the logarithm of the scale and up to a constant, at ``(k,)`` scales."""
        if self.median is None:
            return torch.zeros_like(nodes)
        return -0.5 * (torch.log(nodes / self.median) / self.log_sd).square()

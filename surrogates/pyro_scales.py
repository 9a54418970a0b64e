"""Priors of scales as Pyro distributions."""

from __future__ import annotations

from typing import Any

import pyro
import pyro.distributions as dist
import torch
from torch import Tensor
from torch.distributions import CumulativeDistributionTransform, constraints

from surrogates.priors import LogGrid


class TruncatedNormal(dist.TransformedDistribution):
    """Normal with mean `loc` and standard deviation `scale` before it was cut to ``[low, high]``."""

    def __init__(self, loc: Tensor, scale: float, low: Tensor, high: Tensor) -> None:
        normal = torch.distributions.Normal(loc, scale)
        self._own = (loc, scale, low, high)
        super().__init__(dist.Uniform(normal.cdf(low), normal.cdf(high)), [CumulativeDistributionTransform(normal).inv])

    @property
    def support(self) -> constraints.Constraint:
        """What guides and samplers confine themselves to."""
        return constraints.interval(*self._own[2:])

    def expand(self, batch_shape: torch.Size, _instance: object = None) -> TruncatedNormal:
        """Repeat."""
        loc, scale, low, high = self._own
        return TruncatedNormal(loc.expand(batch_shape), scale, low, high)


def scale_prior(grid: LogGrid, like: Tensor) -> Any:
    """Distribution of the logarithm of a scale: the continuous prior that a grid stands for."""
    low, high = like.new_tensor([grid.low, grid.high]).log()
    if grid.median is None:
        return dist.Uniform(low, high)
    return TruncatedNormal(like.new_tensor(grid.median).log(), grid.log_sd, low, high)


def draw_scale(name: str, grid: LogGrid, like: Tensor) -> Tensor:
    """Sample a scale as ``log_<name>``, or return it where it is fixed."""
    if grid.size == 1:
        return like.new_tensor(grid.low)
    drawn: Tensor = pyro.sample(f"log_{name}", scale_prior(grid, like)).exp()
    return drawn

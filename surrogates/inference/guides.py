"""Variational guides for many networks in one program: Pyro's own, with a block of covariance for each network.

Pyro's multivariate guides know one joint Gaussian of everything that is latent. Networks are independent of each other
given the data, so that all entries between them would be wasted: ``(G p)²`` numbers for what ``G p²`` hold.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyro.distributions as dist
import torch
from pyro.distributions.transforms import Permute
from pyro.infer.autoguide import AutoLowRankMultivariateNormal, AutoMultivariateNormal, AutoNormal
from pyro.infer.autoguide.guides import AutoContinuous
from pyro.nn import PyroParam
from torch import Tensor
from torch.distributions import ReshapeTransform
from torch.nn import Parameter

from surrogates.errors import SurrogateError

_MAX_COVARIANCE = 2**26
"""Entries of all networks' covariances, 512 MiB; the optimiser keeps two more of each."""

_RANK = 20
"""Largest rank by default: what a step costs goes with its square."""


class _Blocks(AutoContinuous):
    """Latent vector of each network ``(G, p)``, where Pyro has one of all networks ``(G p,)``."""

    def _setup_prototype(self, *args: Any, **kwargs: Any) -> None:
        AutoContinuous._setup_prototype(self, *args, **kwargs)
        shapes = list(self._unconstrained_shapes.values())
        # The networks' plate is the second dimension from the right of every batch shape.
        members = shapes[0][0]
        width = self.latent_dim // members
        self._check(members, width)
        at, order = 0, []
        for shape in shapes:
            size = shape.numel() // members
            own = torch.arange(members)[:, None] * width + at + torch.arange(size)
            order.append(own.flatten())
            at += size
        start = self._init_loc()
        permutation = torch.cat(order).to(start.device)
        self._to_sites = Permute(permutation)
        self._start(start[permutation.argsort()].view(members, width))

    def _check(self, members: int, width: int) -> None:
        """Refuse what would take too much memory."""

    def _start(self, loc: Tensor) -> None:
        """Make the parameters, from the locations ``(G, p)``."""
        raise AssertionError(f"{type(self).__name__} must say what its parameters are")

    def get_posterior(self, *args: Any, **kwargs: Any) -> Any:
        """Distribution of the latent vector in Pyro's order, all networks' first site first."""
        blocks = super().get_posterior(*args, **kwargs)
        shape = blocks.batch_shape + blocks.event_shape
        transforms = [ReshapeTransform(shape, torch.Size([self.latent_dim])), self._to_sites]
        return dist.TransformedDistribution(blocks.to_event(1), transforms)

    def _loc_scale(self, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        loc, scale = super()._loc_scale(*args, **kwargs)
        return self._to_sites(loc.flatten()), self._to_sites(scale.flatten())


class NetworksMultivariateNormal(_Blocks, AutoMultivariateNormal):
    """`pyro.infer.autoguide.AutoMultivariateNormal` of each network."""

    def _check(self, members: int, width: int) -> None:
        if members * width**2 > _MAX_COVARIANCE:
            raise SurrogateError(
                f"the covariances of {members} networks with {width} random numbers each are too large "
                f'(more than {_MAX_COVARIANCE} entries): use guide="low_rank" or "normal", or fewer Bayesian layers'
            )

    def _start(self, loc: Tensor) -> None:
        self.loc = Parameter(loc)
        self.scale = PyroParam(torch.full_like(loc, self._init_scale), self.scale_constraint)
        eye = torch.eye(loc.shape[-1], dtype=loc.dtype, device=loc.device)
        self.scale_tril = PyroParam(eye.repeat(len(loc), 1, 1), self.scale_tril_constraint)


class NetworksLowRankMultivariateNormal(_Blocks, AutoLowRankMultivariateNormal):
    """`pyro.infer.autoguide.AutoLowRankMultivariateNormal` of each network; the rank is that of one network."""

    def _start(self, loc: Tensor) -> None:
        rank = min(round(loc.shape[-1] ** 0.5), _RANK) if self.rank is None else min(self.rank, loc.shape[-1])
        self.loc = Parameter(loc)
        self.scale = PyroParam(torch.full_like(loc, 0.5**0.5 * self._init_scale), self.scale_constraint)
        self.cov_factor = Parameter(torch.randn(*loc.shape, rank, dtype=loc.dtype, device=loc.device) * rank**-0.5)


GUIDES: dict[str, Callable[..., Any]] = {
    "normal": AutoNormal,
    "low_rank": NetworksLowRankMultivariateNormal,
    "multivariate": NetworksMultivariateNormal,
}
"""Kind -> the guide: independent normals of all parameters, or a Gaussian of each network."""

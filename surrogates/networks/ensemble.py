"""Many networks of one architecture, evaluated together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.func import grad, vmap

from surrogates.errors import SurrogateError
from surrogates.networks.architecture import Architecture
from surrogates.networks.layers import BIAS, Dense, Layer, Parameters
from surrogates.networks.tangent import DenseTangent, JacobianTangent, Tangent
from surrogates.priors import WeightPrior

_MAX_JACOBIAN = 2**28
"""Entries of an explicit Jacobian, 2 GiB in double precision."""


def run(layers: Sequence[Layer], parameters: Sequence[Parameters], h: Tensor) -> Tensor:
    """Pass `h` through the layers; leading dimensions of parameters and `h` broadcast."""
    for layer, own in zip(layers, parameters, strict=True):
        h = layer(own, h)
    return h


@dataclass(frozen=True)
class NetworkEnsemble:
    """`G` networks of the same architecture."""

    architecture: Architecture
    parameters: tuple[Parameters, ...]
    """Per layer: name -> ``(G, *shape)``."""

    @classmethod
    def draw(
        cls,
        architecture: Architecture,
        members: int,
        *,
        prior: WeightPrior,
        generator: torch.Generator,
        dtype: torch.dtype = torch.float32,
    ) -> NetworkEnsemble:
        """Draw the members from the prior; random numbers come from `generator` (a CPU generator) alone."""
        drawn = []
        for layer in architecture.layers:
            own = {}
            for name, shape in layer.shapes.items():
                sd = prior.bias_sd if name.startswith(BIAS) else prior.weight_sd
                own[name] = sd * torch.randn(members, *shape, generator=generator, dtype=dtype)
            drawn.append(own)
        return cls(architecture, tuple(drawn))

    @property
    def depth(self) -> int:
        """Number of layers, the output layer included."""
        return len(self.parameters)

    @property
    def members(self) -> int:
        """Number of networks `G`."""
        return next(iter(self.parameters[-1].values())).shape[0]

    def map(self, change: Callable[[Tensor], Tensor]) -> NetworkEnsemble:
        """Apply `change` to every parameter ``(G, *shape)``."""
        return replace(self, parameters=tuple({k: change(t) for k, t in own.items()} for own in self.parameters))

    def to(self, like: Tensor) -> NetworkEnsemble:
        """Copy, detached, with the dtype and device of `like`."""
        return self.map(lambda t: t.detach().to(like))

    def select(self, members: Tensor | slice) -> NetworkEnsemble:
        """Return some of the networks."""
        return self.map(lambda t: t[members])

    def tensors(self) -> list[Tensor]:
        """All parameters."""
        return [t for own in self.parameters for t in own.values()]

    def before(self, X: Tensor, layer: int) -> Tensor:
        """Compute the input ``(G, N, ...)`` of a layer at ``X (N, d)``."""
        h = self.architecture.enter(X)
        h = h.expand(self.members, *h.shape)
        return run(self.architecture.layers[:layer], self.parameters[:layer], h)

    def after(self, h: Tensor, layer: int, chosen: Mapping[int, Parameters] | None = None) -> Tensor:
        """Compute the outputs ``(*L, N, heads)`` from the input of a layer.

        Parameters
        ----------
        h
            ``(*L', N, ...)``, broadcasting with the parameters.
        chosen
            Parameters that replace those of some layers. With leading dimensions other than ``(G,)`` they must begin
            with G and `h` must have ones in the places of the others; the ensemble's own are expanded to fit.
        """
        chosen = chosen or {}
        extra = max((t.ndim - 1 - len(shape) for t, shape in self._shaped(chosen)), default=0)

        def wide(t: Tensor) -> Tensor:
            return t.reshape(t.shape[0], *[1] * extra, *t.shape[1:])

        own = [
            chosen[i] if i in chosen else {k: wide(t) for k, t in self.parameters[i].items()}
            for i in range(layer, self.depth)
        ]
        return run(self.architecture.layers[layer:], own, h)

    def _shaped(self, chosen: Mapping[int, Parameters]) -> list[tuple[Tensor, tuple[int, ...]]]:
        shapes = {i: self.architecture.layers[i].shapes for i in chosen}
        return [(t, shapes[i][name]) for i, own in chosen.items() for name, t in own.items()]

    def __call__(self, X: Tensor) -> Tensor:
        """Compute the outputs ``(G, N, heads)`` at ``X (N, d)``."""
        return self.after(self.before(X, 0), 0)

    def tangent(self, X: Tensor, layers: Sequence[int]) -> Tangent:
        """Gradients by the chosen layers' parameters at ``X (*batch, q, d)``, differentiable in X; one head only."""
        if self.architecture.n_outputs != 1:
            raise SurrogateError(f"a tangent kernel needs one head, the network has {self.architecture.n_outputs}")
        batch = X.shape[:-1]
        flat = X.reshape(-1, X.shape[-1])
        # Batch and q are one axis here: one large product per member instead of many tiny ones.
        dense = all(isinstance(layer, Dense) for layer in self.architecture.layers[min(layers) :])
        found = self._dense_tangent(flat, layers) if dense else self._jacobian(flat, layers)
        return found.map(lambda t: t.reshape(self.members, *batch, t.shape[-1]))

    def _dense_tangent(self, X: Tensor, layers: Sequence[int]) -> DenseTangent:
        first = min(layers)
        h = self.before(X, first)
        inputs, gates = [], []
        tail = [layer for layer in self.architecture.layers[first:] if isinstance(layer, Dense)]
        for layer, own in zip(tail, self.parameters[first:], strict=True):
            inputs.append(h * layer.fan_in**-0.5)
            z = layer.affine(own, h)
            h = layer.activate(z)
            gates.append(layer.slope(z))
        slope = gates[-1]
        slopes = [slope]
        for i in range(len(tail) - 1, 0, -1):
            weight = self.parameters[first + i]["weight"]
            slope = torch.bmm(slope, weight.mT * tail[i].fan_in ** -0.5) * gates[i - 1]
            slopes.append(slope)
        slopes.reverse()
        return DenseTangent(tuple(inputs[i - first] for i in layers), tuple(slopes[i - first] for i in layers))

    def _jacobian(self, X: Tensor, layers: Sequence[int]) -> JacobianTangent:
        size = sum(t[0].numel() for i in layers for t in self.parameters[i].values())
        if size * len(X) * self.members > _MAX_JACOBIAN:
            raise SurrogateError(
                f"the tangent kernel of {size} parameters in layers {tuple(layers)} at {len(X)} points of "
                f"{self.members} networks would take more than {8 * _MAX_JACOBIAN / 2**30:g} GiB: choose fewer layers "
                "(dense layers at the end need no such matrix), or a sampling engine"
            )
        first = min(layers)
        chain = self.architecture.layers[first:]

        def output(chosen: dict[int, dict[str, Tensor]], rest: list[dict[str, Tensor]], h: Tensor) -> Tensor:
            own = [chosen.get(first + i, rest[i]) for i in range(len(chain))]
            return run(chain, own, h.unsqueeze(0)).squeeze()

        of_points: Callable[..., Any] = vmap(vmap(grad(output), (None, None, 0)), (0, 0, 0))
        blocks = of_points(
            {i: dict(self.parameters[i]) for i in layers},
            [dict(own) for own in self.parameters[first:]],
            self.before(X, first),
        )
        return JacobianTangent(torch.cat([t.flatten(2) for i in layers for t in blocks[i].values()], -1))

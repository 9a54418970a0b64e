"""What every leapfrog step computes: many copies of the chosen layers and what follows them, and their gradient.

What comes before the first chosen layer is the same in every step and is computed once. A tail of dense layers has its
gradient written out (`DenseTail`); any other is differentiated by torch (`AutogradTail`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

from surrogates.networks import ACTIVATIONS, BIAS, Dense, NetworkEnsemble, Parameters, run


class Tail(Protocol):
    """Layers from the first chosen one up to `stop` (not included), for ``C = G * chains`` copies.

    Their chosen parameters are flat vectors ``(C, P)``. Where the tail stops before the output layer, a last row of
    ones is added to what comes out, so that the output layer is one matrix.
    """

    scale: Tensor
    """``(P,)`` by which parameters are multiplied on their way into the flat vectors."""

    def forward(self, flat: Tensor) -> Tensor:
        """Compute outputs ``(C, heads, n)``, or inputs of the output layer and a row of ones ``(C, fan_in + 1, n)``."""
        ...

    def backward(self, slope: Tensor) -> Tensor:
        """Gradient ``(C, P)`` by the flat vectors of the last `forward`, given that by what it returned."""
        ...

    def pack(self, parameters: dict[int, Parameters]) -> Tensor:
        """Flat vectors ``(*L, P)`` from parameters ``(*L, *shape)`` of the chosen layers."""
        ...

    def unpack(self, flat: Tensor) -> dict[int, Parameters]:
        """Reverse `pack`."""
        ...


def make_tail(
    networks: NetworkEnsemble, layers: tuple[int, ...], X: Tensor, *, chains: int, dtype: torch.dtype, stop: int
) -> Tail:
    """Tail of `layers` and what follows up to `stop`, at ``X (n, d)``, with `chains` copies of each network."""
    dense = all(isinstance(layer, Dense) for layer in networks.architecture.layers[min(layers) : stop])
    return (DenseTail if dense else AutogradTail)(networks, layers, X, chains=chains, dtype=dtype, stop=stop)


class AutogradTail:
    """Any layers."""

    def __init__(
        self,
        networks: NetworkEnsemble,
        layers: tuple[int, ...],
        X: Tensor,
        *,
        chains: int,
        dtype: torch.dtype,
        stop: int,
    ) -> None:
        first = min(layers)
        self._leading = (networks.members, chains)
        self._layers = networks.architecture.layers[first:stop]
        self._h = networks.before(X, first).to(dtype).unsqueeze(1)
        self._fixed = [{k: t.to(dtype).unsqueeze(1) for k, t in own.items()} for own in networks.parameters[first:stop]]
        self._first = first
        self._features = stop < networks.depth
        self._every = networks.architecture.layers
        self._shapes = {i: networks.architecture.layers[i].shapes for i in layers if i < stop}
        self._sizes = [math.prod(shape) for shapes in self._shapes.values() for shape in shapes.values()]
        self.scale = torch.ones(sum(self._sizes), dtype=dtype, device=X.device)

    def forward(self, flat: Tensor) -> Tensor:
        """See `Tail`."""
        with torch.enable_grad():
            self._flat = flat.detach().requires_grad_()
            chosen = self.unpack(self._flat.unflatten(0, self._leading))
            own = [chosen.get(self._first + j, fixed) for j, fixed in enumerate(self._fixed)]
            h = run(self._layers, own, self._h)
            out = h.expand(*self._leading, *h.shape[2:]).flatten(0, 1).mT
            self._out = torch.cat([out, torch.ones_like(out[:, :1])], 1) if self._features else out
        return self._out.detach()

    def backward(self, slope: Tensor) -> Tensor:
        """See `Tail`."""
        if not self._sizes:
            return torch.zeros_like(self._flat)
        (found,) = torch.autograd.grad(self._out, self._flat, slope)
        return found

    def pack(self, parameters: dict[int, Parameters]) -> Tensor:
        """See `Tail`."""
        i, own = next(iter(parameters.items()))
        name, t = next(iter(own.items()))
        leading = t.shape[: t.ndim - len(self._every[i].shapes[name])]
        parts = [self.scale.new_empty(*leading, 0)]
        for i, shapes in self._shapes.items():
            parts += [parameters[i][name].flatten(-len(shape)) for name, shape in shapes.items()]
        return torch.cat(parts, -1)

    def unpack(self, flat: Tensor) -> dict[int, Parameters]:
        """See `Tail`."""
        parts = iter(flat.split(self._sizes, -1))
        return {
            i: {name: next(parts).unflatten(-1, shape) for name, shape in shapes.items()}
            for i, shapes in self._shapes.items()
        }


def _tanh(z: Tensor, out: Tensor, minus_one: Tensor) -> None:
    # tanh(z / 2) by way of the logistic function: in single precision many times faster than torch.tanh, and as exact
    # as the sums that come before it. That z is twice what it should be is seen to by `DenseTail`.
    torch.sigmoid(z, out=out)
    torch.add(minus_one, out, alpha=2, out=out)


def _tanh_backward(slope: Tensor, z: Tensor, h: Tensor) -> Tensor:
    return torch.ops.aten.tanh_backward(slope, h)


def _plain(name: str) -> tuple[Callable[[Tensor, Tensor, Tensor], None], Callable[[Tensor, Tensor, Tensor], Tensor]]:
    activate, derivative = ACTIVATIONS[name]

    def forward(z: Tensor, out: Tensor, minus_one: Tensor) -> None:
        out.copy_(activate(z))

    def backward(slope: Tensor, z: Tensor, h: Tensor) -> Tensor:
        return slope * derivative(z)

    return forward, backward


class DenseTail:
    """Dense layers alone: one batched product a layer forwards, one or two backwards, into buffers that stay.

    Activations are ``(C, width + 1, n)``, the last row holding ones, so that a layer's weights and biases are one
    matrix ``(fan_out, fan_in + 1)``; flat vectors hold it row by row, the weights already divided by ``sqrt(fan_in)``
    and, in a tanh layer, everything multiplied by 2.
    """

    def __init__(
        self,
        networks: NetworkEnsemble,
        layers: tuple[int, ...],
        X: Tensor,
        *,
        chains: int,
        dtype: torch.dtype,
        stop: int,
    ) -> None:
        first = min(layers)
        self._first, self._members = first, networks.members
        copies, n = networks.members * chains, X.shape[0]
        self._layers = [layer for layer in networks.architecture.layers[first:stop] if isinstance(layer, Dense)]
        h = networks.before(X, first).to(dtype)
        self._entry = torch.cat([h.mT, torch.ones_like(h[:, :, :1]).mT], 1).contiguous()
        if not self._layers:
            self._constant = self._entry.repeat_interleave(chains, 0)
        new = self._entry.new_empty
        self._minus_one = self._entry.new_tensor(-1.0)
        self._z = [new(copies, layer.fan_out, n) for layer in self._layers]
        self._h = [new(copies, layer.fan_out + 1, n) for layer in self._layers if layer.activation is not None]
        for t in self._h:
            t[:, -1] = 1.0
        self._below = [new(copies, layer.fan_in, n) for layer in self._layers[1:]]
        self._functions = [
            (_tanh, _tanh_backward) if layer.activation == "tanh" else _plain(layer.activation)
            for layer in self._layers
            if layer.activation is not None
        ]
        self._matrices: list[Tensor] = [new(0)] * len(self._layers)
        self._doubled = [2.0 if layer.activation == "tanh" else 1.0 for layer in self._layers]
        self._ends: dict[int, tuple[int, int]] = {}
        self._gradients: dict[int, Tensor] = {}
        scales, end = [self._entry.new_empty(0)], 0
        for j, layer in enumerate(self._layers):
            row = self._entry.new_full((layer.fan_in + 1,), self._doubled[j] * layer.fan_in**-0.5)
            row[-1] = self._doubled[j]
            if first + j in layers:
                scales.append(row.repeat(layer.fan_out))
                self._ends[j] = (end, end + len(scales[-1]))
                end = self._ends[j][1]
                self._gradients[j] = new(copies, layer.fan_out, layer.fan_in + 1)
            else:
                own = networks.parameters[first + j]
                matrix = torch.cat([own["weight"].mT, own[BIAS].unsqueeze(-1)], -1).to(dtype) * row
                self._matrices[j] = matrix.repeat_interleave(chains, 0)
        self.scale = torch.cat(scales)

    def forward(self, flat: Tensor) -> Tensor:
        """See `Tail`."""
        if not self._layers:
            return self._constant
        for j, layer in enumerate(self._layers):
            z = self._z[j]
            if j in self._ends:
                begin, end = self._ends[j]
                self._matrices[j] = flat[:, begin:end].unflatten(1, (layer.fan_out, layer.fan_in + 1))
            W = self._matrices[j]
            if j == 0:
                # All copies of a network see the same inputs: one product instead of many.
                wide = W.reshape(self._members, -1, layer.fan_in + 1)
                torch.bmm(wide, self._entry, out=z.view(self._members, -1, z.shape[-1]))
            else:
                torch.bmm(W, self._h[j - 1], out=z)
            if layer.activation is not None:
                self._functions[j][0](z, self._h[j][:, :-1], self._minus_one)
        return z if layer.activation is None else self._h[-1]

    def backward(self, slope: Tensor) -> Tensor:
        """See `Tail`."""
        if self._layers and self._layers[-1].activation is not None:
            slope = self._functions[-1][1](slope[:, :-1], self._z[-1], self._h[-1][:, :-1])
        for j in range(len(self._layers) - 1, -1, -1):
            part = 1 / self._doubled[j]
            if j in self._gradients:
                found = self._gradients[j]
                if j == 0:
                    wide = found.view(self._members, -1, found.shape[-1])
                    rows = slope.reshape(self._members, -1, slope.shape[-1])
                    torch.baddbmm(wide, rows, self._entry.mT, beta=0, alpha=part, out=wide)
                else:
                    torch.baddbmm(found, slope, self._h[j - 1].mT, beta=0, alpha=part, out=found)
            if j > 0:
                below, W = self._below[j - 1], self._matrices[j][:, :, :-1]
                torch.baddbmm(below, W.mT, slope, beta=0, alpha=part, out=below)
                slope = self._functions[j - 1][1](below, self._z[j - 1], self._h[j - 1][:, :-1])
        if not self._gradients:
            return slope.new_empty(len(slope), 0)
        return torch.cat([found.flatten(1) for found in self._gradients.values()], 1)

    def pack(self, parameters: dict[int, Parameters]) -> Tensor:
        """See `Tail`."""
        leading = next(iter(parameters.values()))[BIAS].shape[:-1]
        parts = [self._entry.new_empty(*leading, 0)]
        for j in self._ends:
            own = parameters[self._first + j]
            parts.append(torch.cat([own["weight"].mT, own[BIAS].unsqueeze(-1)], -1).flatten(-2))
        return torch.cat(parts, -1) * self.scale

    def unpack(self, flat: Tensor) -> dict[int, Parameters]:
        """See `Tail`."""
        found: dict[int, Parameters] = {}
        for j, (begin, end) in self._ends.items():
            layer = self._layers[j]
            plain = flat[..., begin:end] / self.scale[begin:end].to(flat)
            matrix = plain.unflatten(-1, (layer.fan_out, layer.fan_in + 1))
            found[self._first + j] = {"weight": matrix[..., :-1].mT, BIAS: matrix[..., -1]}
        return found

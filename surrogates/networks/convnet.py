"""One-dimensional convolutional network, for curves: what a peak or a knee looks like matters more than where it is."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from surrogates.errors import SurrogateError
from surrogates.networks.activations import ACTIVATIONS, check_activation
from surrogates.networks.layers import BIAS, Dense, Layer, Parameters

_RISING = ("relu", "softplus", "tanh")
"""Activations that never fall: they commute with taking maxima, and after pooling there is less to do."""


@dataclass(frozen=True)
class Conv1d:
    """Convolution, activation and max-pooling.

    ``(*L, N, channels_in, length)`` becomes ``(*L, N, channels_out, length // pool)``. The ends are padded with zeros,
    so that the convolution keeps the length; points that do not fill a pool are dropped.
    """

    name: str
    channels_in: int
    channels_out: int
    length: int
    """Of the curves that come in."""
    kernel: int = 5
    """Points that one output point sees; odd."""
    pool: int = 2
    activation: str = "relu"
    flatten: bool = False
    """Return ``(*L, N, channels_out * (length // pool))`` instead, as dense layers take it."""

    def __post_init__(self) -> None:
        check_activation(self.activation)
        if min(self.channels_in, self.channels_out, self.pool) < 1 or self.kernel < 1 or self.kernel % 2 == 0:
            raise SurrogateError(
                f"layer {self.name!r} needs at least one channel in and out, pool >= 1 and an odd kernel, got {self}"
            )
        if self.length < self.pool:
            raise SurrogateError(
                f"layer {self.name!r} gets curves of {self.length} points, fewer than the {self.pool} that it pools: "
                "use fewer convolutions, a smaller pool, or longer curves"
            )

    @property
    def fan_in(self) -> int:
        """Values that one output value is computed from."""
        return self.channels_in * self.kernel

    @property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """See `Layer`."""
        return {"weight": (self.channels_out, self.channels_in, self.kernel), BIAS: (self.channels_out,)}

    def __call__(self, parameters: Parameters, h: Tensor) -> Tensor:
        """See `Layer`.

        All networks are one convolution: leading dimensions that parameters and curves share become its groups,
        those of the parameters alone further output channels, those of the curves alone further curves. (Unfolding
        the curves into a matrix product takes two to three times as long, and `kernel` times the memory.)
        """
        weight, bias = parameters["weight"] * self.fan_in**-0.5, parameters[BIAS]
        dims = max(weight.ndim - 3, h.ndim - 3)
        weight, bias, h = _pad(weight, dims + 3), _pad(bias, dims + 1), _pad(h, dims + 3)
        wide = torch.broadcast_shapes(weight.shape[:dims], h.shape[:dims])
        for i in range(dims):
            if h.stride(i) == 0:  # expanded: the same curves for all
                h = h.narrow(i, 0, 1)
        shared = [i for i in range(dims) if h.shape[i] > 1 and weight.shape[i] > 1]
        extra = [i for i in range(dims) if h.shape[i] == 1]
        curves = [i for i in range(dims) if h.shape[i] > 1 and weight.shape[i] == 1]

        n, groups = h.shape[dims], math.prod(h.shape[i] for i in shared)
        order = [*curves, dims, *shared, *extra, dims + 1, dims + 2]
        merged = h.permute(order).reshape(-1, groups * self.channels_in, self.length)
        order = [*shared, *extra, *curves]
        kernels = weight.permute([*order, dims, dims + 1, dims + 2]).reshape(-1, self.channels_in, self.kernel)
        offsets = bias.permute([*order, dims]).reshape(-1)
        z = functional.conv1d(merged, kernels, offsets, padding=self.kernel // 2, groups=groups)
        z = self._activate_and_pool(z)

        sizes = [h.shape[i] for i in curves] + [n] + [weight.shape[i] for i in [*shared, *extra]]
        z = z.reshape(*sizes, self.channels_out, z.shape[-1])
        back = {dim: place for place, dim in enumerate([*curves, dims, *shared, *extra])}
        z = z.permute([*(back[i] for i in range(dims + 1)), dims + 1, dims + 2])
        z = z.expand(*wide, *z.shape[dims:])
        return z.flatten(-2) if self.flatten else z

    def _activate_and_pool(self, z: Tensor) -> Tensor:
        activate = ACTIVATIONS[self.activation][0]
        if self.pool == 1:
            return activate(z)
        if self.activation in _RISING:
            return activate(_max_pool(z, self.pool))
        return _max_pool(activate(z), self.pool)


def _max_pool(z: Tensor, width: int) -> Tensor:
    """Maxima of neighbours along the last dimension; what does not fill a pool is dropped."""
    if z.requires_grad:
        return functional.max_pool1d(z, width)
    # Without a gradient to record, this is ten times as fast.
    end = z.shape[-1] // width * width
    return functools.reduce(torch.maximum, (z[..., i:end:width] for i in range(width)))


def _pad(t: Tensor, ndim: int) -> Tensor:
    """Insert leading dimensions."""
    return t.reshape(*[1] * (ndim - t.ndim), *t.shape) if t.ndim < ndim else t


@dataclass(frozen=True)
class ConvNet1d:
    """Convolutions ``conv0``, ``conv1`` ..., then dense layers ``dense0`` ... and ``output``.

    A point is a curve of `channels_in` channels one after the other: intensities on a fixed grid, then their error
    bars, say.
    """

    n_inputs: int
    """``channels_in`` times the number of points of a curve."""
    n_outputs: int = 1
    channels_in: int = 1
    channels: tuple[int, ...] = (16, 32, 64)
    """Of each convolution's output."""
    kernel: int = 5
    pool: int = 2
    hidden: tuple[int, ...] = (64,)
    """Widths of the dense layers; may be empty."""
    activation: str = "relu"

    def __post_init__(self) -> None:
        object.__setattr__(self, "channels", tuple(self.channels))
        object.__setattr__(self, "hidden", tuple(self.hidden))
        widths = (*self.channels, *self.hidden, self.channels_in, self.n_inputs, self.n_outputs)
        if not self.channels or min(widths) < 1:
            raise SurrogateError(
                f"channels, hidden widths, inputs and outputs of a network must be at least 1, got {self}"
            )
        if self.n_inputs % self.channels_in:
            raise SurrogateError(
                f"a curve of {self.n_inputs} numbers cannot be split into {self.channels_in} channels of the same "
                "length: give all points of the first channel, then all of the next"
            )
        if self.length < self.pool ** len(self.channels):
            raise SurrogateError(
                f"curves of {self.length} points are too short for {len(self.channels)} convolutions that each pool "
                f"{self.pool}: they need at least {self.pool ** len(self.channels)}"
            )
        _ = self.layers

    @property
    def length(self) -> int:
        """Points of a curve."""
        return self.n_inputs // self.channels_in

    @property
    def layers(self) -> tuple[Layer, ...]:
        """See `Architecture`."""
        made: list[Layer] = []
        width, length = self.channels_in, self.length
        for i, channels in enumerate(self.channels):
            last = i == len(self.channels) - 1
            made.append(
                Conv1d(f"conv{i}", width, channels, length, self.kernel, self.pool, self.activation, flatten=last)
            )
            width, length = channels, length // self.pool
        sizes = [width * length, *self.hidden]
        made += [Dense(f"dense{i}", a, b, self.activation) for i, (a, b) in enumerate(itertools.pairwise(sizes))]
        return (*made, Dense("output", sizes[-1], self.n_outputs))

    def enter(self, X: Tensor) -> Tensor:
        """Map the unit cube to [-1, 1], as ``(N, channels_in, length)``."""
        return (2 * X - 1).unflatten(-1, (self.channels_in, self.length))

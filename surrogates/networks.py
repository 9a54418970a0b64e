"""Ensembles of multilayer perceptrons whose members are trained together, and the tangent kernels of their layers.

All members live in batched tensors: member ``g`` of layer ``l`` maps ``h`` to ``act(h @ W[l][g] / sqrt(fan_in) +
b[l][g])``. The ``1 / sqrt(fan_in)`` keeps the function's prior the same whatever the width (Jacot et al., 2018,
arXiv:1806.07572).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor
from torch.nn import functional

from surrogates.errors import SurrogateError
from surrogates.priors import WeightPrior


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


@dataclass(frozen=True)
class Tangent:
    """What the tangent kernel needs of some points.

    Per layer: what went in, and how the network's output depends on what came out.
    """

    inputs: tuple[Tensor, ...]
    """Per chosen layer ``(G, *batch, q, fan_in)``, already divided by ``sqrt(fan_in)``."""
    slopes: tuple[Tensor, ...]
    """Per chosen layer ``(G, *batch, q, fan_out)``: derivative of the network's output by the layer's
    pre-activation."""

    def diagonal(self) -> Tensor:
        """``k(x, x)`` as ``(G, *batch, q)``."""
        terms = [d.square().sum(-1) * (1 + h.square().sum(-1)) for h, d in zip(self.inputs, self.slopes, strict=True)]
        return torch.stack(terms).sum(0)

    def kernel(self, other: Tangent) -> Tensor:
        """``k(x, x')`` as ``(G, *batch, q, q')``; batch dimensions broadcast.

        The gradient by a layer's weights is the outer product of its input and its slope, so that the scalar product of
        two gradients is ``(slope . slope') (1 + input . input')``, the 1 being the bias: no Jacobian is ever formed.
        """
        total: Tensor | None = None
        for h, d, h2, d2 in zip(self.inputs, self.slopes, other.inputs, other.slopes, strict=True):
            term = (d @ d2.mT) * (1 + h @ h2.mT)
            total = term if total is None else total + term
        if total is None:
            raise SurrogateError("a tangent kernel needs at least one layer, got none")
        return total

    def map(self, change: Callable[[Tensor], Tensor]) -> Tangent:
        """Apply `change` to every tensor (to insert batch dimensions, say)."""
        return Tangent(tuple(map(change, self.inputs)), tuple(map(change, self.slopes)))


@dataclass(frozen=True)
class NetworkEnsemble:
    """`G` multilayer perceptrons of the same shape with one output each.

    Inputs come from the unit cube and are mapped to [-1, 1] inside.
    """

    weights: tuple[Tensor, ...]
    """Per layer ``(G, fan_in, fan_out)``."""
    biases: tuple[Tensor, ...]
    """Per layer ``(G, 1, fan_out)``."""
    activation: str

    def __post_init__(self) -> None:
        if self.activation not in ACTIVATIONS:
            raise SurrogateError(
                f"unknown activation {self.activation!r}: choose one of {', '.join(sorted(ACTIVATIONS))}"
            )

    @classmethod
    def draw(
        cls,
        n_inputs: int,
        hidden: Sequence[int],
        members: int,
        *,
        activation: str,
        prior: WeightPrior,
        generator: torch.Generator,
        dtype: torch.dtype = torch.float32,
    ) -> NetworkEnsemble:
        """Draw the members from the prior; random numbers come from `generator` (a CPU generator) alone."""
        sizes = [n_inputs, *hidden, 1]
        pairs = list(pairwise(sizes))
        weights = tuple(
            prior.weight_sd * torch.randn(members, a, b, generator=generator, dtype=dtype) for a, b in pairs
        )
        biases = tuple(prior.bias_sd * torch.randn(members, 1, b, generator=generator, dtype=dtype) for _, b in pairs)
        return cls(weights, biases, activation)

    @property
    def depth(self) -> int:
        """Number of layers, the output layer included."""
        return len(self.weights)

    @property
    def members(self) -> int:
        """Number of networks `G`."""
        return self.weights[0].shape[0]

    def to(self, like: Tensor) -> NetworkEnsemble:
        """Copy with the dtype and device of `like`."""
        return NetworkEnsemble(
            tuple(w.detach().to(like) for w in self.weights),
            tuple(b.detach().to(like) for b in self.biases),
            self.activation,
        )

    def __call__(self, X: Tensor) -> Tensor:
        """Compute the outputs ``(G, n)`` at ``X (n, d)``."""
        act, _ = ACTIVATIONS[self.activation]
        h = (2 * X - 1).expand(self.members, -1, -1)
        for layer, (w, b) in enumerate(zip(self.weights, self.biases, strict=True)):
            h = torch.baddbmm(b, h, w, alpha=w.shape[-2] ** -0.5)
            if layer < self.depth - 1:
                h = act(h)
        return h.squeeze(-1)

    def tangent(self, X: Tensor, layers: Sequence[int]) -> Tangent:
        """Compute inputs and slopes of the chosen layers at ``X (*batch, q, d)``, differentiable in X."""
        act, slope_of = ACTIVATIONS[self.activation]
        batch = X.shape[:-1]
        # Batch and q are one axis here: one large product per member instead of many tiny ones.
        h = (2 * X.reshape(-1, X.shape[-1]) - 1).expand(self.members, -1, -1)
        inputs, gates = [], []
        for layer, (w, b) in enumerate(zip(self.weights, self.biases, strict=True)):
            h = h * w.shape[-2] ** -0.5
            inputs.append(h)
            if layer < self.depth - 1:
                z = torch.baddbmm(b, h, w)
                h = act(z)
                gates.append(slope_of(z))
        slope = torch.ones(*h.shape[:-1], 1, dtype=X.dtype, device=X.device)
        slopes = [slope]
        for layer in range(self.depth - 1, min(layers), -1):
            w = self.weights[layer]
            slope = torch.bmm(slope, w.mT * w.shape[-2] ** -0.5) * gates[layer - 1]
            slopes.append(slope)
        slopes.reverse()
        first = self.depth - len(slopes)

        def shaped(t: Tensor) -> Tensor:
            return t.reshape(self.members, *batch, t.shape[-1])

        return Tangent(
            tuple(shaped(inputs[layer]) for layer in layers),
            tuple(shaped(slopes[layer - first]) for layer in layers),
        )


def train_map(
    ensemble: NetworkEnsemble,
    X: Tensor,
    Y: Tensor,
    *,
    variances: Tensor | None,
    noise_sd: float,
    prior: WeightPrior,
    epochs: int,
    lr: float,
) -> NetworkEnsemble:
    """Train every member to its maximum a posteriori by full-batch Adam, all in one program.

    Parameters
    ----------
    X
        ``(n, d)`` in the unit cube.
    Y
        ``(G, n)`` standardised targets, one row a member.
    variances
        ``(G, n)`` measured variances of the targets, or None.
    noise_sd
        Noise that the likelihood assumes besides `variances`, in standardised units. Larger stops members from
        interpolating noise.
    epochs, lr
        Adam steps, and their size; the size falls to zero over the last third, which does what averaging weights does.

    Returns
    -------
    NetworkEnsemble
        Same dtype as `ensemble`; no random number is drawn.
    """
    with torch.enable_grad():
        weights = tuple(w.detach().clone().requires_grad_() for w in ensemble.weights)
        biases = tuple(b.detach().clone().requires_grad_() for b in ensemble.biases)
        trained = NetworkEnsemble(weights, biases, ensemble.activation)
        X, Y = X.to(weights[0]), Y.to(weights[0])
        precision = 1 / (noise_sd**2 + (torch.zeros_like(Y) if variances is None else variances.to(Y)))
        parameters = [*weights, *biases]
        optimiser = torch.optim.Adam(parameters, lr=lr, fused=True)
        for epoch in range(epochs):
            optimiser.param_groups[0]["lr"] = lr * min(1.0, 3 * (epochs - epoch) / epochs)
            optimiser.zero_grad()
            loss = 0.5 * (precision * (trained(X) - Y).square()).sum()
            loss = loss + 0.5 * torch.stack([w.square().sum() for w in weights]).sum() / prior.map_sd**2
            loss = loss + 0.5 * torch.stack([b.square().sum() for b in biases]).sum() / prior.map_sd**2
            torch.autograd.backward(loss)
            optimiser.step()
    trained = trained.to(weights[0])
    if not all(torch.isfinite(t).all() for t in [*trained.weights, *trained.biases]):
        raise SurrogateError(
            f"training the networks diverged (lr = {lr}, {epochs} epochs): use a smaller learning rate, "
            "and check that the measured variances are not many orders of magnitude apart"
        )
    return trained

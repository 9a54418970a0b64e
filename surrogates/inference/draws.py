"""A posterior as draws: functions of networks whose chosen layers were sampled, by whatever engine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from surrogates.inference.base import Belief, Problem
from surrogates.likelihoods import Likelihood
from surrogates.networks import NetworkEnsemble, Parameters

_CHUNK = 2**25
"""Numbers that one evaluation of all draws may hold for its widest layer, 256 MiB in double precision."""
_REPORT = "report."


@dataclass(frozen=True)
class DrawsPosterior:
    """Equally probable draws of the chosen layers and the scales of each network."""

    networks: NetworkEnsemble
    layers: tuple[int, ...]
    likelihood: Likelihood
    parameters: Mapping[int, Parameters]
    """Layer -> name -> ``(G, chains, draws, *shape)``."""
    noise_sd: Tensor
    """``(G, chains, draws)``."""
    prior_sd: Tensor
    """``(G, chains, draws)``, of the function."""
    report: Mapping[str, float]
    """See `MemberPosterior`."""
    converged: bool
    """See `MemberPosterior`."""

    def __post_init__(self) -> None:
        # In memory as files have them: the order of numbers decides how sums over them are rounded.
        own = {i: {name: t.contiguous() for name, t in layer.items()} for i, layer in self.parameters.items()}
        object.__setattr__(self, "parameters", own)
        object.__setattr__(self, "noise_sd", self.noise_sd.contiguous())
        object.__setattr__(self, "prior_sd", self.prior_sd.contiguous())

    @property
    def noise_variance(self) -> Tensor:
        """See `MemberPosterior`."""
        return self.noise_sd.square().mean((1, 2))

    @property
    def summary(self) -> Mapping[str, Tensor]:
        """See `MemberPosterior`; draws do not know the evidence."""
        return {
            "noise_sd": self.noise_variance.sqrt(),
            "prior_sd": self.prior_sd.square().mean((1, 2)).sqrt(),
        }

    def predictions(self, X: Tensor) -> Tensor:
        """Compute the heads of every draw, ``(G, chains, draws, n, heads)`` at ``X (n, d)``, differentiable in X."""
        if len(X) == 0:
            return X.new_empty(*self.noise_sd.shape, 0, self.networks.architecture.n_outputs)
        first = min(self.layers)
        most = max(1, _CHUNK // (self.noise_sd.numel() * self._width(X[:1])))
        pieces = []
        for piece in X.split(most):
            h = self.networks.before(piece, first)
            pieces.append(self.networks.after(h[:, None, None], first, self.parameters))
        return torch.cat(pieces, -2)

    @torch.no_grad()
    def _width(self, X: Tensor) -> int:
        """Numbers that the widest of the layers to evaluate takes or returns for one draw at one point ``X (1, d)``."""
        first, one = min(self.layers), self.networks.select(slice(0, 1))
        h = one.before(X, first)
        sizes = [h.numel()]
        for layer, own in zip(one.architecture.layers[first:], one.parameters[first:], strict=True):
            h = layer(own, h)
            sizes.append(h.numel())
        return max(sizes)

    def evaluate(self, X: Tensor) -> DrawsBelief:
        """See `MemberPosterior`."""
        heads = self.predictions(X.reshape(-1, X.shape[-1]))
        mean, noise = self.likelihood.moments(heads, self.noise_sd)
        shape = (mean.shape[0], -1, *X.shape[:-1])
        return DrawsBelief(mean.reshape(shape), noise.reshape(shape))

    def state(self) -> dict[str, Tensor]:
        """See `MemberPosterior`."""
        tensors = {f"{layer}.{name}": t for layer, own in self.parameters.items() for name, t in own.items()}
        tensors |= {"noise_sd": self.noise_sd, "prior_sd": self.prior_sd, "converged": torch.tensor(self.converged)}
        return tensors | {f"{_REPORT}{k}": torch.tensor(v, dtype=torch.float64) for k, v in self.report.items()}

    @classmethod
    def restore(cls, problem: Problem, state: Mapping[str, Tensor]) -> Self:
        """Rebuild from `state`; see `Engine.restore`."""
        layers = problem.networks.architecture.layers
        return cls(
            problem.networks,
            problem.layers,
            problem.likelihood,
            {i: {name: state[f"{i}.{name}"] for name in layers[i].shapes} for i in problem.layers},
            state["noise_sd"],
            state["prior_sd"],
            {k.removeprefix(_REPORT): float(v) for k, v in state.items() if k.startswith(_REPORT)},
            bool(state["converged"]),
        )


class DrawsBelief:
    """First two moments over the draws; see `Belief`."""

    def __init__(self, values: Tensor, noise: Tensor) -> None:
        """Take functions and noise variances ``(G, draws, *batch, q)``."""
        self.mean: Tensor = values.mean(1)
        self.noise: Tensor = noise.mean(1)
        self._away = values - self.mean.unsqueeze(1)

    def variance(self) -> Tensor:
        """See `Belief`."""
        return self._away.square().mean(1)

    def covariance(self, other: Belief) -> Tensor:
        """See `Belief`; of a rank no higher than the number of draws."""
        if not isinstance(other, DrawsBelief) or other._away.shape[:2] != self._away.shape[:2]:
            raise TypeError(f"covariance needs two beliefs of the same posterior, got {type(other).__name__}")
        # (G, *batch, q, draws); the batches broadcast from the right.
        left, right = self._away.movedim(1, -1), other._away.movedim(1, -1)
        n = max(left.ndim, right.ndim)
        left, right = (t.reshape(t.shape[0], *[1] * (n - t.ndim), *t.shape[1:]) for t in (left, right))
        return left @ right.mT / left.shape[-1]

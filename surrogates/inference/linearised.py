"""Posterior of the linearised network: a Gaussian process whose kernel is the tangent kernel of the chosen layers.

Each network is replaced by its first-order expansion in the chosen layers at the trained weights, ``f(x) = J(x) θ``,
with a Gaussian prior
of ``θ`` centred at zero. That is exact for the last layer and, for the others, what the Laplace approximation with a
generalised
Gauss-Newton Hessian predicts (Immer et al., 2021, arXiv:2008.08400), but for the mean, which is the linear model's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from surrogates.inference.base import Belief, MemberPosterior, Problem
from surrogates.inference.scales import integrate_scales
from surrogates.networks import NetworkEnsemble, Tangent


@dataclass(frozen=True)
class LinearisedPosterior:
    """Predictions from the training points' coefficients (the dual form)."""

    networks: NetworkEnsemble
    layers: tuple[int, ...]
    X: Tensor
    """``(n, d)`` training points."""
    unit: Tensor
    """``(G,)`` factor that brings the tangent kernel to mean 1 over the reference points."""
    dual: Tensor
    reduction: Tensor
    prior_variance: Tensor
    noise_variance: Tensor
    log_evidence: Tensor
    tangent: Tangent
    """Of the training points ``(G, n, ...)``; derived, not part of the state."""

    @property
    def summary(self) -> Mapping[str, Tensor]:
        """See `MemberPosterior`."""
        return {
            "log_evidence": self.log_evidence,
            "prior_sd": self.prior_variance.sqrt(),
            "noise_sd": self.noise_variance.sqrt(),
        }

    @property
    def weight_sd(self) -> Tensor:
        """``(G,)`` rms prior standard deviation of the chosen layers' weights, in units of ``1 / sqrt(fan_in)``."""
        return (self.prior_variance * self.unit).sqrt()

    def evaluate(self, X: Tensor) -> LinearisedBelief:
        """See `MemberPosterior`."""
        return LinearisedBelief(self, self.networks.tangent(X, self.layers))

    def state(self) -> dict[str, Tensor]:
        """See `MemberPosterior`."""
        names = ("X", "unit", "dual", "reduction", "prior_variance", "noise_variance", "log_evidence")
        return {name: getattr(self, name) for name in names}


class LinearisedBelief:
    """See `Belief`."""

    def __init__(self, posterior: LinearisedPosterior, tangent: Tangent) -> None:
        self._posterior = posterior
        self._tangent = tangent
        batch = tangent.inputs[0].shape[1:-1]
        members, n = posterior.dual.shape
        flat = tangent.map(lambda t: t.reshape(members, -1, t.shape[-1]))
        cross = posterior.unit[:, None, None] * flat.kernel(posterior.tangent)
        reduced = cross @ posterior.reduction
        self.mean: Tensor = (cross @ posterior.dual.unsqueeze(-1)).reshape(members, *batch)
        self._explained = (reduced * cross).sum(-1).reshape(members, *batch)
        self._cross = cross.reshape(members, *batch, n)
        self._reduced = reduced.reshape(members, *batch, n)

    def _scaled(self, t: Tensor) -> Tensor:
        factor = self._posterior.prior_variance * self._posterior.unit
        return factor.view(-1, *[1] * (t.ndim - 1)) * t

    def variance(self) -> Tensor:
        """See `Belief`."""
        return (self._scaled(self._tangent.diagonal()) - self._explained).clamp_min(0.0)

    def covariance(self, other: Belief) -> Tensor:
        """See `Belief`."""
        if not isinstance(other, LinearisedBelief):
            raise TypeError(f"covariance needs two beliefs of the same posterior, got {type(other).__name__}")
        mine, theirs = self._tangent, other._tangent
        left, right = self._reduced, other._cross
        extra = left.ndim - right.ndim
        if extra:
            # The network index comes first, so that missing batch dimensions are inserted right after it.
            def pad(t: Tensor, k: int) -> Tensor:
                return t.reshape(t.shape[0], *[1] * k, *t.shape[1:])

            mine, left = mine.map(lambda t: pad(t, max(-extra, 0))), pad(left, max(-extra, 0))
            theirs, right = theirs.map(lambda t: pad(t, max(extra, 0))), pad(right, max(extra, 0))
        return self._scaled(mine.kernel(theirs)) - left @ right.mT


class LinearisedEngine:
    """Any subset of layers, Gaussian noise; cost ``O(G n³)``."""

    name = "linearised"

    def infer(self, problem: Problem) -> MemberPosterior:
        """See `Engine`."""
        tangent = problem.networks.tangent(problem.X, problem.layers)
        unit = 1 / problem.networks.tangent(problem.reference, problem.layers).diagonal().mean(-1)
        K = unit[:, None, None] * tangent.kernel(tangent)
        moments = integrate_scales(K, problem.targets, problem.variances, problem.prior_sd, problem.noise_sd)
        return LinearisedPosterior(
            problem.networks,
            problem.layers,
            problem.X,
            unit,
            moments.dual,
            moments.reduction,
            moments.prior_variance,
            moments.noise_variance,
            moments.log_evidence,
            tangent,
        )

    def restore(
        self, networks: NetworkEnsemble, layers: tuple[int, ...], state: Mapping[str, Tensor]
    ) -> MemberPosterior:
        """See `Engine`."""
        with torch.no_grad():
            return LinearisedPosterior(networks, layers, **state, tangent=networks.tangent(state["X"], layers))

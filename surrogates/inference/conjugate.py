"""Exact posterior of a Gaussian last layer, in weight space: Bayesian linear regression on the trunk's features.

The same predictions as the linearised engine gives for the last layer, in ``O(G n p²)`` for `p` features: the
cheaper the more points.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from surrogates.errors import SurrogateError
from surrogates.inference.base import Belief, MemberPosterior, Problem
from surrogates.networks import NetworkEnsemble, Tangent


def _features(tangent: Tangent) -> Tensor:
    """Last layer's inputs and a column of ones for the bias, ``(G, ..., p)``."""
    (h,) = tangent.inputs
    return torch.cat([h, torch.ones_like(h[..., :1])], -1)


@dataclass(frozen=True)
class ConjugatePosterior:
    """Mean and covariance of the last layer's weights (bias last), marginal over both scales."""

    networks: NetworkEnsemble
    layers: tuple[int, ...]
    mean: Tensor
    """``(G, p)``."""
    covariance: Tensor
    """``(G, p, p)``."""
    unit: Tensor
    prior_variance: Tensor
    noise_variance: Tensor
    log_evidence: Tensor

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
        """``(G,)`` root mean square prior standard deviation of the weights, in units of ``1 / sqrt(fan_in)``."""
        return (self.prior_variance * self.unit).sqrt()

    def evaluate(self, X: Tensor) -> ConjugateBelief:
        """See `MemberPosterior`."""
        return ConjugateBelief(self, _features(self.networks.tangent(X, self.layers)))

    def state(self) -> dict[str, Tensor]:
        """See `MemberPosterior`."""
        names = ("mean", "covariance", "unit", "prior_variance", "noise_variance", "log_evidence")
        return {name: getattr(self, name) for name in names}


class ConjugateBelief:
    """See `Belief`."""

    def __init__(self, posterior: ConjugatePosterior, features: Tensor) -> None:
        members, p = posterior.mean.shape
        flat = features.reshape(members, -1, p)
        self._features = features
        self._projected = (flat @ posterior.covariance).view_as(features)
        self.mean: Tensor = (flat @ posterior.mean.unsqueeze(-1)).reshape(features.shape[:-1])

    def variance(self) -> Tensor:
        """See `Belief`."""
        return (self._projected * self._features).sum(-1).clamp_min(0.0)

    def covariance(self, other: Belief) -> Tensor:
        """See `Belief`."""
        if not isinstance(other, ConjugateBelief):
            raise TypeError(f"covariance needs two beliefs of the same posterior, got {type(other).__name__}")
        left, right = self._projected, other._features
        n = max(left.ndim, right.ndim)
        left, right = (t.reshape(t.shape[0], *[1] * (n - t.ndim), *t.shape[1:]) for t in (left, right))
        return left @ right.mT


class ConjugateEngine:
    """The last layer alone, Gaussian noise."""

    name = "conjugate"

    def infer(self, problem: Problem) -> MemberPosterior:
        """See `Engine`.

        Raises
        ------
        SurrogateError
            If layers other than the last one are to be inferred.
        """
        networks, y = problem.networks, problem.targets
        if problem.layers != (networks.depth - 1,):
            raise SurrogateError(
                f"the conjugate engine infers the last layer alone ({networks.depth - 1} here), not layers "
                f'{problem.layers}: use inference="linearised" or "auto"'
            )
        unit = 1 / networks.tangent(problem.reference, problem.layers).diagonal().mean(-1)
        features = _features(networks.tangent(problem.X, problem.layers))
        scaled = unit.sqrt()[:, None, None] * features
        s2 = problem.prior_sd.nodes(y).square()
        v = problem.noise_sd.nodes(y).square()
        noise = v[:, None, None] + (torch.zeros_like(y) if problem.variances is None else problem.variances)

        root = noise.rsqrt()  # (V, G, n)
        white = root.unsqueeze(-1) * scaled
        white_y = root * y
        values, vectors = torch.linalg.eigh(white.mT @ white)  # (V, G, p)
        values = values.clamp_min(0.0)
        pull = (vectors.mT @ (white.mT @ white_y.unsqueeze(-1))).squeeze(-1)  # (V, G, p)
        # Rotated weights at each pair of scales: variance `shrunk`, mean `shrunk * pull`, all (S, V, G, p).
        ridge = 1 + s2[:, None, None, None] * values
        shrunk = s2[:, None, None, None] / ridge
        evidence = -0.5 * (
            y.shape[-1] * math.log(2 * math.pi)
            + (noise.log() + white_y.square()).sum(-1)
            + (ridge.log() - shrunk * pull.square()).sum(-1)
        )
        prior = problem.prior_sd.log_density(s2.sqrt()).log_softmax(0)[:, None]
        prior = prior + problem.noise_sd.log_density(v.sqrt()).log_softmax(0)
        evidence = evidence + prior.unsqueeze(-1)
        weight = torch.softmax(evidence.flatten(0, 1), 0).view_as(evidence)  # (S, V, G)

        means = (vectors @ (shrunk * pull).unsqueeze(-1)).squeeze(-1)
        mean = torch.einsum("svg,svgp->gp", weight, means)
        away = means - mean
        within = torch.einsum("svg,svgp->vgp", weight, shrunk)
        covariance = ((vectors * within.unsqueeze(-2)) @ vectors.mT).sum(0)
        covariance = covariance + torch.einsum("svg,svgp,svgr->gpr", weight, away, away)
        root_unit = unit.sqrt()
        return ConjugatePosterior(
            networks,
            problem.layers,
            root_unit[:, None] * mean,
            0.5 * unit[:, None, None] * (covariance + covariance.mT),
            unit,
            torch.einsum("svg,s->g", weight, s2),
            torch.einsum("svg,v->g", weight, v),
            evidence.flatten(0, 1).logsumexp(0),
        )

    def restore(
        self, networks: NetworkEnsemble, layers: tuple[int, ...], state: Mapping[str, Tensor]
    ) -> MemberPosterior:
        """See `Engine`."""
        return ConjugatePosterior(networks, layers, **state)

"""Exact posterior of a Gaussian last layer, in weight space: Bayesian linear regression on the trunk's features.

The same predictions as the linearised engine gives for the last layer, in ``O(G n p²)`` for `p` features: the cheaper
the more points.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from surrogates.errors import SurrogateError
from surrogates.inference.base import Belief, MemberPosterior, Problem, require_gaussian
from surrogates.inference.border import Eigen, Further, border
from surrogates.inference.growth import MOST, extends, first
from surrogates.inference.nodes import Nodes, log_sum
from surrogates.networks import BIAS, DenseTangent, NetworkEnsemble, Tangent


def _features(tangent: Tangent) -> Tensor:
    """Last layer's inputs and a column of ones for the bias, ``(G, ..., p)``."""
    assert isinstance(tangent, DenseTangent)  # noqa: S101 - the last layer is dense
    (h,) = tangent.inputs
    return torch.cat([h, torch.ones_like(h[..., :1])], -1)


@dataclass(frozen=True)
class Decomposed:
    """What updates start from: the last problem whose features' scatter was decomposed."""

    problem: Problem
    unit: Tensor
    """``(G,)`` prior variance of the weights that makes that of the function 1 on average over the reference points."""
    nodes: Nodes
    networks: tuple[Eigen, ...]


@dataclass(frozen=True)
class ConjugatePosterior:
    """Mean and covariance of the last layer's weights (bias last), marginal over both scales."""

    problem: Problem
    mean: Tensor
    """``(G, p)``."""
    covariance: Tensor
    """``(G, p, p)``."""
    unit: Tensor
    """``(G,)``, see `Decomposed`."""
    prior_variance: Tensor
    noise_variance: Tensor
    log_evidence: Tensor
    decomposed_size: Tensor
    """Number of points whose scatter was decomposed, the first ones; others border it."""
    decomposed: Decomposed | None
    """Not part of the state: the next update of a restored posterior computes it."""

    @property
    def summary(self) -> Mapping[str, Tensor]:
        """See `MemberPosterior`."""
        return {
            "log_evidence": self.log_evidence,
            "prior_sd": self.prior_variance.sqrt(),
            "noise_sd": self.noise_variance.sqrt(),
        }

    @property
    def report(self) -> Mapping[str, float]:
        """See `MemberPosterior`."""
        return {}

    @property
    def converged(self) -> bool:
        """See `MemberPosterior`."""
        return True

    @property
    def weight_sd(self) -> Tensor:
        """``(G,)`` root mean square prior standard deviation of the weights, in units of ``1 / sqrt(fan_in)``."""
        return (self.prior_variance * self.unit).sqrt()

    def evaluate(self, X: Tensor) -> ConjugateBelief:
        """See `MemberPosterior`."""
        return ConjugateBelief(self, _features(self.problem.networks.tangent(X, self.problem.layers)))

    def state(self) -> dict[str, Tensor]:
        """See `MemberPosterior`."""
        return {name: getattr(self, name) for name in _STATE}


_STATE = ("mean", "covariance", "unit", "prior_variance", "noise_variance", "log_evidence", "decomposed_size")


class ConjugateBelief:
    """See `Belief`."""

    def __init__(self, posterior: ConjugatePosterior, features: Tensor) -> None:
        members, p = posterior.mean.shape
        self.noise: Tensor = posterior.noise_variance.view(-1, *[1] * (features.ndim - 2))
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
    """The last layer alone, Gaussian noise; an update is one of `k` ranks."""

    name = "conjugate"

    def infer(self, problem: Problem) -> MemberPosterior:
        """See `Engine`.

        Raises
        ------
        SurrogateError
            If layers other than the last one are to be inferred.
        """
        require_gaussian(problem, self.name)
        depth = problem.networks.depth
        if problem.layers != (depth - 1,):
            raise SurrogateError(
                f"the conjugate engine infers the last layer alone ({depth - 1} here), not layers "
                f'{problem.layers}: use inference="linearised" or "auto"'
            )
        return _posterior(problem, _decomposed(problem))

    def update(self, posterior: MemberPosterior, problem: Problem) -> MemberPosterior:
        """See `Engine`."""
        if not isinstance(posterior, ConjugatePosterior) or not extends(problem, posterior.problem):
            return self.infer(problem)
        n = int(posterior.decomposed_size)
        if len(problem.X) - n > MOST:
            return self.infer(problem)
        start = posterior.decomposed
        if start is None:
            start = _decomposed(first(problem, n))
        try:
            return _posterior(problem, start)
        except SurrogateError:
            return self.infer(problem)

    def restore(self, problem: Problem, state: Mapping[str, Tensor]) -> MemberPosterior:
        """See `Engine`."""
        return ConjugatePosterior(problem, **{name: state[name] for name in _STATE}, decomposed=None)


def _data(problem: Problem, unit: Tensor, points: slice) -> tuple[Tensor, Tensor, Sequence[Tensor | None]]:
    """Features at prior variance 1, what the targets differ by from the prior mean, and measured variances."""
    features = _features(problem.networks.tangent(problem.X[points], problem.layers))
    targets = problem.targets[:, points]
    if problem.centre is not None:
        targets = targets - (features @ _prior_mean(problem, problem.centre).unsqueeze(-1)).squeeze(-1)
    measured = [None] * len(targets) if problem.variances is None else list(problem.variances[:, points])
    return unit.sqrt()[:, None, None] * features, targets, measured


def _prior_mean(problem: Problem, centre: NetworkEnsemble) -> Tensor:
    """``(G, p)``."""
    (layer,) = problem.layers
    own = centre.parameters[layer]
    return torch.cat([own["weight"].squeeze(-1), own[BIAS]], -1)


def _decomposed(problem: Problem) -> Decomposed:
    reference = problem.networks.tangent(problem.reference, problem.layers)
    unit = 1 / reference.diagonal().mean(-1)
    shared = problem.variances is None
    levels = problem.noise_sd.nodes(problem.targets).square()
    nodes = Nodes.of(problem.prior_sd, problem.noise_sd, levels, shared=shared)
    features, targets, measured = _data(problem, unit, slice(None))
    networks = [_eigen(nodes, *own) for own in zip(features, targets, measured, strict=True)]
    return Decomposed(problem, unit, nodes, tuple(networks))


def _eigen(nodes: Nodes, features: Tensor, y: Tensor, variances: Tensor | None) -> Eigen:
    """Of one network's features ``(n, p)``: of their scatter as it is, or whitened at each noise level."""
    total = torch.ones_like(y).unsqueeze(0) if variances is None else variances + nodes.noise[:, :1]
    precision = total.reciprocal()  # (L, n)
    weighted = precision.unsqueeze(-1) * features
    values, vectors = torch.linalg.eigh(weighted.mT @ features)
    values = values.clamp_min(0.0)
    targets = ((y @ weighted).unsqueeze(-2) @ vectors).squeeze(-2)
    shifted = nodes.prior[..., None] * values.unsqueeze(-2) + nodes.level[..., None]
    log_det = log_sum(shifted) + total.log().sum(-1, keepdim=True)
    log_det = log_det + (len(y) - features.shape[-1]) * nodes.level.log()
    explained = nodes.prior * (shifted.reciprocal() @ targets.square().unsqueeze(-1)).squeeze(-1)
    fit = ((precision @ y.square()).unsqueeze(-1) - explained) / nodes.level
    evidence = -0.5 * (log_det + fit + len(y) * math.log(2 * math.pi))
    return Eigen(vectors, values, targets, evidence)


def _posterior(problem: Problem, start: Decomposed) -> ConjugatePosterior:
    """Posterior given the points decomposed and those behind them."""
    n = len(start.problem.X)
    further = [Further.none(eigen) for eigen in start.networks]
    if n < len(problem.X):
        features, targets, measured = _data(problem, start.unit, slice(n, None))
        corner = features.new_zeros(features.shape[1], features.shape[1])
        further = [Further(f.mT, corner, y, v) for f, y, v in zip(features, targets, measured, strict=True)]
    found = [_moments(start.nodes, *own) for own in zip(start.networks, further, strict=True)]
    mean, covariance, prior_variance, noise_variance, evidence = (torch.stack(t) for t in zip(*found, strict=True))
    mean = start.unit.sqrt()[:, None] * mean
    if problem.centre is not None:
        mean = mean + _prior_mean(problem, problem.centre)
    return ConjugatePosterior(
        problem,
        mean,
        start.unit[:, None, None] * covariance,
        start.unit,
        prior_variance,
        noise_variance,
        evidence,
        torch.tensor(n),
        start,
    )


def _moments(nodes: Nodes, eigen: Eigen, further: Further) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Mean and covariance of one network's weights, moments of its scales and its evidence."""
    at = border(nodes, eigen, nodes.level, further)
    mean = at.weight @ at.solutions
    away = at.weight.sqrt()[:, None] * (at.solutions - mean)
    covariance = at.inverse - at.edge.mT @ at.edge + away.mT @ away
    covariance = 0.5 * (covariance + covariance.mT)
    return mean, covariance, at.weights.prior_variance, at.weights.noise_variance, at.weights.log_evidence

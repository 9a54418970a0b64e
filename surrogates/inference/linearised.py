"""Posterior of the linearised network: a Gaussian process whose kernel is the tangent kernel of the chosen layers.

Each network is replaced by its first-order expansion in the chosen layers at the trained weights, ``f(x) = J(x) θ``,
with a Gaussian prior of ``θ`` centred at zero; or by ``m(x) + J(x) θ`` where the problem has a `centre`, the network
``m``. That is exact for the last layer and, for the others, what the Laplace approximation with a generalised
Gauss-Newton Hessian predicts (Immer et al., 2021, arXiv:2008.08400), but for the mean, which is the linear model's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from surrogates.errors import SurrogateError
from surrogates.inference.base import Belief, MemberPosterior, Problem, require_gaussian
from surrogates.inference.border import Further
from surrogates.inference.growth import extends, first, worthwhile
from surrogates.inference.scales import Decomposition, decompose, integrate, noise_levels
from surrogates.networks import Tangent


@dataclass(frozen=True)
class Decomposed:
    """What updates start from: the last problem that was decomposed. In memory `L` times the size of its kernel."""

    problem: Problem
    tangent: Tangent
    unit: Tensor
    """``(G,)`` factor that brings the tangent kernel to mean 1 over the reference points."""
    levels: Tensor
    """Noise variances."""
    parts: Decomposition


@dataclass(frozen=True)
class LinearisedPosterior:
    """Predictions from the training points' coefficients (the dual form)."""

    problem: Problem
    unit: Tensor
    """``(G,)``, see `Decomposed`."""
    dual: Tensor
    reduction: Tensor
    prior_variance: Tensor
    noise_variance: Tensor
    log_evidence: Tensor
    decomposed_size: Tensor
    """Number of points that were decomposed, the first ones; others border them."""
    levels: Tensor
    """Noise variances at which they were."""
    tangent: Tangent
    """Of the training points ``(G, n, ...)``; derived, not part of the state."""
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
        """``(G,)`` rms prior standard deviation of the chosen layers' weights, in units of ``1 / sqrt(fan_in)``."""
        return (self.prior_variance * self.unit).sqrt()

    def evaluate(self, X: Tensor) -> LinearisedBelief:
        """See `MemberPosterior`."""
        return LinearisedBelief(self, X)

    def state(self) -> dict[str, Tensor]:
        """See `MemberPosterior`."""
        return {name: getattr(self, name) for name in _STATE}


_STATE = (
    "unit",
    "dual",
    "reduction",
    "prior_variance",
    "noise_variance",
    "log_evidence",
    "decomposed_size",
    "levels",
)


class LinearisedBelief:
    """See `Belief`."""

    def __init__(self, posterior: LinearisedPosterior, X: Tensor) -> None:
        problem = posterior.problem
        tangent = problem.tangent(X)
        self._posterior = posterior
        self._tangent = tangent
        batch = tangent.batch_shape
        members, n = posterior.dual.shape
        self.noise: Tensor = posterior.noise_variance.view(-1, *[1] * len(batch))
        flat = tangent.map(lambda t: t.reshape(members, -1, t.shape[-1]))
        cross = posterior.unit[:, None, None] * flat.kernel(posterior.tangent)
        reduced = cross @ posterior.reduction
        mean = (cross @ posterior.dual.unsqueeze(-1)).reshape(members, *batch)
        self.mean: Tensor = mean + problem.prior_mean(X) if problem.has_mean else mean
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
    """Any subset of layers, Gaussian noise; cost ``O(G n³)``.

    An update borders the last decomposition, exactly, as long as the points since are few (`worthwhile`). With
    measured variances the noise levels stay those that the last decomposition was made at; they are chosen again at the
    next.
    """

    name = "linearised"

    def infer(self, problem: Problem) -> MemberPosterior:
        """See `Engine`."""
        require_gaussian(problem, self.name)
        return _posterior(problem, _decomposed(problem, None))

    def update(self, posterior: MemberPosterior, problem: Problem) -> MemberPosterior:
        """See `Engine`."""
        if not isinstance(posterior, LinearisedPosterior) or not extends(problem, posterior.problem):
            return self.infer(problem)
        n = int(posterior.decomposed_size)
        if not worthwhile(n, len(problem.X) - n, shared=problem.variances is None):
            return self.infer(problem)
        start = posterior.decomposed
        if start is None:
            start = _decomposed(first(problem, n), posterior.levels)
        try:
            return _posterior(problem, start)
        except SurrogateError:
            return self.infer(problem)

    def restore(self, problem: Problem, state: Mapping[str, Tensor]) -> MemberPosterior:
        """See `Engine`."""
        n = int(state["decomposed_size"])
        with torch.no_grad():
            # In the same pieces as when it was inferred: bit by bit the same.
            tangent = problem.tangent(problem.X[:n])
            tangent, _ = _with_further(problem, tangent, n)
        return LinearisedPosterior(problem, **{k: state[k] for k in _STATE}, tangent=tangent, decomposed=None)


def _with_further(problem: Problem, tangent: Tangent, n: int) -> tuple[Tangent, Tangent | None]:
    """Tangent of all points and that of those beyond the first `n`, of which it is given."""
    if n == len(problem.X):
        return tangent, None
    further = problem.tangent(problem.X[n:])
    tensors: list[Tensor] = []

    def collect(t: Tensor) -> Tensor:
        tensors.append(t)
        return t

    further.map(collect)
    behind = iter(tensors)
    return tangent.map(lambda t: torch.cat([t, next(behind)], -2)), further


def _network(tangent: Tangent, g: int) -> Tangent:
    return tangent.map(lambda t: t[g : g + 1])


def _decomposed(problem: Problem, levels: Tensor | None) -> Decomposed:
    """Decompose at given noise levels, or at those of the problem."""
    tangent = problem.tangent(problem.X)
    at_reference = tangent
    if not torch.equal(problem.reference, problem.X):
        at_reference = problem.tangent(problem.reference)
    unit = 1 / at_reference.diagonal().mean(-1)
    # One network at a time: what passes through stays in the cache, which is three times faster.
    K = torch.cat([_network(tangent, g).kernel(_network(tangent, g)) for g in range(len(problem.targets))])
    K *= unit[:, None, None]
    targets = problem.targets - problem.prior_mean(problem.X)
    scales = (problem.prior_sd, problem.noise_sd)
    if levels is None:
        levels = noise_levels(K, targets, problem.variances, *scales)
    parts = decompose(K, targets, problem.variances, *scales, levels)
    return Decomposed(problem, tangent, unit, levels, parts)


def _posterior(problem: Problem, start: Decomposed) -> LinearisedPosterior:
    """Posterior given the points decomposed and those behind them."""
    n = len(start.problem.X)
    tangent, new = _with_further(problem, start.tangent, n)
    further = None
    if new is not None:
        unit = start.unit[:, None, None]
        cross, corner = unit * start.tangent.kernel(new), unit * new.kernel(new)
        targets = problem.targets[:, n:] - problem.prior_mean(problem.X[n:])
        measured = [None] * len(targets) if problem.variances is None else problem.variances[:, n:]
        further = [Further(*own) for own in zip(cross, corner, targets, measured, strict=True)]
    moments = integrate(start.parts, further)
    return LinearisedPosterior(
        problem,
        start.unit,
        moments.dual,
        moments.reduction,
        moments.prior_variance,
        moments.noise_variance,
        moments.log_evidence,
        torch.tensor(n),
        start.levels,
        tangent,
        start,
    )

"""Conditioning any engine's beliefs on further points at the scales already inferred: Gaussian algebra, in batches.

Fantasies need thousands of such updates, each of one or a few points; this is a Cholesky factor of that few. It is
exact for a Gaussian posterior with fixed scales. With scales integrated over a grid it keeps their posterior, as every
BoTorch model keeps its hyper-parameters in a fantasy, and of draws it keeps the first two moments; `PBNN.update` infers
all of it anew.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from linear_operator.utils.cholesky import psd_safe_cholesky
from torch import Tensor

from surrogates.errors import SurrogateError
from surrogates.inference.base import Belief, MemberPosterior


def align(t: Tensor, batch_ndim: int, event_ndim: int) -> Tensor:
    """Insert batch dimensions after the leading network dimension until there are `batch_ndim`."""
    missing = batch_ndim - (t.ndim - 1 - event_ndim)
    return t.reshape(t.shape[0], *[1] * max(missing, 0), *t.shape[1:])


class ConditionedPosterior:
    """A posterior given further values `Y (G, *batch, q)` at `X (*batch', q, d)`, with measured variances like `Y`.

    The model's own noise is added to the variances. The batch of Y may have more dimensions than that of X
    (fantasies); predictions take the batch of Y.
    """

    def __init__(self, base: MemberPosterior, X: Tensor, Y: Tensor, variances: Tensor) -> None:
        self.base = base
        self._given = base.evaluate(X)
        covariance = self._given.covariance(self._given)
        n_batch = max(Y.ndim - 2, covariance.ndim - 3)
        noise = align(variances, n_batch, 1) + align(self._given.noise.expand(self._given.mean.shape), n_batch, 1)
        total = align(covariance, n_batch, 2) + torch.diag_embed(noise)
        residual = align(Y, n_batch, 1) - align(self._given.mean, n_batch, 1)
        self._factor = psd_safe_cholesky(total)
        batch = torch.broadcast_shapes(total.shape[:-1], residual.shape)
        self._solution = torch.cholesky_solve(
            residual.expand(batch).unsqueeze(-1), self._factor.expand(*batch, batch[-1])
        ).squeeze(-1)

    @property
    def noise_variance(self) -> Tensor:
        """See `MemberPosterior`."""
        return self.base.noise_variance

    @property
    def summary(self) -> Mapping[str, Tensor]:
        """See `MemberPosterior`; of the model before conditioning."""
        return self.base.summary

    @property
    def report(self) -> Mapping[str, float]:
        """See `MemberPosterior`; of the model before conditioning."""
        return self.base.report

    @property
    def converged(self) -> bool:
        """See `MemberPosterior`; of the model before conditioning."""
        return self.base.converged

    def evaluate(self, X: Tensor) -> ConditionedBelief:
        """See `MemberPosterior`."""
        return ConditionedBelief(self, self.base.evaluate(X))

    def state(self) -> dict[str, Tensor]:
        """Refuse: a fantasy is a thought, not a result."""
        raise SurrogateError("a model conditioned on fantasies cannot be saved: save the model, or use update()")


class ConditionedBelief:
    """See `Belief`."""

    def __init__(self, posterior: ConditionedPosterior, prior: Belief) -> None:
        self._prior = prior
        given, factor, solution = posterior._given, posterior._factor, posterior._solution
        cross = prior.covariance(given)
        n_batch = max(cross.ndim, solution.ndim + 1) - 3
        cross, factor = align(cross, n_batch, 2), align(factor, n_batch, 2)
        step = cross @ align(solution, n_batch, 1).unsqueeze(-1)
        self.mean: Tensor = align(prior.mean, n_batch, 1) + step.squeeze(-1)
        self._root = torch.linalg.solve_triangular(factor, cross.mT, upper=False).mT
        self._n_batch = n_batch

    @property
    def noise(self) -> Tensor:
        """See `Belief`."""
        return align(self._prior.noise.expand(self._prior.mean.shape), self._n_batch, 1)

    def variance(self) -> Tensor:
        """See `Belief`."""
        prior = align(self._prior.variance(), self._n_batch, 1)
        variance: Tensor = (prior - self._root.square().sum(-1)).clamp_min(0.0)
        return variance.expand(self.mean.shape)

    def covariance(self, other: Belief) -> Tensor:
        """See `Belief`."""
        if not isinstance(other, ConditionedBelief):
            raise TypeError(f"covariance needs two beliefs of the same posterior, got {type(other).__name__}")
        prior = self._prior.covariance(other._prior)
        n_batch = max(self._n_batch, other._n_batch, prior.ndim - 3)
        return align(prior, n_batch, 2) - align(self._root, n_batch, 2) @ align(other._root, n_batch, 2).mT

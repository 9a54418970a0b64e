"""From beliefs of many networks to one BoTorch posterior.

A mixture of Gaussians over the members is replaced by the Gaussian with the same mean and covariance: the weighted mean
of means, and of covariances, plus the covariance of means.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from gpytorch.distributions import MultitaskMultivariateNormal, MultivariateNormal
from linear_operator import to_linear_operator
from linear_operator.operators import DiagLinearOperator, LinearOperator
from torch import Tensor

from surrogates.inference.base import Belief

_DENSE = 24
"""Up to so many points the joint covariance is formed at once; beyond, when somebody asks for more than its
diagonal."""

_JITTER, _JITTER_SINGLE = 1e-8, 1e-5
"""Added to the variances, in standardised units: few features make the covariance of many points singular."""


def _per_output(t: Tensor, weights: Tensor) -> Tensor:
    """Average ``(G, *batch, ...)`` over members to ``(m, *batch, ...)``; weights ``(m, E)`` sum to 1 over members."""
    t = t.unflatten(0, tuple(weights.shape))
    return (weights.view(*weights.shape, *[1] * (t.ndim - 2)) * t).sum(1)


def mixture_mean(belief: Belief, weights: Tensor) -> Tensor:
    """``(*batch, m, q)``."""
    return _per_output(belief.mean, weights).movedim(0, -2)


def mixture_noise(belief: Belief, weights: Tensor) -> Tensor:
    """``(*batch, m, q)`` expected variance of the model's own noise."""
    return _per_output(belief.noise.expand(belief.mean.shape), weights).movedim(0, -2)


def _away(belief: Belief, weights: Tensor) -> Tensor:
    """Members' means less their average, ``(m, E, *batch, q)``."""
    return belief.mean.unflatten(0, tuple(weights.shape)) - _per_output(belief.mean, weights).unsqueeze(1)


def mixture_variance(belief: Belief, weights: Tensor) -> Tensor:
    """``(*batch, m, q)``."""
    spread = _away(belief, weights).square().flatten(0, 1)
    return _per_output(belief.variance() + spread, weights).movedim(0, -2)


def mixture_covariance(left: Belief, right: Belief, weights: Tensor) -> Tensor:
    """``(*batch, m, q, q')``."""
    covariance = _per_output(left.covariance(right), weights).movedim(0, -3)

    def spread(belief: Belief) -> Tensor:
        return _away(belief, weights).movedim((0, 1), (-3, -2))  # (*batch, m, E, q)

    a, b = spread(left), spread(right)
    return covariance + (weights.unsqueeze(-1) * a).mT @ b


def mixture_moments(left: Belief, right: Belief, weights: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mean and variance ``(m, q)`` at the points of one belief, and covariance ``(m, q, q')`` with those of another."""
    mean, variance = mixture_mean(left, weights), mixture_variance(left, weights)
    return mean, variance + _JITTER, mixture_covariance(left, right, weights)


class LazyCovariance(LinearOperator):
    """A covariance of which only the variances are known until somebody asks for more.

    Maps and integrated variances need the variances of thousands of points; their joint covariance would not fit.
    """

    def __init__(self, variance: Tensor, dense: Callable[[], Tensor]) -> None:
        super().__init__(variance, dense=dense)
        self._variance = variance
        self._dense = dense
        self._evaluated: LinearOperator | None = None

    def evaluate(self) -> LinearOperator:
        """Form the matrix, once."""
        if self._evaluated is None:
            self._evaluated = to_linear_operator(self._dense())
        return self._evaluated

    def _size(self) -> torch.Size:
        return torch.Size([*self._variance.shape, self._variance.shape[-1]])

    def _diagonal(self) -> Tensor:
        return self._variance

    def _transpose_nonbatch(self) -> LinearOperator:
        return self

    def _matmul(self, rhs: Tensor) -> Tensor:
        return self.evaluate()._matmul(rhs)

    def _getitem(self, row_index: Any, col_index: Any, *batch_indices: Any) -> Any:
        return self.evaluate()._getitem(row_index, col_index, *batch_indices)

    def _expand_batch(self, batch_shape: torch.Size) -> LinearOperator:
        return self.evaluate()._expand_batch(batch_shape)

    def _unsqueeze_batch(self, dim: int) -> LinearOperator:
        return self.evaluate()._unsqueeze_batch(dim)

    def representation(self) -> tuple[Tensor, ...]:
        """Of the matrix formed."""
        return self.evaluate().representation()

    def representation_tree(self) -> Any:
        """Of the matrix formed."""
        return self.evaluate().representation_tree()

    def to_dense(self) -> Tensor:
        """Form the matrix."""
        return self.evaluate().to_dense()


def mixture_distribution(
    belief: Belief,
    weights: Tensor,
    outputs: list[int],
    *,
    shift: Tensor,
    scale: Tensor,
    noise: Tensor | None,
    dtype: torch.dtype,
) -> MultivariateNormal:
    """Joint distribution of the selected outputs at the belief's points.

    Parameters
    ----------
    belief
        Of all ``G = m * members`` networks, in standardised units.
    weights
        ``(m, members)`` of the mixture, summing to 1 over members.
    shift, scale
        ``(m,)`` what undoes the standardisation, of the selected outputs.
    noise
        ``(*batch, m, q)`` variances to add, in original units (broadcast), of the selected outputs; or None.
    """
    mean = shift.unsqueeze(-1) + scale.unsqueeze(-1) * mixture_mean(belief, weights)[..., outputs, :]
    single = len(outputs) == 1
    jitter = _JITTER if dtype == torch.float64 else _JITTER_SINGLE

    def joint() -> Tensor:
        full = mixture_covariance(belief, belief, weights)[..., outputs, :, :]
        full = 0.5 * (full + full.mT) + jitter * torch.eye(full.shape[-1], dtype=full.dtype, device=full.device)
        full = (scale.square()[:, None, None] * full).to(dtype)
        return full.squeeze(-3) if single else full

    covariance: LinearOperator
    if mean.shape[-1] <= _DENSE:
        covariance = to_linear_operator(joint())
    else:
        variance = scale.square()[:, None] * (jitter + mixture_variance(belief, weights)[..., outputs, :])
        covariance = LazyCovariance((variance.squeeze(-2) if single else variance).to(dtype), joint)
    if noise is not None:
        noise = noise.expand(mean.shape).to(dtype)
        covariance = covariance + DiagLinearOperator(noise.squeeze(-2) if single else noise)
    mean = mean.to(dtype)
    if single:
        return MultivariateNormal(mean.squeeze(-2), covariance)
    return MultitaskMultivariateNormal.from_batch_mvn(MultivariateNormal(mean, covariance), task_dim=-1)

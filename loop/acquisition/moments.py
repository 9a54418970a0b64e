"""Mean, variance and covariance of any BoTorch posterior: Gaussian, mixture over an ensemble, or samples only.

The acquisition functions of this package read posteriors through these functions alone, so that they work with every
surrogate. For a mixture the law of total (co)variance counts the members' disagreement in.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Protocol, runtime_checkable

import torch
from botorch.acquisition.objective import PosteriorTransform
from botorch.models.model import Model
from botorch.posteriors import Posterior
from botorch.sampling.get_sampler import get_sampler
from torch import Tensor

_SAMPLES = 512
"""Draws taken of a posterior that offers nothing but samples."""


def moments(
    model: Model, X: Tensor, *, transform: PosteriorTransform | None = None, noise: bool = False
) -> tuple[Tensor, Tensor]:
    """Posterior mean and variance of each point by itself.

    Parameters
    ----------
    X
        ``(..., q, d)`` in the unit cube.
    transform
        `AcquisitionContext.posterior_transform`.
    noise
        Add the model's own noise: the variance of a measured value.

    Returns
    -------
    mean, variance
        Each ``(..., q, m)``, with m = 1 after a transform.
    """
    posterior = model.posterior(X, observation_noise=noise, posterior_transform=transform)
    if not hasattr(posterior, "distribution"):
        samples = _samples(posterior, X)
        return samples.mean(dim=0), samples.var(dim=0)
    mean, variance = posterior.mean, posterior.variance
    if mean.dim() > X.dim():
        # A mixture: the members lie in the dimension before (q, m).
        variance = variance.mean(dim=-3) + mean.var(dim=-3, correction=0)
        mean = mean.mean(dim=-3)
    return mean, variance


def joint(model: Model, X: Tensor, *, transform: PosteriorTransform | None = None) -> tuple[Tensor, Tensor]:
    """Posterior mean and covariance between the points of one q-batch, for a single output.

    Returns
    -------
    mean, covariance
        ``(..., q)`` and ``(..., q, q)``.
    """
    posterior = model.posterior(X, posterior_transform=transform)
    if not hasattr(posterior, "distribution"):
        samples = _samples(posterior, X).squeeze(-1)
        mean = samples.mean(dim=0)
        centred = (samples - mean) / (len(samples) - 1) ** 0.5
        return mean, torch.einsum("s...i,s...j->...ij", centred, centred)
    mean = posterior.mean.squeeze(-1)
    covariance = posterior.distribution.covariance_matrix
    if posterior.mean.dim() > X.dim():
        members = mean
        mean = members.mean(dim=-2)
        centred = members - mean.unsqueeze(-2)
        covariance = covariance.mean(dim=-3) + centred.transpose(-1, -2) @ centred / members.shape[-2]
    return mean, covariance


@runtime_checkable
class HasCovarianceWith(Protocol):
    """A model that gives covariances with fixed points without forming the joint covariance of everything.

    Optional, and only a matter of speed: BoTorch's models have no such method.
    """

    def covariance_with(self, Z: Tensor, *, output: int = 0) -> Callable[[Tensor], tuple[Tensor, Tensor, Tensor]]:
        """Prepare for fixed points ``(k, d)`` a function of ``(n, d)`` points.

        It returns an output's mean ``(n,)``, its variance ``(n,)`` without noise and its covariance ``(n, k)``,
        differentiable.
        """
        ...


class Cross:
    """Posterior moments of the objective at any points, and its covariance with fixed others.

    Parameters
    ----------
    model
        Whatever can be prepared for the fixed points is prepared once.
    Z
        ``(k, d)`` fixed points.
    transform
        It may turn the objective's sign, nothing else: `AcquisitionContext.posterior_transform` does no more.
    """

    def __init__(self, model: Model, Z: Tensor, *, transform: PosteriorTransform | None = None) -> None:
        self._model, self._Z, self._transform = model, Z, transform
        self._prepared = model.covariance_with(Z) if isinstance(model, HasCovarianceWith) else None
        self._sign = 1.0
        if transform is not None:
            first = torch.eye(1, model.num_outputs, dtype=Z.dtype, device=Z.device)
            self._sign = float(transform.evaluate(first))

    def __call__(self, X: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """``(n, d)`` points to mean ``(n,)``, variance ``(n,)`` and covariance ``(n, k)``."""
        if self._prepared is not None:
            mean, variance, covariance = self._prepared(X)
            return self._sign * mean, variance, covariance
        n, k, Z = len(X), len(self._Z), self._Z.to(X)
        if n * (1 + k) ** 2 < (n + k) ** 2:
            own = torch.cat([X.unsqueeze(-2), Z.expand(n, k, -1)], dim=-2)
            mean, joined = joint(self._model, own, transform=self._transform)
            return mean[:, 0], joined[:, 0, 0], joined[:, 0, 1:]
        mean, joined = joint(self._model, torch.cat([X, Z]), transform=self._transform)
        return mean[:n], joined.diagonal()[:n], joined[:n, n:]


def cross(
    model: Model, X: Tensor, Z: Tensor, *, transform: PosteriorTransform | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """`Cross` for a single use: mean ``(n,)`` and variance ``(n,)`` at X, covariance ``(n, k)`` with Z."""
    return Cross(model, Z, transform=transform)(X)


class Measured:
    """What is left of a posterior when some points have been measured, whatever their outcome.

    A Gaussian's covariance does not depend on the values measured, which is why points in flight can be reckoned with
    before their outcome is known.

    Parameters
    ----------
    model, transform
        The posterior.
    points
        ``(p, d)``, p >= 1.
    noise
        Scalar variance of the measurements, > 0.
    """

    def __init__(self, model: Model, points: Tensor, noise: Tensor, transform: PosteriorTransform | None) -> None:
        self.points = points
        with torch.no_grad():
            _, covariance = joint(model, points, transform=transform)
        eye = torch.eye(len(points), dtype=covariance.dtype)
        self._factor = torch.linalg.cholesky(covariance + noise * eye)

    def explained(self, covariance: Tensor) -> Tensor:
        """Turn covariances ``(n, p)`` with the points into A ``(n, p)``: of cov(a, b) they explain ``A B^T``."""
        return torch.linalg.solve_triangular(self._factor, covariance.mT, upper=False).mT


def noise_variance(model: Model, X: Tensor, *, transform: PosteriorTransform | None = None) -> Tensor:
    """Return the variance that the model expects of one measurement, averaged over ``(n, d)`` points: a scalar.

    Never below a millionth of the mean posterior variance, so that dividing by it is safe.
    """
    with torch.no_grad():
        latent = moments(model, X.unsqueeze(-2), transform=transform)[1]
        noisy = moments(model, X.unsqueeze(-2), transform=transform, noise=True)[1]
    floor = 1e-6 * latent.mean() + torch.finfo(latent.dtype).tiny
    return torch.maximum((noisy - latent).mean(), floor)


def _samples(posterior: Posterior, X: Tensor) -> Tensor:
    """Draws ``(s, ..., q, m)`` that are the same at every call: the sampler's seed is fixed."""
    with nullcontext() if X.requires_grad else torch.no_grad():
        return get_sampler(posterior, torch.Size([_SAMPLES]), seed=0)(posterior)

"""Mean, variance and covariance of any BoTorch posterior: Gaussian, mixture over an ensemble, or samples only.

The acquisition functions of this package read posteriors through these functions alone, so that they work with every
surrogate. For a mixture the law of total (co)variance counts the members' disagreement in.
"""

from __future__ import annotations

from contextlib import nullcontext

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


def condition(mean: Tensor, covariance: Tensor, on: slice, noise: Tensor) -> Tensor:
    """Covariance left when the points `on` have been measured with variance `noise`.

    A Gaussian's covariance does not depend on the values measured, which is why points in flight can be reckoned with
    before their outcome is known.

    Parameters
    ----------
    mean
        ``(..., q)``; taken for its shape's sake only.
    covariance
        ``(..., q, q)``
    on
        Which of the q points.
    noise
        Scalar variance, > 0.
    """
    between = covariance[..., :, on]
    block = covariance[..., on, on]
    eye = torch.eye(block.shape[-1], dtype=mean.dtype, device=mean.device)
    factor = torch.linalg.cholesky(block + noise * eye)
    half = torch.linalg.solve_triangular(factor, between.transpose(-1, -2), upper=False)
    return covariance - half.transpose(-1, -2) @ half


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

"""A Gaussian output layer integrated out: Bayesian linear regression on features that are themselves being sampled."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class MarginalLayer:
    """``y ~ N(featuresᵀ theta, noise² + variances)``, ``theta ~ N(centre, (s width)²)``, for `C` copies.

    All gradients follow from Fisher's identity: that of a marginal likelihood is the posterior mean of that of the
    joint one. Systems of `p` equations are solved in double precision, the rest in that of the features.
    """

    centre: Tensor
    """``(C, p)``."""
    width: Tensor
    """``(C, p)``."""
    scale: Tensor
    """``(C, p)`` by which the network's own parameters are multiplied to give ``theta``."""
    y: Tensor
    """``(C, n)``."""
    variances: Tensor | None
    """``(C, n)``."""

    def _precisions(self, s: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Of the data ``(C, n)``, or ``(C, 1)`` where all are alike, and of the prior ``(C, p)``."""
        total = noise.square() if self.variances is None else noise.square() + self.variances
        return total.reciprocal(), (self.width * s).pow(-2)

    def _normal(self, h: Tensor, precision: Tensor, prior: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Residual of the centre ``(C, n)``; factor of the posterior's precision and its pull, double precision."""
        residual = self.y - torch.bmm(self.centre.unsqueeze(1), h).squeeze(1)
        weighted = h if self.variances is None else h * precision.unsqueeze(1)
        gram, pull = torch.bmm(weighted, h.mT).double(), torch.bmm(weighted, residual.unsqueeze(-1)).double()
        if self.variances is None:
            gram, pull = gram.mul_(precision.unsqueeze(-1)), pull.mul_(precision.unsqueeze(-1))
        gram.diagonal(dim1=-2, dim2=-1).add_(prior)
        return residual, torch.linalg.cholesky_ex(gram).L, pull

    def __call__(self, h: Tensor, s: Tensor, noise: Tensor, value: bool) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Log marginal likelihood and its gradients.

        Parameters
        ----------
        h
            ``(C, p, n)``, the last row ones.
        s, noise
            ``(C, 1)``.
        value
            Whether the first result is wanted.

        Returns
        -------
        tuple
            Value ``(C,)``, up to a constant; gradients by `h` ``(C, p, n)`` and by the logarithms of `s` and `noise`
            ``(C, 1)``.
        """
        precision, prior = self._precisions(s, noise)
        residual, factor, pull = self._normal(h, precision, prior)
        exact = torch.cholesky_inverse(factor)
        away = torch.bmm(exact, pull).squeeze(-1).to(h)
        covariance = exact.to(h)
        mean = self.centre + away
        second = torch.baddbmm(covariance, mean.unsqueeze(2), mean.unsqueeze(1))
        if self.variances is None:
            scaled, second = mean * precision, second.mul_(precision.unsqueeze(-1))
            slope = torch.bmm(scaled.unsqueeze(2), self.y.unsqueeze(1))
            slope.baddbmm_(second, h, alpha=-1)
        else:
            slope = torch.bmm(mean.unsqueeze(2), self.y.unsqueeze(1))
            slope.baddbmm_(second, h, alpha=-1).mul_(precision.unsqueeze(1))
        p, n = h.shape[-2:]
        explained = (prior * covariance.diagonal(dim1=-2, dim2=-1)).sum(-1, keepdim=True)
        size = (prior * away.square()).sum(-1, keepdim=True)
        left = residual - torch.bmm(away.unsqueeze(1), h).squeeze(1)
        if self.variances is None:
            fit = precision * left.square().sum(-1, keepdim=True)
            of_noise = fit + (p - n) - explained
        else:
            spread = left.square() + (torch.bmm(covariance, h) * h).sum(1)
            of_noise = noise.square() * (precision * (spread * precision - 1)).sum(-1, keepdim=True)
        log_prob = size.squeeze(-1)
        if value:
            # The quadratic form at the posterior mean: no difference of large numbers.
            fit = (precision * left.square()).sum(-1) + log_prob
            determinant = factor.diagonal(dim1=-2, dim2=-1).log().sum(-1).to(h) - 0.5 * prior.log().sum(-1)
            noises = 0.5 * precision.log().sum(-1) * (n if self.variances is None else 1)
            log_prob = noises - 0.5 * fit - determinant
        return log_prob, slope, size + explained - p, of_noise

    def draw(self, h: Tensor, s: Tensor, noise: Tensor, generator: torch.Generator) -> Tensor:
        """Draw parameters ``(C, p)`` given the rest, double precision."""
        _, factor, pull = self._normal(h, *self._precisions(s, noise))
        normal = torch.randn(pull.shape, generator=generator, dtype=torch.float64).to(pull)
        away = torch.cholesky_solve(pull, factor) + torch.linalg.solve_triangular(factor.mT, normal, upper=True)
        return (self.centre + away.squeeze(-1)) / self.scale

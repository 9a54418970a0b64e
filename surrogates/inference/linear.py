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

    def _solve(self, h: Tensor, s: Tensor, noise: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Precision of the data ``(C, n or 1)``, of the prior ``(C, p)``, residual of the centre ``(C, n)``, factor of
        the posterior's precision ``(C, p, p)`` and its mean less the centre ``(C, p, 1)``."""
        precision = noise.square().reciprocal() if self.variances is None else 1 / (noise.square() + self.variances)
        residual = self.y - torch.bmm(self.centre.unsqueeze(1), h).squeeze(1)
        weighted = h if self.variances is None else h * precision.unsqueeze(1)
        gram = torch.bmm(weighted, h.mT)
        pull = torch.bmm(weighted, residual.unsqueeze(-1))
        if self.variances is None:
            gram, pull = gram * precision.unsqueeze(-1), pull * precision.unsqueeze(-1)
        prior = (self.width * s).pow(-2)
        gram = gram.double()
        gram.diagonal(dim1=-2, dim2=-1).add_(prior)
        factor = torch.linalg.cholesky_ex(gram).L
        return precision, prior, residual, factor, torch.cholesky_solve(pull.double(), factor)

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
        precision, prior, residual, factor, step = self._solve(h, s, noise)
        covariance = torch.cholesky_inverse(factor).to(h)
        away = step.squeeze(-1).to(h)
        mean = self.centre + away
        second = torch.baddbmm(covariance, mean.unsqueeze(2), mean.unsqueeze(1))
        slope = torch.baddbmm(mean.unsqueeze(2) * self.y.unsqueeze(1), second, h, alpha=-1)
        slope.mul_(precision.unsqueeze(1))
        p, n = h.shape[-2:]
        shrunk = covariance.diagonal(dim1=-2, dim2=-1)
        explained = (prior * shrunk).sum(-1, keepdim=True)
        of_s = (prior * away.square()).sum(-1, keepdim=True) + explained - p
        left = residual - torch.bmm(away.unsqueeze(1), h).squeeze(1)
        if self.variances is None:
            of_noise = precision * left.square().sum(-1, keepdim=True) + (p - n) - explained
        else:
            spread = left.square() + (torch.bmm(covariance, h) * h).sum(1)
            of_noise = noise.square() * (precision * (spread * precision - 1)).sum(-1, keepdim=True)
        log_prob = s.squeeze(-1)
        if value:
            # The quadratic form at the posterior mean: no difference of large numbers.
            fit = (precision * left.square()).sum(-1) + (prior * away.square()).sum(-1)
            determinant = factor.diagonal(dim1=-2, dim2=-1).log().sum(-1).to(h) - 0.5 * prior.log().sum(-1)
            noises = 0.5 * precision.log().sum(-1) * (n if self.variances is None else 1)
            log_prob = noises - 0.5 * fit - determinant
        return log_prob, slope, of_s, of_noise

    def draw(self, h: Tensor, s: Tensor, noise: Tensor, generator: torch.Generator) -> Tensor:
        """Draw parameters ``(C, p)`` given the rest, double precision."""
        _, _, _, factor, step = self._solve(h, s, noise)
        normal = torch.randn(step.shape, generator=generator, dtype=torch.float64).to(step)
        away = step + torch.linalg.solve_triangular(factor.mT, normal, upper=True)
        return (self.centre + away.squeeze(-1)) / self.scale

"""Thompson sampling."""

from __future__ import annotations

import torch
from botorch.acquisition import AcquisitionFunction
from botorch.models.model import Model
from botorch.utils.transforms import t_batch_mode_transform
from linear_operator.utils.cholesky import psd_safe_cholesky
from torch import Tensor

from loop.acquisition.context import AcquisitionContext
from loop.acquisition.moments import cross, joint


class ThompsonSample(AcquisitionFunction):
    """One function drawn from the posterior, turned so that larger is better (doi:10.1561/2200000070).

    The values at the context's reference points (of a pool: its samples) are a joint draw; between them the draw's
    conditional mean is taken. So it is one smooth function of x, whatever the model, the same in every call.

    Points in flight need no care: each decision draws anew.
    """

    needs_direction = True

    def __init__(self, model: Model, context: AcquisitionContext) -> None:
        super().__init__(model=model)
        self.transform = context.posterior_transform
        # Replicates share a row, which would make the covariance singular.
        self.reference = torch.unique(context.reference, dim=0)
        with torch.no_grad():
            _, covariance = joint(model, self.reference, transform=self.transform)
        scale = covariance.diagonal().mean().clamp_min(torch.finfo(covariance.dtype).tiny)
        jitter = 1e-6 * scale * torch.eye(len(covariance), dtype=covariance.dtype)
        factor = psd_safe_cholesky(covariance + jitter)
        generator = torch.Generator().manual_seed(context.seed)
        normal = torch.randn(len(covariance), 1, dtype=covariance.dtype, generator=generator)
        # f(x) = mean(x) + cov(x, R) cov(R, R)^-1 (f_R - mean_R), and f_R - mean_R = factor @ normal.
        self.weights = torch.linalg.solve_triangular(factor.transpose(-1, -2), normal, upper=True).squeeze(-1)

    @t_batch_mode_transform(expected_q=1)
    def forward(self, X: Tensor) -> Tensor:
        """``(b, 1, d)`` to the drawn function's values ``(b,)``, in the objective's unit."""
        flat = X.reshape(-1, X.shape[-1])
        mean, _, covariance = cross(self.model, flat, self.reference.to(X), transform=self.transform)
        return (mean + covariance @ self.weights).reshape(X.shape[:-2])

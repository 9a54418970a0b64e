"""Acquisitions that learn a map: where the model knows least, and where a measurement teaches most."""

from __future__ import annotations

import torch
from botorch.acquisition import AcquisitionFunction
from botorch.models.model import Model
from botorch.utils.transforms import t_batch_mode_transform
from torch import Tensor

from loop.acquisition.context import AcquisitionContext
from loop.acquisition.moments import Cross, Measured, moments, noise_variance
from loop.errors import PluginError

_NOISE_POINTS = 64


class MaximumVariance(AcquisitionFunction):
    """Posterior standard deviation of the objective, the disagreement of an ensemble's members included.

    Points in flight count as measured: what is left after conditioning on them, which for a Gaussian posterior does not
    depend on their outcome. Greedy maximisation of it approximates a D-optimal design (MacKay 1992,
    doi:10.1162/neco.1992.4.4.590).

    Parameters
    ----------
    model, context
        See `loop.protocols.Acquisition`.
    """

    def __init__(self, model: Model, context: AcquisitionContext) -> None:
        super().__init__(model=model)
        self.transform = context.posterior_transform
        self.pending: Measured | None = None
        if context.X_pending is not None:
            noise = noise_variance(model, context.reference[:_NOISE_POINTS], transform=self.transform)
            self.pending = Measured(model, context.X_pending, noise, self.transform)
            self.cross = Cross(model, context.X_pending, transform=self.transform)

    @t_batch_mode_transform(expected_q=1)
    def forward(self, X: Tensor) -> Tensor:
        """``(b, 1, d)`` to the standard deviation ``(b,)``, in the objective's unit."""
        return self.moments(X)[1].sqrt()

    def moments(self, X: Tensor) -> tuple[Tensor, Tensor]:
        """Mean of the objective, larger being better, and its variance (positive) at ``(b, 1, d)``: ``(b,)`` each."""
        if self.pending is None:
            mean, variance = (t.squeeze(-1).squeeze(-1) for t in moments(self.model, X, transform=self.transform))
        else:
            flat = X.reshape(-1, X.shape[-1])
            mean, variance, between = self.cross(flat)
            variance = (variance - self.pending.explained(between).square().sum(dim=-1)).reshape(X.shape[:-2])
            mean = mean.reshape(X.shape[:-2])
        return mean, variance.clamp_min(torch.finfo(X.dtype).tiny)


class IntegratedVariance(AcquisitionFunction):
    """By how much a measurement at x lowers the posterior variance, averaged over the space.

    Active learning Cohn (doi:10.1613/jair.295), from the joint posterior between x and the reference points r:
    ``mean_r w_r cov(x, r)^2 / (var(x) + noise)``, after conditioning on the points in flight. That is exact for a
    Gaussian posterior and needs no fantasy models. For a mixture it is the reduction that the best linear update
    achieves, the members' disagreement counted in; it does not assume that the members share one kernel.

    Parameters
    ----------
    model, context
        See `loop.protocols.Acquisition`.
    gradient
        0: every reference point counts the same. 1: it counts in proportion to the slope of the predicted mean there.
        Values between mix the two. The default leans on the slope, because a model's own variance does not know about
        borders: it is that of a function equally rough everywhere, or nearly so, while the error of a map sits where
        the value changes fast, the error of a border's place times the slope there. The rest keeps plateaus, whose
        slope may be zero for want of points, from being forgotten.

    Raises
    ------
    PluginError
        `gradient` outside 0 .. 1.
    """

    def __init__(self, model: Model, context: AcquisitionContext, gradient: float = 0.9) -> None:
        super().__init__(model=model)
        if not 0.0 <= gradient <= 1.0:
            raise PluginError(f"integrated_variance: expected 0 <= gradient <= 1, got {gradient}")
        self.transform = context.posterior_transform
        self.reference = context.reference
        self.noise = noise_variance(model, context.reference[:_NOISE_POINTS], transform=self.transform)
        self.pending: Measured | None = None
        if context.X_pending is not None:
            self.pending = Measured(model, context.X_pending, self.noise, self.transform)
            with torch.no_grad():
                between = Cross(model, context.X_pending, transform=self.transform)(self.reference)[2]
            self.reference_explained = self.pending.explained(between)
        fixed = self.reference if self.pending is None else torch.cat([self.reference, self.pending.points])
        self.cross = Cross(model, fixed, transform=self.transform)
        self.weights = torch.ones(len(self.reference), dtype=self.reference.dtype)
        if gradient:
            slope = mean_slope(model, self.reference, context)
            if slope.mean() > torch.finfo(slope.dtype).tiny:
                self.weights = (1 - gradient) + gradient * slope / slope.mean()

    @t_batch_mode_transform(expected_q=1)
    def forward(self, X: Tensor) -> Tensor:
        """``(b, 1, d)`` to the mean reduction ``(b,)``, in the objective's unit squared."""
        flat = X.reshape(-1, X.shape[-1])
        _, own, between = self.cross(flat)
        if self.pending is not None:
            between, with_pending = between.tensor_split([len(self.reference)], dim=-1)
            explained = self.pending.explained(with_pending)
            between = between - explained @ self.reference_explained.mT
            own = own - explained.square().sum(dim=-1)
        reduction = (between.square() * self.weights).mean(dim=-1) / (own.clamp_min(0.0) + self.noise)
        return reduction.reshape(X.shape[:-2])


def mean_slope(model: Model, X: Tensor, context: AcquisitionContext, step: float = 1e-2) -> Tensor:
    """Length of the gradient of the posterior mean at ``(n, d)`` points, by central differences: ``(n,)``.

    Differences rather than autograd, so that it works with models that are not differentiable.
    """
    n, d = X.shape
    offsets = step * torch.eye(d, dtype=X.dtype)
    around = torch.cat([X.unsqueeze(1) + offsets, X.unsqueeze(1) - offsets], dim=1)
    with torch.no_grad():
        mean = moments(model, around.reshape(-1, 1, d), transform=context.posterior_transform)[0].reshape(n, 2, d)
    return (mean[:, 0] - mean[:, 1]).norm(dim=-1) / (2 * step)

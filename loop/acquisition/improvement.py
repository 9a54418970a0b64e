"""Expected improvement, always as its logarithm, whose gradient does not vanish (doi:10.48550/arXiv.2310.20708)."""

from __future__ import annotations

import math
import warnings

import torch
from botorch.acquisition import AcquisitionFunction
from botorch.acquisition.logei import qLogNoisyExpectedImprovement
from botorch.models.model import Model
from botorch.sampling.normal import SobolQMCNormalSampler
from botorch.utils.transforms import t_batch_mode_transform
from linear_operator.utils.warnings import NumericalWarning
from torch import Tensor

from loop.acquisition.context import AcquisitionContext
from loop.acquisition.moments import moments
from loop.acquisition.variance import MaximumVariance
from loop.seeds import isolated

# Near a measured point the joint covariance of qLogNoisyEI is singular to rounding: the jitter is expected.
warnings.filterwarnings("ignore", message="A not p.d., added jitter", category=NumericalWarning)

_LOG_SQRT_2PI = 0.5 * math.log(2 * math.pi)
_FAR = -1e4


class LogExpectedImprovement(AcquisitionFunction):
    """Logarithm of the expected improvement over the best posterior mean at a measured point.

    The incumbent is the model's belief, not the best measured value, which noise flatters. Points in flight are
    believed to turn out as predicted (kriging believer, doi:10.1007/978-3-642-10701-6_6): they may become the
    incumbent, and the sd shrinks as if they had been measured. In closed form, from the posterior's first two moments.

    Parameters
    ----------
    model, context
        See `loop.protocols.Acquisition`.
    """

    needs_direction = True

    def __init__(self, model: Model, context: AcquisitionContext) -> None:
        super().__init__(model=model)
        self.spread = MaximumVariance(model, context)
        known = context.train_X
        if context.X_pending is not None:
            known = torch.cat([known, context.X_pending])
        with torch.no_grad():
            self.incumbent = moments(model, known.unsqueeze(-2), transform=context.posterior_transform)[0].max()

    @t_batch_mode_transform(expected_q=1)
    def forward(self, X: Tensor) -> Tensor:
        """``(b, 1, d)`` to the logarithm ``(b,)`` of the improvement in the objective's unit."""
        mean, variance = self.spread.moments(X)
        sd = variance.sqrt()
        return sd.log() + log_improvement((mean - self.incumbent) / sd)


def log_improvement(u: Tensor) -> Tensor:
    """``log(phi(u) + u Phi(u))``, the log expected improvement of a standard normal, exact far into its lower tail."""
    # Each branch gets arguments of its own range only: a branch not taken must not spoil the gradient with NaN.
    high = u.clamp_min(-1.0)
    density = torch.exp(-high.square() / 2 - _LOG_SQRT_2PI)
    above = torch.log(density + high * torch.special.ndtr(high))
    mid = u.clamp(_FAR, -1.0)
    ratio = math.sqrt(math.pi / 2) * torch.special.erfcx(-mid / math.sqrt(2))
    below = torch.log1p(mid * ratio)
    far = -2 * torch.log(-u.clamp_max(_FAR))
    tail = -u.clamp_max(-1.0).square() / 2 - _LOG_SQRT_2PI + torch.where(u > _FAR, below, far)
    return torch.where(u > -1.0, above, tail)


class LogNoisyExpectedImprovement(qLogNoisyExpectedImprovement):
    """BoTorch's qLogNoisyExpectedImprovement: the incumbent is uncertain itself, integrated over the measured points.

    For strong noise (doi:10.1214/18-BA1110); costs more than `LogExpectedImprovement`.

    Parameters
    ----------
    model, context
        See `loop.protocols.Acquisition`.
    samples
        Quasi-random posterior samples; a power of two.
    """

    needs_direction = True

    def __init__(self, model: Model, context: AcquisitionContext, samples: int = 128) -> None:
        # Pruning the baseline draws samples whose seed cannot be given.
        with isolated(context.seed):
            super().__init__(
                model,
                X_baseline=context.train_X,
                sampler=SobolQMCNormalSampler(torch.Size([samples]), seed=context.seed),
                posterior_transform=context.posterior_transform,
                X_pending=context.X_pending,
                prune_baseline=True,
                # The cached root needs a GP's own prediction strategy; other surrogates have none.
                cache_root=False,
            )

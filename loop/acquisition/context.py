"""What an acquisition function may need besides the model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from botorch.acquisition.objective import PosteriorTransform
from torch import Tensor


@dataclass(frozen=True)
class AcquisitionContext:
    """Everything the agent knows when it builds an acquisition function; plug-ins take from it what they need."""

    train_X: Tensor
    """``(n, d)`` measured points in the unit cube."""
    train_Y: Tensor
    """``(n, m)`` their values, the objective in column 0."""
    X_pending: Tensor | None
    """``(p, d)`` points whose outcome is not known and need not be sought again, or None: those in flight, and those that
    were lost (failed, rejected, abandoned)."""
    reference: Tensor
    """``(k, d)`` points that represent the space: the pool itself, or a scrambled Sobol set."""
    direction: Literal["maximise", "minimise"] | None
    """What the objective wants; None where there is no optimum to look for (map)."""
    best_f: float | None
    """Best objective value measured so far, as large-is-better: after `posterior_transform`; None without a direction.
    The noise is in it: a noisy best value flatters itself."""
    posterior_transform: PosteriorTransform | None
    """Leaves the objective alone and turns it so that larger is better; None where there is nothing to do (one
    observable, and it is maximised or there is no direction). Hand it to every `model.posterior`."""
    seed: int
    """For anything random in the acquisition (quasi-random samples, fantasies)."""

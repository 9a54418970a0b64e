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
    """``(p, d)`` points in flight, or None."""
    reference: Tensor
    """``(k, d)`` points that represent the space: the pool itself, or a scrambled Sobol set."""
    direction: Literal["maximise", "minimise"] | None
    """What the objective wants; None where there is no optimum to look for (map)."""
    best_f: float | None
    """Best objective value so far, *after* `posterior_transform`; None without a direction."""
    posterior_transform: PosteriorTransform | None
    """Turns the posterior so that larger is better; None if it already is (or there is no direction)."""
    seed: int
    """For anything random in the acquisition (quasi-random samples, fantasies)."""

"""What an acquisition function may need besides the model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from botorch.acquisition.objective import PosteriorTransform, ScalarizedPosteriorTransform
from torch import Tensor

if TYPE_CHECKING:
    from loop.protocols import SearchSpace

Direction = Literal["maximise", "minimise"]


@dataclass(frozen=True)
class AcquisitionContext:
    """Everything the agent knows when it builds an acquisition function; plug-ins take from it what they need."""

    train_X: Tensor  # noqa: N815
    """``(n, d)`` measured points in the unit cube."""
    train_Y: Tensor  # noqa: N815
    """``(n, m)`` their values, the objective in column 0."""
    X_pending: Tensor | None
    """``(p, d)`` points whose outcome is not known and need not be sought again, or None: those in flight,
    and those that were lost (failed, rejected, abandoned)."""
    reference: Tensor
    """``(k, d)`` points that represent the space: the pool itself, or a scrambled Sobol set."""
    direction: Direction | None
    """What the objective wants; None where there is no optimum to look for (map)."""
    best_f: float | None
    """Best objective value measured so far, as large-is-better: after `posterior_transform`; None without a direction.
    The noise is in it: a noisy best value flatters itself."""
    posterior_transform: PosteriorTransform | None
    """Leaves the objective alone and turns it so that larger is better; None where there is nothing to do (one
    observable, and it is maximised or there is no direction). Hand it to every `model.posterior`."""
    seed: int
    """For anything random in the acquisition (quasi-random samples, fantasies)."""


def objective_transform(m: int, direction: Direction | None) -> PosteriorTransform | None:
    """Return what turns a posterior over `m` observables into the objective's, larger being better."""
    if m == 1 and direction != "minimise":
        return None
    weights = torch.zeros(m, dtype=torch.float64)
    weights[0] = -1.0 if direction == "minimise" else 1.0
    return ScalarizedPosteriorTransform(weights)


def best_value(train_Y: Tensor, direction: Direction | None) -> float | None:
    """Return the best of the objective's values in ``(n, m)``, larger being better; None without a direction."""
    if direction is None:
        return None
    return float((-train_Y[:, 0] if direction == "minimise" else train_Y[:, 0]).max())


def reference_points(space: SearchSpace, n: int, *, seed: int) -> Tensor:
    """Return points ``(k, d)`` that stand for a space: a pool of up to `n` samples itself, else `n` points over it."""
    candidates = space.candidates
    if candidates is None:
        return space.encode(space.initial(n, seed=seed))
    if len(candidates) <= n:
        return candidates
    rows = np.random.default_rng(seed).choice(len(candidates), n, replace=False)
    return candidates[np.sort(rows)]

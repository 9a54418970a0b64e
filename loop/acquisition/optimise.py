"""Maximising an acquisition function: over what is left of a pool, or over a box."""

from __future__ import annotations

import numpy as np
import torch
from botorch.acquisition import AcquisitionFunction
from numpy.typing import NDArray
from scipy.optimize import minimize
from torch import Tensor
from torch.quasirandom import SobolEngine

from loop.errors import PluginError
from loop.protocols import SearchSpace

RAW, STARTS, STEPS = 512, 4, 12
"""Points scored, points refined, and steps of the refinement."""
APART = 0.1
"""Largest coordinate difference that starting points have at least."""
_FEW = 64
"""Points asked of a space in which points are hard to find."""
CHUNK = 128
"""Candidates scored in one call: bounds the memory of acquisitions that need a joint posterior over all of them. So few
that the intermediate results stay in a core's cache: nearly twice as fast as all 512 at once."""


def maximise_pool(
    acquisition: AcquisitionFunction, candidates: Tensor, available: NDArray[np.bool_]
) -> tuple[int, float]:
    """Return the row of ``(n, d)`` candidates with the largest value among the available ones, and that value.

    Of equal values the first row wins.
    """
    rows = np.flatnonzero(available)
    values = score(acquisition, candidates[rows])
    best = int(np.argmax(values))
    return int(rows[best]), float(values[best])


def maximise_box(
    acquisition: AcquisitionFunction,
    space: SearchSpace,
    *,
    seed: int,
    avoid: Tensor | None = None,
    radius: float = 0.01,
    raw: int = RAW,
) -> tuple[Tensor, float]:
    """Return the best point found in the unit cube ``(d,)`` and its value.

    Scrambled Sobol points are scored in one batch and the best few refined: by gradient ascent where the acquisition
    has a gradient, by shrinking random steps where it has none.

    Parameters
    ----------
    seed
        Of the Sobol points and random steps.
    avoid
        ``(k, d)`` points that must not be suggested again.
    radius
        How far (largest coordinate difference, in the unit cube) to stay from `avoid`.
    raw
        Sobol points to score.
    """
    d = len(space.names)
    start = SobolEngine(d, scramble=True, seed=seed).draw(raw, dtype=torch.float64)
    X = start[_allowed(start, space, avoid, radius)]
    if not len(X):
        # Constraints or points to avoid leave little: the space itself knows how to draw inside the constraints.
        X = space.encode(space.random(min(raw, _FEW), seed=seed))
        kept = X[_allowed(X, space, avoid, radius)]
        X = kept if len(kept) else X
    values = score(acquisition, X)
    order = _spread(X, values)
    best = X[order]
    refined = _ascend(acquisition, best)
    if refined is None:
        refined = _wander(acquisition, best, seed)
    # A coordinate has no meaning below a millionth of its range, and a rounded one hides differences in the last bits
    # between machines.
    refined = torch.round(refined, decimals=6).clamp(0.0, 1.0)
    refined = refined[_allowed(refined, space, avoid, radius)]
    X = torch.cat([refined, best])
    values = np.concatenate([score(acquisition, refined), values[order]])
    top = int(np.argmax(values))
    return X[top], float(values[top])


class OnDevice:
    """An acquisition function that computes elsewhere: points come from the CPU, and values and gradients go back."""

    def __init__(self, acquisition: AcquisitionFunction, device: torch.device) -> None:
        self._acquisition = acquisition
        self._device = device

    def __call__(self, X: Tensor) -> Tensor:
        """``(b, q, d)`` on the CPU to ``(b,)`` on the CPU, differentiable."""
        return self._acquisition(X.to(self._device)).cpu()


def score(acquisition: AcquisitionFunction, X: Tensor) -> NDArray[np.float64]:
    """Value of each of ``(n, d)`` points by itself: ``(n,)``; where it is not a number, minus infinity.

    Raises
    ------
    PluginError
        The acquisition returns another shape, or no number anywhere.
    """
    if not len(X):
        return np.empty(0)
    parts = []
    with torch.no_grad():
        for chunk in X.split(CHUNK):
            value = acquisition(chunk.unsqueeze(-2))
            if not isinstance(value, Tensor) or value.shape != (len(chunk),):
                got = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
                raise PluginError(
                    f"acquisition {type(acquisition).__name__}: expected one value per point, shape ({len(chunk)},), "
                    f"for an input of shape {(len(chunk), 1, X.shape[-1])}; got {got}"
                )
            parts.append(value.to(torch.float64))
    values = torch.cat(parts).numpy()
    if np.isnan(values).all():
        raise PluginError(f"acquisition {type(acquisition).__name__} gives NaN at each of {len(X)} points")
    return np.where(np.isnan(values), -np.inf, values)


def _spread(X: Tensor, values: NDArray[np.float64]) -> list[int]:
    """Rows of the best few of ``(n, d)`` points that do not all lie on the same hill."""
    chosen: list[int] = []
    for i in np.argsort(-values, kind="stable").tolist():
        if all(float((X[i] - X[j]).abs().max()) > APART for j in chosen):
            chosen.append(i)
        if len(chosen) == STARTS:
            break
    return chosen


def _allowed(X: Tensor, space: SearchSpace, avoid: Tensor | None, radius: float) -> Tensor:
    feasible = getattr(space, "feasible", None)
    allowed = torch.ones(len(X), dtype=torch.bool) if feasible is None else feasible(X)
    if avoid is not None and len(avoid) and len(X):
        distance = (X.unsqueeze(1) - avoid).abs().amax(dim=-1)
        allowed &= (distance > radius).all(dim=1)
    return allowed


def _ascend(acquisition: AcquisitionFunction, X: Tensor) -> Tensor | None:
    """Follow the gradient from ``(k, d)`` points inside the cube; None if there is no usable gradient."""
    probe = X[:1].unsqueeze(-2).clone().requires_grad_(True)
    value = acquisition(probe)
    if not value.requires_grad:
        return None
    (slope,) = torch.autograd.grad(value.sum(), probe, allow_unused=True, materialize_grads=True)
    if not torch.isfinite(slope).all():
        return None

    def negative(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        at = torch.from_numpy(flat.reshape(len(X), 1, -1)).requires_grad_(True)
        # The points do not see each other, so the gradient of the sum holds the gradient of each.
        total = -acquisition(at).sum()
        (slope,) = torch.autograd.grad(total, at, allow_unused=True, materialize_grads=True)
        return total.item(), slope.numpy().reshape(-1)

    # One L-BFGS run over all starts, each evaluation one batch; scipy itself, because BoTorch's wrapper changes the
    # process-wide warning filters and thread limits, which a worker thread must not do.
    result = minimize(
        negative,
        X.numpy().reshape(-1),
        jac=True,
        method="L-BFGS-B",
        bounds=[(0.0, 1.0)] * X.numel(),
        options={"maxiter": STEPS},
    )
    found = torch.from_numpy(np.asarray(result.x)).reshape(X.shape)
    return torch.where(torch.isfinite(found), found, X)


def _wander(acquisition: AcquisitionFunction, X: Tensor, seed: int) -> Tensor:
    """Random steps around ``(k, d)`` points, each time narrower, keeping the best."""
    generator = torch.Generator().manual_seed(seed)
    for width in (0.05, 0.015, 0.005):
        steps = torch.randn(32, *X.shape, dtype=X.dtype, generator=generator) * width
        around = torch.cat([X, (X + steps).clamp(0.0, 1.0).reshape(-1, X.shape[-1])])
        values = score(acquisition, around)
        X = around[np.argsort(-values, kind="stable")[: len(X)]]
    return X

"""Does an acquisition function do what the loop demands? Tried on a small exact GP; answers in plain sentences."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Literal

import torch
from botorch.acquisition import AcquisitionFunction
from botorch.models import SingleTaskGP
from botorch.models.model import Model
from botorch.models.transforms import Standardize
from torch import Tensor

from loop.acquisition.context import AcquisitionContext, best_value, objective_transform
from loop.acquisition.registry import Builder, check_options, find, name_of
from loop.errors import PluginError
from loop.seeds import isolated

_N, _D = 12, 2


def problems(
    acquisition: str | Builder,
    *,
    options: Mapping[str, Any] | None = None,
    direction: Literal["maximise", "minimise"] | None = "maximise",
) -> list[str]:
    """Return what is wrong with an acquisition function, one plain sentence each; empty if nothing is.

    Parameters
    ----------
    acquisition
        Name, ``module:Name`` or builder.
    options
        What a campaign would give it.
    direction
        Of the campaign that it is tried in.
    """
    try:
        builder = find(acquisition)
        check_options(builder, options or {}, direction=direction)
    except PluginError as error:
        return [str(error)]
    name = name_of(builder)
    found: list[str] = []
    model, context = example(direction=direction)
    for case, here in _cases(context):
        try:
            # One by one: what was found before something raises is kept.
            for sentence in _problems(builder, model, here, dict(options or {})):
                found.append(f"{name}, {case}: {sentence}")
        except Exception as error:
            found.append(f"{name}, {case}: raises {type(error).__name__}: {error}")
    return found


def example(
    *, direction: Literal["maximise", "minimise"] | None = None, m: int = 1, seed: int = 0
) -> tuple[Model, AcquisitionContext]:
    """Return a small model with `m` outputs on two inputs, and a context that goes with it."""
    generator = torch.Generator().manual_seed(seed)
    X = torch.rand(_N, _D, dtype=torch.float64, generator=generator)
    waves = [torch.sin(6 * X[:, 0] + i) + X[:, 1] for i in range(m)]
    Y = torch.stack(waves, dim=-1) + 0.05 * torch.randn(_N, m, dtype=torch.float64, generator=generator)
    model = SingleTaskGP(X, Y, torch.full_like(Y, 0.05**2), outcome_transform=Standardize(m))
    model.eval()
    reference = torch.rand(32, _D, dtype=torch.float64, generator=generator)
    return model, AcquisitionContext(
        train_X=X,
        train_Y=Y,
        X_pending=None,
        reference=reference,
        direction=direction,
        best_f=best_value(Y, direction),
        posterior_transform=objective_transform(m, direction),
        seed=seed,
    )


def _cases(context: AcquisitionContext) -> Iterator[tuple[str, AcquisitionContext]]:
    yield "nothing in flight", context
    pending = torch.tensor([[0.2, 0.7], [0.85, 0.15]], dtype=torch.float64)
    yield "two points in flight", replace(context, X_pending=pending)


def _problems(builder: Builder, model: Model, context: AcquisitionContext, options: dict[str, Any]) -> Iterator[str]:
    X = torch.rand(7, 1, _D, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    acquisition = builder(model, context, **options)
    if not isinstance(acquisition, AcquisitionFunction):
        yield f"expected a botorch AcquisitionFunction, got {type(acquisition).__name__}"
        if not callable(acquisition):
            return
    before, given = torch.get_rng_state(), X.clone()
    with torch.no_grad():
        value = acquisition(X)
    if not isinstance(value, Tensor):
        yield f"expected a tensor, got {type(value).__name__}"
        return
    if value.shape != (7,):
        yield f"expected the shape (7,) for an input of shape (7, 1, 2), got {tuple(value.shape)}: one value per point"
        return
    if value.dtype != X.dtype:
        yield f"expected {X.dtype} for an input of {X.dtype}, got {value.dtype}"
        return
    if torch.isnan(value).any() or (value == math.inf).any():
        yield f"expected numbers that can be compared, got {value.tolist()}"
    if not torch.equal(X, given):
        yield "changes the points that it is given"
    if not torch.equal(torch.get_rng_state(), before):
        yield "draws from torch's global generator: seed a torch.Generator with context.seed instead"
    yield from _repeats(builder, model, context, options, X, value)
    yield from _gradient(acquisition, X)


def _repeats(
    builder: Builder, model: Model, context: AcquisitionContext, options: dict[str, Any], X: Tensor, value: Tensor
) -> Iterator[str]:
    # With another global state, so that what hangs on it is found.
    with isolated(987), torch.no_grad():
        again = builder(model, context, **options)
        second = again(X)
        alone = torch.cat([again(x.unsqueeze(0)) for x in X])
    if not torch.equal(second, value):
        yield "gives other values when it is built again with the same seed: a resumed campaign would go another way"
    if not torch.allclose(alone, value, rtol=1e-6, atol=1e-9):
        yield "gives a point another value when other points are scored with it: each point counts by itself"


def _gradient(acquisition: AcquisitionFunction, X: Tensor) -> Iterator[str]:
    """Look at the gradient: none is needed, but a wrong one leads astray."""
    at = X.clone().requires_grad_(True)
    value = acquisition(at)
    if not value.requires_grad:
        return
    (slope,) = torch.autograd.grad(value.sum(), at, allow_unused=True, materialize_grads=True)
    if not torch.isfinite(slope).all():
        yield "has a gradient that is not finite"
        return
    step = 1e-5
    along = torch.ones_like(X)
    with torch.no_grad():
        numeric = (acquisition(X + step * along) - acquisition(X - step * along)) / (2 * step)
    scale = float(numeric.abs().max()) + 1e-9
    if not torch.allclose(slope.sum(dim=(-1, -2)), numeric, rtol=1e-2, atol=1e-3 * scale):
        yield "has a gradient that is not the slope of its values"

"""Checks of what comes into a surrogate, in words that a person can act on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor

from surrogates.errors import SurrogateError

Options = TypeVar("Options")


def as_options(kind: type[Options], given: Options | Mapping[str, Any]) -> Options:
    """Return options of a dataclass, built from a mapping where that is what came (from a campaign file, say).

    Raises
    ------
    SurrogateError
        On a field that is unknown or missing.
    """
    if not isinstance(given, Mapping):
        return given
    try:
        return kind(**given)
    except TypeError as error:
        raise SurrogateError(f"{kind.__name__} cannot be built from {dict(given)}: {error}") from error


def check_training_data(X: Tensor, Y: Tensor, Yvar: Tensor | None, *, at_least: int = 2) -> None:
    """Refuse what no model can be fitted to.

    Raises
    ------
    SurrogateError
        On wrong shapes, too few points, values that are not finite, or variances that are not positive.
    """
    if X.ndim != 2 or Y.ndim != 2 or X.shape[0] != Y.shape[0]:
        raise SurrogateError(
            f"training data must be X (n, d) and Y (n, m) with the same n, got {tuple(X.shape)} and {tuple(Y.shape)}"
        )
    if X.shape[-1] < 1 or Y.shape[-1] < 1:
        raise SurrogateError(f"at least one input and one output are needed, got {tuple(X.shape)} and {tuple(Y.shape)}")
    if X.shape[0] < at_least:
        raise SurrogateError(f"at least {at_least} measured points are needed to fit a model, got {X.shape[0]}")
    if not X.is_floating_point() or not Y.is_floating_point():
        raise SurrogateError(f"training data must be floating point, got {X.dtype} and {Y.dtype}")
    for name, values in (("X", X), ("Y", Y), ("Yvar", Yvar)):
        if values is None:
            continue
        bad = ~torch.isfinite(values)
        if bad.any():
            rows = sorted({int(i) for i in torch.nonzero(bad)[:, 0]})
            raise SurrogateError(
                f"{name} holds values that are not finite in rows {rows[:10]}: leave those points out before fitting"
            )
    if Yvar is not None:
        if Yvar.shape != Y.shape:
            raise SurrogateError(f"variances must have the shape of Y {tuple(Y.shape)}, got {tuple(Yvar.shape)}")
        if (Yvar < 0).any():
            raise SurrogateError(f"variances must not be negative, the smallest is {float(Yvar.min()):g}")


def check_points(X: Tensor, d: int) -> None:
    """Refuse points whose last dimension is not the model's.

    Raises
    ------
    SurrogateError
        On a wrong number of inputs or dimensions.
    """
    if X.ndim < 2 or X.shape[-1] != d:
        raise SurrogateError(f"points must be (..., q, {d}), got {tuple(X.shape)}")

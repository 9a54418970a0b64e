"""Class labels: their names, checks, and what their probabilities say."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from surrogates.checks import check_training_data
from surrogates.errors import SurrogateError


def class_names(labels: Tensor, classes: int | Sequence[str] | None) -> tuple[str, ...]:
    """Names of the classes, from their number or from the largest of the labels where no names are given.

    Raises
    ------
    SurrogateError
        If two have the same name, or the labels do not say how many there are.
    """
    if classes is None:
        if labels.is_floating_point() or not labels.numel():
            raise SurrogateError(f"labels must be integers, at least one, got {labels.numel()} of {labels.dtype}")
        classes = int(labels.max()) + 1
    names = tuple(map(str, range(classes))) if isinstance(classes, int) else tuple(classes)
    if len(set(names)) != len(names):
        raise SurrogateError(f"every class needs a name of its own, got {', '.join(names)}")
    return names


def check_labelled_data(X: Tensor, labels: Tensor, classes: int, *, at_least: int = 2) -> None:
    """Refuse what no classifier can be fitted to.

    Raises
    ------
    SurrogateError
        On wrong shapes, too few points, points that are not finite, or labels that are no class.
    """
    if labels.ndim != 1 or labels.is_floating_point() or labels.is_complex():
        raise SurrogateError(f"labels must be integers (n,), got {labels.dtype} {tuple(labels.shape)}")
    check_training_data(X, labels.unsqueeze(-1).to(X), None, at_least=at_least)
    bad = (labels < 0) | (labels >= classes)
    if bad.any():
        rows = torch.nonzero(bad).flatten().tolist()
        raise SurrogateError(
            f"labels of {classes} classes go from 0 to {classes - 1}, got {int(labels[rows[0]])} in row {rows[0]}"
            + (f" and others in rows {rows[1:10]}" if len(rows) > 1 else "")
        )


def entropy(p: Tensor) -> Tensor:
    """Entropy ``(...)`` of probabilities ``(..., classes)``, in nats."""
    return torch.special.entr(p).sum(-1)

r"""Averages over size distributions by sums: any distribution, any shape; slower than the closed forms of ``schulz``.

The distributions are those of sasmodels, for a number density f of a size x with centre c and relative width p:
Gaussian (sd pc, cut at 0), Schulz (mean c, sd pc) and log-normal (median c, sd of ln x equal to p). Equal steps under a
smooth weight converge faster than any power once they resolve the fringes, so that the number of nodes follows from
q σ; at most `MOST_NODES` are spent, enough up to q σ = 75.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor

from simulators.errors import ParameterError

Distribution = Literal["gaussian", "schulz", "lognormal"]
DISTRIBUTIONS = ("gaussian", "schulz", "lognormal")
MOST_NODES = 320
_BLOCK = 400_000
"""Elements (rows times q) worked on at a time."""


def size_nodes(q: Tensor, centre: Tensor, width: Tensor, distribution: Distribution) -> tuple[Tensor, Tensor]:
    """Return sizes and weights.

    Parameters
    ----------
    q
        ``(k,)`` 1/Å: its largest sets the step.
    centre, width
        ``(n, 1)`` Å and ratio. Where all widths are 0 there is one node.
    distribution
        One of `DISTRIBUTIONS`.

    Returns
    -------
    values, weights
        ``(n, m)`` each; weights sum to 1 in every row.

    Raises
    ------
    ParameterError
        If the distribution is unknown.
    """
    if distribution not in DISTRIBUTIONS:
        raise ParameterError(f"distribution must be one of {list(DISTRIBUTIONS)}, got {distribution!r}")
    if not bool((width > 0).any()):
        return centre, torch.ones_like(centre)
    p = width.clamp_min(1e-4)
    # Sixth powers of size pull the weight to the right of Schulz and log-normal centres.
    if distribution == "gaussian":
        low, high = (1 - 7 * p).clamp_min(1e-3), 1 + 7 * p + 4 * p**2
    elif distribution == "schulz":
        low, high = (1 - 7 * p).clamp_min(1e-3), 1 + 8 * p + 12 * p**2
    else:
        low, high = torch.exp(-6 * p), torch.exp(6 * p**2 + 6.5 * p)
    stretch = float(((high - low) / p).max())
    most = float(q.max()) * float((p * centre).max())
    count = min(MOST_NODES, math.ceil(stretch * (2 * most + 6) / (2 * math.pi)) + 8)
    share = torch.linspace(0, 1, count, dtype=q.dtype, device=q.device)
    if distribution == "gaussian":
        x = low + (high - low) * share
        weight = torch.exp(-0.5 * ((x - 1) / p) ** 2)
    elif distribution == "schulz":
        x = low + (high - low) * share
        weight = torch.exp((p**-2 - 1) * torch.log(x) - (x - 1) / p**2)
    else:
        # Equal steps in ln x: the density's factor 1/x is that of the step.
        x = torch.exp(torch.log(low) + (torch.log(high) - torch.log(low)) * share)
        weight = torch.exp(-0.5 * (torch.log(x) / p) ** 2)
    return centre * x, weight / weight.sum(1, keepdim=True)


def averaged(
    q: Tensor,
    square: Callable[..., Tensor],
    volume: Callable[..., Tensor],
    sizes: Sequence[tuple[Tensor, Tensor]],
    distribution: Distribution,
    fixed: Sequence[Tensor] = (),
) -> Tensor:
    """Return <F²>/<V> over independent distributions of some sizes.

    Parameters
    ----------
    q
        ``(k,)`` 1/Å.
    square
        ``square(q, *sizes, *fixed)`` gives F² of particles, rows times k, from columns (rows, 1).
    volume
        ``volume(*sizes, *fixed)`` gives V of the same shape as its arguments.
    sizes
        Centre and relative width, ``(n, 1)`` each.
    distribution
        One of `DISTRIBUTIONS`.
    fixed
        Other columns ``(n, 1)``.

    Returns
    -------
    Tensor
        ``(n, k)``.

    Raises
    ------
    ParameterError
        If the distribution is unknown.
    """
    nodes = [size_nodes(q, centre, width, distribution) for centre, width in sizes]
    weight = nodes[0][1]
    grids = [nodes[0][0]]
    for values, share in nodes[1:]:
        repeat = values.shape[1]
        grids = [grid.repeat_interleave(repeat, 1) for grid in grids] + [values.repeat(1, weight.shape[1])]
        weight = (weight[:, :, None] * share[:, None, :]).flatten(1)
    n, count = weight.shape
    mean_volume = (volume(*grids, *(column.expand(n, count) for column in fixed)) * weight).sum(1, keepdim=True)
    total = torch.zeros((n, q.numel()), dtype=q.dtype, device=q.device)
    step = max(1, _BLOCK // (n * q.numel()))
    for start in range(0, count, step):
        part = slice(start, start + step)
        width = weight[:, part].shape[1]
        columns = [grid[:, part].reshape(-1, 1) for grid in grids]
        rest = [column.expand(n, width).reshape(-1, 1) for column in fixed]
        values = square(q, *columns, *rest).reshape(n, width, -1)
        total += (weight[:, part, None] * values).sum(1)
    return total / mean_volume

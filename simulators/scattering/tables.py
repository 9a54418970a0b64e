"""Tables of shapes that depend on qR and one or two ratios: computed once to high accuracy, then interpolated.

A population whose members differ in size alone has dΣ/dΩ = (constant) G(x; ratios) with x = qR. ln G is smooth in ln x
and in the logarithms of the ratios, so a uniform grid with cubic interpolation gives G to some 1e-4 where the full
average would cost a thousand times as much.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

LOW_X, HIGH_X = 0.01, 3000.0
"""Below, G is 1 as nearly as matters; above, ln G goes on along its last slope."""
_NODES = 1024


@dataclass(frozen=True)
class Axis:
    """A ratio that the shape depends on, on a logarithmic grid."""

    low: float
    high: float
    nodes: int

    def values(self) -> Tensor:
        """Return the grid, ``(nodes,)``."""
        return torch.logspace(_log10(self.low), _log10(self.high), self.nodes, dtype=torch.float64)


@dataclass(eq=False)
class ScalingTable:
    """ln G on a grid, built at first use.

    Parameters
    ----------
    axes
        The ratios.
    build
        Takes x ``(m,)`` and the values of all axes as tensors ``(nodes,)``; returns G, ``(nodes.., m)``.
    """

    axes: Sequence[Axis]
    build: Callable[..., Tensor]
    _tables: dict[torch.dtype, Tensor] = field(default_factory=dict)

    def table(self, dtype: torch.dtype) -> Tensor:
        """Return ln G, ``(nodes.., m)``, in the precision asked for."""
        if not self._tables:
            x = torch.logspace(_log10(LOW_X), _log10(HIGH_X), _NODES, dtype=torch.float64)
            self._tables[torch.float64] = torch.log(self.build(x, *(axis.values() for axis in self.axes)))
        if dtype not in self._tables:
            self._tables[dtype] = self._tables[torch.float64].to(dtype)
        return self._tables[dtype]

    def __call__(self, x: Tensor, *ratios: Tensor) -> Tensor:
        """Interpolate G.

        Parameters
        ----------
        x
            ``(n, k)`` q times the mean size.
        *ratios
            ``(n, 1)`` for each axis, inside its range.

        Returns
        -------
        Tensor
            ``(n, k)``.
        """
        table = self.table(x.dtype).to(x.device)
        rows = _contract(table, [_position(r, axis) for r, axis in zip(ratios, self.axes, strict=True)])
        log_low, log_high = torch.log(torch.tensor([LOW_X, HIGH_X], dtype=torch.float64)).tolist()
        step = (log_high - log_low) / (_NODES - 1)
        position = torch.log(x).sub_(log_low).div_(step)
        # Below the table G is flat; above it the cubic would run away where the power law runs straight.
        beyond = (position - (_NODES - 1)).clamp_min(0.0)
        inside = position.clamp(0.0, float(_NODES - 1))
        base = inside.floor().clamp_(1, _NODES - 3)
        weights = lagrange(inside - base)
        start = base.long() - 1
        result = sum(torch.gather(rows, 1, start + j) * weights[j] for j in range(4))
        decade = int(1 / step)
        slope = (rows[:, -1:] - rows[:, -1 - decade : -decade]) / decade
        return torch.exp(result + beyond * slope)


def _log10(value: float) -> float:
    return float(torch.log10(torch.tensor(value, dtype=torch.float64)))


def lagrange(t: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the weights of the nodes -1, 0, 1, 2 at t in [0, 1]."""
    lower, upper, far = t + 1, t - 1, t - 2
    inner, outer = t * far, lower * upper
    return inner * upper / -6, outer * far / 2, inner * lower / -2, outer * t / 6


def _position(ratio: Tensor, axis: Axis) -> tuple[Tensor, tuple[Tensor, Tensor, Tensor, Tensor]]:
    """Return the first of four nodes, ``(n,)``, and their weights, ``(n, 1)`` each."""
    low, high = _log10(axis.low), _log10(axis.high)
    position = ((torch.log10(ratio) - low) * ((axis.nodes - 1) / (high - low))).clamp(0.0, axis.nodes - 1.0)
    base = position.floor().clamp(1, axis.nodes - 3)
    return base[:, 0].long() - 1, lagrange(position - base)


def _contract(table: Tensor, positions: Sequence[tuple[Tensor, tuple[Tensor, Tensor, Tensor, Tensor]]]) -> Tensor:
    """Interpolate over the outer axes: ``(n, m)`` rows from ``(nodes.., m)``."""
    flat = table.reshape(-1, table.shape[-1])
    index, weight = torch.zeros(1, dtype=torch.long, device=table.device), torch.ones(1, 1, dtype=table.dtype)
    terms = [(index, weight.to(table.device))]
    for (first, weights), size in zip(positions, table.shape[:-1], strict=True):
        terms = [(i * size + first + j, w * weights[j]) for i, w in terms for j in range(4)]
    # (n, 4^d) indices and weights, summed by one weighted look-up.
    rows = torch.stack([i for i, _ in terms], dim=1)
    return torch.nn.functional.embedding_bag(
        rows, flat, per_sample_weights=torch.cat([w for _, w in terms], dim=1), mode="sum"
    )

r"""Pinhole smearing: the finite resolution of wavelength, beam and pixel as one matrix, applied to any kernel's curves.

.. math:: I_s(q_i) = \frac{\int R_i(q')\,I(q')\,dq'}{\int R_i(q')\,dq'},\qquad
    R_i \propto e^{-(q'-q_i)^2/2\Delta q_i^2},\quad q_i-2.5\,\Delta q_i \le q' \le q_i+3\,\Delta q_i

with sasmodels' cut of the tails (Barker & Pedersen 1995, doi:10.1107/S0021889894010095). Between the
points of a fine grid I is taken as the cubic through the four nearest; the error falls with the fourth power of the
step, and is below 0.1 % as it stands.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from simulators.errors import ParameterError
from simulators.scattering.arguments import as_tensor, momentum_transfer
from simulators.scattering.kernel import Values

CUT_BELOW, CUT_ABOVE = 2.5, 3.0
"""Standard deviations at which the resolution function is cut."""
_GAUSS = ((0.5 - math.sqrt(0.15), 5 / 18), (0.5, 4 / 9), (0.5 + math.sqrt(0.15), 5 / 18))
"""Nodes and weights on [0, 1]."""


@dataclass(frozen=True, eq=False)
class Pinhole:
    """The resolution of one instrument setting.

    Parameters
    ----------
    q
        ``(k,)`` 1/Å, increasing: where curves are wanted.
    width
        Δq, the standard deviation, number or ``(k,)`` in 1/Å; above 0 and below 0.4 q.
    steps
        Points of the fine grid per Δq.
    largest_size
        Å; where given, the fine grid also resolves the fringes of particles of this diameter.

    Raises
    ------
    ParameterError
        If q or the widths are not as said above.
    """

    q: Values
    width: Values
    steps: float = 4.0
    largest_size: float | None = None

    def __post_init__(self) -> None:
        """Check and keep tensors."""
        q = momentum_transfer(self.q)
        width = as_tensor(self.width).to(q.dtype)
        if width.ndim == 0:
            width = width.expand(q.shape)
        if width.shape != q.shape:
            raise ParameterError(f"width must be a number or ({q.numel()},) like q, got shape {tuple(width.shape)}")
        if bool((q[1:] <= q[:-1]).any()):
            raise ParameterError("q must increase from each point to the next")
        bad = ~((width > 0) & (width < 0.4 * q))
        if bool(bad.any()):
            index = int(bad.nonzero()[0, 0])
            raise ParameterError(
                f"width must be above 0 and below 0.4 q, got {float(width[index]):g} 1/Å at q = {float(q[index]):g} 1/Å"
            )
        object.__setattr__(self, "q", q)
        object.__setattr__(self, "width", width)

    @cached_property
    def fine(self) -> Tensor:
        """Return the grid ``(m,)`` in 1/Å on which kernels are to be evaluated."""
        q, width = as_tensor(self.q).double(), as_tensor(self.width).double()
        low, high = q - CUT_BELOW * width, q + CUT_ABOVE * width
        step = width / self.steps
        if self.largest_size is not None:
            # Sixteen points to a fringe of sin²(qD/2).
            step = step.clamp_max(2 * math.pi / self.largest_size / 16)
        start, end = float(low.min()), float(high.max())
        # Wherever the windows of several points overlap the finest of their steps rules.
        knots = torch.linspace(0, 1, 4 * q.numel() + 1, dtype=torch.float64) * math.log(end / start)
        places = start * torch.exp(knots)
        inside = (places[:, None] >= low) & (places[:, None] <= high)
        wanted = torch.where(inside, step, torch.inf).amin(1)
        wanted = torch.where(torch.isfinite(wanted), wanted, step.max())
        # The local density of points, integrated, numbers them.
        segments = 0.5 * (1 / wanted[1:] + 1 / wanted[:-1]) * (places[1:] - places[:-1])
        number = torch.cat([torch.zeros(1, dtype=torch.float64), segments.cumsum(0)])
        count = max(math.ceil(float(number[-1])), 4) + 1
        targets = torch.linspace(0, float(number[-1]), count, dtype=torch.float64)
        index = torch.searchsorted(number, targets).clamp(1, number.numel() - 1)
        share = (targets - number[index - 1]) / (number[index] - number[index - 1])
        return (places[index - 1] + share * (places[index] - places[index - 1])).to(as_tensor(self.q).dtype)

    @cached_property
    def matrix(self) -> Tensor:
        """Return the matrix ``(k, m)`` that takes a curve on `fine` to the smeared curve on q; rows sum to 1."""
        q, width = as_tensor(self.q).double()[:, None], as_tensor(self.width).double()[:, None]
        grid = self.fine.double()
        # Three Gauss nodes in what the window leaves of each segment.
        left = torch.maximum(grid[:-1], q - CUT_BELOW * width)
        length = (torch.minimum(grid[1:], q + CUT_ABOVE * width) - left).clamp_min(0.0)
        first = torch.arange(-1, grid.numel() - 2).clamp(0, grid.numel() - 4)
        around = [grid[first + j] for j in range(4)]
        parts = [torch.zeros_like(left) for _ in range(4)]
        for node, weight in _GAUSS:
            place = left + node * length
            mass = weight * length * torch.exp(-0.5 * ((place - q) / width) ** 2)
            for j in range(4):
                basis = mass
                for i in range(4):
                    if i != j:
                        basis = basis * (place - around[i]) / (around[j] - around[i])
                parts[j] += basis
        result = torch.zeros((q.shape[0], grid.numel()), dtype=torch.float64)
        for j in range(4):
            result.index_add_(1, first + j, parts[j])
        return (result / result.sum(1, keepdim=True)).to(self.fine.dtype)

    def apply(self, curves: Tensor) -> Tensor:
        """Smear curves.

        Parameters
        ----------
        curves
            ``(n, m)`` on `fine`.

        Returns
        -------
        Tensor
            ``(n, k)`` on q.

        Raises
        ------
        ParameterError
            If the curves are not on the fine grid.
        """
        if curves.shape[-1] != self.fine.numel():
            raise ParameterError(
                f"curves must lie on the fine grid of {self.fine.numel()} points, got shape {tuple(curves.shape)}"
            )
        return curves @ self.matrix.T.to(curves.dtype)

"""Mass matrices: a diagonal, and a few directions in which a density is much narrower or wider than that says.

Positions and gradients are made equally wide (Seyboldt, Carlson & Carpenter, 2026, arXiv:2603.18845): that costs fewer
leapfrog steps than matching positions alone where a density is much narrower in some directions than each coordinate
on its own, and the narrow directions are those in which gradients are large, so that few of them are enough.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

MOST_DIRECTIONS = 64
_MOST_POINTS, _FEWEST_POINTS = 384, 32
"""Positions of each group that the directions are estimated from; with fewer there are none."""
_MOST_NUMBERS = 2**23
"""Entries of these positions: with many parameters there are fewer points, and so fewer directions."""
_POINTS_EACH = 4
"""Points for every direction."""
_CLEAR = 2.0
"""Variance of the gradient, where that of a standard normal density is 1, from which on a direction is narrow; and
points for every parameter from which on small variances say something too."""
_ROUNDS = 2
"""Estimates of the diagonal after the first."""
_TINY = 1e-10


@dataclass(frozen=True)
class Mass:
    """Inverse root of a mass matrix, ``S = scale (I + V (stretch - 1) Vᵀ)``, of every group.

    Positions are ``S`` times whitened ones, which should be standard normal, and so are velocities.
    """

    scale: Tensor
    """``(G, D)``."""
    directions: Tensor
    """``V``, ``(G, D, k)`` with orthonormal columns; ``k`` may be 0."""
    stretch: Tensor
    """``(G, k)``."""

    @classmethod
    def diagonal(cls, scale: Tensor) -> Self:
        """Of no directions."""
        return cls(scale, scale.new_zeros(*scale.shape, 0), scale.new_ones(len(scale), 0))

    def _stretched(self, t: Tensor, stretch: Tensor) -> Tensor:
        if not stretch.shape[-1]:
            return t
        inside = torch.bmm(t, self.directions).mul_((stretch - 1).unsqueeze(1))
        return torch.baddbmm(t, inside, self.directions.mT)

    def velocity(self, p: Tensor) -> Tensor:
        """``S p`` of whitened vectors ``(G, chains, D)``."""
        return self._stretched(p, self.stretch) * self.scale.unsqueeze(1)

    def whitened(self, v: Tensor) -> Tensor:
        """Reverse `velocity`."""
        return self._stretched(v / self.scale.unsqueeze(1), self.stretch.reciprocal())

    def force(self, gradient: Tensor) -> Tensor:
        """Gradient ``(G, chains, D)`` by the whitened position, ``Sᵀ gradient``."""
        return self._stretched(gradient * self.scale.unsqueeze(1), self.stretch)

    def push(self) -> Callable[[Tensor], Tensor]:
        """Return the function ``S Sᵀ gradient``: two thin products, where ``S`` and ``Sᵀ`` one by one take four."""
        square = self.scale.square().unsqueeze(1)
        if not self.stretch.shape[-1]:
            return lambda gradient: gradient * square
        down = self.scale.unsqueeze(-1) * self.directions
        up = (down * (self.stretch.square() - 1).unsqueeze(1)).mT.contiguous()
        return lambda gradient: torch.baddbmm(gradient * square, torch.bmm(gradient, down), up)


class Window:
    """Positions and gradients of some iterations, of all chains of a group together.

    Parameters
    ----------
    like
        ``(G, D)``.
    points
        That `add` will be given of each group: so many that only some are kept for the directions.
    directions
        At most.
    """

    def __init__(self, like: Tensor, points: int, directions: int = MOST_DIRECTIONS) -> None:
        self._like, self._directions, self._n = like, directions, 0
        self._sums = torch.zeros(4, *like.shape, dtype=torch.float64, device=like.device)
        most = min(_MOST_POINTS, _MOST_NUMBERS // like.numel())
        self._every = -(-points // most) if directions and most >= _FEWEST_POINTS else 0
        self._kept: list[tuple[Tensor, Tensor]] = []
        self._next = 0

    def add(self, q: Tensor, gradient: Tensor) -> None:
        """Take in an iteration, ``(C, D)``."""
        # A chain that starts where there is no gradient must not spoil what the others say.
        gradient = torch.nan_to_num(gradient, nan=0.0, posinf=0.0, neginf=0.0)
        q, gradient = (t.unflatten(0, (len(self._like), -1)) for t in (q, gradient))
        a, b = q.double(), gradient.double()
        self._sums += torch.stack([t.mean(1) for t in (a, a.square(), b, b.square())])
        self._n += 1
        if self._every:
            chosen = slice(self._next, None, self._every)
            self._kept.append((q[:, chosen].clone(), gradient[:, chosen].clone()))
            self._next = (self._next - q.shape[1]) % self._every

    def mass(self) -> Mass:
        """Estimate what makes both equally wide."""
        q, q2, slope, slope2 = self._sums / self._n
        of_q, of_slope = ((b - a.square()).clamp_min(_TINY) for a, b in ((q, q2), (slope, slope2)))
        scale = (of_q / of_slope).pow(0.25)
        if self._kept:
            kept = [torch.cat(t, 1).double() for t in zip(*self._kept, strict=True)]
            most = min(self._directions, kept[0].shape[1] // _POINTS_EACH, kept[0].shape[2])
            if most:
                return _estimate(kept[0], kept[1], scale, most, self._like)
        return Mass.diagonal(scale.to(self._like))


def _estimate(q: Tensor, gradient: Tensor, scale: Tensor, most: int, like: Tensor) -> Mass:
    """Mass matrix from positions and gradients ``(G, N, D)`` and a first scale ``(G, D)``, double precision."""
    q = (q - q.mean(1, keepdim=True)) / scale.unsqueeze(1)
    gradient = (gradient - gradient.mean(1, keepdim=True)) * scale.unsqueeze(1)
    variances, directions = _principal(gradient, most)
    for _ in range(_ROUNDS):
        # The diagonal is that of the rest: narrow directions, which have a stretch of their own, would narrow every
        # coordinate that they touch.
        rest = (t - t @ directions @ directions.mT for t in (q, gradient))
        of_q, of_gradient = (t.square().mean(1).clamp_min(_TINY) for t in rest)
        change = (of_q / of_gradient).pow(0.25)
        scale, q, gradient = scale * change, q / change.unsqueeze(1), gradient * change.unsqueeze(1)
        variances, directions = _principal(gradient, most)
    clear = variances > _CLEAR
    if _CLEAR * q.shape[2] <= q.shape[1]:
        # Points enough for the other end as well: directions in which the density is wide.
        clear |= variances < 1 / _CLEAR
    # They ascend; a group that has fewer than another stretches nothing in the others.
    first = min(clear.any(0).nonzero().flatten().tolist(), default=most)
    clear = clear[:, first:]
    variances, directions = variances[:, first:], directions[..., first:]
    of_q = (q @ directions).square().mean(1).clamp_min(_TINY)
    stretch = torch.where(clear, (of_q / variances.clamp_min(_TINY)).pow(0.25), 1.0)
    return Mass(scale.to(like), directions.to(like).contiguous(), stretch.to(like))


def _principal(t: Tensor, most: int) -> tuple[Tensor, Tensor]:
    """Largest eigenvalues ``(G, most)``, ascending, and eigenvectors ``(G, D, most)`` of ``tᵀ t / N``."""
    n, dim = t.shape[1:]
    if dim <= n:
        values, vectors = torch.linalg.eigh(t.mT @ t / n)
        return values[:, -most:], vectors[..., -most:]
    values, vectors = torch.linalg.eigh(t @ t.mT / n)
    values, vectors = values[:, -most:], vectors[..., -most:]
    # Of eigenvalue 0 where gradients are too few or all alike: such a direction is not clear, and not used.
    return values, t.mT @ vectors / (n * values.clamp_min(_TINY)).sqrt().unsqueeze(1)

"""What a few further points change at each node of a grid of scales: bordered matrices.

Once the covariance matrix of `n` points is decomposed, its inverse bordered by `k` rows and columns costs ``O(n k²)``
and a Cholesky factor of `k` at each node, where decomposing anew costs ``O(n³)``; and the evidence grows by the density
of what the points say beyond their prediction. Both are exact (Rasmussen & Williams, 2006, appendix A.3, ISBN
978-0262182539). In weight space the same algebra is the update by `k` ranks of Woodbury, Sherman and Morrison.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from surrogates.errors import SurrogateError
from surrogates.inference.nodes import Nodes, Weights

_BLOCK = 64
"""Rows of a symmetric product that are computed at once."""


@dataclass(frozen=True)
class Eigen:
    """A decomposition of one network, `L` times, and what it says at all nodes.

    At a node with prior variance `s²` and level `l`, ``h = s² / (s² values + l)`` are the eigenvalues of the inverse.
    """

    vectors: Tensor
    """``(L, n, n)``, columns."""
    values: Tensor
    """``(L, n)``."""
    targets: Tensor
    """``(L, n)`` in the basis of `vectors`: the solution at a node is ``vectors (h targets)``."""
    evidence: Tensor
    """``(L, N)``, log p(y | scales)."""


@dataclass(frozen=True)
class Further:
    """`k` points beyond those decomposed, of one network."""

    cross: Tensor
    """``(n, k)`` what ties them to the points (or weights) decomposed."""
    corner: Tensor
    """``(k, k)`` their own prior covariance at scale 1."""
    targets: Tensor
    """``(k,)``."""
    variances: Tensor | None
    """``(k,)`` measured, or None."""

    @classmethod
    def none(cls, eigen: Eigen) -> Further:
        """No points."""
        new = eigen.values.new_empty
        return cls(new(eigen.values.shape[-1], 0), new(0, 0), new(0), None)


@dataclass(frozen=True)
class Bordered:
    """Given all points, at the `M` nodes that matter."""

    weights: Weights
    weight: Tensor
    """``(M,)``."""
    solutions: Tensor
    """``(M, n)``, no longer in the basis of the vectors."""
    inverse: Tensor
    """``(n, n)`` mean over the nodes of ``vectors |coupling| h vectorsᵀ``, without the border."""
    edge: Tensor
    """``(M k, n)``; what the border adds to `inverse`, or takes from it, is ``edgeᵀ edge``."""
    further: Tensor
    """``(M, k)`` the further points' own part of the solutions, where there is one (between points, not weights)."""
    edge_further: Tensor
    """``(M k, k)`` and of the edge."""


def _scatter(vectors: Tensor, variances: Tensor) -> Tensor:
    """Sum ``(n, n)`` of ``vectors variances vectorsᵀ`` over ``(L, n, n)`` and ``(L, 1, n)``."""
    stretched = (variances.sqrt() * vectors).movedim(0, 1).flatten(1)
    n = len(stretched)
    lower = stretched.new_zeros(n, n)
    # One half is enough.
    for i in range(0, n, _BLOCK):
        own = slice(i, i + _BLOCK)
        lower[own, : i + _BLOCK] = stretched[own] @ stretched[: i + _BLOCK].mT
    return lower.tril() + lower.tril(-1).mT


def border(nodes: Nodes, eigen: Eigen, coupling: Tensor, further: Further) -> Bordered:
    """Condition the nodes on further points.

    Parameters
    ----------
    nodes
        Of all networks.
    eigen
        Of this network.
    coupling
        ``(L, N)``: ``cross`` meets the inverse as ``coupling h``. The negative prior variance where matrices are those
        of points, the level where they are those of weights.
    further
        Points, or none (``k = 0``).

    Raises
    ------
    SurrogateError
        If rounding leaves a matrix that is not positive definite: decompose all points instead.
    """
    k = len(further.targets)
    vectors, targets = eigen.vectors, eigen.targets.unsqueeze(-2)
    cross = vectors.mT @ further.cross  # (L, n, k)
    s2 = nodes.prior[..., None]
    h = s2 / (s2 * eigen.values.unsqueeze(-2) + nodes.level[..., None])  # (L, N, n)

    explained = (h @ (cross[..., None] * cross[..., None, :]).flatten(-2)).unflatten(-1, (k, k))
    noise = nodes.noise[..., None].expand(*nodes.noise.shape, k)
    if further.variances is not None:
        noise = noise + further.variances
    covariance = s2[..., None] * further.corner + coupling[..., None, None] * explained + torch.diag_embed(noise)
    factor, info = torch.linalg.cholesky_ex(covariance)
    if info.any():
        raise SurrogateError(
            f"the covariance of {k} further points is not positive definite to rounding at every node of the scales: "
            "infer anew with all points, or raise the lowest noise"
        )
    residual = further.targets - h @ (cross * targets.mT)
    white = torch.linalg.solve_triangular(factor, residual.unsqueeze(-1), upper=False)
    log_det = 2 * factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    density = -0.5 * (white.square().sum((-2, -1)) + log_det + k * math.log(2 * math.pi))
    weights = Weights.of(nodes, eigen.evidence + density)

    # From here on only the nodes that matter.
    rows, columns = weights.rows, weights.columns
    vectors, targets, cross, h = vectors[rows], targets[rows], cross[rows], h[rows, columns]
    factor, white, coupling = factor[rows, columns], white[rows, columns], coupling[rows, columns].unsqueeze(-1)
    solved = torch.linalg.solve_triangular(factor.mT, white, upper=True).squeeze(-1)
    root = torch.linalg.solve_triangular(factor, torch.eye(k).to(factor).expand_as(factor), upper=False)
    scale = (coupling * weights.weight.sqrt().unsqueeze(-1)).repeat_interleave(k, 1)  # (L', N' k, 1)
    edge = scale * (h.unsqueeze(-2) * (root @ cross.mT.unsqueeze(-3))).flatten(1, 2)
    return Bordered(
        weights,
        weights.weight.flatten(),
        ((h * (targets + coupling * (solved @ cross.mT))) @ vectors.mT).flatten(0, 1),
        _scatter(vectors, weights.weight.unsqueeze(-2) @ (coupling.abs() * h)),
        (edge @ vectors.mT).flatten(0, 1),
        (-coupling * solved).flatten(0, 1),
        (-scale * root.flatten(1, 2)).flatten(0, 1),
    )

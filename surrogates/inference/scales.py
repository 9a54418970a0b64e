"""Integrating the prior scale and the noise scale of a linear-Gaussian model over its evidence.

For targets ``y ~ N(0, s² K + D + v I)`` with known ``K`` and measured variances ``D``, all that a prediction needs
of the posterior of ``(s, v)`` are moments of ``w = s² (s² K + D + v I)^-1 y`` and ``W = s⁴ (s² K + D + v I)^-1``.
Without ``D`` one eigen-decomposition of ``K`` serves the whole grid. With ``D`` each value of ``v`` needs its own (of
the whitened ``K``), which serves all ``s``; the values of ``v`` are then few and placed where two of the networks find
the evidence. Further points border the decomposition.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from surrogates.inference.border import Eigen, Further, border
from surrogates.inference.nodes import Nodes, log_sum
from surrogates.priors import LogGrid

_SCOUTS = 2
_COARSE = 7
_FINE = 5
_PLAUSIBLE = 5.0
"""Noise levels whose log evidence is lower than the best by more than this are not refined."""


@dataclass(frozen=True)
class ScaleMoments:
    """Posterior moments of each of `G` models, marginal over the scales."""

    dual: Tensor
    """``(G, n)``, E[w]."""
    reduction: Tensor
    """``(G, n, n)``, E[W] - Cov[w]: the predictive covariance is ``E[s²] k(x, x') - k(x, X) reduction k(X, x')``."""
    prior_variance: Tensor
    """``(G,)``, E[s²]."""
    noise_variance: Tensor
    """``(G,)``, E[v]."""
    log_evidence: Tensor
    """``(G,)``, log p(y), averaged over the prior of the scales."""


@dataclass(frozen=True)
class Decomposition:
    """Of the (whitened) covariance of `n` points at each of `L` noise levels, or once for all levels (``L = 1``)."""

    nodes: Nodes
    networks: tuple[Eigen, ...]
    """Vectors are already multiplied by the whitening."""


def _eigen(nodes: Nodes, K: Tensor, y: Tensor, variances: Tensor | None) -> Eigen:
    """Of one network's ``(n, n)`` and ``(n,)``: as it is, or whitened at each noise level."""
    if variances is None:
        values, vectors = torch.linalg.eigh(K.unsqueeze(0))
        whitening = torch.zeros_like(nodes.noise[:, :1])
    else:
        total = variances + nodes.noise[:, :1]
        root = total.rsqrt()
        values, vectors = torch.linalg.eigh(root.unsqueeze(-1) * K * root.unsqueeze(-2))
        vectors = root.unsqueeze(-1) * vectors
        whitening = total.log().sum(-1, keepdim=True)
    values, targets = values.clamp_min(0.0), y @ vectors
    shifted = nodes.prior[..., None] * values.unsqueeze(-2) + nodes.level[..., None]
    log_det = log_sum(shifted) + whitening
    fit = (shifted.reciprocal_() @ targets.square().unsqueeze(-1)).squeeze(-1)
    evidence = -0.5 * (log_det + fit + len(y) * math.log(2 * math.pi))
    return Eigen(vectors, values, targets, evidence)


def noise_levels(K: Tensor, y: Tensor, variances: Tensor | None, prior_sd: LogGrid, noise_sd: LogGrid) -> Tensor:
    """Noise variances ``(V,)`` of the grid, or those worth an eigen-decomposition where variances were measured."""
    if variances is None:
        return noise_sd.nodes(y).square()
    # Far below the measured errors all levels are alike: no need to tell them apart.
    floor = 0.25 * float(variances.median().sqrt())
    low = min(max(noise_sd.low, floor), noise_sd.high)
    if low == noise_sd.high:
        return LogGrid.fixed(low).nodes(y).square()
    coarse = LogGrid(low, noise_sd.high, min(_COARSE, max(noise_sd.size, 2))).nodes(y)
    nodes = Nodes.of(prior_sd, noise_sd, coarse.square(), shared=False)
    scouts = [_eigen(nodes, K[g], y[g], variances[g]).evidence for g in range(min(_SCOUTS, len(K)))]
    evidence = torch.stack(scouts).logsumexp(-1).mean(0) + noise_sd.log_density(coarse)
    plausible = torch.nonzero(evidence > evidence.max() - _PLAUSIBLE).squeeze(-1)
    # Half a step beyond the outermost plausible levels, so that a narrow peak between two levels is covered.
    half = float((coarse[1] / coarse[0]).sqrt())
    first = max(float(coarse[plausible[0]]) / half, low)
    last = min(float(coarse[plausible[-1]]) * half, noise_sd.high)
    return LogGrid(first, last, _FINE).nodes(y).square()


def decompose(
    K: Tensor, y: Tensor, variances: Tensor | None, prior_sd: LogGrid, noise_sd: LogGrid, levels: Tensor
) -> Decomposition:
    """Decompose once for all noise variances `levels`, or for each of them where variances were measured.

    Parameters
    ----------
    K
        ``(G, n, n)`` prior covariances at scale 1, float64, positive semi-definite (may be singular).
    y
        ``(G, n)`` targets.
    variances
        ``(G, n)`` measured variances, or None.
    prior_sd, noise_sd
        Grids of ``s`` and ``sqrt(v)``; of the latter the prior alone counts.
    levels
        ``(V,)``, see `noise_levels`.
    """
    nodes = Nodes.of(prior_sd, noise_sd, levels, shared=variances is None)
    # One network at a time: what passes through stays in the cache.
    measured = [None] * len(y) if variances is None else variances
    return Decomposition(nodes, tuple(_eigen(nodes, *own) for own in zip(K, y, measured, strict=True)))


def integrate(parts: Decomposition, further: Sequence[Further] | None = None) -> ScaleMoments:
    """Moments given the points decomposed and `further` ones of each network: as if all had been decomposed.

    Raises
    ------
    SurrogateError
        If rounding leaves a matrix that is not positive definite: decompose all points instead.
    """
    if further is None:
        further = [Further.none(eigen) for eigen in parts.networks]
    found = [_integrate(parts.nodes, eigen, own) for eigen, own in zip(parts.networks, further, strict=True)]
    return ScaleMoments(*(torch.stack(t) for t in zip(*found, strict=True)))


def _integrate(nodes: Nodes, eigen: Eigen, further: Further) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Of one network, in the order of `ScaleMoments`."""
    at = border(nodes, eigen, -nodes.prior, further)
    n = at.solutions.shape[-1]
    solutions = torch.cat([at.solutions, at.further], -1)
    edge = torch.cat([at.edge, at.edge_further], -1)
    dual = at.weight @ solutions
    away = at.weight.sqrt()[:, None] * (solutions - dual)
    reduction = edge.mT @ edge - away.mT @ away
    reduction[:n, :n] += at.inverse
    reduction = 0.5 * (reduction + reduction.mT)
    return dual, reduction, at.weights.prior_variance, at.weights.noise_variance, at.weights.log_evidence


def integrate_scales(
    K: Tensor, y: Tensor, variances: Tensor | None, prior_sd: LogGrid, noise_sd: LogGrid
) -> ScaleMoments:
    """Integrate both scales; arguments as of `decompose`."""
    levels = noise_levels(K, y, variances, prior_sd, noise_sd)
    return integrate(decompose(K, y, variances, prior_sd, noise_sd, levels))

"""Integrating the prior scale and the noise scale of a linear-Gaussian model over its evidence.

For targets ``y ~ N(0, s² K + D + v I)`` with known ``K`` and measured variances ``D``, all that a prediction needs
of the posterior of
``(s, v)`` are moments of ``w = s² (s² K + D + v I)^-1 y`` and ``W = s⁴ (s² K + D + v I)^-1``. Without ``D`` one
eigen-decomposition of
``K`` serves the whole grid. With ``D`` each value of ``v`` needs its own (of the whitened ``K``), which serves all
``s``; the
values of ``v`` are then few and placed where two of the networks find the evidence.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

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
class _Slice:
    """One noise level or all of them, with the eigen-decomposition that serves them."""

    vectors: Tensor  # (G, n, n), columns; already multiplied by the whitening
    values: Tensor  # (G, n)
    targets: Tensor  # (G, n), in the eigenbasis
    log_scale: Tensor  # (G,), log determinant of the whitening's inverse square
    level: Tensor  # (V,), noise variances that are added to the eigenvalues (whitened: the 1 of D + v I)
    noise: Tensor  # (V,), noise variances that they stand for


def _decompose(K: Tensor) -> tuple[Tensor, Tensor]:
    values, vectors = torch.linalg.eigh(K)
    return values.clamp_min(0.0), vectors


def _homoskedastic(K: Tensor, y: Tensor, v: Tensor) -> _Slice:
    values, vectors = _decompose(K)
    targets = (vectors.mT @ y.unsqueeze(-1)).squeeze(-1)
    return _Slice(vectors, values, targets, torch.zeros_like(y[:, 0]), v, v)


def _whitened(K: Tensor, y: Tensor, D: Tensor, v: Tensor) -> _Slice:
    """One noise variance `v` (0-dimensional) on top of the measured ones."""
    root = (D + v).rsqrt()
    values, vectors = _decompose(root.unsqueeze(-1) * K * root.unsqueeze(-2))
    targets = (vectors.mT @ (root * y).unsqueeze(-1)).squeeze(-1)
    return _Slice(
        root.unsqueeze(-1) * vectors, values, targets, -2 * root.log().sum(-1), torch.ones_like(v).view(1), v.view(1)
    )


def _log_evidence(part: _Slice, s2: Tensor) -> Tensor:
    """``(G, S, V)``."""
    total = s2[:, None, None] * part.values[:, None, None, :] + part.level[None, :, None]
    fit = part.targets.square()[:, None, None, :] / total
    n = part.values.shape[-1]
    constant = n * torch.log(torch.tensor(2 * torch.pi, dtype=total.dtype))
    return -0.5 * ((total.log() + fit).sum(-1) + part.log_scale[:, None, None] + constant)


def _noise_levels(K: Tensor, y: Tensor, D: Tensor, s2: Tensor, grid: LogGrid) -> Tensor:
    """Noise variances worth an eigen-decomposition of every network, given measured variances."""
    # Far below the measured errors all levels are alike: no need to tell them apart.
    floor = 0.25 * float(D.median().sqrt())
    low = min(max(grid.low, floor), grid.high)
    if low == grid.high:
        return LogGrid.fixed(low).nodes(y).square()
    coarse = LogGrid(low, grid.high, min(_COARSE, max(grid.size, 2))).nodes(y)
    scouts = slice(0, min(_SCOUTS, K.shape[0]))
    evidence = torch.stack(
        [_log_evidence(_whitened(K[scouts], y[scouts], D[scouts], v), s2).logsumexp(1).mean() for v in coarse.square()]
    )
    evidence = evidence + grid.log_density(coarse)
    plausible = torch.nonzero(evidence > evidence.max() - _PLAUSIBLE).squeeze(-1)
    # Half a step beyond the outermost plausible levels, so that a narrow peak between two levels is covered.
    half = float((coarse[1] / coarse[0]).sqrt())
    first = max(float(coarse[plausible[0]]) / half, low)
    last = min(float(coarse[plausible[-1]]) * half, grid.high)
    return LogGrid(first, last, _FINE).nodes(y).square()


def integrate_scales(
    K: Tensor, y: Tensor, variances: Tensor | None, prior_sd: LogGrid, noise_sd: LogGrid
) -> ScaleMoments:
    """Integrate both scales.

    Parameters
    ----------
    K
        ``(G, n, n)`` prior covariances at scale 1, float64, positive semi-definite (may be singular).
    y
        ``(G, n)`` targets.
    variances
        ``(G, n)`` measured variances, or None.
    prior_sd, noise_sd
        Grids of ``s`` and ``sqrt(v)``.
    """
    s2 = prior_sd.nodes(y).square()
    if variances is None:
        parts = [_homoskedastic(K, y, noise_sd.nodes(y).square())]
    else:
        levels = _noise_levels(K, y, variances, s2, noise_sd)
        parts = [_whitened(K, y, variances, v) for v in levels]

    likelihood = torch.cat([_log_evidence(part, s2) for part in parts], -1)
    of_prior = prior_sd.log_density(s2.sqrt()).log_softmax(0)
    of_noise = noise_sd.log_density(torch.cat([part.noise for part in parts]).sqrt()).log_softmax(0)
    evidence = likelihood + of_prior[:, None] + of_noise
    flat = evidence.flatten(1)
    weight = torch.softmax(flat, -1).view_as(evidence).split([len(part.level) for part in parts], -1)

    n_networks, n = y.shape
    dual = y.new_zeros(n_networks, n)
    second = y.new_zeros(n_networks, n, n)
    prior_variance = y.new_zeros(n_networks)
    noise_variance = y.new_zeros(n_networks)
    for part, w in zip(parts, weight, strict=True):
        shrunk = s2[:, None, None] / (s2[:, None, None] * part.values[:, None, None, :] + part.level[None, :, None])
        shrunk = shrunk.flatten(1, 2)  # (G, S V, n)
        w_flat = w.flatten(1)
        vectors = part.vectors
        solutions = shrunk * part.targets.unsqueeze(1)
        dual = dual + (vectors @ (w_flat.unsqueeze(1) @ solutions).mT).squeeze(-1)
        w_s2 = (w * s2[:, None]).flatten(1)
        diagonal = (w_s2.unsqueeze(1) @ shrunk).squeeze(1)
        # E[W] - E[w wᵀ] in the eigenbasis; E[w] E[w]ᵀ is added once, at the end.
        inner = torch.diag_embed(diagonal) - (w_flat.unsqueeze(-1) * solutions).mT @ solutions
        second = second + vectors @ inner @ vectors.mT
        prior_variance = prior_variance + w_s2.sum(-1)
        noise_variance = noise_variance + (w * part.noise).flatten(1).sum(-1)
    reduction = second + dual.unsqueeze(-1) * dual.unsqueeze(-2)
    return ScaleMoments(
        dual,
        0.5 * (reduction + reduction.mT),
        prior_variance,
        noise_variance,
        flat.logsumexp(-1),
    )

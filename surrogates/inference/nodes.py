"""A grid of two scales, the prior's and the noise's, and the posterior over its nodes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from surrogates.priors import LogGrid

_NEGLIGIBLE = 1e-16
"""Posterior probability below which a node is left out of the moments: less than they are rounded by."""


@dataclass(frozen=True)
class Nodes:
    """Pairs of scales ``(L, N)``: one row for each decomposition that serves them (of each network)."""

    prior: Tensor
    """Prior variances of the function."""
    noise: Tensor
    """Variances of the model's own noise."""
    level: Tensor
    """What is added to the decomposition's eigenvalues: the noise, or 1 where it is whitened away."""
    log_prior: Tensor
    """Of the pair; its exponential sums to 1."""

    @classmethod
    def of(cls, prior_sd: LogGrid, noise_sd: LogGrid, levels: Tensor, *, shared: bool) -> Nodes:
        """All pairs of the prior's grid and of noise variances `levels` ``(V,)``, of which `noise_sd` is the prior.

        One decomposition is shared by all of them (``L = 1``), or each level has its own (``L = V``).
        """
        sd = prior_sd.nodes(levels)
        of_noise = noise_sd.log_density(levels.sqrt()).log_softmax(0)
        log_prior = prior_sd.log_density(sd).log_softmax(0) + of_noise[:, None]
        noise = levels[:, None].expand_as(log_prior)
        level = noise if shared else torch.ones_like(noise)
        rows = [sd.square().expand_as(log_prior), noise, level, log_prior]
        return cls(*((t.reshape(1, -1) if shared else t) for t in rows))


@dataclass(frozen=True)
class Weights:
    """Posterior of the scales of one network."""

    weight: Tensor
    """``(L', N')`` of the nodes that matter and of some in between."""
    rows: slice
    columns: Tensor
    """``(N',)``."""
    prior_variance: Tensor
    noise_variance: Tensor
    log_evidence: Tensor
    """Posterior means and the evidence; no dimensions."""

    @classmethod
    def of(cls, nodes: Nodes, evidence: Tensor) -> Weights:
        """From the log evidence ``(L, N)`` at each node."""
        joint = evidence + nodes.log_prior
        total = joint.flatten().logsumexp(0)
        weight = (joint - total).exp()
        matters = weight > _NEGLIGIBLE
        rows = torch.nonzero(matters.any(1))
        kept = slice(int(rows[0]), int(rows[-1]) + 1)
        columns = torch.nonzero(matters.any(0)).squeeze(-1)
        return cls(
            weight[kept, columns],
            kept,
            columns,
            (weight * nodes.prior).sum(),
            (weight * nodes.noise).sum(),
            total,
        )


def log_sum(t: Tensor) -> Tensor:
    """Sum over the last dimension of the logarithms of positive numbers between 1e-77 and 1e77.

    Of products of four: logarithms are what the evidence on a grid spends its time with.
    """
    for _ in range(2):
        half = t.shape[-1] // 2
        t = torch.cat([t[..., :half] * t[..., half : 2 * half], t[..., 2 * half :]], -1)
    return t.log().sum(-1)

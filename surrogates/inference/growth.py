"""When an update may start from what was decomposed before."""

from __future__ import annotations

from dataclasses import replace

import torch

from surrogates.inference.base import Problem

MOST = 16
"""Points that any decomposition is bordered with."""
_SHARE, _SHARE_SHARED = 4, 25
"""That of a covariance of `n` points, with one in so many at most, which is about where bordering costs what
decomposing anew does; with measured variances that takes many decompositions, else one."""


def worthwhile(n: int, k: int, *, shared: bool) -> bool:
    """Whether to border the covariance of `n` points with `k`; all noise levels share its decomposition, or none do."""
    return k <= min(MOST, n // (_SHARE_SHARED if shared else _SHARE))


def first(problem: Problem, n: int) -> Problem:
    """Return the same problem with the first `n` points alone."""
    return replace(
        problem,
        X=problem.X[:n],
        targets=problem.targets[:, :n],
        variances=None if problem.variances is None else problem.variances[:, :n],
    )


def extends(problem: Problem, old: Problem) -> bool:
    """Whether a problem is an old one with points added behind, or none."""
    n = len(old.X)
    if len(problem.X) < n or (problem.variances is None) != (old.variances is None):
        return False
    same = (
        problem.networks is old.networks
        and problem.centre is old.centre
        and problem.kernel is old.kernel
        and problem.mean is old.mean
        and (problem.layers, problem.prior_sd, problem.noise_sd) == (old.layers, old.prior_sd, old.noise_sd)
        and problem.likelihood == old.likelihood
    )
    mine = first(problem, n)
    tensors = [(mine.X, old.X), (mine.targets, old.targets), (mine.reference, old.reference)]
    if mine.variances is not None and old.variances is not None:
        tensors.append((mine.variances, old.variances))
    return same and all(torch.equal(a, b) for a, b in tensors)

"""Simulation-based calibration: whether an engine's posterior holds the truth as often as it says.

Parameters, scales and values are drawn from the model; an engine infers from the values; the place of the truth in the
posterior must then be uniform, whatever the quantity (Talts et al., 2018, arXiv:1804.06788). All simulations are one
problem with as many copies of a network, each with its own truth and its own values.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import scipy.stats
import torch
from pyro.infer import Predictive
from torch import Tensor

from surrogates.errors import SurrogateError
from surrogates.inference.base import Engine, MemberPosterior, Problem
from surrogates.inference.draws import DrawsPosterior
from surrogates.inference.latent import seeded
from surrogates.networks import NetworkEnsemble
from surrogates.pyro_model import problem_model


@dataclass(frozen=True)
class Simulations:
    """Truths drawn from the model, and the problem of inferring them."""

    problem: Problem
    """As many networks as simulations, all alike but for their targets."""
    X: Tensor
    """``(k, d)`` points at which the function is to be found."""
    f: Tensor
    """``(simulations, k)`` true function there (first head)."""
    scales: dict[str, Tensor]
    """``prior_sd`` and ``noise_sd`` ``(simulations,)``, those of the two that are not fixed."""


def simulate(problem: Problem, X: Tensor, simulations: int, *, network: int = 0, seed: int = 0) -> Simulations:
    """Draw truths and values from the Pyro model of one network of a problem, at its points.

    Parameters
    ----------
    problem
        Its targets are of no account.
    X
        ``(k, d)``.
    """
    n = len(problem.X)
    variances = None
    if problem.variances is not None:
        # Nothing is measured at the other points: what is drawn there is not looked at.
        variances = torch.cat([problem.variances[network], problem.variances.new_ones(len(X))])
    model = problem_model(problem, network)
    with seeded(seed, problem.X), torch.no_grad():
        drawn = Predictive(model, num_samples=simulations, parallel=True)(torch.cat([problem.X, X]), None, variances)
    f = drawn["f"].reshape(simulations, n + len(X), -1)
    copies = torch.full((simulations,), network, device=X.device)

    def many(networks: NetworkEnsemble) -> NetworkEnsemble:
        return networks.select(copies)

    repeated = replace(
        problem,
        networks=many(problem.networks),
        targets=drawn["y"].reshape(simulations, n + len(X))[:, :n].to(problem.X),
        variances=None if problem.variances is None else problem.variances[copies],
        centre=None if problem.centre is None else many(problem.centre),
    )
    names = ("prior_sd", "noise_sd")
    scales = {name: drawn[f"log_{name}"].flatten().exp() for name in names if f"log_{name}" in drawn}
    return Simulations(repeated, X, f[:, n:, 0], scales)


def places(
    posterior: MemberPosterior, simulations: Simulations, *, keep: int = 63, width: float = 1.0, seed: int = 0
) -> dict[str, Tensor]:
    """Place of each truth in its posterior, between 0 and 1: uniform if the posterior is right.

    Of draws it is the rank among `keep` of them, evenly spaced, with ties and steps smoothed by random numbers; of a
    belief the cumulative probability. A belief holds two moments: where scales were integrated it stands for a mixture
    of Gaussians, and its places are not exactly uniform even if it is right.

    Parameters
    ----------
    keep
        Draws of all chains of a network. Draws that depend on each other spoil the ranks: many fewer than the
        effective number are to be kept.
    width
        Factor by which the posterior of the function is made narrower (below 1) or wider around its mean: to see
        whether a wrong posterior is found out.

    Returns
    -------
    dict
        ``f0``, ``f1`` ... of the points, and of draws ``prior_sd`` and ``noise_sd`` where they are not fixed;
        ``(simulations,)`` each.
    """
    with torch.no_grad():
        if not isinstance(posterior, DrawsPosterior):
            belief = posterior.evaluate(simulations.X)
            z = (simulations.f - belief.mean) / (width * belief.variance().sqrt())
            return {f"f{i}": column for i, column in enumerate(torch.special.ndtr(z).unbind(-1))}
        f = posterior.predictions(simulations.X)[..., 0].flatten(1, 2)
        f = f.mean(1, keepdim=True) + width * (f - f.mean(1, keepdim=True))
        truths = {f"f{i}": (simulations.f[:, i], f[:, :, i]) for i in range(f.shape[-1])}
        drawn = {"prior_sd": posterior.prior_sd, "noise_sd": posterior.noise_sd}
        truths |= {name: (truth, drawn[name].flatten(1)) for name, truth in simulations.scales.items()}
        total = f.shape[1]
        if total < keep:
            raise SurrogateError(f"there are {total} draws of each network, fewer than the {keep} that ranks need")
        chosen = torch.linspace(0, total - 1, keep, device=f.device).round().long()
        random = torch.Generator().manual_seed(seed)
        found = {}
        for name, (truth, draws) in truths.items():
            below = (draws[:, chosen] < truth.unsqueeze(-1)).sum(-1)
            found[name] = (below + torch.rand(len(truth), generator=random, dtype=f.dtype).to(f)) / (keep + 1)
        return found


def uniformity(places: Tensor, bins: int = 8) -> float:
    """p-value of the chi-square test that `places (k,)` are uniform; k should be at least ten times `bins`."""
    counts, _ = np.histogram(places.cpu().numpy(), bins, (0.0, 1.0))
    return float(scipy.stats.chisquare(counts).pvalue)


@dataclass(frozen=True)
class Calibration:
    """What simulation-based calibration found of an engine."""

    p_values: dict[str, float]
    """Of uniformity, by quantity."""
    coverage: dict[str, float]
    """Fraction of the simulations in which the central 90 % hold the truth."""
    converged: bool
    report: dict[str, float]

    @property
    def p_value(self) -> float:
        """Of all quantities together: the smallest, corrected for their number (Bonferroni)."""
        return min(1.0, len(self.p_values) * min(self.p_values.values()))


def calibrate(engine: Engine, simulations: Simulations, *, keep: int = 63, width: float = 1.0) -> Calibration:
    """Infer all simulations with an engine and test where the truths lie; see `places`."""
    posterior = engine.infer(simulations.problem)
    found = places(posterior, simulations, keep=keep, width=width, seed=simulations.problem.seed)
    return Calibration(
        {name: uniformity(u) for name, u in found.items()},
        {name: float(((u > 0.05) & (u < 0.95)).double().mean()) for name, u in found.items()},
        posterior.converged,
        dict(posterior.report),
    )

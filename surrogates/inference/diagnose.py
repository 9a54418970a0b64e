"""Whether chains have converged: judged by their predictions, as weights have many equivalent modes."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from surrogates.inference.base import Problem
from surrogates.inference.draws import DrawsPosterior
from surrogates.networks import Parameters

MAX_R_HAT = 1.05
MIN_ESS = 100.0
MAX_DIVERGENT = 0.01
_POINTS = 50


def diagnose(predictions: Tensor) -> dict[str, float]:
    """Return the largest split R-hat and the smallest bulk ESS (Vehtari et al., 2021, doi:10.1214/20-BA1221).

    Parameters
    ----------
    predictions
        ``(G, chains, draws, k)``. A single chain is split in two before anything is computed. Quantities that are the
        same in every draw say nothing and are left out; a quantity that is not finite, or whose chains all stand still
        in different places, has an infinite R-hat and no effective draw.
    """
    import arviz

    values = predictions.detach().cpu().numpy().astype(np.float64)
    if values.shape[1] == 1:
        half = values.shape[2] // 2
        values = np.concatenate([values[:, :, :half], values[:, :, half : 2 * half]], 1)
    quantities = np.moveaxis(values, 0, 2).reshape(*values.shape[1:3], -1)
    if not np.isfinite(quantities).all():
        return {"r_hat": math.inf, "ess": 0.0}
    quantities = quantities[..., np.ptp(quantities, (0, 1)) > 0]
    if quantities.shape[-1] == 0:
        return {"r_hat": 1.0, "ess": float(values.shape[1] * values.shape[2])}
    data = arviz.convert_to_dataset({"f": quantities})
    with warnings.catch_warnings():
        # Chains that stand still have no variance to divide by.
        warnings.simplefilter("ignore", RuntimeWarning)
        r_hat = np.asarray(arviz.rhat(data, method="rank")["f"])
        ess = np.asarray(arviz.ess(data, method="bulk")["f"])
    if not (np.isfinite(r_hat).all() and np.isfinite(ess).all()):
        return {"r_hat": math.inf, "ess": 0.0}
    return {"r_hat": float(r_hat.max()), "ess": float(ess.min())}


def judged(
    problem: Problem,
    parameters: Mapping[int, Parameters],
    *,
    prior_sd: Tensor,
    noise_sd: Tensor,
    divergences: float,
    acceptance: float,
) -> DrawsPosterior:
    """Return draws together with the judgement on their chains.

    Parameters
    ----------
    parameters, prior_sd, noise_sd
        As of `DrawsPosterior`.
    divergences
        Fraction of the draws.
    acceptance
        Mean acceptance probability.
    """
    drawn = DrawsPosterior(
        problem.networks, problem.layers, problem.likelihood, parameters, noise_sd, prior_sd, {}, False
    )
    X = torch.cat([problem.X, problem.reference])
    chosen = torch.linspace(0, len(X) - 1, min(_POINTS, len(X)), device=X.device).round().long()
    with torch.no_grad():
        found = diagnose(drawn.predictions(X[chosen]).flatten(-2))
    good = found["r_hat"] < MAX_R_HAT and found["ess"] >= MIN_ESS and divergences <= MAX_DIVERGENT
    report = {**found, "divergences": divergences, "acceptance": acceptance}
    return DrawsPosterior(
        problem.networks, problem.layers, problem.likelihood, parameters, noise_sd, prior_sd, report, good
    )

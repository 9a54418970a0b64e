"""Whether chains have converged: judged by their predictions, as weights have many equivalent modes."""

from __future__ import annotations

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
        ``(G, chains, draws, k)``. A single chain is split in two before anything is computed.
    """
    import arviz

    values = predictions.detach().cpu().numpy().astype(np.float64)
    if values.shape[1] == 1:
        half = values.shape[2] // 2
        values = np.concatenate([values[:, :, :half], values[:, :, half : 2 * half]], 1)
    quantities = np.moveaxis(values, 0, 2).reshape(*values.shape[1:3], -1)
    data = arviz.convert_to_dataset({"f": quantities})
    with warnings.catch_warnings():
        # A quantity that is the same in every draw (a saturated network) has no R-hat.
        warnings.simplefilter("ignore", RuntimeWarning)
        r_hat = np.asarray(arviz.rhat(data, method="rank")["f"])
        ess = np.asarray(arviz.ess(data, method="bulk")["f"])
    moving = quantities.std((0, 1)) > 0
    if not moving.any():
        return {"r_hat": 1.0, "ess": float(quantities.shape[0] * quantities.shape[1])}
    return {"r_hat": float(r_hat[moving].max()), "ess": float(ess[moving].min())}


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

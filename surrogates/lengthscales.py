"""Length scales of a Matérn kernel, fitted by BoTorch."""

from __future__ import annotations

import math
import warnings

import torch
from botorch.exceptions import OptimizationWarning
from botorch.fit import fit_gpytorch_mll
from botorch.models import SingleTaskGP
from gpytorch.constraints import GreaterThan
from gpytorch.kernels import MaternKernel, ScaleKernel
from gpytorch.mlls import ExactMarginalLogLikelihood
from gpytorch.priors import LogNormalPrior
from torch import Tensor

from surrogates.errors import SurrogateError
from surrogates.gp import measured_and_learned_noise

_MEDIAN, _LOG_SD = 0.3, 0.75
_SHORTEST = 0.025


def fit_lengthscales(X: Tensor, Y: Tensor, Yvar: Tensor | None, *, max_iterations: int = 60) -> Tensor:
    """Fit one Matérn-5/2 kernel with a length scale for each input to each output.

    Their prior is log-normal with a median of ``0.3 sqrt(d)``, as distances in the unit cube grow with its dimension
    (Hvarfner et al., 2024, arXiv:2402.02229, who presume much smoother functions in few dimensions).

    Parameters
    ----------
    X
        ``(n, d)`` in the unit cube.
    Y
        ``(n, m)`` standardised.
    Yvar
        ``(n, m)`` measured variances of the same, or None.

    Returns
    -------
    Tensor
        ``(m, d)``; no random number is drawn.

    Raises
    ------
    SurrogateError
        If the fit fails.
    """
    d, m = X.shape[-1], Y.shape[-1]
    outputs = torch.Size([m]) if m > 1 else torch.Size()
    median = _MEDIAN * math.sqrt(d)
    matern = MaternKernel(
        nu=2.5,
        ard_num_dims=d,
        batch_shape=outputs,
        lengthscale_prior=LogNormalPrior(math.log(median), _LOG_SD),
        lengthscale_constraint=GreaterThan(_SHORTEST, transform=None, initial_value=max(median, 2 * _SHORTEST)),
    )
    model = SingleTaskGP(
        X,
        Y,
        Yvar,
        likelihood=None if Yvar is None else measured_and_learned_noise(Yvar),
        covar_module=ScaleKernel(matern, batch_shape=outputs),
        outcome_transform=None,
    )
    try:
        with torch.enable_grad(), warnings.catch_warnings():
            # Stopping at the iteration limit is a result. A retry would draw its start from the global generator.
            warnings.simplefilter("ignore", OptimizationWarning)
            fit_gpytorch_mll(
                ExactMarginalLogLikelihood(model.likelihood, model),
                max_attempts=1,
                warning_handler=lambda _: True,
                optimizer_kwargs={"options": {"maxiter": max_iterations}},
            )
    except Exception as error:
        raise SurrogateError(
            f"the length scales of a Matérn kernel could not be fitted to {len(X)} points: {error}. Look for repeated "
            "points with contradicting values, or values many orders of magnitude apart"
        ) from error
    return matern.lengthscale.detach().reshape(m, d).to(X)

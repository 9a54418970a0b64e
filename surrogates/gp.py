"""Gaussian process: the smooth, cheap model that every other surrogate has to beat."""

from __future__ import annotations

import time
import warnings
from typing import Any, Self

import torch
from botorch.exceptions import OptimizationWarning
from botorch.fit import fit_gpytorch_mll
from botorch.models import SingleTaskGP
from botorch.models.transforms import Standardize
from botorch.models.utils import fantasize as fantasize_flag
from botorch.models.utils.gpytorch_modules import get_covar_module_with_dim_scaled_prior
from gpytorch.constraints import GreaterThan
from gpytorch.likelihoods import FixedNoiseGaussianLikelihood
from gpytorch.mlls import ExactMarginalLogLikelihood
from gpytorch.priors import LogNormalPrior
from gpytorch.settings import min_fixed_noise
from linear_operator.operators import LinearOperator
from torch import Tensor

from surrogates.checks import check_training_data
from surrogates.errors import SurrogateError

_MIN_NOISE = 1e-4
"""Of the learned noise's variance, in units of the targets' variance: BoTorch's own bound."""


class MeasuredAndLearnedNoise(FixedNoiseGaussianLikelihood):
    """Measured variances plus one learned for all points.

    BoTorch hands the likelihood the *measured* variances of new points, taken from `noise`, in noisy posteriors and in
    fantasies, and expects the learned part to be added. GPyTorch's own class does not: its `noise` already holds the
    learned part, and what is handed over replaces that part as well as the measured one.
    """

    @property
    def noise(self) -> Tensor:
        """Measured variances alone, ``(*batch, n)``."""
        return self.noise_covar.noise

    @noise.setter
    def noise(self, value: Tensor) -> None:
        self.noise_covar.initialize(noise=value)

    def _shaped_noise_covar(
        self, base_shape: torch.Size, *params: Any, noise: Tensor | None = None, **kwargs: Any
    ) -> LinearOperator:
        shape = None if params else base_shape
        measured = self.noise_covar(*params, shape=shape, noise=noise, **kwargs)
        # Without a shape the learned noise follows `params`, whose batch may lack the outputs' dimension.
        return measured + self.second_noise_covar(shape=measured.shape[:-1])


def measured_and_learned_noise(variances: Tensor) -> MeasuredAndLearnedNoise:
    """Likelihood of standardised targets ``(n, m)`` with these measured variances."""
    m = variances.shape[-1]
    # GPyTorch's own floor, in units of the targets' variance; below it GPyTorch warns at every fit.
    variances = variances.clamp_min(min_fixed_noise.value(variances.dtype))
    prior = LogNormalPrior(loc=-4.0, scale=1.0)
    return MeasuredAndLearnedNoise(
        variances.mT if m > 1 else variances.squeeze(-1),
        learn_additional_noise=True,
        batch_shape=torch.Size([m]) if m > 1 else torch.Size(),
        noise_prior=prior,
        noise_constraint=GreaterThan(_MIN_NOISE, transform=None, initial_value=prior.mode),
    )


class GaussianProcess(SingleTaskGP):
    """Matérn-5/2 Gaussian process with one length scale a dimension, fitted when constructed; outputs are independent.

    Length scales have the log-normal prior that grows with the dimension (Hvarfner et al., 2024, arXiv:2402.02229).

    Parameters
    ----------
    train_X
        ``(n, d)`` in the unit cube, n >= 2.
    train_Y
        ``(n, m)`` in original units; standardised inside.
    train_Yvar
        ``(n, m)`` measured variances, or None. Noise common to all points is learned beside them: measured error
        bars rarely hold everything.
    seed
        Taken for the sake of the surrogates' common call; the fit draws no random number.
    max_iterations
        Of L-BFGS-B.

    Raises
    ------
    SurrogateError
        If the data cannot be used, or the fit fails.
    """

    def __init__(
        self,
        train_X: Tensor,
        train_Y: Tensor,
        train_Yvar: Tensor | None = None,
        *,
        seed: int = 0,
        max_iterations: int = 200,
    ) -> None:
        began = time.perf_counter()
        check_training_data(train_X, train_Y, train_Yvar)
        d, m = train_X.shape[-1], train_Y.shape[-1]
        outputs = torch.Size([m]) if m > 1 else torch.Size()
        standardise = Standardize(m=m)
        likelihood: FixedNoiseGaussianLikelihood | None = None
        if train_Yvar is not None:
            _, standardised = standardise(train_Y, train_Yvar)
            likelihood = measured_and_learned_noise(standardised)
        super().__init__(
            train_X,
            train_Y,
            train_Yvar,
            likelihood=likelihood,
            covar_module=get_covar_module_with_dim_scaled_prior(d, batch_shape=outputs, use_rbf_kernel=False),
            outcome_transform=Standardize(m=m),
        )
        self._measured = train_Yvar is not None
        likelihood_of_data = ExactMarginalLogLikelihood(self.likelihood, self)
        try:
            with torch.enable_grad(), warnings.catch_warnings():
                # Stopping at the iteration limit is a result. A retry would draw its start from the global generator.
                warnings.simplefilter("ignore", OptimizationWarning)
                fit_gpytorch_mll(
                    likelihood_of_data,
                    max_attempts=1,
                    warning_handler=lambda _: True,
                    optimizer_kwargs={"options": {"maxiter": max_iterations}},
                )
        except Exception as error:
            raise SurrogateError(
                f"the Gaussian process could not be fitted to {len(train_X)} points: {error}. Look for repeated "
                "points with contradicting values, or values many orders of magnitude apart"
            ) from error
        self._fit_s = time.perf_counter() - began

    def condition_on_observations(self, X: Tensor, Y: Tensor, noise: Tensor | None = None, **kwargs: Any) -> Self:
        """Model given further values, hyper-parameters kept.

        `noise` holds their measured variances in original units (BoTorch's own models want them standardised); by
        default the mean of those fitted with, where there were any.
        """
        if self._measured and noise is None:
            measured = self.likelihood.noise.mT if self.num_outputs > 1 else self.likelihood.noise.unsqueeze(-1)
            noise = measured.mean(-2, keepdim=True).expand(Y.shape)
        elif noise is not None and fantasize_flag.off():
            noise = noise / self.outcome_transform.stdvs.square()
        return super().condition_on_observations(X, Y, noise=noise, **kwargs)

    def diagnostics(self) -> dict[str, float | str]:
        """Return what was learned, as plain numbers.

        ``noise_sd`` (learned part, original units), ``lengthscale_min`` and ``lengthscale_max`` (unit cube), each with
        ``.0``, ``.1`` ... where there are several outputs; ``fit_s``; ``engine``.
        """
        found: dict[str, float | str] = {"engine": "exact GP", "fit_s": self._fit_s}
        learned = self.likelihood.second_noise if self._measured else self.likelihood.noise
        scale = self.outcome_transform.stdvs.reshape(-1)
        lengths = self.covar_module.lengthscale.detach().reshape(self.num_outputs, -1)
        for i, (noise, s, length) in enumerate(zip(learned.reshape(self.num_outputs), scale, lengths, strict=True)):
            suffix = f".{i}" if self.num_outputs > 1 else ""
            found[f"noise_sd{suffix}"] = float(noise.detach().sqrt() * s)
            found[f"lengthscale_min{suffix}"] = float(length.min())
            found[f"lengthscale_max{suffix}"] = float(length.max())
        return found

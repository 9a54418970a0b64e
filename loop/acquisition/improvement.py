"""Expected improvement, in its logarithm (Ament et al. 2023, doi:10.48550/arXiv.2310.20708): BoTorch's, set up for a loop."""

from __future__ import annotations

import torch
from botorch.acquisition import AcquisitionFunction
from botorch.acquisition.logei import qLogExpectedImprovement, qLogNoisyExpectedImprovement
from botorch.models.model import Model
from botorch.sampling.normal import SobolQMCNormalSampler

from loop.acquisition.context import AcquisitionContext
from loop.acquisition.moments import moments
from loop.errors import PluginError


def log_expected_improvement(model: Model, context: AcquisitionContext, samples: int = 256) -> AcquisitionFunction:
    """Logarithm of the expected improvement over the best posterior mean at a measured point.

    The incumbent is the model's belief, not the best measured value, which noise flatters. Points in flight count through
    joint samples with them.

    Parameters
    ----------
    model, context
        See `loop.protocols.Acquisition`.
    samples
        Quasi-random posterior samples; a power of two.

    Raises
    ------
    PluginError
        The campaign has no direction.
    """
    _need_direction(context, "log_ei")
    with torch.no_grad():
        believed = moments(model, context.train_X.unsqueeze(-2), transform=context.posterior_transform)[0]
    return qLogExpectedImprovement(
        model,
        best_f=believed.max(),
        sampler=SobolQMCNormalSampler(torch.Size([samples]), seed=context.seed),
        posterior_transform=context.posterior_transform,
        X_pending=context.X_pending,
    )


def log_noisy_expected_improvement(
    model: Model, context: AcquisitionContext, samples: int = 128
) -> AcquisitionFunction:
    """Logarithm of the expected improvement when the incumbent itself is uncertain: integrated over the measured points.

    Right under strong noise (Letham et al. 2019, doi:10.1214/18-BA1110); costs more than `log_expected_improvement`.

    Raises
    ------
    PluginError
        The campaign has no direction.
    """
    _need_direction(context, "log_noisy_ei")
    return qLogNoisyExpectedImprovement(
        model,
        X_baseline=context.train_X,
        sampler=SobolQMCNormalSampler(torch.Size([samples]), seed=context.seed),
        posterior_transform=context.posterior_transform,
        X_pending=context.X_pending,
        prune_baseline=True,
        # The cached root needs a GP's own prediction strategy; other surrogates have none.
        cache_root=False,
    )


def _need_direction(context: AcquisitionContext, name: str) -> None:
    if context.direction is None:
        raise PluginError(
            f"acquisition {name} looks for an optimum, but the campaign has no direction: say maximise or minimise, "
            "or use an acquisition that maps, such as integrated_variance"
        )

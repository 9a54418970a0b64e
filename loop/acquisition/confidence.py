"""Upper confidence bound."""

from __future__ import annotations

from botorch.acquisition import AcquisitionFunction
from botorch.models.model import Model
from botorch.utils.transforms import t_batch_mode_transform
from torch import Tensor

from loop.acquisition.context import AcquisitionContext
from loop.acquisition.variance import MaximumVariance
from loop.errors import PluginError


class UpperConfidenceBound(AcquisitionFunction):
    """``mean + sqrt(beta) * sd`` of the objective, turned so that larger is better.

    With points in flight the mean stays and the sd shrinks as if they had been measured: GP-BUCB (Desautels, Krause &
    Burdick 2014, jmlr.org/papers/v15/desautels14a.html).

    Parameters
    ----------
    model, context
        See `loop.protocols.Acquisition`.
    beta
        How much the uncertainty is worth, >= 0; 4 is two standard deviations.

    Raises
    ------
    PluginError
        A negative `beta`.
    """

    needs_direction = True

    def __init__(self, model: Model, context: AcquisitionContext, beta: float = 4.0) -> None:
        super().__init__(model=model)
        if beta < 0:
            raise PluginError(f"ucb: expected beta >= 0, got {beta}")
        self.factor = beta**0.5
        self.spread = MaximumVariance(model, context)

    @t_batch_mode_transform(expected_q=1)
    def forward(self, X: Tensor) -> Tensor:
        """``(b, 1, d)`` to the bound ``(b,)``, in the objective's unit."""
        mean, variance = self.spread.moments(X)
        return mean + self.factor * variance.sqrt()

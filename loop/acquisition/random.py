"""Random choice: the baseline that every strategy must beat."""

from __future__ import annotations

import numpy as np
import torch
from botorch.acquisition import AcquisitionFunction
from botorch.models.model import Model
from botorch.utils.transforms import t_batch_mode_transform
from torch import Tensor

from loop.acquisition.context import AcquisitionContext


class Random(AcquisitionFunction):
    """A number in [0, 1) out of the point's bits and the decision's seed: its maximum is a uniform choice."""

    def __init__(self, model: Model, context: AcquisitionContext) -> None:
        super().__init__(model=model)
        self.seed = context.seed

    @t_batch_mode_transform(expected_q=1)
    def forward(self, X: Tensor) -> Tensor:
        """``(b, 1, d)`` to ``(b,)``; has no gradient."""
        bits = np.ascontiguousarray(X.detach().double().numpy()).reshape(-1, X.shape[-1]).view(np.uint64)
        state = np.full(len(bits), self.seed, dtype=np.uint64)
        for column in bits.T:
            state = _mix(state ^ column)
        unit = (state >> np.uint64(11)).astype(np.float64) * 2.0**-53
        return torch.from_numpy(unit).to(X.dtype).reshape(X.shape[:-2])


def _mix(state: np.ndarray) -> np.ndarray:
    """Finaliser of SplitMix64 (doi:10.1145/2714064.2660195): every bit of the input reaches every bit of the output."""
    state = state + np.uint64(0x9E3779B97F4A7C15)
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(state ^ (state >> np.uint64(31)))

"""What the network sees of a curve: three channels on the grid.

Level
    ``log σ + asinh(I / 2σ)``: log I where I stands out of its noise, and finite where it does not.
Precision
    ``asinh(I / 2σ)``: how far it stands out. A short exposure looks uncertain.
Mask
    Whether the bin was measured.

Level and precision are standardised bin by bin with what training curves had there; bins without measurement are 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from surrogates.errors import SurrogateError
from surrogates.saxs.curves import Floats, GriddedCurves

CHANNELS = 3
Scale = Literal["absolute", "relative"]
_MIN_SD = 0.05
"""Least standard deviation of a bin's level in training: bins that hardly vary are not blown up."""
_LIMIT = 8.0
"""Standardised values are cut here: what is far outside training must not drown all else."""


def level_and_precision(curves: GriddedCurves, scale: Scale) -> tuple[Floats, Floats]:
    """Return two channels ``(n, points)``, 0 where nothing was measured.

    With the relative scale each curve's level is shifted to a mean of 0 over its measured bins, those that are mostly
    noise counting less: curves whose scale is arbitrary can be compared.
    """
    precision = np.arcsinh(curves.intensity / (2 * curves.sigma))
    level = np.log(curves.sigma) + precision
    if scale == "relative":
        snr = np.square(curves.intensity / curves.sigma)
        weight = np.where(curves.measured, (snr + 1e-6) / (snr + 1), 0.0)
        total = np.maximum(weight.sum(1, keepdims=True), 1e-300)
        level = level - (level * weight).sum(1, keepdims=True) / total
    return np.where(curves.measured, level, 0.0), np.where(curves.measured, precision, 0.0)


@dataclass(frozen=True, eq=False)
class Encoder:
    """Gridded curves in, points of the network out."""

    scale: Scale
    """Whether intensities are 1/cm, or anything."""
    mean: Floats
    """``(2, points)`` of level and precision in training."""
    sd: Floats
    """``(2, points)``."""

    def __post_init__(self) -> None:
        if self.scale not in ("absolute", "relative"):
            raise SurrogateError(f'scale must be "absolute" or "relative", got {self.scale!r}')

    @classmethod
    def fit(cls, curves: GriddedCurves, scale: Scale) -> Encoder:
        """Take means and standard deviations from training curves; every bin must be measured in some of them."""
        channels = np.stack(level_and_precision(curves, scale))
        count = curves.measured.sum(0)
        if (count < 2).any():
            raise SurrogateError(
                f"bin {int(np.flatnonzero(count < 2)[0])} of the grid is measured in fewer than 2 training curves: "
                "choose a grid within their q"
            )
        mean = channels.sum(1) / count
        variance = (np.square(channels - mean[:, None]) * curves.measured).sum(1) / count
        return cls(scale, mean, np.maximum(np.sqrt(variance), _MIN_SD))

    def __call__(self, curves: GriddedCurves) -> Tensor:
        """Return points ``(n, 3 * points)``, float32, centred so that the networks see level and precision as they are.

        `surrogates.networks.ConvNet1d` maps [0, 1] to [-1, 1]; a standard deviation here is 1 there.
        """
        channels = np.stack(level_and_precision(curves, self.scale))
        standard = np.clip((channels - self.mean[:, None]) / self.sd[:, None], -_LIMIT, _LIMIT) * curves.measured
        points = np.concatenate([standard[0], standard[1], curves.measured.astype(float)], axis=1)
        return torch.from_numpy((0.5 + 0.5 * points).astype(np.float32))

"""Is a curve like the good ones of an instrument? Few of them (about 30) are enough.

Real curves need not be like anything simulated and still be good measurements. So the question here is another one: how
far is a curve from its nearest neighbours among good curves of the same instrument, bin by bin, counting what was
measured in one and not in the other? Each good curve is asked the same about the others, which gives the p-value.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
import torch
from torch import Tensor

from surrogates.errors import SurrogateError
from surrogates.saxs.curves import Floats, GriddedCurves
from surrogates.saxs.features import Scale, level_and_precision
from surrogates.saxs.novelty import MIN_BINS, STRANGEST, conformal_p

MIN_CURVES = 10
_NEIGHBOURS = 3
_LIMIT = 9.0
"""Largest squared difference of a bin, and that of one that only one of the two has."""
_MIN_SD = np.array([0.1, 0.3])[:, None]
"""Least standard deviation of level and precision of a bin."""
_CHUNK = 1024


@dataclass(frozen=True, eq=False)
class InstrumentReference:
    """Good curves, and their distances from each other."""

    scale: Scale
    channels: Floats
    """``(2, m, points)`` level and precision."""
    measured: np.ndarray
    """``(m, points)``."""
    known: Floats
    """``(m,)`` distances of each good curve to the others, ascending."""

    @classmethod
    def fit(cls, curves: GriddedCurves, scale: Scale) -> Self:
        """Take good curves; at least `MIN_CURVES`."""
        if len(curves) < MIN_CURVES:
            raise SurrogateError(
                f"calibrating to an instrument needs at least {MIN_CURVES} good curves (30 are better), got "
                f"{len(curves)}"
            )
        channels = np.stack(level_and_precision(curves, scale))
        made = cls(scale, channels, np.array(curves.measured), np.zeros(0))
        distances = made._distances(channels, made.measured)
        np.fill_diagonal(distances, np.inf)
        known = np.sort(np.sort(distances, axis=1)[:, :_NEIGHBOURS].mean(1))
        return cls(scale, channels, made.measured, known)

    def __call__(self, curves: GriddedCurves) -> tuple[Floats, Floats]:
        """Return distances in units of the good curves' 95th percentile, and p-values, ``(n,)`` each."""
        channels = np.stack(level_and_precision(curves, self.scale))
        parts = []
        for start in range(0, len(curves), _CHUNK):
            rows = slice(start, start + _CHUNK)
            distances = self._distances(channels[:, rows], curves.measured[rows])
            parts.append(np.sort(distances, axis=1)[:, :_NEIGHBOURS].mean(1))
        found = np.concatenate(parts) if parts else np.zeros(0)
        found = np.where(curves.measured.sum(1) < MIN_BINS, STRANGEST, found)
        return found / max(np.quantile(self.known, 0.95), 1e-9), conformal_p(self.known, found)

    @cached_property
    def _sd(self) -> Floats:
        """``(2, points)`` of level and precision among the good curves."""
        count = np.maximum(self.measured.sum(0), 1)
        mean = self.channels.sum(1) / count
        variance = (np.square(self.channels - mean[:, None]) * self.measured).sum(1) / count
        return np.maximum(np.sqrt(variance), _MIN_SD)

    def _distances(self, channels: Floats, measured: np.ndarray) -> Floats:
        """``(n, m)`` mean squared differences over the bins that either has."""
        sd = self._sd
        result = np.empty((channels.shape[1], len(self.measured)))
        for j, (own, mask) in enumerate(zip(np.moveaxis(self.channels, 1, 0), self.measured, strict=True)):
            squared = np.square((channels - own[:, None]) / sd[:, None]).mean(0)
            both, either = measured & mask, measured | mask
            penalty = np.where(both, np.minimum(squared, _LIMIT), _LIMIT) * either
            result[:, j] = penalty.sum(1) / np.maximum(either.sum(1), 1)
        return result

    def state(self) -> dict[str, Tensor]:
        """Tensors from which `restore` rebuilds this."""
        arrays = {"channels": self.channels, "measured": self.measured, "known": self.known}
        return {name: torch.from_numpy(np.ascontiguousarray(values)) for name, values in arrays.items()}

    @classmethod
    def restore(cls, state: Mapping[str, Tensor], scale: Scale) -> Self:
        """Rebuild from `state`."""
        return cls(scale, state["channels"].numpy(), state["measured"].numpy(), state["known"].numpy())

"""Training curves as other instruments would have measured them: shorter exposures, less of q."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from surrogates.errors import SurrogateError
from surrogates.saxs.curves import MIN_POINTS, GriddedCurves


@dataclass(frozen=True)
class Augmentation:
    """What is changed at random, curve by curve."""

    thinned: float = 0.2
    """Share of curves that get the noise of a shorter exposure."""
    shortest: float = 0.1
    """Least share of the exposure that is left of them; log-uniform up to 1."""
    cut: float = 0.3
    """Share of curves that lose a part of q at both ends."""
    deepest: float = 0.4
    """Largest share of bins that an end loses; uniform from 0."""

    def __post_init__(self) -> None:
        if not (0 <= self.thinned <= 1 and 0 < self.shortest <= 1 and 0 <= self.cut <= 1 and 0 <= self.deepest < 0.5):
            raise SurrogateError(
                f"shares must be from 0 to 1, shortest above 0 and deepest below 0.5 (both ends are cut), got {self}"
            )

    def __call__(self, curves: GriddedCurves, generator: np.random.Generator) -> GriddedCurves:
        """Return changed curves; those that come in are not touched."""
        return self._cut(self._thin(curves, generator), generator)

    def _thin(self, curves: GriddedCurves, generator: np.random.Generator) -> GriddedCurves:
        """Add the noise that less exposure has more of; counts are many enough for a normal distribution."""
        n = len(curves)
        left = np.where(generator.random(n) < self.thinned, self.shortest ** generator.random(n), 1.0)[:, None]
        added = curves.sigma * np.sqrt(1 / left - 1)
        noise = added * generator.standard_normal(curves.sigma.shape, dtype=np.float32)
        return GriddedCurves(
            np.where(curves.measured, curves.intensity + noise, 0.0),
            np.where(curves.measured, curves.sigma / np.sqrt(left), 1.0),
            curves.measured,
        )

    def _cut(self, curves: GriddedCurves, generator: np.random.Generator) -> GriddedCurves:
        n, points = curves.measured.shape
        ends = self.deepest * points * generator.random((2, n, 1)) * (generator.random((n, 1)) < self.cut)
        bins = np.arange(points)
        measured = curves.measured & (bins >= ends[0]) & (bins < points - ends[1])
        measured = np.where(measured.sum(1, keepdims=True) < MIN_POINTS, curves.measured, measured)
        return GriddedCurves(np.where(measured, curves.intensity, 0.0), np.where(measured, curves.sigma, 1.0), measured)

from dataclasses import dataclass

import numpy as np

from instruments.errors import InstrumentError


@dataclass(frozen=True)
class MeanQ:
    """Intensity-weighted mean of q: where the scattering sits."""

    q_min: float = 0.01
    q_max: float = 0.1
    unit = "1/Å"
    description = "intensity-weighted mean of q"

    def __call__(self, curve):
        part = curve.between(self.q_min, self.q_max)
        total = part.intensity.sum()
        if len(part.q) < 10 or total <= 0:
            raise InstrumentError(f"mean_q: {len(part.q)} points with {total:.3g} in all, too little for a mean")
        mean = float(part.q @ part.intensity / total)
        sd = float(np.sqrt(np.sum(((part.q - mean) * part.sigma) ** 2)) / total)
        return mean, sd

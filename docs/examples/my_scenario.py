from dataclasses import dataclass

import numpy as np

from simulators.scattering import flat_background, spheres
from simulators.scenarios import SampleProperties, ScenarioParameter
from simulators.scenarios.base import state_columns


@dataclass(frozen=True)
class Ageing:
    """Particles that grow along a strip: their radius follows position and ageing temperature."""

    growth: float = 1.0
    name = "ageing"
    parameters = (
        ScenarioParameter("temperature", "°C", 20.0, 90.0, "ageing temperature"),
        ScenarioParameter("x", "mm", 0.0, 40.0, "position along the strip"),
    )
    sample = SampleProperties(thickness_cm=0.1, transmission=0.7)

    def cross_section(self, states, q):
        column = state_columns(self.parameters, states)  # checks names and ranges
        radius = 20.0 + self.growth * (0.5 * column["temperature"] + 0.8 * column["x"])
        particles = spheres(q, radius=radius, polydispersity=0.15, volume_fraction=np.array([0.01]), contrast=1e-5)
        return (particles + flat_background(q, level=0.01)).numpy()

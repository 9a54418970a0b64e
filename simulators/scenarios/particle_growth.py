r"""Silica particles that nucleate and grow in a Stöber synthesis, seen in a capillary.

After an induction time the silicate condenses onto a fixed number of nuclei by a first-order reaction whose rate
follows Arrhenius; surface growth focuses the sizes:

.. math::
    k(\Theta) = k_{25}\,\exp\left[-\frac{E}{k_B}\left(\frac1\Theta-\frac1{298\,\text{K}}\right)\right],\qquad
    p = 1-e^{-k\,\max(t-t_0,0)},\; t_0 = 0.15/k

.. math::
    R = \left[R_n^3 + (R_\infty^3-R_n^3)\,p\right]^{1/3},\quad \phi = \phi_\infty (R/R_\infty)^3,\quad
    \sigma_R/R = 0.08 + 0.22\,R_n/R

A hotter synthesis makes more and smaller particles: :math:`R_\infty = 130\,\text{Å}\,e^{-0.012(\theta-25)}` with θ in
°C.

===========  ====  ==========  ============================
parameter    unit  range       meaning
===========  ====  ==========  ============================
time         s     0 .. 3600   time t since mixing
temperature  °C    15 .. 60    temperature of the synthesis
===========  ====  ==========  ============================

k_25 = 1.2e-3 1/s, E = 0.60 eV (58 kJ/mol), R_n = 15 Å, φ_∞ = 0.6 %. Silica in ethanol and water: Δρ = 1.0e-5 1/Å²;
the solvent's own fluctuations (κ_T = 1e-9 1/Pa, ρ0 = 8e-6 1/Å²). Capillary of 1.5 mm, µ = 2.3 1/cm at 12.4 keV.
Hydrolysis and condensation of the first order, Arrhenius rates: Chen et al. 1996, Ind. Eng. Chem. Res. 35, 4487; the
synthesis itself: Stöber et al. 1968, J. Colloid Interface Sci. 26, 62. The numbers are of the order found there, for
small particles.

``variant="theory"``: no induction time, an activation energy a quarter too small, a final size that does not depend
on temperature, one width.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from simulators.errors import ScenarioError
from simulators.scenarios.base import SampleProperties, ScenarioParameter, state_columns

_K_B = 8.617333e-5  # eV/K
_ZERO_CELSIUS = 273.15
_NUCLEUS = 15.0  # Å
_FRACTION = 0.006
_CONTRAST = 1.0e-5  # 1/Å²
_SOLVENT_SLD = 8e-6  # 1/Å²
_THICKNESS_CM = 0.15
_MU_PER_CM = 2.3


@dataclass(frozen=True)
class ParticleGrowth:
    """The scenario ``particle_growth``; the physics is at the top of this file."""

    variant: Literal["truth", "theory"] = "truth"
    """``"theory"`` for the biased, cheaper version that priors may be trained on."""

    name = "particle_growth"
    parameters = (
        ScenarioParameter("time", "s", 0.0, 3600.0, "time since mixing"),
        ScenarioParameter("temperature", "°C", 15.0, 60.0, "temperature of the synthesis"),
    )
    sample = SampleProperties(_THICKNESS_CM, math.exp(-_MU_PER_CM * _THICKNESS_CM))

    def __post_init__(self) -> None:
        """Check the options."""
        if self.variant not in ("truth", "theory"):
            raise ScenarioError(f"particle_growth: variant must be 'truth' or 'theory', got {self.variant!r}")

    def particles(self, states: Sequence[Mapping[str, float]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return mean radius (Å), volume fraction and relative width, each ``(n,)``."""
        columns = state_columns(self.parameters, states)
        # A read-back may lie a little before the mixing: nothing has happened then either.
        seconds, celsius = np.maximum(columns["time"], 0.0), columns["temperature"]
        theory = self.variant == "theory"
        energy = 0.45 if theory else 0.60
        rate = 1.2e-3 * np.exp(-energy / _K_B * (1 / (celsius + _ZERO_CELSIUS) - 1 / 298.15))
        induction = 0.0 if theory else 0.15 / rate
        grown = 1 - np.exp(-rate * np.maximum(seconds - induction, 0.0))
        final = np.full_like(rate, 130.0) if theory else 130.0 * np.exp(-0.012 * (celsius - 25.0))
        radius = np.cbrt(_NUCLEUS**3 + (final**3 - _NUCLEUS**3) * grown)
        width = np.full_like(radius, 0.12) if theory else 0.08 + 0.22 * _NUCLEUS / radius
        return radius, _FRACTION * (radius / final) ** 3, width

    def cross_section(self, states: Sequence[Mapping[str, float]], q: np.ndarray) -> np.ndarray:
        """Scattering of each state.

        Parameters
        ----------
        states
            Each with ``time`` (s) and ``temperature`` (°C).
        q
            ``(k,)`` 1/Å.

        Returns
        -------
        ndarray
            ``(n, k)`` dΣ/dΩ in 1/cm.

        Raises
        ------
        ParameterError
            If a state lacks a parameter, has an unknown one, or a value out of range.
        """
        # The kernels bring torch, which takes seconds to import: who only asks for parameters need not wait.
        from simulators.scattering import spheres, thermal_diffuse

        radius, fraction, width = self.particles(states)
        particles = spheres(q, radius=radius, polydispersity=width, volume_fraction=fraction, contrast=_CONTRAST)
        temperature = np.array([float(state["temperature"]) for state in states])
        solvent = thermal_diffuse(q, sld=_SOLVENT_SLD, temperature=temperature, compressibility=1e-9)
        return np.asarray((particles + solvent).numpy())

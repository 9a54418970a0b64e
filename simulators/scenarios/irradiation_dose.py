r"""An irradiated austenitic steel: dislocation loops at once, voids after an incubation dose, a bell in temperature.

Each measurement takes a foil of 10 µm from its own capsule, irradiated at ``temperature`` to ``dose``, so that the
state depends on the two parameters alone.

===========  ====  ==========  ==================================
parameter    unit  range       meaning
===========  ====  ==========  ==================================
dose         dpa   0 .. 20     displacements per atom, D
temperature  °C    350 .. 650  temperature of the irradiation, T
===========  ====  ==========  ==================================

The bell. Voids grow on the vacancies that neither recombine (at low temperature, where they move slowly and so are
many) nor boil off again (at high temperature); the two limits of rate theory (Brailsford & Bullough 1972, J. Nucl.
Mater. 44, 121; Mansur 1994, J. Nucl. Mater. 216, 97) give the share

.. math:: \eta(T) = \frac{2}{\mu}\left(\sqrt{1+\mu}-1\right)\,
          \max\left[0,\; 1-e^{-\frac{Q}{k_B}\left(\frac1T-\frac1{T_c}\right)}\right],\qquad
          \mu = 8\,e^{\frac{E}{k_B}\left(\frac1T-\frac{1}{703\,\text{K}}\right)}

with E = 1.2 eV (migration of vacancies), Q = 2.9 eV (self-diffusion), T_c = 615 °C. It peaks at 544 °C.

Swelling turns from nothing to steady over a few dpa around an incubation dose that the supply of vacancies shortens:

.. math:: s = r\,\eta\left[D + \frac1\alpha\ln\frac{1+e^{\alpha(\tau-D)}}{1+e^{\alpha\tau}}\right],\quad
          \tau = 3\,\text{dpa}/\eta,\; \alpha = 1\,/\text{dpa},\; r = 0.38\,\%/\text{dpa};\qquad \phi = \frac{s}{1+s}

(a third of the 1 %/dpa that such steels reach at last: Garner & Wolfer 1984, J. Nucl. Mater. 122, 201). Voids are
fewer when hotter, :math:`N = 3\times10^{21}\,\text{m}^{-3}\,e^{-(T-450)/45}\,(1-e^{-D/4})` with T in °C and D in dpa;
:math:`\phi = \frac{4\pi}{3} N R^3 (1+p^2)(1+2p^2)` gives their Schulz mean R at p = 0.25.

Frank loops (b = 2.08 Å) saturate within two dpa, :math:`N_l = 3\times10^{22}\,\text{m}^{-3}\,(1-e^{-D/0.8})/
(1+e^{(T-480)/25})`, and grow with temperature, :math:`R_l = 60\,\text{Å}\,e^{(T-400)/200}`, until they unfault into the
network; that goes from 2e13 of the annealed steel to :math:`3\times10^{14}\,\text{m}^{-2}\,e^{-(T-450)/200}` within
3 dpa, its screening length being 2/√ρ_d. Pores scatter as Porod; thermal density fluctuations and fluorescence are
flat.

X-ray numbers for 12.4 keV (1 Å): ρ0 = 6.2e-5 1/Å²; µ = 760 1/cm, so that 10 µm transmit 0.468.

``variant="theory"``: a bell that is symmetric about 500 °C, an incubation dose of 5 dpa everywhere with a sharp knee,
one number of voids at every temperature, no loops.
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
_MIGRATION = 1.2  # eV
_SELF_DIFFUSION = 2.9  # eV
_EMISSION_C = 615.0
_STEADY = 0.0038  # 1/dpa
_WIDTH = 0.25
_SLD = 6.2e-5  # 1/Å²
_POISSON = 0.29
_FRANK = 2.08  # Å, a/3<111>
_PERFECT = 2.54  # Å, a/2<110>
_CORE = 3.0  # Å
_SMALLEST = 4.0  # Å
_THICKNESS_CM = 1e-3
_MU_PER_CM = 760.0


@dataclass(frozen=True, eq=False)
class IrradiatedState:
    """Microstructure of n states, each array ``(n,)``."""

    supply: np.ndarray
    """Share η of the vacancies that the voids get."""
    incubation: np.ndarray
    """Incubation dose τ, dpa; infinite where no void can grow."""
    swelling: np.ndarray
    """Relative change of volume."""
    void_radius: np.ndarray
    """Å, mean."""
    void_fraction: np.ndarray
    """Volume fraction of voids."""
    loop_density: np.ndarray
    """1/m³."""
    loop_radius: np.ndarray
    """Å, mean."""
    network_density: np.ndarray
    """Dislocations, 1/m²."""


@dataclass(frozen=True)
class IrradiationDose:
    """The scenario ``irradiation_dose``; the physics is at the top of this file."""

    variant: Literal["truth", "theory"] = "truth"
    """``"theory"`` for the biased, cheaper version that priors may be trained on."""

    name = "irradiation_dose"
    parameters = (
        ScenarioParameter("dose", "dpa", 0.0, 20.0, "displacements per atom"),
        ScenarioParameter("temperature", "°C", 350.0, 650.0, "temperature of the irradiation"),
    )
    sample = SampleProperties(_THICKNESS_CM, math.exp(-_MU_PER_CM * _THICKNESS_CM))

    def __post_init__(self) -> None:
        """Check the options."""
        if self.variant not in ("truth", "theory"):
            raise ScenarioError(f"irradiation_dose: variant must be 'truth' or 'theory', got {self.variant!r}")

    def microstructure(self, states: Sequence[Mapping[str, float]]) -> IrradiatedState:
        """Return the microstructure of each state; raises `ParameterError` as `cross_section` does."""
        columns = state_columns(self.parameters, states)
        # A read-back may lie a little below zero dose: nothing has happened then either.
        dose, celsius = np.maximum(columns["dose"], 0.0), columns["temperature"]
        if self.variant == "theory":
            supply = 0.8 * np.exp(-0.5 * ((celsius - 500.0) / 50.0) ** 2)
            incubation = np.full_like(dose, 5.0)
            swelling = _STEADY * supply * np.maximum(dose - incubation, 0.0)
            number = np.full_like(dose, 1e21)
        else:
            supply = _vacancy_supply(celsius + _ZERO_CELSIUS)
            with np.errstate(divide="ignore"):
                incubation = 3.0 / supply
            # ln(1+e^x) for any x; where the incubation is endless the bracket is -D and no swelling is left.
            knee = np.logaddexp(0, np.minimum(incubation, 1e3) - dose) - np.logaddexp(0, np.minimum(incubation, 1e3))
            swelling = _STEADY * supply * np.maximum(dose + knee, 0.0)
            number = 3e21 * np.exp(-(celsius - 450.0) / 45.0) * -np.expm1(-np.maximum(dose, 1e-3) / 4.0)
        fraction = swelling / (1 + swelling)
        # <R³> = R³ (1+p²)(1+2p²) of a Schulz distribution.
        cube = 3 * fraction / (4 * math.pi * number * 1e-30 * (1 + _WIDTH**2) * (1 + 2 * _WIDTH**2))
        network = 3e14 * np.exp(-(celsius - 450.0) / 200.0)
        return IrradiatedState(
            supply=supply,
            incubation=incubation,
            swelling=swelling,
            void_radius=np.maximum(np.cbrt(cube), _SMALLEST),
            void_fraction=fraction,
            loop_density=3e22 * -np.expm1(-dose / 0.8) / (1 + np.exp((celsius - 480.0) / 25.0)),
            loop_radius=60.0 * np.exp((celsius - 400.0) / 200.0),
            network_density=2e13 + (network - 2e13) * -np.expm1(-dose / 3.0),
        )

    def cross_section(self, states: Sequence[Mapping[str, float]], q: np.ndarray) -> np.ndarray:
        """Scattering of each state.

        Parameters
        ----------
        states
            Each with ``dose`` (dpa) and ``temperature`` (°C).
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
        from simulators.scattering import (
            dislocation_loops,
            edge_dislocations,
            flat_background,
            porod_surface,
            spheres,
            thermal_diffuse,
        )

        state = self.microstructure(states)
        voids = spheres(
            q,
            radius=state.void_radius,
            polydispersity=_WIDTH,
            volume_fraction=state.void_fraction,
            contrast=_SLD,
        )
        matrix = {"sld": _SLD, "poisson_ratio": _POISSON, "core_radius": _CORE}
        network = edge_dislocations(
            q,
            density=state.network_density,
            burgers=_PERFECT,
            outer_cutoff=2e10 / np.sqrt(state.network_density),
            **matrix,
        )
        total = (
            voids
            + network
            + porod_surface(q, specific_surface=2.0, contrast=_SLD)
            + thermal_diffuse(q, sld=_SLD, temperature=25.0, compressibility=6.3e-12)
            + flat_background(q, level=0.05)
        )
        if self.variant == "truth":
            total = total + dislocation_loops(
                q,
                number_density=state.loop_density,
                radius=state.loop_radius,
                polydispersity=0.3,
                burgers=_FRANK,
                **matrix,
            )
        return np.asarray(total.numpy())


def _vacancy_supply(kelvin: np.ndarray) -> np.ndarray:
    """Return η ``(n,)``."""
    recombination = 8.0 * np.exp(_MIGRATION / _K_B * (1 / kelvin - 1 / 703.0))
    survive = 2 * (np.sqrt(1 + recombination) - 1) / recombination
    colder = 1 / kelvin - 1 / (_EMISSION_C + _ZERO_CELSIUS)
    return np.asarray(survive * np.maximum(-np.expm1(-_SELF_DIFFUSION / _K_B * colder), 0.0))

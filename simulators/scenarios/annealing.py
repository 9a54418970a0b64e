r"""An irradiated, cold-rolled Cu-Ni wafer after annealing: voids coarsen, then recrystallisation sweeps them away.

A co-sputtered foil has a nickel gradient along x; it was cold-rolled and irradiated (a dense population of vacancy
clusters), and every spot is annealed for one hour at ``anneal_temperature`` before it is measured at room temperature.
Each measurement takes a fresh spot, so the state depends on the two parameters alone, not on the order of measurements.

==================  ======  ============  ========================================
parameter           unit    range         meaning
==================  ======  ============  ========================================
anneal_temperature  °C      300 .. 700    the temperature T of the one-hour anneal
x                   mm      -20 .. 20     position along the composition gradient
==================  ======  ============  ========================================

Composition, atomic fraction of Ni: :math:`c(x) = 0.02 + 0.26/(1+e^{-x/9})`; 4.5 % at one end, 25.5 % at the other.

Recrystallisation. Solute drag raises the temperature at which half of the matrix recrystallises within the hour,
steeply at first, then saturating; stored energy differs from grain to grain, hence a logistic softening curve:

.. math:: T_{rx}(c) = 330 + 330\,\frac{c^2}{c^2+0.12^2}\;\text{°C},\qquad
          X = \frac{1}{1+e^{-(T-T_{rx})/w}},\; w = 12\,\text{K}

Voids of the deformed matrix coarsen at constant volume (Lifshitz & Slyozov 1961, doi:10.1016/0022-3697(61)90054-3), so
their number falls as R⁻³; nickel slows them and lowers the swelling:

.. math:: R^3 = R_0^3 + R_1^3\,e^{-3c}\,\exp\left[-\frac{Q}{k_B}\left(\frac1T-\frac{1}{823\,\text{K}}\right)\right],\;
          R_0 = 13\,\text{Å},\; R_1 = 60\,\text{Å},\; Q = 1.75\,\text{eV};\qquad \phi = 0.004\,(1-2c)

(4e23 clusters per m³ of 2.6 nm diameter at first: Zinkle 1987, doi:10.1016/0022-3115(87)90070-5; 1.75 eV lies between
vacancy migration and self-diffusion in copper.) Where the matrix has recrystallised, moving grain boundaries have
collected most vacancies: φ = 5e-6 in voids of 140 Å.

Dislocations: 2e15 1/m² after rolling, recovering to a tenth around 430 °C; 1e12 1/m² once recrystallised. The screening
length follows the density, :math:`R_e = 2/\sqrt{\rho_d}` (Wilkens 1970, doi:10.1002/pssa.19700020224).

Solutes: Laue scattering with the size effect of Ni in Cu; below the miscibility gap (around 380 °C) clusters of some
tens of atoms, stronger with c. Internal surfaces scatter as Porod; thermal density fluctuations and unrejected
fluorescence are flat. The whole is :math:`(1-X)\,[\text{voids}+\text{dislocations}]_{def} + X\,[\ldots]_{rx} +
\text{solutes} + \text{background}`.

X-ray numbers for 12.4 keV (1 Å): ρ0 = 6.7e-5 1/Å² (Cu and Ni alike); µ = 1090 1/cm, so that 10 µm transmit 0.336.

``variant="theory"`` is what a first model would say, biased and cheaper: a boundary that is straight in x and 25 °C
too low at its ends (460 + 5.7 x, in °C), an activation energy 10 % too small, no effect of nickel on the voids, no
dislocations, no solute clusters.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from simulators.errors import ScenarioError
from simulators.scenarios.base import SampleProperties, ScenarioParameter, state_columns

if TYPE_CHECKING:
    from torch import Tensor

_K_B = 8.617333e-5  # eV/K
_ZERO_CELSIUS = 273.15
_SLD = 6.7e-5  # 1/Å²
_BURGERS = 2.55  # Å, a/2<110>
_POISSON = 0.34
_CORE = 3.0  # Å
_ATOMS = 0.086  # 1/Å³
_MEAN_B = 7.9e-4  # Å, 28 electrons
_DELTA_B = -2.8e-5  # Å, Ni has one electron less than Cu
_SIZE_EFFECT = -0.075  # and 7.5 % less volume
_THICKNESS_CM = 1e-3
_MU_PER_CM = 1090.0


@dataclass(frozen=True, eq=False)
class AnnealedState:
    """Microstructure of n states, each array ``(n,)``."""

    nickel: np.ndarray
    """Atomic fraction of Ni."""
    recrystallisation_temperature: np.ndarray
    """°C, where half is recrystallised."""
    recrystallised: np.ndarray
    """Volume fraction X."""
    void_radius: np.ndarray
    """Å, mean, in the deformed part."""
    void_fraction: np.ndarray
    """Volume fraction of voids in the deformed part."""
    dislocation_density: np.ndarray
    """1/m², in the deformed part."""
    cluster_strength: np.ndarray
    """Ornstein-Zernike strength of solute clustering."""


@dataclass(frozen=True)
class Annealing:
    """The scenario ``annealing``; the physics is at the top of this file."""

    variant: Literal["truth", "theory"] = "truth"
    """``"theory"`` for the biased, cheaper version that priors may be trained on."""
    boundary_width_c: float = 12.0
    """Width w of the recrystallisation boundary, °C."""

    name = "annealing"
    parameters = (
        ScenarioParameter("anneal_temperature", "°C", 300.0, 700.0, "temperature of the one-hour anneal"),
        ScenarioParameter("x", "mm", -20.0, 20.0, "position along the nickel gradient"),
    )
    sample = SampleProperties(_THICKNESS_CM, math.exp(-_MU_PER_CM * _THICKNESS_CM))

    def __post_init__(self) -> None:
        """Check the options."""
        if self.variant not in ("truth", "theory"):
            raise ScenarioError(f"annealing: variant must be 'truth' or 'theory', got {self.variant!r}")
        if not 1.0 <= self.boundary_width_c <= 100.0:
            raise ScenarioError(f"annealing: boundary_width_c must lie in [1, 100] °C, got {self.boundary_width_c!r}")

    def microstructure(self, states: Sequence[Mapping[str, float]]) -> AnnealedState:
        """Return the microstructure of each state; raises `ParameterError` as `cross_section` does."""
        columns = state_columns(self.parameters, states)
        celsius, x = columns["anneal_temperature"], columns["x"]
        theory = self.variant == "theory"
        c = 0.02 + 0.26 / (1 + np.exp(-x / 9.0))
        t_rx = 460.0 + 5.7 * x if theory else 330.0 + 330.0 * c**2 / (c**2 + 0.12**2)
        activation = 1.575 if theory else 1.75
        slowed = 1.0 if theory else np.exp(-3.0 * c)
        growth = np.exp(-activation / _K_B * (1 / (celsius + _ZERO_CELSIUS) - 1 / 823.0))
        return AnnealedState(
            nickel=c,
            recrystallisation_temperature=t_rx,
            recrystallised=1 / (1 + np.exp(-(celsius - t_rx) / self.boundary_width_c)),
            void_radius=np.cbrt(13.0**3 + 60.0**3 * slowed * growth),
            void_fraction=np.full_like(c, 0.004) if theory else 0.004 * (1 - 2 * c),
            dislocation_density=2e15 * (0.1 + 0.9 / (1 + np.exp((celsius - 430.0) / 35.0))),
            cluster_strength=200.0 * c / (1 + np.exp((celsius - 380.0) / 20.0)),
        )

    def cross_section(self, states: Sequence[Mapping[str, float]], q: np.ndarray) -> np.ndarray:
        """Scattering of each state.

        Parameters
        ----------
        states
            Each with ``anneal_temperature`` (°C) and ``x`` (mm).
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
        from simulators.scattering import flat_background, point_defects, porod_surface, spheres, thermal_diffuse

        state = self.microstructure(states)
        deformed = spheres(
            q, radius=state.void_radius, polydispersity=0.25, volume_fraction=state.void_fraction, contrast=_SLD
        )
        recrystallised = spheres(q, radius=140.0, polydispersity=0.25, volume_fraction=5e-6, contrast=_SLD)
        rest = (
            porod_surface(q, specific_surface=10.0, contrast=_SLD)
            + thermal_diffuse(q, sld=_SLD, temperature=25.0, compressibility=7.3e-12)
            + flat_background(q, level=0.03)
        )
        if self.variant == "truth":
            deformed = deformed + _dislocations(q, state.dislocation_density)
            recrystallised = recrystallised + _dislocations(q, np.array([1e12]))
            rest = rest + point_defects(
                q,
                number_density=_ATOMS,
                concentration=state.nickel,
                delta_b=_DELTA_B,
                mean_b=_MEAN_B,
                size_effect=_SIZE_EFFECT,
                cluster_strength=state.cluster_strength,
                correlation_length=6.0,
            )
        fraction = state.recrystallised[:, None]
        mixed = (1 - fraction) * deformed.numpy() + fraction * recrystallised.numpy()
        return np.asarray(mixed + rest.numpy())


def _dislocations(q: np.ndarray, density: np.ndarray) -> Tensor:
    from simulators.scattering import edge_dislocations

    return edge_dislocations(
        q,
        density=density,
        sld=_SLD,
        burgers=_BURGERS,
        poisson_ratio=_POISSON,
        outer_cutoff=2e10 / np.sqrt(density),
        core_radius=_CORE,
    )

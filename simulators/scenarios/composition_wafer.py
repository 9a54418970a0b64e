r"""A ternary Al-Zn-Mg wafer after ageing: hardening precipitates, and beyond a phase boundary zones that deplete it.

A film of 50 µm, deposited from three sources, lifted off, solution treated, quenched and aged for 24 h at 150 °C: every
spot is another alloy (composition spreads: Kennedy et al. 1965, J. Appl. Phys. 36, 3808). The sources stand 80 mm from
the centre, Zn at 150°, Mg at 30° and Al at 270° from +x towards +y, with Gaussian plumes of σ = 70 mm, so that the
logarithms of ratios of contents are straight in x and y:

.. math::
    c_i \propto c_{i0}\,e^{r\cdot r_i/\sigma^2},\qquad c_{Zn,0} = 2.2\,\%,\; c_{Mg,0} = 2.0\,\%,\; c_{Al,0} = 95.8\,\%

=========  ====  =========  ==========================================
parameter  unit  range      meaning
=========  ====  =========  ==========================================
x          mm    -35 .. 35  position, Zn-rich at -x, Mg-rich at +x
y          mm    -35 .. 35  position, lean at -y, rich in both at +y
=========  ====  =========  ==========================================

Precipitates (η', taken as MgZn2). The solubility product c_Mg c_Zn² = K = 8e-7 and the balance of both solutes give the
equilibrium fraction f_e. Nuclei follow the supersaturation S = c_Mg c_Zn²/K (Christian 1975, The Theory of
Transformations in Metals and Alloys), grow by diffusion of zinc (Zener 1949, J. Appl. Phys. 20, 950) and share what
there is:

.. math:: N = N_0\,e^{-6/\ln^2 S},\quad R_g = \sqrt{Dt}\,\sqrt{3\,(c_{Zn}-c_{Zn,e})},\quad
          f = f_e\left[1-e^{-NV(R_g)/f_e}\right],\quad NV(R) = f

N_0 = 5e23 1/m³, √(Dt) = 520 Å (Zn in Al at 150 °C: Peterson & Rothman 1970, Phys. Rev. B 1, 3264). So precipitates are
small and many where the alloy is rich, few and large near the solvus, and none beyond it.

Zones. Where zinc exceeds :math:`c_{GP} = 0.017 + 0.03\,e^{-c_{Mg}/0.015}` the alloy lies below the solvus of the
Guinier-Preston zones at 150 °C (their competition with η': Löffler et al. 1983, J. Mater. Sci. 18, 2215); they form at
once and leave no zinc for the precipitates. The share of zones in a spot is
:math:`1/(1+e^{-(c_{Zn}-c_{GP})/w})`, w = 0.15 %. Their fraction φ follows the lever rule between 0.6 c_GP and 55 % Zn,
R = 14 Å + 250 Å (c_Zn - c_GP), and each is ringed by a depleted shell that lacks 85 % of the zone's excess and reaches
to s R with φ s³ = 0.25: an interference peak near q = 2/(sR) (Guinier 1939, Ann. Phys. 12, 161).

Beside these, Laue scattering of the dissolved zinc, Porod scattering of pores, and flat backgrounds. X-ray numbers for
12.4 keV (1 Å): Al 2.21e-5 1/Å², MgZn2 4.07e-5 1/Å²; µ = 56 1/cm at the wafer's centre, taken everywhere.

``variant="theory"`` knows less and is cheaper: zones above 3.2 % Zn whatever the magnesium, without depleted shells;
precipitation to equilibrium on N_0 nuclei everywhere; a solubility product a third too small; no dissolved zinc.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from simulators.errors import ScenarioError
from simulators.scenarios.base import SampleProperties, ScenarioParameter, state_columns

_SOURCES = {"zinc": (150.0, 0.022), "magnesium": (30.0, 0.020), "aluminium": (270.0, 0.958)}
"""Direction, degrees; content at the centre."""
_SOURCE_MM = 80.0
_PLUME_MM = 70.0
_SOLUBILITY = 8e-7
_NUCLEI = 5e-7  # 1/Å³, 5e23 1/m³
_BARRIER = 6.0
_DIFFUSION = 520.0  # Å
_ZONE_ZINC = 0.55
_SLD = 2.21e-5  # 1/Å²
_PRECIPITATE_CONTRAST = 1.86e-5
_ZONE_CONTRAST = 1.54e-5
_ATOMS = 0.0602  # 1/Å³
_MEAN_B = 3.66e-4  # Å, 13 electrons
_DELTA_B = 4.79e-4  # Å, 17 more
_SIZE_EFFECT = -0.06
_SMALLEST = 3.0  # Å
_THICKNESS_CM = 5e-3
_MU_PER_CM = 56.0


@dataclass(frozen=True, eq=False)
class AgedAlloy:
    """Microstructure of n spots, each array ``(n,)``."""

    zinc: np.ndarray
    """Atomic fraction of Zn."""
    magnesium: np.ndarray
    """Atomic fraction of Mg."""
    zones: np.ndarray
    """Share of the spot that formed zones instead of precipitates."""
    precipitate_radius: np.ndarray
    """Å, mean."""
    precipitate_fraction: np.ndarray
    """Volume fraction where there are no zones."""
    zone_radius: np.ndarray
    """Å, mean."""
    zone_fraction: np.ndarray
    """Volume fraction where there are zones."""
    zone_ratio: np.ndarray
    """Outer radius of the depleted shell over the zone's."""
    dissolved: np.ndarray
    """Atomic fraction of Zn left in solution, the mean over the spot."""


@dataclass(frozen=True)
class CompositionWafer:
    """The scenario ``composition_wafer``; the physics is at the top of this file."""

    variant: Literal["truth", "theory"] = "truth"
    """``"theory"`` for the biased, cheaper version that priors may be trained on."""
    boundary_width: float = 0.0015
    """Width w of the phase boundary, atomic fraction of Zn."""

    name = "composition_wafer"
    parameters = (
        ScenarioParameter("x", "mm", -35.0, 35.0, "position across the wafer"),
        ScenarioParameter("y", "mm", -35.0, 35.0, "position along the wafer"),
    )
    sample = SampleProperties(_THICKNESS_CM, math.exp(-_MU_PER_CM * _THICKNESS_CM))

    def __post_init__(self) -> None:
        """Check the options."""
        if self.variant not in ("truth", "theory"):
            raise ScenarioError(f"composition_wafer: variant must be 'truth' or 'theory', got {self.variant!r}")
        if not 1e-4 <= self.boundary_width <= 0.02:
            raise ScenarioError(
                f"composition_wafer: boundary_width must lie in [0.0001, 0.02], got {self.boundary_width!r}"
            )

    def microstructure(self, states: Sequence[Mapping[str, float]]) -> AgedAlloy:
        """Return the microstructure of each spot; raises `ParameterError` as `cross_section` does."""
        columns = state_columns(self.parameters, states)
        zinc, magnesium = _contents(columns["x"], columns["y"])
        theory = self.variant == "theory"
        solvus = np.full_like(zinc, 0.032) if theory else 0.017 + 0.030 * np.exp(-magnesium / 0.015)
        product = _SOLUBILITY / 1.5 if theory else _SOLUBILITY
        equilibrium = _equilibrium_fraction(zinc, magnesium, product)
        excess = 2 / 3 * equilibrium
        logarithm = np.log(np.maximum(magnesium * zinc**2 / product, 1 + 1e-9))
        nuclei = np.full_like(zinc, _NUCLEI) if theory else _NUCLEI * np.exp(-_BARRIER / logarithm**2)
        grown = 4 / 3 * math.pi * (_DIFFUSION * np.sqrt(3 * excess)) ** 3
        # How often over the nuclei would use up the solute; what they do use is the Poisson share of it.
        often = nuclei * grown / np.maximum(equilibrium, 1e-12)
        share = np.where(often > 1e-9, -np.expm1(-often) / np.maximum(often, 1e-9), 1.0)
        volume = equilibrium / nuclei if theory else grown * share
        fraction = equilibrium if theory else nuclei * volume
        beyond, left = zinc - solvus, 0.6 * solvus
        share_of_zones = 1 / (1 + np.exp(-np.clip(beyond / self.boundary_width, -500, 500)))
        zones = np.clip((zinc - left) / (_ZONE_ZINC - left), 1e-6, 0.19)
        return AgedAlloy(
            zinc=zinc,
            magnesium=magnesium,
            zones=share_of_zones,
            precipitate_radius=np.maximum(np.cbrt(3 * volume / (4 * math.pi)), _SMALLEST),
            precipitate_fraction=fraction,
            zone_radius=14.0 + 250.0 * np.maximum(beyond, 0.0),
            zone_fraction=zones,
            zone_ratio=np.clip(np.cbrt(0.25 / zones), 1.1, 4.0),
            dissolved=(1 - share_of_zones) * (zinc - 2 / 3 * fraction) + share_of_zones * np.minimum(left, zinc),
        )

    def cross_section(self, states: Sequence[Mapping[str, float]], q: np.ndarray) -> np.ndarray:
        """Scattering of each spot.

        Parameters
        ----------
        states
            Each with ``x`` and ``y`` (mm).
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
            flat_background,
            point_defects,
            porod_surface,
            precipitates,
            spheres,
            thermal_diffuse,
        )

        state = self.microstructure(states)
        hardened = spheres(
            q,
            radius=state.precipitate_radius,
            polydispersity=0.25,
            volume_fraction=state.precipitate_fraction,
            contrast=_PRECIPITATE_CONTRAST,
        )
        zones: dict[str, Any] = {
            "radius": state.zone_radius,
            "volume_fraction": state.zone_fraction,
            "contrast": _ZONE_CONTRAST,
        }
        rest = (
            porod_surface(q, specific_surface=10.0, contrast=_SLD)
            + thermal_diffuse(q, sld=_SLD, temperature=25.0, compressibility=1.3e-11)
            + flat_background(q, level=0.02)
        )
        if self.variant == "theory":
            zoned = spheres(q, polydispersity=0.2, **zones)
        else:
            zoned = precipitates(q, polydispersity=0.2, zone_ratio=state.zone_ratio, depletion=0.85, **zones)
            rest = rest + point_defects(
                q,
                number_density=_ATOMS,
                concentration=state.dissolved,
                delta_b=_DELTA_B,
                mean_b=_MEAN_B,
                size_effect=_SIZE_EFFECT,
            )
        share = state.zones[:, None]
        return np.asarray((1 - share) * hardened.numpy() + share * zoned.numpy() + rest.numpy())


def _contents(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the atomic fractions of Zn and Mg, ``(n,)`` each."""
    deposited = {}
    for element, (degrees, centre) in _SOURCES.items():
        angle = math.radians(degrees)
        along = x * math.cos(angle) + y * math.sin(angle)
        deposited[element] = centre * np.exp(along * (_SOURCE_MM / _PLUME_MM**2))
    total = sum(deposited.values())
    return deposited["zinc"] / total, deposited["magnesium"] / total


def _equilibrium_fraction(zinc: np.ndarray, magnesium: np.ndarray, product: float) -> np.ndarray:
    """Return the fraction of MgZn2 that leaves (c_Mg - f/3)(c_Zn - 2f/3)² = K in solution, 0 where it all dissolves."""
    low, high = np.zeros_like(zinc), np.minimum(3 * magnesium, 1.5 * zinc)
    for _ in range(50):
        middle = (low + high) / 2
        too_little = (magnesium - middle / 3) * (zinc - 2 / 3 * middle) ** 2 > product
        low, high = np.where(too_little, middle, low), np.where(too_little, high, middle)
    return np.where(magnesium * zinc**2 > product, (low + high) / 2, 0.0)

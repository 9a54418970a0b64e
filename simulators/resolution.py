r"""The resolution of a pinhole camera: how far wavelength, beam and pixel spread the q that one pixel sees.

.. math::
    \Delta q^2 = \left(q\,\frac{\sigma_\lambda}{\lambda}\right)^2
        + \left(\frac{2\pi}{\lambda}\,\cos\theta\,\frac{\cos^2 2\theta}{L}\right)^2 \sigma_r^2,\qquad
    \sigma_r^2 = \frac{s_1^2}{16}\left(\frac{L}{L_1}\right)^2 + \frac{s_2^2}{16}\left(1+\frac{L}{L_1}\right)^2
        + \frac{p^2}{12}

Δq standard deviation; s_1 and s_2 diameters of two round, evenly lit slits, the second at the sample and the first
L_1 before it; L sample to detector, p pixel; σ_λ/λ = (FWHM)/2.355. The first bracket is the derivative of
q = 4π/λ sin θ along the radius. Both directions of the detector spread alike, and only the one along the radius counts:
the one across matters below q ≈ 2Δq alone. Pedersen, Posselt & Mortensen 1990, J. Appl. Cryst. 23, 321; Mildner &
Carpenter 1984, J. Appl. Cryst. 17, 249.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from simulators.errors import InstrumentModelError

if TYPE_CHECKING:
    from simulators.scattering.smearing import Pinhole

_FWHM = 2 * math.sqrt(2 * math.log(2))
_NODES = 800
"""Of the smeared curve: 0.5 % of q from one to the next for the default camera."""
_LEAST = 0.004
"""Δq over q below which nothing is gained by following it: the nodes, and the bins of any reduction, are wider."""


@dataclass(frozen=True)
class Resolution:
    """Wavelength spread and collimation of a camera; equation at the top of this file."""

    wavelength_A: float  # noqa: N815 - Å
    distance_mm: float
    pixel_mm: float
    wavelength_spread: float
    """Full width at half maximum over the wavelength."""
    source_slit_mm: float
    """Diameter s_1 of the slit that defines the source; 0 for a parallel beam."""
    sample_slit_mm: float
    """Diameter s_2 of the beam at the sample."""
    collimation_mm: float
    """Distance L_1 between the two slits."""

    @property
    def perfect(self) -> bool:
        """Whether nothing but the pixel limits the resolution, which is then left out."""
        return self.wavelength_spread == 0 and self.source_slit_mm == 0 and self.sample_slit_mm == 0

    @property
    def spot_mm(self) -> float:
        """Standard deviation σ_r along one direction of the detector, the pixel's included."""
        ratio = self.distance_mm / self.collimation_mm
        slits = (self.source_slit_mm * ratio / 4) ** 2 + (self.sample_slit_mm * (1 + ratio) / 4) ** 2
        return math.sqrt(slits + self.pixel_mm**2 / 12)

    def width(self, q: ArrayLike) -> np.ndarray:
        """Return Δq.

        Parameters
        ----------
        q
            ``(k,)`` 1/Å.

        Returns
        -------
        ndarray
            ``(k,)`` standard deviation in 1/Å; 0 where the resolution is taken as perfect.
        """
        q = np.asarray(q, dtype=np.float64)
        if self.perfect:
            return np.zeros_like(q)
        theta = np.arcsin(np.clip(q * self.wavelength_A / (4 * math.pi), 0.0, 1.0))
        slope = 2 * math.pi / self.wavelength_A * np.cos(theta) * np.cos(2 * theta) ** 2 / self.distance_mm
        return np.hypot(q * self.wavelength_spread / _FWHM, slope * self.spot_mm)


@dataclass(frozen=True, eq=False)
class Smearing:
    """A camera's resolution applied to curves, ready for many frames; Δq below 0.4 % of q counts as 0.4 %."""

    resolution: Resolution
    low: float
    """Smallest q of any pixel, 1/Å."""
    high: float
    """Largest q of any pixel, 1/Å."""

    def __post_init__(self) -> None:
        """Refuse a beam that the beamstop does not cover."""
        width = float(self.resolution.width([self.low])[0])
        if width >= 0.39 * self.low:
            raise InstrumentModelError(
                f"the beam on the detector is too wide for its beamstop: Δq = {width:.3g} 1/Å at the smallest q = "
                f"{self.low:.3g} 1/Å, where less than 0.39 q = {0.39 * self.low:.3g} 1/Å is needed; make the slits "
                "smaller or the beamstop larger"
            )

    @cached_property
    def _pinhole(self) -> Pinhole:
        # Brings torch, which takes seconds to import: a camera of perfect resolution does without.
        from simulators.scattering.smearing import Pinhole

        nodes = np.geomspace(self.low, self.high, _NODES)
        return Pinhole(nodes, np.maximum(self.resolution.width(nodes), _LEAST * nodes))

    @cached_property
    def _arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Nodes ``(k,)``, fine grid ``(m,)`` and matrix ``(k, m)``."""
        pinhole = self._pinhole
        return np.asarray(pinhole.q), pinhole.fine.numpy(), pinhole.matrix.numpy()

    @property
    def q_range(self) -> tuple[float, float]:
        """Smallest and largest q at which curves are needed, 1/Å."""
        fine = self._arrays[1]
        return float(fine[0]), float(fine[-1])

    def __call__(self, q: np.ndarray, intensity: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Smear a curve.

        Parameters
        ----------
        q
            ``(k,)`` 1/Å, increasing, covering `q_range`; between its points log I is taken as straight in log q.
        intensity
            ``(k,)``, not negative.

        Returns
        -------
        q, intensity
            ``(m,)`` each, from the smallest to the largest q of any pixel.
        """
        nodes, fine, matrix = self._arrays
        floor = np.finfo(np.float64).tiny
        curve = np.exp(np.interp(np.log(fine), np.log(q), np.log(np.maximum(intensity, floor))))
        # A cubic through a steep flank may overshoot below zero.
        return nodes, np.maximum(matrix @ curve, 0.0)

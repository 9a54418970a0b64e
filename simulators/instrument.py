r"""A SAXS beamline's counts, on an absolute scale: from dΣ/dΩ to a detector frame, a monitor and a beamstop diode.

Expected counts of a pixel in an exposure of t seconds, with :math:`N = \Phi t\,(1+\epsilon)` incident photons:

.. math::
    \mu = \frac{d\Sigma}{d\Omega}(q)\,N\,T\,d\,\Delta\Omega\,P
        + T\frac{N}{\Phi}\,(a + s\,(q/q_s)^{-4})\,\frac{\Delta\Omega}{\Delta\Omega_0} + D\,t

T transmission and d thickness of the sample, ΔΩ solid angle (with cos³), P polarisation; a air and window scattering, s
parasitic scattering of the last slits at q_s = 0.01 1/Å, D dark rate; ε the beam's own fluctuation, which the monitor
sees too. Counts are Poisson. Behind the beamstop only dark counts, in the gaps between modules -1.

Corrections in this order: Pauw et al. 2017, doi:10.1107/S1600576717015096. Detector: a Pilatus 300K, Henrich et al.
2009, doi:10.1016/j.nima.2009.03.200. Not modelled here: finite beam size, wavelength spread, dead time below
saturation.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from simulators.detector import PixelGeometry, defect_pixels, gap_rows, pixel_geometry
from simulators.errors import InstrumentModelError
from simulators.illumination import Illumination
from simulators.scenarios.base import SampleProperties

_PARASITIC_Q = 0.01


@dataclass(frozen=True, eq=False)
class Frame:
    """One exposure as the devices report it."""

    image: np.ndarray
    """``(ny, nx)`` int32 counts; -1 in the gaps."""
    monitor_counts: float
    """Counts of the incident-beam monitor."""
    transmitted_counts: float
    """Counts of the diode in the beamstop."""


@dataclass(frozen=True)
class InstrumentModel:
    """Flux, geometry and detector of a simulated SAXS beamline; equations at the top of this file."""

    distance_mm: float = 2000.0
    """Sample to detector."""
    wavelength_A: float = 1.0  # noqa: N815 - Å
    pixel_mm: float = 0.172
    shape: tuple[int, int] = (619, 487)
    beam_centre_px: tuple[float, float] = (97.3, 71.6)
    """Row, column; whole numbers are pixel centres. Near a corner, so that a wide q range is covered."""
    flux_ph_s: float = 1e11
    """Incident photons per second."""
    flux_jitter: float = 0.005
    """Relative standard deviation of the flux from frame to frame; the monitor follows it."""
    background_per_px_s: float = 0.05
    """Air and window scattering without a sample, counts per pixel and second on the axis."""
    parasitic_per_px_s: float = 0.5
    """Slit scattering at q = 0.01 1/Å, counts per pixel and second; falls as q⁻⁴."""
    dark_per_px_s: float = 1e-4
    """Counts per pixel and second without beam (cosmic rays; a photon counter has no read noise)."""
    beamstop_mm: float = 3.2
    """Diameter of the round beamstop's shadow on the detector."""
    polarisation_factor: float = 0.99
    """1 for a horizontally polarised beam."""
    module_rows: int = 195
    gap_px: int = 17
    n_hot: int = 6
    """Pixels that fire all the time."""
    n_dead: int = 12
    """Pixels that never count."""
    hot_per_s: float = 2e5
    """Counts per second of a hot pixel."""
    defect_seed: int = 0
    """Where the hot and dead pixels are."""
    saturation_counts: int = 1_048_575
    """Largest count a pixel can hold (20 bits)."""
    monitor_efficiency: float = 1e-4
    """Monitor counts per incident photon: its reading times `photons_per_monitor_count` is the incident dose."""
    diode_efficiency: float = 1e-3
    """Beamstop diode counts per transmitted photon."""

    def __post_init__(self) -> None:
        """Refuse what no instrument has."""
        positive = ("distance_mm", "wavelength_A", "pixel_mm", "flux_ph_s", "monitor_efficiency", "diode_efficiency")
        for name in positive:
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise InstrumentModelError(f"{name} must be finite and above 0, got {value!r}")
        non_negative = ("flux_jitter", "background_per_px_s", "parasitic_per_px_s", "dark_per_px_s", "beamstop_mm")
        for name in (*non_negative, "gap_px", "n_hot", "n_dead", "hot_per_s"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise InstrumentModelError(f"{name} must be finite and not negative, got {value!r}")
        if len(self.shape) != 2 or min(self.shape) < 1 or self.module_rows < 1:
            raise InstrumentModelError(f"shape and module_rows must be positive, got {self.shape}, {self.module_rows}")
        if not 0 < self.saturation_counts < 2**31:
            raise InstrumentModelError(f"saturation_counts must fit 31 bits, got {self.saturation_counts!r}")
        if not 0 <= self.polarisation_factor <= 1 or self.flux_jitter > 0.2:
            raise InstrumentModelError(
                "polarisation_factor must lie in [0, 1] and flux_jitter in [0, 0.2], "
                f"got {self.polarisation_factor!r} and {self.flux_jitter!r}"
            )

    @property
    def photons_per_monitor_count(self) -> float:
        """Calibration of the monitor."""
        return 1 / self.monitor_efficiency

    @cached_property
    def geometry(self) -> PixelGeometry:
        """Angles and solid angles of all pixels."""
        return pixel_geometry(
            self.shape,
            beam_centre_px=self.beam_centre_px,
            pixel_mm=self.pixel_mm,
            distance_mm=self.distance_mm,
            wavelength_A=self.wavelength_A,
            polarisation_factor=self.polarisation_factor,
        )

    @property
    def q_map(self) -> np.ndarray:
        """``(ny, nx)`` 1/Å at each pixel's centre."""
        return self.geometry.q

    @cached_property
    def gap_mask(self) -> np.ndarray:
        """``(ny, nx)`` bool, True between modules."""
        rows = gap_rows(self.shape, self.module_rows, self.gap_px)
        return np.broadcast_to(rows[:, None], self.shape)

    @cached_property
    def beamstop_mask(self) -> np.ndarray:
        """``(ny, nx)`` bool, True where any part of the pixel lies in the beamstop's shadow."""
        return self.geometry.radius_mm <= self.beamstop_mm / 2 + self.pixel_mm / math.sqrt(2)

    @cached_property
    def _defects(self) -> tuple[tuple[tuple[int, int], ...], tuple[tuple[int, int], ...]]:
        live = ~(self.gap_mask | self.beamstop_mask)
        if self.n_hot + self.n_dead > live.sum():
            raise InstrumentModelError(f"n_hot + n_dead must leave live pixels, there are only {int(live.sum())}")
        return defect_pixels(live, n_hot=self.n_hot, n_dead=self.n_dead, seed=self.defect_seed)

    @property
    def hot_pixels(self) -> tuple[tuple[int, int], ...]:
        """(row, column) of each hot pixel."""
        return self._defects[0]

    @property
    def dead_pixels(self) -> tuple[tuple[int, int], ...]:
        """(row, column) of each dead pixel."""
        return self._defects[1]

    @cached_property
    def mask(self) -> np.ndarray:
        """``(ny, nx)`` bool, True = unusable: gaps, beamstop, hot and dead pixels."""
        mask = self.gap_mask | self.beamstop_mask
        for row, column in (*self.hot_pixels, *self.dead_pixels):
            mask[row, column] = True
        mask.setflags(write=False)
        return mask

    @property
    def q_range(self) -> tuple[float, float]:
        """Smallest and largest q of a usable pixel, 1/Å: what `expose` needs dΣ/dΩ for."""
        usable = self.q_map[~self.mask]
        return float(usable.min()), float(usable.max())

    def q_grid(self, n: int = 300) -> np.ndarray:
        """Return ``(n,)`` logarithmic q in 1/Å that covers every pixel."""
        return self._illumination.q_grid(n)

    @cached_property
    def _lit(self) -> np.ndarray:
        """Pixels that photons reach."""
        return ~(self.gap_mask | self.beamstop_mask)

    @cached_property
    def _illumination(self) -> Illumination:
        geometry, lit = self.geometry, self._lit
        relative = geometry.solid_angle_sr[lit] / (self.pixel_mm / self.distance_mm) ** 2
        parasitic = self.parasitic_per_px_s * (geometry.q[lit] / _PARASITIC_Q) ** -4
        return Illumination(
            q=geometry.q[lit],
            weight_sr=geometry.solid_angle_sr[lit] * geometry.polarisation[lit],
            background_per_s=(self.background_per_px_s + parasitic) * relative,
        )

    def expected(
        self,
        q: ArrayLike,
        cross_section: ArrayLike | None,
        *,
        sample: SampleProperties | None,
        exposure_s: float,
        shutter_open: bool = True,
        flux_factor: float = 1.0,
    ) -> np.ndarray:
        """Return the expected counts before defects and saturation, as `expose` draws them.

        Parameters
        ----------
        q, cross_section, sample, exposure_s, shutter_open
            As for `expose`.
        flux_factor
            The beam's momentary intensity over `flux_ph_s`.

        Returns
        -------
        ndarray
            ``(ny, nx)`` float64; 0 in the gaps.
        """
        counts = np.where(self.gap_mask, 0.0, self.dark_per_px_s * exposure_s)
        counts[self._lit] = self._lit_counts(q, cross_section, sample, exposure_s, shutter_open, flux_factor)
        return counts

    def expose(
        self,
        q: ArrayLike,
        cross_section: ArrayLike | None,
        *,
        sample: SampleProperties | None,
        exposure_s: float,
        shutter_open: bool = True,
        rng: np.random.Generator,
    ) -> Frame:
        """Take one frame.

        Parameters
        ----------
        q
            ``(k,)`` 1/Å, strictly increasing, covering the detector (`q_grid` does).
        cross_section
            ``(k,)`` dΣ/dΩ in 1/cm. None for nothing in the beam: air and window scattering alone, transmission 1,
            whatever `sample` says.
        sample
            Thickness and transmission; may be None only where `cross_section` is.
        exposure_s
            Seconds.
        shutter_open
            Closed: dark counts alone.
        rng
            All noise comes from it: the same state gives the same frame.

        Raises
        ------
        InstrumentModelError
            If q does not cover the detector or does not increase, dΣ/dΩ is negative or not finite, or the exposure is
            not positive.
        """
        if not (math.isfinite(exposure_s) and exposure_s > 0):
            raise InstrumentModelError(f"exposure_s must be finite and above 0 s, got {exposure_s!r}")
        factor = max(0.0, 1 + self.flux_jitter * rng.standard_normal())
        lit = rng.poisson(self._lit_counts(q, cross_section, sample, exposure_s, shutter_open, factor))
        image = np.full(self.shape, -1, dtype=np.int32)
        image[self._lit] = np.minimum(lit, self.saturation_counts)
        shadow = self.beamstop_mask & ~self.gap_mask
        image[shadow] = rng.poisson(self.dark_per_px_s * exposure_s, size=int(shadow.sum()))
        for row, column in self.hot_pixels:
            image[row, column] = min(int(rng.poisson(self.hot_per_s * exposure_s)), self.saturation_counts)
        for row, column in self.dead_pixels:
            image[row, column] = 0
        photons = self.flux_ph_s * exposure_s * factor if shutter_open else 0.0
        transmission = 1.0 if cross_section is None or sample is None else sample.transmission
        return Frame(
            image=image,
            monitor_counts=float(rng.poisson(photons * self.monitor_efficiency)),
            transmitted_counts=float(rng.poisson(photons * transmission * self.diode_efficiency)),
        )

    def _lit_counts(
        self,
        q: ArrayLike,
        cross_section: ArrayLike | None,
        sample: SampleProperties | None,
        exposure_s: float,
        shutter_open: bool,
        flux_factor: float,
    ) -> np.ndarray:
        """Return the expected counts of the lit pixels, ``(n_lit,)``."""
        light, dark = self._illumination, self.dark_per_px_s * exposure_s
        if not shutter_open:
            return np.full(light.q.shape, dark)
        seconds = exposure_s * flux_factor
        if cross_section is None:
            return light.background_per_s * seconds + dark
        if sample is None:
            raise InstrumentModelError("a cross-section needs a sample (thickness and transmission), got None")
        counts = light.scattered(q, cross_section, self.flux_ph_s * seconds * sample.transmission * sample.thickness_cm)
        counts += light.background_per_s * (sample.transmission * seconds)
        counts += dark
        return counts

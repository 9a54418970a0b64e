r"""A SAXS beamline's counts, on an absolute scale: from dΣ/dΩ to a detector frame, a monitor and a beamstop diode.

Expected counts of a pixel in an exposure of t seconds, with :math:`N = \Phi t\,(1+\epsilon)` incident photons:

.. math::
    \mu = N\,T\left[d\,\overline{\frac{d\Sigma}{d\Omega}} + l\left(\frac{d\Sigma}{d\Omega}\right)_{air}\right]
        \Delta\Omega\,P + T\frac{N}{\Phi}\,(a + s\,(q/q_s)^{-4})\,\frac{\Delta\Omega}{\Delta\Omega_0} + D\,t

T transmission and d thickness of the sample, l the path in air (`simulators.air`), ΔΩ solid angle (with cos³), P
polarisation; a windows' and other flat scattering, s parasitic scattering of the last slits at q_s = 0.01 1/Å, D dark
rate; ε the beam's own fluctuation, which the monitor sees too. The bar is the mean over the resolution that wavelength
spread, slits and pixel leave (`simulators.resolution`; a perfect one by default). Pulses closer than the dead time τ
pile up: μ exp(-μτ/t) are counted. Counts are Poisson (with pile-up a little less wide in truth). Behind the beamstop
only dark counts, in the gaps between modules -1.

Corrections in this order: Pauw et al. 2017, doi:10.1107/S1600576717015096. Detector: a Pilatus 300K, Henrich et al.
2009, Nucl. Instrum. Methods A 607, 247; its dead time: Kraft et al. 2009, J. Synchrotron Rad. 16, 368.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from simulators.air import air_cross_section
from simulators.detector import PixelGeometry, defect_pixels, gap_rows, pixel_geometry
from simulators.errors import InstrumentModelError
from simulators.illumination import Illumination, checked_curve
from simulators.instrument_settings import InstrumentSettings
from simulators.resolution import Resolution, Smearing
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
class InstrumentModel(InstrumentSettings):
    """A simulated SAXS beamline, described by its settings; equations at the top of this file."""

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
        """Return ``(n,)`` logarithmic q in 1/Å that covers every pixel, and what smears into it."""
        return np.geomspace(*self._q_needed, n)

    @property
    def _q_needed(self) -> tuple[float, float]:
        return self._illumination.q_range if self._smearing is None else self._smearing.q_range

    @cached_property
    def resolution(self) -> Resolution:
        """What wavelength spread, slits and pixel do to q."""
        names = ("wavelength_A", "distance_mm", "pixel_mm", "wavelength_spread")
        slits = ("source_slit_mm", "sample_slit_mm", "collimation_mm")
        return Resolution(**{name: getattr(self, name) for name in (*names, *slits)})

    @cached_property
    def _smearing(self) -> Smearing | None:
        return None if self.resolution.perfect else Smearing(self.resolution, *self._illumination.q_range)

    @cached_property
    def _lit(self) -> np.ndarray:
        """Pixels that photons reach."""
        return ~(self.gap_mask | self.beamstop_mask)

    @cached_property
    def _illumination(self) -> Illumination:
        geometry, lit = self.geometry, self._lit
        relative = geometry.solid_angle_sr[lit] / (self.pixel_mm / self.distance_mm) ** 2
        parasitic = self.parasitic_per_px_s * (geometry.q[lit] / _PARASITIC_Q) ** -4
        weight_sr = geometry.solid_angle_sr[lit] * geometry.polarisation[lit]
        background = (self.background_per_px_s + parasitic) * relative
        if self.air_path_mm > 0:
            photons_cm = self.flux_ph_s * self.air_path_mm / 10
            background += photons_cm * air_cross_section(geometry.q[lit]) * weight_sr
        return Illumination(q=geometry.q[lit], weight_sr=weight_sr, background_per_s=background)

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
            counts = light.background_per_s * seconds
        elif sample is None:
            raise InstrumentModelError("a cross-section needs a sample (thickness and transmission), got None")
        else:
            q, intensity = checked_curve(q, cross_section, self._q_needed)
            if self._smearing is not None:
                q, intensity = self._smearing(q, intensity)
            photons_cm = self.flux_ph_s * seconds * sample.transmission * sample.thickness_cm
            counts = light.scattered(q, intensity, photons_cm)
            counts += light.background_per_s * (sample.transmission * seconds)
        counts += dark
        if self.dead_time_ns > 0:
            counts *= np.exp(counts * (-1e-9 * self.dead_time_ns / exposure_s))
        return counts

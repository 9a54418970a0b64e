"""What describes a simulated SAXS beamline: numbers with units, and what no instrument has is refused."""

from __future__ import annotations

import math
from dataclasses import dataclass

from simulators.errors import InstrumentModelError


@dataclass(frozen=True)
class InstrumentSettings:
    """Flux, geometry, resolution and detector of a simulated SAXS beamline; equations in `simulators.instrument`."""

    distance_mm: float = 2000.0
    """Sample to detector."""
    wavelength_A: float = 1.0  # noqa: N815 - Å
    wavelength_spread: float = 0.0
    """Δλ/λ, full width at half maximum: some 1e-4 behind Si(111), 1e-2 behind a multilayer. 0: none."""
    source_slit_mm: float = 0.0
    """Diameter of the slit that defines the source, `collimation_mm` before the sample. 0: a parallel beam."""
    sample_slit_mm: float = 0.0
    """Diameter of the beam at the sample. 0: a line."""
    collimation_mm: float = 5000.0
    """Distance between the two slits; matters only where they are open."""
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
    air_path_mm: float = 0.0
    """Air in the beam's path, which scatters as if it lay at the sample; `background_per_px_s` comes on top."""
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
    dead_time_ns: float = 0.0
    """Of a pixel after each photon: pulses that pile up within it count as one (a Pilatus: some 120). 0: none."""
    saturation_counts: int = 1_048_575
    """Largest count a pixel can hold (20 bits)."""
    monitor_efficiency: float = 1e-4
    """Monitor counts per incident photon: its reading times `photons_per_monitor_count` is the incident dose."""
    diode_efficiency: float = 1e-3
    """Beamstop diode counts per transmitted photon."""

    def __post_init__(self) -> None:
        """Refuse what no instrument has."""
        positive = ("distance_mm", "wavelength_A", "collimation_mm", "pixel_mm", "flux_ph_s")
        for name in (*positive, "monitor_efficiency", "diode_efficiency"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise InstrumentModelError(f"{name} must be finite and above 0, got {value!r}")
        non_negative = ("flux_jitter", "background_per_px_s", "parasitic_per_px_s", "dark_per_px_s", "beamstop_mm")
        more = ("wavelength_spread", "source_slit_mm", "sample_slit_mm", "air_path_mm", "dead_time_ns")
        for name in (*non_negative, *more, "gap_px", "n_hot", "n_dead", "hot_per_s"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise InstrumentModelError(f"{name} must be finite and not negative, got {value!r}")
        if len(self.shape) != 2 or min(self.shape) < 1 or self.module_rows < 1:
            raise InstrumentModelError(f"shape and module_rows must be positive, got {self.shape}, {self.module_rows}")
        if not 0 < self.saturation_counts < 2**31:
            raise InstrumentModelError(f"saturation_counts must fit 31 bits, got {self.saturation_counts!r}")
        if not 0 <= self.polarisation_factor <= 1 or self.flux_jitter > 0.2 or self.wavelength_spread > 0.2:
            raise InstrumentModelError(
                "polarisation_factor must lie in [0, 1], flux_jitter and wavelength_spread in [0, 0.2], "
                f"got {self.polarisation_factor!r}, {self.flux_jitter!r} and {self.wavelength_spread!r}"
            )

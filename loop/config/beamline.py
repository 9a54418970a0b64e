"""What measures: a simulated SAXS beamline with its devices, or recorded curves played back."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from loop.config.base import Component, Name, NotNegative, Pair, Positive, Scalar, Section, Unit, refuse
from loop.wording import symbol

Fraction = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]
Whole = Annotated[int, Field(ge=0)]


class Axis(Section):
    """What every positioner has: limits in a unit, and a place where it starts."""

    low: float
    """Lower limit of the device, in `unit`; it refuses to go below."""
    high: float
    """Upper limit of the device, in `unit`; it refuses to go above."""
    unit: Unit
    """Unit of the limits."""
    start: float | None = None
    """Where it stands when the campaign begins, in `unit`; null: the lower limit."""

    def keywords(self) -> dict[str, Any]:
        """Return what the device's constructor takes: `limits` and `egu` for the limits and their unit."""
        given = super().keywords()
        return {"limits": (given.pop("low"), given.pop("high")), "egu": symbol(given.pop("unit")), **given}

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        problems: list[tuple[tuple[str | int, ...], float, str]] = []
        if not self.low < self.high:
            problems.append((("low",), self.low, f"a number less than high ({self.high:g})"))
        elif self.start is not None and not self.low <= self.start <= self.high:
            problems.append((("start",), self.start, f"a number from low ({self.low:g}) to high ({self.high:g})"))
        refuse("device", problems)
        return self


class Motor(Axis):
    """A motor that travels at constant velocity."""

    kind: Literal["motor"]
    """A motor."""
    velocity: Positive | None = None
    """Speed of travel, in `unit` per second; null: the default of `instruments.devices.SimulatedMotor`."""


class TemperatureStage(Axis):
    """A stage that ramps to its set point and then settles."""

    kind: Literal["temperature_stage"]
    """A temperature stage."""
    ramp_rate: Positive | None = None
    """Ramp rate, in `unit` per second; null: the default of `instruments.devices.TemperatureStage`."""
    settle_s: NotNegative | None = None
    """Time to settle at the end of the ramp, s; null: none."""
    atol: Positive | None = None
    """Deviation from the set point, in `unit`, at which the stage counts as arrived; null: its default."""


Device = Annotated[Motor | TemperatureStage, Field(discriminator="kind")]


class Instrument(Section):
    """The simulated SAXS camera; what is left out keeps the default of `simulators.instrument.InstrumentModel`."""

    distance_mm: Positive | None = None
    """Distance from sample to detector, mm."""
    wavelength_A: Positive | None = None  # noqa: N815
    """Wavelength, Å."""
    wavelength_spread: Annotated[float, Field(ge=0, le=0.2)] | None = None
    """Full width at half maximum of the wavelength over the wavelength; smears q."""
    source_slit_mm: NotNegative | None = None
    """Diameter of the slit that defines the source, mm; smears q."""
    sample_slit_mm: NotNegative | None = None
    """Diameter of the beam at the sample, mm; smears q."""
    collimation_mm: Positive | None = None
    """Distance between the two slits, mm."""
    pixel_mm: Positive | None = None
    """Edge of a (square) pixel, mm."""
    shape: Annotated[tuple[Count, Count], Field(strict=False)] | None = None
    """Rows and columns of the detector, pixels."""
    beam_centre_px: Pair | None = None
    """Row and column where the direct beam hits, pixels; whole numbers are pixel centres."""
    flux_ph_s: Positive | None = None
    """Incident photons per second."""
    flux_jitter: Annotated[float, Field(ge=0, le=0.2)] | None = None
    """Relative standard deviation of the flux from frame to frame."""
    background_per_px_s: NotNegative | None = None
    """Air and window scattering without a sample, counts per pixel and second on the axis."""
    air_path_mm: NotNegative | None = None
    """Air in the beam's path, mm, whose scattering comes on top."""
    parasitic_per_px_s: NotNegative | None = None
    """Slit scattering at q = 0.01 1/Å, counts per pixel and second."""
    dark_per_px_s: NotNegative | None = None
    """Counts per pixel and second without beam."""
    beamstop_mm: NotNegative | None = None
    """Diameter of the beamstop's shadow on the detector, mm."""
    polarisation_factor: Fraction | None = None
    """Polarisation of the beam: 1 horizontal, 0 unpolarised."""
    module_rows: Count | None = None
    """Rows of a detector module, pixels."""
    gap_px: Whole | None = None
    """Rows between two modules, pixels."""
    n_hot: Whole | None = None
    """Number of pixels that fire all the time."""
    n_dead: Whole | None = None
    """Number of pixels that never count."""
    hot_per_s: NotNegative | None = None
    """Counts per second of a hot pixel."""
    defect_seed: Whole | None = None
    """Seed of the places of hot and dead pixels."""
    dead_time_ns: NotNegative | None = None
    """Time after a photon in which a pixel counts no other, ns: pulses pile up."""
    saturation_counts: Annotated[int, Field(gt=0, lt=2**31)] | None = None
    """Largest count that a pixel can hold."""
    monitor_efficiency: Positive | None = None
    """Monitor counts per incident photon."""
    diode_efficiency: Positive | None = None
    """Counts of the beamstop's diode per transmitted photon."""


class SimulatedBeamline(Section):
    """A beamline whose devices are real Ophyd devices and whose sample is computed."""

    kind: Literal["simulated"]
    """Everything in this process, with the physics computed."""
    scenario: Component
    """The sample: how its scattering depends on the parameters."""
    devices: Annotated[dict[Name, Device], Field(min_length=1)]
    """The devices that set parameters, by name."""
    instrument: Instrument = Instrument()
    """The camera."""
    background_frames: Annotated[int, Field(ge=1)] = 3
    """Frames without sample, of one exposure each, taken before the first point."""
    time_scale: NotNegative = 1.0
    """How long simulated seconds take: 1 is real time, 0.1 ten times faster, 0 instant."""


class Columns(Section):
    """Columns of the table that hold the curves."""

    q: str = "q"
    """Scattering vector, a list per row."""
    intensity: str = "i"
    """Intensity, a list per row."""
    sigma: str = "sigma"
    """Standard deviation of the intensity, a list per row."""


class ReplayBeamline(Section):
    """Recorded curves: to measure a point is to read its row."""

    kind: Literal["replay"]
    """A recorded data set, played back."""
    data: Annotated[str, Field(min_length=1)]
    """Parquet file, below the data folder (environment variable BEAMLOOP_DATA)."""
    id: Annotated[str, Field(min_length=1)]
    """Column whose values name the rows; each value once."""
    where: dict[str, Scalar] = Field(default_factory=dict)
    """Only rows whose column has this value: column name -> value."""
    exclude: list[str] = Field(default_factory=list)
    """Rows left out, by the value of column `id` as text (the sample that gave the target curve, say)."""
    columns: Columns = Columns()
    """Where the curves stand in the table."""
    q_scale: Positive = 1.0
    """Factor from the recorded q to 1/Å."""
    change_s: NotNegative = 0.0
    """Time that a change of sample takes, s."""
    time_scale: NotNegative = 1.0
    """How long replayed seconds take: 1 is real time, 0.1 ten times faster, 0 instant."""


Beamline = Annotated[SimulatedBeamline | ReplayBeamline, Field(discriminator="kind")]

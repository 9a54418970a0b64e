"""What measures: a simulated SAXS beamline with its devices, or recorded curves played back."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from loop.config.base import Component, Name, NotNegative, Pair, Positive, Scalar, Section, Unit, refuse

Fraction = Annotated[float, Field(ge=0, le=1)]
PixelPair = Annotated[tuple[int, int], Field(strict=False)]


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
    velocity_per_s: Positive = 20.0
    """Speed of travel, in `unit` per second."""


class TemperatureStage(Axis):
    """A stage that ramps to its set point and then settles."""

    kind: Literal["temperature_stage"]
    """A temperature stage."""
    rate_per_s: Positive = 200.0
    """Ramp rate, in `unit` per second."""
    settle_s: NotNegative = 0.0
    """Time to settle once the set point is reached, s."""


Device = Annotated[Motor | TemperatureStage, Field(discriminator="kind")]


class Instrument(Section):
    """The simulated SAXS camera; what is left out keeps the default of `simulators.instrument.InstrumentModel`."""

    distance_mm: Positive | None = None
    """Distance from sample to detector, mm."""
    wavelength_A: Positive | None = None
    """Wavelength, Å."""
    pixel_mm: Positive | None = None
    """Edge of a (square) pixel, mm."""
    shape: PixelPair | None = None
    """Rows and columns of the detector, pixels."""
    beam_centre_px: Pair | None = None
    """Row and column where the direct beam hits, pixels."""
    flux_ph_s: Positive | None = None
    """Photons per second on the sample."""
    seed: Annotated[int, Field(ge=0)] | None = None
    """Seed of the map of dead and hot pixels."""


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
    time_scale: Positive = 1.0
    """How long simulated seconds take: 1 is real time, 0.1 ten times faster."""


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
    where: dict[str, Scalar] = {}
    """Only rows whose column has this value: column name -> value."""
    columns: Columns = Columns()
    """Where the curves stand in the table."""
    q_scale: Positive = 1.0
    """Factor from the recorded q to 1/Å."""
    change_s: NotNegative = 0.0
    """Time that a change of sample takes, s."""
    time_scale: Positive = 1.0
    """How long replayed seconds take: 1 is real time, 0.1 ten times faster."""


Beamline = Annotated[SimulatedBeamline | ReplayBeamline, Field(discriminator="kind")]

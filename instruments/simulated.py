"""The simulated SAXS beamline as an experiment: real devices, plans, files and reduction; only the sample is computed.

The one module of this package that knows the simulators.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from instruments.analysis import FrameAnalysis, Readings
from instruments.axes import checked_axes, default_axis
from instruments.background import Background
from instruments.curve import Curve
from instruments.devices import (
    Beamline,
    DiscretePositioner,
    Faults,
    SaxsDetector,
    Shutter,
    SoftAxis,
    SoftSignalRO,
)
from instruments.devices.beamline import EMPTY, SAMPLE
from instruments.evaluation import Evaluation
from instruments.experiment import Point, observe, require_observables, without_noise
from instruments.observables import Observable
from instruments.quality import QualityGate
from instruments.reduction import Geometry, Reducer
from instruments.saxs import BACKGROUND, FRAME, SaxsDevices, SaxsExperiment
from simulators.instrument import Frame, InstrumentModel
from simulators.scenarios import Scenario

RING_CURRENT_MA = 300.0
_SPAWN_KEYS = {FRAME: (), BACKGROUND: (1,)}
"""Series of frames -> spawn key of its noise: background frames share no random number with the campaign's."""


@dataclass(frozen=True)
class SimulatedPhysics:
    """Scenario and instrument together: what a frame looks like. A function of its arguments and the seed alone."""

    scenario: Scenario
    instrument: InstrumentModel
    seed: int

    def expose(
        self, state: Mapping[str, float] | None, *, exposure_s: float, shutter_open: bool, series: str, number: int
    ) -> Frame:
        """Take one exposure; see `instruments.devices.beamline.Physics`."""
        rng = np.random.default_rng(np.random.SeedSequence([self.seed, number], spawn_key=_SPAWN_KEYS[series]))
        return self.instrument.expose(
            self.q,
            None if state is None else self.scenario.cross_section([state], self.q)[0],
            sample=None if state is None else self.scenario.sample,
            exposure_s=exposure_s,
            shutter_open=shutter_open,
            rng=rng,
        )

    @cached_property
    def q(self) -> np.ndarray:
        """``(n,)`` 1/Å, where the cross-section is asked."""
        return self.instrument.q_grid()


class SimulatedExperiment(SaxsExperiment):
    """A SAXS beamline with a computed sample; satisfies the loop's `Experiment`, `KnowsTruth` and `CanSampleOffline`.

    Parameters
    ----------
    scenario
        The sample: cross-section as a function of its parameters.
    instrument
        Flux, geometry, detector.
    frames
        Folder for the frames' files.
    quality
        What a frame and a curve must at least be.
    observables
        Name -> observable, the objective first.
    axes
        Parameter name -> positioner that sets it, in the parameter's unit; `default_axis` of each where left out.
    reduction
        Options of `Reducer` (``n_bins``, ``q_range``, ...); geometry, mask, thickness, polarisation, dark rate and
        monitor efficiency are the instrument's unless given here.
    exposure_s
        Seconds per frame.
    background_frames
        Frames of `exposure_s` each without sample, taken by `prepare`.
    seed
        Of all noise: the frame of number n is the same in every run with this seed.
    time_scale
        Real seconds per simulated second: 1 is real time, 0 instant. For detector, shutter, holder and default axes;
        axes that are handed in have their own.
    detector_timeout_s
        Real seconds beyond the exposure after which the detector counts as hung.
    move_timeout_s
        Real seconds that the moves to a point may take.
    faults
        What shall go wrong, for tests.

    Raises
    ------
    InstrumentError
        If axes and scenario do not fit, or an option is out of its range.
    """

    def __init__(
        self,
        scenario: Scenario,
        instrument: InstrumentModel,
        *,
        frames: Path,
        quality: QualityGate,
        observables: Mapping[str, Observable],
        axes: Mapping[str, SoftAxis] | None = None,
        reduction: Mapping[str, Any] | None = None,
        exposure_s: float = 1.0,
        background_frames: int = 3,
        seed: int = 0,
        time_scale: float = 1.0,
        detector_timeout_s: float = 30.0,
        move_timeout_s: float = 600.0,
        faults: Faults | None = None,
    ) -> None:
        self.scenario = scenario
        self.instrument = instrument
        self.seed = seed
        self.physics = SimulatedPhysics(scenario, instrument, seed)
        timing: dict[str, Any] = {"time_scale": time_scale, "faults": faults}
        if axes is None:
            axes = {parameter.name: default_axis(parameter, **timing) for parameter in scenario.parameters}
        beamline = Beamline(
            axes=checked_axes(axes, scenario.parameters),
            shutter=Shutter(name="shutter", **timing),
            holder=DiscretePositioner(name="holder", positions=(SAMPLE, EMPTY), travel_s=1.0, **timing),
            i0=SoftSignalRO(name="i0", value=0.0, units="counts"),
            diode=SoftSignalRO(name="diode", value=0.0, units="counts"),
            physics=self.physics,
        )
        detector = SaxsDetector(
            name="det",
            beamline=beamline,
            folder=Path(frames),
            shape=instrument.shape,
            timeout_s=detector_timeout_s,
            **timing,
        )
        self._reduction = {
            "mask": instrument.mask,
            "thickness_cm": scenario.sample.thickness_cm,
            "monitor_efficiency": instrument.monitor_efficiency,
            "dark_rate": instrument.dark_per_px_s,
            "polarization_factor": instrument.polarisation_factor,
            **(reduction or {}),
        }
        self._reducer()  # a wrong option is to be told now, not after the first exposure
        self._lock = threading.Lock()
        super().__init__(
            SaxsDevices(
                axes=beamline.axes,
                shutter=beamline.shutter,
                holder=beamline.holder,
                detector=detector,
                i0=beamline.i0,
                diode=beamline.diode,
                others=(SoftSignalRO(name="ring_current", value=RING_CURRENT_MA, units="mA"),),
            ),
            FrameAnalysis(
                self._reducer, mask=instrument.mask, quality=quality, observables=require_observables(observables)
            ),
            frames=frames,
            exposure_s=exposure_s,
            background_frames=background_frames,
            move_timeout_s=move_timeout_s,
            metadata={"noise_seed": seed},
        )

    def sample(self, point: Point, *, frame_number: int, exposure_s: float | None = None) -> Evaluation:
        """Measure and evaluate without devices, RunEngine or files: the same numbers, bit by bit."""
        self.check([point])
        with self._lock:
            if not self.analysis.ready:
                shots = [self._offline(None, BACKGROUND, number) for number in range(self.background_frames)]
                self.analysis.set_background([image for image, _ in shots], [readings for _, readings in shots])
        return self.analysis.judge(*self._offline(self._state(point), FRAME, frame_number, exposure_s))

    def truth(self, points: Sequence[Point]) -> dict[str, np.ndarray]:
        """Observables of the noise-free, background-free cross-section at the reduction's q, each ``(n,)``.

        Those that see noise are told the error bars of a campaign's exposure.
        """
        self.check(points)
        q, curves, exposed = self._bins, list[Curve | None](), list[Curve | None]()
        if points:
            rows = self.scenario.cross_section([self._state(point) for point in points], q)
            curves = [without_noise(q, row) for row in rows]
            if any(getattr(observable, "sees_noise", False) for observable in self.analysis.observables.values()):
                constant, slope = self._variance
                exposed = [Curve(q, row, np.sqrt(constant + slope * row)) for row in rows]
        return observe(curves, self.analysis.observables, exposed or None)

    def describe(self) -> dict[str, Any]:
        """Plain JSON: sample, instrument, devices with their limits, exposure."""
        scenario, instrument = self.scenario, self.instrument
        return {
            "kind": "simulated",
            "data_source": f"computed: scenario {scenario.name}, counting noise of seed {self.seed}",
            "scenario": {
                "name": scenario.name,
                "parameters": [asdict(parameter) for parameter in scenario.parameters],
                "thickness_cm": scenario.sample.thickness_cm,
                "transmission": scenario.sample.transmission,
            },
            "instrument": {
                "distance_mm": instrument.distance_mm,
                "wavelength_A": instrument.wavelength_A,
                "pixel_mm": instrument.pixel_mm,
                "shape": list(instrument.shape),
                "beam_centre_px": list(instrument.beam_centre_px),
                "flux_ph_s": instrument.flux_ph_s,
            },
            "devices": {
                parameter: {
                    "name": axis.name,
                    "class": type(axis).__name__,
                    "unit": axis.egu,
                    "limits": [float(limit) for limit in axis.limits],
                }
                for parameter, axis in self.devices.axes.items()
            },
            "exposure_s": self.exposure_s,
            "background_frames": self.background_frames,
            "seed": self.seed,
            "observables": {
                name: {"unit": observable.unit, "description": observable.description}
                for name, observable in self.analysis.observables.items()
            },
        }

    def _state(self, point: Point) -> dict[str, float]:
        return {parameter: float(point[parameter]) for parameter in self.devices.axes}

    def _offline(
        self, state: Mapping[str, float] | None, series: str, number: int, exposure_s: float | None = None
    ) -> tuple[np.ndarray, Readings]:
        exposure_s = exposure_s or self.exposure_s
        frame = self.physics.expose(state, exposure_s=exposure_s, shutter_open=True, series=series, number=number)
        return frame.image, Readings(exposure_s, frame.monitor_counts, frame.transmitted_counts)

    def _reducer(self, background: Background | None = None) -> Reducer:
        instrument = self.instrument
        geometry = Geometry(
            distance_mm=instrument.distance_mm,
            wavelength_A=instrument.wavelength_A,
            pixel_mm=instrument.pixel_mm,
            beam_centre_px=instrument.beam_centre_px,
            shape=instrument.shape,
        )
        return Reducer(geometry, background=background, **self._reduction)

    @cached_property
    def _variance(self) -> tuple[np.ndarray, np.ndarray]:
        """Variance of a point of an exposure's curve, ``(k,)`` each: without the sample's scattering, and per 1/cm.

        Counts are Poisson, so that it is a straight line in dΣ/dΩ; two exposures without noise tell it.
        """
        photons, sample = self.instrument.flux_ph_s * self.exposure_s, self.scenario.sample
        monitor = photons * self.instrument.monitor_efficiency
        empty = self.instrument.expected(self.physics.q, None, sample=None, exposure_s=self.exposure_s)
        times = self.background_frames
        reducer = self._reducer(Background(times * empty, times * self.exposure_s, times * monitor))
        found = []
        for level in (0.0, 1.0):
            curve = np.full_like(self.physics.q, level)
            image = self.instrument.expected(self.physics.q, curve, sample=sample, exposure_s=self.exposure_s)
            reduced = reducer.reduce(
                image, exposure_s=self.exposure_s, monitor_counts=monitor, transmission=sample.transmission
            )
            found.append(np.square(reduced.sigma))
        return found[0], np.maximum(found[1] - found[0], 0.0)

    @cached_property
    def _bins(self) -> np.ndarray:
        """``(k,)`` 1/Å, where reduced curves have their points."""
        lit = np.ones(self.instrument.shape, dtype=np.int32)
        return self._reducer().reduce(lit, exposure_s=self.exposure_s, monitor_counts=1.0, transmission=1.0).q

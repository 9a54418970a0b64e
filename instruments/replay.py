"""Recorded curves as an experiment: a sample changer picks the row, a detector hands out what was measured once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from bluesky.utils import MsgGenerator
from ophyd import Component as Cpt

from instruments.curve import Curve
from instruments.devices import DiscretePositioner, Fault, Faults, Shutter, SoftSignalRO
from instruments.devices.exposure import ExposingDevice, Job
from instruments.errors import InstrumentError
from instruments.evaluation import Evaluation
from instruments.experiment import Point, check_points, judge, observe, require_observables
from instruments.observables import Observable
from instruments.plans import close_shutter, measure_point
from instruments.quality import QualityGate
from instruments.rundata import Documents, RunData

SAMPLE = "sample"
"""Name under which a point carries its sample's id."""


class Recording(Protocol):
    """Measured curves, one per sample (`simulators.recorded.RecordedCurves`)."""

    @property
    def name(self) -> str:
        """Of the data set."""

    @property
    def ids(self) -> Sequence[str]:
        """Of the samples, distinct."""

    @property
    def q(self) -> Sequence[np.ndarray]:
        """``(k_i,)`` 1/Å per sample."""

    @property
    def intensity(self) -> Sequence[np.ndarray]:
        """``(k_i,)`` per sample."""

    @property
    def sigma(self) -> Sequence[np.ndarray]:
        """``(k_i,)`` per sample; NaN where there is none."""

    @property
    def citation(self) -> str:
        """Whose data."""

    @property
    def licence(self) -> str:
        """Under which licence."""


class CurveDetector(ExposingDevice):
    """A detector that delivers the recorded curve of the sample that is in the beam.

    Parameters
    ----------
    recording
        The curves.
    changer
        Says which sample is in the beam.
    **kwargs
        As of `ExposingDevice`.
    """

    q = Cpt(SoftSignalRO, value=np.zeros(1), kind="normal", units="1/Å")
    intensity = Cpt(SoftSignalRO, value=np.zeros(1), kind="normal")
    sigma = Cpt(SoftSignalRO, value=np.zeros(1), kind="normal")
    points = Cpt(SoftSignalRO, value=0, kind="hinted")

    def __init__(self, *, recording: Recording, changer: DiscretePositioner, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._recording = recording
        self._changer = changer
        self._row = {identity: row for row, identity in enumerate(recording.ids)}

    def acquire(self, job: Job, fault: Fault | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Look up the curve."""
        row = self._row[self._changer.settled_value]
        q, intensity, sigma = _arrays(self._recording, row)
        if fault is Fault.NAN_FRAME:
            intensity = np.full_like(intensity, np.nan)
        elif fault is Fault.ZERO_FRAME:
            intensity = np.zeros_like(intensity)
        return q, intensity, sigma

    def publish(self, job: Job, result: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
        """Show the curve."""
        for signal, values in zip((self.q, self.intensity, self.sigma), result, strict=True):
            signal.sim_put(values)
        self.points.sim_put(len(result[0]))


class ReplayExperiment:
    """A recorded data set, played back; satisfies the loop's `Experiment`, `KnowsTruth` and `CanSampleOffline`.

    A point is ``{"sample": id, ...}``; whatever else it holds are features for the model, which no device sets.

    Parameters
    ----------
    recording
        The curves.
    quality
        What a curve must at least be.
    observables
        Name -> observable, the objective first.
    change_s
        Seconds that a change of sample takes.
    exposure_s
        Seconds that an exposure takes.
    time_scale
        Real seconds per simulated second: 1 is real time, 0 instant.
    detector_timeout_s
        Real seconds beyond the exposure after which the detector counts as hung.
    move_timeout_s
        Real seconds that a change of sample may take.
    faults
        What shall go wrong, for tests.

    Raises
    ------
    InstrumentError
        If there are no curves or an id occurs twice.
    """

    def __init__(
        self,
        recording: Recording,
        *,
        quality: QualityGate,
        observables: Mapping[str, Observable],
        change_s: float = 0.0,
        exposure_s: float = 0.0,
        time_scale: float = 1.0,
        detector_timeout_s: float = 30.0,
        move_timeout_s: float = 600.0,
        faults: Faults | None = None,
    ) -> None:
        if not (change_s >= 0 and exposure_s >= 0):
            raise InstrumentError(f"change_s and exposure_s must be at least 0 s, got {change_s!r}, {exposure_s!r}")
        self._observables = require_observables(observables)
        self.observables: tuple[str, ...] = tuple(self._observables)
        self.recording = recording
        self.quality = quality
        self.exposure_s = float(exposure_s)
        self.move_timeout_s = move_timeout_s
        timing: dict[str, Any] = {"time_scale": time_scale, "faults": faults}
        self.changer = DiscretePositioner(name="changer", positions=recording.ids, travel_s=change_s, **timing)
        self.shutter = Shutter(name="shutter", **timing)
        self.detector = CurveDetector(
            name="curve", recording=recording, changer=self.changer, timeout_s=detector_timeout_s, **timing
        )
        self._row = {identity: row for row, identity in enumerate(recording.ids)}

    def check(self, points: Sequence[Point]) -> None:
        """Raise LimitsError, before anything moves, if a point's sample is not in the recording."""
        check_points(points, {SAMPLE: self.changer}, ignore_others=True)

    def prepare(self) -> MsgGenerator[None]:
        """Close the shutter; recorded curves have their background subtracted."""
        yield from close_shutter(self.shutter)

    def measure(
        self, point: Point, *, frame_number: int, metadata: Mapping[str, Any], exposure_s: float | None = None
    ) -> MsgGenerator[str | None]:
        """Take one run with the recorded curve of the point's sample.

        Raises
        ------
        InstrumentError
            If an exposure is asked for: what is recorded was exposed once and for all.
        """
        if exposure_s is not None:
            raise InstrumentError(
                f"{self.recording.name} is played back: its curves cannot be exposed for {exposure_s:g} s"
            )
        return (
            yield from measure_point(
                self.detector,
                {self.changer: point[SAMPLE]},
                shutter=self.shutter,
                settings={self.detector.exposure_s: self.exposure_s, self.detector.frame_number: frame_number},
                metadata={
                    "plan_name": "measure_point",
                    "point": dict(point),
                    "frame_number": frame_number,
                    **metadata,
                },
                move_timeout_s=self.move_timeout_s,
            )
        )

    def finish(self) -> MsgGenerator[None]:
        """Close the shutter."""
        yield from close_shutter(self.shutter)

    def restore(self, runs: Sequence[Documents]) -> None:
        """Do nothing: there is no background run to take up."""

    def evaluate(self, documents: Documents) -> Evaluation:
        """Judge the curve in one run's documents; bad data is a verdict, never an exception."""
        try:
            run = RunData.from_documents(documents)
            signals = (self.detector.q, self.detector.intensity, self.detector.sigma)
            curve = Curve(*(np.asarray(run.value(signal.name), dtype=np.float64) for signal in signals))
        except (InstrumentError, TypeError, ValueError) as error:
            return Evaluation(False, reason=str(error))
        return judge(curve, quality=self.quality, observables=self._observables)

    def sample(self, point: Point, *, frame_number: int) -> Evaluation:
        """Return what `measure` and `evaluate` would give; the frame's number has no influence on a recording."""
        self.check([point])
        try:
            curve = self._curve(point)
        except InstrumentError as error:
            return Evaluation(False, reason=str(error))
        return judge(curve, quality=self.quality, observables=self._observables)

    def truth(self, points: Sequence[Point]) -> dict[str, np.ndarray]:
        """Observables of the recorded curves, each ``(n,)``; NaN where the quality gate refuses the curve."""
        self.check(points)
        return observe([self._sound_curve(point) for point in points], self._observables)

    @property
    def target(self) -> Curve | None:
        """The curve that the objective compares with, if it does."""
        return getattr(self._observables[self.observables[0]], "target_curve", None)

    def describe(self) -> dict[str, Any]:
        """Plain JSON: whose data, and the devices that play them back."""
        recording = self.recording
        return {
            "kind": "replay",
            "data_source": recording.name,
            "citation": recording.citation,
            "licence": recording.licence,
            "curves": len(recording.ids),
            "devices": {SAMPLE: {"name": self.changer.name, "class": type(self.changer).__name__}},
            "exposure_s": self.exposure_s,
            "observables": {
                name: {"unit": observable.unit, "description": observable.description}
                for name, observable in self._observables.items()
            },
        }

    def _curve(self, point: Point) -> Curve:
        return Curve(*_arrays(self.recording, self._row[str(point[SAMPLE])]))

    def _sound_curve(self, point: Point) -> Curve | None:
        try:
            curve = self._curve(point)
        except InstrumentError:
            return None
        return None if self.quality.curve(curve) else curve


def _arrays(recording: Recording, row: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return q, intensity and sigma of one row as float64."""
    q, intensity, sigma = (
        np.asarray(a[row], dtype=np.float64) for a in (recording.q, recording.intensity, recording.sigma)
    )
    return q, intensity, sigma

"""A SAXS beamline as an experiment, whatever stands behind its devices: which runs are taken, and how they are read."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bluesky.preprocessors as bpp
from bluesky.utils import MsgGenerator

from instruments.analysis import FrameAnalysis, Readings
from instruments.devices.beamline import EMPTY, SAMPLE
from instruments.errors import InstrumentError
from instruments.evaluation import Evaluation
from instruments.experiment import Point, check_points
from instruments.frames import read_frame
from instruments.plans import close_shutter, expose_run, measure_point
from instruments.rundata import Documents, RunCollector, RunData, RunDataError

FRAME, BACKGROUND = "frame", "background"
"""Series of frames: the campaign's, numbered by it, and the background's, numbered by themselves."""


@dataclass(frozen=True, eq=False)
class SaxsDevices:
    """The devices of a SAXS beamline, soft or over EPICS."""

    axes: Mapping[str, Any]
    """Parameter name -> positioner that sets it."""
    shutter: Any
    """Takes ``Open`` and ``Closed``."""
    holder: Any
    """Takes ``sample`` and ``empty``: what is in the beam."""
    detector: Any
    """Announces each frame as a file; has signals `exposure_s`, `series` and `frame_number`."""
    i0: Any
    """Counts before the sample."""
    diode: Any
    """Counts behind the sample."""
    others: tuple[Any, ...] = ()
    """Read with every frame for the record."""


class SaxsExperiment:
    """Runs and their evaluation; with `observables` and `describe` it satisfies the loop's `Experiment`.

    Parameters
    ----------
    devices
        What is moved, exposed and read.
    analysis
        Turns frames into evaluations.
    frames
        Folder of the frames' files: where they are looked for when a campaign's folder has been moved.
    exposure_s
        Seconds per frame.
    background_frames
        Frames of `exposure_s` each without sample, taken by `prepare`.
    move_timeout_s
        Real seconds that the moves to a point may take.
    metadata
        For every run's start document.

    Raises
    ------
    InstrumentError
        If an option is out of its range.
    """

    def __init__(
        self,
        devices: SaxsDevices,
        analysis: FrameAnalysis,
        *,
        frames: Path,
        exposure_s: float = 1.0,
        background_frames: int = 3,
        move_timeout_s: float = 600.0,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        if not exposure_s > 0 or background_frames < 1:
            raise InstrumentError(
                "exposure_s must be above 0 s and background_frames at least 1, "
                f"got {exposure_s!r} and {background_frames!r}"
            )
        self.devices = devices
        self.analysis = analysis
        self.observables: tuple[str, ...] = tuple(analysis.observables)
        self.frames = Path(frames)
        self.exposure_s = float(exposure_s)
        self.background_frames = background_frames
        self.move_timeout_s = move_timeout_s
        self._metadata = dict(metadata or {})

    def check(self, points: Sequence[Point]) -> None:
        """Raise LimitsError, before anything moves, if a device cannot go to one of these points."""
        check_points(points, self.devices.axes)

    def prepare(self) -> MsgGenerator[str | None]:
        """Take the background run: air and windows, no sample. Afterwards `evaluate` subtracts it."""
        collector = RunCollector()
        uid = yield from bpp.subs_wrapper(
            expose_run(
                self.devices.detector,
                {self.devices.holder: EMPTY},
                shutter=self.devices.shutter,
                shots=[self._shot(BACKGROUND, number, self.exposure_s) for number in range(self.background_frames)],
                monitors=self._monitors,
                metadata={**self._metadata, "plan_name": "prepare", "sample": "none: background of air and windows"},
                move_timeout_s=self.move_timeout_s,
            ),
            collector,
        )
        if uid is not None:  # None in a dry run
            self.restore_background(collector.documents)
        return uid

    def measure(
        self, point: Point, *, frame_number: int, metadata: Mapping[str, Any], exposure_s: float | None = None
    ) -> MsgGenerator[str | None]:
        """Take one run with one frame at `point`, of `exposure_s` seconds if given."""
        exposure_s = self.exposure_s if exposure_s is None else exposure_s
        if not 0 < exposure_s < math.inf:
            raise InstrumentError(f"exposure_s must be above 0 s, got {exposure_s!r}")
        positions = {device: point[parameter] for parameter, device in self.devices.axes.items()}
        return (
            yield from measure_point(
                self.devices.detector,
                {**positions, self.devices.holder: SAMPLE},
                shutter=self.devices.shutter,
                settings=self._shot(FRAME, frame_number, exposure_s),
                monitors=self._monitors,
                metadata={
                    **self._metadata,
                    "plan_name": "measure_point",
                    "point": dict(point),
                    "frame_number": frame_number,
                    "exposure_s": exposure_s,
                    **metadata,
                },
                move_timeout_s=self.move_timeout_s,
            )
        )

    def finish(self) -> MsgGenerator[None]:
        """Close the shutter."""
        yield from close_shutter(self.devices.shutter)

    def restore(self, runs: Sequence[Documents]) -> None:
        """Take up the background from what `prepare` once emitted: the last of the runs that has events."""
        with_events = [run for run in runs if any(name in ("event", "event_page") for name, _ in run)]
        if with_events:
            self.restore_background(with_events[-1])

    def restore_background(self, documents: Documents) -> None:
        """Take the background from the documents (and files) of a background run, as `prepare` does.

        Raises
        ------
        InstrumentError
            If documents, a file or a frame of it cannot be used: without it nothing can be reduced.
        """
        run = RunData.from_documents(documents, frames_folder=self.frames)
        if not run.frames or len(run.frames) != len(run.events):
            raise RunDataError(
                f"background run {run.start.get('uid')} has {len(run.events)} events and {len(run.frames)} frames: "
                "take the background again"
            )
        readings = [self._readings(run, event) for event in range(len(run.events))]
        self.analysis.set_background([read_frame(path) for path in run.frames], readings)

    def evaluate(self, documents: Documents) -> Evaluation:
        """Reduce one run; bad data is a verdict, never an exception.

        Raises
        ------
        InstrumentError
            If there is no background: `prepare` has not run, or `restore` was not given its documents.
        """
        try:
            run = RunData.from_documents(documents, frames_folder=self.frames)
            if not run.frames:
                raise RunDataError(f"run {run.start.get('uid')} announced no frame")
            image, readings = read_frame(run.frames[-1]), self._readings(run, -1)
        except (InstrumentError, OSError) as error:
            return Evaluation(False, reason=str(error))
        return self.analysis.judge(image, readings)

    def _shot(self, series: str, number: int, exposure_s: float) -> dict[Any, Any]:
        detector = self.devices.detector
        return {detector.exposure_s: exposure_s, detector.series: series, detector.frame_number: number}

    @property
    def _monitors(self) -> tuple[Any, ...]:
        return (self.devices.i0, self.devices.diode, *self.devices.others)

    def _readings(self, run: RunData, event: int) -> Readings:
        devices = self.devices
        try:
            return Readings(
                exposure_s=float(run.configuration[devices.detector.exposure_s.name]),
                monitor_counts=float(run.value(devices.i0.name, event=event)),
                transmitted_counts=float(run.value(devices.diode.name, event=event)),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise RunDataError(f"run {run.start.get('uid')} lacks exposure, i0 or diode: {error!r}") from error

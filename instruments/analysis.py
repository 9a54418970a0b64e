"""From a frame and its monitor readings to an evaluation: gate, background, reduction, gate, observables."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from instruments.background import Background
from instruments.errors import InstrumentError
from instruments.evaluation import Evaluation
from instruments.experiment import judge
from instruments.observables import Observable
from instruments.quality import QualityGate
from instruments.reduction import Reducer


@dataclass(frozen=True)
class Readings:
    """What was read beside one frame."""

    exposure_s: float
    monitor_counts: float
    """Of the beam before the sample."""
    transmitted_counts: float
    """Of the diode behind the sample."""


@dataclass(frozen=True)
class _Empty:
    """What the background told: a reducer that subtracts it, and the diode counts per monitor count without sample."""

    reducer: Reducer
    diode_per_monitor: float


class FrameAnalysis:
    """Judges frames once it has been given the background.

    Parameters
    ----------
    make_reducer
        Builds the reducer, with the background to subtract or without one.
    mask
        ``(ny, nx)`` bool, True = known to be unusable.
    quality
        What a frame and a curve must at least be.
    observables
        Name -> observable.
    """

    def __init__(
        self,
        make_reducer: Callable[[Background | None], Reducer],
        *,
        mask: np.ndarray,
        quality: QualityGate,
        observables: Mapping[str, Observable],
    ) -> None:
        self.make_reducer = make_reducer
        self.mask = mask
        self.quality = quality
        self.observables = observables
        self._empty: _Empty | None = None

    @property
    def ready(self) -> bool:
        """Whether there is a background."""
        return self._empty is not None

    def set_background(self, images: Sequence[np.ndarray], readings: Sequence[Readings]) -> None:
        """Sum background frames, to be subtracted from now on; they also tell the diode's reading without sample.

        Raises
        ------
        InstrumentError
            If a frame is not sound or there was no beam.
        """
        # A background may be as faint as it likes; for the rest it must be a sound frame.
        gate = replace(self.quality, min_total_counts=0.0)
        for number, image in enumerate(images):
            if reasons := gate.frame(image, self.mask):
                raise InstrumentError(f"background frame {number} cannot be used: {'; '.join(reasons)}")
        monitor = sum(reading.monitor_counts for reading in readings)
        transmitted = sum(reading.transmitted_counts for reading in readings)
        if not (np.isfinite([monitor, transmitted]).all() and monitor > 0 and transmitted > 0):
            raise InstrumentError(
                f"the background's monitors read {monitor:g} (i0) and {transmitted:g} (diode) counts; "
                "was there beam? Take the background again"
            )
        background = Background.from_frames(
            images,
            exposure_s=[reading.exposure_s for reading in readings],
            monitor_counts=[reading.monitor_counts for reading in readings],
        )
        self._empty = _Empty(self.make_reducer(background), transmitted / monitor)

    def judge(self, image: np.ndarray, readings: Readings) -> Evaluation:
        """Evaluate a frame; bad data is a verdict, never an exception.

        Raises
        ------
        InstrumentError
            If there is no background.
        """
        if self._empty is None:
            raise InstrumentError(
                "there is no background to subtract: run prepare() first, or hand restore_background() the documents "
                "of the background run"
            )
        if reasons := self.quality.frame(image, self.mask):
            return Evaluation(False, reason="; ".join(reasons))
        monitor, transmitted = readings.monitor_counts, readings.transmitted_counts
        if not (np.isfinite([monitor, transmitted]).all() and monitor > 0 and transmitted > 0):
            return Evaluation(
                False, reason=f"the monitors read {monitor:g} (i0) and {transmitted:g} (diode) counts: no beam"
            )
        try:
            curve = self._empty.reducer.reduce(
                image,
                exposure_s=readings.exposure_s,
                monitor_counts=monitor,
                transmission=transmitted / monitor / self._empty.diode_per_monitor,
            )
        except (InstrumentError, ArithmeticError, ValueError) as error:
            return Evaluation(False, reason=f"the frame could not be reduced: {error}")
        return judge(curve, quality=self.quality, observables=self.observables)

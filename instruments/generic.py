"""Devices of one's own as an experiment: movers that set the parameters, detectors that are read."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
import numpy as np
from bluesky.protocols import Triggerable
from bluesky.utils import MsgGenerator, RunEngineControlException, short_uid

from instruments.errors import InstrumentError
from instruments.evaluation import Evaluation
from instruments.experiment import Point, check_points
from instruments.plans import DeviceError, explain
from instruments.reach import Reach, limits_of
from instruments.rundata import Documents, RunData

SAMPLE = "sample"
"""Parameter of a pool's points that names the sample; the others are features, which no device sets."""

Evaluate = Callable[[RunData], Mapping[str, float | tuple[float, float]]]
"""From one run's data to observable -> value, or (value, standard deviation)."""


class DeviceExperiment:
    """Any Ophyd devices as an experiment; satisfies the loop's `Experiment`.

    A point is measured in one run with one event: all movers go at the same time, then all detectors are triggered,
    then everything is read. For shutters, backgrounds or several exposures a point, derive from it and override
    `prepare`, `measure` or `finish`.

    Parameters
    ----------
    detectors
        Triggered (if they can be) and read at every point.
    movers
        Parameter -> device that sets it, in the parameter's unit. For a pool: ``{"sample": device}``.
    observables
        Name -> unit of each value, the objective first.
    evaluate
        From a run's data to the observables: ``evaluate(run)`` returns name -> value, or name -> (value, sd).
        To refuse a measurement it raises `InstrumentError`, `ValueError` or `ArithmeticError` with the reason. When
        left out, each observable is the reading of the same name, of unknown standard deviation.
    tolerance
        Parameter -> how far from its target a mover may stand once it says that it has arrived; where none is given,
        the mover's word is taken. (A motor that somebody stops may report success all the same.)
    move_timeout_s
        Seconds that the moves to a point may take.
    trigger_timeout_s
        Seconds that the detectors may take.
    exposure
        Device or signal that sets the exposure time, s; `exposure_s` must be given with it. Points can then be exposed
        longer.
    exposure_s
        The usual exposure time.
    metadata
        For every run's start document.

    Raises
    ------
    InstrumentError
        If there is no detector, mover or observable, or an option names a parameter that no device sets.
    """

    def __init__(
        self,
        detectors: Sequence[Any],
        movers: Mapping[str, Any],
        *,
        observables: Mapping[str, str],
        evaluate: Evaluate | None = None,
        tolerance: Mapping[str, float] | None = None,
        move_timeout_s: float = 600.0,
        trigger_timeout_s: float = 600.0,
        exposure: Any = None,
        exposure_s: float | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        if not (detectors and movers and observables):
            raise InstrumentError(
                "an experiment needs at least one detector, one mover and one observable, got "
                f"{len(detectors)}, {len(movers)} and {len(observables)}"
            )
        if unknown := sorted(set(tolerance or {}) - set(movers)):
            raise InstrumentError(f"tolerance names {unknown}, but the movers set {sorted(movers)}")
        if not (move_timeout_s > 0 and trigger_timeout_s > 0):
            raise InstrumentError(
                f"move_timeout_s and trigger_timeout_s must be above 0 s, got {move_timeout_s!r}, {trigger_timeout_s!r}"
            )
        if (exposure is None) != (exposure_s is None) or (exposure_s is not None and not 0 < exposure_s < math.inf):
            raise InstrumentError(
                "exposure and exposure_s are given together, exposure_s above 0 s, or not at all; got "
                f"{getattr(exposure, 'name', exposure)!r} and {exposure_s!r}"
            )
        self.detectors = tuple(detectors)
        self.movers = dict(movers)
        self.observables: tuple[str, ...] = tuple(observables)
        self.units = dict(observables)
        self.tolerance = dict(tolerance or {})
        self.move_timeout_s = move_timeout_s
        self.trigger_timeout_s = trigger_timeout_s
        self.exposure_s = exposure_s
        self._exposure = exposure
        self._evaluate = evaluate
        self._metadata = dict(metadata or {})

    def check(self, points: Sequence[Point]) -> None:
        """Raise LimitsError, before anything moves, if a mover cannot go to one of these points.

        A mover is asked through its ``check_value`` and its ``limits``; one that has neither is trusted.
        """
        reach = {parameter: Reach(device) for parameter, device in self.movers.items()}
        check_points(points, reach, ignore_others=SAMPLE in self.movers)

    def prepare(self) -> MsgGenerator[Any]:
        """Do nothing: there is no background to take."""
        yield from bps.null()

    def restore(self, runs: Sequence[Documents]) -> None:
        """Do nothing: `prepare` measured nothing."""

    def measure(
        self, point: Point, *, frame_number: int, metadata: Mapping[str, Any], exposure_s: float | None = None
    ) -> MsgGenerator[Any]:
        """Take one run with one event at `point`, of `exposure_s` seconds if given.

        Raises
        ------
        InstrumentError
            If an exposure is asked for and there is no device that sets it.
        DeviceError
            If a device fails or is late; the run is closed as failed, with the same words as its reason.
        """
        if exposure_s is not None and self._exposure is None:
            raise InstrumentError(
                f"no device sets the exposure time, so a point cannot be exposed for {exposure_s:g} s: name one as "
                "DeviceExperiment(..., exposure=, exposure_s=)"
            )
        exposure_s = self.exposure_s if exposure_s is None else exposure_s
        start = {
            "plan_name": "measure_point",
            "point": dict(point),
            "frame_number": frame_number,
            **({} if exposure_s is None else {"exposure_s": exposure_s}),
            **self._metadata,
            **metadata,
        }
        try:
            return (yield from bpp.stage_wrapper(self._run(point, exposure_s, start), self.detectors))
        except (RunEngineControlException, InstrumentError):
            raise
        except Exception as error:
            raise DeviceError(explain(error)) from error

    def finish(self) -> MsgGenerator[Any]:
        """Do nothing: detectors are unstaged after every point."""
        yield from bps.null()

    def evaluate(self, documents: Documents) -> Evaluation:
        """Read one run and take the observables from it; bad data is a verdict.

        Raises
        ------
        InstrumentError
            If the function given as `evaluate` leaves an observable out: that is not the data's fault.
        """
        try:
            run = RunData.from_documents(documents)
            found = self._readings(run) if self._evaluate is None else self._evaluate(run)
        except (InstrumentError, ArithmeticError, ValueError, OSError) as error:
            return Evaluation(False, reason=str(error))
        if missing := [name for name in self.observables if name not in found]:
            raise InstrumentError(f"evaluate must return {list(self.observables)}; it left out {missing}")
        values: dict[str, float] = {}
        sds: dict[str, float] = {}
        for name in self.observables:
            result = found[name]
            value, sd = result if isinstance(result, tuple) else (result, None)
            if not np.isfinite(value) or (sd is not None and not (np.isfinite(sd) and sd >= 0)):
                return Evaluation(False, reason=f"{name} came out as {value} ± {sd}, which is no number")
            values[name] = float(value)
            if sd is not None:
                sds[name] = float(sd)
        return Evaluation(True, values=values, sds=sds)

    def describe(self) -> dict[str, Any]:
        """Plain JSON: the devices, and the observables with their units."""
        return {
            "kind": "devices",
            "data_source": f"measured with {', '.join(device.name for device in self.detectors)}",
            "devices": {
                parameter: {
                    "name": device.name,
                    "class": type(device).__name__,
                    "unit": str(getattr(device, "egu", "")),
                    "limits": limits_of(device),
                }
                for parameter, device in self.movers.items()
            },
            "observables": {name: {"unit": unit, "description": name} for name, unit in self.units.items()},
        }

    def _readings(self, run: RunData) -> dict[str, float]:
        return {name: float(run.value(name)) for name in self.observables}

    def _run(self, point: Point, exposure_s: float | None, start: Mapping[str, Any]) -> MsgGenerator[Any]:
        uid = yield from bps.open_run(md=dict(start))
        yield from bpp.contingency_wrapper(
            self._take(point, exposure_s), except_plan=self._failed, else_plan=bps.close_run
        )
        return uid

    def _take(self, point: Point, exposure_s: float | None) -> MsgGenerator[None]:
        # A pause rewinds to here, until the event is out.
        yield from bps.checkpoint()
        if self._exposure is not None:
            group = short_uid("exposure")
            yield from bps.abs_set(self._exposure, exposure_s, group=group)
            yield from _wait(group, self.move_timeout_s, f"the setting of {self._exposure.name}")
        yield from self._move(point)
        yield from self._trigger()
        yield from self._emit()

    def _failed(self, error: Exception) -> MsgGenerator[None]:
        for device in self.movers.values():
            # Not the `stop` message: it would end the other moves as failures, which are thrown into this clean-up.
            stopped = device.stop(success=True) if hasattr(device, "stop") else None
            if inspect.isawaitable(stopped):
                yield from bps.wait_for([lambda stopped=stopped: stopped])
        if isinstance(error, RunEngineControlException):
            yield from bps.close_run(exit_status=error.exit_status, reason=str(error))
        else:
            yield from bps.close_run(exit_status="fail", reason=explain(error))

    def _move(self, point: Point) -> MsgGenerator[None]:
        group = short_uid("move")
        for parameter, device in self.movers.items():
            yield from bps.abs_set(device, point[parameter], group=group)
        names = ", ".join(f"{device.name} to {point[parameter]}" for parameter, device in self.movers.items())
        yield from _wait(group, self.move_timeout_s, f"the move of {names}")
        for parameter, atol in self.tolerance.items():
            device = self.movers[parameter]
            reading = yield from bps.read(device)
            if reading is None:  # a dry run
                continue
            fields = getattr(device, "hints", {}).get("fields") or list(reading)
            value = reading[fields[0]]["value"]
            if not abs(value - point[parameter]) <= atol:
                raise DeviceError(f"{device.name} stands at {value}, not at {point[parameter]}: was it stopped?")

    def _trigger(self) -> MsgGenerator[None]:
        group = short_uid("trigger")
        ready = [device for device in self.detectors if isinstance(device, Triggerable)]
        for device in ready:
            yield from bps.trigger(device, group=group)
        if ready:
            yield from _wait(group, self.trigger_timeout_s, ", ".join(device.name for device in ready))

    def _emit(self) -> MsgGenerator[None]:
        """Read everything and emit it once, wherever a pause may fall (as in `instruments.plans`)."""
        yield from bps.create(name="primary")

        def readings() -> MsgGenerator[None]:
            for device in (*self.detectors, *self.movers.values()):
                yield from bps.read(device)

        def give_up(error: Exception) -> MsgGenerator[None]:
            yield from bps.drop()

        def save() -> MsgGenerator[None]:
            yield from bpp.rewindable_wrapper(bps.save(), False)

        yield from bpp.contingency_wrapper(readings(), except_plan=give_up, else_plan=save)


def _wait(group: str, timeout_s: float, what: str) -> MsgGenerator[None]:
    try:
        yield from bps.wait(group, timeout=timeout_s)
    except TimeoutError as error:
        raise DeviceError(f"{what} did not finish within {timeout_s:g} s") from error

"""Devices of one's own as an experiment, with the synthetic devices of Ophyd, on a real RunEngine."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any

import bluesky.plan_stubs as bps
import pytest
from bluesky import RunEngine
from bluesky.utils import RunEngineInterrupted
from ophyd.sim import SynAxis, SynSignal
from ophyd.status import DeviceStatus

from instruments.errors import InstrumentError, LimitsError
from instruments.generic import DeviceExperiment
from instruments.plans import DeviceError
from instruments.rundata import RunData
from loop.executor import run_engine
from loop.protocols import Experiment


class LimitedAxis(SynAxis):
    """An axis with soft limits, as a motor record has them."""

    limits = (-1.0, 1.0)


class CheckingAxis(LimitedAxis):
    """An axis that is asked itself, as `EpicsMotor` is."""

    def check_value(self, pos: float) -> None:
        if not 0 <= pos <= 1:
            raise ValueError(f"{self.name}: {pos} is out")


class StuckAxis(SynAxis):
    """An axis that never arrives."""

    stops = 0

    def set(self, value: float) -> DeviceStatus:
        return DeviceStatus(self)

    def stop(self, *, success: bool = False) -> None:
        self.stops += 1


class BrokenSignal(SynSignal):
    """A detector whose trigger fails at once."""

    def trigger(self) -> DeviceStatus:
        status = DeviceStatus(self)
        status.set_exception(RuntimeError("no high voltage"))
        return status


class SleepySignal(SynSignal):
    """A detector that never answers its trigger."""

    def trigger(self) -> DeviceStatus:
        return DeviceStatus(self)


class PausingSignal(SynSignal):
    """A detector during whose first exposure somebody asks for a pause; it ends after that."""

    engine: RunEngine
    pauses = 1

    def trigger(self) -> DeviceStatus:
        status = DeviceStatus(self)
        if not self.pauses:
            status.set_finished()
            return status
        self.pauses -= 1

        def pause() -> None:
            # Returns once the engine has paused; the exposure that was under way ends after that.
            self.engine.request_pause()
            status.set_finished()

        threading.Thread(target=pause, daemon=True).start()
        return status


@pytest.fixture
def x() -> SynAxis:
    return SynAxis(name="x")


@pytest.fixture
def detector(x: SynAxis) -> SynSignal:
    return SynSignal(func=lambda: 3.0 * x.position, name="det")


@pytest.fixture
def engine() -> Iterator[tuple[RunEngine, list[tuple[str, dict[str, Any]]]]]:
    documents: list[tuple[str, dict[str, Any]]] = []
    with run_engine(lambda name, doc: documents.append((name, doc))) as RE:
        yield RE, documents


def experiment(detector: Any, x: Any, **options: Any) -> DeviceExperiment:
    return DeviceExperiment([detector], {"x": x}, **{"observables": {"det": "counts"}, **options})


def measure(engine: RunEngine, experiment: DeviceExperiment, x: float = 0.5) -> None:
    engine(experiment.measure({"x": x}, frame_number=4, metadata={"campaign": "c"}))


def test_it_is_what_the_loop_calls_an_experiment(detector: SynSignal, x: SynAxis) -> None:
    assert isinstance(experiment(detector, x), Experiment)


def test_one_run_with_one_event(engine: Any, detector: SynSignal, x: SynAxis) -> None:
    RE, documents = engine
    measure(RE, experiment(detector, x, metadata={"proposal": 7}))
    assert [name for name, _ in documents] == ["start", "descriptor", "event", "stop"]
    start = documents[0][1]
    assert start["point"] == {"x": 0.5}
    assert (start["frame_number"], start["campaign"], start["proposal"]) == (4, "c", 7)
    assert {"det": 1.5, "x": 0.5}.items() <= documents[2][1]["data"].items()


def test_readings_become_observables(engine: Any, detector: SynSignal, x: SynAxis) -> None:
    RE, documents = engine
    here = experiment(detector, x)
    measure(RE, here)
    verdict = here.evaluate(documents)
    assert (verdict.accepted, verdict.values, verdict.sds) == (True, {"det": 1.5}, {})


def test_a_function_of_ones_own(engine: Any, detector: SynSignal, x: SynAxis) -> None:
    def evaluate(run: RunData) -> dict[str, float | tuple[float, float]]:
        return {"ratio": (run.value("det") / run.value("x"), 0.1), "det": run.value("det")}

    RE, documents = engine
    here = experiment(detector, x, observables={"ratio": "1", "det": "counts"}, evaluate=evaluate)
    assert here.observables == ("ratio", "det")
    measure(RE, here)
    verdict = here.evaluate(documents)
    assert (verdict.values, verdict.sds) == ({"ratio": 3.0, "det": 1.5}, {"ratio": 0.1})


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        (float("nan"), "det came out as nan"),
        ((1.0, -1.0), "det came out as 1.0 ± -1.0"),
        ((1.0, float("inf")), "no number"),
        (InstrumentError("the shutter was closed"), "the shutter was closed"),
        (ZeroDivisionError("no monitor counts"), "no monitor counts"),
    ],
)
def test_bad_data_is_a_verdict(engine: Any, detector: SynSignal, x: SynAxis, result: Any, reason: str) -> None:
    def evaluate(run: RunData) -> Any:
        if isinstance(result, Exception):
            raise result
        return {"det": result}

    RE, documents = engine
    here = experiment(detector, x, evaluate=evaluate)
    measure(RE, here)
    verdict = here.evaluate(documents)
    assert not verdict.accepted
    assert reason in verdict.reason


def test_a_run_without_an_event_is_refused(detector: SynSignal, x: SynAxis) -> None:
    verdict = experiment(detector, x).evaluate([("start", {"uid": "1", "time": 0.0})])
    assert "emitted no event" in verdict.reason


def test_a_function_that_leaves_an_observable_out_is_told_so(engine: Any, detector: SynSignal, x: SynAxis) -> None:
    RE, documents = engine
    here = experiment(detector, x, evaluate=lambda run: {})
    measure(RE, here)
    with pytest.raises(InstrumentError, match=r"left out \['det'\]"):
        here.evaluate(documents)


@pytest.mark.parametrize(("axis", "good", "bad"), [(LimitedAxis, -0.5, 1.5), (CheckingAxis, 0.5, -0.5)])
def test_movers_are_asked_before_anything_moves(detector: SynSignal, axis: Any, good: float, bad: float) -> None:
    here = experiment(detector, axis(name="x"))
    here.check([{"x": good}])
    with pytest.raises(LimitsError, match="point 1, parameter x: x"):
        here.check([{"x": good}, {"x": bad}])


def test_a_mover_without_limits_is_trusted(detector: SynSignal, x: SynAxis) -> None:
    experiment(detector, x).check([{"x": 1e6}])


def test_points_must_fit_the_movers(detector: SynSignal, x: SynAxis) -> None:
    here = experiment(detector, x)
    with pytest.raises(LimitsError, match="no device sets"):
        here.check([{"x": 0.0, "y": 1.0}])
    # The features of a pool's sample are no device's business.
    DeviceExperiment([detector], {"sample": x}, observables={"det": ""}).check([{"sample": 3, "y": 1.0}])


def test_a_mover_that_does_not_arrive(engine: Any, detector: SynSignal) -> None:
    RE, documents = engine
    axis = StuckAxis(name="x")
    with pytest.raises(DeviceError, match=r"the move of x to 0\.5 did not finish within 0\.1 s"):
        measure(RE, experiment(detector, axis, move_timeout_s=0.1))
    name, stop = documents[-1]
    assert (name, stop["exit_status"]) == ("stop", "fail")
    assert "did not finish within 0.1 s" in stop["reason"]
    assert axis.stops >= 1


def test_a_mover_that_stands_elsewhere(engine: Any, detector: SynSignal) -> None:
    RE, documents = engine
    here = experiment(detector, SynAxis(name="x", readback_func=lambda v: v + 0.2), tolerance={"x": 0.1})
    with pytest.raises(DeviceError, match=r"x stands at 0\.7, not at 0\.5"):
        measure(RE, here)
    assert not any(name == "event" for name, _ in documents)


@pytest.mark.parametrize(
    ("kind", "words"), [(BrokenSignal, "no high voltage"), (SleepySignal, r"det did not finish within 0\.1 s")]
)
def test_a_detector_that_fails(engine: Any, x: SynAxis, kind: Any, words: str) -> None:
    RE, documents = engine
    here = experiment(kind(func=lambda: 1.0, name="det"), x, trigger_timeout_s=0.1)
    with pytest.raises(DeviceError, match=words):
        measure(RE, here)
    assert documents[-1][1]["exit_status"] == "fail"
    measure(RE, experiment(SynSignal(func=lambda: 1.0, name="det"), x))  # the engine goes on
    assert documents[-1][1]["exit_status"] == "success"


def test_a_pause_during_the_exposure_rewinds_and_measures_once(engine: Any, x: SynAxis) -> None:
    RE, documents = engine
    detector = PausingSignal(func=lambda: 1.0, name="det")
    detector.engine = RE
    here = experiment(detector, x)
    with pytest.raises(RunEngineInterrupted):
        measure(RE, here)
    RE.resume()
    assert [name for name, _ in documents].count("event") == 1
    assert documents[-1][1]["exit_status"] == "success"
    assert here.evaluate(documents).accepted


def test_an_abort_closes_the_run_as_aborted(engine: Any, x: SynAxis) -> None:
    RE, documents = engine
    detector = PausingSignal(func=lambda: 1.0, name="det")
    detector.engine = RE
    with pytest.raises(RunEngineInterrupted):
        measure(RE, experiment(detector, x))
    RE.abort("enough")
    assert documents[-1][1]["exit_status"] == "abort"
    assert not any(name == "event" for name, _ in documents)


def test_prepare_and_finish_measure_nothing(engine: Any, detector: SynSignal, x: SynAxis) -> None:
    RE, documents = engine
    here = experiment(detector, x)
    here.restore(())
    RE(here.prepare())
    RE(here.finish())
    RE(bps.null())
    assert documents == []


def test_the_description_is_plain_json(detector: SynSignal) -> None:
    described = experiment(detector, LimitedAxis(name="m")).describe()
    assert json.loads(json.dumps(described)) == described
    assert described["devices"]["x"] == {"name": "m", "class": "LimitedAxis", "unit": "mm", "limits": [-1.0, 1.0]}
    assert described["observables"] == {"det": {"unit": "counts", "description": "det"}}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"observables": {}}, "at least one"),
        ({"tolerance": {"y": 0.1}}, r"tolerance names \['y'\]"),
        ({"move_timeout_s": 0.0}, "above 0 s"),
        ({"trigger_timeout_s": float("nan")}, "above 0 s"),
    ],
)
def test_options_out_of_range(detector: SynSignal, x: SynAxis, options: dict[str, Any], words: str) -> None:
    with pytest.raises(InstrumentError, match=words):
        experiment(detector, x, **options)


def test_a_device_sets_the_exposure(engine: Any, x: SynAxis) -> None:
    RE, documents = engine
    seconds = SynAxis(name="acquire_time")
    detector = SynSignal(func=lambda: 100.0 * seconds.position, name="det")
    here = experiment(detector, x, exposure=seconds, exposure_s=0.5)
    measure(RE, here)
    RE(here.measure({"x": 0.5}, frame_number=5, metadata={}, exposure_s=2.0))
    measure(RE, here)
    assert [doc["exposure_s"] for name, doc in documents if name == "start"] == [0.5, 2.0, 0.5]
    assert [doc["data"]["det"] for name, doc in documents if name == "event"] == [50.0, 200.0, 50.0]


def test_without_such_a_device_an_exposure_is_refused(engine: Any, detector: SynSignal, x: SynAxis) -> None:
    RE, documents = engine
    with pytest.raises(InstrumentError, match="no device sets the exposure time"):
        RE(experiment(detector, x).measure({"x": 0.5}, frame_number=5, metadata={}, exposure_s=2.0))
    assert documents == []
    with pytest.raises(InstrumentError, match="given together"):
        experiment(detector, x, exposure=x)
    with pytest.raises(InstrumentError, match="exposure_s above 0 s"):
        experiment(detector, x, exposure=x, exposure_s=0.0)

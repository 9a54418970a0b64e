"""The plans in a real RunEngine: documents, interruptions at every instant, and failures."""

from __future__ import annotations

import errno
import os
import threading
import time
from collections import Counter

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
import event_model
import pytest
from bluesky.simulators import check_limits, summarize_plan
from bluesky.utils import RunEngineInterrupted
from ophyd.utils import LimitError

from instruments.devices import Fault, Faults
from instruments.errors import FrameWriteError, InstrumentError
from instruments.plans import DeviceError
from instruments.rundata import RunData


def assert_valid(documents):
    for name, doc in documents:
        event_model.schema_validators[event_model.DocumentNames[name]].validate(doc)


def assert_safe(experiment):
    devices = experiment.devices
    assert not devices.shutter.is_open
    assert devices.shutter.settled_value == "Closed"
    assert not any(axis.moving for axis in devices.axes.values())


def runs_of(documents):
    """Documents of each run, by the order in which the runs began."""
    runs, owner = {}, {}
    for name, doc in documents:
        uid = doc["uid"] if name == "start" else doc.get("run_start")
        uid = uid or owner[doc.get("stream_resource") or doc["descriptor"]]
        owner[doc.get("uid")] = uid
        runs.setdefault(uid, []).append((name, doc))
    return list(runs.values())


def test_a_point_is_one_valid_run(engine, experiment, point):
    engine(experiment.measure(point, frame_number=12, metadata={"suggestion_id": "abc"}))
    documents = engine.documents
    assert_valid(documents)
    names = [name for name, _ in documents]
    assert names == ["start", "descriptor", "stream_resource", "stream_datum", "event", "stop"]
    start, descriptor, resource, datum, event, stop = (doc for _, doc in documents)
    assert start["suggestion_id"] == "abc"
    assert start["point"] == point
    assert start["frame_number"] == 12
    assert start["plan_name"] == "measure_point"
    assert stop["exit_status"] == "success"
    assert stop["num_events"] == {"primary": 1}
    image = descriptor["data_keys"]["det_image"]
    assert (image["external"], image["shape"], image["dtype_numpy"]) == ("STREAM:", [120, 100], "<i4")
    assert resource["data_key"] == "det_image"
    assert resource["parameters"]["dataset"] == "entry/data/data"
    assert resource["uri"].endswith("/frames/frame_000012.h5")
    assert datum["indices"] == {"start": 0, "stop": 1}
    data = event["data"]
    assert data["det_frame_number"] == 12
    assert data["holder"] == "sample"
    assert data["anneal_temperature_setpoint"] == 500.0
    assert data["anneal_temperature_readback"] == pytest.approx(500.0, abs=0.05)
    assert data["x"] == 4.0
    assert data["ring_current"] == 300.0
    assert data["det_total"] > 1000
    assert data["i0"] > data["diode"] / 10 > 0
    assert descriptor["configuration"]["det"]["data"]["det_exposure_s"] == 0.2
    assert descriptor["hints"]["det"]["fields"] == ["det_total"]
    assert_safe(experiment)


def test_the_background_run_has_one_event_per_frame(engine, experiment):
    engine(experiment.prepare())
    assert_valid(engine.documents)
    run = RunData.from_documents(engine.documents, validate=True)
    assert [path.name for path in run.frames] == ["background_000.h5", "background_001.h5"]
    assert len(run.events) == 2
    assert [event["holder"] for event in run.events] == ["empty", "empty"]
    indices = [doc["indices"]["start"] for name, doc in engine.documents if name == "stream_datum"]
    assert indices == [0, 1]
    assert_safe(experiment)


def test_plans_can_be_looked_at_before_anything_moves(experiment, point, capsys):
    summarize_plan(experiment.measure(point, frame_number=3, metadata={}))
    told = capsys.readouterr().out
    for words in ("anneal_temperature -> 500", "x -> 4", "det_frame_number -> 3", "shutter -> Open", "Read ['det'"):
        assert words in told
    assert told.rindex("shutter -> Closed") > told.index("Read")
    summarize_plan(experiment.prepare())
    assert "holder -> empty" in capsys.readouterr().out
    check_limits(experiment.measure(point, frame_number=3, metadata={}))
    check_limits(experiment.finish())
    with pytest.raises(LimitError, match="x: 25"):
        check_limits(experiment.measure({**point, "x": 25.0}, frame_number=3, metadata={}))
    assert experiment.devices.axes["x"].position == -20.0
    assert not experiment.frames.exists()


def pausing_at(engine, instant):
    """Request a pause, from another thread, when the RunEngine handles its message number `instant`."""
    count = 0

    def request():
        try:
            engine.request_pause()
        except Exception as error:
            outcome.append(error)  # too late: the plan is over

    outcome = []

    def hook(msg):
        nonlocal count
        if count == instant:
            thread = threading.Thread(target=request)
            threads.append(thread)
            thread.start()
            # The loop stands still while its hook does: the request is in its queue when it goes on.
            time.sleep(0.004)
        count += 1

    threads = []
    engine.msg_hook = hook
    return threads


def messages_of(engine, plan):
    names = []
    engine.msg_hook = lambda msg: names.append(msg.command)
    engine(plan)
    engine.msg_hook = None
    engine.documents.clear()
    return names


def test_a_pause_at_any_instant_emits_each_event_once(engine, experiment, point):
    engine(experiment.prepare())
    expected = experiment.sample(point, frame_number=5)
    commands = messages_of(engine, experiment.measure(point, frame_number=5, metadata={}))
    assert {"save", "trigger", "rewindable", "close_run"} <= set(commands)
    paused = []
    for instant in range(len(commands)):
        threads = pausing_at(engine, instant)
        try:
            engine(experiment.measure(point, frame_number=5, metadata={}))
        except RunEngineInterrupted:
            paused.append(commands[instant])
            assert not experiment.devices.shutter.is_open, "no beam on the sample during a pause"
            engine.msg_hook = None
            if engine.state == "paused":  # else the plan had just sent its last message
                engine.resume()
        for thread in threads:
            thread.join()
        (run,) = runs_of(engine.documents)
        engine.documents.clear()
        counts = Counter(name for name, _ in run)
        assert counts["event"] == counts["stream_datum"] == counts["stop"] == 1, (commands[instant], counts)
        assert run[-1][1]["exit_status"] == "success"
        assert run[-1][1]["num_events"] == {"primary": 1}
        assert_safe(experiment)
        evaluation = experiment.evaluate(run)
        assert evaluation.accepted
        assert evaluation.values == expected.values
    assert {"save", "trigger", "set", "wait", "read"} <= set(paused)
    assert len(paused) >= 0.9 * len(commands)


@pytest.mark.parametrize("ending", ["abort", "stop", "halt"])
def test_an_end_at_any_instant_leaves_the_beamline_safe(engine, experiment, point, ending):
    commands = messages_of(engine, experiment.measure(point, frame_number=5, metadata={}))
    for instant in range(0, len(commands), 2):
        threads = pausing_at(engine, instant)
        try:
            engine(experiment.measure(point, frame_number=5, metadata={}))
        except RunEngineInterrupted:
            engine.msg_hook = None
            if engine.state == "paused":
                getattr(engine, ending)()
        for thread in threads:
            thread.join()
        assert_safe(experiment)
        runs = runs_of(engine.documents)
        engine.documents.clear()
        for run in runs:
            assert [name for name, _ in run].count("stop") == 1
            assert sum(name == "event" for name, _ in run) <= 1
            assert_valid(run)
    engine.msg_hook = None
    engine(experiment.measure(point, frame_number=6, metadata={}))
    assert engine.documents[-1][1]["exit_status"] == "success"


def test_a_pause_in_the_middle_of_an_exposure_takes_the_frame_anew(engine, make_experiment, point):
    experiment = make_experiment(time_scale=1.0, exposure_s=0.6, axes=make_experiment().devices.axes)
    exposures = []
    physics = experiment.devices.detector._beamline.physics

    class Counting:
        def expose(self, *args, **kwargs):
            exposures.append(kwargs["number"])
            return physics.expose(*args, **kwargs)

    object.__setattr__(experiment.devices.detector._beamline, "physics", Counting())
    experiment.devices.holder._time_scale = 0.0
    requests, triggered = [], []

    def hook(msg):
        if msg.command == "trigger" and not requests:
            triggered.append(time.monotonic())
            timer = threading.Timer(0.1, engine.request_pause)
            requests.append(timer)
            timer.start()

    engine.msg_hook = hook
    with pytest.raises(RunEngineInterrupted):
        engine(experiment.measure(point, frame_number=3, metadata={}))
    assert time.monotonic() - triggered[0] < 0.55, "a pause acts at once, not at the end of the exposure"
    requests[0].join()
    assert not experiment.devices.shutter.is_open
    assert exposures == []
    time.sleep(0.6)
    assert exposures == [], "the exposure given up does not go on behind the pause"
    engine.resume()
    assert exposures == [3]
    assert Counter(name for name, _ in engine.documents)["event"] == 1
    assert engine.documents[-1][1]["exit_status"] == "success"


def failing(make_experiment, schedule, **options):
    return make_experiment(faults=Faults(schedule), **options)


@pytest.mark.parametrize(
    ("schedule", "words"),
    [
        ({"x": {1: Fault.LIMIT}}, "limit switch"),
        ({"x": {1: Fault.REFUSE}}, "x: the controller refuses to go to 4.0 mm"),
        ({"anneal_temperature": {1: Fault.REFUSE}}, "anneal_temperature: the controller refuses"),
        ({"x": {1: Fault.STUCK}}, r"not arrived within 0.1 s: x (to 4.0, now at -20.0)"),
        (
            {"x": {1: Fault.STUCK}, "anneal_temperature": {1: Fault.STUCK}},
            "anneal_temperature (to 500.0, now at 300.0), x (to 4.0, now at -20.0)",
        ),
        ({"shutter": {1: Fault.REFUSE}}, "shutter: the controller refuses to go to Open"),
        ({"det": {1: Fault.HANG}}, "det did not finish within 0.15 s"),
        ({"det": {1: Fault.DISK_FULL}}, "No space left on device"),
    ],
)
def test_a_device_that_fails_closes_the_run_with_its_own_words(engine, make_experiment, point, schedule, words):
    experiment = failing(make_experiment, schedule, move_timeout_s=0.1, detector_timeout_s=0.15)
    with pytest.raises(InstrumentError) as caught:
        engine(experiment.measure(point, frame_number=1, metadata={}))
    assert words in str(caught.value)
    assert isinstance(caught.value, (DeviceError, InstrumentError))
    assert_valid(engine.documents)
    assert [name for name, _ in engine.documents] == ["start", "stop"]
    stop = engine.documents[-1][1]
    # A full disk is not the point's fault: the run is aborted, to be taken again.
    assert stop["exit_status"] == ("abort" if isinstance(caught.value, FrameWriteError) else "fail")
    assert words in stop["reason"]
    assert_safe(experiment)
    assert not list(experiment.frames.glob("*"))
    # The next attempt finds everything in order.
    engine.documents.clear()
    engine(experiment.measure(point, frame_number=1, metadata={}))
    assert engine.documents[-1][1]["exit_status"] == "success"


def test_two_failures_at_once_still_close_the_shutter(engine, make_experiment, point):
    experiment = failing(make_experiment, {"shutter": {2: Fault.REFUSE}})
    with pytest.raises(InstrumentError, match="refuses to go to Closed"):
        engine(experiment.measure(point, frame_number=1, metadata={}))
    assert engine.documents[-1][1]["exit_status"] == "fail"
    # Refused by command, it closes when the RunEngine stops what was moved.
    assert_safe(experiment)


def test_a_motor_stopped_by_somebody_else_is_noticed(engine, make_experiment, point):
    experiment = make_experiment()
    axis = experiment.devices.axes["x"]
    axis._time_scale = 1.0
    engine.msg_hook = lambda msg: (
        threading.Timer(0.1, axis.stop, kwargs={"success": True}).start()
        if msg.command == "set" and msg.obj is axis
        else None
    )
    with pytest.raises(DeviceError, match=r"x stands at .*, not at 4.0: was it stopped\?"):
        engine(experiment.measure(point, frame_number=1, metadata={}))
    assert engine.documents[-1][1]["exit_status"] == "fail"
    assert_safe(experiment)


def test_a_full_disk_keeps_its_class_and_number(engine, experiment, point, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(FrameWriteError) as caught:
        engine(experiment.measure(point, frame_number=1, metadata={}))
    assert caught.value.errno == errno.ENOSPC
    assert "frame_000001.h5" in str(caught.value)
    assert not list(experiment.frames.glob("*"))


def test_parameters_move_at_the_same_time(engine, make_experiment, point):
    experiment = make_experiment()
    axes = list(experiment.devices.axes.values())
    for axis in axes:
        axis._time_scale = 0.05
    seen = []
    engine.msg_hook = lambda msg: seen.append((msg.command, [axis.moving for axis in axes]))
    engine(experiment.measure(point, frame_number=1, metadata={}))
    first_wait = next(moving for command, moving in seen if command == "wait")
    assert first_wait == [True, True]
    exposing = next(moving for command, moving in seen if command == "trigger")
    assert exposing == [False, False]


def test_other_tasks_of_the_loop_run_during_an_exposure(engine, make_experiment, point):
    experiment = make_experiment(time_scale=1.0, exposure_s=0.3, axes=make_experiment().devices.axes)
    experiment.devices.holder._time_scale = 0.0
    ticks, stopped = [], threading.Event()

    def tick():
        ticks.append(time.monotonic())
        if not stopped.is_set():
            engine.loop.call_later(0.005, tick)

    engine.loop.call_soon_threadsafe(tick)
    engine(experiment.measure(point, frame_number=1, metadata={}))
    stopped.set()
    assert len(ticks) > 20


def test_runs_fit_inside_a_campaign_s_own_run(engine, make_experiment, point):
    experiment = make_experiment(faults=Faults({"det": {4: Fault.HANG}}), detector_timeout_s=0.1)
    signal = experiment.devices.i0
    failures = []

    def campaign():
        yield from bps.open_run(md={"purpose": "campaign"})
        yield from bpp.set_run_key_wrapper(experiment.prepare(), "background")
        for number in range(3):
            try:
                yield from bpp.set_run_key_wrapper(experiment.measure(point, frame_number=number, metadata={}), "m")
            except DeviceError as error:
                failures.append(str(error))
            yield from bps.create(name="decisions")
            yield from bps.read(signal)
            yield from bps.save()
        yield from bps.close_run()

    engine(campaign())
    assert failures == ["det did not finish within 0.1 s"]
    outer, background, *inner = runs_of(engine.documents)
    assert outer[0][1]["purpose"] == "campaign"
    assert outer[-1][1]["num_events"] == {"decisions": 3}
    assert background[-1][1]["num_events"] == {"primary": 2}
    assert [run[-1][1]["exit_status"] for run in inner] == ["success", "fail", "success"]
    assert [experiment.evaluate(run).accepted for run in inner] == [True, False, True]
    assert_valid(engine.documents)


def test_a_failed_point_leaves_nothing_moving_behind_in_a_campaign(engine, make_experiment, point):
    experiment = make_experiment(faults=Faults({"x": {1: Fault.STUCK}}), move_timeout_s=0.1)
    left = []

    def campaign():
        try:
            yield from experiment.measure(point, frame_number=0, metadata={})
        except DeviceError:
            left.append([axis.moving for axis in experiment.devices.axes.values()])
            left.append(experiment.devices.shutter.is_open)
        yield from experiment.measure(point, frame_number=0, metadata={})

    engine(campaign())
    assert left == [[False, False], False]
    assert [doc["exit_status"] for name, doc in engine.documents if name == "stop"] == ["fail", "success"]


def test_a_deferred_pause_waits_for_the_frame_under_way(engine, experiment):
    engine.msg_hook = lambda msg: (
        threading.Thread(target=engine.request_pause, kwargs={"defer": True}).start()
        if msg.command == "trigger" and experiment.devices.detector.frame_number.get() == 0
        else None
    )
    with pytest.raises(RunEngineInterrupted):
        engine(experiment.prepare())
    engine.msg_hook = None
    assert sum(name == "event" for name, _ in engine.documents) == 1
    assert not experiment.devices.shutter.is_open
    engine.resume()
    assert sum(name == "event" for name, _ in engine.documents) == 2
    assert engine.documents[-1][1]["exit_status"] == "success"

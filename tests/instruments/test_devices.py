from __future__ import annotations

import math
import threading
import time

import event_model
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ophyd.utils import LimitError
from ophyd.utils.errors import UnknownStatusFailure

from instruments.devices import (
    DiscretePositioner,
    Fault,
    Faults,
    Shutter,
    SimulatedMotor,
    SoftSignal,
    SoftSignalRO,
    TemperatureStage,
)
from instruments.errors import InstrumentError


def motor(**options) -> SimulatedMotor:
    return SimulatedMotor(**{"name": "mx", "limits": (-5.0, 5.0), "start": 0.0, "velocity": 10.0, **options})


def stage(**options) -> TemperatureStage:
    return TemperatureStage(**{"name": "temp", "limits": (20.0, 500.0), "ramp_rate": 100.0, **options})


@pytest.mark.parametrize("value", [-5.01, 5.01, math.nan, math.inf, "far", None])
def test_a_motor_refuses_what_lies_outside_its_limits(value):
    with pytest.raises(LimitError, match=r"mx: .* outside its limits, -5 to 5 mm"):
        motor(time_scale=0.0).set(value)


@given(st.floats(-5.0, 5.0))
def test_an_instant_motor_is_there_at_once(target):
    device = motor(time_scale=0.0)
    status = device.set(target)
    assert status.done
    assert status.success
    assert device.position == device.settled_value == target
    assert not device.moving


def test_travel_takes_distance_over_velocity_and_reads_back_on_the_way():
    device = motor(velocity=10.0)
    began = time.monotonic()
    status = device.set(3.0)
    seen = []
    device.subscribe(lambda value, **_: seen.append(value), event_type=device.SUB_READBACK)
    assert device.moving
    assert device.motor_is_moving.get() == 1
    status.wait(2.0)
    assert 0.3 <= time.monotonic() - began < 1.5
    assert seen == sorted(seen)
    assert any(0.1 < value < 2.9 for value in seen)
    assert device.read()["mx"]["value"] == 3.0
    assert device.motor_done_move.get() == 1


def test_stop_leaves_it_where_it_is_and_fails_the_move():
    device = motor(velocity=1.0)
    status = device.set(5.0)
    time.sleep(0.12)
    device.stop()
    with pytest.raises(InstrumentError, match=r"mx: stopped at .* on its way to 5"):
        status.wait(1.0)
    assert 0.0 < device.position < 1.0
    assert device.settled_value == device.position == device.user_setpoint.get()


def test_stop_for_a_pause_is_no_failure():
    device = motor(velocity=1.0)
    status = device.set(5.0)
    device.stop(success=True)
    status.wait(1.0)
    assert status.success


def test_a_new_move_supersedes_the_one_under_way():
    device = motor(velocity=1.0)
    first = device.set(5.0)
    device._time_scale = 0.0
    second = device.set(-2.0)
    second.wait(1.0)
    with pytest.raises((InstrumentError, UnknownStatusFailure), match="superseded"):
        first.wait(1.0)
    assert device.position == -2.0


def test_the_physics_feels_the_set_point_of_a_settled_stage_whatever_its_reading():
    device = stage(start=20.0, settle_s=1.0, atol=0.1, time_scale=0.0)
    readings = set()
    for start in (20.0, 400.0):
        device.set(start).wait(1.0)
        device.set(200.0).wait(1.0)
        assert device.settled_value == 200.0
        assert 0 < abs(device.position - 200.0) <= 0.1
        readings.add(device.position)
    assert len(readings) == 2, "the reading depends on where it came from, which is what the physics must not"


def test_a_stage_ramps_and_then_creeps():
    device = stage(start=20.0, ramp_rate=50.0, settle_s=2.0, atol=1.0)
    assert device.travel_s(120.0) == pytest.approx(4.0)
    path = [device._on_the_way(20.0, 120.0, t) for t in (0.5, 1.0, 1.9, 2.2, 3.0, 4.0)]
    assert path[:2] == [45.0, 70.0]
    assert path == sorted(path)
    assert path[-1] < 120.0
    assert device._on_the_way(120.0, 20.0, 1.0) == 70.0


@pytest.mark.parametrize(
    "build",
    [
        lambda: motor(limits=(5.0, 5.0), start=5.0),
        lambda: motor(start=6.0),
        lambda: motor(velocity=0.0),
        lambda: stage(ramp_rate=-1.0),
        lambda: DiscretePositioner(name="c", positions=[]),
        lambda: DiscretePositioner(name="c", positions=["a", "a"]),
        lambda: Faults({"mx": {0: Fault.STUCK}}),
        lambda: Faults({"mx": {1: "explode"}}),
    ],
)
def test_contradictions_are_told_at_once(build):
    with pytest.raises(InstrumentError, match="got"):
        build()


def test_a_sample_changer_knows_its_positions():
    device = DiscretePositioner(name="changer", positions=["a", "b"], travel_s=0.05)
    with pytest.raises(LimitError, match=r"'c' is not one of its 2 positions \('a', 'b'\)"):
        device.set("c")
    device.set("b").wait(1.0)
    assert device.read()["changer"]["value"] == "b"
    assert device.travel_s("b") == 0.0


def test_stopping_the_shutter_closes_it():
    shutter = Shutter(time_scale=0.0)
    shutter.set("Open").wait(1.0)
    assert shutter.is_open
    shutter.stop()
    assert not shutter.is_open
    assert shutter.read()["shutter"]["value"] == "Closed"
    slow = Shutter(travel_s=5.0)
    status = slow.set("Open")
    slow.stop(success=True)
    status.wait(1.0)
    assert not slow.is_open


def test_faults_come_at_their_use_and_only_then():
    device = motor(time_scale=0.0, faults=Faults({"mx": {2: Fault.LIMIT, 3: Fault.REFUSE}}))
    device.set(1.0).wait(1.0)
    with pytest.raises(LimitError, match="limit switch"):
        device.set(2.0)
    with pytest.raises(InstrumentError, match="refuses"):
        device.set(2.0)
    assert device.position == 1.0
    device.set(2.0).wait(1.0)


def test_a_stuck_motor_never_arrives_until_it_is_stopped():
    device = motor(time_scale=0.0, faults=Faults({"mx": {1: Fault.STUCK}}))
    status = device.set(1.0)
    with pytest.raises(TimeoutError):
        status.wait(0.1)
    assert device.moving
    device.stop(success=True)
    status.wait(1.0)
    assert device.position == 0.0


def test_a_move_of_its_own_time_out_fails_and_stops():
    device = motor(velocity=0.1)
    status = device.set(5.0, timeout=0.05)
    with pytest.raises(TimeoutError):
        status.wait(2.0)
    deadline = time.monotonic() + 1.0
    while device.moving and time.monotonic() < deadline:
        time.sleep(0.005)
    assert not device.moving


@pytest.mark.parametrize("device", [motor(), stage(), Shutter(), DiscretePositioner(name="c", positions=["a"])])
def test_readings_have_valid_data_keys(device):
    validator = event_model.schema_validators[event_model.DocumentNames.descriptor]
    schema = validator.evolve(schema={**validator.schema["$defs"]["DataKey"], "$defs": validator.schema["$defs"]})
    for keys, readings in (
        (device.describe(), device.read()),
        (device.describe_configuration(), device.read_configuration()),
    ):
        assert list(keys) == list(readings)
        for key in keys.values():
            schema.validate(key)
    assert device.hints["fields"]


def test_motor_keys_are_those_of_an_epics_motor():
    keys = motor().describe()
    assert set(keys) == {"mx", "mx_user_setpoint"}
    assert keys["mx"]["units"] == "mm"
    assert (keys["mx"]["lower_ctrl_limit"], keys["mx"]["upper_ctrl_limit"]) == (-5.0, 5.0)
    assert keys["mx"]["dtype_numpy"] == "<f8"
    assert set(motor().describe_configuration()) == {"mx_velocity", "mx_motor_egu"}


def test_signals_are_set_at_once_without_a_thread():
    signal = SoftSignal(name="s", value=0.0, units="s")
    before = threading.active_count()
    assert signal.set(2.0).done
    assert threading.active_count() == before
    assert signal.get() == 2.0
    reading = SoftSignalRO(name="r", value=1.0)
    with pytest.raises(Exception, match="write access"):
        reading.put(3.0)
    reading.sim_put(3.0)
    assert reading.get() == 3.0

"""Bluesky plans: one complete run per point, safe to pause, abort and fail.

Everything goes through messages, so `bluesky.simulators.summarize_plan` and `check_limits` work on every plan here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
from bluesky.utils import FailedStatus, MsgGenerator, RunEngineControlException, short_uid
from ophyd.utils import StatusTimeoutError

from instruments.errors import FrameWriteError, InstrumentError

OPEN, CLOSED = "Open", "Closed"
SHUTTER_TIMEOUT_S = 30.0
"""Real seconds for a shutter to move: more than any beam shutter needs."""


class DeviceError(InstrumentError):
    """A device failed, refused or did not finish in time; the message names it and says what it said."""


def measure_point(
    detector: Any,
    positions: Mapping[Any, Any],
    *,
    shutter: Any,
    settings: Mapping[Any, Any],
    monitors: Sequence[Any] = (),
    metadata: Mapping[str, Any] | None = None,
    move_timeout_s: float = 600.0,
) -> MsgGenerator[str | None]:
    """Take one run with one exposure.

    Parameters
    ----------
    detector
        Triggered and read.
    positions
        Device -> target; all move at the same time, and all are read with the exposure.
    shutter
        Open during the exposure, closed after it whatever happens.
    settings
        Signal -> value, set before the exposure (exposure time, frame number).
    monitors
        Read with the exposure.
    metadata
        For the start document.
    move_timeout_s
        Real seconds that the moves may take.

    Returns
    -------
    str or None
        The run's uid (None in a dry run).

    Raises
    ------
    DeviceError
        If a device fails; the run is closed as failed, with the same words as its reason.
    FrameWriteError
        If the frame cannot be stored; the run is closed as aborted, with the same words as its reason.
    """
    return (
        yield from expose_run(
            detector,
            positions,
            shutter=shutter,
            shots=[settings],
            monitors=monitors,
            metadata=metadata,
            move_timeout_s=move_timeout_s,
        )
    )


def expose_run(
    detector: Any,
    positions: Mapping[Any, Any],
    *,
    shutter: Any,
    shots: Sequence[Mapping[Any, Any]],
    monitors: Sequence[Any] = (),
    metadata: Mapping[str, Any] | None = None,
    move_timeout_s: float = 600.0,
) -> MsgGenerator[str | None]:
    """Take one run with one exposure per entry of `shots` (signal -> value); the rest as `measure_point`."""
    readables = [detector, *monitors, *positions]

    def exposures() -> MsgGenerator[None]:
        for shot in shots:
            # A pause rewinds to here: moves, shutter and exposure are done anew until the event is out.
            yield from bps.checkpoint()
            yield from _move(positions, timeout_s=move_timeout_s)
            yield from bps.mv(*(item for setting in shot.items() for item in setting))
            yield from _set_shutter(shutter, OPEN)
            yield from _trigger(detector)
            yield from _emit(readables)

    def failed(error: Exception) -> MsgGenerator[None]:
        if isinstance(error, RunEngineControlException):
            yield from bps.close_run(exit_status=error.exit_status, reason=str(error))
        else:
            # A frame that could not be stored says nothing about the point: such a run is aborted, not failed.
            storage = isinstance(error.__cause__ or error, FrameWriteError)
            yield from bps.close_run(exit_status="abort" if storage else "fail", reason=explain(error))

    def run() -> MsgGenerator[str | None]:
        uid = yield from bps.open_run(md=dict(metadata or {}))
        yield from bpp.contingency_wrapper(
            _leave_safe(exposures(), positions, shutter), except_plan=failed, else_plan=bps.close_run
        )
        return uid

    try:
        return (yield from bpp.stage_wrapper(run(), [detector]))
    except RunEngineControlException:
        raise
    except InstrumentError:
        raise
    except Exception as error:
        cause = error.__cause__
        # A frame that could not be written keeps its own class (and errno): the campaign pauses on a full disk.
        if isinstance(error, FailedStatus) and isinstance(cause, InstrumentError):
            raise cause from error
        if isinstance(error, (FailedStatus, TimeoutError, OSError, ValueError, RuntimeError)):
            raise DeviceError(explain(error)) from error
        raise


def close_shutter(shutter: Any) -> MsgGenerator[None]:
    """Close the shutter, and be sure that it is closed."""
    yield from _set_shutter(shutter, CLOSED)
    yield from bps.checkpoint()


def explain(error: BaseException) -> str:
    """Say in words what a device's failure was; RunEngine's own messages show only the status object."""
    if isinstance(error, FailedStatus) and error.args and error.__cause__ is not None:
        status, cause = error.args[0], error.__cause__
        # A status of a device has `device`, one of anything else `obj`.
        owner = getattr(status, "device", None) or getattr(status, "obj", None)
        name = getattr(owner, "name", None) or str(owner or status)
        if isinstance(cause, StatusTimeoutError):
            return f"{name} did not finish within {status.timeout:g} s"
        text = str(cause)
        return text if text.startswith(name) else f"{name}: {type(cause).__name__}: {text}"
    text = str(error)
    return text if isinstance(error, InstrumentError) else f"{type(error).__name__}: {text}"


def _move(positions: Mapping[Any, Any], *, timeout_s: float) -> MsgGenerator[None]:
    """Move all devices at the same time, and look where they arrived."""
    if not positions:
        return
    group = short_uid("move")
    under_way = []
    for device, target in positions.items():
        status = yield from bps.abs_set(device, target, group=group)
        under_way.append((device, target, status))
    try:
        yield from bps.wait(group, timeout=timeout_s)
    except TimeoutError as error:
        late = [
            f"{device.name} (to {target}, now at {getattr(device, 'position', 'an unknown place')})"
            for device, target, status in under_way
            if status is None or not status.done
        ]
        raise DeviceError(f"not arrived within {timeout_s:g} s: {', '.join(late)}") from error
    for device, target in positions.items():
        reading = yield from bps.read(device)
        if reading is None:  # a dry run
            continue
        fields = device.hints.get("fields") or list(reading)
        value = reading[fields[0]]["value"]
        # A motor stopped by somebody else may report success all the same (EpicsMotor does).
        arrived = value == target if isinstance(target, str) else abs(value - target) <= getattr(device, "atol", 1e-6)
        if not arrived:
            raise DeviceError(f"{device.name} stands at {value}, not at {target}: was it stopped?")


def _set_shutter(shutter: Any, position: str) -> MsgGenerator[None]:
    yield from _move({shutter: position}, timeout_s=SHUTTER_TIMEOUT_S)


def _trigger(detector: Any) -> MsgGenerator[None]:
    yield from bps.trigger(detector, group=(group := short_uid("trigger")))
    yield from bps.wait(group)


def _emit(readables: Sequence[Any]) -> MsgGenerator[None]:
    """Bundle the readings and emit them once, wherever a pause may fall.

    bluesky's `trigger_and_read` leaves an instant between the event's emission and the next checkpoint in which a pause
    rewinds, and the event is emitted again. Here rewinding is off around `save`, and switching it is a checkpoint: a
    pause just before or after `save` goes on from there.
    """
    yield from bps.create(name="primary")

    def readings() -> MsgGenerator[None]:
        for device in readables:
            yield from bps.read(device)

    def give_up(error: Exception) -> MsgGenerator[None]:
        yield from bps.drop()

    def save() -> MsgGenerator[None]:
        yield from bpp.rewindable_wrapper(bps.save(), False)

    yield from bpp.contingency_wrapper(readings(), except_plan=give_up, else_plan=save)


def _leave_safe(plan: MsgGenerator[None], positions: Mapping[Any, Any], shutter: Any) -> MsgGenerator[None]:
    """Whatever happens, nothing moves and the shutter is closed afterwards."""

    def stop(error: Exception) -> MsgGenerator[None]:
        for device in positions:
            # Not the `stop` message: it ends the other moves as failures, and each of those would be thrown into this
            # clean-up by the RunEngine.
            device.stop(success=True)
        yield from bps.null()

    def closed() -> MsgGenerator[None]:
        try:
            yield from _set_shutter(shutter, CLOSED)
        except FailedStatus as error:
            # A second device's failure may arrive just now; the shutter comes first.
            if getattr(error.args[0], "device", None) is shutter:
                raise
            yield from _set_shutter(shutter, CLOSED)

    yield from bpp.contingency_wrapper(plan, except_plan=stop, final_plan=closed)

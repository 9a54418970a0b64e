"""What detectors share: an exposure in a thread of its own, which can time out, be stopped, and be taken anew."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any

from ophyd import Component as Cpt
from ophyd import Device
from ophyd.status import DeviceStatus

from instruments.devices.faults import Fault, Faults
from instruments.devices.signals import SoftSignal
from instruments.errors import InstrumentError


@dataclass(eq=False)
class Job:
    """One exposure under way."""

    status: DeviceStatus
    exposure_s: float
    number: int
    previous: threading.Thread | None
    cancelled: threading.Event = field(default_factory=threading.Event)


class ExposingDevice(Device):
    """Base of the soft detectors; a subclass says what an exposure gives (`acquire`) and how it is shown (`publish`).

    Parameters
    ----------
    name
        Device name.
    timeout_s
        Real seconds beyond the exposure after which a trigger counts as failed.
    time_scale, faults
        See `SoftAxis`.
    """

    frame_number = Cpt(SoftSignal, value=0, kind="normal")
    exposure_s = Cpt(SoftSignal, value=1.0, kind="config", units="s")

    def __init__(
        self,
        *,
        name: str,
        timeout_s: float = 30.0,
        time_scale: float = 1.0,
        faults: Faults | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, **kwargs)
        self.timeout_s = float(timeout_s)
        self._time_scale = time_scale
        self._faults = faults or Faults()
        self._lock = threading.RLock()
        self._job: Job | None = None
        self._thread: threading.Thread | None = None

    def acquire(self, job: Job, fault: Fault | None) -> Any:
        """Take the data at the end of the exposure, in the exposure's thread; what it raises fails the trigger."""
        return None

    def publish(self, job: Job, result: Any) -> None:
        """Show what `acquire` returned in the signals, unless the exposure was given up meanwhile."""

    def trigger(self) -> DeviceStatus:
        """Start an exposure and return at once.

        Returns
        -------
        DeviceStatus
            Done when the data are safe; fails after exposure + `timeout_s`, or with what went wrong.
        """
        self.stop()
        exposure_s = float(self.exposure_s.get())
        status = DeviceStatus(self, timeout=exposure_s * self._time_scale + self.timeout_s)
        number = int(self.frame_number.get())
        with self._lock:
            job = self._job = Job(status, exposure_s, number, self._thread)
            thread = self._thread = threading.Thread(
                target=self._expose, args=(job,), name=f"{self.name}-exposure-{number}", daemon=True
            )
        thread.start()
        return status

    def stop(self, *, success: bool = False) -> None:
        """Give up the exposure under way; nothing of it is published."""
        with self._lock:
            job, self._job = self._job, None
        if job is None:
            return
        job.cancelled.set()
        if success:
            job.status.set_finished()
        else:
            job.status.set_exception(InstrumentError(f"{self.name}: the exposure of frame {job.number} was stopped"))

    def pause(self) -> None:
        """Give up the exposure under way: the RunEngine takes it anew when it resumes."""
        self.stop(success=True)

    def unstage(self) -> list[object]:
        """End the run; an exposure under way is given up."""
        self.stop(success=True)
        return super().unstage()

    def _expose(self, job: Job) -> None:
        if job.previous is not None:
            job.previous.join()  # what was given up may still be on its way to disk, under the same name
            job.previous = None
        try:
            fault = self._faults.next(self.name)
            if fault is Fault.HANG:
                job.cancelled.wait()
            if job.cancelled.wait(job.exposure_s * self._time_scale):
                return
            result = self.acquire(job, fault)
        except Exception as error:
            # Whatever it is, the plan must hear of it: the thread has nobody else to tell.
            self._finish(job, None, error)
        else:
            self._finish(job, result, None)

    def _finish(self, job: Job, result: Any, error: Exception | None) -> None:
        with self._lock:
            if self._job is not job:
                return
            self._job = None
            if error is None:
                self.publish(job, result)
        # Outside the lock: a status calls back whoever waits for it.
        if error is None:
            job.status.set_finished()
        else:
            job.status.set_exception(error)

"""The area detector: writes every frame as a file of its own and announces it as an external asset."""

from __future__ import annotations

import errno
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from ophyd import Component as Cpt

from instruments.devices.beamline import Beamline
from instruments.devices.exposure import ExposingDevice, Job
from instruments.devices.faults import Fault
from instruments.devices.signals import SoftSignal, SoftSignalRO
from instruments.errors import FrameWriteError
from instruments.frames import DATASET, frame_name, write_frame

SATURATED = 2**20 - 1
"""Counts at which a 20-bit counter ends, for the saturated-frame fault."""


class SaxsDetector(ExposingDevice):
    """A photon-counting area detector in the beam of a `Beamline`.

    Every trigger takes one frame, for which the plan has set `series` and `frame_number`; the file's name is made of
    them. A frame taken anew (after a pause) takes the place of the former one, whose documents were never emitted.

    Parameters
    ----------
    name
        Device name; the data keys are ``<name>_total``, ``<name>_image`` and so on.
    beamline
        What it looks at.
    folder
        Where frames go; made if it does not exist.
    shape
        ``(ny, nx)`` pixels.
    **kwargs
        As of `ExposingDevice`.
    """

    total = Cpt(SoftSignalRO, value=0.0, kind="hinted", units="counts")
    series = Cpt(SoftSignal, value="frame", kind="config")

    def __init__(self, *, beamline: Beamline, folder: Path, shape: tuple[int, int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.folder = Path(folder)
        self.shape = (int(shape[0]), int(shape[1]))
        self._beamline = beamline
        self._documents: list[tuple[str, dict[str, Any]]] = []
        self._index_in_run: dict[Path, int] = {}

    @property
    def image_key(self) -> str:
        """Data key of the frames."""
        return f"{self.name}_image"

    def stage(self) -> list[object]:
        """Get ready for a run: frames count from 0 again."""
        staged = super().stage()
        self.folder.mkdir(parents=True, exist_ok=True)
        with self._lock:
            self._index_in_run.clear()
            self._documents.clear()
        return staged

    def acquire(self, job: Job, fault: Fault | None) -> tuple[Path, float] | None:
        """Expose with everything where it stands now, and write the frame."""
        series = self.series.get()
        exposure = self._beamline.expose(exposure_s=job.exposure_s, series=series, number=job.number)
        image = _spoil(np.asarray(exposure.image), fault)
        path = self.folder / frame_name(series, job.number)
        if fault is Fault.DISK_FULL:
            raise FrameWriteError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        if job.cancelled.is_set():
            return None
        write_frame(path, image, exposure_s=job.exposure_s)
        return path.resolve(), float(image.sum(dtype=np.float64))

    def publish(self, job: Job, result: tuple[Path, float]) -> None:
        """Announce the frame; what an exposure that was given up after its end had announced is withdrawn."""
        path, total = result
        self.total.sim_put(total)
        uid = str(uuid.uuid4())
        # A frame taken anew keeps its place in the run.
        index = self._index_in_run.setdefault(path, len(self._index_in_run))
        parameters = {"dataset": DATASET, "chunk_shape": [1, *self.shape], "join_method": "stack", "swmr": False}
        resource = {
            "uid": uid,
            "data_key": self.image_key,
            "mimetype": "application/x-hdf5",
            "uri": f"file://localhost{quote(str(path))}",
            "parameters": parameters,
        }
        datum = {
            "uid": f"{uid}/0",
            "stream_resource": uid,
            "descriptor": "",  # the RunEngine fills it in
            "indices": {"start": index, "stop": index + 1},
            "seq_nums": {"start": 0, "stop": 0},
        }
        self._documents = [("stream_resource", resource), ("stream_datum", datum)]

    def collect_asset_docs(self, index: int | None = None) -> Iterator[tuple[str, dict[str, Any]]]:
        """Hand out the documents of the frame just taken."""
        with self._lock:
            documents, self._documents = self._documents, []
        yield from documents

    def describe(self) -> dict[str, Any]:
        """Return the data keys of the readings and, as an external stream, of the frames."""
        keys = super().describe()
        keys[self.image_key] = {
            "source": f"SIM:{self.name}",
            "dtype": "array",
            "dtype_numpy": "<i4",
            "shape": list(self.shape),
            "units": "counts",
            "external": "STREAM:",
        }
        return keys


def _spoil(image: np.ndarray, fault: Fault | None) -> np.ndarray:
    """Return the frame that a faulty detector would have delivered."""
    match fault:
        case Fault.NAN_FRAME:
            return np.full(image.shape, np.nan, dtype=np.float32)
        case Fault.ZERO_FRAME:
            return np.zeros_like(image)
        case Fault.SATURATED_FRAME:
            return np.full_like(image, SATURATED)
        case Fault.HALF_MASKED_FRAME:
            half = image.copy()
            half[: image.shape[0] // 2] = -1
            return half
        case _:
            return image

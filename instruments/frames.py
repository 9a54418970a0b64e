"""Frame files: one HDF5 file per exposure, there whole or not at all."""

from __future__ import annotations

import os
import uuid
from pathlib import Path

import h5py
import numpy as np

from instruments.errors import FrameWriteError, InstrumentError

DATASET = "entry/data/data"
"""Where the image lies in the file, as ``(1, ny, nx)``: one frame of a stack."""


class FrameReadError(InstrumentError):
    """A frame's file is missing, broken, or holds something else."""


def frame_name(series: str, number: int) -> str:
    """File name of an exposure: ``frame_000012.h5``, ``background_000.h5``."""
    return f"{series}_{number:06d}.h5" if series == "frame" else f"{series}_{number:03d}.h5"


def write_frame(path: Path, image: np.ndarray, *, exposure_s: float) -> None:
    """Write a frame so that a crash at any instant leaves the whole file or none.

    Parameters
    ----------
    path
        File to write; a former one is replaced.
    image
        ``(ny, nx)`` counts.
    exposure_s
        s, written as an attribute.

    Raises
    ------
    FrameWriteError
        If it cannot be written; `errno` tells why (ENOSPC: no space left), and `path` is as it was before.
    """
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
    try:
        # HDF5 builds the file in memory: a full disk in the middle of its own writing leaves the library in disarray.
        content = _encode(image, exposure_s, temporary.name)
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        _sync_folder(path.parent)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise FrameWriteError(
            error.errno,
            f"the frame could not be written ({error.strerror}); mend the disk and take it again",
            str(path),
        ) from error


def read_frame(path: Path) -> np.ndarray:
    """Read what `write_frame` wrote.

    Returns
    -------
    ndarray
        ``(ny, nx)``.

    Raises
    ------
    FrameReadError
        If the file is missing, broken, or does not hold exactly one image.
    """
    if not path.is_file():
        raise FrameReadError(f"the frame's file {path} is missing")
    try:
        with h5py.File(path, "r") as file:
            data = np.asarray(file[DATASET])
    except (OSError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise FrameReadError(f"the frame's file {path} cannot be read: {error}") from error
    if data.ndim != 3 or data.shape[0] != 1 or data.dtype.kind not in "iuf":
        raise FrameReadError(
            f"{path} must hold one image of numbers, shape (1, ny, nx), at {DATASET}, got {data.dtype} {data.shape}"
        )
    return data[0]


def _encode(image: np.ndarray, exposure_s: float, name: str) -> bytes:
    # gzip 1 with shuffle: 7 ms and 0.2 MB for 619 x 487 counts; uncompressed, the fsync alone takes as long.
    with h5py.File(name, "w", driver="core", backing_store=False) as file:
        data = file.create_dataset(
            DATASET,
            data=image[None],
            chunks=(1, *image.shape),
            compression="gzip",
            compression_opts=1,
            shuffle=True,
            track_times=False,
        )
        data.attrs["units"] = "counts"
        data.attrs["exposure_s"] = float(exposure_s)
        file.flush()
        return file.id.get_file_image()


def _sync_folder(folder: Path) -> None:
    """Make the rename itself survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

"""The campaign's truth on disk: every Bluesky document as one line of JSON, durable before anybody else hears of it.

A line is whole or it is not there: what a killed process left half-written at the end of the file is set aside at the
next start (file ``documents.torn``) and named in the campaign's notes. When the disk fills, a reserved file gives up
its space so that what was measured can still be written, and the campaign is told to pause.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np

from loop.errors import JournalError, StorageFullError

FILE_NAME = "documents.jsonl"
CONFIG_NAME = "campaign.json"
"""The checked campaign file, written before the journal begins."""
TORN_NAME = "documents.torn"
RESERVE_NAME = "reserve"
RESERVE_BYTES = 2 * 1024 * 1024

DURABLE = frozenset({"start", "event", "event_page", "stop"})
"""Documents after which the file is synchronised; those between become durable together with the next of these."""

Listener = Callable[[str, dict[str, Any]], None]


def to_line(name: str, doc: Mapping[str, Any]) -> str:
    """One document as one line of JSON; floats survive exactly, arrays become nested lists."""
    return json.dumps([name, doc], default=_plain, separators=(",", ":")) + "\n"


def plain_document(name: str, doc: Mapping[str, Any]) -> dict[str, Any]:
    """Return the document as a reader of the journal will see it."""
    return json.loads(to_line(name, doc))[1]


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, tuple | set | frozenset):
        return list(value)
    raise TypeError(f"a document holds a {type(value).__name__}, which JSON cannot say: {value!r:.80}")


def read_documents(folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the journal's whole lines in order of emission; a torn last line is left out.

    Raises
    ------
    JournalError
        If there is no journal, or a line before the last one is not a document.
    """
    path = folder / FILE_NAME
    if not path.is_file():
        raise JournalError(f"{folder}: no campaign here: expected its journal {FILE_NAME}. Name the campaign's folder.")
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):
                return
            try:
                name, doc = json.loads(line)
            except ValueError as error:
                raise JournalError(
                    f"{path}: line {number} is not a document ({error}); the file was changed by something else. "
                    "Restore it from a copy, or move that line elsewhere and resume."
                ) from None
            yield name, doc


class Journal:
    """Append documents, durably; a Bluesky callback, to be subscribed first.

    Only one process at a time may hold a campaign's journal.

    Parameters
    ----------
    folder
        The campaign's folder; created if it is missing.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.path = folder / FILE_NAME
        self.torn_bytes = 0
        """Bytes of an unfinished last line that were set aside when the journal was opened."""
        self.low_space = False
        """Whether the reserve had to be used: pause, free some space, then call `restore_reserve`."""
        self._listeners: list[Listener] = []
        self._broken: JournalError | None = None
        self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._fd)
            raise JournalError(f"{folder}: another process is running this campaign; stop it first.") from None
        self._set_torn_line_aside()
        self.restore_reserve()

    def __enter__(self) -> Self:
        """Return itself; leaving closes the file."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()

    def __call__(self, name: str, doc: Mapping[str, Any]) -> None:
        """Write one document; returns once it is durable.

        Raises
        ------
        StorageFullError
            If not even the reserve sufficed. The file ends with the last whole line.
        JournalError
            If it cannot be written for another reason, or an earlier one could not: a journal with a gap is none.
        """
        if self._broken is not None:
            raise self._broken
        try:
            line = to_line(name, doc)
            self._write(line.encode(), sync=name in DURABLE)
        except JournalError as error:
            self._broken = error
            raise
        except (TypeError, ValueError) as error:
            self._broken = JournalError(f"{self.path}: cannot take a {name} document: {error}")
            raise self._broken from error
        for listener in self._listeners:
            listener(name, json.loads(line)[1])

    def listen(self, listener: Listener) -> None:
        """Call `listener(name, document)` after each document has been written."""
        self._listeners.append(listener)

    def free_bytes(self) -> int:
        """Space left on the journal's file system."""
        return shutil.disk_usage(self.folder).free

    def restore_reserve(self) -> bool:
        """Set `RESERVE_BYTES` aside again; returns whether there was room."""
        reserve = self.folder / RESERVE_NAME
        try:
            with reserve.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, RESERVE_BYTES)
        except OSError:
            reserve.unlink(missing_ok=True)
            self.low_space = True
        else:
            self.low_space = False
        return not self.low_space

    def close(self) -> None:
        """Synchronise and close; the reserve's space is given back."""
        if self._fd >= 0:
            os.fsync(self._fd)
            os.close(self._fd)
            self._fd = -1
            (self.folder / RESERVE_NAME).unlink(missing_ok=True)

    def _write(self, data: bytes, *, sync: bool) -> None:
        """Append; when the disk is full, at the expense of the reserve."""
        try:
            self._append(data, sync=sync)
            return
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise JournalError(f"{self.path}: cannot write ({error.strerror}).") from error
        self.low_space = True
        (self.folder / RESERVE_NAME).unlink(missing_ok=True)
        try:
            self._append(data, sync=True)
        except OSError as error:
            raise StorageFullError(
                f"{self.path}: the disk is full ({error.strerror}). Everything before this document stands. "
                f"Free some space, then: beamloop resume {self.folder}"
            ) from error

    def _append(self, data: bytes, *, sync: bool) -> None:
        start = os.fstat(self._fd).st_size
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._fd, view) :]
            if sync:
                os.fdatasync(self._fd)
        except OSError:
            os.ftruncate(self._fd, start)
            raise

    def _set_torn_line_aside(self) -> None:
        size = os.fstat(self._fd).st_size
        keep = size
        while keep:
            block_start = max(0, keep - 65536)
            block = os.pread(self._fd, keep - block_start, block_start)
            newline = block.rfind(b"\n")
            if newline >= 0:
                keep = block_start + newline + 1
                break
            keep = block_start
        if keep == size:
            return
        self.torn_bytes = size - keep
        with (self.folder / TORN_NAME).open("ab") as file:
            file.write(os.pread(self._fd, self.torn_bytes, keep) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        os.ftruncate(self._fd, keep)

"""One Bluesky run's documents, read back into data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import event_model

from instruments.errors import InstrumentError

Documents = Sequence[tuple[str, Mapping[str, Any]]]
"""``(name, document)`` pairs in the order of emission."""


class RunDataError(InstrumentError):
    """A run's documents do not hold what they should."""


@dataclass(frozen=True)
class RunData:
    """What one run measured: a function of its documents alone."""

    start: Mapping[str, Any]
    """The start document: uid and metadata."""
    stop: Mapping[str, Any] | None
    """The stop document; None if the process died before it."""
    events: tuple[Mapping[str, Any], ...]
    """Data of each event of the primary stream: data key -> value."""
    configuration: Mapping[str, Any]
    """Configuration of all devices of the primary stream: data key -> value."""
    frames: tuple[Path, ...]
    """Frame files, in the order in which they were taken."""

    @classmethod
    def from_documents(
        cls, documents: Documents, *, frames_folder: Path | None = None, validate: bool = False
    ) -> RunData:
        """Read a run's documents.

        Parameters
        ----------
        documents
            The run's documents in order; events may come in pages. It may lack the end (a process died).
        frames_folder
            Where to look for a frame file that is not where its URI says (a campaign's folder that was moved).
        validate
            Whether to check each document against event-model's schema as well.

        Raises
        ------
        RunDataError
            If there is no start document, or a document is not what event-model says, with its place and name.
        """
        start: Mapping[str, Any] | None = None
        stop = None
        descriptors: dict[str, Mapping[str, Any]] = {}
        events: list[Mapping[str, Any]] = []
        configuration: dict[str, Any] = {}
        resources: dict[str, Mapping[str, Any]] = {}
        frames: list[Path] = []
        for index, (name, doc) in enumerate(documents):
            try:
                if validate:
                    _validate(name, doc)
                match name:
                    case "start":
                        start = doc
                    case "stop":
                        stop = doc
                    case "descriptor":
                        descriptors[doc["uid"]] = doc
                        if doc["name"] == "primary":
                            for device in doc.get("configuration", {}).values():
                                configuration.update(device["data"])
                    case "event" | "event_page":
                        for event in _events(name, doc):
                            if descriptors[event["descriptor"]]["name"] == "primary":
                                events.append(event["data"])
                    case "stream_resource":
                        resources[doc["uid"]] = doc
                    case "stream_datum":
                        frames.append(_path(resources[doc["stream_resource"]]["uri"], frames_folder))
            except (KeyError, TypeError, ValueError) as error:
                raise RunDataError(f"document {index} ({name}) is not what event-model says: {error}") from error
        if start is None:
            raise RunDataError(f"a run begins with a start document; these {len(documents)} documents have none")
        return cls(start, stop, tuple(events), configuration, tuple(frames))

    def value(self, key: str, *, event: int = -1) -> Any:
        """Return one reading, of the last event unless told otherwise.

        Raises
        ------
        RunDataError
            If there is no event, or it has no such reading.
        """
        if not self.events:
            raise RunDataError(f"run {self.start.get('uid')} emitted no event")
        try:
            return self.events[event][key]
        except (KeyError, IndexError):
            raise RunDataError(f"run {self.start.get('uid')} has no {key!r}, only {sorted(self.events[-1])}") from None


def _validate(name: str, doc: Mapping[str, Any]) -> None:
    for error in event_model.schema_validators[event_model.DocumentNames[name]].iter_errors(doc):
        raise ValueError(f"{'.'.join(map(str, error.absolute_path)) or 'it'}: {error.message}")


def _events(name: str, doc: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    if name == "event":
        yield doc
    else:
        yield from event_model.unpack_event_page(doc)


def _path(uri: str, frames_folder: Path | None) -> Path:
    """File of a ``file:`` URI, looked up in the frames' folder if it is not there."""
    parts = urlsplit(uri)
    if parts.scheme != "file" or parts.netloc not in ("", "localhost"):
        raise ValueError(f"expected a file URI of this machine, got {uri!r}")
    path = Path(unquote(parts.path))
    if frames_folder is not None and not path.exists():
        return Path(frames_folder) / path.name
    return path


class RunCollector:
    """A document callback that keeps the first run it sees begin, and nothing of any other run."""

    def __init__(self) -> None:
        self.documents: list[tuple[str, Mapping[str, Any]]] = []
        self._known: set[str] = set()

    def __call__(self, name: str, doc: Mapping[str, Any]) -> None:
        """Keep the document if it belongs to the run."""
        if name == "start":
            if self.documents:
                return
        elif not self._known & {str(doc.get(key)) for key in ("run_start", "descriptor", "stream_resource")}:
            return
        if "uid" in doc:
            self._known.add(str(doc["uid"]))
        self.documents.append((name, doc))

"""The documents of measurements, kept until the engine has looked at them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from loop.history import MEASUREMENT, PREPARATION, RunDocuments
from loop.journal import plain_document


class Collector:
    """A document callback that keeps each measurement run's documents, as a reader of the journal would see them."""

    def __init__(self) -> None:
        self._runs: dict[str, list[tuple[str, Mapping[str, Any]]]] = {}
        self._run_of: dict[str, str] = {}

    def __call__(self, name: str, doc: Mapping[str, Any]) -> None:
        """Keep one document."""
        doc = plain_document(name, doc)
        if name == "start":
            if doc.get("purpose") in (MEASUREMENT, PREPARATION):
                self._runs[doc["uid"]] = [(name, doc)]
            return
        uid = doc.get("run_start") or self._run_of.get(doc.get("stream_resource") or doc.get("descriptor", ""))
        if uid in self._runs:
            if "uid" in doc:
                self._run_of[doc["uid"]] = uid
            self._runs[uid].append((name, doc))

    def take(self) -> list[RunDocuments]:
        """Hand out the runs collected since the last call, and forget them."""
        runs = [tuple(docs) for docs in self._runs.values()]
        self._runs.clear()
        self._run_of.clear()
        return runs

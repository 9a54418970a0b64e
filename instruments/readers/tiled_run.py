"""A Bluesky run in Tiled, put back into documents, so that it is reduced by what reduces a run of the journal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from instruments.frames import write_frame
from instruments.readers.tiled import family_of, table_of


def documents_of(run: Any, folder: Path) -> list[tuple[str, Mapping[str, Any]]]:
    """Return a run's documents: start, of each stream descriptor, events and frames, and stop.

    Parameters
    ----------
    run
        Container of Tiled's client, as Bluesky's TiledWriter fills it.
    folder
        Where the frames' files are written; the documents name them.

    Raises
    ------
    FrameWriteError
        If a frame cannot be written.
    """
    start, stop = dict(run.metadata["start"]), run.metadata.get("stop")
    documents: list[tuple[str, Mapping[str, Any]]] = [("start", start)]
    for name, stream in run.items():
        if "data_keys" in stream.metadata:
            documents += _stream(name, stream, start["uid"], folder)
    if stop:
        documents.append(("stop", dict(stop)))
    return documents


def _stream(name: str, stream: Any, run: str, folder: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    metadata = stream.metadata
    uid = str(metadata.get("uid", f"{run} {name}"))
    keys = metadata["data_keys"]
    configuration = metadata.get("configuration", {})
    yield (
        "descriptor",
        {"uid": uid, "run_start": run, "name": name, "configuration": configuration, "data_keys": keys},
    )
    lists = [key for key, value in keys.items() if value.get("dtype") == "array"]
    for key, child in (getattr(stream, "base", None) or stream).items():
        if family_of(child) == "table":
            for row in table_of(child).to_dict("records"):
                arrays = {name: np.asarray(row[name]).tolist() for name in lists if name in row}
                yield "event", {"descriptor": uid, "data": {**row, **arrays}}
        elif family_of(child) == "array" and len(child.shape) >= 3:
            for number, image in enumerate(np.asarray(child.read())):
                path = folder / f"{run}_{key}_{number:03d}.h5"
                write_frame(path, image.reshape(image.shape[-2:]), exposure_s=0.0)
                resource = f"{uid} {key} {number}"
                yield "stream_resource", {"uid": resource, "run_start": run, "uri": path.as_uri()}
                yield "stream_datum", {"stream_resource": resource, "descriptor": uid}

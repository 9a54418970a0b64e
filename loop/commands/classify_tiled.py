"""Curves from a Tiled server: runs of a campaign, other Bluesky runs, and plain arrays and tables."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from json import JSONDecodeError
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from loop.catalogue import KEY_VARIABLE, open_catalogue
from loop.commands.classify_inputs import Input, Reading
from loop.errors import BeamloopError

if TYPE_CHECKING:
    from collections.abc import Mapping

_MEASUREMENT = "measurement"
_RUN = "BlueskyRun"
"""What Bluesky's TiledWriter calls the container of a run."""
_LEAST_LETTERS = 4
"""Of a run's uid, that stand for it."""


def read_address(address: str, reading: Reading) -> tuple[list[Input], list[str]]:
    """Read the curves at an address of a Tiled server.

    Parameters
    ----------
    address
        Of a run, an array, a table, or a container of them. The key is taken from BEAMLOOP_TILED_API_KEY.
    reading
        How.

    Raises
    ------
    BeamloopError, InstrumentError
        If it cannot be reached or holds no curve.
    """
    parts = urlsplit(address)
    if "api_key" in parts.query or parts.password:
        raise BeamloopError(
            f"{parts.scheme}://{parts.hostname}: found a key in the address, where others can see it; expected it in "
            f"the environment variable {KEY_VARIABLE}."
        )
    import dask

    # Threads of its own would only wait for the server.
    with _told(address), dask.config.set(scheduler="synchronous"):
        node = _opened(address)
        try:
            return read_node(node, address.rstrip("/"), reading)
        finally:
            node.context.close()


def read_node(node: Any, name: str, reading: Reading) -> tuple[list[Input], list[str]]:
    """Read the curves of a node of Tiled's client; see `read_address`."""
    if _is_run(node):
        if reading.runs:
            raise BeamloopError(f"{name}: is a run; --run names runs of a catalogue.")
        return _read_runs([node], node.parent, name, reading)
    if reading.runs:
        return _read_runs([_run(node, run, name) for run in reading.runs], node, name, reading)
    from instruments.readers import CurveFileError
    from instruments.readers.tiled import MOST_ENTRIES, family_of

    if family_of(node) == "container" and not _is_stream(node):
        if len(node) > MOST_ENTRIES:
            raise BeamloopError(f"{name}: holds {len(node):,} entries; name runs with --run, or the address of one.")
        if runs := list(_runs(node).values()):
            chosen = [run for run in runs if run.metadata["start"].get("purpose", _MEASUREMENT) == _MEASUREMENT]
            inputs, refused = _read_runs(chosen, node, name, reading, all_of_it=True)
            if not inputs and not refused:
                raise CurveFileError(
                    f"{name}: not one of its {len(runs)} runs holds a curve; name arrays with --columns"
                )
            return inputs, refused
    return _read_arrays(node, name, name, {}, reading)


def _read_arrays(
    node: Any, name: str, label: str, origin: Mapping[str, Any], reading: Reading
) -> tuple[list[Input], list[str]]:
    from instruments.readers import reading_of
    from instruments.readers.tiled import curves_of_node

    found = curves_of_node(node, name, reading.columns)
    read = reading_of(name, found, unit=reading.unit, skip_bad_rows=reading.skip_bad_rows)
    short = label.rpartition("/")[2] or label
    return [Input(curve, short + curve.name[len(name) :], origin) for curve in read.curves], list(read.refused)


def _read_runs(
    runs: Sequence[Any], catalogue: Any, name: str, reading: Reading, *, all_of_it: bool = False
) -> tuple[list[Input], list[str]]:
    """Read runs: those of campaigns with their campaign, others as they are."""
    from instruments.errors import InstrumentError

    inputs: list[Input] = []
    refused: list[str] = []
    campaigns: dict[tuple[str, str], list[Any]] = {}
    for run in runs:
        start = run.metadata["start"]
        uid = str(start["uid"])
        if start.get("purpose") == _MEASUREMENT and "config_hash" in start:
            campaigns.setdefault((start["campaign"], start["config_hash"]), []).append(run)
            continue
        origin = {"run": uid, **({"scan_id": start["scan_id"]} if "scan_id" in start else {})}
        try:
            found, lines = _read_arrays(run, f"{name}: run {uid[:8]}", f"run {uid[:8]}", origin, reading)
        except InstrumentError as error:
            # Of a whole catalogue, a run without a curve is one of alignment, say.
            found, lines = [], [] if all_of_it else [str(error)]
        inputs += found
        refused += lines
    for own in campaigns.values():
        found, lines = _read_campaign(own, catalogue, name, reading)
        inputs += found
        refused += lines
    return inputs, refused


def _read_campaign(runs: Sequence[Any], catalogue: Any, name: str, reading: Reading) -> tuple[list[Input], list[str]]:
    """Read measurement runs of one campaign, with the decisions and the background that belong to them."""
    from tiled.queries import Key

    from instruments.readers.tiled_run import documents_of
    from loop.commands.classify_campaign import CampaignCurves
    from loop.history import read_history

    start = runs[0].metadata["start"]
    campaign = start["campaign"]
    own = catalogue.search(Key("start.campaign") == campaign).search(Key("start.config_hash") == start["config_hash"])
    others = [run for run in own.values() if run.metadata["start"].get("purpose") != _MEASUREMENT]
    if not any(run.metadata["start"].get("purpose") == "decisions" for run in others):
        raise BeamloopError(
            f"{name}: the decisions run of campaign {campaign!r} is not in this catalogue; expected it beside its "
            "runs. Fill the catalogue with: beamloop catalogue CAMPAIGN --to URL"
        )
    with tempfile.TemporaryDirectory(prefix="beamloop-") as folder:
        ordered = sorted([*others, *runs], key=lambda run: float(run.metadata["start"]["time"]))
        history = read_history(pair for run in ordered for pair in documents_of(run, Path(folder)))
        return CampaignCurves(history, Path(folder), f"{name}: {campaign}", reading).read()


def _run(catalogue: Any, named: str, name: str) -> Any:
    """Find a run by its uid or the first letters of it, its scan_id, or by -1 for the latest."""
    from tiled.queries import Key, Like

    if named.lstrip("-").isdigit() and len(named) < 8:
        number = int(named)
        if number < 0:
            runs = _runs(catalogue)
            found = [runs.values()[number]] if -number <= len(runs) else []
        else:
            found = list(catalogue.search(Key("start.scan_id") == number).values())[-1:]
    elif named in catalogue:
        found = [run] if _is_run(run := catalogue[named]) else []
    elif len(named) >= _LEAST_LETTERS and all(letter in "0123456789abcdef-" for letter in named.lower()):
        found = list(catalogue.search(Like("start.uid", f"{named.lower()}%")).values())
    else:
        found = []
    if len(found) != 1:
        what = f"{len(found)} runs" if found else "no run"
        raise BeamloopError(
            f"{name}: found {what} {named!r}; expected a uid or its first letters ({_LEAST_LETTERS} at least), a "
            "scan_id, or -1 for the latest run."
        )
    return found[0]


def _runs(catalogue: Any) -> Any:
    """Return a catalogue's runs, in the order in which they came."""
    from tiled.queries import SpecsQuery

    return catalogue.search(SpecsQuery(include=[_RUN]))


def _is_run(node: Any) -> bool:
    return any(spec.name == _RUN for spec in node.specs) and "start" in node.metadata


def _is_stream(node: Any) -> bool:
    return any(spec.name == "BlueskyEventStream" for spec in node.specs)


def _opened(address: str) -> Any:
    try:
        with open_catalogue(Path(), _for_programs(address)) as node:
            return node
    except JSONDecodeError as error:
        raise BeamloopError(f"{address}: is no Tiled server: expected JSON.") from error


def _for_programs(address: str) -> str:
    """Return the address of a node's metadata, also of one that was copied from the browser's line."""
    server, browsed, path = address.partition("/ui/browse")
    return f"{server}/api/v1/metadata/{path.strip('/')}" if browsed else address


@contextmanager
def _told(address: str) -> Iterator[None]:
    """Say in one line what went wrong with a server."""
    import httpx

    try:
        yield
    except httpx.HTTPStatusError as error:
        code = error.response.status_code
        if code in (401, 403):
            raise BeamloopError(_needs_key(address)) from error
        what = "there is nothing here" if code == 404 else f"the server answers {code}"
        raise BeamloopError(f"{address}: {what}; expected the address of a node of a Tiled server.") from error
    except httpx.HTTPError as error:
        raise BeamloopError(f"{address}: cannot be reached ({error or type(error).__name__}).") from error
    except RuntimeError as error:
        if "requires" in str(error) and "authentication" in str(error):
            raise BeamloopError(_needs_key(address)) from error
        raise


def _needs_key(address: str) -> str:
    state = "the key in" if os.environ.get(KEY_VARIABLE) else "no key is in"
    refused = " is refused" if os.environ.get(KEY_VARIABLE) else ", and the server wants one"
    return f"{address}: {state} the environment variable {KEY_VARIABLE}{refused}."

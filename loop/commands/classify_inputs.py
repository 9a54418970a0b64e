"""What `beamloop classify` is given: files, campaigns and Tiled nodes, all turned into curves with a label."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loop.errors import BeamloopError
from loop.journal import CONFIG_NAME, FILE_NAME

if TYPE_CHECKING:
    from instruments.readers import ReadCurve, Unit

_SHOWN_PARAMETERS = 4


@dataclass(frozen=True)
class Reading:
    """How to read."""

    unit: Unit | None = None
    """Of q, whatever the source says."""
    skip_bad_rows: bool = False
    columns: tuple[str, ...] | None = None
    """Names of q, I and σ, where they are not the usual ones."""
    runs: tuple[str, ...] = ()
    """Of a Tiled catalogue, which to take; all of them where none is named."""


@dataclass(frozen=True, eq=False)
class Input:
    """One curve, and where it comes from."""

    read: ReadCurve
    label: str
    """Short, for tables and pictures."""
    origin: Mapping[str, Any] = field(default_factory=dict)
    """For programs: the point of a campaign, the run."""


def read_inputs(sources: Iterable[str], reading: Reading) -> tuple[list[Input], list[str]]:
    """Read all sources.

    Parameters
    ----------
    sources
        Files, folders of campaigns, or addresses of Tiled nodes.
    reading
        How.

    Returns
    -------
    list[Input], list[str]
        The curves, and one line for each source, point or curve that cannot be used.
    """
    from instruments.errors import InstrumentError

    inputs: list[Input] = []
    refused: list[str] = []
    for source in sources:
        try:
            found, lines = _read(source, reading)
        except (InstrumentError, BeamloopError) as error:
            found, lines = [], [" ".join(str(error).split())]
        inputs += found
        refused += lines
    return inputs, refused


def is_address(source: str) -> bool:
    """Whether a source is the address of a Tiled node."""
    return source.startswith(("http://", "https://"))


def is_campaign(folder: Path) -> bool:
    """Whether a folder is that of a campaign."""
    return any((folder / name).is_file() for name in (FILE_NAME, CONFIG_NAME))


def point_label(suggestion_id: str, point: Mapping[str, Any]) -> str:
    """Return how a point of a campaign is named in tables: its suggestion's id and its parameters."""
    words = [f"{name}={value:.4g}" if isinstance(value, float) else f"{name}={value}" for name, value in point.items()]
    return " ".join([suggestion_id, ", ".join(words[:_SHOWN_PARAMETERS])]).strip()


def _read(source: str, reading: Reading) -> tuple[list[Input], list[str]]:
    if is_address(source):
        from loop.commands.classify_tiled import read_address

        return read_address(source, reading)
    path = Path(source)
    if reading.runs:
        raise BeamloopError(f"{source}: --run names runs of a Tiled catalogue; this is none: expected http(s)://...")
    if path.is_dir() and is_campaign(path):
        from loop.commands.classify_campaign import read_campaign

        return read_campaign(path, reading)
    return _read_file(path, reading)


def _read_file(path: Path, reading: Reading) -> tuple[list[Input], list[str]]:
    from instruments.readers import read_curves

    found = read_curves(path, unit=reading.unit, skip_bad_rows=reading.skip_bad_rows, columns=reading.columns)
    return [Input(read, path.name + read.name[len(str(path)) :]) for read in found.curves], list(found.refused)


def distinct(inputs: Sequence[Input]) -> list[str]:
    """Return the labels; whole names instead where two labels are alike."""
    times = Counter(item.label for item in inputs)
    return [item.label if times[item.label] == 1 else item.read.name for item in inputs]

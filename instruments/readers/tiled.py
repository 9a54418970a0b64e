"""Curves in Tiled: an array, a table, an xarray data set, the streams of a Bluesky run, and containers of all these.

Nodes are those of Tiled's client; nothing here imports Tiled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from instruments.readers.arrays import split
from instruments.readers.base import Columns, CurveFileError
from instruments.readers.names import curve_columns, listed

MOST_ENTRIES = 10_000
"""A container with more is not searched: somebody has named a whole catalogue by mistake."""
_DEPTH = 3


@dataclass(frozen=True)
class _Column:
    """An array by its name, not read yet."""

    read: Callable[[], list[np.ndarray]]
    """Its rows where each is an array; else one array."""
    unit: str | None = None


def curves_of_node(node: Any, name: str, columns: Sequence[str] | None = None) -> list[tuple[str, Columns]]:
    """Read all curves below a node.

    Parameters
    ----------
    node
        Of Tiled's client.
    name
        What labels and messages begin with.
    columns
        Names of q, I and σ; by default what is named as usual.

    Raises
    ------
    CurveFileError
        If there is no curve, with the names that there are; or too much to look through.
    """
    there: list[str] = []
    found = list(_curves(node, name, columns, there, depth=0))
    if not found:
        expected = ", ".join(columns) if columns else "q, I and if possible sigma"
        raise CurveFileError(
            f"{name}: holds no curve: expected arrays or columns {expected}, there are "
            f"{listed(list(dict.fromkeys(there)))}; name them with --columns Q,I,SIGMA"
        )
    return found


def _curves(
    node: Any, name: str, columns: Sequence[str] | None, there: list[str], depth: int
) -> Iterator[tuple[str, Columns]]:
    family = family_of(node)
    if family == "array":
        yield from _numbered(name, _matrix(name, np.asarray(node.read())))
        return
    if family not in ("container", "table"):
        there.append(family)
        return
    arrays, children = _inside(node, name)
    there += arrays
    wanted = None if columns is None or not set(columns) <= set(arrays) else columns
    if columns is None or wanted is not None:
        for named in (all_named := curve_columns(list(arrays), wanted)):
            label = name + (f" {named.prefix.rstrip('_.:/- ')}" if len(all_named) > 1 else "")
            yield from _numbered(label, _joined(label, arrays, named.q, named.intensity, named.sigma))
        if all_named:
            return
    if depth < _DEPTH:
        for key, child in children.items():
            yield from _curves(child, f"{name} {key}", columns, there, depth + 1)


def family_of(node: Any) -> str:
    """Return what a node is: ``container``, ``table``, ``array`` ..."""
    family = node.structure_family
    return str(getattr(family, "value", family))


def table_of(node: Any) -> Any:
    """Read a table as a data frame whose lists are arrays (dask would make text of them, and round)."""
    import dask

    with dask.config.set({"dataframe.convert-string": False}):
        return node.read()


def _inside(node: Any, name: str) -> tuple[dict[str, _Column], dict[str, Any]]:
    """Return the arrays that a node holds itself, columns of its tables included, and the containers below it."""
    units = _units(node.metadata)
    if family_of(node) == "table":
        return _table(node, units), {}
    node = getattr(node, "base", None) or node  # an event stream shows its table's columns as arrays, one request each
    if len(node) > MOST_ENTRIES:
        raise CurveFileError(f"{name}: holds {len(node):,} entries; name one of them, or runs with --run")
    arrays = _embedded(node.metadata)
    children: dict[str, Any] = {}
    is_stream = "data_keys" in node.metadata
    for key, child in node.items():
        family = family_of(child)
        if family == "array":
            arrays[key] = _Column(_reader(child), units.get(key) or _unit(child.metadata))
        elif family == "table" and is_stream:
            columns = _table(child, units)
            arrays |= {key: column for key, column in columns.items() if not _is_timestamp(key, columns)}
        elif family in ("container", "table"):
            children[key] = child
    return arrays, children


def _is_timestamp(key: str, columns: Mapping[str, _Column]) -> bool:
    """Whether a column of an event stream holds when another was read."""
    return key.startswith("ts_") and key.removeprefix("ts_") in columns


def _reader(node: Any) -> Callable[[], list[np.ndarray]]:
    return lambda: [np.asarray(node.read(), dtype=np.float64)]


def _table(node: Any, units: Mapping[str, str]) -> dict[str, _Column]:
    """Columns of a table; it is read once."""
    read: list[Any] = []

    def column(key: str) -> list[np.ndarray]:
        if not read:
            read.append(table_of(node))
        return _rows(read[0][key])

    return {key: _Column(lambda key=key: column(key), units.get(key)) for key in node.columns}  # type: ignore[misc]


def _rows(values: Any) -> list[np.ndarray]:
    """Return a column as arrays: one of all rows' numbers, or one for each row that holds a list."""
    if values.dtype.kind in "iuf":
        return [np.asarray(values, dtype=np.float64)]
    items = list(values)
    if all(np.ndim(item) == 0 for item in items):
        return [np.array(items, dtype=np.float64)]
    return [np.asarray(item, dtype=np.float64) for item in items]


def _joined(label: str, arrays: Mapping[str, _Column], q: str, intensity: str, sigma: str | None) -> Iterator[Columns]:
    try:
        columns = [arrays[key].read() for key in (q, intensity, *([sigma] if sigma else []))]
        many = max(map(len, columns))
        if any(len(rows) not in (1, many) for rows in columns):
            raise ValueError("not as many of each")
        for row in range(many):
            values = [rows[row if len(rows) > 1 else 0] for rows in columns]
            yield from split(
                values[0],
                values[1],
                values[2] if sigma else None,
                names=(q, intensity, sigma or ""),
                units=(arrays[q].unit, arrays[intensity].unit),
            )
    except (ValueError, TypeError) as error:
        raise CurveFileError(f"{label}: {q}, {intensity} cannot be read as curves ({error})") from error


def _matrix(name: str, values: np.ndarray) -> Iterator[Columns]:
    """Take an array as columns q, I, σ, or as rows."""
    if values.dtype.kind in "iuf" and values.ndim == 2 and min(values.shape) in (2, 3, 4):
        q, intensity, *sigma = values if values.shape[0] < values.shape[1] else values.T
        yield Columns(q, intensity, sigma[0] if sigma else None)
        return
    raise CurveFileError(
        f"{name}: expected an array with columns q, I and if possible sigma, (k, 2) to (k, 4); got {values.shape} of "
        f"{values.dtype}"
    )


def _numbered(name: str, curves: Iterator[Columns]) -> list[tuple[str, Columns]]:
    all_curves = list(curves)
    return [(f"{name}[{i}]" if len(all_curves) > 1 else name, curve) for i, curve in enumerate(all_curves)]


def _units(metadata: Mapping[str, Any]) -> dict[str, str]:
    """Units by name, of an event stream or wherever a mapping ``units`` stands."""
    keys = metadata.get("data_keys", {})
    units = {key: str(value["units"]) for key, value in keys.items() if value.get("units")}
    stated = metadata.get("units")
    return {**units, **{key: str(value) for key, value in stated.items()}} if isinstance(stated, Mapping) else units


def _unit(metadata: Mapping[str, Any]) -> str | None:
    """Return an array's unit: of its own metadata, or of xarray's attributes."""
    for place in (metadata, metadata.get("attrs") or {}):
        if isinstance(unit := place.get("units", place.get("unit")), str) and unit:
            return unit
    return None


def _embedded(metadata: Mapping[str, Any]) -> dict[str, _Column]:
    """Arrays in an event stream's configuration: the q of a detector that reduces by itself."""
    arrays = {}
    for device in metadata.get("configuration", {}).values():
        for key, value in device.get("data", {}).items():
            if np.ndim(value) == 1 and len(value) > 1 and not isinstance(value, str):
                unit = device.get("data_keys", {}).get(key, {}).get("units")
                arrays[key] = _Column(lambda value=value: [np.asarray(value, dtype=np.float64)], unit)  # type: ignore[misc]
    return arrays

"""Parquet tables: a curve in each row (columns of lists), or a point in each row (columns of numbers)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from instruments.readers.base import Columns, CurveFileError
from instruments.readers.names import Named, curve_columns, listed

_UNIT_COLUMN = "q_unit"


def read_table(path: Path, columns: Sequence[str] | None = None) -> list[tuple[str, Columns]]:
    """Read all curves of a table; the label of each begins with the path.

    Raises
    ------
    ValueError
        If it is no Parquet file, or has no columns of curves.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        names = pq.read_schema(path).names
        curves = curve_columns(names, columns)
        used = {name for found in curves for name in (found.q, found.intensity, found.sigma) if name}
        table = pq.read_table(path, columns=[*used, *({_UNIT_COLUMN} & set(names) - used)])
    except pa.ArrowException as error:
        raise CurveFileError(f"{path}: is no Parquet file, or a damaged one ({str(error).splitlines()[0]})") from error
    except ValueError as error:
        raise CurveFileError(f"{path}: {error}") from error
    if not curves:
        raise CurveFileError(
            f"{path}: has no columns of curves: lists named q, i (or intensity) and sigma, with one prefix or none; "
            f"its columns are {listed(names)}. Name them with --columns Q,I,SIGMA"
        )
    return [pair for found in curves for pair in _curves(path, table, found, several=len(curves) > 1)]


def _curves(path: Path, table: Any, found: Named, *, several: bool) -> Iterator[tuple[str, Columns]]:
    import pyarrow as pa

    what = f" {found.prefix.rstrip('_.:/- ')}" if several else ""
    named = [name for name in (found.q, found.intensity, found.sigma) if name]
    kinds = [table.schema.field(name).type for name in named]
    units = table[_UNIT_COLUMN].to_pylist() if _UNIT_COLUMN in table.column_names else [None] * len(table)
    if not any(_is_list(kind) for kind in kinds):
        q, intensity, *sigma = (_numbers(path, name, table[name].to_pylist()) for name in named)
        unit = units[0] if units else None
        yield f"{path}{what}", Columns(q, intensity, sigma[0] if sigma else None, q_unit=unit)
        return
    for name, kind in zip(named, kinds, strict=True):
        if not (_is_list(kind) and (pa.types.is_floating(kind.value_type) or pa.types.is_integer(kind.value_type))):
            raise CurveFileError(f"{path}: column {name!r} holds {kind}, expected lists of numbers")
    columns = [table[name].to_pylist() for name in named]
    for row, values in enumerate(zip(*columns, strict=True)):
        if values[0] is None or values[1] is None:
            continue
        q, intensity = (np.asarray(v, dtype=np.float64) for v in values[:2])
        error = None if len(values) < 3 or values[2] is None else np.asarray(values[2], dtype=np.float64)
        unit = str(units[row]) if units[row] else None
        yield f"{path}[{row}]{what}", Columns(q, intensity, error, q_unit=unit)


def _is_list(kind: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _numbers(path: Path, name: str, values: list[Any]) -> np.ndarray:
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise CurveFileError(f"{path}: column {name!r} holds no numbers") from None

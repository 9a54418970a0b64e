"""From parquet columns to arrays, with errors that name file, column and row."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from simulators.errors import RecordedDataError

if TYPE_CHECKING:
    import pandas as pd

DEFAULT_COLUMNS: dict[str, str | None] = {"q": "q", "intensity": "i", "sigma": "sigma"}
"""Role -> column, as in the recorded sets."""


def read_table(file: Path) -> pd.DataFrame:
    """Read a parquet file; row labels count from 0 as in the file.

    Raises
    ------
    RecordedDataError
        If it is no parquet file.
    """
    # pandas and pyarrow take half a second to import: only those who read recordings pay for it.
    import pyarrow
    import pyarrow.parquet

    try:
        return pyarrow.parquet.read_table(file).to_pandas(ignore_metadata=True)
    except (pyarrow.ArrowException, OSError) as error:
        raise RecordedDataError(f"{file} cannot be read as parquet: {error}") from error


def select_rows(frame: pd.DataFrame, where: Mapping[str, Any], file: Path) -> pd.DataFrame:
    """Keep the rows whose columns have the given values (a list, tuple or set: one of them).

    Raises
    ------
    RecordedDataError
        If a column is absent or no row is left; says which values the column has.
    """
    for column, value in where.items():
        if column not in frame.columns:
            raise RecordedDataError(f"{file}: there is no column {column!r}; columns: {', '.join(frame.columns)}")
        allowed = list(value) if isinstance(value, list | tuple | set | frozenset) else [value]
        kept = frame[frame[column].isin(allowed)]
        if kept.empty:
            present = frame[column].dropna().unique()
            shown = ", ".join(repr(entry) for entry in present[:10]) + (", ..." if len(present) > 10 else "")
            raise RecordedDataError(f"{file}: no row has {column} = {value!r}; values: {shown}")
        frame = kept
    if frame.empty:
        raise RecordedDataError(f"{file} has no rows")
    return frame


def curve_arrays(
    frame: pd.DataFrame, columns: Mapping[str, str | None], file: Path
) -> dict[str, tuple[np.ndarray, ...]]:
    """Extract curves.

    Parameters
    ----------
    frame
        One row per curve.
    columns
        Role (``q``, ``intensity``, ``sigma``) -> column; None only for sigma.
    file
        For messages.

    Returns
    -------
    dict
        Role -> one float64 array per row; all empty where the row has no curve, sigma NaN where there is none.

    Raises
    ------
    RecordedDataError
        If a column is absent, an entry is no list of numbers, or lengths differ within a row.
    """
    for role, column in columns.items():
        if column is None and role != "sigma":
            raise RecordedDataError(f"{file}: a column for {role} is needed, got None")
        if column is not None and column not in frame.columns:
            hint = "; pass columns={'sigma': None} if no error bars were recorded" if role == "sigma" else ""
            raise RecordedDataError(
                f"{file}: there is no column {column!r} for {role}; columns: {', '.join(frame.columns)}{hint}"
            )
    result: dict[str, list[np.ndarray]] = {role: [] for role in columns}
    for row, record in frame.iterrows():
        arrays = {
            role: np.empty(0) if column is None else _numbers(record[column], file, column, row)
            for role, column in columns.items()
        }
        n = arrays["q"].size
        if arrays["sigma"].size == 0:
            arrays["sigma"] = np.full(n, np.nan)
        for role, array in arrays.items():
            if array.size != n:
                raise RecordedDataError(
                    f"{file}: row {row}: column {columns[role]!r} has {array.size} points, {columns['q']!r} has {n}"
                )
            array.setflags(write=False)
            result[role].append(array)
    return {role: tuple(arrays) for role, arrays in result.items()}


def _numbers(entry: Any, file: Path, column: str, row: Any) -> np.ndarray:
    """Return one entry as a float64 array of its own; null is an empty one, a null inside is NaN."""
    if entry is None or (isinstance(entry, float) and np.isnan(entry)):
        return np.empty(0)
    if not isinstance(entry, np.ndarray | list):
        raise RecordedDataError(
            f"{file}: row {row}: column {column!r} must hold lists of numbers, got {type(entry).__name__} {entry!r}"
        )
    try:
        array = np.array(entry, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise RecordedDataError(f"{file}: row {row}: column {column!r} must hold lists of numbers: {error}") from error
    if array.ndim != 1:
        raise RecordedDataError(f"{file}: row {row}: column {column!r} must hold flat lists, got shape {array.shape}")
    return array

"""Reading a target curve from arrays or from a file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from instruments.curve import Curve
from instruments.errors import InstrumentError

if TYPE_CHECKING:
    import pandas as pd

_NAMES = {"q": ("q",), "intensity": ("intensity", "i", "I"), "sigma": ("sigma", "error", "dI")}


def read_curve(source: Any, *, where: Mapping[str, Any] | None = None) -> Curve:
    """Turn arrays or a file into a curve.

    Parameters
    ----------
    source
        A `Curve`; a mapping with ``q`` (1/Å), ``intensity`` or ``i``, and optionally ``sigma``; or the path of a
        ``.csv`` (columns of these names, ``#`` starts a comment) or ``.parquet`` file. A parquet file holds either one
        point a row, or one curve a row as lists; then `where` picks the row.
    where
        Column -> value, which must leave exactly one row.

    Returns
    -------
    Curve
        ``(k,)``, with NaN for missing error bars.

    Raises
    ------
    InstrumentError
        If the file, a column or the row is missing, or numbers are not numbers.
    """
    if isinstance(source, Curve):
        return source
    if isinstance(source, Mapping):
        return _curve(source, "the target")
    if not isinstance(source, str | Path):
        raise InstrumentError(
            f"a target must be a Curve, a mapping with q and intensity, or a file's path, got {type(source).__name__}"
        )
    path = Path(source).expanduser()
    what = f"the target file {path}"
    table = _table(path, what)
    if where is not None:
        table = _rows(table, where, what)
        if len(table) != 1:
            raise InstrumentError(f"{what}: {len(table)} rows have {dict(where)!r}, expected exactly one")
        return _curve({name: table[name].iloc[0] for name in table.columns}, what)
    if any(table[name].dtype == object for name in table.columns if name in sum(_NAMES.values(), ())):
        if len(table) != 1:
            raise InstrumentError(
                f"{what} holds {len(table)} curves, one a row: say which with `where`, a mapping of column to value"
            )
        return _curve({name: table[name].iloc[0] for name in table.columns}, what)
    return _curve({name: table[name].to_numpy() for name in table.columns}, what)


def _table(path: Path, what: str) -> pd.DataFrame:
    """Read a file."""
    import pandas as pd

    if path.suffix not in (".csv", ".parquet"):
        raise InstrumentError(f"{what} must end in .csv or .parquet")
    if not path.is_file():
        raise InstrumentError(f"{what} does not exist (looked from {Path.cwd()})")
    try:
        return pd.read_csv(path, comment="#", skipinitialspace=True) if path.suffix == ".csv" else pd.read_parquet(path)
    except (ValueError, OSError) as error:
        raise InstrumentError(f"{what} cannot be read: {error}") from error


def _rows(table: pd.DataFrame, where: Mapping[str, Any], what: str) -> pd.DataFrame:
    """Keep the rows that have these values."""
    for name, value in where.items():
        if name not in table.columns:
            raise InstrumentError(f"{what} has no column {name!r}; it has {', '.join(map(str, table.columns))}")
        table = table[table[name] == value]
    return table


def _curve(columns: Mapping[Any, Any], what: str) -> Curve:
    """Build a curve from named arrays."""
    arrays = {}
    for kind, names in _NAMES.items():
        found = next((name for name in names if name in columns and columns[name] is not None), None)
        if found is None:
            if kind == "sigma":
                continue
            raise InstrumentError(f"{what} has no column {' or '.join(names)}; it has {', '.join(map(str, columns))}")
        try:
            arrays[kind] = np.asarray(columns[found], dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise InstrumentError(f"{what}: column {found!r} does not hold numbers: {error}") from error
    sigma = arrays.get("sigma", np.full(np.shape(arrays["q"]), np.nan))
    try:
        return Curve(arrays["q"], arrays["intensity"], sigma)
    except InstrumentError as error:
        raise InstrumentError(f"{what}: {error}") from error

"""Measured curves from files: columns of text, tables of curves, canSAS XML, NXcanSAS and what else `sasdata` reads.

q comes out in 1/Å. A file that cannot be used gets one line that names it and the row; a row is counted as in the file
for text, and as the points of the curve (from 1) for all else.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from instruments.curve import Curve
from instruments.errors import InstrumentError
from instruments.readers_text import Columns, read_text_columns

Unit = Literal["1/A", "1/nm"]
TEXT = {".txt", ".dat", ".csv", ".tsv", ".asc", ".chi", ".xy", ".abs", ".cor", ".pdh", ".sub", ".grad", ""}
"""Suffixes of files that are read as columns of text."""
_NANOMETRE_SUFFIXES = {".pdh"}
"""Formats that have q in 1/nm by convention, without saying so."""
_SASDATA = {".xml", ".h5", ".hdf", ".hdf5", ".nxs", ".nx5", ".cansas"}
_INTENSITY = ("i", "intensity")


class CurveFileError(InstrumentError, ValueError):
    """A file that holds no curve that can be used; one line, with file and row."""


@dataclass(frozen=True, eq=False)
class ReadCurve:
    """One curve of a file."""

    name: str
    """File, and which curve of it where it holds several."""
    curve: Curve
    """`Curve.sigma` is NaN where the file gives no error bars."""
    notes: tuple[str, ...] = ()
    """What was done to it, and what a person should know, in words."""


@dataclass(frozen=True, eq=False)
class Reading:
    """What a file gave."""

    curves: tuple[ReadCurve, ...]
    """At least one."""
    refused: tuple[str, ...] = ()
    """One line for each further curve that cannot be used."""


def read_curves(path: str | Path, *, unit: Unit | None = None, skip_bad_rows: bool = False) -> Reading:
    """Read all curves of a file.

    Parameters
    ----------
    path
        Text in 2 to 4 columns (q, I, σ, dq), a Parquet table with columns of lists ``q``, ``i``, ``sigma`` (also with a
        prefix each: ``saxs_q``, ...), or what `sasdata` reads.
    unit
        Of q; by default what the file says, else 1/Å.
    skip_bad_rows
        Leave rows out that are no numbers or have no positive error bar, with a note, instead of refusing the file.

    Raises
    ------
    CurveFileError
        If there is no such file, or not one curve in it that can be used.
    """
    path = Path(path)
    if not path.is_file():
        raise CurveFileError(f"{path}: there is no such file")
    suffix = path.suffix.lower()
    try:
        if suffix == ".parquet":
            found = _read_table(path)
        elif suffix in _SASDATA or (suffix not in TEXT and not _is_text(path)):
            found = _read_sasdata(path)
        else:
            found = [(str(path), read_text_columns(path, skip_bad_rows=skip_bad_rows))]
    except OSError as error:
        raise CurveFileError(f"{path}: cannot be read ({error.strerror or error})") from error
    except ValueError as error:
        raise error if isinstance(error, CurveFileError) else CurveFileError(str(error)) from error
    if suffix in _NANOMETRE_SUFFIXES:
        found = [(name, replace(columns, unit=columns.unit or "1/nm")) for name, columns in found]
    curves, refused = [], []
    for name, columns in found:
        try:
            curves.append(_checked(name, columns, unit, skip_bad_rows))
        except CurveFileError as error:
            refused.append(str(error))
    if not curves:
        more = f" (and {len(refused) - 1} more curves of this file)" if len(refused) > 1 else ""
        raise CurveFileError(refused[0] + more)
    return Reading(tuple(curves), tuple(refused))


def _is_text(path: Path) -> bool:
    with path.open("rb") as file:
        return b"\0" not in file.read(4096)


def _checked(name: str, columns: Columns, unit: Unit | None, skip: bool) -> ReadCurve:
    """Check values, convert q."""
    q, intensity, rows = columns.q, columns.intensity, columns.rows
    sigma = np.full_like(q, np.nan) if columns.sigma is None else columns.sigma
    notes = list(columns.notes)
    if columns.sigma is not None and len(sigma) and np.all(np.isnan(sigma) | (sigma == 0)):
        notes.append("all error bars are zero or missing")
        sigma = np.full_like(q, np.nan)
    given = not np.isnan(sigma).all()
    tests: Sequence[tuple[Any, str, Any]] = (
        (~np.isfinite(q), "q must be a finite number", q),
        (~np.isfinite(intensity), "the intensity must be a finite number", intensity),
        (~np.isfinite(sigma) & given, "the error bar must be a finite number", sigma),
        ((sigma <= 0) & given, "the error bar must be greater than 0", sigma),
        (q <= 0, "q must be greater than 0", q),
    )
    bad = np.zeros(len(q), dtype=bool)
    for wrong, text, values in tests:
        if wrong.any() and not skip:
            first = int(np.flatnonzero(wrong)[0])
            raise CurveFileError(f"{name}: row {rows[first]}: {text}, got {values[first]:g}")
        bad |= wrong
    if bad.any():
        notes.append(f"{bad.sum()} of {len(bad)} rows left out (first: row {rows[int(np.flatnonzero(bad)[0])]})")
        q, intensity, sigma, rows = q[~bad], intensity[~bad], sigma[~bad], rows[~bad]
    falls = np.flatnonzero(np.diff(q) <= 0)
    if len(falls):
        at = int(falls[0]) + 1
        raise CurveFileError(
            f"{name}: row {rows[at]}: q must be greater than in the row before, got {q[at]:g} after {q[at - 1]:g}"
        )
    if len(q) < 4:
        raise CurveFileError(f"{name}: a curve needs at least 4 points, this one has {len(q)}")
    if (unit or columns.unit) == "1/nm":
        notes.append("q converted from 1/nm to 1/Å")
        q = q / 10
    negative = np.flatnonzero(intensity < 0)
    if len(negative):
        notes.append(f"{len(negative)} of {len(q)} intensities are negative (first: row {rows[negative[0]]})")
    return ReadCurve(name, Curve(q, intensity, sigma), tuple(notes))


def _numbers(values: Any) -> np.ndarray:
    return np.asarray(values, dtype=float)


def _read_table(path: Path) -> list[tuple[str, Columns]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except pa.ArrowInvalid as error:
        raise CurveFileError(f"{path}: is no Parquet file ({str(error).splitlines()[0]})") from error
    prefixes = [name[:-1] for name in table.column_names if name == "q" or name.endswith("_q")]
    found = []
    for prefix in prefixes:
        intensity = next((prefix + name for name in _INTENSITY if prefix + name in table.column_names), None)
        if intensity is None:
            continue
        sigma = prefix + "sigma" if prefix + "sigma" in table.column_names else None
        columns = [table[c].to_pylist() if c else [None] * len(table) for c in (prefix + "q", intensity, sigma)]
        units = table["q_unit"].to_pylist() if "q_unit" in table.column_names else [None] * len(table)
        for row, (q, i, s) in enumerate(zip(*columns, strict=True)):
            if q is None or i is None:
                continue
            nm = str(units[row] or "").replace(" ", "") in ("1/nm", "nm^-1", "nm-1")
            label = f"{path}[{row}]" + (f" {prefix.rstrip('_')}" if len(prefixes) > 1 else "")
            x = _numbers(q)
            found.append(
                (
                    label,
                    Columns(
                        x,
                        _numbers(i),
                        None if s is None else _numbers(s),
                        np.arange(1, len(x) + 1),
                        "1/nm" if nm else None,
                    ),
                )
            )
    if not found:
        raise CurveFileError(
            f"{path}: has no columns of curves: lists named q, i (or intensity) and sigma, with one prefix or none; "
            f"its columns are {', '.join(table.column_names[:12])}"
        )
    return found


def _read_sasdata(path: Path) -> list[tuple[str, Columns]]:
    import logging

    from sasdata.dataloader.loader import Loader

    quiet = logging.getLogger("sasdata")
    level = quiet.level
    quiet.setLevel(logging.CRITICAL)
    try:
        loaded = Loader().load(str(path))
    except Exception as error:  # whatever the format's reader stumbles over
        raise CurveFileError(f"{path}: holds no curve that sasdata can read ({_first_line(error)})") from error
    finally:
        quiet.setLevel(level)
    curves = list(_one_dimensional(loaded))
    if not curves:
        reasons = [_first_line(e) for data in loaded for e in getattr(data, "errors", [])]
        raise CurveFileError(f"{path}: holds no curve I(q)" + (f" ({reasons[0]})" if reasons else ""))
    names = [str(path)] if len(curves) == 1 else [f"{path}[{i}]" for i in range(len(curves))]
    return list(zip(names, curves, strict=True))


def _one_dimensional(loaded: Sequence[Any]) -> Iterator[Columns]:
    for data in loaded:
        x, y = getattr(data, "x", None), getattr(data, "y", None)
        if x is None or y is None or np.ndim(x) != 1 or len(x) == 0 or np.shape(x) != np.shape(y):
            continue
        dy = getattr(data, "dy", None)
        sigma = None if dy is None or np.shape(dy) != np.shape(x) else _numbers(dy)
        said = str(getattr(data, "x_unit", "") or "").lower().replace(" ", "")
        unit: Unit | None = "1/nm" if "nm" in said else None
        yield Columns(_numbers(x), _numbers(y), sigma, np.arange(1, len(x) + 1), unit)


def _first_line(error: object) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:160]

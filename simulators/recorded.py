"""Recorded curves: measured by others, kept in parquet files, one row per curve.

Nothing is repaired here. Arrays stay as they were recorded; `RecordedCurves.problems` says what is wrong with them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from simulators.errors import DataMissingError, RecordedDataError
from simulators.recorded_columns import DEFAULT_COLUMNS, curve_arrays, read_table, select_rows

if TYPE_CHECKING:
    import pandas as pd

DATA_VARIABLE = "BEAMLOOP_DATA"
"""Environment variable that names the folder of recorded data sets."""
_PREFERRED_FILE = "dev.parquet"


def find_data(name: str, data_dir: str | Path | None = None) -> Path:
    """Find a recorded data set.

    Parameters
    ----------
    name
        Folder of the set, or a file in it: ``"sas_series"``, ``"sas_series/dev.parquet"``.
    data_dir
        Where the sets lie. Without it: where `BEAMLOOP_DATA` points; without that, ``../shared/data`` from the
        project's root or from the working directory.

    Returns
    -------
    Path
        An existing folder or file.

    Raises
    ------
    DataMissingError
        If it is not there; says where it was sought. A place that was named is the only one tried.
    """
    variable = os.environ.get(DATA_VARIABLE)
    if data_dir is not None:
        places, how = [Path(data_dir)], "the folder given"
    elif variable:
        places, how = [Path(variable)], f"where {DATA_VARIABLE} points"
    else:
        roots = (Path(__file__).resolve().parents[1], Path.cwd())
        places = list(dict.fromkeys((root.parent / "shared" / "data").resolve() for root in roots))
        how = f"the default ({DATA_VARIABLE} is not set)"
    for place in places:
        if (place.expanduser() / name).exists():
            return place.expanduser() / name
    sought = ", ".join(str(place / name) for place in places)
    raise DataMissingError(
        f"the recorded data set {name!r} is missing: looked for {sought} ({how}); "
        f"set {DATA_VARIABLE} to the folder that holds it"
    )


@dataclass(frozen=True, eq=False)
class RecordedCurves:
    """Curves of one recorded set with the scalar columns that belong to them."""

    name: str
    ids: tuple[str, ...]
    """``(n,)`` distinct."""
    table: pd.DataFrame
    """``(n, ...)`` scalar columns as recorded, in the order of `ids`."""
    q: tuple[np.ndarray, ...]
    """``(k_i,)`` each, times `q_scale`; empty where no curve was recorded."""
    intensity: tuple[np.ndarray, ...]
    """``(k_i,)`` each, as the source scales it."""
    sigma: tuple[np.ndarray, ...]
    """``(k_i,)`` each; NaN where the source gives none."""
    citation: str = ""
    licence: str = ""
    source: Path | None = field(default=None)
    """The file they came from."""

    @classmethod
    def from_parquet(
        cls,
        path: str | Path,
        *,
        id_column: str,
        columns: Mapping[str, str | None] | None = None,
        where: Mapping[str, Any] | None = None,
        q_scale: float = 1.0,
        name: str | None = None,
        citation: str | None = None,
        licence: str | None = None,
    ) -> RecordedCurves:
        """Read curves from a parquet file.

        Parameters
        ----------
        path
            A file, or a folder with ``dev.parquet`` or exactly one other parquet file.
        id_column
            Column that names each curve; its values must differ within what is read.
        columns
            Which columns hold ``q``, ``intensity`` and ``sigma`` (lists of numbers); default ``q``, ``i``, ``sigma``.
            What is not named keeps its default; None for a sigma that was not recorded.
        where
            Keep the rows whose columns have these values (a list: one of these values).
        q_scale
            Factor to 1/Å: 0.1 for q in 1/nm.
        name, citation, licence
            Default: the folder's name, and these sections of the README beside the file.

        Raises
        ------
        DataMissingError
            If there is no such file.
        RecordedDataError
            If a column is absent or no list of numbers, lengths differ in a row, an id is empty or repeats, or no row
            is left; the message names file, column and row (as counted in the file, from 0).
        """
        if columns is not None and (unknown := set(columns) - set(DEFAULT_COLUMNS)):
            raise RecordedDataError(f"columns may name {sorted(DEFAULT_COLUMNS)}, got {sorted(unknown)} as well")
        if not (np.isfinite(q_scale) and q_scale > 0):
            raise RecordedDataError(f"q_scale must be finite and above 0, got {q_scale!r}")
        file = _parquet_file(Path(path).expanduser())
        frame = select_rows(read_table(file), where or {}, file)
        arrays = curve_arrays(frame, {**DEFAULT_COLUMNS, **(columns or {})}, file)
        if id_column not in frame.columns:
            raise RecordedDataError(f"{file}: there is no column {id_column!r}; columns: {', '.join(frame.columns)}")
        if frame[id_column].isna().any():
            row = frame.index[frame[id_column].isna()][0]
            raise RecordedDataError(f"{file}: row {row}: column {id_column!r} is empty, every curve needs an id")
        ids = frame[id_column].astype(str)
        if ids.duplicated().any():
            first = ids[ids.duplicated()].iloc[0]
            rows = frame.index[ids == first].tolist()
            raise RecordedDataError(
                f"{file}: column {id_column!r} must differ from curve to curve, rows {rows} all have {first!r}; "
                "choose another id column or narrow the rows with `where`"
            )
        scalar = [column for column in frame.columns if not _holds_lists(frame[column])]
        notes = _readme_sections(file.parent / "README.md")
        return cls(
            name=name if name is not None else file.parent.name,
            ids=tuple(ids),
            table=frame[scalar].reset_index(drop=True),
            q=tuple(q * q_scale for q in arrays["q"]),
            intensity=arrays["intensity"],
            sigma=arrays["sigma"],
            citation=citation if citation is not None else notes.get("citation", ""),
            licence=licence if licence is not None else notes.get("licence", ""),
            source=file,
        )

    def __len__(self) -> int:
        """Return the number of curves."""
        return len(self.ids)

    def problems(self, i: int) -> list[str]:
        """Say what is wrong with curve `i`, in words; empty if q increases strictly and all numbers are usable.

        Negative intensities are no fault: background-subtracted counts have them.
        """
        q, intensity, sigma = self.q[i], self.intensity[i], self.sigma[i]
        if q.size == 0:
            return ["no curve was recorded"]
        found: list[str] = []
        for label, values in (("q", q), ("intensity", intensity)):
            if (bad := int(np.sum(~np.isfinite(values)))) > 0:
                found.append(f"{label} is not finite in {bad} of {values.size} points")
        if np.any(q <= 0):
            found.append(f"q is not positive in {int(np.sum(q <= 0))} of {q.size} points")
        step = np.diff(q[np.isfinite(q)])
        if np.any(step == 0):
            found.append(f"q repeats in {int(np.sum(step == 0))} places")
        if np.any(step < 0):
            at = int(np.flatnonzero(step < 0)[0])
            found.append(f"q decreases in {int(np.sum(step < 0))} places, first after point {at}")
        if np.all(np.isnan(sigma)):
            found.append("sigma is not recorded")
        else:
            if (bad := int(np.sum(~np.isfinite(sigma)))) > 0:
                found.append(f"sigma is not finite in {bad} of {sigma.size} points")
            if np.any(sigma <= 0):
                found.append(f"sigma is not positive in {int(np.sum(sigma <= 0))} of {sigma.size} points")
        return found


def _parquet_file(path: Path) -> Path:
    if path.is_dir():
        preferred = path / _PREFERRED_FILE
        files = [preferred] if preferred.is_file() else sorted(path.glob("*.parquet"))
        if len(files) != 1:
            found = ", ".join(file.name for file in files) or "none"
            raise DataMissingError(
                f"{path} must hold {_PREFERRED_FILE} or exactly one other parquet file, found: {found}; name the file"
            )
        return files[0]
    if not path.is_file():
        raise DataMissingError(f"there is no file {path}")
    return path


def _holds_lists(column: pd.Series[Any]) -> bool:
    return column.dtype == object and any(isinstance(value, np.ndarray | list) for value in column)


def _readme_sections(readme: Path) -> dict[str, str]:
    """Return the text under each second-level heading of a README, by its heading in lower case."""
    if not readme.is_file():
        return {}
    parts = re.split(r"^## +(.+)$", readme.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {title.strip().lower(): body.strip() for title, body in zip(parts[1::2], parts[2::2], strict=True)}

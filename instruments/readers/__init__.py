"""Measured curves from files: columns of text, tables of curves, canSAS XML, NXcanSAS and other HDF5.

q comes out in 1/Å. A file that cannot be used gets one line that names it and the row; a row is counted as in the file
for text, and as the points of the curve (from 1) for all else.
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from instruments.readers.base import Columns, CurveFileError, ReadCurve, Reading, Unit
from instruments.readers.check import checked
from instruments.readers.hdf5 import read_hdf5
from instruments.readers.table import read_table
from instruments.readers.text import MAX_BYTES, read_text_columns
from instruments.readers.xml import read_cansas

__all__ = ["Columns", "CurveFileError", "ReadCurve", "Reading", "Unit", "checked", "read_curves", "reading_of"]

Found = tuple[str, Columns | CurveFileError]
"""Name of a curve, and what was found of it."""
_HDF5 = {".h5", ".hdf", ".hdf5", ".nxs", ".nx5", ".nexus"}
_NANOMETRE_SUFFIXES = {".pdh"}
"""Formats that have q in 1/nm by convention, without saying so."""
_ARCHIVES = {
    b"PK\x03\x04": "is a zip archive or a workbook: unpack it, or save its sheet as text (CSV)",
    b"BZh": "is compressed with bzip2: unpack it first",
    b"\xfd7zXZ": "is compressed with xz: unpack it first",
    b"\xd0\xcf\x11\xe0": "is a workbook or document of old: save it as text (CSV)",
}


_BINARY = re.compile(rb"[\0-\x08\x0e-\x19\x1c-\x1f]")
"""Bytes that text has not; 1A ends files of DOS, 1B begins colours."""


def read_curves(
    path: str | Path,
    *,
    unit: Unit | None = None,
    skip_bad_rows: bool = False,
    columns: Sequence[str] | None = None,
) -> Reading:
    """Read all curves of a file.

    Parameters
    ----------
    path
        Text in columns (q, I, σ, dq), a Parquet table (columns of lists ``q``, ``i``, ``sigma``, also with a prefix
        each: ``saxs_q``, ...; or of numbers), canSAS XML, or HDF5 (NXcanSAS, NXdata, or data sets with usual names).
        Text and XML may be compressed with gzip. What it is, its content tells, not its name.
    unit
        Of q; by default what the file says, else 1/Å.
    skip_bad_rows
        Leave rows out that are no numbers or have no positive error bar, with a note, instead of refusing the file.
    columns
        Names of q, I and σ, where they are not the usual ones; of text, also their numbers, from 1.

    Raises
    ------
    CurveFileError
        If there is no such file, or not one curve in it that can be used.
    """
    path = Path(path)
    try:
        found = _found(path, columns, skip_bad_rows)
    except OSError as error:
        raise CurveFileError(f"{path}: cannot be read ({error.strerror or error})") from error
    except (EOFError, zlib.error) as error:
        raise CurveFileError(f"{path}: is a damaged gzip file ({error})") from error
    except ValueError as error:
        raise error if isinstance(error, CurveFileError) else CurveFileError(str(error)) from error
    if {suffix.lower() for suffix in path.suffixes[-2:]} & _NANOMETRE_SUFFIXES:
        found = [
            (name, replace(item, q_unit=item.q_unit or "1/nm") if isinstance(item, Columns) else item)
            for name, item in found
        ]
    return reading_of(str(path), found, unit=unit, skip_bad_rows=skip_bad_rows)


def reading_of(
    source: str, found: Sequence[Found], *, unit: Unit | None = None, skip_bad_rows: bool = False
) -> Reading:
    """Check curves that were read from one source.

    Raises
    ------
    CurveFileError
        If not one can be used.
    """
    curves, refused = [], []
    for name, item in found:
        try:
            if isinstance(item, CurveFileError):
                raise item
            curves.append(checked(name, item, unit=unit, skip_bad_rows=skip_bad_rows))
        except CurveFileError as error:
            refused.append(str(error))
    if not curves:
        more = f" (and {len(refused) - 1} more curves of it)" if len(refused) > 1 else ""
        raise CurveFileError(refused[0] + more if refused else f"{source}: holds no curve")
    return Reading(tuple(curves), tuple(refused))


def _found(path: Path, columns: Sequence[str] | None, skip: bool) -> Sequence[Found]:
    """Read what a file holds, by its first bytes."""
    if path.is_dir():
        raise CurveFileError(f"{path}: is a folder, and no campaign's; name its files ({path}/*)")
    if not path.exists():
        raise CurveFileError(f"{path}: there is no such file")
    if not path.is_file():
        raise CurveFileError(f"{path}: is no file that can be read")
    with path.open("rb") as file:
        first = file.read(4096)
    suffix = path.suffix.lower()
    if first.startswith(b"\x89HDF\r\n") or suffix in _HDF5:
        return read_hdf5(path, columns)
    if first.startswith(b"PAR1") or suffix == ".parquet":
        return read_table(path, columns)
    for magic, what in _ARCHIVES.items():
        if first.startswith(magic):
            raise CurveFileError(f"{path}: {what}")
    content = _content(path, compressed=first.startswith(b"\x1f\x8b"))
    if content.removeprefix(b"\xef\xbb\xbf").lstrip()[:5] in (b"<?xml", b"<SASr") or suffix == ".xml":
        return read_cansas(path, content, skip_bad_rows=skip)
    if _BINARY.search(content[:4096]) and not content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise CurveFileError(
            f"{path}: is no text and of no format that is known here: columns of text, Parquet, canSAS XML, HDF5"
        )
    return [(str(path), read_text_columns(path, content, columns=columns, skip_bad_rows=skip))]


def _content(path: Path, *, compressed: bool) -> bytes:
    if not compressed:
        if path.stat().st_size > MAX_BYTES:
            raise CurveFileError(f"{path}: has {path.stat().st_size / 1e6:.0f} MB, too many for a curve in text")
        return path.read_bytes()
    with gzip.open(path) as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise CurveFileError(f"{path}: unpacks to more than {MAX_BYTES / 1e6:.0f} MB, too many for a curve in text")
    return content

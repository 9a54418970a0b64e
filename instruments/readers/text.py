"""Curves in columns of text: q, I, and if there are more σ and dq, with comments, headers and footers around them."""

from __future__ import annotations

import codecs
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from instruments.readers.base import Columns
from instruments.readers.names import curve_columns, kind_of, listed, q_unit_in

_COMMENTS = ("#", "%", "!", ";", "//", "*", '"', "'")
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eEdD][-+]?\d+)?|[-+]?(nan|inf|infinity)", re.IGNORECASE)
_PLAIN = str.maketrans({",": " ", ";": " ", "\t": " ", "−": "-", '"': None})
# Numbers with a comma for the decimal point have another separator; 1,2,3 has not.
_WITH_COMMA = r"[-+]?\d+(?:,\d+)?(?:[eEdD][-+]?\d+)?"
_DECIMAL_COMMA = re.compile(rf"\s*{_WITH_COMMA}(?:(?:[ \t]+|[ \t]*;[ \t]*){_WITH_COMMA})+[ \t]*;?\s*")
_TWO_THETA = re.compile(r"\b(?:2|two)[ _-]?th(?:eta)?\b|2[ _-]?θ", re.IGNORECASE)
_MAX_HEADER_ROWS = 8
_NAME_LINES = 5
"""How far above the numbers the names of columns may stand."""
_LONGEST_LINE = 2000
"""Of names."""
MAX_BYTES = 200_000_000

Row = tuple[int, list[float]]
"""Row of the file, from 1, and its numbers."""


def read_text_columns(
    path: Path, content: bytes, *, columns: Sequence[str] | None = None, skip_bad_rows: bool = False
) -> Columns:
    """Read columns of numbers.

    The table is the longest run of rows with the same number of numbers; what comes before is a header. Within it,
    empty rows and comments may stand. A row with text or with another number of columns ends it only where no more rows
    of numbers follow; else it is an error. Columns are q, I, σ and dq, unless a row of names above them says otherwise.

    Parameters
    ----------
    path
        For messages.
    content
        The file's bytes, in UTF-8, UTF-16 with its mark, or Latin-1.
    columns
        Names, or numbers from 1, of q, I and σ.
    skip_bad_rows
        Leave out rows within the table that are no numbers.

    Raises
    ------
    ValueError
        With file and row, if there is no such table.
    """
    text = decoded(content)
    lines = text.splitlines()
    lines = _point_for_comma(lines)
    header, body, broken = _divide(lines)
    if not body:
        first = next((line.strip() for line in lines if line.strip()), "")
        raise ValueError(
            f"{path}: holds no columns of numbers (q, I and if possible σ); it begins with {first[:60]!r}"
            if first
            else f"{path}: is empty"
        )
    notes = []
    if broken:
        row, line = broken[0]
        if not skip_bad_rows:
            raise ValueError(
                f"{path}: row {row}: expected {len(body[0][1])} numbers, got {line.strip()[:60]!r}; --skip-bad-rows "
                "leaves such rows out"
            )
        notes.append(f"{len(broken)} rows left out that are not numbers (first: row {row})")
    if (last := body[-1][0]) < len(lines) and (rest := _numbers(lines[last])) is not None:
        notes.append(f"the numbers end with row {last}; row {last + 1} has {len(rest)} of them, not {len(body[0][1])}")
    if angle := _angle(header):
        raise ValueError(f"{path}: the first column is an angle ({angle!r}), expected q; convert it first")
    values = np.array([numbers for _, numbers in body], dtype=np.float64)
    names = _names(header, values.shape[1], columns) or _names(header, values.shape[1], None)
    chosen = _chosen(path, names, values, columns)
    if columns is None and chosen[: values.shape[1]] != [0, 1, 2][: values.shape[1]]:
        notes.append("columns by their names: " + ", ".join(names[i] for i in chosen))
    q, intensity, *sigma = (values[:, i] for i in chosen)
    rows = np.array([row for row, _ in body])
    return Columns(q, intensity, sigma[0] if sigma else None, rows, q_unit_in(header), notes=tuple(notes))


def decoded(content: bytes) -> str:
    """Return bytes as text."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return content.decode("utf-16", errors="replace")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def _point_for_comma(lines: list[str]) -> list[str]:
    """Write decimal points where most rows of numbers have commas."""
    if not any("," in line for line in lines):
        return lines
    found = [bool("," in line and "." not in line and _DECIMAL_COMMA.fullmatch(line)) for line in lines]
    others = sum(not yes and _numbers(line) is not None for yes, line in zip(found, lines, strict=True))
    if sum(found) <= others:
        return lines
    return [line.replace(",", ".") if yes else line for yes, line in zip(found, lines, strict=True)]


def _divide(lines: list[str]) -> tuple[list[str], list[Row], list[tuple[int, str]]]:
    """Header, rows of numbers and rows between them that are none."""
    parsed = [_numbers(line) for line in lines]
    widths = Counter(len(numbers) for numbers in parsed if numbers is not None and len(numbers) >= 2)
    if not widths:
        return lines, [], []
    width = max(widths, key=lambda w: (widths[w], w))
    rows = [i for i, numbers in enumerate(parsed) if numbers is not None and len(numbers) == width]
    # Headers hold rows of as many numbers, too: text after a single row, or where q does not go on, ends a header.
    start = 0
    for at in range(1, min(_MAX_HEADER_ROWS, len(rows) - 1) + 1) if len(rows) > 1 else ():
        before, after = rows[at - 1], rows[at]
        text = any(_is_content(line) for line in lines[before + 1 : after])
        goes_on = (parsed[before] or [0.0])[0] < (parsed[after] or [0.0])[0]
        if text and (at - start == 1 or not goes_on):
            start = at
    rows = rows[start:]
    taken = set(rows)
    body = [(i + 1, parsed[i] or []) for i in rows]
    broken = [(i + 1, lines[i]) for i in range(rows[0], rows[-1]) if i not in taken and _is_content(lines[i])]
    return lines[: rows[0]], body, broken


def _is_content(line: str) -> bool:
    line = line.strip()
    return bool(line) and not line.startswith(_COMMENTS)


def _numbers(line: str) -> list[float] | None:
    """Numbers of a row, or None if it is anything else."""
    line = line.strip()
    if not line or line[0] in "#%!;*/'" or "_" in line:
        return None
    try:
        return [float(part) for part in line.split()]
    except ValueError:
        pass
    try:
        numbers = [float(part) for part in line.translate(_PLAIN).split()]
    except ValueError:
        # The rare ones: exponents with D, comments behind the numbers.
        line = re.split(r"[#!%]", line, maxsplit=1)[0].strip()
        parts = line.translate(_PLAIN).split()
        if not all(_NUMBER.fullmatch(part) for part in parts):
            return None
        numbers = [float(part.lower().replace("d", "e")) for part in parts]
    if "," in line and re.search(r"[;\s]", re.sub(r"\s*,\s*", ",", line)):
        return None  # "0,01 1.5": does the comma part numbers, or is it in one?
    return numbers or None


def _names(header: list[str], width: int, wanted: Sequence[str] | None) -> list[str]:
    """Names of the columns, if a line close above the numbers has as many; a wanted one, or q and I, among them."""
    lines = [line for line in header if line.strip()]
    for line in reversed(lines[-_NAME_LINES:]):
        if len(line) > _LONGEST_LINE:
            continue
        bare = line.strip().lstrip("#%!;*/ \t")
        # Blanks separate names only where nothing better does; units in brackets may hold some.
        separated = [bare.strip(separator).split(separator) for separator in ",;|\t"]
        for parts in (*separated, re.split(r"\s{2,}", bare), bare.split(), _without_unit(bare).split()):
            names = [part.strip().strip("\"'").strip() for part in parts]
            if len(names) == width and (curve_columns(names) if wanted is None else _any_there(wanted, names)):
                return names
    return []


def _without_unit(name: str) -> str:
    return re.sub(r"\s*[(\[{][^)\]}]*[)\]}]", "", name)


def _any_there(wanted: Sequence[str], names: list[str]) -> bool:
    known = {*names, *map(_without_unit, names)}
    return any(name in known for name in wanted)


def _angle(header: list[str]) -> str:
    """Return the line close above the numbers that speaks of 2θ, if q is not named."""
    lines = [line.strip() for line in header if line.strip()]
    if any(re.search(r"\bq\b|\bq[_(\[/]|scattering vector", line, re.IGNORECASE) for line in lines):
        return ""
    return next((line[:60] for line in lines[-_NAME_LINES:] if _TWO_THETA.search(line)), "")


def _chosen(path: Path, names: list[str], values: np.ndarray, wanted: Sequence[str] | None) -> list[int]:
    """Say which columns of ``(k, width)`` numbers are q, I and σ."""
    width = values.shape[1]
    if wanted is not None:
        return [_column(path, name, names, width) for name in wanted]
    usual = [0, 1, 2][:width]
    if not names:
        return usual
    found = curve_columns(names)[0]
    chosen = [names.index(name) for name in (found.q, found.intensity, found.sigma) if name]
    if not _goes_on(values[:, chosen[0]]) and _goes_on(values[:, 0]):
        return usual  # the line was a sentence that happened to have as many words
    if chosen[:2] == [0, 1] and found.sigma is None and width > 2 and kind_of(names[2])[0] != "resolution":
        return usual  # a third column under another name is σ, as everywhere
    return chosen


def _goes_on(values: np.ndarray) -> bool:
    steps = np.diff(values)
    return bool((steps > 0).all() or (steps < 0).all())


def _column(path: Path, name: str, names: list[str], width: int) -> int:
    for known in (names, [_without_unit(each) for each in names]):
        if name in known:
            return known.index(name)
    if name.isascii() and name.isdigit() and 1 <= int(name) <= width:
        return int(name) - 1
    there = f", named {listed(names)}" if names else ", and no line above them that names it"
    raise ValueError(f"{path}: has no column {name!r}; there are columns 1 to {width}{there}")

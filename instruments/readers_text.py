"""Curves in columns of text: q, I, and if there are more σ and dq, with comments, headers and footers around them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

_SEPARATORS = re.compile(r"[,;\s]+")
_COMMENTS = ("#", "%", "!", "//", "*", '"', "'")
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eEdD][-+]?\d+)?|[-+]?(nan|inf|infinity)", re.IGNORECASE)
_NANOMETRE = re.compile(r"1\s*/\s*nm\b|(?<![a-z])nm\s*\^?\s*\{?\(?\s*[-−]\s*1|nm⁻¹|inverse nanomet", re.IGNORECASE)
_ANGSTROM = re.compile(
    r"1\s*/\s*(å|a|ang\w*)\b|(?<![a-z])(å|a|ang\w*)\s*\^?\s*\{?\(?\s*[-−]\s*1|å⁻¹|inverse angstr", re.IGNORECASE
)
_MAX_HEADER_ROWS = 8
_MAX_BYTES = 200_000_000


@dataclass(frozen=True, eq=False)
class Columns:
    """What a file says, unchecked."""

    q: np.ndarray
    """``(k,)``."""
    intensity: np.ndarray
    """``(k,)``."""
    sigma: np.ndarray | None
    """``(k,)``, or None."""
    rows: np.ndarray
    """``(k,)`` rows of the file, from 1."""
    unit: Literal["1/A", "1/nm"] | None = None
    """Of q, where the file says it."""
    notes: tuple[str, ...] = ()


def read_text_columns(path: Path, *, skip_bad_rows: bool = False) -> Columns:
    """Read columns of numbers.

    The table is the longest run of rows with the same number (2 to 4, further ones are ignored) of numbers; what comes
    before is a header. Within it, empty rows and comments may stand. A row with text or with another number of columns
    ends it only where no more rows of numbers follow; else it is an error.

    Raises
    ------
    ValueError
        With file and row, if there is no such table.
    """
    if path.stat().st_size > _MAX_BYTES:
        raise ValueError(f"{path}: has {path.stat().st_size / 1e6:.0f} MB, too many for a curve in columns of text")
    text = path.read_bytes().decode("utf-8", errors="replace").lstrip("\ufeff")
    header, body, broken = _divide(text.splitlines())
    if not body:
        first = next((line.strip() for line in text.splitlines() if line.strip()), "")
        raise ValueError(
            f"{path}: holds no columns of numbers (q, I and if possible σ); it begins with {first[:60]!r}"
            if first
            else f"{path}: is empty"
        )
    notes = []
    if broken:
        row, line = broken[0]
        if not skip_bad_rows:
            raise ValueError(f"{path}: row {row}: expected {len(body[0][1])} numbers, got {line.strip()[:60]!r}")
        notes.append(f"{len(broken)} rows left out that are not numbers (first: row {row})")
    values = np.array([numbers[:4] for _, numbers in body], dtype=float)
    unit = _unit(header)
    sigma = values[:, 2] if values.shape[1] > 2 else None
    rows = np.array([row for row, _ in body])
    return Columns(values[:, 0], values[:, 1], sigma, rows, unit, tuple(notes))


def _divide(lines: list[str]) -> tuple[list[str], list[tuple[int, list[float]]], list[tuple[int, str]]]:
    """Header, rows of numbers and rows between them that are none."""
    parsed = [_numbers(line) for line in lines]
    widths = [len(numbers) for numbers in parsed if numbers is not None and len(numbers) >= 2]
    if not widths:
        return lines, [], []
    width = max(set(widths), key=lambda w: (widths.count(w), w))
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
    body = [(i + 1, list(parsed[i] or ())) for i in rows]
    broken = [(i + 1, lines[i]) for i in range(rows[0], rows[-1]) if i not in taken and _is_content(lines[i])]
    return lines[: rows[0]], body, broken


def _is_content(line: str) -> bool:
    line = line.strip()
    return bool(line) and not line.startswith(_COMMENTS)


def _numbers(line: str) -> list[float] | None:
    """Numbers of a row, or None if it is anything else."""
    line = line.strip()
    if not line or line.startswith(_COMMENTS):
        return None
    parts = [part for part in _SEPARATORS.split(line) if part]
    if not all(_NUMBER.fullmatch(part) for part in parts):
        return None
    return [float(part.lower().replace("d", "e")) for part in parts]


def _unit(header: list[str]) -> Literal["1/A", "1/nm"] | None:
    """Find the unit of q in a header; the line that names q counts most."""
    lines = [line for line in header if re.search(r"\bq\b|\bq[_(\[/]|scattering vector", line, re.IGNORECASE)]
    for line in [*reversed(lines), *reversed(header)]:
        if _NANOMETRE.search(line):
            return "1/nm"
        if _ANGSTROM.search(line):
            return "1/A"
    return None

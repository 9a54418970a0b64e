"""Columns as a file holds them become a curve in 1/Å, or one line that says what is wrong and where."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from instruments.curve import Curve
from instruments.readers.base import Columns, CurveFileError, ReadCurve, Unit
from instruments.readers.names import intensity_factor, q_factor

MIN_POINTS = 4
_SMALLEST, _LARGEST = 1e-100, 1e100
"""Of intensities and error bars: their squares are numbers, too."""
_LARGE_Q = 1.0
"""1/Å: small angles end before; in 1/nm it is usual."""
_MOST_LEFT_OUT = 0.75
"""Of a curve; where more rows are bad, it is none."""
_LEAVE_OUT = "; --skip-bad-rows leaves such rows out"


def checked(name: str, columns: Columns, *, unit: Unit | None = None, skip_bad_rows: bool = False) -> ReadCurve:
    """Check values and convert units.

    Parameters
    ----------
    name
        What messages begin with: a file's name, say.
    columns
        What was read.
    unit
        Of q, whatever the file says.
    skip_bad_rows
        Leave rows out that are no numbers, have no positive error bar or a q that does not go on, with a note.

    Raises
    ------
    CurveFileError
        With the first row that is wrong.
    """
    q, intensity = _vector(columns.q), _vector(columns.intensity)
    sigma = np.full_like(q, np.nan) if columns.sigma is None else _vector(columns.sigma)
    if not len(q) == len(intensity) == len(sigma):
        of_sigma = "" if columns.sigma is None else f" and {len(sigma)} error bars"
        raise CurveFileError(
            f"{name}: expected as many intensities as q, got {len(q)} q, {len(intensity)} intensities{of_sigma}"
        )
    rows = columns.rows if len(columns.rows) == len(q) else np.arange(1, len(q) + 1)
    notes = list(columns.notes)
    if columns.sigma is not None and len(sigma) and np.all(np.isnan(sigma) | (sigma == 0)):
        notes.append("all error bars are zero or missing")
        sigma = np.full_like(q, np.nan)
    usable = np.isfinite(q)
    if usable.sum() > 1 and np.all(np.diff(q[usable]) < 0):
        notes.append("q falls: rows taken from the last to the first")
        q, intensity, sigma, rows = (values[::-1] for values in (q, intensity, sigma, rows))
    bad = _bad_rows(name, q, intensity, sigma, rows, skip_bad_rows)
    if bad.any():
        first = int(rows[np.flatnonzero(bad)].min())
        if bad.mean() > _MOST_LEFT_OUT:
            raise CurveFileError(
                f"{name}: row {first}: {bad.sum()} of {len(bad)} rows cannot be used: this is no curve"
            )
        notes.append(f"{bad.sum()} of {len(bad)} rows left out (first: row {first})")
        q, intensity, sigma, rows = (values[~bad] for values in (q, intensity, sigma, rows))
    if len(q) < MIN_POINTS:
        raise CurveFileError(f"{name}: a curve needs at least {MIN_POINTS} points, this one has {len(q)}")
    if np.abs(intensity).max() < _SMALLEST:
        raise CurveFileError(f"{name}: every intensity is 0: nothing was measured, or this is another column")
    q = q * _q_factor(columns.q_unit, unit, float(q[-1]), notes)
    if columns.intensity_unit is not None:
        factor = _intensity_factor(columns.intensity_unit, notes)
        intensity, sigma = intensity * factor, sigma * factor
    negative = np.flatnonzero(intensity < 0)
    if len(negative):
        notes.append(f"{len(negative)} of {len(q)} intensities are negative (first: row {rows[negative].min()})")
    return ReadCurve(name, Curve(q, intensity, sigma), tuple(notes))


def _vector(values: Any) -> np.ndarray:
    return np.atleast_1d(np.asarray(values, dtype=np.float64))


def _bad_rows(
    name: str, q: np.ndarray, intensity: np.ndarray, sigma: np.ndarray, rows: np.ndarray, skip: bool
) -> np.ndarray:
    """Return the rows that cannot be used ``(k,)``; raise at the first unless they may be left out."""
    given = not np.isnan(sigma).all()
    tests: Sequence[tuple[np.ndarray, str, np.ndarray]] = (
        (~np.isfinite(q), "q must be a finite number", q),
        (~np.isfinite(intensity), "the intensity must be a finite number", intensity),
        (~np.isfinite(sigma) & given, "the error bar must be a finite number", sigma),
        ((sigma <= 0) & given, "the error bar must be greater than 0", sigma),
        (q <= 0, "q must be greater than 0", q),
        (np.abs(intensity) > _LARGEST, f"the intensity must be at most {_LARGEST:g}", intensity),
        (
            given & ((sigma < _SMALLEST) | (sigma > _LARGEST)),
            f"the error bar must lie between {_SMALLEST:g} and {_LARGEST:g}",
            sigma,
        ),
    )
    bad = np.zeros(len(q), dtype=bool)
    for wrong, text, values in tests:
        if wrong.any() and not skip:
            first = int(np.flatnonzero(wrong)[0])
            raise CurveFileError(f"{name}: row {rows[first]}: {text}, got {values[first]:g}{_LEAVE_OUT}")
        bad |= wrong
    highest = np.maximum.accumulate(np.where(bad, -np.inf, q))
    back = ~bad
    back[1:] &= q[1:] <= highest[:-1]
    back[:1] = False
    if back.any() and not skip:
        at = int(np.flatnonzero(back)[0])
        raise CurveFileError(
            f"{name}: row {rows[at]}: q must be greater than in the row before, got {q[at]:g} after {q[at - 1]:g}; "
            "sort the rows, put each curve in a file of its own, or leave such rows out with --skip-bad-rows"
        )
    return bad | back


def _q_factor(said: str | None, unit: Unit | None, largest: float, notes: list[str]) -> float:
    factor = q_factor(unit or said or "1/A")
    if factor is None:
        notes.append(f"the file gives q in {said!r}, which is not known; taken as 1/Å (--unit overrules it)")
        return 1.0
    if factor != 1:
        notes.append(f"q converted from {unit or said} to 1/Å")
    elif unit is None and said is None and largest > _LARGE_Q:
        notes.append(
            f"no unit of q is given; taken as 1/Å, though it reaches {largest:g}: if it is 1/nm, say --unit 1/nm"
        )
    return factor


def _intensity_factor(unit: str, notes: list[str]) -> float:
    factor = intensity_factor(unit)
    if factor is None:
        notes.append(f"the file gives intensities in {unit!r}, not in 1/cm")
        return 1.0
    if factor != 1:
        notes.append(f"intensities converted from {unit} to 1/cm")
    return factor

"""What readers give, before and after it has been checked."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from instruments.curve import Curve
from instruments.errors import InstrumentError

Unit = Literal["1/A", "1/nm"]
"""Of q, as a person may state it."""


class CurveFileError(InstrumentError, ValueError):
    """A file that holds no curve that can be used; one line, with file and row."""


@dataclass(frozen=True, eq=False)
class Columns:
    """What a file says, unchecked."""

    q: np.ndarray
    """``(k,)``."""
    intensity: np.ndarray
    """``(k,)``."""
    sigma: np.ndarray | None = None
    """``(k,)``, or None."""
    rows: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=int))
    """``(k,)`` rows of the file, from 1; points of the curve where there are none."""
    q_unit: str | None = None
    """As the file states it; None where it does not."""
    intensity_unit: str | None = None
    """As the file states it; None where it does not."""
    notes: tuple[str, ...] = ()


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

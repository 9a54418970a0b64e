"""Curves of a campaign as a trained classifier sees them: one loaded classifier, each curve classified once.

How far noise moves what is said of a curve is found by drawing it anew within its error bars (a parametric bootstrap,
Efron & Tibshirani 1993, "An Introduction to the Bootstrap", section 6.5), all in one batch. The random numbers come
from the curve's own bytes: the same curve always gives the same.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from loop.errors import BeamloopError
from surrogates.errors import SurrogateError
from surrogates.saxs.curves import GriddedCurves, local_sigma
from surrogates.saxs.model import Classification, SaxsClassifier
from surrogates.saxs.novelty import MIN_BINS

T = TypeVar("T")
Floats = NDArray[np.float64]

REDRAWN = 16
"""How often a curve is drawn anew."""
_REMEMBERED = 32
"""Curves: the worker that decides may ask for others while one is being evaluated."""


class CurveLike(Protocol):
    """A reduced curve (`instruments.curve.Curve`)."""

    @property
    def q(self) -> Floats:
        """``(k,)`` 1/Å."""

    @property
    def intensity(self) -> Floats:
        """``(k,)`` 1/cm, or on any scale."""

    @property
    def sigma(self) -> Floats:
        """``(k,)`` standard deviations; NaN where there are none."""


class UnusableCurveError(BeamloopError, ValueError):
    """A curve that the classifier cannot look at; the message says why."""


class CurveClassifier:
    """A classifier that remembers the last curves; safe to be asked from several threads.

    Parameters
    ----------
    path
        Without suffix.

    Raises
    ------
    SurrogateError
        If it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.model = SaxsClassifier.load(path)
        self.digest = _digest_of_files(path)
        """First digits of the SHA-256 of its files."""
        self._lock = threading.Lock()
        self._memory: OrderedDict[bytes, Any] = OrderedDict()

    def read(self, curve: CurveLike) -> Classification:
        """Classify one curve, in row 0, and the same drawn anew within its error bars, in the others.

        Raises
        ------
        UnusableCurveError
            If it cannot be used: too few points, none of them where the classifier looks.
        """
        return self._remembered([curve], lambda: self._read(curve))

    def probe(self, curves: Sequence[CurveLike]) -> tuple[Classification | None, NDArray[np.int_]]:
        """Classify many curves as they are, in one batch.

        Returns
        -------
        found, rows
            Of the curves that can be used, and which these are.
        """
        return self._remembered([*curves, None], lambda: self._probe(curves))

    def _read(self, curve: CurveLike) -> Classification:
        q, intensity, sigma = _usable(curve)
        rng = np.random.default_rng(int.from_bytes(_digest([curve])[:8], "little"))
        drawn = intensity + sigma * np.vstack([np.zeros_like(q), rng.standard_normal((REDRAWN, len(q)))])
        curves = self._gridded(q, drawn, np.broadcast_to(sigma, drawn.shape))
        return self.model.classify(curves)

    def _probe(self, curves: Sequence[CurveLike]) -> tuple[Classification | None, NDArray[np.int_]]:
        # Curves that share their q go to the grid together.
        groups: dict[bytes, list[tuple[int, Floats, Floats, Floats]]] = {}
        for row, curve in enumerate(curves):
            with suppress(UnusableCurveError):
                q, intensity, sigma = _usable(curve)
                groups.setdefault(q.tobytes(), []).append((row, q, intensity, sigma))
        parts: list[GriddedCurves] = []
        rows: list[int] = []
        for group in groups.values():
            numbers, qs, intensities, sigmas = zip(*group, strict=True)
            with suppress(UnusableCurveError):
                parts.append(self._gridded(qs[0], np.stack(intensities), np.stack(sigmas)))
                rows += numbers
        found = self.model.classify(GriddedCurves.joined(parts)) if parts else None
        return found, np.array(rows, dtype=int)

    def _gridded(self, q: Floats, intensity: Floats, sigma: Floats) -> GriddedCurves:
        try:
            curves = self.model.gridded(q, intensity, sigma)
        except SurrogateError as error:
            raise UnusableCurveError(str(error)) from error
        bins = int(curves.measured[0].sum())
        if bins < MIN_BINS:
            grid = self.model.grid
            raise UnusableCurveError(
                f"it covers {bins} of the {grid.points} bins from {grid.q_min:g} to {grid.q_max:g} 1/Å that the "
                f"classifier looks at, {MIN_BINS} are needed"
            )
        return curves

    def _remembered(self, curves: Sequence[CurveLike | None], compute: Callable[[], T]) -> T:
        key = _digest(curves)
        with self._lock:
            if key in self._memory:
                self._memory.move_to_end(key)
            else:
                self._memory[key] = compute()
                if len(self._memory) > _REMEMBERED:
                    self._memory.popitem(last=False)
            result: T = self._memory[key]
            return result


def opened(path: Path) -> CurveClassifier:
    """Return the classifier at a path; the same one for all that ask, as long as its files are the same.

    Raises
    ------
    SurrogateError
        If it cannot be read.
    """
    path = path.with_name(path.name.removesuffix(".safetensors").removesuffix(".json")).absolute()
    return _opened(path, _stamp(path))


@cache
def _opened(path: Path, stamp: tuple[int, ...]) -> CurveClassifier:
    return CurveClassifier(path)


def _files(path: Path) -> list[Path]:
    return [path.with_name(path.name + suffix) for suffix in (".safetensors", ".json")]


def _stamp(path: Path) -> tuple[int, ...]:
    return tuple(file.stat().st_mtime_ns for file in _files(path) if file.exists())


def _digest_of_files(path: Path) -> str:
    return hashlib.sha256(b"".join(file.read_bytes() for file in _files(path))).hexdigest()[:12]


def _digest(curves: Sequence[CurveLike | None]) -> bytes:
    digest = hashlib.blake2b(digest_size=16)
    for curve in curves:
        if curve is None:
            digest.update(b"batch")
            continue
        for values in (curve.q, curve.intensity, curve.sigma):
            digest.update(np.ascontiguousarray(values, dtype=np.float64).tobytes())
    return digest.digest()


def _usable(curve: CurveLike) -> tuple[Floats, Floats, Floats]:
    """Leave out points without a number; estimate the error bars of a curve that has none."""
    q, intensity, sigma = (np.asarray(v, dtype=np.float64) for v in (curve.q, curve.intensity, curve.sigma))
    keep = np.isfinite(intensity) & (q > 0)
    known = keep & np.isfinite(sigma) & (sigma > 0)
    if known.any():
        return q[known], intensity[known], sigma[known]
    q, intensity = q[keep], intensity[keep]
    if len(q) < 4:
        raise UnusableCurveError(f"a curve needs at least 4 points, this one has {len(q)}")
    return q, intensity, local_sigma(q, intensity)

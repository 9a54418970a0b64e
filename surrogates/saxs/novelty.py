"""Is a curve like anything in training? Several scores, brought to one, and that to a p-value.

Scores, each larger for what is stranger:

``shape``
    Of `surrogates.saxs.shape.ShapeModel`: what an autoencoder of known curves cannot give back.
``features``
    Mahalanobis distance to the nearest class, in the trunks' last features (Lee et al., 2018, arXiv:1807.03888).
``entropy``, ``disagreement``
    Of the posterior of the class: all of the uncertainty, and that part of it which the networks do not agree on.
``strange``
    Log odds of the output that was trained on curves of no physics; always 0 of networks that were not.

A score's size depends on the dose, and on how much of q was measured. So curves are divided into strata by both, and
each score is compared with those of known curves of the same stratum; for those that lack a part of q, known curves are
cut at random. What comes out is a conformal p-value: among new curves of known kinds, a share of at most α has
``p <= α``, in each stratum, whatever the scores are worth (Vovk, Gammerman & Shafer, 2005, "Algorithmic Learning in a
Random World", chapters 2 and 4).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from surrogates.errors import SurrogateError
from surrogates.saxs.curves import Floats, GriddedCurves
from surrogates.saxs.features import Encoder
from surrogates.saxs.shape import ShapeModel

SCORES = ("shape", "entropy", "strange")
MIN_BINS = 8
"""Fewer measured bins say nothing."""
STRANGEST = 1e6
_PER_STRATUM = 60
"""Fewest curves of each half of the calibration in a stratum."""
_MAX_STRATA = 8
"""Of the dose, for each coverage."""
_COVERAGES = (0.6, 0.95)
"""Shares of the bins between which curves count as alike in what was measured."""
_LEVELS = np.array([0.0, 0.25, 0.5, 0.75, 0.9, 0.95, 0.98])
_SURPRISE = -np.log1p(-_LEVELS)
_MOST_SURPRISE = 100.0


@dataclass(frozen=True, eq=False)
class _Strata:
    """Of curves of similar coverage: scale of the scores and what calibrates them, by dose."""

    edges: Floats
    """``(strata - 1,)`` of the information of a curve."""
    quantiles: Floats
    """``(strata, scores, levels)`` of known curves, at `_LEVELS`."""
    known: Floats
    """``(strata, m)`` combined scores of known curves, ascending."""

    @classmethod
    def calibrate(cls, raw: Floats, information: Floats) -> Self:
        """Take one half of the curves for the scale of scores, the other for p-values."""
        n = len(raw)
        strata = int(np.clip(n // (2 * _PER_STRATUM) // 4, 1, _MAX_STRATA))
        first = np.arange(n) % 2 == 0
        edges = np.quantile(information[first], np.arange(1, strata) / strata)
        which = np.searchsorted(edges, information)
        quantiles = np.stack([np.quantile(raw[first & (which == s)], _LEVELS, axis=0).T for s in range(strata)])
        combined = _evidence(raw, which, quantiles).sum(1)
        groups = [combined[~first & (which == s)] for s in range(strata)]
        m = min(map(len, groups))
        if m < 2:
            raise SurrogateError("novelty cannot be calibrated: too few curves of some doses")
        # The same number in each, for one array; those left out are chosen without looking at the scores.
        return cls(edges, quantiles, np.stack([np.sort(group[:m]) for group in groups]))

    def __call__(self, raw: Floats, information: Floats) -> tuple[Floats, Floats]:
        """Return what each score says ``(n, scores)``, and p-values ``(n,)``."""
        which = np.searchsorted(self.edges, information)
        evidence = _evidence(raw, which, self.quantiles)
        p = np.empty(len(raw))
        for s in range(len(self.known)):
            rows = which == s
            p[rows] = conformal_p(self.known[s], evidence[rows].sum(1))
        return evidence, p


@dataclass(frozen=True, eq=False)
class NoveltyDetector:
    """Scores, their scale in each stratum, and what calibrates them."""

    shape: ShapeModel
    strata: tuple[_Strata, ...]
    """One for each range of coverage, from the least."""

    @classmethod
    def calibrate(cls, shape: ShapeModel, raw: Floats, curves: GriddedCurves) -> Self:
        """Calibrate with curves that nothing was fitted to.

        Parameters
        ----------
        raw
            ``(n, scores)`` of `raw_scores`.
        curves
            As they are, and cut. A range of coverage with too few of them takes what the next one has.

        Raises
        ------
        SurrogateError
            With fewer than 120 curves.
        """
        which = _coverage(curves)
        own = {c: np.flatnonzero(which == c) for c in range(len(_COVERAGES) + 1)}
        enough = {c: rows for c, rows in own.items() if len(rows) >= 2 * _PER_STRATUM}
        if not enough:
            most = max(map(len, own.values()))
            raise SurrogateError(f"novelty needs at least {2 * _PER_STRATUM} held-out curves to calibrate, got {most}")
        known = information(curves)
        made = {c: _Strata.calibrate(raw[rows], known[rows]) for c, rows in enough.items()}
        nearest = [min(made, key=lambda other, c=c: (abs(other - c), -other)) for c in own]  # type: ignore[misc]
        return cls(shape, tuple(made[c] for c in nearest))

    def __call__(self, raw: Floats, curves: GriddedCurves) -> tuple[Floats, Floats, Floats]:
        """Return what each score says ``(n, scores)``, all in one ``(n,)``, and p-values ``(n,)``.

        A score says minus the logarithm of the share of known curves of the stratum with as large a one; all in one is
        their sum (R. A. Fisher's way to combine tests).

        Curves with fewer than `MIN_BINS` measured bins are as strange as can be.
        """
        evidence, p = np.zeros(raw.shape), np.empty(len(raw))
        known, which = information(curves), _coverage(curves)
        for c, strata in enumerate(self.strata):
            rows = which == c
            evidence[rows], p[rows] = strata(raw[rows], known[rows])
        nothing = curves.measured.sum(1) < MIN_BINS
        least = np.array([1 / (self.strata[c].known.shape[1] + 1) for c in which])
        return evidence, np.where(nothing, STRANGEST, evidence.sum(1)), np.where(nothing, least, p)

    def state(self) -> dict[str, Tensor]:
        """Tensors from which `restore` rebuilds this."""
        tensors = {f"shape.{name}": t for name, t in self.shape.state().items()}
        for c, strata in enumerate(self.strata):
            arrays = {"edges": strata.edges, "quantiles": strata.quantiles, "known": strata.known}
            tensors |= {f"{name}.{c}": torch.from_numpy(np.ascontiguousarray(a)) for name, a in arrays.items()}
        return tensors

    @classmethod
    def restore(cls, state: Mapping[str, Tensor], encoder: Encoder) -> Self:
        """Rebuild from `state`."""
        own = {name.removeprefix("shape."): t for name, t in state.items() if name.startswith("shape.")}
        strata = tuple(
            _Strata(*(state[f"{name}.{c}"].numpy() for name in ("edges", "quantiles", "known")))
            for c in range(len(_COVERAGES) + 1)
        )
        return cls(ShapeModel.restore(own, encoder), strata)


def raw_scores(shape: ShapeModel, curves: GriddedCurves, X: Tensor, entropy: Floats, strange: Floats) -> Floats:
    """Return ``(n, scores)`` in the order of `SCORES`.

    Parameters
    ----------
    X
        ``(n, d)`` of the encoder.
    entropy
        ``(n,)`` of the posterior, nats.
    strange
        ``(n,)``.
    """
    return np.column_stack([shape.scores(curves, X), entropy, strange])


def information(curves: GriddedCurves) -> Floats:
    """How far a curve stands out of its noise: mean of asinh(I/σ) over the measured bins, ``(n,)``."""
    snr = np.clip(curves.intensity / curves.sigma, 0.0, None)
    total = np.where(curves.measured, np.arcsinh(snr), 0.0).sum(1)
    found: Floats = total / np.maximum(curves.measured.sum(1), 1)
    return found


def _coverage(curves: GriddedCurves) -> NDArray[np.int_]:
    """Range of coverage of each curve ``(n,)``, from 0 for the least."""
    return np.searchsorted(_COVERAGES, curves.measured.mean(1), side="right")


def _evidence(raw: Floats, which: NDArray[np.int_], quantiles: Floats) -> Floats:
    """Minus the logarithm of the share of known curves with as large a score, ``(n, scores)``.

    Between quantiles it is interpolated; beyond the last it goes on with the slope before it.
    """
    result = np.zeros_like(raw, dtype=np.float64)
    for s in range(len(quantiles)):
        rows = which == s
        for j, own in enumerate(quantiles[s]):
            # Scores of many curves may be equal: a little apart, that there are slopes.
            knots = np.maximum.accumulate(own) + 1e-9 * np.arange(len(own))
            slope = (_SURPRISE[-1] - _SURPRISE[-2]) / max(knots[-1] - knots[-2], 1e-9)
            beyond = np.clip(raw[rows, j] - knots[-1], 0.0, None)
            result[rows, j] = np.interp(raw[rows, j], knots, _SURPRISE) + np.minimum(slope * beyond, _MOST_SURPRISE)
    return result


def conformal_p(known: NDArray[np.float64], scores: Floats) -> Floats:
    """Return ``(1 + number of known scores at least as large) / (m + 1)``, ``(n,)``; `known` ascends."""
    return (1 + len(known) - np.searchsorted(known, scores, side="left")) / (len(known) + 1)

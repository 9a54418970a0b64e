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

A score's size depends on the dose. So curves are divided into strata by how far they stand out of their noise, and each
score is compared with those of known curves of the same stratum. What comes out is a conformal p-value: among new
curves of known kinds, a share of at most α has ``p <= α``, in each stratum, whatever the scores are worth (Vovk,
Gammerman & Shafer, 2005, "Algorithmic Learning in a Random World", chapters 2 and 4).
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
_LEVELS = np.array([0.0, 0.25, 0.5, 0.75, 0.9, 0.95, 0.98])
_SURPRISE = -np.log1p(-_LEVELS)
_MOST_SURPRISE = 100.0


@dataclass(frozen=True, eq=False)
class NoveltyDetector:
    """Scores, their scale in each stratum, and what calibrates them."""

    shape: ShapeModel
    edges: Floats
    """``(strata - 1,)`` of the information of a curve."""
    quantiles: Floats
    """``(strata, scores, levels)`` of known curves, at `_LEVELS`."""
    known: Floats
    """``(strata, m)`` combined scores of known curves, ascending."""

    @classmethod
    def calibrate(cls, shape: ShapeModel, raw: Floats, information: Floats) -> Self:
        """Divide curves that nothing was fitted to: one half for the scale of scores, one for p-values.

        Parameters
        ----------
        raw
            ``(n, scores)`` of `raw_scores`.
        information
            ``(n,)`` of `information`.

        Raises
        ------
        SurrogateError
            With fewer than 120 curves.
        """
        n = len(raw)
        if n < 2 * _PER_STRATUM:
            raise SurrogateError(f"novelty needs at least {2 * _PER_STRATUM} held-out curves to calibrate, got {n}")
        strata = int(np.clip(n // (2 * _PER_STRATUM) // 4, 1, _MAX_STRATA))
        first = np.arange(n) % 2 == 0
        edges = np.quantile(information[first], np.arange(1, strata) / strata)
        which = np.searchsorted(edges, information)
        quantiles = np.stack([np.quantile(raw[first & (which == s)], _LEVELS, axis=0).T for s in range(strata)])
        combined = _evidence(raw, which, quantiles).sum(1)
        groups = [np.sort(combined[~first & (which == s)]) for s in range(strata)]
        m = min(map(len, groups))
        if m < 2:
            raise SurrogateError("novelty cannot be calibrated: too few curves of some doses")
        # The same number in each, for one array; those left out are chosen without looking at the scores.
        groups = [np.sort(combined[~first & (which == s)][:m]) for s in range(strata)]
        return cls(shape, edges, quantiles, np.stack(groups))

    def __call__(self, raw: Floats, information: Floats, bins: NDArray[np.int_]) -> tuple[Floats, Floats, Floats]:
        """Return what each score says ``(n, scores)``, all in one ``(n,)``, and p-values ``(n,)``.

        A score says minus the logarithm of the share of known curves of the stratum with as large a one; all in one is
        their sum (R. A. Fisher's way to combine tests).

        Curves with fewer than `MIN_BINS` measured bins are as strange as can be.
        """
        which = np.searchsorted(self.edges, information)
        evidence = _evidence(raw, which, self.quantiles)
        combined = np.where(bins < MIN_BINS, STRANGEST, evidence.sum(1))
        p = np.empty(len(raw))
        for s in range(len(self.known)):
            rows = which == s
            p[rows] = conformal_p(self.known[s], combined[rows])
        return evidence, combined, p

    def state(self) -> dict[str, Tensor]:
        """Tensors from which `restore` rebuilds this."""
        arrays = {"edges": self.edges, "quantiles": self.quantiles, "known": self.known}
        tensors = {name: torch.from_numpy(np.ascontiguousarray(values)) for name, values in arrays.items()}
        return tensors | {f"shape.{name}": t for name, t in self.shape.state().items()}

    @classmethod
    def restore(cls, state: Mapping[str, Tensor], encoder: Encoder) -> Self:
        """Rebuild from `state`."""
        own = {name.removeprefix("shape."): t for name, t in state.items() if name.startswith("shape.")}
        arrays = (state[name].numpy() for name in ("edges", "quantiles", "known"))
        return cls(ShapeModel.restore(own, encoder), *arrays)


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
    """How far a curve stands out of its noise: mean of asinh(I/σ) over the whole grid, ``(n,)``."""
    snr = np.clip(curves.intensity / curves.sigma, 0.0, None)
    found: Floats = np.where(curves.measured, np.arcsinh(snr), 0.0).mean(1)
    return found


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

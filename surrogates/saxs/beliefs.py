"""What trained networks say of curves: probabilities of the classes, their uncertainty, and raw scores of novelty."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from surrogates.inference.draws import DrawsPosterior
from surrogates.labels import entropy
from surrogates.networks import NetworkEnsemble
from surrogates.saxs.curves import Floats, GriddedCurves
from surrogates.saxs.features import Encoder
from surrogates.saxs.novelty import raw_scores
from surrogates.saxs.shape import ShapeModel

_CHUNK = 2048
_LEAST = 1e-30
"""Probabilities of single precision end somewhere."""


@dataclass(frozen=True, eq=False)
class Beliefs:
    """Of some curves."""

    probability: Floats
    """``(n, classes)``."""
    probability_sd: Floats
    """``(n, classes)``, over the draws."""
    epistemic: Floats
    """``(n,)``."""
    aleatoric: Floats
    """``(n,)``."""
    raw: Floats
    """``(n, scores)`` of `raw_scores`."""


@torch.no_grad()
def features_of(networks: NetworkEnsemble, encoder: Encoder, curves: GriddedCurves) -> Tensor:
    """Return what the last layers get, ``(G, n, p)``."""
    parts = [_seen(networks, encoder(curves[i : i + _CHUNK])) for i in range(0, max(len(curves), 1), _CHUNK)]
    return torch.cat(parts, 1)


@torch.no_grad()
def logits_of(posterior: DrawsPosterior, h: Tensor) -> Tensor:
    """Return ``(G, draws, n, outputs)`` from features ``(G, n, p)``."""
    last = posterior.networks.depth - 1
    return posterior.networks.after(h[:, None, None], last, posterior.parameters).squeeze(1)


@torch.no_grad()
def beliefs(
    shape: ShapeModel,
    posterior: DrawsPosterior,
    classes: int,
    temperature: float,
    encoder: Encoder,
    curves: GriddedCurves,
) -> Beliefs:
    """Return what is believed of curves.

    Parameters
    ----------
    shape
        For novelty.
    posterior
        Of the last layers. A network may have one output more than there are classes: the last one, trained on
        curves of no physics, stands for what is none of them.
    classes
        How many there are.
    temperature
        Logits of the classes are divided by it.
    """
    parts = []
    for start in range(0, max(len(curves), 1), _CHUNK):
        part = curves[start : start + _CHUNK]
        X = encoder(part)
        logits = logits_of(posterior, _seen(posterior.networks, X))
        p, sd, total, aleatoric = _uncertainty(logits[..., :classes] / temperature)
        raw = raw_scores(shape, part, X, total, _strange(logits, classes))
        parts.append((p, sd, np.clip(total - aleatoric, 0.0, None), aleatoric, raw))
    return Beliefs(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _seen(networks: NetworkEnsemble, X: Tensor) -> Tensor:
    """Features ``(G, n, p)``."""
    return networks.before(X, networks.depth - 1)


def _uncertainty(logits: Tensor) -> tuple[Floats, Floats, Floats, Floats]:
    """Probabilities and their standard deviation ``(n, classes)``, their entropy and the expected entropy ``(n,)``."""
    drawn = torch.softmax(logits, -1).flatten(0, 1)
    p = drawn.mean(0)
    p = p / p.sum(-1, keepdim=True)
    sd = (drawn - p).square().mean(0).sqrt()
    found = p, sd, entropy(p), entropy(drawn).mean(0)
    return tuple(t.double().numpy() for t in found)  # type: ignore[return-value]


def _strange(logits: Tensor, classes: int) -> Floats:
    """Log odds that a curve is of none of the classes, ``(n,)``; 0 of networks without an output for it."""
    if logits.shape[-1] == classes:
        return np.zeros(logits.shape[-2])
    p = torch.softmax(logits, -1).flatten(0, 1).mean(0).double()
    known, strange = p[:, :classes].sum(-1), p[:, classes]
    found: Floats = (strange.clamp_min(_LEAST).log() - known.clamp_min(_LEAST).log()).numpy()
    return found

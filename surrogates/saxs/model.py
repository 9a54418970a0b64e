"""The classifier: trunks, the posterior of their last layers, and what a curve looks like that is none of all this."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
import torch
from torch import Tensor

from surrogates.inference.draws import DrawsPosterior
from surrogates.labels import entropy
from surrogates.networks import NetworkEnsemble
from surrogates.saxs import metrics, saving
from surrogates.saxs.curves import Floats, GriddedCurves, QGrid, rebin
from surrogates.saxs.data import Batch, check_labels, collected, halves
from surrogates.saxs.features import Encoder
from surrogates.saxs.instrument import InstrumentReference
from surrogates.saxs.laplace import last_layer_posterior
from surrogates.saxs.novelty import FeatureModel, NoveltyDetector, information, raw_scores
from surrogates.saxs.shape import ShapeModel
from surrogates.saxs.training import Progress, Training, train_trunks
from surrogates.storage import versions

__all__ = ["Batch", "Classification", "SaxsClassifier"]

_CHUNK = 2048


@dataclass(frozen=True, eq=False)
class Classification:
    """What the classifier believes of `n` curves."""

    classes: tuple[str, ...]
    probability: Floats
    """``(n, classes)``: posterior mean."""
    epistemic: Floats
    """``(n,)`` nats: what the label would tell about the networks; large where training was silent."""
    aleatoric: Floats
    """``(n,)`` nats: what no further training would take away, since the curve is ambiguous."""
    novelty: Floats
    """``(n,)``: larger is stranger."""
    novelty_scores: Floats
    """``(n, scores)`` that make it up (`surrogates.saxs.novelty.SCORES`)."""
    p_value: Floats
    """``(n,)``: of new curves of known kinds a share α has ``p <= α``. Small: not like anything in training."""

    def __len__(self) -> int:
        """Return the number of curves."""
        return len(self.probability)

    def row(self, i: int) -> Classification:
        """Return what is believed of one curve."""
        own = slice(i, i + 1)
        arrays = (self.probability, self.epistemic, self.aleatoric, self.novelty, self.novelty_scores, self.p_value)
        return Classification(self.classes, *(values[own] for values in arrays))

    @property
    def label(self) -> np.ndarray:
        """Most probable class ``(n,)``."""
        return self.probability.argmax(1)

    @property
    def name(self) -> list[str]:
        """Name of the most probable class, for each curve."""
        return [self.classes[i] for i in self.label]


@dataclass(frozen=True, eq=False)
class SaxsClassifier:
    """Trained classifier; `train` or `load` makes one."""

    classes: tuple[str, ...]
    grid: QGrid
    encoder: Encoder
    posterior: DrawsPosterior
    """Draws of the last layers of the trunks."""
    temperature: float
    """Logits are divided by it: probabilities are right on held-out curves."""
    detector: NoveltyDetector
    card: Mapping[str, Any]
    """Data, metrics and limits, for people."""
    reference: InstrumentReference | None = None
    """Good curves of an instrument that p-values refer to instead of training's: see `recalibrated`."""

    @classmethod
    def train(
        cls,
        batches: Iterable[Batch],
        classes: Sequence[str],
        training: Training | None = None,
        *,
        description: Mapping[str, Any] | None = None,
        progress: Progress | None = None,
    ) -> Self:
        """Train on labelled curves.

        Parameters
        ----------
        batches
            All curves, in parts of any size and on any q: see `Batch`. They are held in memory on the grid
            (about 1 kB a curve).
        classes
            Names of the labels 0, 1 ...
        training
            How.
        description
            Of the data, for the card.
        progress
            See `surrogates.saxs.training.Progress`.

        Raises
        ------
        SurrogateError
            If curves cannot be used, a class is missing, or there are too few curves to hold some out.
        """
        began = time.perf_counter()
        training = training or Training()
        curves, labels = collected(batches, training.grid)
        check_labels(labels, len(classes))
        held = np.zeros(len(labels), dtype=bool)
        order = np.random.default_rng([training.seed, 0]).permutation(len(labels))
        held[order[: round(training.held_out * len(labels))]] = True
        own, y = curves[~held], labels[~held]
        encoder = Encoder.fit(own, training.scale)
        networks = train_trunks(own, y, encoder, len(classes), training, progress)
        features = _features(networks, encoder, own)
        labels_own = torch.from_numpy(y)
        posterior = last_layer_posterior(networks, features, labels_own, seed=training.seed)
        shape = ShapeModel.fit(
            own,
            encoder,
            seed=training.seed,
            middle=training.shape_middle,
            presentations=training.shape_presentations,
            augmentation=training.augmentation,
        )
        models = shape, FeatureModel.fit(features, labels_own, len(classes))
        del features, own

        judged, others = halves(curves, labels, held)
        logits = _logits(posterior, _features(networks, encoder, judged[0]))
        temperature = metrics.best_temperature(logits, torch.from_numpy(judged[1]))
        raw = np.concatenate([b.raw for b in _beliefs(models, posterior, temperature, encoder, others[0])])
        detector = NoveltyDetector.calibrate(*models, raw, information(others[0]))
        made = cls(tuple(classes), training.grid, encoder, posterior, temperature, detector, {})
        found = made.classify(judged[0])
        card = {
            "data": {**(description or {}), "curves": len(labels), "held_out": int(held.sum())},
            "training": saving.plain(training),
            "metrics": metrics.summary(found.probability, judged[1]),
            "temperature": temperature,
            "seconds": round(time.perf_counter() - began, 1),
            "limits": saving.LIMITS,
            "versions": versions(),
        }
        return replace(made, card=card)

    def gridded(self, q: Any, intensity: Any, sigma: Any, where: str = "curve") -> GriddedCurves:
        """Bring curves ``(k,)`` or ``(n, k)`` on q ``(k,)`` in 1/Å to the classifier's grid; see `rebin`."""
        return rebin(q, intensity, sigma, self.grid, where)

    @torch.no_grad()
    def features(self, curves: GriddedCurves) -> Tensor:
        """Return what the trunks see in curves, ``(G, n, p)``."""
        return _features(self.posterior.networks, self.encoder, curves)

    @torch.no_grad()
    def classify(self, curves: GriddedCurves) -> Classification:
        """Classify curves on the classifier's grid (`gridded`)."""
        models = self.detector.shape, self.detector.features
        parts = _beliefs(models, self.posterior, self.temperature, self.encoder, curves)
        p, epistemic, aleatoric, raw = (np.concatenate(column) for column in zip(*parts, strict=True))
        scores, novelty, p_value = self.detector(raw, information(curves), curves.measured.sum(1))
        if self.reference is not None:
            novelty, p_value = self.reference(curves)
        return Classification(self.classes, p, epistemic, aleatoric, novelty, scores, p_value)

    def recalibrated(self, curves: GriddedCurves) -> Self:
        """Return a classifier whose novelty refers to good curves of one instrument (about 30) instead of to training.

        Raises
        ------
        SurrogateError
            With fewer than 10 curves.
        """
        return replace(self, reference=InstrumentReference.fit(curves, self.encoder.scale))

    def save(self, path: str | Path) -> None:
        """Write ``path.safetensors`` and ``path.json``; `load` gives bit-equal results."""
        saving.write(self, Path(path))

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what `save` wrote; a suffix is of no account.

        Raises
        ------
        SurrogateError
            If the files are missing or not what `save` writes.
        """
        return cls(**saving.read(Path(path)))


@torch.no_grad()
def _seen(networks: NetworkEnsemble, X: Tensor) -> Tensor:
    """Features ``(G, n, p)``."""
    return networks.before(X, networks.depth - 1)


def _features(networks: NetworkEnsemble, encoder: Encoder, curves: GriddedCurves) -> Tensor:
    parts = [_seen(networks, encoder(curves[i : i + _CHUNK])) for i in range(0, max(len(curves), 1), _CHUNK)]
    return torch.cat(parts, 1)


@torch.no_grad()
def _logits(posterior: DrawsPosterior, h: Tensor) -> Tensor:
    """``(G, draws, n, classes)``."""
    last = posterior.networks.depth - 1
    return posterior.networks.after(h[:, None, None], last, posterior.parameters).squeeze(1)


@torch.no_grad()
def _uncertainty(posterior: DrawsPosterior, h: Tensor, temperature: float) -> tuple[Floats, Floats, Floats]:
    """Probabilities ``(n, classes)``, their entropy and the expected entropy ``(n,)``."""
    drawn = torch.softmax(_logits(posterior, h) / temperature, -1).flatten(0, 1)
    p = drawn.mean(0)
    p = p / p.sum(-1, keepdim=True)
    return p.double().numpy(), entropy(p).double().numpy(), entropy(drawn).mean(0).double().numpy()


class _Beliefs(NamedTuple):
    """Of some curves."""

    probability: Floats
    """``(n, classes)``."""
    epistemic: Floats
    """``(n,)``."""
    aleatoric: Floats
    """``(n,)``."""
    raw: Floats
    """``(n, scores)`` of `raw_scores`."""


@torch.no_grad()
def _beliefs(
    models: tuple[ShapeModel, FeatureModel],
    posterior: DrawsPosterior,
    temperature: float,
    encoder: Encoder,
    curves: GriddedCurves,
) -> list[_Beliefs]:
    """Return what is believed of curves, in chunks; one of no curves where there are none."""
    found = []
    for start in range(0, max(len(curves), 1), _CHUNK):
        part = curves[start : start + _CHUNK]
        X = encoder(part)
        h = _seen(posterior.networks, X)
        p, total, aleatoric = _uncertainty(posterior, h, temperature)
        epistemic = np.clip(total - aleatoric, 0.0, None)
        found.append(_Beliefs(p, epistemic, aleatoric, raw_scores(*models, part, X, h, total, epistemic)))
    return found

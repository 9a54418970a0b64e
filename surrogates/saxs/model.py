"""The classifier: trunks, the posterior of their last layers, and what a curve looks like that is none of all this."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from surrogates.inference.draws import DrawsPosterior
from surrogates.saxs import metrics, saving
from surrogates.saxs.augment import Augmentation
from surrogates.saxs.beliefs import beliefs, features_of, logits_of
from surrogates.saxs.curves import Floats, GriddedCurves, QGrid, rebin
from surrogates.saxs.data import Batch, check_labels, collected, halves, strangers_last
from surrogates.saxs.features import Encoder
from surrogates.saxs.instrument import InstrumentReference
from surrogates.saxs.laplace import last_layer_posterior
from surrogates.saxs.novelty import NoveltyDetector
from surrogates.saxs.shape import ShapeModel
from surrogates.saxs.training import Progress, Training, train_trunks
from surrogates.storage import versions

__all__ = ["Batch", "Classification", "SaxsClassifier"]

_ALPHA = 0.05
"""For the card."""


@dataclass(frozen=True, eq=False)
class Classification:
    """What the classifier believes of `n` curves."""

    classes: tuple[str, ...]
    probability: Floats
    """``(n, classes)``: posterior mean."""
    probability_sd: Floats
    """``(n, classes)``: standard deviation of the probabilities over the posterior."""
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
        arrays = {f.name: getattr(self, f.name)[own] for f in fields(self) if f.name != "classes"}
        return replace(self, **arrays)

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
        unlike: str | None = None,
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
        unlike
            Name of the label that is no class, but curves of no physics: the border of the known is learnt from them
            (Hendrycks et al., 2019, arXiv:1812.04606). The networks get an output for it, which novelty looks at.
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
        known, labels = strangers_last(tuple(classes), labels, unlike)
        held = np.zeros(len(labels), dtype=bool)
        order = np.random.default_rng([training.seed, 0]).permutation(len(labels))
        held[order[: round(training.held_out * len(labels))]] = True
        usual = labels < len(known)
        own, y = curves[~held], labels[~held]
        encoder = Encoder.fit(curves[~held & usual], training.scale)
        networks = train_trunks(own, y, encoder, len(classes), training, progress)
        posterior = last_layer_posterior(
            networks, features_of(networks, encoder, own), torch.from_numpy(y), seed=training.seed
        )
        del own
        shape = ShapeModel.fit(
            curves[~held & usual],
            encoder,
            seed=training.seed,
            middle=training.shape_middle,
            presentations=training.shape_presentations,
            augmentation=training.augmentation,
        )

        judged, others = halves(curves, labels, held & usual)
        logits = logits_of(posterior, features_of(networks, encoder, judged[0]))[..., : len(known)]
        temperature = metrics.best_temperature(logits, torch.from_numpy(judged[1]))
        whole = others[0]
        cut = Augmentation(thinned=0.0, cut=1.0)(whole, np.random.default_rng([training.seed, 3]))
        calibrating = GriddedCurves.joined([whole, cut])
        raw = beliefs(shape, posterior, len(known), temperature, encoder, calibrating).raw
        detector = NoveltyDetector.calibrate(shape, raw, calibrating)
        made = cls(known, training.grid, encoder, posterior, temperature, detector, {})
        found = metrics.summary(made.classify(judged[0]).probability, judged[1])
        if unlike is not None:
            strange = made.classify(curves[held & ~usual])
            found["strangers_flagged"] = float(np.mean(strange.p_value <= _ALPHA))
        card = {
            "data": {
                **(description or {}),
                "curves": len(labels),
                "held_out": int(held.sum()),
                "strangers": unlike,
            },
            "training": saving.plain(training),
            "metrics": found,
            "temperature": temperature,
            "seconds": round(time.perf_counter() - began, 1),
            "limits": saving.LIMITS,
            "versions": versions(),
        }
        return replace(made, card=card)

    def gridded(self, q: Any, intensity: Any, sigma: Any, where: str = "curve") -> GriddedCurves:
        """Bring curves ``(k,)`` or ``(n, k)`` on q ``(k,)`` in 1/Å to the classifier's grid; see `rebin`."""
        return rebin(q, intensity, sigma, self.grid, where)

    def features(self, curves: GriddedCurves) -> Tensor:
        """Return what the trunks see in curves, ``(G, n, p)``."""
        return features_of(self.posterior.networks, self.encoder, curves)

    def classify(self, curves: GriddedCurves) -> Classification:
        """Classify curves on the classifier's grid (`gridded`)."""
        found = beliefs(self.detector.shape, self.posterior, len(self.classes), self.temperature, self.encoder, curves)
        scores, novelty, p_value = self.detector(found.raw, curves)
        if self.reference is not None:
            novelty, p_value = self.reference(curves)
        return Classification(
            classes=self.classes,
            probability=found.probability,
            probability_sd=found.probability_sd,
            epistemic=found.epistemic,
            aleatoric=found.aleatoric,
            novelty=novelty,
            novelty_scores=scores,
            p_value=p_value,
        )

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

"""Who classifies curves in `saxs_classifier`: the classifier that is judged, and the baselines beside it.

All of them see the same curves on the same grid, and say probabilities of the same classes.

``shipped``
    The classifier that is judged; its card says how many curves it was trained on.
``ours``
    The same, trained anew by `beamloop train saxs` on as many curves as the baselines.
``cnn``
    One network with the same trunk, augmentation and loss: no posterior, no temperature, no other networks. The
    networks of the ensemble serve as so many of it; figures are means over them.
``ensemble``
    Mean of the softmax of several such networks (Lakshminarayanan et al., 2017, arXiv:1612.01474).
``tree``
    scikit-learn's gradient-boosted trees on `saxs_invariants`.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import torch
from saxs_invariants import invariants
from saxs_sets import CONFIGS, Labelled
from sklearn.ensemble import HistGradientBoostingClassifier

import surrogates.saxs
from loop.commands.train import train_saxs
from surrogates.networks import NetworkEnsemble
from surrogates.saxs.curves import Floats, GriddedCurves, QGrid
from surrogates.saxs.features import Encoder
from surrogates.saxs.model import SaxsClassifier
from surrogates.saxs.training import Training, train_trunks

_CHUNK = 2048
_TRUNK = ("scale", "channels", "kernel", "pool", "hidden", "epochs", "batch_size", "lr")
"""Settings of the judged classifier that the networks of the baselines share."""


@dataclass(frozen=True, eq=False)
class Answer:
    """What a contestant says of curves."""

    probability: list[Floats]
    """``(n, classes)`` each: of one classifier, or of several whose figures are averaged."""
    novelty: Floats | None = None
    """``(n,)``, larger is stranger; where there is none, the entropy of the probabilities stands for it."""
    p_value: Floats | None = None
    """``(n,)`` of being like training."""


class Contestant(Protocol):
    """Somebody who classifies."""

    def __call__(self, curves: GriddedCurves) -> Answer:
        """Classify curves."""
        ...


@dataclass(frozen=True, eq=False)
class Ours:
    """A `SaxsClassifier`."""

    model: SaxsClassifier

    def __call__(self, curves: GriddedCurves) -> Answer:
        """See `Contestant`."""
        found = self.model.classify(curves)
        return Answer([found.probability], found.novelty, found.p_value)


@dataclass(frozen=True, eq=False)
class Networks:
    """Trained networks and nothing else."""

    encoder: Encoder
    networks: NetworkEnsemble
    together: bool
    """Whether to average their softmax; otherwise each is a classifier of its own."""

    @torch.no_grad()
    def __call__(self, curves: GriddedCurves) -> Answer:
        """See `Contestant`."""
        parts = [
            self.networks(self.encoder(curves[start : start + _CHUNK])).softmax(-1)
            for start in range(0, len(curves), _CHUNK)
        ]
        single = torch.cat(parts, 1).double().numpy()
        return Answer([single.mean(0)] if self.together else list(single))


@dataclass(frozen=True, eq=False)
class Tree:
    """Boosted trees on invariants."""

    trees: HistGradientBoostingClassifier
    grid: QGrid

    def __call__(self, curves: GriddedCurves) -> Answer:
        """See `Contestant`."""
        return Answer([self.trees.predict_proba(invariants(curves, self.grid))])


def trunk_settings(card: Mapping[str, Any], grid: QGrid, members: int, seed: int) -> Training:
    """Return how the networks of the baselines are trained: as those of the judged classifier."""
    given = {name: value for name, value in card["training"].items() if name in _TRUNK}
    given = {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}
    known = {field.name for field in fields(Training)}
    return replace(Training(), **{k: v for k, v in given.items() if k in known}, grid=grid, members=members, seed=seed)


class Trained:
    """Baselines, each trained when it is first asked for, on the same curves.

    Parameters
    ----------
    model
        The judged classifier: its grid, classes and settings are those of the baselines.
    train
        Curves of its classes.
    folder
        The data set that they are from, curves of no class included: for ``ours``.
    work
        Where ``ours`` is written.
    members
        Networks of the ensemble.
    """

    def __init__(self, model: SaxsClassifier, train: Labelled, folder: Path, work: Path, members: int) -> None:
        self._model, self._train, self._folder, self._work = model, train, folder, work
        self._settings = trunk_settings(model.card, model.grid, members, seed=17)

    def get(self, name: str) -> Contestant:
        """Return a contestant by its name."""
        if name == "ours":
            return Ours(self._ours)
        if name == "tree":
            return Tree(self._trees, self._model.grid)
        encoder, networks = self._networks
        return Networks(encoder, networks, together=name == "ensemble")

    @cached_property
    def _networks(self) -> tuple[Encoder, NetworkEnsemble]:
        began = time.perf_counter()
        encoder = Encoder.fit(self._train.curves, self._settings.scale)
        networks = train_trunks(self._train.curves, self._train.label, encoder, len(self._train.names), self._settings)
        _say(f"{self._settings.members} networks", len(self._train.label), began)
        return encoder, networks

    @cached_property
    def _trees(self) -> HistGradientBoostingClassifier:
        began = time.perf_counter()
        trees = HistGradientBoostingClassifier(
            max_iter=500,
            learning_rate=0.1,
            l2_regularization=1.0,
            early_stopping=True,
            n_iter_no_change=15,
            random_state=0,
        )
        trees.fit(invariants(self._train.curves, self._model.grid), self._train.label)
        _say(f"boosted trees ({trees.n_iter_} rounds)", len(self._train.label), began)
        return trees

    @cached_property
    def _ours(self) -> SaxsClassifier:
        began = time.perf_counter()
        output = self._work / "ours"
        settings = [f"data={self._folder}", f"output={output}"]
        train_saxs(CONFIGS / "train_saxs.yaml", settings, force=True, quiet=True)
        _say("our classifier", len(self._train.label), began)
        return SaxsClassifier.load(output)


def identity(name: str, path: Path, model: SaxsClassifier, members: int) -> dict[str, Any]:
    """Return what the figures of a contestant depend on, beside the curves, for the keys of results."""
    saxs, here = Path(surrogates.saxs.__path__[0]), Path(__file__).parent
    scored = [here / "saxs_scores.py", here / "saxs_contestants.py"]
    if name == "shipped":
        own = [path.with_name(_plain(path).name + ".safetensors"), *saxs.glob("*.py")]
        return {"files": _hash(*own, *scored)}
    if name == "ours":
        return {"files": _hash(CONFIGS / "train_saxs.yaml", *saxs.glob("*.py"), *scored)}
    if name == "tree":
        return {"files": _hash(here / "saxs_invariants.py", saxs / "curves.py", *scored), "grid": str(model.grid)}
    used = (saxs / f"{part}.py" for part in ("training", "augment", "features", "curves"))
    return {"files": _hash(*used, *scored), "settings": str(trunk_settings(model.card, model.grid, members, seed=17))}


def _hash(*paths: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(paths):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()[:12]


def _plain(path: Path) -> Path:
    return path.with_suffix("") if path.suffix in (".json", ".safetensors") else path


def _say(what: str, curves: int, began: float) -> None:
    print(f"Trained {what} on {curves:,} curves in {time.perf_counter() - began:.0f} s", flush=True)


def curves_of(card: Mapping[str, Any]) -> int | None:
    """Curves that a classifier was made from, curves of no class included."""
    found = card.get("data", {}).get("curves")
    return None if found is None else int(found)

"""Mesophase labels of measured curves, from few: the pretrained trunk against methods that know nothing of it.

`saxs_mesoporous_silica` has 45 labelled samples, two of the rarest class, each measured by two instruments. Every
method sees the same curves on the same grid; labels are predicted by stratified cross-validation, all folds of a repeat
are judged together by balanced accuracy (mean recall over the classes: chance is one over their number).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from saxs_invariants import invariants
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from surrogates.saxs.curves import GriddedCurves
from surrogates.saxs.features import level_and_precision
from surrogates.saxs.fewshot import FewShot
from surrogates.saxs.model import SaxsClassifier

Method = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Rows to learn from and rows to label -> names."""
FOLDS = 5
METHODS = {
    "fewshot": "few-shot on the pretrained trunk",
    "nearest_neighbour": "nearest neighbour, log curves",
    "three_neighbours": "three nearest neighbours, log curves",
    "boosted_tree": "boosted trees, log curves",
    "boosted_tree_invariants": "boosted trees, invariants",
    "regression": "logistic regression, log curves",
}


def balanced_accuracies(
    model: SaxsClassifier, curves: GriddedCurves, labels: np.ndarray, repeats: int
) -> dict[str, dict[str, float]]:
    """Cross-validate all methods.

    Returns
    -------
    dict
        By method: ``mean`` and ``sd`` over repeats of the balanced accuracy, and ``se``, what another sample of as many
        curves might differ by (binomial, from the recall of each class).
    """
    rare = [name for name in np.unique(labels) if np.sum(labels == name) < 2]
    kept = np.flatnonzero(~np.isin(labels, rare))
    curves, labels = curves[kept], labels[kept]
    found = {}
    for name, method in _methods(model, curves, labels).items():
        recalls = np.stack([_recalls(method, labels, seed) for seed in range(repeats)])
        mean = recalls.mean(0)
        count = np.array([np.sum(labels == name) for name in np.unique(labels)])
        # A recall of 0 or 1 of two curves is no certainty: half a curve is added on both sides.
        smooth = (mean * count + 0.5) / (count + 1)
        found[name] = {
            "mean": round(float(mean.mean()), 3),
            "sd": round(float(recalls.mean(1).std()), 3),
            "se": round(float(np.sqrt((smooth * (1 - smooth) / count).sum()) / len(count)), 3),
        }
    return found


def _methods(model: SaxsClassifier, curves: GriddedCurves, labels: np.ndarray) -> dict[str, Method]:
    level, _ = level_and_precision(curves, "absolute")
    features = invariants(curves, model.grid)

    def fewshot(train: np.ndarray, test: np.ndarray) -> np.ndarray:
        learnt = FewShot.fit(model, curves[train], list(labels[train]))
        return np.array(learnt.predict(curves[test], balanced=True))

    def by(make: Callable[[], Any], X: np.ndarray) -> Method:
        def method(train: np.ndarray, test: np.ndarray) -> np.ndarray:
            # scikit-learn's trees refuse columns without a number.
            used = np.isfinite(X[train]).any(0)
            return np.asarray(make().fit(X[train][:, used], labels[train]).predict(X[test][:, used]))

        return method

    def neighbours(k: int) -> Any:
        return make_pipeline(StandardScaler(), KNeighborsClassifier(k))

    def tree() -> Any:
        return HistGradientBoostingClassifier(
            max_iter=60, min_samples_leaf=2, class_weight="balanced", early_stopping=False, random_state=0
        )

    def regression() -> Any:
        return make_pipeline(StandardScaler(), LogisticRegression(C=0.1, class_weight="balanced", max_iter=3000))

    return {
        "fewshot": fewshot,
        "nearest_neighbour": by(lambda: neighbours(1), level),
        "three_neighbours": by(lambda: neighbours(3), level),
        "boosted_tree": by(tree, level),
        "boosted_tree_invariants": by(tree, features),
        "regression": by(regression, level),
    }


def _recalls(method: Method, labels: np.ndarray, seed: int) -> np.ndarray:
    """Recall of each class, all folds together."""
    found = np.empty(len(labels), dtype=object)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The least populated class")
        folds = list(StratifiedKFold(FOLDS, shuffle=True, random_state=seed).split(labels, labels))
    for train, test in folds:
        found[test] = method(train, test)
    return np.array([np.mean(found[labels == name] == name) for name in np.unique(labels)])

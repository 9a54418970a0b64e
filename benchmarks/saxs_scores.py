"""How contestants of `saxs_classifier` are scored at one dose: classes, calibration, novelty, false alarms."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from saxs_contestants import Answer, Contestant
from saxs_sets import Labelled
from sklearn.metrics import roc_auc_score, roc_curve

from surrogates.saxs.curves import Floats
from surrogates.saxs.metrics import summary

ALPHA = 0.05
FPR = np.concatenate([[0.0], np.geomspace(1e-3, 1.0, 40)])
"""False positive rates that ROC curves are kept at."""
RELIABILITY_BINS = 15


def judged(contestant: Contestant, test: Labelled, same: Labelled, novelty: Labelled) -> dict[str, Any]:
    """Return all figures of one contestant at one dose.

    Parameters
    ----------
    test
        Known kinds that classes are judged by.
    same
        Known kinds as in training, which novelty is measured against.
    novelty
        What training never saw.
    """
    on_test, on_same, on_novel = (contestant(part.curves) for part in (test, same, novelty))
    found: dict[str, Any] = {
        "wide": _classes(on_test, test),
        "same": _classes(on_same, same, curves=False),
        "novelty": _novelty(_strangeness(on_same), _strangeness(on_novel), novelty),
    }
    if on_test.p_value is not None and on_same.p_value is not None and on_novel.p_value is not None:
        found["false_alarm"] = share(on_same.p_value <= ALPHA)
        found["wide_flagged"] = share(on_test.p_value <= ALPHA)
        found["flagged"] = {
            name: float(np.mean(on_novel.p_value[novelty.label == k] <= ALPHA)) for k, name in enumerate(novelty.names)
        }
        found["false_alarm_by_class"] = {
            name: float(np.mean(on_same.p_value[same.label == k] <= ALPHA)) for k, name in enumerate(same.names)
        }
    return found


def share(flags: np.ndarray) -> dict[str, float]:
    """Return a share and its binomial standard error."""
    value = float(np.mean(flags))
    return {"share": value, "se": math.sqrt(max(value * (1 - value), 1e-12) / len(flags))}


def _classes(answer: Answer, data: Labelled, *, curves: bool = True) -> dict[str, Any]:
    """Accuracy and so on, with the spread over single networks; ROC and reliability curves of the first."""
    each = [summary(p, data.label) for p in answer.probability]
    found: dict[str, Any] = {key: float(np.mean([one[key] for one in each])) for key in each[0]}
    if len(each) > 1:
        found["sd"] = {
            key: float(np.std([one[key] for one in each], ddof=1)) for key in ("accuracy", "macro_f1", "ece")
        }
    p = answer.probability[0]
    found["auroc"] = {name: float(roc_auc_score(data.label == k, p[:, k])) for k, name in enumerate(data.names)}
    predicted = p.argmax(1)
    found["recall"] = {name: float(np.mean(predicted[data.label == k] == k)) for k, name in enumerate(data.names)}
    if curves:
        found["roc"] = {name: _roc(data.label == k, p[:, k]) for k, name in enumerate(data.names)}
        found["reliability"] = _reliability(p, data.label)
    return found


def _strangeness(answer: Answer) -> Floats:
    if answer.novelty is not None:
        return answer.novelty
    p = answer.probability[0]
    return -(p * np.log(np.maximum(p, 1e-30))).sum(1)


def _novelty(known: Floats, strange: Floats, data: Labelled) -> dict[str, Any]:
    auroc, roc = {}, {}
    for k, name in enumerate(data.names):
        own = strange[data.label == k]
        truth = np.concatenate([np.zeros(len(known), bool), np.ones(len(own), bool)])
        score = np.concatenate([known, own])
        auroc[name], roc[name] = float(roc_auc_score(truth, score)), _roc(truth, score)
    return {"auroc": auroc, "mean": float(np.mean(list(auroc.values()))), "roc": roc}


def _roc(truth: np.ndarray, score: Floats) -> list[float]:
    """Return true positive rates at `FPR`."""
    false, true, _ = roc_curve(truth, score)
    return [round(float(value), 5) for value in np.interp(FPR, false, true)]


def _reliability(p: Floats, labels: np.ndarray) -> list[list[float]]:
    """Mean confidence, accuracy and number of curves of each bin of confidence that holds any."""
    confidence, right = p.max(1), p.argmax(1) == labels
    which = np.minimum((confidence * RELIABILITY_BINS).astype(int), RELIABILITY_BINS - 1)
    return [
        [float(confidence[which == b].mean()), float(right[which == b].mean()), int((which == b).sum())]
        for b in np.unique(which)
    ]

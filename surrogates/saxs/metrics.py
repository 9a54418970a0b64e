"""How good probabilities of classes are."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from surrogates.saxs.curves import Floats


def expected_calibration_error(probability: Floats, labels: np.ndarray, bins: int = 15) -> float:
    """Mean distance of confidence and accuracy over bins of equal width of the confidence, weighed by their curves.

    Guo et al., 2017, arXiv:1706.04599, eq. 5.
    """
    confidence, right = probability.max(1), probability.argmax(1) == labels
    which = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = np.bincount(which, confidence - right, bins)
    return float(np.abs(gaps).sum() / len(labels))


def macro_f1(labels: np.ndarray, predicted: np.ndarray, classes: int) -> float:
    """Mean over classes of the harmonic mean of precision and recall."""
    scores = []
    for c in range(classes):
        both = np.sum((labels == c) & (predicted == c))
        scores.append(2 * both / max(np.sum(labels == c) + np.sum(predicted == c), 1))
    return float(np.mean(scores))


def summary(probability: Floats, labels: np.ndarray) -> dict[str, Any]:
    """Accuracy, macro F1, ECE, and mean negative log-probability of the labels."""
    predicted = probability.argmax(1)
    picked = probability[np.arange(len(labels)), labels]
    return {
        "curves": len(labels),
        "accuracy": float(np.mean(predicted == labels)),
        "macro_f1": macro_f1(labels, predicted, probability.shape[1]),
        "ece": expected_calibration_error(probability, labels),
        "nlp": float(-np.log(np.maximum(picked, 1e-12)).mean()),
    }


def best_temperature(logits: Tensor, labels: Tensor) -> float:
    """Find the divisor of the logits that makes the labels most probable.

    Parameters
    ----------
    logits
        ``(G, draws, n, classes)``; probabilities are means over the first two.
    labels
        ``(n,)``.
    """
    rows = slice(0, 4000)  # one number
    drawn, wanted = logits[:, :, rows].flatten(0, 1).double(), labels[rows]

    def loss(log_temperature: float) -> float:
        p = torch.softmax(drawn / np.exp(log_temperature), -1).mean(0)
        return float(-p.gather(-1, wanted.unsqueeze(-1)).clamp_min(1e-300).log().mean())

    from scipy.optimize import minimize_scalar

    found = minimize_scalar(loss, bounds=(np.log(0.2), np.log(5.0)), method="bounded", options={"xatol": 1e-3})
    return float(np.exp(found.x))

"""The figure of `saxs_classifier`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from saxs_scores import FPR

mpl.use("Agg")

LABELS = {
    "shipped": "this classifier",
    "ours": "this classifier, same curves",
    "cnn": "plain CNN",
    "ensemble": "deep ensemble",
    "tree": "boosted trees on invariants",
}
_COLOURS = {"shipped": "C0", "ours": "C1", "cnn": "C2", "ensemble": "C3", "tree": "C4"}
_REFERENCE = 1.0

Cells = Mapping[str, Mapping[float, Mapping[str, Any]]]
"""Contestant -> dose -> figures of `saxs_scores.judged`."""


def save_figure(path: Path, cells: Cells, classes: Sequence[str]) -> None:
    """Draw figures against dose, ROC curves of classes and of novelty, and reliability."""
    import matplotlib.pyplot as plt

    rows = 2 + -(-len(classes) // 4)
    figure, axes = plt.subplots(rows, 4, figsize=(17, 4.1 * rows), layout="constrained")
    doses = sorted(cells["shipped"])
    for ax, (key, title) in zip(
        axes[0], (("accuracy", "accuracy"), ("macro_f1", "macro F1"), ("ece", "calibration error (ECE)")), strict=False
    ):
        for name, by_dose in cells.items():
            own = sorted(by_dose)
            ax.plot(own, [by_dose[d]["wide"][key] for d in own], "o-", ms=4, color=_COLOURS[name], label=LABELS[name])
        shipped = cells["shipped"]
        ax.plot(doses, [shipped[d]["same"][key] for d in doses], "--", color="C0", label="… training's own ranges")
        if key == "ece":
            ax.axhline(0.02, color="0.6", lw=0.8, ls=":")
            ax.set_ylim(0, None)
        _against_dose(ax, title)
    axes[0, 0].legend(fontsize=8, loc="lower right")
    _reliability(axes[0, 3], cells["shipped"])
    for ax, name in zip(axes[1 : rows - 1].flat, classes, strict=False):
        for k, dose in enumerate(doses):
            found = cells["shipped"][dose]["wide"]
            label = f"{dose:g} s: {found['auroc'][name]:.4f}"
            ax.plot(FPR, found["roc"][name], color=_shade(k, len(doses)), label=label)
        _roc_axes(ax, f"{name.replace('_', ' ')} against the others (area)")
    for ax in axes[1 : rows - 1].flat[len(classes) :]:
        ax.axis("off")
    _novelty(axes[-1], cells, doses)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _novelty(axes: Any, cells: Cells, doses: Sequence[float]) -> None:
    shipped = cells["shipped"]
    reference = min(doses, key=lambda dose: abs(dose - _REFERENCE))
    found = shipped[reference]["novelty"]
    for name, curve in found["roc"].items():
        axes[0].plot(FPR, curve, label=f"{name.replace('_', ' ')}: {found['auroc'][name]:.3f}")
    _roc_axes(axes[0], f"novelty at {reference:g} s, mean area {found['mean']:.3f}")
    for name in found["auroc"]:
        axes[1].plot(doses, [shipped[d]["novelty"]["auroc"][name] for d in doses], "o-", ms=4, lw=1)
    axes[1].plot(doses, [shipped[d]["novelty"]["mean"] for d in doses], "k-", lw=2, label="mean")
    axes[1].axhline(0.95, color="0.6", lw=0.8, ls=":")
    axes[1].legend(fontsize=8)
    _against_dose(axes[1], "area under the ROC of novelty, by family")
    for name, by_dose in cells.items():
        own = sorted(by_dose)
        axes[2].plot(
            own, [by_dose[d]["novelty"]["mean"] for d in own], "o-", ms=4, color=_COLOURS[name], label=LABELS[name]
        )
    axes[2].set_ylim(None, 1.0)
    _against_dose(axes[2], "mean area; baselines: entropy")
    for key, label in (("false_alarm", "training's ranges"), ("wide_flagged", "ranges wider by 10 %")):
        axes[3].errorbar(
            doses,
            [shipped[d][key]["share"] for d in doses],
            [shipped[d][key]["se"] for d in doses],
            fmt="o-",
            ms=4,
            capsize=2,
            label=label,
        )
    axes[3].axhspan(0.04, 0.06, color="0.9")
    axes[3].axhline(0.05, color="0.6", lw=0.8, ls=":")
    axes[3].set_ylim(0, None)
    axes[3].legend(fontsize=8)
    _against_dose(axes[3], "known kinds with p ≤ 0.05")


def _reliability(ax: Any, shipped: Mapping[float, Mapping[str, Any]]) -> None:
    doses = sorted(shipped)
    ax.plot([0, 1], [0, 1], color="0.7", lw=0.8)
    for k, dose in enumerate(doses):
        # Bins of a few curves say nothing.
        points = [p for p in shipped[dose]["wide"]["reliability"] if p[2] >= 50]
        ax.plot(
            [p[0] for p in points], [p[1] for p in points], "o-", ms=3, color=_shade(k, len(doses)), label=f"{dose:g} s"
        )
    ax.set(title="reliability", xlabel="confidence", ylabel="accuracy", xlim=(0.25, 1.01), ylim=(0.25, 1.01))
    ax.legend(fontsize=8)


def _against_dose(ax: Any, title: str) -> None:
    ax.set(xscale="log", title=title, xlabel="exposure (s)")
    ax.axvline(_REFERENCE, color="0.85", lw=4, zorder=0)
    ax.grid(alpha=0.3)


def _roc_axes(ax: Any, title: str) -> None:
    ax.set(
        xscale="log",
        title=title,
        xlabel="false positive rate",
        ylabel="true positive rate",
        xlim=(1e-3, 1),
        ylim=(0, 1.02),
    )
    ax.grid(alpha=0.3)
    ax.legend(fontsize=8, loc="lower right")


def _shade(k: int, of: int) -> Any:
    return mpl.colormaps["viridis"](0.9 * k / max(of - 1, 1))

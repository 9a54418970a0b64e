"""The map learned over a pool of samples."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from loop.findings.records import Findings, Reference
from loop.records import Status
from loop.report.maps import line
from loop.report.style import MODEL, POINT, TRUTH, VALUES, Picture, canvas, render
from loop.wording import label


def pool_pictures(findings: Findings) -> Iterator[Picture]:
    """One feature: a line. Several: predicted against recorded, and the samples in the plane of two of them."""
    reference = findings.reference
    if reference is None or reference.kind != "pool":
        return
    if len(reference.axes) == 1:
        yield line(findings, reference)
        return
    if reference.truth is not None:
        yield parity(findings, reference)
    yield plane(findings, reference)


def parity(findings: Findings, reference: Reference) -> Picture:
    """Belief against truth, sample by sample."""
    assert reference.truth is not None  # noqa: S101  (the caller asked)
    figure, ax = canvas(6.4, 5.4)
    known = np.isfinite(reference.truth)
    truth, mean, sd = reference.truth[known], reference.mean[known], reference.sd[known]
    ax.errorbar(truth, mean, yerr=1.96 * sd, fmt="o", ms=4, color=MODEL, ecolor="#9CC3DD", elinewidth=0.8, alpha=0.8)
    ends = [min(truth.min(), mean.min()), max(truth.max(), mean.max())]
    ax.plot(ends, ends, color=TRUTH, lw=1, ls="--", zorder=0, label="equal")
    name = label(findings.setting.observable, findings.setting.unit)
    ax.set_xlabel(f"recorded {name}")
    ax.set_ylabel(f"believed {name}")
    ax.legend(loc="upper left")
    return render(
        "parity",
        f"Final belief (mean, 95 % band without measurement noise) against the recorded value, all {known.sum()} "
        "samples that have one, measured or not. Where the campaign did not look, the model need not know.",
        figure,
    )


def plane(findings: Findings, reference: Reference) -> Picture:
    """Show the samples in a plane: the two features themselves, or the two principal components of more."""
    columns = np.stack([axis.values for axis in reference.axes], axis=1)
    names = [label(axis.name, axis.unit) for axis in reference.axes]
    note = ""
    spread = columns.std(axis=0)
    scaled = (columns - columns.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    rotation = np.eye(columns.shape[1])
    if columns.shape[1] > 2:
        _, strengths, rotation = np.linalg.svd(scaled, full_matrices=False)
        share = strengths[:2] ** 2 / np.sum(strengths**2)
        names = [f"principal component {i + 1} ({100 * s:.0f} %)" for i, s in enumerate(share)]
        note = " The plane is that of the two principal components of the standardised features."

    def place(values: np.ndarray) -> np.ndarray:
        if columns.shape[1] == 2:
            return values
        return ((values - columns.mean(axis=0)) / np.where(spread > 0, spread, 1.0)) @ rotation[:2].T

    figure, ax = canvas(6.4, 5.2)
    x, y = place(columns).T
    colours = ax.scatter(x, y, c=reference.mean, cmap=VALUES, s=26, lw=0, alpha=0.9)
    bar = figure.colorbar(colours, ax=ax, pad=0.02)
    bar.set_label(f"believed {label(findings.setting.observable, findings.setting.unit)}")
    bar.outline.set_visible(False)
    axes = [axis.name for axis in reference.axes]
    measured = [
        [float(row.point[name]) for name in axes]
        for row in findings.points
        if row.status is Status.MEASURED and all(not isinstance(row.point.get(name, ""), str) for name in axes)
    ]
    if measured:
        x, y = place(np.array(measured)).T
        ax.scatter(x, y, s=70, facecolors="none", edgecolors="#222222", lw=1, label="measured")
    search = findings.search
    if search is not None and all(not isinstance(search.best_point.get(name, ""), str) for name in axes):
        x, y = place(np.array([[float(search.best_point[name]) for name in axes]])).T
        ax.scatter(x, y, s=220, marker="*", c=POINT, edgecolors="white", lw=0.8, label="best measured", zorder=5)
    ax.set_xlabel(names[0])
    ax.set_ylabel(names[1])
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.13), ncols=2)
    return render("pool", f"All samples of the pool, coloured by the model's mean.{note}", figure)

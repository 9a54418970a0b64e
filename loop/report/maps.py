"""The map learned over a box: lines, grids and slices."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from loop.findings.records import Axis, Findings, PointRow, Reference
from loop.records import Origin, Status
from loop.report.style import BAD, DIFFERENCE, MODEL, POINT, TRUTH, UNCERTAINTY, VALUES, WIDE, Picture, canvas, render
from loop.wording import label, number, quantity

_NUMBERED = 80
"""More points than this are not numbered: the numbers would hide the map."""


def map_pictures(findings: Findings) -> Iterator[Picture]:
    """Draw whatever fits the space's dimension."""
    reference = findings.reference
    if reference is None:
        return
    if reference.kind == "line":
        yield line(findings, reference)
    elif reference.kind == "grid":
        yield from grid(findings, reference)
    elif reference.kind == "slices":
        yield from slices(findings, reference)


def line(findings: Findings, reference: Reference) -> Picture:
    """One dimension: mean, band, truth and points. Also used for a pool with one feature."""
    axis = reference.axes[0]
    figure, ax = canvas(WIDE, 4.4)
    order = np.argsort(axis.values, kind="stable")
    x, mean, sd = axis.values[order], reference.mean[order], reference.sd[order]
    ax.fill_between(x, mean - 1.96 * sd, mean + 1.96 * sd, color=MODEL, alpha=0.2, lw=0, label="95 % belief")
    ax.plot(x, mean, color=MODEL, label="model")
    if reference.truth is not None:
        known = np.isfinite(reference.truth[order])
        style: dict[str, Any] = (
            {"marker": ".", "ls": "none", "ms": 5} if reference.kind == "pool" else {"ls": "--", "lw": 1.2}
        )
        name = "recorded" if reference.kind == "pool" else "truth"
        ax.plot(x[known], reference.truth[order][known], color=TRUTH, label=name, **style)
    rows = _good(findings, [axis])
    if rows:
        values = [row.measured or 0.0 for row in rows]
        places = [float(row.point[axis.name]) for row in rows]
        errors = [row.measured_sd or 0.0 for row in rows]
        ax.errorbar(places, values, yerr=errors, fmt="o", ms=6, color=POINT, mec="white", label="measured", zorder=4)
        for row, place, value in zip(rows, places, values, strict=True):
            if len(rows) <= _NUMBERED // 2:
                ax.annotate(
                    str(row.iteration), (place, value), (0, 6), textcoords="offset points", ha="center", fontsize=7.5
                )
    lost = [float(row.point[axis.name]) for row in _lost(findings, [axis])]
    if lost:
        ax.plot(lost, [0.02] * len(lost), "x", color=BAD, transform=ax.get_xaxis_transform(), label="refused or failed")
    _name_axes(ax, axis, label(findings.setting.observable, findings.setting.unit))
    ax.legend(loc="best", ncols=2)
    return render(
        "map",
        "Final belief about the map: mean and 95 % band of the model, without the noise of a measurement. "
        "Numbers give the order of the points.",
        figure,
        wide=True,
    )


def grid(findings: Findings, reference: Reference) -> Iterator[Picture]:
    """Two dimensions: mean, uncertainty, truth and difference."""
    unit, observable = findings.setting.unit, label(findings.setting.observable)
    shown = [reference.mean] if reference.truth is None else [reference.mean, reference.truth]
    low, high = min(np.nanmin(a) for a in shown), max(np.nanmax(a) for a in shown)
    figure, ax = _panel(reference, reference.mean, VALUES, low, high, label(observable, unit), contours=True)
    _points(ax, findings, reference, numbered=True)
    ax.set_title("Map learned")
    followed = any(row.origin is Origin.REACTION for row in findings.points)
    yield render(
        "map_mean",
        "The model's mean after the last point. Numbers give the order of the points: squares are the initial ones, "
        f"circles the model's own choice, {'diamonds follow from a reaction, ' if followed else ''}"
        "crosses were refused or failed.",
        figure,
    )
    figure, ax = _panel(reference, reference.sd, UNCERTAINTY, 0.0, np.nanmax(reference.sd), label("sd", unit))
    _points(ax, findings, reference, numbered=False)
    ax.set_title("Uncertainty")
    yield render("map_uncertainty", "Standard deviation of the map itself, without the noise of a measurement.", figure)
    if reference.truth is None:
        return
    figure, ax = _panel(reference, reference.truth, VALUES, low, high, label(observable, unit), contours=True)
    ax.set_title("Truth")
    yield render("map_truth", "What the simulator knows, on the same scale of colours as the map learned.", figure)
    difference = reference.mean - reference.truth
    worst = float(np.nanmax(np.abs(difference))) or 1.0
    figure, ax = _panel(reference, difference, DIFFERENCE, -worst, worst, label("map − truth", unit))
    _points(ax, findings, reference, numbered=False)
    ax.set_title("Difference")
    error = quantity(number(reference.rmse, 3), unit)
    inside = np.abs(difference) <= 1.96 * reference.sd
    share = float(np.mean(inside[np.isfinite(difference)]))
    yield render(
        "map_difference",
        f"Map learned minus truth; root-mean-square error {error}. The truth lies inside the map's 95 % band "
        f"over {100 * share:.0f} % of the area.",
        figure,
    )


def slices(findings: Findings, reference: Reference) -> Iterator[Picture]:
    """Three dimensions and more: one line per parameter through one point."""
    setting = findings.setting
    through = reference.through or {}
    spread = [reference.mean - 1.96 * reference.sd, reference.mean + 1.96 * reference.sd]
    spread += [] if reference.truth is None else [reference.truth]
    low, high = min(np.nanmin(a) for a in spread), max(np.nanmax(a) for a in spread)
    margin = 0.04 * (high - low or 1.0)
    for k, axis in enumerate(reference.axes):
        figure, ax = canvas()
        x, mean, sd = axis.values, reference.mean[k], reference.sd[k]
        ax.fill_between(x, mean - 1.96 * sd, mean + 1.96 * sd, color=MODEL, alpha=0.2, lw=0, label="95 % belief")
        ax.plot(x, mean, color=MODEL, label="model")
        if reference.truth is not None:
            ax.plot(x, reference.truth[k], color=TRUTH, ls="--", lw=1.2, label="truth")
        if axis.name in through:
            ax.axvline(float(through[axis.name]), color=POINT, lw=1, ls=":")
        ax.set_ylim(low - margin, high + margin)
        _name_axes(ax, axis, label(setting.observable, setting.unit))
        if k == 0:
            ax.legend(loc="best")
        others = ", ".join(
            f"{label(a.name)} = {quantity(number(through.get(a.name)), a.unit)}"
            for a in reference.axes
            if a.name != axis.name
        )
        yield render(f"slice_{k + 1}", f"Slice along {label(axis.name)} at {others}.", figure)


def _panel(
    reference: Reference,
    values: np.ndarray,
    colours: str,
    low: float,
    high: float,
    name: str,
    *,
    contours: bool = False,
) -> tuple[Figure, Axes]:
    figure, ax = canvas(6.4, 5.0)
    # All panels of a map get axes of one size, so that the eye can compare them.
    figure.set_layout_engine("none")
    ax.set_position((0.115, 0.115, 0.70, 0.81))
    first, second = reference.axes
    smooth: Literal["gouraud", "nearest"] = "gouraud" if np.isfinite(values).all() else "nearest"
    mesh = ax.pcolormesh(first.values, second.values, values, cmap=colours, vmin=low, vmax=high, shading=smooth)
    if contours and high > low and np.isfinite(values).all():
        ax.contour(first.values, second.values, values, levels=8, colors="white", linewidths=0.5, alpha=0.6)
    bar = figure.colorbar(mesh, cax=figure.add_axes((0.835, 0.115, 0.03, 0.81)))
    bar.set_label(name)
    bar.outline.set_visible(False)
    _name_axes(ax, first, label(second.name, second.unit))
    if second.log:
        ax.set_yscale("log")
    ax.set_xlim(first.values.min(), first.values.max())
    ax.set_ylim(second.values.min(), second.values.max())
    for spine in ax.spines.values():
        spine.set_visible(False)
    return figure, ax


def _points(ax: Axes, findings: Findings, reference: Reference, *, numbered: bool) -> None:
    axes = list(reference.axes)
    rows = _good(findings, axes)
    few = numbered and len(rows) <= _NUMBERED
    # One measured again keeps its first number.
    first = list({tuple(row.point.items()): row for row in reversed(rows)}.values())[::-1]
    markers = {Origin.INITIAL: "s", Origin.REACTION: "D"}
    for marker in ("s", "o", "D"):
        chosen = [row for row in first if markers.get(row.origin, "o") == marker]
        x, y = ([float(row.point[axis.name]) for row in chosen] for axis in axes)
        size = 120 if few else 16
        ax.scatter(
            x, y, s=size, marker=marker, c="white", edgecolors="#222222", linewidths=0.7, alpha=0.9, clip_on=False
        )
        for row, a, b in zip(chosen, x, y, strict=True):
            if few:
                ax.text(a, b, str(row.iteration), fontsize=6.5, ha="center", va="center_baseline", color="#111111")
    lost = _lost(findings, axes)
    x, y = ([float(row.point[axis.name]) for row in lost] for axis in axes)
    crosses = ax.scatter(x, y, s=50, marker="x", c=BAD, linewidths=1.8, clip_on=False)
    crosses.set_path_effects([withStroke(linewidth=3.2, foreground="white")])


def _good(findings: Findings, axes: list[Axis]) -> list[PointRow]:
    return [
        row
        for row in findings.points
        if row.status is Status.MEASURED and row.measured is not None and _placed(row, axes)
    ]


def _lost(findings: Findings, axes: list[Axis]) -> list[PointRow]:
    return [r for r in findings.points if r.status in (Status.REJECTED, Status.FAILED) and _placed(r, axes)]


def _placed(row: PointRow, axes: list[Axis]) -> bool:
    return all(not isinstance(row.point.get(axis.name, ""), str) for axis in axes)


def _name_axes(ax: Axes, axis: Axis, vertical: str) -> None:
    ax.set_xlabel(label(axis.name, axis.unit))
    ax.set_ylabel(vertical)
    if axis.log:
        ax.set_xscale("log")

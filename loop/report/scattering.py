"""Scattering curves with their error bars."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from matplotlib.axes import Axes

from loop.findings.records import CurveData, Findings, PointRow
from loop.report.style import MODEL, POINT, RANDOM, TRUTH, WIDE, Picture, canvas, render
from loop.wording import label, number, quantity, with_error


def surprise_pictures(findings: Findings) -> Iterator[Picture]:
    """Draw each surprising curve beside its nearest neighbour's."""
    setting = findings.setting
    for rank, surprise in enumerate(findings.surprises, start=1):
        if surprise.curve is None:
            continue
        figure, ax = canvas()
        if surprise.neighbour_curve is not None and surprise.neighbour is not None:
            name = f"nearest neighbour, point {surprise.neighbour.iteration}"
            _curve(ax, surprise.neighbour_curve, RANDOM, name)
        row = surprise.row
        _curve(ax, surprise.curve, POINT, f"point {row.iteration}")
        _name_axes(ax, findings)
        verdict = "" if abs(row.pull or 0.0) > 2 else ", as expected"
        ax.set_title(f"Point {row.iteration}: pull {row.pull or 0.0:+.1f} sd{verdict}".replace("-", "−"))
        ax.legend(loc="best")
        predicted = quantity(with_error(row.predicted, row.predicted_sd), setting.unit)
        measured = quantity(with_error(row.measured, row.measured_sd), setting.unit)
        yield render(
            f"surprise_{rank}",
            f"{_place(row, findings)}: {label(setting.observable)} {predicted} expected, {measured} measured.",
            figure,
        )


def best_picture(findings: Findings) -> Picture | None:
    """Draw the best curves, over the target if there is one."""
    curves = [(s.row, s.curve) for s in findings.best_curves if s.curve is not None]
    if not curves:
        return None
    figure, ax = canvas(WIDE, 4.6)
    if findings.target is not None:
        _curve(ax, findings.target, TRUTH, "target", width=2.6)
    for (row, curve), colour in zip(curves, (POINT, MODEL, "#56B4E9"), strict=False):
        value = quantity(with_error(row.measured, row.measured_sd), findings.setting.unit)
        _curve(ax, curve, colour, f"point {row.iteration}: {value}")
    _name_axes(ax, findings)
    ax.legend(loc="best")
    return render("best_curves", "Curves of the best points measured, best first.", figure, wide=True)


def _curve(ax: Axes, curve: CurveData, colour: str, name: str, width: float = 0.8) -> None:
    # A logarithm has no place for what is not positive; such points are left out of the picture, never moved.
    shown = (curve.q > 0) & (curve.intensity > 0) & np.isfinite(curve.intensity)
    q, intensity, sigma = curve.q[shown], curve.intensity[shown], curve.sigma[shown]
    ax.plot(q, intensity, ".-", ms=3.5, color=colour, lw=width, label=name)
    known = np.isfinite(sigma)
    if known.any():
        lower = np.maximum(intensity - sigma, intensity * 0.05)[known]
        ax.fill_between(q[known], lower, (intensity + sigma)[known], color=colour, alpha=0.25, lw=0)


def _name_axes(ax: Axes, findings: Findings) -> None:
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.grid(True, which="major")
    ax.set_xlabel("q (1/Å)")
    # Only a reduction of our own is on an absolute scale; a recorded curve has the scale of its source.
    absolute = findings.instrument.get("kind") == "simulated" or findings.instrument.get("intensity_unit") == "1/cm"
    ax.set_ylabel("dΣ/dΩ (1/cm)" if absolute else "intensity (scale of the source)")


def _place(row: PointRow, findings: Findings) -> str:
    units = findings.setting.parameter_units
    words = [
        f"{label(name)} {quantity(number(row.point[name]), units.get(name, ''))}"
        for name in findings.setting.parameters
        if name in row.point
    ]
    return ", ".join(words[:4]) or f"point {row.iteration}"

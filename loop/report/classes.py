"""Picture of classified curves."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from loop.errors import BeamloopError

_MOST = 24


def draw(path: Path, curves: Sequence[Any], found: Sequence[Any], alpha: float) -> None:
    """Draw each curve with its probabilities of classes beside it; the first 24.

    Parameters
    ----------
    curves
        `instruments.readers.ReadCurve`.
    found
        `surrogates.saxs.model.Classification` of each alone.
    """
    import numpy as np
    from matplotlib.figure import Figure

    shown = list(zip(curves, found, strict=True))[:_MOST]
    columns = min(len(shown), 3)
    rows = -(-len(shown) // columns)
    figure = Figure(figsize=(5.2 * columns, 2.9 * rows + 0.3), layout="constrained")
    grid = figure.add_gridspec(rows, 2 * columns, width_ratios=[2.4, 1] * columns)
    for i, (read, result) in enumerate(shown):
        row, column = divmod(i, columns)
        axes, bars = (figure.add_subplot(grid[row, 2 * column + k]) for k in (0, 1))
        curve = read.curve
        positive = curve.intensity > 0
        sigma = np.where(np.isnan(curve.sigma), 0.0, curve.sigma)[positive]
        low = np.minimum(sigma, 0.9 * curve.intensity[positive])
        axes.errorbar(curve.q[positive], curve.intensity[positive], yerr=[low, sigma], fmt=".", ms=2, lw=0.6)
        axes.set(xscale="log", xlabel="q (1/Å)", ylabel="I (1/cm)")
        if positive.any():
            axes.set_yscale("log")
        novel = result.p_value[0] <= alpha
        axes.set_title(
            f"{Path(read.name).name}\np = {result.p_value[0]:.2g}" + (", unlike training" if novel else ""),
            fontsize=8,
            color="tab:red" if novel else "black",
        )
        bars.barh(range(len(result.classes)), result.probability[0], color="tab:gray" if novel else "tab:blue")
        bars.set(xlim=(0, 1), xlabel="probability")
        bars.set_yticks(range(len(result.classes)), result.classes, fontsize=7)
        bars.invert_yaxis()
    try:
        figure.savefig(path, dpi=110)
    except (OSError, ValueError) as error:
        raise BeamloopError(f"{path}: cannot be written ({error}).") from error

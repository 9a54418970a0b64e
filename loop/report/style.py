"""One look for all figures: matplotlib's object interface, no global state."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

# Okabe & Ito's palette, distinguishable with any colour vision.
MODEL, POINT, TRUTH, RANDOM, BAD, ACCENT = "#0072B2", "#D55E00", "#222222", "#8A8A8A", "#CC3311", "#009E73"
VALUES, UNCERTAINTY, DIFFERENCE = "viridis", "magma", "coolwarm"
"""Colour maps: perceptually uniform, the last one diverging around zero."""
DPI = 150
WIDE = 7.8
"""Width of a figure that takes the whole page, inches: still readable on a phone."""

_LOOK: dict[str, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 11,
    "axes.titlesize": 12,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.labelsize": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#555555",
    "axes.linewidth": 0.8,
    "axes.grid": False,
    "axes.axisbelow": True,
    "grid.color": "#DDDDDD",
    "grid.linewidth": 0.6,
    "xtick.color": "#333333",
    "ytick.color": "#333333",
    "xtick.labelsize": 10,
    "ytick.labelsize": 10,
    "legend.frameon": False,
    "legend.fontsize": 9.5,
    "lines.linewidth": 1.8,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "mathtext.default": "regular",
}


@dataclass(frozen=True)
class Picture:
    """One rendered figure."""

    name: str
    """File name without its ending."""
    caption: str
    png: bytes
    wide: bool = False
    """Whether it wants the full width of a page."""


@contextmanager
def look() -> Iterator[None]:
    """Draw and render inside of this."""
    with mpl.rc_context(_LOOK):  # type: ignore[arg-type]  # its keys are typed one by one
        yield


def canvas(width: float = 6.4, height: float = 4.8) -> tuple[Figure, Axes]:
    """Return a new figure with one set of axes; sizes in inches."""
    figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.add_subplot()


def render(name: str, caption: str, figure: Figure, *, wide: bool = False) -> Picture:
    """Turn a figure into a PNG."""
    buffer = io.BytesIO()
    # Without the software's version and date, the same findings give the same bytes.
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return Picture(name, caption, buffer.getvalue(), wide)

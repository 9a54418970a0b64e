"""All figures of a report, in the order of its sections."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np
from matplotlib.ticker import MaxNLocator

from loop.findings.records import Findings
from loop.report.judgements import calibration_pictures, learning_picture, search_picture
from loop.report.maps import map_pictures
from loop.report.pools import pool_pictures
from loop.report.scattering import best_picture, surprise_pictures
from loop.report.style import MODEL, POINT, RANDOM, WIDE, Picture, canvas, look, render


def figures(findings: Findings) -> tuple[Mapping[str, list[Picture]], list[str]]:
    """Draw everything that the findings hold.

    Returns
    -------
    pictures
        Section -> its pictures; a section without any has an empty list.
    remarks
        What could not be drawn, and why.
    """
    sections: dict[str, tuple[Callable[[Findings], Iterator[Picture]], ...]] = {
        "map": (map_pictures, pool_pictures),
        "search": (_one(search_picture), _one(best_picture)),
        "learning": (_one(learning_picture),),
        "calibration": (calibration_pictures,),
        "surprises": (surprise_pictures,),
        "timings": (timing_pictures,),
    }
    pictures: dict[str, list[Picture]] = {}
    remarks: list[str] = []
    with look():
        for section, parts in sections.items():
            pictures[section] = []
            for part in parts:
                try:
                    pictures[section].extend(part(findings))
                except Exception as error:  # one figure that cannot be drawn must not cost the report
                    remarks.append(f"A figure of section {section!r} is missing: {type(error).__name__}: {error}")
    return pictures, remarks


def timing_pictures(findings: Findings) -> Iterator[Picture]:
    """Draw where each point's time went."""
    rows = [row for row in findings.points if row.measuring_s > 0]
    if len(rows) < 2:
        return
    figure, ax = canvas(WIDE, 3.4)
    x = np.array([row.iteration for row in rows])
    measuring = np.array([row.measuring_s for row in rows])
    idle = np.array([row.idle_s for row in rows])
    ax.bar(x, measuring, width=0.8, color=MODEL, alpha=0.75, label="measuring")
    ax.bar(x, idle, width=0.8, bottom=measuring, color=POINT, label="beam waits for a decision")
    decided = [row for row in rows if row.decision_s > 0]
    ax.plot([r.iteration for r in decided], [r.decision_s for r in decided], ".", color="#222222", ms=6,
            label="decision (while measuring)")  # fmt: skip
    ax.set_xlabel("point")
    ax.set_ylabel("time (s)")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.margins(y=0.3)
    ax.set_ylim(bottom=0)
    ax.grid(True, axis="y", color=RANDOM, alpha=0.3)
    ax.legend(loc="upper right", ncols=3)
    yield render(
        "timings",
        "Time per point: travel, exposure and read-out (all attempts), and the beam's wait for the decision. The "
        "next decision is computed while the present point is being measured.",
        figure,
        wide=True,
    )


def _one(draw: Callable[[Findings], Picture | None]) -> Callable[[Findings], Iterator[Picture]]:
    def pictures(findings: Findings) -> Iterator[Picture]:
        picture = draw(findings)
        if picture is not None:
            yield picture

    return pictures

"""Whether the predictions made before measuring were honest."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.stats import binomtest

from loop import metrics
from loop.findings.records import Calibration, PointRow

LEVELS = (0.5, 0.8, 0.95)
ENOUGH = 3
"""Fewer predictions say nothing about calibration."""


def calibration(rows: Sequence[PointRow]) -> Calibration | None:
    """Compare predictions with outcomes.

    The predicted standard deviation is that of a measured value, so a pull needs no further error bar. Intervals of the
    coverage are Wilson's (doi:10.1080/01621459.1927.10502953).

    Returns
    -------
    Calibration or None
        None for fewer than `ENOUGH` measured points with a prediction.
    """
    known = [(r, r.pull, r.predicted_sd) for r in rows if r.pull is not None and r.predicted_sd is not None]
    if len(known) < ENOUGH:
        return None
    pulls = np.array([pull for _, pull, _ in known])
    sds = np.array([sd for _, _, sd in known])
    predicted = np.array([r.predicted for r, _, _ in known], dtype=float)
    measured = np.array([r.measured for r, _, _ in known], dtype=float)
    inside = [int(np.sum(np.abs(pulls) <= metrics.half_width(level))) for level in LEVELS]
    n = len(pulls)
    intervals = [binomtest(k, n).proportion_ci(method="wilson") for k in inside]
    return Calibration(
        iterations=np.array([r.iteration for r, _, _ in known]),
        pulls=pulls,
        predicted=predicted,
        measured=measured,
        levels=LEVELS,
        coverage=tuple(k / n for k in inside),
        interval=tuple((float(i.low), float(i.high)) for i in intervals),
        nlpd=metrics.nlpd(predicted, sds, measured),
        rmse=metrics.rmse(predicted, measured),
    )

"""The curves worth looking at: where the model was most wrong, and where the objective is best."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from loop.findings.records import CurveData, Direction, PointRow, Surprise
from loop.history import History, Step, has_event
from loop.protocols import Experiment, SearchSpace
from loop.records import Status

SHOWN = 3


def most_surprising(
    history: History, rows: Sequence[PointRow], experiment: Experiment, space: SearchSpace
) -> tuple[Surprise, ...]:
    """Return the points with the largest absolute pull, each beside its nearest measured neighbour."""
    pulled = [i for i, row in enumerate(rows) if row.pull is not None]
    chosen = sorted(pulled, key=lambda i: -abs(rows[i].pull or 0.0))[:SHOWN]
    if not chosen:
        return ()
    measured = [i for i, row in enumerate(rows) if row.status is Status.MEASURED]
    places = space.encode([rows[i].point for i in measured]).cpu().numpy()
    surprises = []
    for i in chosen:
        distance = np.linalg.norm(places - places[measured.index(i)], axis=1)
        distance[measured.index(i)] = np.inf
        other = measured[int(np.argmin(distance))] if len(measured) > 1 else None
        surprises.append(
            Surprise(
                row=rows[i],
                curve=curve_of(history.steps[i], experiment),
                neighbour=None if other is None else rows[other],
                neighbour_curve=None if other is None else curve_of(history.steps[other], experiment),
            )
        )
    return tuple(surprises)


def best_curves(
    history: History, rows: Sequence[PointRow], experiment: Experiment, direction: Direction | None
) -> tuple[Surprise, ...]:
    """Return the measured points with the best objective; none where there is no direction."""
    if direction is None:
        return ()
    sign = 1.0 if direction == "maximise" else -1.0
    good = [i for i, row in enumerate(rows) if row.status is Status.MEASURED and row.measured is not None]
    chosen = sorted(good, key=lambda i: -sign * (rows[i].measured or 0.0))[:SHOWN]
    return tuple(Surprise(rows[i], curve_of(history.steps[i], experiment)) for i in chosen)


def curve_of(step: Step, experiment: Experiment) -> CurveData | None:
    """Reduce the run that gave a step its outcome once more; None if there is no such run or no curve."""
    runs = [run for run in step.runs if has_event(run)]
    if not runs:
        return None
    return curve_data(experiment.evaluate(runs[-1]).curve)


def curve_data(curve: object) -> CurveData | None:
    """Copy anything with `q`, `intensity` and `sigma`; None from None."""
    parts = [getattr(curve, name, None) for name in ("q", "intensity", "sigma")]
    if parts[0] is None or parts[1] is None:
        return None
    q = np.asarray(parts[0], dtype=float)
    sigma = np.full(q.shape, np.nan) if parts[2] is None else np.asarray(parts[2], dtype=float)
    return CurveData(q, np.asarray(parts[1], dtype=float), sigma)

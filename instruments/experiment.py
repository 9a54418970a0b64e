"""What simulated, recorded and real experiments share: asking the devices first, and judging a curve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol

import numpy as np

from instruments.curve import Curve
from instruments.errors import InstrumentError, LimitsError
from instruments.evaluation import Evaluation
from instruments.observables import Observable
from instruments.quality import QualityGate

Point = Mapping[str, float | int | str]
"""Parameter name -> value in the parameter's unit."""


class Positionable(Protocol):
    """What `check_points` needs of a device."""

    name: str

    def check_value(self, pos: Any) -> None:
        """Raise if the device cannot go there."""


def check_points(points: Sequence[Point], devices: Mapping[str, Positionable], *, ignore_others: bool = False) -> None:
    """Ask the devices whether they can go to points, without moving anything.

    Parameters
    ----------
    points
        Points to visit.
    devices
        Parameter name -> device that sets it.
    ignore_others
        Whether a point may have entries that no device sets (features of a recorded sample).

    Raises
    ------
    LimitsError
        If a point lacks a parameter, has one too many, or a device refuses: names point, device, value and limits.
    """
    for index, point in enumerate(points):
        missing = sorted(set(devices) - set(point))
        unknown = [] if ignore_others else sorted(set(point) - set(devices))
        if missing or unknown:
            raise LimitsError(
                f"point {index} must set {sorted(devices)}"
                + (f"; it lacks {missing}" if missing else "")
                + (f"; no device sets {unknown}" if unknown else "")
            )
        for parameter, device in devices.items():
            try:
                device.check_value(point[parameter])
            except ValueError as error:  # ophyd's LimitError is one
                raise LimitsError(f"point {index}, parameter {parameter}: {error}") from error


def require_observables(observables: Mapping[str, Observable]) -> dict[str, Observable]:
    """Return a copy; raise InstrumentError if there is none."""
    if not observables:
        raise InstrumentError("an experiment needs at least one observable, the objective first; got none")
    return dict(observables)


def judge(curve: Curve, *, quality: QualityGate, observables: Mapping[str, Observable]) -> Evaluation:
    """Pass a curve through the gate and take the observables from it.

    Returns
    -------
    Evaluation
        Accepted with values and standard deviations, or rejected with the reason; never an exception for bad data.
    """
    if reasons := quality.curve(curve):
        return Evaluation(False, reason="; ".join(reasons), curve=curve)
    values: dict[str, float] = {}
    sds: dict[str, float] = {}
    for name, observable in observables.items():
        try:
            value, sd = observable(curve)
        except (InstrumentError, ArithmeticError, ValueError) as error:
            return Evaluation(False, reason=f"{name} could not be computed: {error}", curve=curve)
        if not (np.isfinite(value) and np.isfinite(sd) and sd >= 0):
            return Evaluation(False, reason=f"{name} came out as {value} ± {sd}, which is no number", curve=curve)
        values[name], sds[name] = float(value), float(sd)
    return Evaluation(True, values=values, sds=sds, curve=curve)


def without_noise(q: np.ndarray, intensity: np.ndarray) -> Curve:
    """Return a curve with the error bars of an exposure so long that noise is at most 0.1 % everywhere.

    Observables that weigh their points need some; counts per bin go with I and with the bin's pixels, which go with q.
    """
    relative = 1 / np.sqrt(intensity * q)
    return Curve(q, intensity, intensity * (1e-3 * relative / relative.max()))


def observe(
    curves: Sequence[Curve | None],
    observables: Mapping[str, Observable],
    exposed: Sequence[Curve | None] | None = None,
) -> dict[str, np.ndarray]:
    """Take the observables from curves that are known without noise.

    Parameters
    ----------
    curves
        None where there is none.
    observables
        Name -> observable.
    exposed
        The same curves with the error bars of a real exposure, for observables that see noise.

    Returns
    -------
    dict
        Observable -> ``(n,)`` values, NaN where there is no curve or it does not hold the observable.
    """
    result = {}
    for name, observable in observables.items():
        seen = exposed if exposed is not None and getattr(observable, "sees_noise", False) else curves
        rows = [row for row, curve in enumerate(seen) if curve is not None]
        values = np.full(len(seen), np.nan)
        values[rows] = _values(observable, [curve for curve in seen if curve is not None])
        result[name] = values
    return result


def _values(observable: Observable, curves: Sequence[Curve]) -> np.ndarray:
    if hasattr(observable, "values"):
        return np.asarray(observable.values(curves), dtype=float)
    result = np.full(len(curves), np.nan)
    for row, curve in enumerate(curves):
        # NaN says that there is no truth to compare with.
        with suppress(InstrumentError, ArithmeticError, ValueError):
            result[row] = observable(curve)[0]
    return result

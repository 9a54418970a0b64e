"""What the analysis of a campaign says: frozen records, arrays included, convertible to plain JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from enum import Enum
from typing import Any, Literal

import numpy as np

from loop import metrics
from loop.findings.alerts import AlertRow
from loop.records import Origin, Point, Status

Direction = Literal["maximise", "minimise"]
Tone = Literal["good", "fair", "poor", "neutral"]


@dataclass(frozen=True)
class Setting:
    """What the campaign was about."""

    campaign: str
    objective: str
    """In words, such as ``map of invariant``."""
    observable: str
    unit: str
    """Of the observable; empty where it has none or nobody says."""
    description: str
    """Of the observable, as the instrument states it."""
    direction: Direction | None
    parameters: tuple[str, ...]
    """Names of the model's inputs."""
    parameter_units: Mapping[str, str]


@dataclass(frozen=True)
class PointRow:
    """One point of the campaign, as the table shows it."""

    iteration: int
    point: Point
    origin: Origin
    status: Status | None
    """None while in flight."""
    predicted: float | None
    predicted_sd: float | None
    measured: float | None
    measured_sd: float | None
    pull: float | None
    """(measured - predicted) / predicted_sd, for measured points that were predicted."""
    truth: float | None
    reason: str
    attempts: int
    decision_s: float
    idle_s: float
    measuring_s: float
    """Seconds from the start to the stop of its runs."""
    follows: int | None = None
    """Number of the point whose outcome a follow-up follows."""
    reaction: str = ""
    """Which reaction asked for it."""
    exposure_s: float | None = None
    """Where it is not the campaign's."""


@dataclass(frozen=True, eq=False)
class Axis:
    """One direction of the reference points."""

    name: str
    unit: str
    values: np.ndarray
    log: bool = False


@dataclass(frozen=True, eq=False)
class Reference:
    """The final model's belief over the whole space, and the truth where it is known."""

    kind: Literal["line", "grid", "slices", "pool"]
    axes: tuple[Axis, ...]
    """line: one; grid: two; slices: one per parameter; pool: one per feature, `values` ``(n,)`` by row."""
    mean: np.ndarray
    """line ``(k,)``; grid ``(k2, k1)``, first parameter along the columns; slices ``(d, k)``; pool ``(n,)``."""
    sd: np.ndarray
    """Standard deviation of the mean, without the noise of a measurement; shape of `mean`."""
    truth: np.ndarray | None
    """Shape of `mean`; NaN where there is nothing to know."""
    through: Point | None = None
    """Where slices cross."""

    @property
    def rmse(self) -> float | None:
        """Root-mean-square difference between mean and truth; None without truth."""
        return None if self.truth is None else rmse(self.mean, self.truth)

    @property
    def truth_spread(self) -> float | None:
        """Standard deviation of the truth over the reference points: the error of always saying the average."""
        if self.truth is None or not np.isfinite(self.truth).any():
            return None
        return float(np.nanstd(self.truth))


@dataclass(frozen=True, eq=False)
class Calibration:
    """How predictions made before measuring compare with what was measured."""

    iterations: np.ndarray
    """``(n,)``"""
    pulls: np.ndarray
    """``(n,)`` standard normal if the model is honest."""
    predicted: np.ndarray
    """``(n,)``"""
    measured: np.ndarray
    """``(n,)``"""
    levels: tuple[float, ...]
    """Nominal probabilities of central intervals."""
    coverage: tuple[float, ...]
    """Share of outcomes inside, per level."""
    interval: tuple[tuple[float, float], ...]
    """95 % binomial (Wilson) interval of each coverage."""
    nlpd: float
    """Mean negative log predictive density, nats."""
    rmse: float

    @property
    def pit(self) -> np.ndarray:
        """Probability integral transform ``(n,)``; uniform if the model is honest."""
        return np.array([0.5 * math.erfc(-z / math.sqrt(2.0)) for z in self.pulls])

    @property
    def rms_pull(self) -> float:
        """Root-mean-square pull: 1 if the error bars are right, larger if the model is too sure."""
        return float(np.sqrt(np.mean(self.pulls**2)))


@dataclass(frozen=True, eq=False)
class Learning:
    """Error of the map against the number of measurements, and the same for random sampling."""

    budgets: np.ndarray
    """``(k,)`` numbers of accepted measurements."""
    campaign: np.ndarray
    """``(k,)`` RMSE against the truth."""
    random: np.ndarray
    """``(repeats, k)``; no rows where nothing can be sampled."""
    reached_at: int | None
    """Measurements after which the campaign stays at or below random's final (median) error; None if it never does."""

    @property
    def random_median(self) -> np.ndarray | None:
        """``(k,)``, or None."""
        return np.median(self.random, axis=0) if len(self.random) else None


@dataclass(frozen=True, eq=False)
class Search:
    """Best value so far against the number of points tried, and the same in random order."""

    best: np.ndarray
    """``(m,)`` after 1, 2, ... points tried (refused ones count, too); NaN before the first good one."""
    noise_free: bool
    """Whether `best` is the truth at the points measured, or the measured values themselves."""
    best_point: Point
    best_measured: float
    best_measured_sd: float | None
    random: np.ndarray | None
    """``(3, m)``: 10th, 50th and 90th percentile over random orders; None without truth."""
    optimum: float | None
    """Best truth anywhere among the reference points."""
    finite: bool
    """Whether `optimum` is that of a whole pool; else it is the best of many random points."""
    top: float
    """Which best fraction counts as reached."""
    threshold: float | None
    """Value of that fraction's worst point."""
    reached_at: int | None
    random_reached: tuple[float, float, float] | None
    """Percentiles 10, 50, 90 of the points that a random order needs."""


@dataclass(frozen=True, eq=False)
class CurveData:
    """A reduced curve."""

    q: np.ndarray
    intensity: np.ndarray
    sigma: np.ndarray


@dataclass(frozen=True, eq=False)
class Surprise:
    """A point whose outcome the model did not expect, or that was among the best."""

    row: PointRow
    curve: CurveData | None
    neighbour: PointRow | None = None
    """The nearest other measured point, for comparison."""
    neighbour_curve: CurveData | None = None


@dataclass(frozen=True)
class Timings:
    """Where the time went, s."""

    elapsed_s: float
    idle_s: float
    """The beam waited for a decision."""
    preparation_s: float
    measuring_s: float
    """Between start and stop of the measurement runs: travel, exposure, read-out."""
    decisions: tuple[float, float, float] | None
    """Median, 90th percentile and maximum of the time that a decision took; None without any."""

    @property
    def idle_fraction(self) -> float | None:
        """Share of the campaign; None if it took no time."""
        return min(self.idle_s / self.elapsed_s, 1.0) if self.elapsed_s > 0 else None

    @property
    def other_s(self) -> float:
        """The rest: reduction, recording, pauses."""
        return max(self.elapsed_s - self.idle_s - self.preparation_s - self.measuring_s, 0.0)


@dataclass(frozen=True)
class Verdict:
    """One finding in plain language."""

    tone: Tone
    text: str


@dataclass(frozen=True, eq=False)
class Findings:
    """Everything that the report shows, apart from its look."""

    setting: Setting
    points: tuple[PointRow, ...]
    reference: Reference | None
    calibration: Calibration | None
    learning: Learning | None
    search: Search | None
    surprises: tuple[Surprise, ...]
    best_curves: tuple[Surprise, ...]
    target: CurveData | None
    timings: Timings
    instrument: Mapping[str, Any]
    """`Experiment.describe`, the data's citation included."""
    alerts: tuple[AlertRow, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    remarks: tuple[str, ...] = field(default_factory=tuple)
    """What could not be said, and why."""

    def count(self, status: Status) -> int:
        """Count the points that ended so."""
        return sum(row.status is status for row in self.points)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON: arrays as nested lists, numbers that are not finite as null."""
        plain: dict[str, Any] = _plain(self)
        return plain


def rmse(mean: np.ndarray, truth: np.ndarray) -> float | None:
    """Root-mean-square difference where `truth` is finite; None if it is nowhere."""
    known = np.isfinite(truth)
    return metrics.rmse(mean[known], truth[known]) if known.any() else None


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, Enum):
        return str(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value

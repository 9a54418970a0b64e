"""How fast the map was learned, and how fast random sampling would have learned it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from loop.findings.beliefs import AgentFactory, AgentLike, Outcome, belief, informed
from loop.findings.records import Learning, rmse
from loop.protocols import CanSampleOffline
from loop.records import Observation, Origin, Point, Status, Suggestion

CHECKPOINTS = 9
_FIRST = 4
_FRAMES = 10_000_000
"""Frame numbers of random sampling begin here, so that its noise is not the campaign's."""


def learning_curve(
    factory: AgentFactory,
    outcomes: Sequence[Outcome],
    judged: Sequence[Point],
    truth: np.ndarray,
    random_runs: Sequence[Sequence[Outcome]],
) -> Learning | None:
    """Refit after the first k measurements, for some k, and compare with the truth.

    Parameters
    ----------
    factory
        Gives fresh agents with the campaign's surrogate and seed.
    outcomes
        The campaign's, in order.
    judged, truth
        Points ``(n,)`` over which the error is averaged, and the noise-free objective there.
    random_runs
        Outcomes of random sampling, one sequence per repeat, each as long as the campaign in accepted measurements.

    Returns
    -------
    Learning or None
        None for fewer than three measurements.
    """
    total = sum(o is not None and o.status is Status.MEASURED for _, o in outcomes)
    if total < 3:
        return None
    first = min(_FIRST, total)
    budgets = np.unique(np.round(np.geomspace(first, total, CHECKPOINTS)).astype(int))

    def errors(run: Sequence[Outcome]) -> list[float]:
        curve = []
        for k in budgets:
            mean, _ = belief(informed(factory, run, int(k)), judged)
            error = rmse(mean, truth)
            curve.append(math.nan if error is None else error)
        return curve

    campaign = np.array(errors(outcomes))
    random = np.array([errors(run) for run in random_runs]).reshape(len(random_runs), len(budgets))
    reached = None
    if len(random):
        reached = stays_below(budgets, campaign, float(np.median(random[:, -1])))
    return Learning(budgets, campaign, random, reached)


def stays_below(budgets: np.ndarray, errors: np.ndarray, level: float) -> int | None:
    """Return the budget from which on all errors are at or below `level`.

    Between checkpoints the logarithm of the error is interpolated.

    Examples
    --------
    >>> import numpy as np
    >>> stays_below(np.array([4, 8, 16]), np.array([4.0, 1.0, 1.0]), 2.0)
    6
    >>> stays_below(np.array([4, 8, 16]), np.array([4.0, 1.0, 3.0]), 2.0) is None
    True
    """
    above = np.flatnonzero(~(errors <= level))
    if len(above) == 0:
        return int(budgets[0])
    last = above[-1]
    if last == len(budgets) - 1:
        return None
    high, low = errors[last], errors[last + 1]
    share = 1.0
    if math.isfinite(high) and low > 0 and level > 0:
        share = (math.log(high) - math.log(level)) / (math.log(high) - math.log(low))
    return math.ceil(budgets[last] + share * (budgets[last + 1] - budgets[last]))


def random_outcomes(
    experiment: CanSampleOffline, agent: AgentLike, count: int, *, seed: int, repeat: int
) -> list[Outcome] | None:
    """Measure random points, without devices, until `count` were accepted; None if the space does not yield as many."""
    space = agent.space
    available = 2 * count + 20 if space.candidates is None else len(space.candidates)
    state = np.random.SeedSequence([seed, 0x52414E44, repeat]).generate_state(1)
    points = space.random(available, seed=int(state[0]))
    outcomes: list[Outcome] = []
    accepted = 0
    for i, point in enumerate(points):
        if accepted == count:
            break
        evaluation = experiment.sample(point, frame_number=_FRAMES * (repeat + 1) + i)
        good = evaluation.accepted and all(math.isfinite(evaluation.values.get(o, math.nan)) for o in agent.observables)
        accepted += good
        suggestion = Suggestion(f"random-{repeat}-{i}", i, point, Origin.MANUAL)
        outcomes.append(
            (
                suggestion,
                Observation(
                    suggestion.id,
                    point,
                    Status.MEASURED if good else Status.REJECTED,
                    values=dict(evaluation.values) if good else {},
                    sds=dict(evaluation.sds) if good else {},
                    reason=evaluation.reason,
                ),
            )
        )
    return outcomes if accepted == count else None

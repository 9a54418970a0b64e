"""Campaigns without devices: the engine's order of decisions and outcomes, the experiment's own frames and evaluation.

Shared by the benchmarks of this folder.
"""

from __future__ import annotations

import concurrent.futures
import json
import math
import multiprocessing
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from loop.agent import Agent
from loop.compose import Parts, compose
from loop.config import CampaignConfig, load_config
from loop.findings.beliefs import belief, informed
from loop.findings.learning import random_outcomes
from loop.metrics import forecasts, rmse
from loop.records import Observation, Origin, Point, Status, Suggestion

CONFIGS = Path(__file__).resolve().parent.parent / "configs"


@dataclass
class Run:
    """One campaign, played to its end."""

    agent: Agent
    measured: list[int] = field(default_factory=list)
    """Accepted measurements after each outcome."""
    errors: list[float] = field(default_factory=list)
    """Judged after each outcome that leaves enough to fit a model to; NaN before."""

    @property
    def decision_ms(self) -> list[float]:
        """Milliseconds of every decision that the model took part in, the fit included."""
        return [1e3 * s.decision_s for s in self.agent.suggestions if s.origin is Origin.ACQUISITION]

    def inside(self, level_sd: float = 1.959964) -> np.ndarray:
        """Tell which outcomes lay inside the 95 % interval stated before measuring: ``(n,)`` bool."""
        told = forecasts(self.agent.suggestions, self.agent.observations, self.agent.observables[0])
        return np.asarray(np.abs(told.z) <= level_sd)


def load(name: str, seed: int, overrides: Sequence[str] = ()) -> CampaignConfig:
    """Read a campaign file of this repository (or the path to another) and give it a seed."""
    path = Path(name) if Path(name).exists() else CONFIGS / f"{name}.yaml"
    return load_config(path, [f"seed={seed}", *overrides])


def build(config: CampaignConfig) -> Parts:
    """Compose a campaign; its folder, which nothing is written to, is a temporary one."""
    return compose(config, Path(tempfile.gettempdir()) / "beamloop-benchmark")


def measure(parts: Parts, suggestion: Suggestion, frame: int) -> tuple[Observation, int]:
    """Take a point as the engine does, again if it is refused and attempts are left; also the number of frames used."""
    reason, attempts = "", parts.config.measurement.attempts
    for attempt in range(1, attempts + 1):
        evaluation = parts.experiment.sample(suggestion.point, frame_number=frame + attempt - 1)  # type: ignore[attr-defined]
        reason = evaluation.reason
        if evaluation.accepted:
            return Observation(
                suggestion.id,
                suggestion.point,
                Status.MEASURED,
                dict(evaluation.values),
                dict(evaluation.sds),
                attempts=attempt,
            ), attempt
    return Observation(suggestion.id, suggestion.point, Status.REJECTED, reason=reason, attempts=attempts), attempts


def play(
    parts: Parts,
    *,
    points: int | None = None,
    outcomes: int | None = None,
    judge: Callable[[Agent], float] | None = None,
    until: Callable[[Observation], bool] | None = None,
) -> Run:
    """Play a campaign as the engine does: each decision is taken while the point before it is in flight.

    Parameters
    ----------
    points, outcomes
        Accepted measurements, and outcomes of any kind, after which it ends.
    judge
        Called after each outcome, never within a decision.
    until
        Ends the campaign when true of an outcome.
    """
    agent = parts.new_agent()
    run, frame = Run(agent), 0

    def score() -> None:
        if judge is not None:
            run.errors.append(judge(agent) if len(agent.measured) >= 2 else math.nan)

    following = agent.suggest(1)
    while following:
        (suggestion,) = following
        expected = len(agent.measured) + 1
        last = expected == points or len(agent.observations) + 1 == outcomes
        following = [] if last else agent.suggest(1)
        if run.measured:
            # Only now, so that the decision above has paid for the model's fit as it does in a campaign.
            score()
        observation, frames = measure(parts, suggestion, frame)
        frame += frames
        agent.ingest(observation)
        run.measured.append(len(agent.measured))
        if until is not None and until(observation):
            break
        if last and points is not None and len(agent.measured) < points:
            following = agent.suggest(1)
    score()
    return run


def map_error(parts: Parts, grid: Sequence[Point]) -> Callable[[Agent], float]:
    """Root mean squared difference between the objective's predicted mean and the noise-free truth at `grid`."""
    name = parts.experiment.observables[0]
    truth = parts.experiment.truth(grid)[name]  # type: ignore[attr-defined]
    usable = np.isfinite(truth)
    here = [point for point, good in zip(grid, usable, strict=True) if good]

    def error(agent: Agent) -> float:
        return rmse(belief(agent, here)[0], truth[usable])

    return error


def random_errors(
    parts: Parts, budget: int, judge: Callable[[Agent], float], *, repeats: int, seed: int
) -> list[float]:
    """Return the final error of random sampling with the campaign's own surrogate, once per repeat."""
    found = []
    for repeat in range(repeats):
        outcomes = random_outcomes(parts.experiment, parts.new_agent(), budget, seed=seed, repeat=repeat)  # type: ignore[arg-type]
        if outcomes is None:
            raise RuntimeError(f"random sampling did not yield {budget} accepted measurements")
        found.append(judge(informed(parts.new_agent, outcomes)))  # type: ignore[arg-type]
    return found


def reached(errors: Sequence[float], measured: Sequence[int], level: float) -> tuple[float, float]:
    """Return after how many measurements the error first is at or below `level`, and from when on it stays there."""
    below = np.asarray(errors) <= level
    if not below.any():
        return math.inf, math.inf
    first = float(measured[int(np.flatnonzero(below)[0])])
    above = np.flatnonzero(~below)
    if not len(above):
        return first, float(measured[0])
    return first, math.inf if above[-1] == len(below) - 1 else float(measured[above[-1] + 1])


def in_processes(work: Callable[[int], Any], seeds: Iterable[int], processes: int) -> Iterator[Any]:
    """Results in the order of the seeds; every process computes with one thread."""
    if processes == 1:
        torch.set_num_threads(1)
        yield from map(work, seeds)
        return
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(
        processes, mp_context=context, initializer=partial(torch.set_num_threads, 1)
    ) as pool:
        yield from pool.map(work, seeds)


def conclude(result: dict[str, Any]) -> None:
    """Print the result as the last line, with numbers that cannot be (infinity, NaN) as null."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: plain(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [plain(item) for item in value]
        if isinstance(value, (float, np.floating)):
            return round(float(value), 4) if math.isfinite(value) else None
        return value

    print(json.dumps(plain(result)), flush=True)

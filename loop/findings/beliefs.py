"""Asking a campaign's agent what it believed after some of its outcomes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal, Protocol

import numpy as np
import torch

from loop.acquisition.moments import moments
from loop.protocols import SearchSpace
from loop.records import Observation, Point, Status, Suggestion

_CHUNK = 2048
"""Points per posterior, which bounds the memory that a map takes."""


class AgentLike(Protocol):
    """What the analysis needs of an agent; `loop.agent.Agent` has it."""

    @property
    def space(self) -> SearchSpace:
        """Where it may measure."""

    @property
    def observables(self) -> tuple[str, ...]:
        """Columns of its model, the objective first."""

    @property
    def direction(self) -> Literal["maximise", "minimise"] | None:
        """What the objective wants."""

    def register(self, suggestion: Suggestion) -> None:
        """Take note of a point in flight."""

    def ingest(self, observation: Observation) -> None:
        """Take note of an outcome."""

    def model(self) -> Any:
        """BoTorch model fitted to the outcomes so far."""


AgentFactory = Callable[[], AgentLike]
"""Gives a fresh agent, with the campaign's space, surrogate and seed."""

Outcome = tuple[Suggestion, Observation | None]
"""None while in flight."""


def informed(factory: AgentFactory, outcomes: Iterable[Outcome], measured: int | None = None) -> AgentLike:
    """Return a fresh agent that has seen the outcomes up to the `measured`-th one that was accepted (None: all)."""
    agent = factory()
    left = measured
    for suggestion, observation in outcomes:
        if left == 0:
            break
        agent.register(suggestion)
        if observation is None:
            continue
        agent.ingest(observation)
        if left is not None and observation.status is Status.MEASURED:
            left -= 1
    return agent


def belief(agent: AgentLike, points: Sequence[Point]) -> tuple[np.ndarray, np.ndarray]:
    """Posterior mean and standard deviation of the objective ``(n,)`` each, without measurement noise."""
    model = agent.model()
    X = agent.space.encode(points)
    means, variances = [], []
    with torch.no_grad():
        for chunk in X.split(_CHUNK):
            mean, variance = moments(model, chunk.unsqueeze(-2), noise=False)
            means.append(mean[..., 0, 0].cpu().numpy())
            variances.append(variance[..., 0, 0].clamp_min(0.0).cpu().numpy())
    return np.concatenate(means).astype(float), np.sqrt(np.concatenate(variances)).astype(float)

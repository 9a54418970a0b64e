"""What the campaign believes: the surrogate fitted to the points measured so far, fitted once for each new point."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from botorch.models.model import Model
from torch import Tensor

from loop.acquisition.moments import moments
from loop.acquisition.registry import blame
from loop.errors import BeamloopError
from loop.protocols import SearchSpace, Surrogate
from loop.records import Observation, Prediction
from loop.seeds import FIT, derive, isolated

MIN_MEASURED = 2
"""Measured points that a surrogate needs."""

_PREDICT_CHUNK = 2048


class AgentError(BeamloopError, ValueError):
    """An agent was told, or asked for, something that contradicts what it knows."""


class Belief:
    """Surrogate, data and the model between them.

    Parameters
    ----------
    space, surrogate, observables, seed, device
        As of `loop.agent.Agent`.
    """

    def __init__(
        self,
        space: SearchSpace,
        surrogate: Surrogate,
        observables: tuple[str, ...],
        seed: int,
        device: torch.device | None = None,
    ) -> None:
        self.device = device or torch.device("cpu")
        self.space = space
        self.surrogate = surrogate
        self.observables = observables
        self.seed = seed
        self.measured: list[Observation] = []
        """What the model learns from, in order."""
        self._model: tuple[int, Model] | None = None

    @property
    def possible(self) -> bool:
        """Whether there is enough to fit a model to."""
        return len(self.measured) >= MIN_MEASURED

    def check(self, observation: Observation) -> None:
        """Raise `AgentError` unless every observable of a measured point is a finite number."""
        for name in self.observables:
            value = observation.values.get(name)
            if value is None or not math.isfinite(value):
                raise AgentError(
                    f"suggestion {observation.suggestion_id} counts as measured, but its {name!r} is {value}: "
                    "expected a finite number; bad data belongs in a rejected outcome"
                )
        self.space.encode([observation.point])

    def data(self) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return ``(n, d)`` points, ``(n, m)`` values and their variances; no variances unless every one is known."""
        X = self.space.encode([o.point for o in self.measured]).to(self.device)
        Y = self._table([[o.values[name] for name in self.observables] for o in self.measured])
        sds = self._table([[o.sds.get(name, math.nan) for name in self.observables] for o in self.measured])
        known = bool((torch.isfinite(sds) & (sds > 0)).all())
        return X, Y, sds.square() if known else None

    def model(self) -> Model:
        """Return the model of all points measured so far."""
        n = len(self.measured)
        if not self.possible:
            raise AgentError(f"a model needs {MIN_MEASURED} measured points, there are {n}")
        if self._model is None or self._model[0] != n:
            self._model = (n, self._fit())
        return self._model[1]

    def predict(self, X: Tensor) -> list[Prediction]:
        """Say what would be measured at ``(n, d)`` points, noise included."""
        predictions: list[Prediction] = []
        model = self.model()
        with torch.no_grad(), blame(self.surrogate, "predicting"):
            for chunk in X.to(self.device).split(_PREDICT_CHUNK):
                mean, variance = moments(model, chunk.unsqueeze(-2), noise=True)
                rows = zip(mean.squeeze(-2).tolist(), variance.clamp_min(0.0).sqrt().squeeze(-2).tolist(), strict=True)
                predictions += [
                    Prediction(
                        mean=dict(zip(self.observables, m, strict=True)), sd=dict(zip(self.observables, s, strict=True))
                    )
                    for m, s in rows
                ]
        return predictions

    def _fit(self) -> Model:
        X, Y, Yvar = self.data()
        seed = derive(self.seed, len(X), FIT)
        with isolated(seed), blame(self.surrogate, f"fitting {len(X)} points"):
            model = self.surrogate(X, Y, Yvar, seed=seed)
            # Models cache on their first prediction, and the last bits of the cache depend on what is asked first.
            with torch.no_grad():
                model.posterior(X[:1])
        return model

    def _table(self, rows: Sequence[Sequence[float]]) -> Tensor:
        return torch.tensor(rows, dtype=torch.float64, device=self.device).reshape(len(rows), len(self.observables))

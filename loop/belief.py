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
from loop.protocols import CanUpdate, HasDiagnostics, SearchSpace, Surrogate
from loop.records import Observation, Prediction
from loop.seeds import FIT, derive, isolated

MIN_MEASURED = 2
"""Measured points that a surrogate needs."""

_PREDICT_CHUNK = 2048


class AgentError(BeamloopError, ValueError):
    """An agent was told, or asked for, something that contradicts what it knows."""


def last_fit(n: int, growth: float) -> int:
    """Return the number of points at the scheduled fit that serves `n` points.

    The first fit is at `MIN_MEASURED` points, the next always as soon as their number has grown by the fraction
    `growth`, by one point at least.
    """
    at = MIN_MEASURED
    while (following := max(at + 1, math.ceil(at * (1 + growth)))) <= n:
        at = following
    return at


class Belief:
    """Surrogate, data and the model between them.

    Parameters
    ----------
    space, surrogate, observables, seed, refit, device
        As of `loop.agent.Agent`.
    """

    def __init__(
        self,
        space: SearchSpace,
        surrogate: Surrogate,
        observables: tuple[str, ...],
        seed: int,
        refit: float = 0.0,
        device: torch.device | None = None,
    ) -> None:
        self.device = device or torch.device("cpu")
        self.space = space
        self.surrogate = surrogate
        self.observables = observables
        self.seed = seed
        self.refit = refit
        self.measured: list[Observation] = []
        """What the model learns from, in order."""
        self._fitted: tuple[int, Model] | None = None
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

    def data(self, n: int | None = None) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return ``(n, d)`` points, ``(n, m)`` values and their variances, of the first `n` points or all.

        There are no variances unless every one is known.
        """
        measured = self.measured[:n]
        X = self.space.encode([o.point for o in measured]).to(self.device)
        Y = self._table([[o.values[name] for name in self.observables] for o in measured])
        sds = self._table([[o.sds.get(name, math.nan) for name in self.observables] for o in measured])
        known = bool((torch.isfinite(sds) & (sds > 0)).all())
        return X, Y, sds.square() if known else None

    def model(self) -> Model:
        """Return the model of all points measured so far: fitted to them, or fitted and updated.

        Which it is depends on their number alone, so that a campaign taken up again believes the same.
        """
        n = len(self.measured)
        if not self.possible:
            raise AgentError(f"a model needs {MIN_MEASURED} measured points, there are {n}")
        if self._model is None or self._model[0] != n:
            self._model = (n, self._updated(n))
        return self._model[1]

    def report(self) -> dict[str, float | str]:
        """Return what the current model says of its inference, without times."""
        model = self.model()
        if not isinstance(model, HasDiagnostics):
            return {}
        return {key: value for key, value in model.diagnostics().items() if not key.endswith("_s")}

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

    def _updated(self, n: int) -> Model:
        """Return the model of the scheduled fit before `n` points, updated by those since."""
        at = last_fit(n, self.refit)
        if self._fitted is not None and not isinstance(self._fitted[1], CanUpdate):
            at = n
        if self._fitted is None or self._fitted[0] != at:
            self._fitted = (at, self._fit(at))
        model = self._fitted[1]
        if at == n:
            return model
        X, Y, Yvar = self.data()
        if not isinstance(model, CanUpdate) or (Yvar is None) != (self.data(at)[2] is None):
            self._fitted = (n, self._fit(n))
            return self._fitted[1]
        with isolated(derive(self.seed, n, FIT)), blame(self.surrogate, f"updating {at} points with {n - at}"):
            model = model.update(X[at:], Y[at:], None if Yvar is None else Yvar[at:])
            with torch.no_grad():
                model.posterior(X[:1])
        return model

    def _fit(self, n: int) -> Model:
        X, Y, Yvar = self.data(n)
        seed = derive(self.seed, n, FIT)
        with isolated(seed), blame(self.surrogate, f"fitting {n} points"):
            model = self.surrogate(X, Y, Yvar, seed=seed)
            # Models cache on their first prediction, and the last bits of the cache depend on what is asked first.
            with torch.no_grad():
                model.posterior(X[:1])
        return model

    def _table(self, rows: Sequence[Sequence[float]]) -> Tensor:
        return torch.tensor(rows, dtype=torch.float64, device=self.device).reshape(len(rows), len(self.observables))

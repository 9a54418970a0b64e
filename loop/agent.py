"""The agent: search space, surrogate and acquisition put together into suggest / ingest."""

from __future__ import annotations

import hashlib
import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from botorch.acquisition.objective import PosteriorTransform, ScalarizedPosteriorTransform
from botorch.models.model import Model
from numpy.typing import NDArray
from torch import Tensor

from loop.acquisition.context import AcquisitionContext
from loop.acquisition.optimise import maximise_box, maximise_pool
from loop.acquisition.registry import DEFAULTS, Builder, blame, check_options, find
from loop.belief import AgentError, Belief
from loop.errors import PluginError, SpaceError
from loop.protocols import Acquisition, SearchSpace, Surrogate
from loop.records import Observation, Origin, Point, Prediction, Status, Suggestion
from loop.seeds import ACQUIRE, INITIAL, OPTIMISE, REFERENCE, derive, isolated
from loop.space import FiniteSpace

if TYPE_CHECKING:
    from loop.optimizer import AgentOptimizer


class Agent:
    """Decides what to measure next: the only stateful class of the decision side.

    The k-th suggestion is a function of the constructor's arguments, the outcomes ingested so far (in order), the points
    in flight and k; nothing else, the global random state included. So an agent is rebuilt from a journal by `register`
    and `ingest` alone, without fitting anything, and then suggests what the first one would have suggested.

    Only measured points reach the model. A lost point (failed, rejected, abandoned) is not suggested again: in a pool
    its sample is masked; in a box nothing within `exclusion` of it is suggested, and acquisitions see it as if it were
    still in flight, so that a whole corner that the instrument cannot reach does not attract one suggestion after the
    other.

    Parameters
    ----------
    space
        Where to measure.
    surrogate
        Fits a BoTorch model to the data so far.
    acquisition
        Name, ``module:Name`` or builder; the default depends on `direction`.
    observables
        Names of the measured values, the objective first.
    direction
        What the objective wants; None where there is no optimum to look for (map).
    n_initial
        Space-filling points before the model decides. A lost one is replaced, a manual one counts.
    seed
        Of everything random.
    acquisition_options
        Keyword arguments for the acquisition's builder.
    n_reference
        Points that represent a continuous space (or a pool larger than that) in the acquisition's context.
    exclusion
        How close to a lost point, or one in flight, a box may be measured: largest difference in a coordinate, as a
        fraction of its range.
    clock
        Seconds, for `Suggestion.decision_s`.

    Raises
    ------
    PluginError
        The acquisition cannot be found or does not take these options.
    AgentError
        Arguments that contradict each other.
    """

    def __init__(
        self,
        space: SearchSpace,
        surrogate: Surrogate,
        acquisition: str | Acquisition | None = None,
        *,
        observables: Sequence[str],
        direction: Literal["maximise", "minimise"] | None = None,
        n_initial: int = 8,
        seed: int = 0,
        acquisition_options: Mapping[str, Any] | None = None,
        n_reference: int = 256,
        exclusion: float = 0.01,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.space = space
        self.surrogate = surrogate
        self.observables = tuple(observables)
        self.direction = direction
        self.n_initial = n_initial
        self.seed = seed
        self.n_reference = n_reference
        self.exclusion = exclusion
        self.acquisition: Builder = find(acquisition or DEFAULTS["map" if direction is None else "optimise"])
        self.acquisition_options = dict(acquisition_options or {})
        check_options(self.acquisition, self.acquisition_options)
        if not self.observables or len(set(self.observables)) != len(self.observables):
            raise AgentError(f"expected at least one observable, names distinct; got {list(self.observables)}")
        if direction not in ("maximise", "minimise", None):
            raise AgentError(f"direction: expected 'maximise', 'minimise' or None, got {direction!r}")
        if seed < 0 or n_initial < 0 or n_reference < 1:
            raise AgentError(
                f"expected seed >= 0, n_initial >= 0 and n_reference >= 1; got {seed}, {n_initial} and {n_reference}"
            )
        self._clock = clock
        self._suggestions: dict[str, Suggestion] = {}
        self._outcomes: dict[str, Observation] = {}
        self._belief = Belief(space, surrogate, self.observables, seed)
        # Predictions for a display may be asked while a worker decides.
        self._lock = threading.RLock()

    # ---- what is known ------------------------------------------------------------------------------------------

    @property
    def suggestions(self) -> tuple[Suggestion, ...]:
        """Every suggestion, in order."""
        return tuple(self._suggestions.values())

    @property
    def observations(self) -> tuple[Observation, ...]:
        """Every outcome, in the order in which they came."""
        return tuple(self._outcomes.values())

    @property
    def measured(self) -> tuple[Observation, ...]:
        """The outcomes that the model learns from."""
        return tuple(self._belief.measured)

    @property
    def pending(self) -> tuple[Suggestion, ...]:
        """Suggestions whose outcome is not known yet."""
        return tuple(s for s in self._suggestions.values() if s.id not in self._outcomes)

    @property
    def remaining(self) -> int | None:
        """Samples of a pool that have not been suggested yet; None for a continuous space."""
        candidates = self.space.candidates
        return None if candidates is None else int(self._available(candidates).sum())

    # ---- suggest / ingest ---------------------------------------------------------------------------------------

    def suggest(self, n: int = 1) -> list[Suggestion]:
        """Decide on the next `n` points, each with those before it in flight.

        Returns
        -------
        suggestions
            Fewer than `n` (in the end none) when a pool has no more samples.

        Raises
        ------
        PluginError
            A surrogate or acquisition that is not ours failed; names it.
        """
        with self._lock:
            new: list[Suggestion] = []
            while len(new) < n and self.remaining != 0:
                suggestion = self._decide()
                self._suggestions[suggestion.id] = suggestion
                new.append(suggestion)
            return new

    def add(self, point: Point) -> Suggestion:
        """Enter a point that a person wants measured; it is in flight from now on.

        Raises
        ------
        SpaceError
            The point is not in the space.
        """
        with self._lock:
            start = self._clock()
            point = self.space.validate(point)
            suggestion = self._record(point, Origin.MANUAL, start, predict=self._belief.possible)
            self._suggestions[suggestion.id] = suggestion
            return suggestion

    def register(self, suggestion: Suggestion) -> None:
        """Take over a suggestion from a journal, without computing anything. One that is known already changes nothing.

        Raises
        ------
        AgentError
            It contradicts what is known: another point under the same id, or out of order.
        SpaceError
            Its point is not in the space.
        """
        with self._lock:
            known = self._suggestions.get(suggestion.id)
            if known is not None:
                if dict(known.point) != dict(suggestion.point):
                    raise AgentError(
                        f"suggestion {suggestion.id} is known with the point {dict(known.point)}, "
                        f"and now comes with {dict(suggestion.point)}: two campaigns in one journal?"
                    )
                return
            if suggestion.iteration != len(self._suggestions):
                raise AgentError(
                    f"suggestion {suggestion.id} is number {suggestion.iteration}, but {len(self._suggestions)} are "
                    "known: register them all, in order"
                )
            self.space.encode([suggestion.point])
            self._suggestions[suggestion.id] = suggestion

    def ingest(self, observation: Observation) -> None:
        """Learn how a suggestion ended. The model is fitted when it is next needed, not here.

        Raises
        ------
        AgentError
            An unknown suggestion, a second outcome for one, or a measured one without a finite value of each observable.
        """
        with self._lock:
            if observation.suggestion_id not in self._suggestions:
                raise AgentError(
                    f"an outcome came for suggestion {observation.suggestion_id!r}, which is unknown: register it first"
                )
            if observation.suggestion_id in self._outcomes:
                raise AgentError(f"suggestion {observation.suggestion_id} has an outcome already: each has one")
            if observation.status is Status.MEASURED:
                self._belief.check(observation)
                self._belief.measured.append(observation)
            self._outcomes[observation.suggestion_id] = observation

    def as_optimizer(self) -> AgentOptimizer:
        """Return this agent as a `blop.protocols.Optimizer`: points and outcomes as dictionaries with ``"_id"``."""
        from loop.optimizer import AgentOptimizer

        return AgentOptimizer(self)

    # ---- the model ----------------------------------------------------------------------------------------------

    def model(self) -> Model:
        """Return the model of all points measured so far; fitted once for each new one.

        Raises
        ------
        AgentError
            Fewer than two points are measured.
        PluginError
            A surrogate that is not ours failed.
        """
        with self._lock:
            return self._belief.model()

    def predict(self, points: Sequence[Point]) -> list[Prediction]:
        """Say what would be measured at each point: mean and sd, measurement noise included.

        Raises
        ------
        AgentError
            Fewer than two points are measured.
        """
        with self._lock:
            return self._belief.predict(self.space.encode(points)) if points else []

    # ---- deciding -----------------------------------------------------------------------------------------------

    def _decide(self) -> Suggestion:
        start = self._clock()
        lost = sum(o.status is not Status.MEASURED for o in self._outcomes.values())
        if len(self._suggestions) - lost < self.n_initial or not self._belief.possible:
            return self._record(self._space_filling(), Origin.INITIAL, start, predict=False)
        k = len(self._suggestions)
        model = self.model()
        context = self._context(k)
        with isolated(derive(self.seed, k, ACQUIRE)), blame(self.acquisition, f"deciding on suggestion {k}"):
            acquisition = self.acquisition(model, context, **self.acquisition_options)
            if not callable(acquisition):
                raise PluginError(f"expected an AcquisitionFunction, got {type(acquisition).__name__}")
            candidates = self.space.candidates
            if candidates is not None:
                row, value = maximise_pool(acquisition, candidates, self._available(candidates))
                point = self._pool().at(row)
            else:
                x, value = maximise_box(
                    acquisition,
                    self.space,
                    seed=derive(self.seed, k, OPTIMISE),
                    avoid=context.X_pending,
                    radius=self.exclusion,
                )
                (point,) = self.space.decode(x.unsqueeze(0))
        return self._record(point, Origin.ACQUISITION, start, predict=True, value=value)

    def _record(
        self, point: Point, origin: Origin, start: float, *, predict: bool, value: float | None = None
    ) -> Suggestion:
        k = len(self._suggestions)
        prediction = self.predict([point])[0] if predict else None
        return Suggestion(
            id=f"{k:04d}-{hashlib.sha256(f'{self.seed}:{k}'.encode()).hexdigest()[:8]}",
            iteration=k,
            point=point,
            origin=origin,
            prediction=prediction,
            acquisition_value=value if value is not None and math.isfinite(value) else None,
            based_on=len(self._outcomes),
            pending=tuple(s.id for s in self.pending),
            decision_s=self._clock() - start,
        )

    def _space_filling(self) -> Point:
        """First point of the space-filling sequence that has not been suggested yet."""
        used = [dict(s.point) for s in self._suggestions.values()]
        n = max(self.n_initial, len(used) + 1)
        if self.space.candidates is not None:
            n = min(n, len(self.space.candidates))
        sequence = self.space.initial(n, seed=derive(self.seed, INITIAL))
        fresh = [p for p in sequence if dict(p) not in used]
        if fresh:
            return fresh[0]
        # Only a space whose sequence depends on its length comes here.
        unused = (p for p in self.space.random(n, seed=derive(self.seed, len(used), INITIAL)) if dict(p) not in used)
        return next(unused)

    def _context(self, k: int) -> AcquisitionContext:
        X, Y, _ = self._belief.data()
        transform = self._transform()
        unknown = [s.point for s in self._suggestions.values() if self._is_unknown(s)]
        sign = -1.0 if self.direction == "minimise" else 1.0
        return AcquisitionContext(
            train_X=X,
            train_Y=Y,
            X_pending=self.space.encode(unknown) if unknown else None,
            reference=self._reference(derive(self.seed, k, REFERENCE)),
            direction=self.direction,
            best_f=None if self.direction is None else float((sign * Y[:, 0]).max()),
            posterior_transform=transform,
            seed=derive(self.seed, k, ACQUIRE),
        )

    def _is_unknown(self, suggestion: Suggestion) -> bool:
        outcome = self._outcomes.get(suggestion.id)
        return outcome is None or outcome.status is not Status.MEASURED

    def _transform(self) -> PosteriorTransform | None:
        if len(self.observables) == 1 and self.direction != "minimise":
            return None
        weights = torch.zeros(len(self.observables), dtype=torch.float64)
        weights[0] = -1.0 if self.direction == "minimise" else 1.0
        return ScalarizedPosteriorTransform(weights)

    def _reference(self, seed: int) -> Tensor:
        candidates = self.space.candidates
        if candidates is None:
            return self.space.encode(self.space.initial(self.n_reference, seed=seed))
        if len(candidates) <= self.n_reference:
            return candidates
        rows = np.random.default_rng(seed).choice(len(candidates), self.n_reference, replace=False)
        return candidates[np.sort(rows)]

    # ---- pools --------------------------------------------------------------------------------------------------

    def _pool(self) -> FiniteSpace:
        if not isinstance(self.space, FiniteSpace):
            raise SpaceError(f"{type(self.space).__name__} has candidates, so it needs at(row) and index(point) too")
        return self.space

    def _available(self, candidates: Tensor) -> NDArray[np.bool_]:
        pool = self._pool()
        available = np.ones(len(candidates), dtype=np.bool_)
        available[[pool.index(s.point) for s in self._suggestions.values()]] = False
        return available

"""The agent: search space, surrogate and acquisition put together into suggest / ingest."""

from __future__ import annotations

import hashlib
import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import torch
from botorch.models.model import Model

from loop.acquisition.context import AcquisitionContext, best_value, objective_transform, reference_points
from loop.acquisition.optimise import OnDevice, maximise_box, maximise_pool
from loop.acquisition.registry import DEFAULTS, Builder, blame, check_options, find
from loop.belief import AgentError, Belief
from loop.errors import PluginError
from loop.ledger import Ledger
from loop.protocols import Acquisition, SearchSpace, Surrogate
from loop.records import Cause, Observation, Origin, Point, Prediction, Status, Suggestion
from loop.seeds import ACQUIRE, OPTIMISE, REFERENCE, derive, isolated
from loop.space import finite

if TYPE_CHECKING:
    from loop.optimizer import AgentOptimizer


class Agent:
    """Decides what to measure next: the only stateful class of the decision side.

    The k-th suggestion is a function of the constructor's arguments, the outcomes ingested so far (in order), the
    points in flight or added, and k; of nothing else, the global random state included. So an agent is rebuilt from a
    journal by `register` and `ingest` alone, without fitting, and then suggests what the first one would have.

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
        Space-filling points before the model decides. Lost ones are replaced; manual ones count, reactions' do not.
    seed
        Of everything random.
    acquisition_options
        Keyword arguments for the acquisition's builder.
    n_reference
        Points that represent a continuous space (or a pool larger than that) in the acquisition's context.
    refit
        The model is fitted anew once the points have grown by this fraction since the last fit, and updated in
        between where the surrogate can (`loop.protocols.CanUpdate`); 0 fits it at every point.
    exclusion
        How close to a lost point, or one in flight, a box may be measured: largest difference in a coordinate, as a
        fraction of its range.
    device
        Where surrogate and acquisition compute (``"cpu"``, ``"cuda"``); points stay on the CPU.
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
        n_reference: int = 128,
        refit: float = 0.0,
        exclusion: float = 0.01,
        device: str = "cpu",
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
        self.device = torch.device(device)
        self.acquisition: Builder = find(acquisition or DEFAULTS["map" if direction is None else "optimise"])
        self.acquisition_options = dict(acquisition_options or {})
        check_options(self.acquisition, self.acquisition_options, direction=direction)
        if not self.observables or len(set(self.observables)) != len(self.observables):
            raise AgentError(f"expected at least one observable, names distinct; got {list(self.observables)}")
        if direction not in ("maximise", "minimise", None):
            raise AgentError(f"direction: expected 'maximise', 'minimise' or None, got {direction!r}")
        if seed < 0 or n_initial < 0 or n_reference < 1 or not 0 <= refit < math.inf:
            raise AgentError(
                "expected seed, n_initial and refit >= 0 and n_reference >= 1; got "
                f"{seed}, {n_initial}, {refit} and {n_reference}"
            )
        self._clock = clock
        self._ledger = Ledger()
        self._belief = Belief(space, surrogate, self.observables, seed, refit, self.device)
        # Predictions for a display may be asked while a worker decides.
        self._lock = threading.RLock()

    @property
    def suggestions(self) -> tuple[Suggestion, ...]:
        """Every suggestion, in order."""
        return tuple(self._ledger.suggestions.values())

    @property
    def observations(self) -> tuple[Observation, ...]:
        """Every outcome, in the order in which they came."""
        return tuple(self._ledger.outcomes.values())

    @property
    def measured(self) -> tuple[Observation, ...]:
        """The outcomes that the model learns from."""
        return tuple(self._belief.measured)

    @property
    def pending(self) -> tuple[Suggestion, ...]:
        """Suggestions whose outcome is not known yet."""
        return self._ledger.in_flight

    @property
    def remaining(self) -> int | None:
        """Samples of a pool that have not been suggested yet; None for a continuous space."""
        candidates = self.space.candidates
        return None if candidates is None else int(self._ledger.available(self.space).sum())

    def suggest(self, n: int = 1) -> list[Suggestion]:
        """Decide on the next `n` points, each with those before it in flight.

        A pool that runs out of samples gives fewer than `n`, in the end none.

        Raises
        ------
        PluginError
            A surrogate or acquisition that is not ours failed; names it.
        """
        with self._lock:
            new: list[Suggestion] = []
            while len(new) < n and self.remaining != 0:
                suggestion = self._decide()
                self._ledger.register(suggestion)
                new.append(suggestion)
            return new

    def add(self, point: Point, *, cause: Cause | None = None, exposure_s: float | None = None) -> Suggestion:
        """Enter a point that a person wants measured, or a reaction (`cause`); it is in flight from now on.

        Raises
        ------
        SpaceError
            The point is not in the space.
        """
        with self._lock:
            start, point = self._clock(), self.space.validate(point)
            origin = Origin.MANUAL if cause is None else Origin.REACTION
            suggestion = self._record(point, origin, start, predict=self._belief.possible)
            suggestion = replace(suggestion, cause=cause, exposure_s=exposure_s)
            self._ledger.register(suggestion)
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
            self.space.encode([suggestion.point])
            self._ledger.register(suggestion)

    def ingest(self, observation: Observation) -> None:
        """Learn how a suggestion ended. The model is fitted when it is next needed, not here.

        Raises
        ------
        AgentError
            An unknown suggestion, a second outcome for one, or a measured one that lacks a finite value.
        """
        with self._lock:
            self._ledger.check(observation)
            if observation.status is Status.MEASURED:
                self._belief.check(observation)
                self._belief.measured.append(observation)
            self._ledger.outcomes[observation.suggestion_id] = observation

    def as_optimizer(self) -> AgentOptimizer:
        """Return this agent as a `blop.protocols.Optimizer`: points and outcomes as dictionaries with ``"_id"``."""
        from loop.optimizer import AgentOptimizer

        return AgentOptimizer(self)

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
        """Say what would be measured at each point: mean and sd, measurement noise included. Raises as `model`."""
        with self._lock:
            return self._belief.predict(self.space.encode(points)) if points else []

    def _decide(self) -> Suggestion:
        start = self._clock()
        if self._ledger.spread < self.n_initial or not self._belief.possible:
            point = self._ledger.space_filling(self.space, self.n_initial, self.seed)
            return self._record(point, Origin.INITIAL, start, predict=False)
        k = len(self._ledger.suggestions)
        model = self.model()
        context = self._context(k)
        with isolated(derive(self.seed, k, ACQUIRE)), blame(self.acquisition, f"deciding on suggestion {k}"):
            acquisition = self.acquisition(model, context, **self.acquisition_options)
            if not callable(acquisition):
                raise PluginError(f"expected an AcquisitionFunction, got {type(acquisition).__name__}")
            if self.device.type != "cpu":
                acquisition = OnDevice(acquisition, self.device)
            candidates = self.space.candidates
            if candidates is not None:
                row, value = maximise_pool(acquisition, candidates, self._ledger.available(self.space))
                point = finite(self.space).at(row)
            else:
                x, value = maximise_box(
                    acquisition,
                    self.space,
                    seed=derive(self.seed, k, OPTIMISE),
                    avoid=None if context.X_pending is None else context.X_pending.cpu(),
                    radius=self.exclusion,
                )
                (point,) = self.space.decode(x.unsqueeze(0))
        return self._record(point, Origin.ACQUISITION, start, predict=True, value=value)

    def _record(
        self, point: Point, origin: Origin, start: float, *, predict: bool, value: float | None = None
    ) -> Suggestion:
        k = len(self._ledger.suggestions)
        prediction = self.predict([point])[0] if predict else None
        return Suggestion(
            id=f"{k:04d}-{hashlib.sha256(f'{self.seed}:{k}'.encode()).hexdigest()[:8]}",
            iteration=k,
            point=point,
            origin=origin,
            prediction=prediction,
            acquisition_value=value if value is not None and math.isfinite(value) else None,
            based_on=len(self._ledger.outcomes),
            pending=tuple(s.id for s in self.pending),
            model=self._belief.report() if predict else {},
            decision_s=self._clock() - start,
        )

    def _context(self, k: int) -> AcquisitionContext:
        X, Y, _ = self._belief.data()
        unknown = [s.point for s in self._ledger.unknown]
        reference = reference_points(self.space, self.n_reference, seed=derive(self.seed, k, REFERENCE))
        transform = objective_transform(len(self.observables), self.direction)
        return AcquisitionContext(
            train_X=X,
            train_Y=Y,
            X_pending=self.space.encode(unknown).to(self.device) if unknown else None,
            reference=reference.to(self.device),
            direction=self.direction,
            best_f=best_value(Y, self.direction),
            posterior_transform=None if transform is None else transform.to(self.device),
            seed=derive(self.seed, k, ACQUIRE),
        )

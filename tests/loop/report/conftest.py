"""Small worlds with a known truth, a Gaussian process with fixed hyper-parameters, and campaigns run in them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from botorch.models import SingleTaskGP
from botorch.models.transforms import Standardize
from gpytorch.kernels import RBFKernel, ScaleKernel

from loop.history import History, Step
from loop.records import Observation, Origin, Point, Prediction, Status, Suggestion
from loop.space import BoxSpace, Continuous, PoolSpace

OBSERVABLE = "invariant"
Q = np.geomspace(0.01, 0.3, 80)


@dataclass
class Evaluation:
    accepted: bool = True
    reason: str = ""
    values: Mapping[str, float] = field(default_factory=dict)
    sds: Mapping[str, float] = field(default_factory=dict)
    curve: Any = None


class World:
    """An experiment that knows the truth and can be sampled offline; satisfies the loop's protocols."""

    observables = (OBSERVABLE,)

    def __init__(
        self,
        truth: Callable[[np.ndarray], np.ndarray],
        names: Sequence[str],
        *,
        noise: float = 0.02,
        bad: Sequence[str] = (),
    ) -> None:
        self.function, self.names, self.noise, self.bad = truth, tuple(names), noise, tuple(bad)

    def truth(self, points: Sequence[Point]) -> Mapping[str, np.ndarray]:
        x = np.array([[float(p[n]) for n in self.names] for p in points])
        values = self.function(x)
        values[[str(p.get("sample")) in self.bad for p in points]] = np.nan
        return {OBSERVABLE: values}

    def sample(self, point: Point, *, frame_number: int) -> Evaluation:
        value = float(self.truth([point])[OBSERVABLE][0])
        if np.isnan(value):
            return Evaluation(accepted=False, reason="the beam missed the sample")
        noise = float(np.random.default_rng(frame_number).normal(0, self.noise))
        return Evaluation(values={OBSERVABLE: value + noise}, sds={OBSERVABLE: self.noise}, curve=curve(value))

    def evaluate(self, documents: Sequence[tuple[str, Mapping[str, Any]]]) -> Evaluation:
        data = next(doc["data"] for name, doc in documents if name == "event")
        return Evaluation(values={OBSERVABLE: data["value"]}, sds={OBSERVABLE: self.noise}, curve=curve(data["value"]))

    def check(self, points: Sequence[Point]) -> None:
        self.truth(points)

    def restore(self, runs: Sequence[Any]) -> None:
        assert isinstance(runs, tuple)

    def prepare(self) -> Any:
        yield from ()

    def measure(self, point: Point, *, frame_number: int, metadata: Mapping[str, Any]) -> Any:
        yield from ()

    def finish(self) -> Any:
        yield from ()

    def describe(self) -> Mapping[str, Any]:
        return {
            "distance_mm": 3000.0,
            "kind": "simulated",
            "observables": {OBSERVABLE: {"unit": "1/cm", "description": "integral of q² I(q)"}},
            "citation": "Nobody, J. Invented Data <1>, 2026",
            "licence": "CC-BY-4.0",
        }


def curve(value: float) -> Any:
    radius = 60.0
    intensity = 5.0 * abs(value) * np.exp(-((Q * radius) ** 2) / 5) + 2e-7 * Q**-4 + 0.02
    sigma = 0.03 * intensity + 0.004
    return SimpleNamespace(q=Q, intensity=intensity + sigma * np.random.default_rng(3).normal(size=Q.size), sigma=sigma)


class FixedGP:
    """Agent with a Gaussian process whose hyper-parameters are given: exact, and fast."""

    observables = (OBSERVABLE,)

    def __init__(self, space: Any, *, lengthscale: float, direction: Any = None) -> None:
        self.space, self.lengthscale, self.direction = space, lengthscale, direction
        self.seen: dict[str, Suggestion] = {}
        self.known: list[Observation] = []

    def register(self, suggestion: Suggestion) -> None:
        assert suggestion.iteration == len(self.seen), "out of order"
        self.seen[suggestion.id] = suggestion

    def ingest(self, observation: Observation) -> None:
        assert observation.suggestion_id in self.seen
        if observation.status is Status.MEASURED:
            self.known.append(observation)

    def model(self) -> SingleTaskGP:
        X = self.space.encode([o.point for o in self.known])
        Y = torch.tensor([[o.values[OBSERVABLE]] for o in self.known], dtype=torch.float64)
        V = torch.tensor([[o.sds[OBSERVABLE] ** 2] for o in self.known], dtype=torch.float64)
        kernel = ScaleKernel(RBFKernel())
        kernel.outputscale = 1.0
        kernel.base_kernel.lengthscale = self.lengthscale
        model = SingleTaskGP(X, Y, V, covar_module=kernel, outcome_transform=Standardize(1))
        return model.eval()


@dataclass
class Campaign:
    """What `analyse` takes."""

    history: History
    factory: Callable[[], FixedGP]
    experiment: World


def measured_run(point: Point, value: float, start: float, seconds: float = 1.2) -> tuple[Any, ...]:
    return (
        ("start", {"uid": f"run-{start}", "time": start, "point": dict(point)}),
        ("descriptor", {"uid": f"descriptor-{start}", "run_start": f"run-{start}", "time": start, "name": "primary"}),
        (
            "event",
            {"uid": f"event-{start}", "descriptor": f"descriptor-{start}", "time": start, "data": {"value": value}},
        ),
        ("stop", {"run_start": f"run-{start}", "time": start + seconds, "exit_status": "success"}),
    )


def run_campaign(
    world: World,
    factory: Callable[[], FixedGP],
    points: int,
    *,
    initial: int = 8,
    refused: Mapping[int, tuple[Status, str]] | None = None,
    in_flight: bool = False,
) -> Campaign:
    """Measure where the model is least certain (or most promising), predictions recorded before each measurement."""
    agent, steps, clock = factory(), [], 1_790_000_000.0
    rng = np.random.default_rng(11)
    first = agent.space.initial(initial, seed=5)
    for k in range(points):
        prediction = None
        point = first[k] if k < initial else None
        if point is None:
            pool = agent.space.candidates is not None
            options = agent.space.random(len(agent.space.candidates) if pool else 256, seed=k)
            taken = [dict(s.point) for s in agent.seen.values()]
            options = [p for p in options if dict(p) not in taken]
            with torch.no_grad():
                model = agent.model()
                posterior = model.posterior(agent.space.encode(options).unsqueeze(-2))
            mean, sd = posterior.mean.flatten().numpy(), posterior.variance.sqrt().flatten().numpy()
            sign = {None: 0.0, "maximise": 1.0, "minimise": -1.0}[agent.direction]
            i = int(np.argmax(sign * mean + (2 if sign else 1) * sd))
            point = options[i]
            prediction = Prediction({OBSERVABLE: float(mean[i])}, {OBSERVABLE: float(np.hypot(sd[i], world.noise))})
        origin = Origin.INITIAL if prediction is None else Origin.ACQUISITION
        suggestion = Suggestion(f"s{k:03d}", k, point, origin, prediction, decision_s=0.15 + 0.01 * rng.random())
        agent.register(suggestion)
        evaluation = world.sample(point, frame_number=k)
        status, reason = (refused or {}).get(k, (Status.MEASURED, ""))
        if not evaluation.accepted:
            status, reason = Status.REJECTED, evaluation.reason
        good = status is Status.MEASURED
        observation = Observation(
            suggestion.id,
            point,
            status,
            values=evaluation.values if good else {},
            sds=evaluation.sds if good else {},
            reason=reason,
            attempts=1 if good else 2,
        )
        agent.ingest(observation)
        runs = (measured_run(point, observation.values.get(OBSERVABLE, 0.0), clock),)
        steps.append(Step(suggestion, observation, runs, idle_s=0.02))
        clock += 1.5
    if in_flight:
        steps.append(Step(Suggestion("last", points, first[0], Origin.INITIAL)))
    history = History(
        name="annealing <demo>",
        config={"name": "annealing", "seed": 7, "objective": {"kind": "map"}, "description": "A map & its boundary."},
        metadata={"seed": 7, "config_hash": "9f2b77c0", "versions": {"beamloop": "0.1.0", "torch": "2.13.0"}},
        steps=tuple(steps),
        started=1_790_000_000.0,
        elapsed_s=1.5 * points + 1.0,
        stop_reason=f"{points} points",
        frames=points,
    )
    return Campaign(history, factory, world)


def boundary(x: np.ndarray) -> np.ndarray:
    """An observable over temperature (°C) and composition with a phase boundary."""
    temperature, composition = x[:, 0], x[:, 1]
    edge = 1 / (1 + np.exp(-(temperature - 480 - 260 * composition) / 30))
    return 0.25 + 0.75 * edge * (1 - 0.4 * composition) + 0.1 * np.sin(temperature / 90)


def plane_space() -> BoxSpace:
    return BoxSpace([Continuous("temperature", 300.0, 900.0, "degC"), Continuous("composition", 0.0, 1.0, "fraction")])


@pytest.fixture(scope="session")
def map_campaign() -> Campaign:
    """A map in two dimensions, with a rejected and a failed point."""
    space = plane_space()
    refused = {
        17: (Status.REJECTED, "83 % of the pixels are saturated, 5 % allowed"),
        30: (Status.FAILED, "stage did not arrive within 30 s"),
    }
    world = World(boundary, space.names)
    return run_campaign(world, lambda: FixedGP(space, lengthscale=0.2), 45, refused=refused)


@pytest.fixture(scope="session")
def series_campaign() -> Campaign:
    """A pool along one axis."""
    x = np.sort(np.random.default_rng(2).uniform(0.1, 40, 60))
    space = PoolSpace([f"row{i}" for i in range(60)], x[:, None], ["concentration"], ["mg/mL"])
    world = World(lambda v: 0.4 + 0.5 * np.tanh((v[:, 0] - 18) / 6), space.names)
    return run_campaign(world, lambda: FixedGP(space, lengthscale=0.2), 15, initial=5)


@pytest.fixture(scope="session")
def pool_campaign() -> Campaign:
    """A pool with three features of which the smallest value is sought, and with bad samples in it."""
    features = np.random.default_rng(4).uniform(0, 1, (150, 3))
    ids = [f"c{i:03d}" for i in range(150)]
    space = PoolSpace(ids, features, ["teos", "ammonia", "water"], ["mmol/L", "mol/L", "mol/L"])
    world = World(
        lambda v: np.linalg.norm(v - [0.3, 0.7, 0.4], axis=1),
        space.names,
        noise=0.01,
        bad=[f"c{i:03d}" for i in (3, 8, 40, 77)],
    )
    return run_campaign(world, lambda: FixedGP(space, lengthscale=0.5, direction="minimise"), 30)


@pytest.fixture(scope="session")
def cube_campaign() -> Campaign:
    """Four dimensions, maximised."""
    space = BoxSpace([Continuous(f"p{i}", 0.0, 10.0, "mm") for i in range(4)])
    world = World(lambda v: np.exp(-np.sum((v - 6) ** 2, axis=1) / 40), space.names)
    return run_campaign(world, lambda: FixedGP(space, lengthscale=0.6, direction="maximise"), 20)


@pytest.fixture(scope="session")
def line_campaign() -> Campaign:
    """One dimension, unfinished."""
    space = BoxSpace([Continuous("position", -5.0, 5.0, "mm")])
    world = World(lambda v: 0.5 + 0.4 * np.sin(v[:, 0]), space.names)
    return run_campaign(world, lambda: FixedGP(space, lengthscale=0.2), 12, initial=4, in_flight=True)

"""A small, fast simulated beamline, and a guard against threads that outlive their test."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from bluesky import RunEngine

from instruments.observables import make_observable
from instruments.quality import QualityGate
from instruments.simulated import SimulatedExperiment
from simulators.instrument import InstrumentModel
from simulators.scenarios import make_scenario

Docs = list[tuple[str, dict[str, Any]]]


@pytest.fixture(autouse=True)
def no_thread_outlives_its_test() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    deadline = time.monotonic() + 3.0
    while left := [
        thread for thread in set(threading.enumerate()) - before if not thread.name.startswith("bluesky-run-engine")
    ]:
        assert time.monotonic() < deadline, f"still alive: {left}"
        time.sleep(0.005)


@pytest.fixture
def engine() -> RunEngine:
    """A RunEngine that keeps what it emits in `engine.documents`."""
    run_engine = RunEngine({})
    run_engine.documents = []
    run_engine.subscribe(lambda name, doc: run_engine.documents.append((name, doc)))
    return run_engine


@pytest.fixture(scope="session")
def instrument() -> InstrumentModel:
    """120 x 100 large pixels: a frame takes a millisecond."""
    return InstrumentModel(
        shape=(120, 100), beam_centre_px=(15.2, 12.7), pixel_mm=0.6, module_rows=50, gap_px=4, n_hot=2, n_dead=3
    )


@pytest.fixture
def make_experiment(tmp_path: Path, instrument: InstrumentModel) -> Callable[..., SimulatedExperiment]:
    def make(**options: Any) -> SimulatedExperiment:
        settings: dict[str, Any] = {
            "frames": tmp_path / "frames",
            "quality": QualityGate(q_low=0.014, q_high=0.1, min_points=15),
            "observables": {
                "invariant": make_observable("invariant", q_min=0.015, q_max=0.15, log10=True),
                "low_q": make_observable("band", q_min=0.015, q_max=0.05),
            },
            "reduction": {"n_bins": 60},
            "exposure_s": 0.2,
            "background_frames": 2,
            "seed": 7,
            "time_scale": 0.0,
            **options,
        }
        return SimulatedExperiment(make_scenario("annealing"), instrument, **settings)

    return make


@pytest.fixture
def experiment(make_experiment: Callable[..., SimulatedExperiment]) -> SimulatedExperiment:
    return make_experiment()


@pytest.fixture
def point() -> dict[str, float]:
    return {"anneal_temperature": 500.0, "x": 4.0}

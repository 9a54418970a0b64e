"""Pairs of a theory and an experiment, for `pbnn_transfer.py`.

* ``band_gap``: PBE gaps of the Materials Project to measured gaps, compositions described by their elements. Every
  chemical system of the test part is left out of the theory as well.
* ``freesolv``: computed to measured hydration free energies; the theory leaves the test molecules out. With
  ``freesolv_all`` the theory knows what is computed for the test molecules too (no measured value of theirs): a
  calculation can be had for every candidate, which is the usual situation.
* ``annealing``, ``particle_growth``: the scenarios' "theory" to their "truth" on the simulated beamline. A measured
  value is the campaign's observable of a simulated frame with its error bar; the theory's is free of noise.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import load
from offline import build
from torch import Tensor

from loop.config.load import parse_config
from simulators.scenarios import make_scenario

TEST_SHARE = 0.25
POOL, TEST, THEORY = 500, 300, 2048
"""Points of a scenario: measured to learn from, measured to test, and of the theory."""
BAND = (0.01, 0.05)
"""1/Å, of the observable that configs/demo.yaml has."""
_UNITS = {"°C": "degC"}


@dataclass(frozen=True, eq=False)
class Theory:
    """What networks are pretrained on."""

    X: Tensor
    Y: Tensor
    """``(n, d)`` and ``(n, 1)``."""
    groups: list[str] | None
    options: dict[str, Any]
    """Of `surrogates.pretraining.pretrain`."""


@dataclass(frozen=True, eq=False)
class Task:
    """One pair; all inputs in the unit cube."""

    name: str
    X: Tensor
    Y: Tensor
    Yvar: Tensor | None
    """``(n, d)``, ``(n, 1)``: what may be measured."""
    X_test: Tensor
    Y_test: Tensor
    Yvar_test: Tensor | None
    truth_test: Tensor
    """``(t, 1)``: what RMSE is against; the measured value where the truth is not known."""
    theory: Theory
    others: dict[str, Theory]
    """Theories of something else, with as many inputs."""


def _tensor(values: np.ndarray) -> Tensor:
    values = np.asarray(values, dtype=float)
    return torch.from_numpy(np.ascontiguousarray(values if values.ndim == 2 else values[:, None]))


def _test_rows(groups: np.ndarray, split: int) -> np.ndarray:
    names = np.unique(groups)
    chosen = np.random.default_rng([split, 7]).permutation(names)[: max(1, round(TEST_SHARE * len(names)))]
    return np.isin(groups, chosen)


def band_gap(data: Path | None, split: int, quick: bool) -> Task:
    """Compute both sets' features from composition alone, scaled as those of the measured set."""
    measured = load("band_gap_expt", data)
    theory = load("band_gap_dft_mp", data).rescaled(measured.scaling)
    test = _test_rows(measured.groups, split)
    rows = np.flatnonzero(~np.isin(theory.groups, measured.groups[test]))
    if quick:
        rows = np.random.default_rng(0).permutation(rows)[:8000]
    return Task(
        "band_gap",
        _tensor(measured.X[~test]),
        _tensor(measured.y[~test]),
        None,
        _tensor(measured.X[test]),
        _tensor(measured.y[test]),
        None,
        _tensor(measured.y[test]),
        Theory(
            _tensor(theory.X[rows]),
            _tensor(theory.y[rows]),
            theory.groups[rows].tolist(),
            {"epochs": 10 if quick else 30, "batch_size": 1024, "noise_sd": 0.5},
        ),
        {},
    )


def _freesolv(name: str, data: Path | None, split: int, everything: bool) -> Task:
    table = load("freesolv", data)
    test = _test_rows(table.groups, split)
    rows = np.isfinite(table.y_low) & (everything | ~test)
    return Task(
        name,
        _tensor(table.X[~test]),
        _tensor(table.y[~test]),
        None,
        _tensor(table.X[test]),
        _tensor(table.y[test]),
        None,
        _tensor(table.y[test]),
        Theory(
            _tensor(table.X[rows]),
            _tensor(table.y_low[rows]),
            table.groups[rows].tolist(),
            {"epochs": 600, "batch_size": 256, "noise_sd": 0.2},
        ),
        {},
    )


def freesolv(data: Path | None, split: int, quick: bool) -> Task:
    """Leave the test molecules out of the theory."""
    return _freesolv("freesolv", data, split, everything=False)


def freesolv_all(data: Path | None, split: int, quick: bool) -> Task:
    """Let the theory know all molecules."""
    return _freesolv("freesolv_all", data, split, everything=True)


def _campaign(kind: str, variant: str, seed: int) -> Any:
    """Compose a campaign on a scenario whose observable is that of the demo."""
    parameters = make_scenario(kind).parameters
    lines = [f"name: {kind}", f"seed: {seed}", "objective: {kind: map, observable: band}"]
    lines += [f"observables: {{band: {{kind: band, options: {{q_min: {BAND[0]}, q_max: {BAND[1]}}}}}}}"]
    lines += ["space:", "  kind: box", "  parameters:"]
    for p in parameters:
        unit = _UNITS.get(p.unit, p.unit)
        lines += [f"    {p.name}: {{low: {p.low}, high: {p.high}, unit: {unit}, device: set_{p.name}}}"]
    lines += ["stopping: {points: 20}", f"quality: {{q_low: {BAND[0]}, q_high: {BAND[1]}}}"]
    lines += ["storage: {tiled: none}", "beamline:", "  kind: simulated"]
    lines += [f"  scenario: {{kind: {kind}, options: {{variant: {variant}}}}}"]
    lines += ["  instrument: {distance_mm: 2000, wavelength_A: 1.0}", "  devices:"]
    for p in parameters:
        unit = _UNITS.get(p.unit, p.unit)
        lines += [f"    set_{p.name}: {{kind: motor, low: {p.low}, high: {p.high}, unit: {unit}}}"]
    return build(parse_config("\n".join(lines)))


def _theory(kind: str, quick: bool) -> Theory:
    parts = _campaign(kind, "theory", 0)
    engine = torch.quasirandom.SobolEngine(len(parts.space.names), scramble=True, seed=0)
    X = engine.draw(512 if quick else THEORY, dtype=torch.float64)
    values = np.asarray(parts.experiment.truth(parts.space.decode(X))["band"])
    good = np.isfinite(values)
    return Theory(X[torch.from_numpy(good)], _tensor(values[good]), None, {"epochs": 60 if quick else 200})


def _scenario(kind: str, other: str, split: int, quick: bool) -> Task:
    parts = _campaign(kind, "truth", split)
    size = (POOL + TEST) // (4 if quick else 1)
    X = torch.rand(size, len(parts.space.names), generator=torch.Generator().manual_seed(split), dtype=torch.float64)
    points = parts.space.decode(X)
    values, sds = np.full(size, np.nan), np.full(size, np.nan)
    for i, point in enumerate(points):
        found = parts.experiment.sample(point, frame_number=i)
        if found.accepted:
            values[i], sds[i] = found.values["band"], found.sds["band"]
    truth = np.asarray(parts.experiment.truth(points)["band"])
    good = np.flatnonzero(np.isfinite(values) & np.isfinite(sds) & np.isfinite(truth))
    n_test = TEST * len(good) // (POOL + TEST)
    test, pool = good[:n_test], good[n_test:]
    return Task(
        kind,
        X[pool],
        _tensor(values[pool]),
        _tensor(sds[pool] ** 2),
        X[test],
        _tensor(values[test]),
        _tensor(sds[test] ** 2),
        _tensor(truth[test]),
        _theory(kind, quick),
        {"other": _theory(other, quick)},
    )


def annealing(data: Path | None, split: int, quick: bool) -> Task:
    """Take the wafer of the demo."""
    return _scenario("annealing", "particle_growth", split, quick)


def particle_growth(data: Path | None, split: int, quick: bool) -> Task:
    """Take growing silica particles."""
    return _scenario("particle_growth", "annealing", split, quick)


TASKS: dict[str, Callable[[Path | None, int, bool], Task]] = {
    "band_gap": band_gap,
    "freesolv": freesolv,
    "freesolv_all": freesolv_all,
    "annealing": annealing,
    "particle_growth": particle_growth,
}

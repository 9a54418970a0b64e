"""What the PBNN benchmarks share: regression tasks, scores of a density, effective sample sizes, a result file.

Tasks: Hartmann-6, and a 2-D phase map with a sharp border, both with noise sd 0.1, uniform training points that are
nested prefixes of one stream a seed, and 1000 fixed test points; and any table with columns ``x1 ... xd`` and ``y``.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
import torch
from botorch.test_functions import Hartmann
from torch import Tensor

NOISE_SD = 0.1
N_TEST = 1000
STREAM = 200
"""Points a seed's stream holds."""
EXTRA = 5
"""Further measurements, drawn apart, to update with."""


@dataclass(frozen=True)
class Data:
    """One draw of a task, float64: inputs in the unit cube, values in original units.

    ``X (n, d)``, ``Y (n, 1)``, ``X_extra (EXTRA, d)`` and ``Y_extra (EXTRA, 1)``, ``X_test (k, d)``, ``y_test (k,)``
    noisy, ``truth (k,)`` what RMSE is taken against (without noise where that is known).
    """

    X: Tensor
    Y: Tensor
    X_extra: Tensor
    Y_extra: Tensor
    X_test: Tensor
    y_test: Tensor
    truth: Tensor


class Task(Protocol):
    """A regression task that can be drawn for a seed and a number of training points."""

    @property
    def name(self) -> str:
        """Name in tables and result files."""
        ...

    def sizes(self, wanted: Sequence[int]) -> list[int]:
        """Those of the wanted numbers of training points that the task has data for."""
        ...

    def draw(self, seed: int, n: int) -> Data:
        """Training points (the first n of the seed's stream) and test points."""
        ...


@dataclass(frozen=True)
class FunctionTask:
    """A known function on the unit cube with Gaussian noise."""

    name: str
    function: Callable[[Tensor], Tensor]
    d: int

    def sizes(self, wanted: Sequence[int]) -> list[int]:
        """All up to the stream's length."""
        return [n for n in wanted if n <= STREAM]

    def draw(self, seed: int, n: int) -> Data:
        """Draw uniform points; the test points are the same for all seeds."""
        X, Y, _ = self._points(seed, STREAM)
        X_extra, Y_extra, _ = self._points(seed + 10**6, EXTRA)
        X_test, y_test, truth = self._points(9999, N_TEST)
        return Data(X[:n], Y[:n], X_extra, Y_extra, X_test, y_test.squeeze(-1), truth)

    def _points(self, seed: int, n: int) -> tuple[Tensor, Tensor, Tensor]:
        generator = torch.Generator().manual_seed(seed)
        X = torch.rand(n, self.d, generator=generator, dtype=torch.float64)
        truth = self.function(X)
        noise = torch.randn(n, generator=generator, dtype=torch.float64)
        return X, (truth + NOISE_SD * noise)[:, None], truth


def hartmann(X: Tensor) -> Tensor:
    """Six-dimensional Hartmann function at ``(n, 6)``."""
    return Hartmann(dim=6)(X)


def phase_map(X: Tensor) -> Tensor:
    """Two smooth phases with a sharp border at ``(n, 2)``."""
    u = 6 * X - 3
    above = 0.1 * u[:, 0].square() + 0.5 * u[:, 1].square()
    return torch.where(u[:, 1] > torch.sin(u[:, 0]), above, torch.exp(-u.square().sum(-1)))


HARTMANN = FunctionTask("hartmann6", hartmann, 6)
PHASE_MAP = FunctionTask("phase_map", phase_map, 2)


@dataclass(frozen=True)
class TableTask:
    """Measured rows: a random split for every seed, scored on measured values.

    ``X (N, d)`` is scaled to the unit cube by the table's own range. Up to `N_TEST` rows are for testing.
    """

    name: str
    X: Tensor
    Y: Tensor

    def sizes(self, wanted: Sequence[int]) -> list[int]:
        """Those that leave the test rows, at least a fifth of all, alone."""
        return [n for n in wanted if n + EXTRA <= len(self.X) - self._n_test()]

    def _n_test(self) -> int:
        """Count test rows, the same for every n: what the largest training set leaves, but at least a fifth."""
        return min(N_TEST, max(len(self.X) - STREAM - EXTRA, len(self.X) // 5, 1))

    def draw(self, seed: int, n: int) -> Data:
        """Draw a permutation of the rows: training points from its front, test points from its end."""
        order = torch.randperm(len(self.X), generator=torch.Generator().manual_seed(seed))
        train, extra, test = order[:n], order[n : n + EXTRA], order[-self._n_test() :]
        y_test = self.Y[test].squeeze(-1)
        return Data(self.X[train], self.Y[train], self.X[extra], self.Y[extra], self.X[test], y_test, y_test)


def table_task(path: Path) -> TableTask:
    """Read a parquet or CSV table with columns ``x1 ... xd`` and ``y``; rows with gaps are left out.

    Raises
    ------
    SystemExit
        If the columns are not there.
    """
    table = pd.read_parquet(path) if path.suffix in {".parquet", ".pq"} else pd.read_csv(path)
    inputs = [f"x{i}" for i in range(1, len(table.columns) + 1) if f"x{i}" in table]
    if not inputs or "y" not in table:
        raise SystemExit(f"{path}: expected columns x1 ... xd and y, got {list(table.columns)}")
    table = table[[*inputs, "y"]].astype(float).dropna()
    X = table[inputs].to_numpy()
    low, span = X.min(0), np.ptp(X, axis=0)
    unit = (X - low) / np.where(span > 0, span, 1)
    return TableTask(
        f"{path.stem}-{hashlib.sha256(path.read_bytes()).hexdigest()[:8]}",
        torch.from_numpy(unit),
        torch.from_numpy(table[["y"]].to_numpy(copy=True)),
    )


def scores(mean: Tensor, variance: Tensor, data: Data) -> dict[str, float]:
    """Score a Gaussian with the predictive density's mean and variance, ``(k,)`` each, noise included, original units.

    ``nlpd`` and ``coverage`` (share within 1.96 sd) of the noisy test values, ``rmse`` of the mean against the truth.
    """
    error = data.y_test - mean
    nlpd = 0.5 * (torch.log(2 * math.pi * variance) + error.square() / variance).mean()
    return {
        "nlpd": float(nlpd),
        "coverage": float((error.abs() < 1.96 * variance.sqrt()).double().mean()),
        "rmse": float((mean - data.truth).square().mean().sqrt()),
    }


def prediction_ess(draws: np.ndarray, points: int = 50) -> float:
    """Return the median bulk effective sample size of predictions, ``draws (chains, draws, k)`` of the function.

    ArviZ's rank-normalised bulk ESS, which splits every chain in two (Vehtari et al., 2021, doi:10.1214/20-BA1221), at
    `points` of the k points, evenly spread.
    """
    import arviz

    chosen = np.linspace(0, draws.shape[-1] - 1, min(points, draws.shape[-1])).astype(int)
    found = arviz.ess(arviz.convert_to_dataset(draws[..., chosen]), method="bulk")
    return float(np.median(found["x"].to_numpy()))


@contextlib.contextmanager
def stopwatch(seconds: dict[str, float], name: str) -> Iterator[None]:
    """Put wall and processor seconds of the block into ``NAME_s`` and ``NAME_cpu_s``."""
    wall, processor = time.perf_counter(), time.process_time()
    yield
    seconds[f"{name}_s"] = time.perf_counter() - wall
    seconds[f"{name}_cpu_s"] = time.process_time() - processor


def fingerprint(folder: Path) -> str:
    """Return a short hash of all Python files in a folder, so that results of other code are not taken for these."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        digest.update(path.relative_to(folder).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()[:12]


def versions(*packages: str) -> dict[str, str]:
    """Versions of installed packages."""
    return {package: version(package) for package in packages}


class Results:
    """Finished cells, kept in a file of JSON lines where one is given: what is there is not run again.

    Parameters
    ----------
    path
        Of the file, or None. Half-written lines (a run that was killed) are passed over.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._found: dict[str, dict[str, Any]] = {}
        if path is not None and path.exists():
            for line in path.read_text(encoding="utf-8").splitlines():
                with contextlib.suppress(json.JSONDecodeError, KeyError, TypeError):
                    record = json.loads(line)
                    self._found[self._key(record["cell"])] = record["result"]

    @staticmethod
    def _key(cell: Mapping[str, Any]) -> str:
        return json.dumps(cell, sort_keys=True)

    def get(self, cell: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the result of a cell, or None."""
        return self._found.get(self._key(cell))

    def run(self, cell: Mapping[str, Any], compute: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Return the result of a cell: what is there, or what `compute` returns, which is kept."""
        found = self.get(cell)
        if found is None:
            found = compute()
            self._found[self._key(cell)] = found
            if self._path is not None:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                with self._path.open("a", encoding="utf-8") as file:
                    file.write(json.dumps({"cell": dict(cell), "result": found}) + "\n")
        return found

"""PBNN against a Matérn Gaussian process on two small tasks: NLPD, 95 % coverage, RMSE and time.

Tasks: Hartmann-6, and a 2-D phase map with a sharp border; noise sd 0.1, uniform training points (nested prefixes
of one stream a seed), 1000 fixed test points. NLPD and coverage are of noisy test values, RMSE against the noise-free
function; medians over seeds. The last line is one JSON object.

    python benchmarks/pbnn_quick.py [--seeds 3] [--measured] [--option members=16 ...]
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from botorch.models.model import Model
from botorch.test_functions import Hartmann
from torch import Tensor

from surrogates.gp import GaussianProcess
from surrogates.pbnn import PBNN

NOISE_SD = 0.1
N_TEST = 1000


def hartmann(X: Tensor) -> Tensor:
    """Six-dimensional Hartmann function at ``(n, 6)``."""
    return Hartmann(dim=6)(X)


def phase_map(X: Tensor) -> Tensor:
    """Two smooth phases with a sharp border at ``(n, 2)``."""
    u = 6 * X - 3
    above = 0.1 * u[:, 0].square() + 0.5 * u[:, 1].square()
    return torch.where(u[:, 1] > torch.sin(u[:, 0]), above, torch.exp(-u.square().sum(-1)))


TASKS: dict[str, tuple[Callable[[Tensor], Tensor], int, tuple[int, ...]]] = {
    "hartmann6": (hartmann, 6, (50, 100)),
    "phase_map": (phase_map, 2, (20, 50, 100)),
}


def scores(fit: Callable[..., Model], task: str, n: int, seed: int, measured: bool) -> dict[str, float]:
    """Fit to `n` points and score on the test points."""
    function, d, _ = TASKS[task]
    generator = torch.Generator().manual_seed(seed)
    X = torch.rand(200, d, generator=generator, dtype=torch.float64)
    noise = torch.randn(200, generator=generator, dtype=torch.float64)
    Y = (function(X) + NOISE_SD * noise)[:n, None]
    generator = torch.Generator().manual_seed(9999)
    X_test = torch.rand(N_TEST, d, generator=generator, dtype=torch.float64)
    truth = function(X_test)
    y_test = truth + NOISE_SD * torch.randn(N_TEST, generator=generator, dtype=torch.float64)

    began = time.perf_counter()
    # Error bars that hold half of the noise's variance, as measured ones do.
    model = fit(X[:n], Y, torch.full_like(Y, NOISE_SD**2 / 2) if measured else None, seed=seed)
    with torch.no_grad():
        posterior = model.posterior(X_test, observation_noise=True)
        mean, variance = posterior.mean.squeeze(-1), posterior.variance.squeeze(-1)
    seconds = time.perf_counter() - began
    nlpd = 0.5 * (torch.log(2 * math.pi * variance) + (y_test - mean).square() / variance).mean()
    inside = (y_test - mean).abs() < 1.96 * variance.sqrt()
    return {
        "nlpd": float(nlpd),
        "coverage": float(inside.double().mean()),
        "rmse": float((mean - truth).square().mean().sqrt()),
        "seconds": seconds,
    }


def main() -> None:
    """Run all tasks and sizes for both models."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--measured", action="store_true", help="give the models error bars of half the variance")
    parser.add_argument("--option", action="append", default=[], metavar="KEY=JSON", help="option of PBNN")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    options = {key: json.loads(value) for key, value in (item.split("=", 1) for item in arguments.option)}

    def pbnn(*data: Any, seed: int) -> Model:
        return PBNN(*data, seed=seed, **options)

    models: dict[str, Callable[..., Model]] = {"pbnn": pbnn, "gp": GaussianProcess}
    result: dict[str, Any] = {}
    for task, (_, _, sizes) in TASKS.items():
        for n in (*sizes, 200):
            for name, fit in models.items():
                rows = [scores(fit, task, n, seed, arguments.measured) for seed in range(arguments.seeds)]
                cell = {key: round(statistics.median(row[key] for row in rows), 4) for key in rows[0]}
                result.setdefault(task, {}).setdefault(str(n), {})[name] = cell
                print(f"{task:10s} n = {n:3d} {name:5s}", "  ".join(f"{k} {v:7.3f}" for k, v in cell.items()))
    cells = [cell for sizes in result.values() for cell in sizes.values()]
    result["nlpd_minus_gp_median"] = statistics.median(c["pbnn"]["nlpd"] - c["gp"]["nlpd"] for c in cells)
    result["nlpd_minus_gp_worst"] = max(c["pbnn"]["nlpd"] - c["gp"]["nlpd"] for c in cells)
    result["coverage_min"] = min(c["pbnn"]["coverage"] for c in cells)
    result["coverage_max"] = max(c["pbnn"]["coverage"] for c in cells)
    print(json.dumps(result))


if __name__ == "__main__":
    main()

"""Simulation-based calibration of every inference engine (Talts et al., 2018, arXiv:1804.06788).

Parameters, scales and values are drawn from the model of one small network, an engine infers, and the place of the
truth in the posterior is tested for uniformity (chi-square, 8 bins): of the function at points between and beyond the
data, and of both scales where they are not fixed. One JSON line an engine, with the p-value of every quantity, the
smallest of them corrected for their number (`p_value`), the coverage of the central 90 %, and the same p-value with the
posterior narrowed by 30 % (`p_value_narrowed`: what the test makes of a wrong posterior). The last line is one JSON
object: engine -> p-value, and whether all engines that are exact pass at 0.01 together.

Closed forms keep two moments of a mixture over the scales: they are exact at known scales (`conjugate`,
`linearised_last`), and shown with free ones too. The linearised posterior of all layers and the independent normals of
`svi_normal` are approximations: they are there to show by how much they miss.

    python benchmarks/pbnn_sbc.py [--quick] [--engine NAME ...] [--results FILE]
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from pbnn_tasks import versions

from surrogates.inference.base import Problem
from surrogates.inference.calibration import places, simulate, uniformity
from surrogates.inference.choice import make_engine
from surrogates.networks import MLP, NetworkEnsemble
from surrogates.priors import LogGrid, WeightPrior

KNOWN = (LogGrid.fixed(0.8), LogGrid.fixed(0.3))
FREE = (LogGrid(0.3, 3.0, 24), LogGrid(0.05, 1.0, 24, median=0.2))
SCALES = {"known": KNOWN, "free": FREE}
POINTS = torch.tensor([[0.1], [0.5], [1.2]], dtype=torch.float64)
LEVEL = 0.01


@dataclass(frozen=True)
class Case:
    """One engine on one problem."""

    engine: dict[str, Any]
    layers: tuple[int, ...]
    scales: str
    simulations: int
    exact: bool
    """Whether the engine claims the posterior itself, not an approximation."""
    keep: int = 63


SVI = {"kind": "svi", "draws": 63}
CASES = {
    "conjugate": Case({"kind": "conjugate"}, (2,), "known", 4000, True),
    "conjugate_free": Case({"kind": "conjugate"}, (2,), "free", 4000, False),
    "linearised_last": Case({"kind": "linearised"}, (2,), "known", 4000, True),
    "linearised_last_free": Case({"kind": "linearised"}, (2,), "free", 4000, False),
    "linearised_all": Case({"kind": "linearised"}, (0, 1, 2), "known", 4000, False),
    "linearised_all_free": Case({"kind": "linearised"}, (0, 1, 2), "free", 4000, False),
    "hmc_last": Case({"kind": "hmc"}, (2,), "free", 1000, True),
    "hmc_first": Case({"kind": "hmc"}, (0,), "free", 1000, True),
    "hmc_all": Case({"kind": "hmc"}, (0, 1, 2), "free", 1000, True),
    "svi_multivariate": Case(SVI | {"guide": "multivariate"}, (2,), "known", 1000, True),
    "svi_multivariate_all_free": Case(SVI | {"guide": "multivariate"}, (0, 1, 2), "free", 1000, False),
    "svi_low_rank_all_free": Case(SVI | {"guide": "low_rank"}, (0, 1, 2), "free", 1000, False),
    "svi_normal_last": Case(SVI | {"guide": "normal"}, (2,), "known", 1000, False),
    "svi_normal_all_free": Case(SVI | {"guide": "normal"}, (0, 1, 2), "free", 1000, False),
    "nuts": Case(
        {"kind": "nuts", "chains": 2, "warmup": 150, "draws": 150, "target_accept": 0.9, "jit": True},
        (0, 1, 2),
        "free",
        240,
        True,
        31,
    ),
}


def problem(case: Case, hidden: tuple[int, ...], n: int) -> Problem:
    """One network, `n` points on a line; its targets are of no account."""
    networks = NetworkEnsemble.draw(
        MLP(1, hidden=hidden),
        1,
        prior=WeightPrior(),
        generator=torch.Generator().manual_seed(3),
        dtype=torch.float64,
    )
    X = torch.linspace(0, 1, n, dtype=torch.float64).unsqueeze(1)
    return Problem(networks, case.layers, X, torch.zeros(1, n, dtype=torch.float64), None, *SCALES[case.scales], X)


def calibrate(case: Case, simulations: int, hidden: tuple[int, ...], n: int) -> dict[str, Any]:
    """Simulate, infer and test."""
    simulated = simulate(problem(case, hidden, n), POINTS, simulations)
    began = time.perf_counter()
    posterior = make_engine(case.engine).infer(simulated.problem)
    seconds = time.perf_counter() - began
    found = places(posterior, simulated, keep=case.keep)
    narrowed = places(posterior, simulated, keep=case.keep, width=0.7)

    def together(u: dict[str, torch.Tensor]) -> float:
        return min(1.0, len(u) * min(map(uniformity, u.values())))

    return {
        "p_value": together(found),
        "p_values": {name: uniformity(u) for name, u in found.items()},
        "coverage_90": {name: float(((u > 0.05) & (u < 0.95)).double().mean()) for name, u in found.items()},
        "p_value_narrowed": together({name: u for name, u in narrowed.items() if name.startswith("f")}),
        "converged": posterior.converged,
        "report": dict(posterior.report),
        "seconds": seconds,
    }


def main() -> None:
    """Run the engines asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a quarter of the simulations")
    parser.add_argument("--engine", action="append", choices=list(CASES), help="only this one; may be repeated")
    parser.add_argument("--results", type=Path, help="JSON lines: append what is finished, skip what is there")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    used = versions("torch", "pyro-ppl") | {"python": platform.python_version()}
    network: dict[str, Any] = {"hidden": (3, 3), "n": 6}
    done: list[dict[str, Any]] = []
    if arguments.results and arguments.results.exists():
        done = [json.loads(line) for line in arguments.results.read_text().splitlines()]

    summary: dict[str, Any] = {}
    for name in arguments.engine or CASES:
        case = CASES[name]
        simulations = max(case.simulations // (4 if arguments.quick else 1), 80)
        setting = json.loads(json.dumps({"name": name, **asdict(case), **network, "simulations": simulations}))
        row = next((row for row in done if all(row.get(k) == v for k, v in setting.items())), None)
        if row is None:
            row = {**setting, **calibrate(case, simulations, **network), "versions": used}
            if arguments.results:
                with arguments.results.open("a") as file:
                    file.write(json.dumps(row) + "\n")
        print(json.dumps(row), flush=True)
        summary[name] = round(row["p_value"], 5)
        summary[f"{name}_narrowed"] = round(row["p_value_narrowed"], 5)
    exact = [name for name in summary if name in CASES and CASES[name].exact]
    summary["exact_engines_pass"] = all(summary[name] > LEVEL / len(exact) for name in exact)
    print(json.dumps(summary))


if __name__ == "__main__":
    main()

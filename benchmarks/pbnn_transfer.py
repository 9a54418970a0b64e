"""What a pretrained prior saves: PBNN with theory, without, and with a wrong theory, on a growing number of points.

Each task (`pbnn_transfer_tasks.py`) has a theory, points that may be measured, and a test part of whole groups that
neither the theory nor the training knows. Networks are pretrained once; then for every seed the same `n` points are
given to PBNN without a prior and to PBNN with it. The wrong theories: ``shuffled`` (the theory's values in random
order), ``flipped`` (their sign), ``mirrored`` (every input reversed), ``other`` (another scenario's theory).

RMSE is against the truth where it is known (scenarios), else against the measured values; NLPD and the coverage of the
95 % interval are of measured values. `n_to_reach_plain_200`: the smallest number of points, interpolated
geometrically, at which the median RMSE with theory is that of PBNN without at the largest number, and stays at or below
it. `negative_transfer_percent`: by how much the RMSE with a wrong theory exceeds that without, per seed; median over
seeds; worst over `n` and wrong theories. The last line is one JSON object.

    python benchmarks/pbnn_transfer.py --data DIR [--quick] [--results FILE.jsonl] [--tasks ...] [--select variance]
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from offline import conclude
from pbnn_tasks import versions
from pbnn_transfer_tasks import TASKS, Task, Theory
from torch import Tensor

from simulators.errors import DataMissingError
from surrogates.pbnn import PBNN
from surrogates.pretrained import PretrainedPrior
from surrogates.pretraining import pretrain

SIZES = (10, 20, 30, 50, 70, 100, 140, 200)
PLAIN, RIGHT = "plain", "pretrained"
CANDIDATES = 400
"""Points at most that an active choice compares."""


def train(theory: Theory, seed: int, network: dict[str, Any] | None, epochs: int | None = None) -> PretrainedPrior:
    """Pretrain on a theory."""
    d = theory.X.shape[-1]
    options = dict(theory.options)
    if network:
        options["network"] = network
    if epochs is not None:
        options["epochs"] = min(epochs, options["epochs"])
    return pretrain(
        theory.X,
        theory.Y,
        input_names=[f"x{i}" for i in range(d)],
        low=[0.0] * d,
        high=[1.0] * d,
        output_names=["y"],
        groups=theory.groups,
        seed=seed,
        **options,
    )


def flipped(prior: PretrainedPrior) -> PretrainedPrior:
    """Return the prior of the negative function."""
    *trunk, last = prior.networks.parameters
    networks = replace(prior.networks, parameters=(*trunk, {k: -t for k, t in last.items()}))
    return replace(prior, networks=networks, shift=-prior.shift)


def mirrored(prior: PretrainedPrior) -> PretrainedPrior:
    """Return the prior whose every input runs the other way: inputs enter as [-1, 1]."""
    first, *rest = prior.networks.parameters
    return replace(prior, networks=replace(prior.networks, parameters=({**first, "weight": -first["weight"]}, *rest)))


def priors_of(task: Task, seed: int, network: dict[str, Any] | None) -> dict[str, PretrainedPrior]:
    """Pretrain all that a task needs."""
    found = {RIGHT: train(task.theory, seed, network)}
    order = torch.randperm(len(task.theory.Y), generator=torch.Generator().manual_seed(seed))
    # Noise has nothing to be learnt for long.
    found["shuffled"] = train(replace(task.theory, Y=task.theory.Y[order]), seed, network, epochs=100)
    found["flipped"], found["mirrored"] = flipped(found[RIGHT]), mirrored(found[RIGHT])
    for name, theory in task.others.items():
        found[name] = train(theory, seed, network)
    return found


def fit(task: Task, rows: Tensor, prior: PretrainedPrior | None, seed: int) -> PBNN:
    """Fit to some of the task's points."""
    variances = None if task.Yvar is None else task.Yvar[rows]
    return PBNN(task.X[rows], task.Y[rows], variances, seed=seed, prior=prior)


def score(task: Task, model: PBNN) -> dict[str, float]:
    """RMSE, NLPD and coverage on the test part."""
    with torch.no_grad():
        belief = model.posterior(task.X_test.unsqueeze(-2))
        mean, variance = belief.mean.reshape(-1, 1), belief.variance.reshape(-1, 1)
        variance = variance + model.noise_variance + (0.0 if task.Yvar_test is None else task.Yvar_test)
        away = (task.Y_test - mean).square()
        inside = away <= 1.959964**2 * variance
        return {
            "rmse": float((task.truth_test - mean).square().mean().sqrt()),
            "nlpd": float(0.5 * (torch.log(2 * math.pi * variance) + away / variance).mean()),
            "coverage": float(inside.double().mean()),
        }


def extend(task: Task, rows: Tensor, model: PBNN, size: int, seed: int) -> Tensor:
    """Choose further points one by one where the variance is largest, each told to the model before the next."""
    generator = torch.Generator().manual_seed(seed)
    left = torch.tensor(sorted(set(range(len(task.X))) - set(rows.tolist())))
    pool = left[torch.randperm(len(left), generator=generator)[:CANDIDATES]]
    while len(rows) < size:
        with torch.no_grad():
            best = int(model.posterior(task.X[pool].unsqueeze(-2)).variance.flatten().argmax())
        row = pool[best : best + 1]
        model = model.update(task.X[row], task.Y[row], None if task.Yvar is None else task.Yvar[row])
        rows, pool = torch.cat([rows, row]), torch.cat([pool[:best], pool[best + 1 :]])
    return rows


def reach(sizes: list[int], errors: list[float], level: float) -> float:
    """Smallest size from which on the error is at or below a level, interpolated in logarithms; infinite if never."""
    if errors[-1] > level:
        return math.inf
    i = len(sizes) - 1
    while i > 0 and errors[i - 1] <= level:
        i -= 1
    if i == 0:
        return float(sizes[0])
    share = math.log(errors[i - 1] / level) / math.log(errors[i - 1] / errors[i])
    return float(sizes[i - 1] * (sizes[i] / sizes[i - 1]) ** share)


class Cells:
    """Finished cells, in a file where there is one."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._known: dict[str, dict[str, Any]] = {}
        if path is not None and path.is_file():
            for line in path.read_text(encoding="utf-8").splitlines():
                cell = json.loads(line)
                self._known[json.dumps(cell["key"], sort_keys=True)] = cell

    def get(self, key: dict[str, Any]) -> dict[str, Any] | None:
        """Return a cell that is there."""
        return self._known.get(json.dumps(key, sort_keys=True))

    def put(self, key: dict[str, Any], result: dict[str, Any]) -> dict[str, Any]:
        """Keep a cell."""
        cell = {"key": key, **result}
        self._known[json.dumps(key, sort_keys=True)] = cell
        if self._path is not None:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(cell) + "\n")
        return cell


def run_task(name: str, arguments: argparse.Namespace, cells: Cells) -> dict[str, Any] | None:
    """Run a task, print its tables, return its part of the summary."""
    network = json.loads(arguments.network) if arguments.network else None
    used = versions("torch", "botorch", "gpytorch")
    table: dict[tuple[str, int], list[dict[str, float]]] = {}
    for split in range(arguments.splits):
        task = TASKS[name](arguments.data, split, arguments.quick)
        sizes = [n for n in arguments.sizes if n <= len(task.X)]
        digest = hashlib.sha256(task.X.numpy().tobytes() + task.Y.numpy().tobytes() + task.X_test.numpy().tobytes())
        began = time.perf_counter()
        trained = priors_of(task, split, network)
        priors: dict[str, PretrainedPrior | None] = {PLAIN: None, **trained}
        right = trained[RIGHT]
        learnt = {k: round(v, 4) for k, v in right.card["metrics"]["y"].items()}
        print(
            f"{name}: {len(task.X)} points and {len(task.X_test)} to test; pretrained on {len(task.theory.X)} rows, "
            f"held-out {learnt}, width {float(right.width):.3g}, noise {float(right.noise_sd):.3g}; "
            f"{time.perf_counter() - began:.0f} s for {len(priors) - 1} priors",
            flush=True,
        )
        for seed in range(arguments.seeds):
            order = torch.randperm(len(task.X), generator=torch.Generator().manual_seed(1000 * split + seed))
            for model_name, prior in priors.items():
                rows, model = order[: sizes[0]], None
                for n in sizes:
                    key = {
                        "task": name,
                        "data": digest.hexdigest()[:16],
                        "split": split,
                        "seed": seed,
                        "model": model_name,
                        "n": n,
                        "select": arguments.select,
                        "network": network,
                        "quick": arguments.quick,
                        "versions": used,
                    }
                    cell = cells.get(key)
                    if cell is None or arguments.select == "variance":
                        began = time.perf_counter()
                        if arguments.select == "variance" and model is not None:
                            rows = extend(task, rows, model, n, seed)
                        else:
                            rows = order[:n]
                        model = fit(task, rows, prior, seed)
                        result: dict[str, Any] = dict(score(task, model))
                        result["seconds"] = time.perf_counter() - began
                        result["theory_weight"] = model.diagnostics().get("weight_theory")
                        cell = cells.put(key, result) if cell is None else cell
                    table.setdefault((model_name, n), []).append(cell)
    return summarise(name, table)


def summarise(name: str, table: dict[tuple[str, int], list[dict[str, float]]]) -> dict[str, Any]:
    """Print the tables of a task and return what the bars are about."""
    models = list(dict.fromkeys(model for model, _ in table))
    sizes = sorted({n for _, n in table})
    found: dict[str, Any] = {}
    for figure in ("rmse", "nlpd", "coverage"):
        found[figure] = {m: [float(np.median([c[figure] for c in table[m, n]])) for n in sizes] for m in models}
        print(f"{name} {figure}, medians: {'n':>12s} " + " ".join(f"{n:7d}" for n in sizes))
        for m in models:
            print(f"{'':22s} {m:>15s} " + " ".join(f"{v:7.3f}" for v in found[figure][m]), flush=True)
    weights = {
        m: [float(np.mean([c["theory_weight"] for c in table[m, n]])) for n in sizes] for m in models if m != PLAIN
    }
    for m, row in weights.items():
        print(f"{name + ' weight':22s} {m:>15s} " + " ".join(f"{v:7.3f}" for v in row))
    level = found["rmse"][PLAIN][-1]
    excess = {
        f"{m} at {n}": 100
        * float(np.median([a["rmse"] / b["rmse"] - 1 for a, b in zip(table[m, n], table[PLAIN, n], strict=True)]))
        for m in models
        if m not in (PLAIN, RIGHT)
        for n in sizes
    }
    worst = max(excess, key=lambda k: excess[k])
    found |= {
        "sizes": sizes,
        "n_to_reach_plain_200": reach(sizes, found["rmse"][RIGHT], level),
        "negative_transfer_percent": excess[worst],
        "negative_transfer_worst_case": worst,
        "seeds": len(table[PLAIN, sizes[0]]),
        "theory_weight": weights,
    }
    print(
        f"{name}: plain at {sizes[-1]} has RMSE {level:.4g}; with theory from {found['n_to_reach_plain_200']:.0f} "
        f"points; a wrong theory costs {excess[worst]:.1f} % at worst ({worst})",
        flush=True,
    )
    return found


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder of the data sets")
    parser.add_argument("--quick", action="store_true", help="two seeds, four sizes, a part of the theory")
    parser.add_argument("--results", type=Path, help="JSON lines; cells that are there are not computed again")
    parser.add_argument("--tasks", nargs="+", choices=list(TASKS), default=list(TASKS))
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--splits", type=int, default=1, help="divisions into training and test part")
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--select", choices=("random", "variance"), default="random")
    parser.add_argument("--network", help="of the pretrained networks, as JSON")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.quick:
        arguments.seeds, arguments.sizes = min(arguments.seeds, 2), [20, 50, 100, 200]
    cells = Cells(arguments.results)
    tasks: dict[str, Any] = {}
    for name in arguments.tasks:
        try:
            tasks[name] = run_task(name, arguments, cells)
        except DataMissingError as error:
            print(f"{name}: left out, {error}", flush=True)
    reached = {name: t["n_to_reach_plain_200"] for name, t in tasks.items()}
    costs = {name: t["negative_transfer_percent"] for name, t in tasks.items()}
    conclude(
        {
            "n_to_reach_plain_200": reached,
            "negative_transfer_percent": costs,
            "worst_n_to_reach": max(reached.values(), default=math.nan),
            "worst_negative_transfer_percent": max(costs.values(), default=math.nan),
            "tasks": tasks,
        }
    )


if __name__ == "__main__":
    main()

"""PBNN against NeuroBayes and BoTorch's Gaussian processes: predictive density, coverage, error and time.

Tasks (`pbnn_tasks`): Hartmann-6 and a 2-D phase map, n = 20, 50, 100, 200, several seeds; `--test FILE` adds a table
of measured rows (columns x1 ... xd and y). Models (`pbnn_contestants`): ours (`PBNN` as it is by default),
`SingleTaskGP` as it is by default, `SingleTaskGP` with BoTorch's Matérn-5/2 kernel (a length scale for every input,
gamma priors), and NeuroBayes' BNN and PBNN (last, last two, first layer). All densities are of noisy values in original
units, as a Gaussian with the predictive mean and variance.

Everything runs on one thread: torch, and XLA as far as it can be told (it compiles on more). "Processor" seconds are
what this process used, waiting for other programs left out: ratios of times use them, so that a busy machine favours
nobody; times to wait for (``decision_s_50`` and so on) are wall times, with processor times beside them.

    python benchmarks/pbnn_inference.py [--quick] [--results FILE.jsonl] [--figure FILE.png] [--test FILE]

The whole run takes some three hours of one core, nearly all of it NeuroBayes; with `--results` it can be interrupted
and goes on where it was. The last line is one JSON object, explained in `pbnn_summary.summarise`.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import neurobayes_peer as peer
import torch
from pbnn_contestants import MODELS, PEERS, SAMPLED, identity, run
from pbnn_summary import Cell, print_tables, save_figure, summarise
from pbnn_tasks import HARTMANN, PHASE_MAP, Results, Task, table_task

SIZES = (20, 50, 100, 200)
STEPS, QUICK_STEPS = 1000, 250
"""NUTS's steps of warm-up, and as many draws."""


def plan(arguments: argparse.Namespace, tasks: list[Task]) -> Iterator[tuple[Task, int, int, str]]:
    """Task, n, seed and model of every cell; all sizes of a seed before the next seed."""
    sizes = arguments.sizes or ((20, 50) if arguments.quick else SIZES)
    seeds = arguments.seeds or (2 if arguments.quick else 5)
    for seed in range(seeds):
        for n in sizes:
            for task in tasks:
                if not task.sizes([n]):
                    continue
                for model in arguments.models:
                    slow = model in PEERS or model in SAMPLED
                    if arguments.quick and slow and (task.name, n, seed) != (tasks[0].name, min(sizes), 0):
                        continue
                    yield task, n, seed, model
    if arguments.quick and "pbnn" in arguments.models and not arguments.sizes:
        yield from ((task, max(SIZES), 0, "pbnn") for task in tasks if task.sizes([max(SIZES)]))


def main() -> None:
    """Run the cells that are missing and print the tables and the summary."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="2 seeds, n = 20 and 50, NeuroBayes for a single cell")
    parser.add_argument("--seeds", type=int, help="5 by default")
    parser.add_argument("--sizes", type=int, nargs="+")
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--option", action="append", default=[], metavar="KEY=JSON", help="option of PBNN")
    parser.add_argument("--results", type=Path, help="file of JSON lines: finished cells, read and appended to")
    parser.add_argument(
        "--present", action="store_true", help="leave out what NeuroBayes has no result of in --results"
    )
    parser.add_argument("--figure", type=Path, help="draw NLPD, coverage and RMSE against n into this PNG")
    parser.add_argument("--test", type=Path, help="table (parquet or CSV) with columns x1 ... xd and y: one more task")
    parser.add_argument("--data", type=Path, help="not used: this benchmark needs no recorded data")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    peer.one_thread()
    options = {key: json.loads(value) for key, value in (item.split("=", 1) for item in arguments.option)}
    if arguments.data:
        print(f"{arguments.data} is not used: the tasks are functions (--test FILE adds a table)")
    standard: list[Task] = [HARTMANN, PHASE_MAP]
    tasks = standard + ([table_task(arguments.test)] if arguments.test else [])

    results = Results(arguments.results)
    cells: list[Cell] = []
    for task, n, seed, model in plan(arguments, tasks):
        data = task.draw(seed, n)
        own = options if model == "pbnn" else {}
        steps = QUICK_STEPS if arguments.quick and model == "neurobayes_full" else STEPS
        key = {"task": task.name, "n": n, "seed": seed, "model": model, **identity(model, own, steps)}
        if arguments.present and model in PEERS and results.get(key) is None:
            continue
        cell = Cell(
            task.name,
            n,
            seed,
            model,
            results.run(key, lambda m=model, d=data, s=seed, o=own, k=steps: run(m, d, s, o, k)),
        )
        cells.append(cell)
        print(cell, flush=True)
    names = [task.name for task in standard]
    print_tables(cells)
    if arguments.figure:
        save_figure(cells, arguments.figure)
    summary: dict[str, Any] = {"quick": arguments.quick, "results_left_out": arguments.present}
    if arguments.quick:
        summary["reduced"] = (
            f"2 seeds, n = 20 and 50 (ours once at 200, for its times); NeuroBayes and our HMC for {names[0]}, n = 20, "
            f"seed 0 alone, its full network with {QUICK_STEPS} + {QUICK_STEPS} instead of {STEPS} + {STEPS} steps"
        )
    summary |= summarise([c for c in cells if c.task in names])
    extra = [c for c in cells if c.task not in names]
    if extra:
        summary["test"] = summarise(extra)
    print(json.dumps(summary))


if __name__ == "__main__":
    main()

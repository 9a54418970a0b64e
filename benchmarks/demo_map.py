"""How fast the demo learns its map: measurements until its error is what random sampling has at the full budget.

For every seed the demo's campaign is played without devices: the same frames and evaluation, and each decision taken
while the point before it is in flight, as in the engine. Its map error (RMSE of the predicted mean against the
noise-free truth on a fixed grid) is taken after every measurement. Random sampling gets the same budget, the same
surrogate and its own noise, several times; the median of all its final errors, over all seeds and repeats, is the level
to reach: one level for all seeds, because a single random run is worth little. "Reached" is the first measurement at
which the error is at or below it; from when on it stays there is printed as well, since an error that dips below once
and rises again has not reached much. The last line is one JSON object.

    python benchmarks/demo_map.py [--quick] [--seeds 10] [--surrogate pbnn gp]
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from offline import build, conclude, in_processes, load, map_error, play, random_errors, reached

REPEATS = 5
SIDE = 40
"""The grid has this many points along each of the two parameters."""


@dataclass(frozen=True)
class Cell:
    """One seed with one surrogate."""

    seed: int
    measured: list[int]
    errors: list[float]
    random: list[float]
    inside: np.ndarray
    decision_ms: list[float]


def grid_points(space: Any) -> list[Any]:
    """Return the middles of the cells of a regular grid over a box."""
    import torch

    axis = (torch.arange(SIDE, dtype=torch.float64) + 0.5) / SIDE
    d = len(space.names)
    side = axis if d == 2 else axis[:: max(1, SIDE // 12)]
    return space.decode(torch.cartesian_prod(*[side] * d).reshape(-1, d))


def cell(seed: int, *, config: str, overrides: tuple[str, ...], repeats: int) -> Cell:
    """Play one campaign and its random rivals."""
    parts = build(load(config, seed, overrides))
    budget = parts.config.stopping.points
    judge = map_error(parts, grid_points(parts.space))
    run = play(parts, points=budget, judge=judge)
    random = random_errors(parts, budget, judge, repeats=repeats, seed=seed)
    return Cell(seed, run.measured, run.errors, random, run.inside(), run.decision_ms)


def compare(seeds: list[int], surrogate: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Play all seeds with one surrogate, print a line for each, return the summary."""
    overrides = (f"surrogate.kind={surrogate}", *arguments.set)
    work = partial(cell, config=arguments.config, overrides=overrides, repeats=arguments.repeats)
    cells = list(in_processes(work, seeds, arguments.processes))
    config = load(arguments.config, 0, overrides)
    budget = config.stopping.points
    level = float(np.median([e for c in cells for e in c.random]))
    first, stays = [], []
    print(f"{surrogate}: random sampling's error after {budget} measurements, median of all its runs: {level:.4f}")
    for c in cells:
        a, b = reached(c.errors, c.measured, level)
        first.append(a / budget)
        stays.append(b / budget)
        print(
            f"{surrogate} seed {c.seed}: reached after {a:.0f} of {budget} ({a / budget:.0%}; stays from {b:.0f}), "
            f"final error {c.errors[-1]:.4f} (random {', '.join(f'{e:.4f}' for e in c.random)}), "
            f"coverage {c.inside.mean():.3f}, decision {np.median(c.decision_ms):.0f} ms",
            flush=True,
        )
    decisions = np.concatenate([c.decision_ms for c in cells])
    coverages = [float(c.inside.mean()) for c in cells]
    return {
        "seeds": len(seeds),
        "fraction_median": float(np.median(first)),
        "fraction_worst": float(np.max(first)),
        "fraction_stays_median": float(np.median(stays)),
        "coverage_median": float(np.median(coverages)),
        "coverage_min": min(coverages),
        "coverage_pooled": float(np.concatenate([c.inside for c in cells]).mean()),
        "rmse_ours_median": float(np.median([c.errors[-1] for c in cells])),
        "rmse_random_median": level,
        "decision_ms_median": float(np.median(decisions)),
        "decision_ms_p95": float(np.quantile(decisions, 0.95)),
        "surrogate": surrogate,
        "acquisition": config.acquisition.kind,
    }


def main() -> None:
    """Run the benchmark; the last line holds the first surrogate's summary, the others' under their names."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="two seeds and two random runs each")
    parser.add_argument("--seeds", type=int, default=10, help="how many")
    parser.add_argument("--first", type=int, default=0, help="the first seed; choices were made on 100 to 104")
    parser.add_argument("--repeats", type=int, default=REPEATS, help="random runs per seed")
    parser.add_argument("--surrogate", nargs="+", default=["pbnn", "gp"])
    parser.add_argument("--config", default="demo", help="another campaign on a box whose truth is known")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="as of `beamloop run`")
    parser.add_argument("--processes", type=int, default=1, help="seeds at a time")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.seeds, arguments.repeats = 2, 2
    seeds = list(range(arguments.first, arguments.first + arguments.seeds))
    summaries = {name: compare(seeds, name, arguments) for name in arguments.surrogate}
    first, *others = summaries
    conclude({**summaries[first], **{name: summaries[name] for name in others}})


if __name__ == "__main__":
    main()

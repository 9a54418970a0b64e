"""How fast the recorded Stöber campaign is searched, and what the quality gate makes of its bad curves.

`configs/replay_stober.yaml` is played without devices, once per seed, each decision taken while the point before it is
in flight, as in the engine. Counted are measurements, refused curves included, until the first sample is found whose
distance from the target lies among the best 5 % of the pool (`report.best_fraction`). Random order: its exact mean
``(N + 1) / (k + 1)`` for k such samples among N, and the median over orders; the target itself is not in the pool,
replicates are. The gate may not read the recorded label of bad curves; here it is compared with it.

Then `configs/replay_series.yaml`, a map along one axis: measurements until the error over all frames is what random
sampling has at the full budget. The last line is one JSON object.

    python benchmarks/replay_stober.py [--data DIR] [--quick] [--surrogate pbnn gp]
"""

from __future__ import annotations

import argparse
import math
import os
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from offline import build, conclude, in_processes, load, map_error, play, random_errors, reached

from loop.records import Observation, Status
from simulators.recorded import find_data

LABEL = "curve_ok"
ORDERS = 10_000


def best_level(values: np.ndarray, fraction: float) -> float:
    """Return the largest of the best `fraction` of the usable values, at least one of them; smaller is better."""
    known = np.sort(values[np.isfinite(values)])
    return float(known[max(math.ceil(fraction * len(known)), 1) - 1])


def search(seed: int, *, overrides: tuple[str, ...]) -> dict[str, Any]:
    """Play one campaign until it has found a sample of the best; also how long a random order of this seed takes."""
    parts = build(load("replay_stober", seed, overrides))
    pool = [parts.space.at(row) for row in range(len(parts.space))]
    name = parts.experiment.observables[0]
    truth = parts.experiment.truth(pool)[name]
    level = best_level(truth, parts.config.report.best_fraction)

    def found(observation: Observation) -> bool:
        return observation.status is Status.MEASURED and observation.values[name] <= level

    run = play(parts, outcomes=len(pool), until=found)
    order = np.random.default_rng(np.random.SeedSequence([seed, 1])).permutation(truth)
    return {
        "seed": seed,
        "ours": len(run.agent.observations),
        "refused": sum(o.status is not Status.MEASURED for o in run.agent.observations),
        "random": int(np.flatnonzero(order <= level)[0]) + 1,
        "pool": len(pool),
        "best": int((truth <= level).sum()),
        "decision_ms": run.decision_ms,
    }


def gate() -> dict[str, int]:
    """Compare the gate's verdicts on the whole pool with the label that it may not read."""
    config = load("replay_stober", 0)
    parts = build(config)
    table = pd.read_parquet(find_data(config.beamline.data), columns=[config.beamline.id, LABEL])
    good = dict(zip(table[config.beamline.id].astype(str), table[LABEL].astype(bool), strict=True))
    counts = {"pool": len(parts.space), "bad_curves": 0, "bad_caught": 0, "bad_missed": 0, "good_refused": 0}
    for row, identity in enumerate(parts.space.ids):
        accepted = parts.experiment.sample(parts.space.at(row), frame_number=0).accepted
        counts["bad_curves"] += not good[identity]
        counts["bad_caught"] += not good[identity] and not accepted
        counts["bad_missed"] += not good[identity] and accepted
        counts["good_refused"] += good[identity] and not accepted
    return counts


def series(seed: int, *, overrides: tuple[str, ...], repeats: int) -> dict[str, Any]:
    """Play one campaign along the series and its random rivals."""
    parts = build(load("replay_series", seed, overrides))
    budget = parts.config.stopping.points
    judge = map_error(parts, [parts.space.at(row) for row in range(len(parts.space))])
    run = play(parts, points=budget, judge=judge)
    random = random_errors(parts, budget, judge, repeats=repeats, seed=seed)
    return {"run": (run.errors, run.measured), "random": random, "inside": run.inside()}


def searches(seeds: list[int], surrogate: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Play the search with one surrogate, print a line for each seed, return the summary."""
    overrides = (f"surrogate.kind={surrogate}", *arguments.set)
    rows = []
    for row in in_processes(partial(search, overrides=overrides), seeds, arguments.processes):
        rows.append(row)
        print(
            f"stober, {surrogate} seed {row['seed']}: best 5 % reached after {row['ours']} measurements "
            f"({row['refused']} refused), a random order after {row['random']}",
            flush=True,
        )
    ours = np.array([row["ours"] for row in rows])
    n, k = rows[0]["pool"], rows[0]["best"]
    rng = np.random.default_rng(0)
    orders = np.array([rng.permutation(n)[:k].min() + 1 for _ in range(ORDERS)])
    low, middle, high = np.percentile(ours, [25, 50, 75])
    return {
        "seeds": len(seeds),
        "ours_median": float(middle),
        "random_median": float(np.median(orders)),
        "random_mean": (n + 1) / (k + 1),
        "random_median_of_seeds": float(np.median([row["random"] for row in rows])),
        "ratio": float(middle / np.median(orders)),
        "ours_mean": float(ours.mean()),
        "ours_iqr": [float(low), float(high)],
        "ours_worst": int(ours.max()),
        "decision_ms_median": float(np.median(np.concatenate([row["decision_ms"] for row in rows]))),
    }


def maps(seeds: list[int], surrogate: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Play the series with one surrogate and return the summary."""
    overrides = (f"surrogate.kind={surrogate}",)
    rows = list(in_processes(partial(series, overrides=overrides, repeats=5), seeds, arguments.processes))
    level = float(np.median([error for row in rows for error in row["random"]]))
    first = [reached(*row["run"], level)[0] for row in rows]
    budget = load("replay_series", 0).stopping.points
    summary = {
        "seeds": len(seeds),
        "points_median": float(np.median(first)),
        "budget": budget,
        "fraction_median": float(np.median(first)) / budget,
        "rmse_ours_median": float(np.median([row["run"][0][-1] for row in rows])),
        "rmse_random_median": level,
        "coverage_pooled": float(np.concatenate([row["inside"] for row in rows]).mean()),
    }
    print(f"series, {surrogate}: {summary}", flush=True)
    return summary


def main() -> None:
    """Run the benchmark; the last line holds the first surrogate's summary, the others' under their names."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="folder of the recorded sets; else BEAMLOOP_DATA, else ../shared/data")
    parser.add_argument("--quick", action="store_true", help="three seeds, no series")
    parser.add_argument("--seeds", type=int, default=20, help="how many")
    parser.add_argument("--first", type=int, default=0, help="the first seed; choices were made on 100 and above")
    parser.add_argument("--surrogate", nargs="+", default=["pbnn", "gp"])
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="as of `beamloop run`")
    parser.add_argument("--no-series", action="store_true", help="the search alone")
    parser.add_argument("--processes", type=int, default=1, help="seeds at a time")
    arguments = parser.parse_args()
    if arguments.data:
        os.environ["BEAMLOOP_DATA"] = arguments.data
    if arguments.quick:
        arguments.seeds, arguments.no_series = 3, True
    seeds = list(range(arguments.first, arguments.first + arguments.seeds))
    counts = gate()
    print(f"gate: {counts}", flush=True)
    summaries = {name: searches(seeds, name, arguments) for name in arguments.surrogate}
    first, *others = summaries
    result = {**summaries[first], **counts, **{name: summaries[name] for name in others}}
    if not arguments.no_series:
        result["series"] = {name: maps(seeds[:10], name, arguments) for name in arguments.surrogate}
    conclude(result)


if __name__ == "__main__":
    main()

"""Active learning of real data sets: PBNN against a Matérn Gaussian process, and both against random choice.

Per set and seed a fifth of the groups (`datasets.Table.groups`) is held out, the rest is the pool. All methods start
with the same 20 random rows of it and go on to 200 in batches of 10. An active method fits its model anew for each
batch and chooses greedily the rows that lower the predictive variance over the pool most (integrated variance, what
the loop's maps use by default), each conditioned upon before the next is chosen; the rule is the same for both models.
A random method takes the next rows of one random order.

Scores are of measured test values under a Gaussian of the model's mean and variance: NLPD and RMSE in original units
and (``nlpd``, ``rmse``) in units of the pool's standard deviation, and the share inside the central 95 %. The area
under a curve is its mean over the number of points (trapezoids between checkpoints), and areas are averaged over
seeds. Curves: median over seeds and their 10-90 % range. The trivial predictor knows the pool's mean and variance.

How much worse than the GP, in percent (`worst_vs_gp_percent`): difference of the NLPD areas over what the GP gains on
the trivial predictor (at least 0.1). An NLPD may be zero or negative, so that the plain ratio of the areas
(`worst_vs_gp_percent_ratio`) means little; `worst_vs_gp_percent_density` is by how much the GP's geometric mean
predictive density exceeds ours. The last line is one JSON object.

    python benchmarks/pbnn_active_learning.py --data DIR [--quick] [--results FILE.jsonl] [--figure FILE.png]
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from botorch.models.model import Model
from datasets import Table, load
from pbnn_tasks import fingerprint, versions
from torch import Tensor

import surrogates
from simulators.errors import DataMissingError
from surrogates.gp import GaussianProcess
from surrogates.pbnn import PBNN
from surrogates.priors import LogGrid, WeightPrior

SETS = ("esol", "freesolv", "steel_fatigue_nims", "band_gap_expt", "estm_conductivity")
START, STOP, BATCH, CANDIDATES = 20, 200, 10, 400
CHECKPOINTS = (20, 30, 40, 50, 70, 100, 130, 160, 200)
TEST_SHARE = 0.2
OPTION_TYPES: dict[str, Callable[..., Any]] = {"weight_prior": WeightPrior, "prior_sd": LogGrid, "noise_sd": LogGrid}
"""Options of PBNN that are given as a JSON object."""
SMALLEST_GAIN = 0.1
"""Of the GP on the trivial predictor, in the denominator of `worst_vs_gp_percent`."""

Fit = Callable[..., Model]
CODE = fingerprint(Path(surrogates.__file__).parent)


def split(table: Table, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the pool's rows in random order, and the test rows."""
    generator = np.random.default_rng(np.random.SeedSequence([seed, 0]))
    names = np.unique(table.groups)
    held_out = generator.choice(names, max(1, round(TEST_SHARE * len(names))), replace=False)
    test = np.isin(table.groups, held_out)
    return generator.permutation(np.flatnonzero(~test)), np.flatnonzero(test)


def predict(model: Model, X: Tensor, noise: bool) -> tuple[Tensor, Tensor]:
    """Mean and variance ``(n,)`` at ``X (n, d)``, point by point: no joint covariance is formed."""
    with torch.no_grad():
        posterior = model.posterior(X.unsqueeze(-2), observation_noise=noise)
        return posterior.mean.reshape(-1), posterior.variance.reshape(-1)


def choose(model: Model, X: Tensor, free: Tensor, k: int, seed: int) -> list[int]:
    """Choose `k` of the `free` rows of ``X (n, d)``, greedily by how much each lowers the variance of all others.

    Candidates, and the points whose variance counts, are the same `CANDIDATES` random ones of the free rows. After each
    choice their joint covariance is conditioned on it.
    """
    order = torch.randperm(len(free), generator=torch.Generator().manual_seed(seed))
    rows = free[order[:CANDIDATES]]
    with torch.no_grad():
        covariance = model.posterior(X[rows]).distribution.covariance_matrix.clone()
        noise = predict(model, X[rows[:1]], noise=True)[1] - predict(model, X[rows[:1]], noise=False)[1]
        chosen: list[int] = []
        for _ in range(min(k, len(rows))):
            total = covariance.diagonal() + noise
            gain = covariance.square().sum(0) / total
            gain[[int(i) for i in chosen]] = -math.inf
            best = int(gain.argmax())
            chosen.append(best)
            column = covariance[:, best].clone()
            covariance = covariance - column[:, None] * column / total[best]
    return rows[chosen].tolist()


def score(model: Model, X: Tensor, y: Tensor, sd: float) -> dict[str, float]:
    """Score on test rows."""
    mean, variance = predict(model, X, noise=True)
    nlpd = float(0.5 * (torch.log(2 * math.pi * variance) + (y - mean).square() / variance).mean())
    rmse = float((y - mean).square().mean().sqrt())
    return {
        "nlpd": nlpd - math.log(sd),
        "rmse": rmse / sd,
        "coverage": float(((y - mean).abs() < 1.96 * variance.sqrt()).double().mean()),
        "nlpd_original": nlpd,
        "rmse_original": rmse,
    }


def run_cell(table: Table, seed: int, fit: Fit, active: bool, stop: int) -> dict[str, Any]:
    """Run one campaign and return its curves."""
    pool, test = split(table, seed)
    X, y = torch.as_tensor(table.X), torch.as_tensor(table.y)
    pool_sd = float(y[pool].std())
    checkpoints = [n for n in CHECKPOINTS if n <= min(stop, len(pool))]
    chosen = pool[:START].tolist()
    curve: list[dict[str, float]] = []
    began = time.perf_counter()
    while True:
        n = len(chosen)
        if active or n in checkpoints:
            model = fit(X[chosen], y[chosen, None], None, seed=seed)
        if n in checkpoints:
            curve.append({"n": n, **score(model, X[test], y[test], pool_sd)})
        if n >= checkpoints[-1]:
            break
        k = min(BATCH, checkpoints[-1] - n)
        if active:
            free = torch.as_tensor(np.setdiff1d(pool, chosen))
            chosen += choose(model, X, free, k, 1000 * seed + n)
        else:
            chosen += pool[n : n + k].tolist()
    trivial = 0.5 * (math.log(2 * math.pi) + ((y[test] - y[pool].mean()) / pool_sd).square())
    return {
        "curve": curve,
        "trivial_nlpd": float(trivial.mean()),
        "pool_sd": pool_sd,
        "unit": table.y_unit,
        "seconds": round(time.perf_counter() - began, 2),
    }


def area(curve: list[dict[str, float]], key: str) -> float:
    """Mean of a score over the number of points."""
    n = [point["n"] for point in curve]
    return float(np.trapezoid([point[key] for point in curve], n) / (n[-1] - n[0]))


def settings_of(table: Table, method: str, seed: int, options: dict[str, Any], stop: int) -> dict[str, Any]:
    """Everything that determines a cell."""
    fingerprint = hashlib.sha256(np.column_stack([table.X, table.y]).tobytes())
    return {
        "set": table.name,
        "data": fingerprint.hexdigest()[:16],
        "method": method,
        "seed": seed,
        "options": options if "pbnn" in method else {},
        "plan": [START, stop, BATCH, CANDIDATES, TEST_SHARE, list(CHECKPOINTS)],
        "code": CODE if "pbnn" in method else "",
        "versions": versions("beamloop", "torch", "botorch", "gpytorch"),
    }


def cells(
    tables: list[Table], methods: list[str], seeds: int, options: dict[str, Any], stop: int, results: Path | None
) -> list[dict[str, Any]]:
    """Run what `results` does not hold yet."""
    built = {key: OPTION_TYPES[key](**value) if key in OPTION_TYPES else value for key, value in options.items()}

    def pbnn(*data: Any, seed: int) -> Model:
        return PBNN(*data, seed=seed, **built)

    fits: dict[str, Fit] = {"pbnn": pbnn, "gp": GaussianProcess}
    lines = results.read_text(encoding="utf-8").splitlines() if results is not None and results.exists() else []
    known = {json.dumps(row["settings"], sort_keys=True): row for row in map(json.loads, lines)}
    rows = []
    for seed in range(seeds):
        for table in tables:
            for method in methods:
                settings = settings_of(table, method, seed, options, stop)
                row = known.get(json.dumps(settings, sort_keys=True))
                if row is None:
                    fit = fits[method.removeprefix("random_")]
                    row = {"settings": settings, **run_cell(table, seed, fit, not method.startswith("random_"), stop)}
                    if results is not None:
                        with results.open("a", encoding="utf-8") as file:
                            file.write(json.dumps(row) + "\n")
                rows.append(row)
                areas = f"NLPD {area(row['curve'], 'nlpd'):7.3f}, RMSE {area(row['curve'], 'rmse'):6.3f}"
                last = f"coverage {row['curve'][-1]['coverage']:.2f}, {row['seconds']:.1f} s"
                print(f"{table.name:20s} seed {seed} {method:12s} area: {areas}, {last}", flush=True)
    return rows


def summary(rows: list[dict[str, Any]], methods: list[str]) -> dict[str, Any]:
    """Areas and comparisons per set."""
    result: dict[str, Any] = {"sets": list(dict.fromkeys(row["settings"]["set"] for row in rows))}
    worst: dict[str, list[float]] = {"": [], "_ratio": [], "_density": []}
    lowest = lowest_of_two = 0
    for name in result["sets"]:
        own = [row for row in rows if row["settings"]["set"] == name]
        entry: dict[str, Any] = {"trivial_nlpd": float(np.mean([row["trivial_nlpd"] for row in own]))}
        for key in ("nlpd", "rmse"):
            of = {m: [area(r["curve"], key) for r in own if r["settings"]["method"] == m] for m in methods}
            entry[f"{key}_auc"] = {m: round(float(np.mean(v)), 4) for m, v in of.items()}
            entry[f"{key}_auc_10_90"] = {m: np.quantile(v, [0.1, 0.9]).round(4).tolist() for m, v in of.items()}
            entry[f"{key}_auc_median"] = {m: round(float(np.median(v)), 4) for m, v in of.items()}
        last = {m: [r["curve"][-1] for r in own if r["settings"]["method"] == m] for m in methods}
        for key in ("coverage", "rmse_original", "nlpd_original"):
            entry[key] = {m: round(float(np.mean([point[key] for point in v])), 4) for m, v in last.items()}
        if {"pbnn", "gp"} <= set(methods):
            areas = entry["nlpd_auc"]
            ours, gp = areas["pbnn"], areas["gp"]
            entry["vs_gp_percent"] = 100 * (ours - gp) / max(entry["trivial_nlpd"] - gp, SMALLEST_GAIN)
            entry["vs_gp_percent_ratio"] = 100 * (ours - gp) / max(abs(gp), 1e-9)
            entry["vs_gp_percent_density"] = 100 * math.expm1(ours - gp)
            for suffix, values in worst.items():
                values.append(entry[f"vs_gp_percent{suffix}"])
            lowest += ours == min(areas.values())
            lowest_of_two += ours < gp
        result[name] = entry
    if worst[""]:
        result["lowest_nlpd_auc_sets"] = lowest
        result["lower_than_gp_sets"] = lowest_of_two
        result |= {f"worst_vs_gp_percent{suffix}": round(max(values), 2) for suffix, values in worst.items()}
    return result


def draw(rows: list[dict[str, Any]], methods: list[str], file: Path) -> None:
    """Draw the curves: a column a set, a row a score."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    names = list(dict.fromkeys(row["settings"]["set"] for row in rows))
    labels = {"nlpd": "NLPD (standardised)", "rmse": "RMSE / sd of the pool", "coverage": "95 % coverage"}
    look = {"pbnn": ("C0", "-"), "gp": ("C1", "-"), "random_pbnn": ("C0", "--"), "random_gp": ("C1", "--")}
    said = {"pbnn": "PBNN, active", "gp": "GP, active", "random_pbnn": "PBNN, random", "random_gp": "GP, random"}
    figure, axes = plt.subplots(
        3, len(names), figsize=(3.1 * len(names) + 0.6, 7.2), sharex=True, squeeze=False, layout="constrained"
    )
    for column, name in enumerate(names):
        for line, (key, label) in enumerate(labels.items()):
            ax = axes[line, column]
            for method in methods:
                curves = [r["curve"] for r in rows if (r["settings"]["set"], r["settings"]["method"]) == (name, method)]
                n = [point["n"] for point in curves[0]]
                values = np.array([[point[key] for point in curve] for curve in curves])
                low, middle, high = np.quantile(values, [0.1, 0.5, 0.9], axis=0)
                colour, style = look[method]
                ax.plot(n, middle, color=colour, linestyle=style, label=said[method])
                if style == "-":
                    ax.fill_between(n, low, high, color=colour, alpha=0.18, linewidth=0)
            if key == "coverage":
                ax.axhline(0.95, color="0.4", linewidth=0.8, linestyle=":")
                ax.set_xlabel("points measured")
            if key == "nlpd":
                ax.set_title(name, fontsize=10)
                trivial = np.median([row["trivial_nlpd"] for row in rows if row["settings"]["set"] == name])
                ax.axhline(trivial, color="0.4", linewidth=0.8, linestyle=":")
            if column == 0:
                ax.set_ylabel(label)
    axes[0, -1].legend(fontsize=8)
    figure.savefig(file, dpi=130)
    plt.close(figure)


def main() -> None:
    """Run all sets, seeds and methods."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder of the data sets")
    parser.add_argument("--quick", action="store_true", help="two seeds, to 50 points, two sets")
    parser.add_argument("--results", type=Path, help="append finished cells here, and skip those that are there")
    parser.add_argument("--sets", nargs="+", choices=SETS)
    parser.add_argument("--seeds", type=int)
    parser.add_argument("--methods", nargs="+", choices=("pbnn", "gp", "random"), default=["pbnn", "gp", "random"])
    parser.add_argument("--option", action="append", default=[], metavar="KEY=JSON", help="option of PBNN")
    parser.add_argument("--figure", type=Path, help="draw the curves into this file")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    stop = 50 if arguments.quick else STOP
    seeds = arguments.seeds or (2 if arguments.quick else 10)
    options = {key: json.loads(value) for key, value in (item.split("=", 1) for item in arguments.option)}
    models = [m for m in arguments.methods if m != "random"] or ["pbnn", "gp"]
    methods = [m for m in arguments.methods if m != "random"]
    if "random" in arguments.methods:
        methods += [f"random_{model}" for model in models]

    tables, missing = [], []
    for name in arguments.sets or (("freesolv", "steel_fatigue_nims") if arguments.quick else SETS):
        try:
            tables.append(load(name, arguments.data))
        except DataMissingError as error:
            missing.append(name)
            print(f"{name} is left out: {error}")
    rows = cells(tables, methods, seeds, options, stop, arguments.results)
    result = {**summary(rows, methods), "missing": missing, "seeds": seeds}
    if arguments.figure is not None and rows:
        draw(rows, methods, arguments.figure)
    print(json.dumps(result))


if __name__ == "__main__":
    main()

"""Tables, figure and summary of `pbnn_inference`."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

GPS = ("gp_default", "gp_matern")
NLPD_SHOWN = 2.0
"""Upper end of the figure's axis: a network sure of itself and wrong may reach 50."""
LABELS = {
    "pbnn": "PBNN, default",
    "gp_default": "SingleTaskGP",
    "gp_matern": "SingleTaskGP, Matérn-5/2",
    "neurobayes_last": "NeuroBayes, last layer",
    "neurobayes_last2": "NeuroBayes, last two",
    "neurobayes_first": "NeuroBayes, first layer",
    "neurobayes_full": "NeuroBayes, all layers",
    "hmc_last2": "our HMC, last two",
    "hmc_first": "our HMC, first layer",
}


@dataclass(frozen=True)
class Cell:
    """Result of one model for one task, n and seed."""

    task: str
    n: int
    seed: int
    model: str
    result: dict[str, Any]

    def __str__(self) -> str:
        names = {
            "nlpd": "NLPD",
            "coverage": "coverage",
            "rmse": "RMSE",
            "fit_s": "fit/s",
            "sample_s": "sampling/s",
            "ess": "ESS",
        }
        shown = "  ".join(f"{label} {self.result[k]:.3g}" for k, label in names.items() if k in self.result)
        return f"{self.task:10s} n = {self.n:3d}  seed {self.seed}  {self.model:16s}  {shown}"


class Table:
    """Cells by task, n, model and seed."""

    def __init__(self, cells: Iterable[Cell]) -> None:
        self._found = {(c.task, c.n, c.model, c.seed): c.result for c in cells}
        self.places = sorted({key[:2] for key in self._found})

    def seeds(self, task: str, n: int, *models: str) -> list[int]:
        """Seeds for which all of the models are there."""
        all_seeds = {s for t, k, _, s in self._found if (t, k) == (task, n)}
        return sorted(s for s in all_seeds if all((task, n, m, s) in self._found for m in models))

    def value(self, task: str, n: int, model: str, seed: int, key: str) -> float:
        """One number."""
        return float(self._found[task, n, model, seed][key])

    def median(self, task: str, n: int, model: str, key: str) -> float | None:
        """Median over seeds, or None where there is nothing."""
        found = [r[key] for (t, k, m, _), r in self._found.items() if (t, k, m) == (task, n, model) and key in r]
        return statistics.median(found) if found else None


def _median(values: Iterable[float | None]) -> float | None:
    found = [v for v in values if v is not None]
    return statistics.median(found) if found else None


def _worst(values: Iterable[float | None], pick: Callable[[list[float]], float]) -> float | None:
    found = [v for v in values if v is not None]
    return pick(found) if found else None


def _behind(table: Table, opponents: tuple[str, ...]) -> tuple[list[float], list[float]]:
    """Ours minus the best opponent's NLPD: of medians over seeds, cell by cell; and seed by seed."""
    of_medians, of_pairs = [], []
    for task, n in table.places:
        seeds = table.seeds(task, n, "pbnn", *opponents)
        if not seeds:
            continue

        def nlpd(model: str, seed: int, task: str = task, n: int = n) -> float:
            return table.value(task, n, model, seed, "nlpd")

        best = min(statistics.median(nlpd(m, s) for s in seeds) for m in opponents)
        of_medians.append(statistics.median(nlpd("pbnn", s) for s in seeds) - best)
        of_pairs += [nlpd("pbnn", s) - min(nlpd(m, s) for m in opponents) for s in seeds]
    return of_medians, of_pairs


def _speedups(table: Table, model: str, unit: str) -> list[float]:
    """Seconds of a fit and a prediction, a model's over ours, for every task, n and seed."""
    return [
        sum(table.value(task, n, model, seed, f"{part}_{unit}") for part in ("fit", "predict"))
        / sum(table.value(task, n, "pbnn", seed, f"{part}_{unit}") for part in ("fit", "predict"))
        for task, n in table.places
        for seed in table.seeds(task, n, "pbnn", model)
    ]


def _without_compilation(table: Table, model: str) -> list[float]:
    """As `_speedups` by processor seconds, less what NeuroBayes' stages spent compiling (by its share of wall time)."""

    def seconds(task: str, n: int, seed: int) -> float:
        stages = ("sample", "predict") if model == "neurobayes_full" else ("map", "sample", "predict")
        parts = ([table.value(task, n, model, seed, f"{s}_{k}") for k in ("cpu_s", "s", "compile_s")] for s in stages)
        return sum(cpu * max(1 - compiling / wall, 0.0) for cpu, wall, compiling in parts)

    return [
        seconds(task, n, seed) / sum(table.value(task, n, "pbnn", seed, f"{part}_cpu_s") for part in ("fit", "predict"))
        for task, n in table.places
        for seed in table.seeds(task, n, "pbnn", model)
    ]


def _ess(table: Table, variant: str) -> dict[str, float | None]:
    ours, theirs = f"hmc_{variant}", f"neurobayes_{variant}"
    rates: dict[str, list[float]] = {}
    for task, n in table.places:
        for seed in table.seeds(task, n, ours, theirs):

            def get(model: str, key: str, task: str = task, n: int = n, seed: int = seed) -> float:
                return table.value(task, n, model, seed, key)

            sampling = 1 - get(theirs, "sample_compile_s") / get(theirs, "sample_s")
            own = get(ours, "ess") / get(ours, "sample_cpu_s")
            peer = get(theirs, "ess") / get(theirs, "sample_cpu_s")
            wall = get(ours, "ess") / get(ours, "sample_s") * get(theirs, "sample_s") / get(theirs, "ess")
            for key, value in (
                ("ratio", own / peer),
                ("ratio_without_compilation", own / peer * sampling),
                ("ratio_wall", wall),
                ("per_s_ours", own),
                ("per_s_neurobayes", peer),
                ("per_s_neurobayes_without_compilation", peer / sampling),
            ):
                rates.setdefault(key, []).append(value)
    keys = ("ratio", "ratio_without_compilation", "ratio_wall", "per_s_ours", "per_s_neurobayes")
    keys = (*keys, "per_s_neurobayes_without_compilation")
    named = {key: "_".join(("ess", key, variant)) for key in keys}
    named["ratio"] = f"ess_ratio_{variant}"
    named["ratio_without_compilation"] = f"ess_ratio_{variant}_without_compilation"
    named["ratio_wall"] = f"ess_ratio_{variant}_wall"
    return {named[key]: _median(rates.get(key, [])) for key in keys}


def summarise(cells: list[Cell]) -> dict[str, Any]:
    """Return the numbers that the benchmark is for; None where cells are missing.

    * ``nlpd_minus_gp_median`` and ``_worst`` (largest): over the cells (task, n), median over seeds of our NLPD minus
      that of the better of the two Gaussian processes; ``nlpd_minus_full_median`` the same against NeuroBayes' full
      network. ``..._pairs_median``, ``_pairs_worst``: over cells and seeds, ours minus the better at the same seed.
    * ``coverage_min``, ``coverage_max``: of our 95 % intervals, medians over seeds, n >= 50.
    * ``decision_s_N``: update with one point, then mean and variance at 1000 candidates; ``refit_s_N``: full fit and
      prediction; medians over tasks and seeds, wall seconds (``_cpu_s_``: processor seconds). ``update_ms``: one added
      point at ``update_n``.
    * ``speedup_full``, ``speedup_last``: NeuroBayes' fit (MAP, NUTS, compilation) and prediction over our full refit
      and prediction, processor seconds, median over tasks, n and seeds; ``_wall``: wall seconds;
      ``_without_compilation``: less what it spent compiling, which it does anew in every fit.
    * ``ess_ratio_last2``, ``ess_ratio_first``: bulk ESS of predictions per processor second, our HMC on the same trunk
      over NeuroBayes' NUTS. Its seconds are the whole fit without the MAP stage, that is warm-up, draws and
      compilation; ``_without_compilation`` leaves that out (by its share of the wall time), ``_wall`` uses wall
      seconds. Ours: the whole inference. ``ess_per_s_...``: the rates themselves.
    """
    table = Table(cells)
    compared = [place for place in table.places if table.seeds(*place, "pbnn", *GPS)]
    behind_gp, pairs_gp = _behind(table, GPS)
    behind_full, pairs_full = _behind(table, ("neurobayes_full",))
    coverage = [table.median(*place, "pbnn", "coverage") for place in compared if place[1] >= 50]
    summary: dict[str, Any] = {
        "nlpd_minus_gp_median": _median(behind_gp),
        "nlpd_minus_gp_worst": _worst(behind_gp, max),
        "nlpd_minus_gp_pairs_median": _median(pairs_gp),
        "nlpd_minus_gp_pairs_worst": _worst(pairs_gp, max),
        "nlpd_minus_full_median": _median(behind_full),
        "nlpd_minus_full_worst": _worst(behind_full, max),
        "nlpd_minus_full_pairs_median": _median(pairs_full),
        "coverage_min": _worst(coverage, min),
        "coverage_max": _worst(coverage, max),
    }

    def ours(n: int, *keys: str) -> float | None:
        values = [
            sum(table.value(task, n, "pbnn", seed, key) for key in keys)
            for task, k in table.places
            if k == n
            for seed in table.seeds(task, n, "pbnn")
        ]
        return _median(values)

    for n in sorted({n for _, n in table.places} | {50, 200}):
        for unit in ("s", "cpu_s"):
            summary[f"decision_{unit}_{n}"] = ours(n, f"decision_{unit}")
            summary[f"refit_{unit}_{n}"] = ours(n, f"fit_{unit}", f"predict_{unit}")
    largest = max((n for task, n in table.places if table.seeds(task, n, "pbnn")), default=0)
    for unit, key in (("s", "update_ms"), ("cpu_s", "update_cpu_ms")):
        seconds = ours(largest, f"update_{unit}")
        summary[key] = None if seconds is None else 1e3 * seconds
    summary["update_n"] = largest
    for name in ("full", "last", "last2", "first"):
        for unit, suffix in (("cpu_s", ""), ("s", "_wall")):
            summary[f"speedup_{name}{suffix}"] = _median(_speedups(table, f"neurobayes_{name}", unit))
        summary[f"speedup_{name}_without_compilation"] = _median(_without_compilation(table, f"neurobayes_{name}"))
    for variant in ("last2", "first"):
        summary |= _ess(table, variant)
    summary["cells"] = {
        f"{task}, {n}": {
            model: {key: table.median(task, n, model, key) for key in ("nlpd", "coverage", "rmse")}
            | {"seeds": len(table.seeds(task, n, model))}
            for model in LABELS
            if table.median(task, n, model, "nlpd") is not None
        }
        for task, n in table.places
    }
    return _rounded(summary)


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(v) for key, v in value.items()}
    return float(f"{value:.4g}") if isinstance(value, float) else value


def print_tables(cells: list[Cell]) -> None:
    """Print medians over seeds, a table for every task and n."""
    table = Table(cells)
    columns = ("nlpd", "coverage", "rmse", "fit_s", "fit_cpu_s", "predict_s", "predict_cpu_s", "ess")
    for task, n in table.places:
        print(f"\n{task}, n = {n}\n{'':26s}" + "".join(f"{c:>14s}" for c in (*columns, "seeds")))
        for model, label in LABELS.items():
            seeds = table.seeds(task, n, model)
            if not seeds:
                continue
            found = (table.median(task, n, model, c) for c in columns)
            row = "".join(f"{'-' if v is None else format(v, '.3f'):>14s}" for v in found)
            print(f"{label:26s}{row}{len(seeds):14d}")
    print()


def save_figure(cells: list[Cell], path: Path) -> None:
    """Draw NLPD, coverage and RMSE against n, medians over seeds, a row for every task."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot as plt

    table = Table(cells)
    tasks = sorted({task for task, _ in table.places})
    names = {"nlpd": "NLPD", "coverage": "coverage of 95 % intervals", "rmse": "RMSE"}
    figure, axes = plt.subplots(len(tasks), 3, figsize=(13, 3.6 * len(tasks)), squeeze=False, layout="constrained")
    for row, task in zip(axes, tasks, strict=True):
        for ax, (key, name) in zip(row, names.items(), strict=True):
            for model, label in LABELS.items():
                found = [(n, table.median(t, n, model, key)) for t, n in table.places if t == task]
                points = [(n, v) for n, v in found if v is not None]
                if points:
                    style = {"lw": 2.5, "color": "black"} if model == "pbnn" else {"lw": 1.2}
                    ax.plot(*zip(*points, strict=True), marker="o", ms=4, label=label, **style)
            ax.set(xscale="log", xlabel="training points", ylabel=name, title=task)
            ax.set_xticks(ns := sorted({n for t, n in table.places if t == task}), [str(n) for n in ns])
            ax.minorticks_off()
            if key == "nlpd" and ax.get_ylim()[1] > NLPD_SHOWN:
                ax.set_ylim(top=NLPD_SHOWN)
                ax.set_title(f"{task} (cut off at {NLPD_SHOWN:g})")
            if key == "coverage":
                ax.axhline(0.95, color="grey", lw=0.8)
    axes[0][0].legend(fontsize=7)
    figure.savefig(path, dpi=150)

"""How well SAXS curves are classified, against baselines and dose; what is new to it; how fast.

Test curves have parameters from ranges 10 % wider than training's (configs/saxs_test.yaml), at five exposures over four
decades, the reference dose of 1 s in the middle; the same from training's own ranges, and six families that training
never saw (configs/saxs_novelty.yaml). `saxs_contestants` says who classifies, `saxs_scores` how that is scored. Data
sets in a folder ``--data`` that come from these recipes are used, whatever their names; the others are simulated.

    python benchmarks/saxs_classifier.py [--quick] [--data DIR] [--test RECIPE.yaml] [--model PATH] [--train-curves N]
        [--ours] [--figure FILE.png] [--results FILE.jsonl]

`--quick`: 4,000 test curves a dose, baselines trained on 20,000 instead of 200,000, 10,000 curves for speed instead of
100,000; about a minute and a half. `--ours` also trains the classifier itself on as many curves as the baselines: half
an hour of one core for 200,000. With `--results` finished cells are kept, and nothing is trained whose cells are there.

The last line is one JSON object. At the reference dose: ``accuracy``, ``macro_f1``, ``ece`` (wider ranges),
``novelty_auroc`` (mean over the six families, against known kinds from training's ranges), ``novelty_auroc_by_family``,
``false_alarm`` (share of new curves of known kinds with p <= 0.05) and ``false_alarm_se``; then ``ms_per_curve``,
``curves_per_s`` with ``best_way``; ``by_dose`` and ``baselines`` hold the same against dose.
"""

from __future__ import annotations

import argparse
import functools
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from pbnn_tasks import Results
from saxs_contestants import Ours, Trained, curves_of, identity
from saxs_pictures import LABELS, Cells, save_figure
from saxs_scores import judged
from saxs_sets import DOSES, REFERENCE, Labelled, Recipes, Sets, gridded, training_recipe
from saxs_speed import speed

from loop.classifier import classifier_path
from surrogates.saxs.model import SaxsClassifier

FIGURES = ("accuracy", "macro_f1", "ece")
PARTS = ("test", "same", "novelty")
BASELINES = ("cnn", "ensemble", "tree")
FEW = 4000
"""Test curves of a dose with `--quick`."""


def main() -> None:
    """Run the cells that are missing and print tables and summary."""
    arguments = _arguments()
    torch.set_num_threads(1)
    path = classifier_path(arguments.model, "--model")
    model = SaxsClassifier.load(path)
    trained_on = curves_of(model.card)
    print(f"Classifier: {path}, trained on {trained_on or 'an unknown number of'} curves of {', '.join(model.classes)}")
    results = Results(arguments.results)
    with tempfile.TemporaryDirectory(prefix="saxs_classifier-") as work:
        sets = Sets(arguments.data, Path(work))
        cells = _judge(arguments, model, path, sets, Path(work), results)
        fast = _speed(arguments, path, sets)
    summary = _summary(cells, model, trained_on, arguments) | fast
    _print_tables(cells, model)
    print(
        f"One curve: {fast['ms_per_curve']:.1f} ms; {fast['curves_per_s']:,} curves per second on two cores "
        f"({fast['best_way']}; {', '.join(f'{name} {rate:,}' for name, rate in fast['rates'].items())})"
    )
    if arguments.figure:
        save_figure(arguments.figure, cells, model.classes)
        print(f"Figure: {arguments.figure}")
    print(json.dumps(summary))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer curves: about a minute and a half")
    parser.add_argument("--data", type=Path, help="folder with data sets of `beamloop simulate`, used where they fit")
    parser.add_argument("--test", type=Path, help="recipe of other test curves, with the same labels")
    parser.add_argument("--model", type=Path, help="classifier; by default the one that `beamloop classify` takes")
    parser.add_argument("--train-curves", type=int, help="for the baselines (default: 200,000; 20,000 with --quick)")
    parser.add_argument("--members", type=int, help="networks of the ensemble (default: 5; 3 with --quick)")
    parser.add_argument("--ours", action="store_true", help="train this classifier on the baselines' curves, too")
    parser.add_argument("--no-baselines", action="store_true")
    parser.add_argument("--figure", type=Path)
    parser.add_argument("--results", type=Path, help="keeps finished cells")
    arguments = parser.parse_args()
    arguments.train_curves = arguments.train_curves or (20_000 if arguments.quick else 200_000)
    arguments.members = arguments.members or (3 if arguments.quick else 5)
    return arguments


def _judge(
    arguments: argparse.Namespace, model: SaxsClassifier, path: Path, sets: Sets, work: Path, results: Results
) -> Cells:
    """Return figures by contestant and dose."""
    names = ["shipped", *(() if arguments.no_baselines else BASELINES), *(["ours"] if arguments.ours else [])]
    recipe = training_recipe(arguments.train_curves, model.classes) if len(names) > 1 else None

    @functools.cache
    def trained() -> Trained:
        assert recipe is not None
        data = sets.get("train", recipe)
        return Trained(model, gridded(data, model.grid, model.classes), data.folder, work, arguments.members)

    # Now: files may change while this runs, the code that was loaded does not.
    who = {name: identity(name, path, model, arguments.members) for name in names}
    found: dict[str, dict[float, dict[str, Any]]] = {name: {} for name in names}
    for dose in DOSES:
        recipes = Recipes.at(dose, arguments.test, FEW if arguments.quick else None)
        load = functools.cache(functools.partial(_load, sets, recipes, dose, model))
        judges = {part: getattr(recipes, part).hash[:12] for part in PARTS}
        for name in names:
            cell = {"who": name, "dose": dose, **judges, **who[name]}
            cell |= {} if name == "shipped" or recipe is None else {"train": recipe.hash[:12]}

            def compute(name: str = name, load: Callable[[], list[Labelled]] = load) -> dict[str, Any]:
                return judged(Ours(model) if name == "shipped" else trained().get(name), *load())

            found[name][dose] = results.run(cell, compute)
    return found


def _load(sets: Sets, recipes: Recipes, dose: float, model: SaxsClassifier) -> list[Labelled]:
    """Test curves, curves as in training, and what training never saw."""
    found = []
    for part in PARTS:
        names = None if part == "novelty" else model.classes
        found.append(gridded(sets.get(f"{part}_{dose:g}", getattr(recipes, part)), model.grid, names))
    return found


def _speed(arguments: argparse.Namespace, path: Path, sets: Sets) -> dict[str, Any]:
    recipe = Recipes.at(REFERENCE, arguments.test, FEW if arguments.quick else None).test
    data = sets.get(f"test_{REFERENCE:g}", recipe)
    part = next(data.shards())
    arrays = data.q, part["intensity"], part["sigma"]
    return speed(path, arrays, 10_000 if arguments.quick else 100_000)


def _summary(
    cells: Cells, model: SaxsClassifier, trained_on: int | None, arguments: argparse.Namespace
) -> dict[str, Any]:
    at = cells["shipped"][REFERENCE]
    return {
        **{key: round(at["wide"][key], 4) for key in FIGURES},
        "novelty_auroc": round(at["novelty"]["mean"], 4),
        "false_alarm": round(at["false_alarm"]["share"], 4),
        "false_alarm_se": round(at["false_alarm"]["se"], 4),
        "novelty_auroc_by_family": _rounded(at["novelty"]["auroc"]),
        "flagged_by_family": _rounded(at["flagged"]),
        "auroc_by_class": _rounded(at["wide"]["auroc"]),
        "same_ranges": {key: round(at["same"][key], 4) for key in FIGURES},
        "by_dose": {
            f"{dose:g}": {
                **{key: round(one["wide"][key], 4) for key in FIGURES},
                "same_accuracy": round(one["same"]["accuracy"], 4),
                "novelty_auroc": round(one["novelty"]["mean"], 4),
                "false_alarm": round(one["false_alarm"]["share"], 4),
                "wide_flagged": round(one["wide_flagged"]["share"], 4),
            }
            for dose, one in cells["shipped"].items()
        },
        "baselines": {
            name: {
                f"{dose:g}": {
                    **{key: round(one["wide"][key], 4) for key in FIGURES},
                    "novelty_auroc": round(one["novelty"]["mean"], 4),
                }
                for dose, one in by_dose.items()
            }
            for name, by_dose in cells.items()
            if name != "shipped"
        },
        "classes": list(model.classes),
        "train_curves": trained_on,
        "baseline_train_curves": arguments.train_curves,
        "quick": arguments.quick,
    }


def _rounded(values: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 4) for name, value in values.items()}


def _print_tables(cells: Cells, model: SaxsClassifier) -> None:
    print(f"\n{'accuracy, macro F1, ECE':32s}" + "".join(f"{f'{dose:g} s':>23s}" for dose in DOSES))
    for name, by_dose in cells.items():
        for part, extra in (("wide", ""), ("same", ", own ranges")):
            shown = ((one[part][key] for key in FIGURES) for one in by_dose.values())
            if part == "wide" or name == "shipped":
                row = "".join(f"{a:9.4f}{f:7.4f}{e:7.4f}" for a, f, e in shown)
                print(f"{LABELS[name] + extra:32s}{row}")
    shipped = cells["shipped"]
    print(f"\n{'novelty, area under ROC':32s}" + "".join(f"{f'{dose:g} s':>10s}" for dose in DOSES))
    for family in shipped[REFERENCE]["novelty"]["auroc"]:
        print(f"{family:32s}" + "".join(f"{one['novelty']['auroc'][family]:10.3f}" for one in shipped.values()))
    for name, by_dose in cells.items():
        print(f"{'mean: ' + LABELS[name]:32s}" + "".join(f"{one['novelty']['mean']:10.3f}" for one in by_dose.values()))
    for key, label in (("false_alarm", "false alarms at 0.05"), ("wide_flagged", "the same, wider ranges")):
        row = "".join(f"{one[key]['share']:10.4f}" for one in shipped.values())
        print(f"{label:32s}{row}")
    print(f"{'standard error':32s}" + "".join(f"{one['false_alarm']['se']:10.4f}" for one in shipped.values()))
    print()


if __name__ == "__main__":
    main()

"""What the SAXS classifier makes of measured curves: do they go through, is a bad one told, can labels be learnt.

1. Every curve of `sas_measured_curves`, `sas_series`, `saxs_stober_silica` and `saxs_mesoporous_silica` (all Parquet
   files of their folders) goes through `beamloop classify --json --skip-bad-rows`, as a person would do it.
2. Stöber silica: the p-value is calibrated on 30 of the good curves (``curve_ok``), drawn at random, and looked at for
   all bad ones and for the good ones that were not used; several draws. A bad curve that is refused counts as flagged.
3. Mesoporous silica: mesophase labels by few-shot learning on the pretrained trunk (`saxs_mesophases`), for both
   instruments that measured the samples.

    python benchmarks/saxs_real.py [--data DIR] [--test FILE...] [--model PATH] [--quick]

`--data`: folder of the recorded data sets (default: $BEAMLOOP_DATA). `--test`: further files for the first part, in any
format that `beamloop classify` reads. `--quick`: fewer draws and repeats.

The last line is one JSON object: ``curves``, ``classified``, ``refused`` and ``errors`` (curves without a sound answer,
and commands without any), ``sets`` with the same for each set and reasons; ``bad_flagged`` and ``good_false_alarm``
(means over draws, p <= 0.05) with ``..._range``; ``fewshot_balanced_accuracy``, ``nearest_neighbour_balanced_accuracy``
and ``boosted_tree_balanced_accuracy`` (of one and three neighbours, and of trees on curves and on invariants, the
better; means over both instruments), ``mesophases`` with all methods by instrument.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from saxs_mesophases import METHODS, balanced_accuracies

from instruments.readers import CurveFileError, read_curves
from loop.classifier import classifier_path
from loop.exitcodes import ExitCode
from simulators.errors import DataMissingError
from simulators.recorded import find_data
from surrogates.saxs.curves import GriddedCurves, local_sigma
from surrogates.saxs.model import SaxsClassifier

SETS = ("sas_measured_curves", "sas_series", "saxs_stober_silica", "saxs_mesoporous_silica")
ALPHA = 0.05
CALIBRATION = 30
_LEFT_OUT = re.compile(r"(\d+) of \d+ rows left out")
_REASON = re.compile(r"^.*?row \d+: (.*?)(, got .*)?$")


def through(files: Sequence[Path], model: Path) -> dict[str, Any]:
    """Classify files by the command; count what came out, and what was said of the rest."""
    command = [sys.executable, "-m", "loop.cli", "classify", *map(str, files), "--json", "--skip-bad-rows"]
    done = subprocess.run([*command, "--model", str(model)], capture_output=True, text=True, check=False)
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    if done.returncode not in (ExitCode.DONE, ExitCode.BAD_INPUT):
        return {"curves": 0, "classified": 0, "refused": 0, "errors": 1, "said": lines[-3:]}
    found = json.loads(done.stdout)["curves"] if done.stdout.strip() else []
    finite = [all(np.isfinite(list(c["probabilities"].values()))) and 0 < c["p_value"] <= 1 for c in found]
    reasons = Counter[str]()
    for path in files:
        try:
            strict = read_curves(path).refused
        except CurveFileError as error:
            strict = (str(error),)
        reasons.update(_REASON.sub(r"\1", line) for line in strict)
    rows = [int(match[1]) for c in found for note in c["notes"] if (match := _LEFT_OUT.search(note))]
    return {
        "curves": len(found) + len(lines),
        "classified": sum(finite),
        "refused": len(lines),
        "errors": len(found) - sum(finite),
        "with_bad_rows": len(rows),
        "rows_left_out": sum(rows),
        "bad_rows_because": dict(reasons),
        "without_error_bars": sum(any("no error bars" in note for note in c["notes"]) for c in found),
        "unlike_training": round(float(np.mean([c["unlike_training"] for c in found])), 3) if found else None,
        "by_class": dict(Counter(c["class"] for c in found)),
        "said": lines[:5],
    }


def measured(path: Path, model: SaxsClassifier) -> list[tuple[int, str, GriddedCurves]]:
    """Return row of the table, kind of curve (prefix of the columns or empty) and curve, of all that can be used."""
    found = []
    for read in read_curves(path, skip_bad_rows=True).curves:
        place = re.search(r"\[(\d+)\] ?(\w*)$", read.name)
        assert place is not None, read.name
        sigma = read.curve.sigma
        if np.isnan(sigma).any():
            sigma = local_sigma(read.curve.q, read.curve.intensity)
        curve = model.gridded(read.curve.q, read.curve.intensity, sigma, read.name)
        found.append((int(place[1]), place[2], curve))
    return found


def bad_curves(path: Path, model: SaxsClassifier, draws: int) -> dict[str, Any]:
    """Return the share of bad curves that is flagged after calibration, and of good ones."""
    good = pd.read_parquet(path, columns=["curve_ok"])["curve_ok"].to_numpy(dtype=bool)
    usable = measured(path, model)
    rows = np.array([row for row, _, _ in usable])
    curves = GriddedCurves.joined([curve for _, _, curve in usable])
    places = np.flatnonzero(good[rows])
    bad = np.flatnonzero(~good[rows])
    refused = int((~good).sum()) - len(bad)
    flagged, alarms, missed = [], [], Counter[int]()
    for seed in range(draws):
        order = np.random.default_rng(seed).permutation(places)
        calibrated = model.recalibrated(curves[np.sort(order[:CALIBRATION])])
        p_bad = calibrated.classify(curves[bad]).p_value
        p_good = calibrated.classify(curves[order[CALIBRATION:]]).p_value
        flagged.append((int((p_bad <= ALPHA).sum()) + refused) / (len(bad) + refused))
        alarms.append(float((p_good <= ALPHA).mean()))
        missed.update(rows[bad][p_bad > ALPHA].tolist())
    simulated = model.classify(curves).p_value
    return {
        "good": int(good.sum()),
        "bad": int((~good).sum()),
        "bad_refused": refused,
        "draws": draws,
        "bad_flagged": round(float(np.mean(flagged)), 3),
        "bad_flagged_range": [round(min(flagged), 3), round(max(flagged), 3)],
        "good_false_alarm": round(float(np.mean(alarms)), 3),
        "good_false_alarm_range": [round(min(alarms), 3), round(max(alarms), 3)],
        "draws_within_bars": round(float(np.mean((np.array(flagged) >= 0.8) & (np.array(alarms) <= 0.1))), 3),
        # For comparison: unlike anything simulated, before any calibration.
        "good_unlike_simulated": round(float((simulated[places] <= ALPHA).mean()), 3),
        "bad_unlike_simulated": round(float((simulated[bad] <= ALPHA).mean()), 3),
        "rows_often_missed": [row for row, times in missed.most_common(5) if times > draws / 2],
    }


def mesophases(path: Path, model: SaxsClassifier, repeats: int) -> dict[str, Any]:
    """Return balanced accuracies by instrument and method."""
    names = pd.read_parquet(path, columns=["mesophase"])["mesophase"].to_list()
    usable = [(row, kind, curve) for row, kind, curve in measured(path, model) if isinstance(names[row], str)]
    found = {}
    for kind in sorted({kind for _, kind, _ in usable}):
        own = [(names[row], curve) for row, k, curve in usable if k == kind]
        labels = np.array([name for name, _ in own])
        found[kind] = {
            "labels": {
                str(name): int(count) for name, count in zip(*np.unique(labels, return_counts=True), strict=True)
            },
            **balanced_accuracies(model, GriddedCurves.joined([curve for _, curve in own]), labels, repeats),
        }
    return found


def main() -> None:
    """Run all three parts and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder of the recorded data sets (default: $BEAMLOOP_DATA)")
    parser.add_argument("--test", type=Path, nargs="+", help="further files with measured curves")
    parser.add_argument("--model", type=Path, help="classifier; by default the one that `beamloop classify` takes")
    parser.add_argument("--quick", action="store_true", help="5 draws and 2 repeats instead of 50 and 20")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    path = classifier_path(arguments.model, "--model")
    model = SaxsClassifier.load(path)
    print(f"Classifier: {path}, of {', '.join(model.classes)}")

    summary: dict[str, Any] = {"sets": {}, "missing": []}
    folders: dict[str, list[Path]] = {}
    for name in SETS:
        try:
            folders[name] = sorted(find_data(name, arguments.data).glob("*.parquet"))
        except DataMissingError as error:
            print(error)
            summary["missing"].append(name)
    for name, files in [*folders.items(), *([("test", arguments.test)] if arguments.test else [])]:
        found = through(files, path)
        summary["sets"][name] = found
        print(f"{name}: {found['classified']} of {found['curves']} curves classified, {found['refused']} refused")
        for key in ("with_bad_rows", "bad_rows_because", "without_error_bars", "unlike_training", "by_class"):
            print(f"  {key.replace('_', ' ')}: {found.get(key)}")
        for line in found["said"]:
            print(f"  said: {line}")
    for key in ("curves", "classified", "refused", "errors"):
        summary[key] = sum(found[key] for found in summary["sets"].values())

    for file in folders.get("saxs_stober_silica", [])[:1]:
        stober = bad_curves(file, model, 5 if arguments.quick else 50)
        summary |= {key: value for key, value in stober.items() if key.startswith(("bad_flagged", "good_false_alarm"))}
        summary["stober"] = stober
        print(
            f"Stöber silica, calibrated on {CALIBRATION} good curves, {stober['draws']} draws: "
            f"{stober['bad_flagged']:.1%} of {stober['bad']} bad curves flagged {stober['bad_flagged_range']}, "
            f"{stober['good_false_alarm']:.1%} of the other good ones {stober['good_false_alarm_range']}; "
            f"at least 80 % and at most 10 % in {stober['draws_within_bars']:.0%} of the draws"
        )
    for file in folders.get("saxs_mesoporous_silica", [])[:1]:
        summary["mesophases"] = mesophases(file, model, 2 if arguments.quick else 20)
        summary |= _balanced(summary["mesophases"])
        _print_mesophases(summary["mesophases"])
    print(json.dumps(summary))


def _balanced(found: dict[str, Any]) -> dict[str, float]:
    def mean(*methods: str) -> float:
        return round(float(np.mean([max(one[m]["mean"] for m in methods) for one in found.values()])), 3)

    return {
        "fewshot_balanced_accuracy": mean("fewshot"),
        "nearest_neighbour_balanced_accuracy": mean("nearest_neighbour", "three_neighbours"),
        "boosted_tree_balanced_accuracy": mean("boosted_tree", "boosted_tree_invariants"),
    }


def _print_mesophases(found: dict[str, Any]) -> None:
    for kind, one in found.items():
        print(f"Mesophases, {kind}: {one['labels']}")
        for method, text in METHODS.items():
            print(f"  {text:38s} {one[method]['mean']:.3f} ± {one[method]['se']:.3f} (repeats {one[method]['sd']:.3f})")


if __name__ == "__main__":
    main()

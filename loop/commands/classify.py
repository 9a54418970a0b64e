"""Classify measured curves: which defect, how sure, and whether it is like anything in training."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from loop.classifier import classifier_path
from loop.commands.classify_inputs import Input, Reading, distinct, is_address, is_campaign, read_inputs
from loop.commands.failures import say
from loop.errors import BeamloopError
from loop.exitcodes import ExitCode

if TYPE_CHECKING:
    from instruments.readers import ReadCurve, Unit
    from surrogates.saxs.curves import GriddedCurves
    from surrogates.saxs.model import Classification, SaxsClassifier


@dataclass(frozen=True, eq=False)
class _Result:
    """One curve and what is believed of it."""

    name: str
    label: str
    """Short, for tables."""
    read: ReadCurve
    notes: tuple[str, ...]
    """Of the file, and of what was done here."""
    origin: Mapping[str, Any]
    found: Classification
    """Of this curve alone."""


def classify(
    sources: Sequence[str],
    *,
    model: Path | None,
    as_json: bool,
    figure: Path | None,
    calibrate: str | None,
    unit: str | None,
    skip_bad_rows: bool,
    alpha: float,
    columns: str | None = None,
    runs: Sequence[str] = (),
) -> int:
    """Classify the curves of files, campaigns and Tiled nodes; return the exit code: 2 if anything was refused."""
    if unit not in (None, "1/A", "1/nm"):
        raise BeamloopError(f'--unit: expected "1/A" or "1/nm", got "{unit}".')
    if not 0 < alpha < 1:
        raise BeamloopError(f"--alpha: expected a number between 0 and 1, got {alpha:g}.")
    reading = Reading(cast("Unit | None", unit), skip_bad_rows, _names(columns), tuple(runs))
    from surrogates.saxs.model import SaxsClassifier

    classifier = SaxsClassifier.load(classifier_path(model, "--model"))
    if calibrate is not None:
        good, not_good = read_inputs(_files(calibrate), replace(reading, runs=()))
        curves, also_not_good = _gridded(classifier, good)
        for line in [*not_good, *also_not_good]:
            say(f"--calibrate: {line}")
        if not curves:
            raise BeamloopError("--calibrate: not one of the curves can be used.")
        classifier = classifier.recalibrated(_joined(curves))
    inputs, refused = read_inputs(sources, reading)
    results, also_refused = _classified(classifier, inputs)
    for line in [*refused, *also_refused]:
        say(line)
    if as_json:
        document = {"classes": classifier.classes, "alpha": alpha, "curves": [_plain(r, alpha) for r in results]}
        print(json.dumps(document, indent=1, ensure_ascii=False))
    elif results:
        _table(results, classifier.classes, alpha)
    if figure is not None and results:
        from loop.report.classes import draw

        draw(figure, [replace(r.read, name=r.label) for r in results], [r.found for r in results], alpha)
    return ExitCode.BAD_INPUT if refused or also_refused else ExitCode.DONE


def _names(columns: str | None) -> tuple[str, ...] | None:
    if columns is None:
        return None
    names = tuple(name.strip() for name in columns.split(","))
    if len(names) not in (2, 3) or not all(names):
        raise BeamloopError(
            f'--columns: expected names of q, I and if there is one σ, as in "q,I,sigma", got "{columns}".'
        )
    return names


def _files(source: str) -> list[str]:
    """Files of a folder of good curves, or the one source."""
    folder = Path(source)
    if is_address(source) or not folder.is_dir() or is_campaign(folder):
        return [source]
    found = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    if not found:
        raise BeamloopError(f"{folder}: holds no files to calibrate with.")
    return [str(path) for path in found]


@dataclass(frozen=True, eq=False)
class _Gridded:
    """A curve on the classifier's grid."""

    source: Input
    notes: tuple[str, ...]
    curve: GriddedCurves


def _gridded(classifier: SaxsClassifier, inputs: Sequence[Input]) -> tuple[list[_Gridded], list[str]]:
    """Bring curves to the classifier's grid, and say which do not go there."""
    import numpy as np

    from surrogates.errors import SurrogateError
    from surrogates.saxs.curves import local_sigma

    found, refused = [], []
    for source in inputs:
        curve, notes = source.read.curve, source.read.notes
        sigma = curve.sigma
        if np.isnan(sigma).any():
            sigma = local_sigma(curve.q, curve.intensity)
            notes = (*notes, "no error bars: estimated from the scatter of the points")
        try:
            gridded = classifier.gridded(curve.q, curve.intensity, sigma, source.read.name)
        except SurrogateError as error:
            refused.append(str(error))
            continue
        found.append(_Gridded(source, notes, gridded))
    return found, refused


def _joined(curves: Sequence[_Gridded]) -> GriddedCurves:
    from surrogates.saxs.curves import GriddedCurves

    return GriddedCurves.joined([item.curve for item in curves])


def _classified(classifier: SaxsClassifier, inputs: Sequence[Input]) -> tuple[list[_Result], list[str]]:
    curves, refused = _gridded(classifier, inputs)
    if not curves:
        return [], refused
    found = classifier.classify(_joined(curves))
    labels = distinct([item.source for item in curves])
    return [
        _Result(item.source.read.name, label, item.source.read, item.notes, item.source.origin, found.row(i))
        for i, (item, label) in enumerate(zip(curves, labels, strict=True))
    ], refused


def _plain(result: _Result, alpha: float) -> dict[str, Any]:
    found = result.found
    return {
        "name": result.name,
        **result.origin,
        "class": found.name[0],
        "probabilities": dict(zip(found.classes, (round(float(p), 6) for p in found.probability[0]), strict=True)),
        "epistemic": float(found.epistemic[0]),
        "aleatoric": float(found.aleatoric[0]),
        "novelty": float(found.novelty[0]),
        "p_value": float(found.p_value[0]),
        "unlike_training": bool(found.p_value[0] <= alpha),
        "notes": list(result.notes),
    }


def _table(results: Sequence[_Result], classes: Sequence[str], alpha: float) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table()
    table.add_column("curve", overflow="fold")
    table.add_column("class", no_wrap=True)
    for name in (*classes, "epistemic", "aleatoric", "p"):
        table.add_column(name, justify="right")
    table.add_column("")
    for result in results:
        found = result.found
        p = float(found.p_value[0])
        numbers = [f"{value:.3f}" for value in (*found.probability[0], found.epistemic[0], found.aleatoric[0])]
        flag = "unlike training" if p <= alpha else ""
        table.add_row(Text(result.label), found.name[0], *numbers, f"{p:.3g}", flag)
    console = Console(width=None if os.isatty(1) else 160)
    console.print(table)
    for result in results:
        for note in result.notes:
            console.print(f"{result.label}: {note}", highlight=False, markup=False)
    console.print(
        f"p: how many curves of known kinds are as strange; unlike training at p <= {alpha:g}. Epistemic: what more "
        "training could tell; aleatoric: what this curve leaves open (nats).",
        highlight=False,
    )

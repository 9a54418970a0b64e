"""Classify measured curves: which defect, how sure, and whether it is like anything in training."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loop.commands.failures import say
from loop.errors import BeamloopError
from loop.exitcodes import ExitCode

if TYPE_CHECKING:
    from instruments.readers import ReadCurve, Unit
    from surrogates.saxs.model import Classification, SaxsClassifier

MODEL = "BEAMLOOP_CLASSIFIER"
"""Environment variable that names the classifier to use where no option does."""
_SHIPPED = Path(__file__).parents[2] / "configs" / "models" / "saxs"


@dataclass(frozen=True, eq=False)
class _Result:
    """One curve and what is believed of it."""

    read: ReadCurve
    notes: tuple[str, ...]
    """Of the file, and of what was done here."""
    found: Classification
    """Of this curve alone."""

    @property
    def name(self) -> str:
        """File, and which curve of it."""
        return self.read.name


def classify(
    paths: Sequence[Path],
    *,
    model: Path | None,
    as_json: bool,
    figure: Path | None,
    calibrate: Path | None,
    unit: str | None,
    skip_bad_rows: bool,
    alpha: float,
) -> int:
    """Classify the curves of files; return the exit code: 2 if anything was refused."""
    if unit not in (None, "1/A", "1/nm"):
        raise BeamloopError(f'--unit: expected "1/A" or "1/nm", got "{unit}".')
    if not 0 < alpha < 1:
        raise BeamloopError(f"--alpha: expected a number between 0 and 1, got {alpha:g}.")
    from surrogates.saxs.model import SaxsClassifier

    classifier = SaxsClassifier.load(_model_path(model))
    q_unit: Any = unit
    if calibrate is not None:
        good, _ = _read(_files(calibrate), q_unit, skip_bad_rows)
        classifier = classifier.recalibrated(_joined(classifier, good))
    curves, refused = _read(paths, q_unit, skip_bad_rows)
    results, also_refused = _classified(classifier, curves)
    for line in [*refused, *also_refused]:
        say(line)
    if as_json:
        document = {"classes": classifier.classes, "alpha": alpha, "curves": [_plain(r, alpha) for r in results]}
        print(json.dumps(document, indent=1, ensure_ascii=False))
    elif results:
        _table(results, classifier.classes, alpha)
    if figure is not None and results:
        from loop.report.classes import draw

        draw(figure, [r.read for r in results], [r.found for r in results], alpha)
    return ExitCode.BAD_INPUT if refused or also_refused else ExitCode.DONE


def _model_path(model: Path | None) -> Path:
    if model is not None:
        return model
    named = os.environ.get(MODEL)
    path = Path(named) if named else _SHIPPED
    if not named and not path.with_name(path.name + ".json").exists():
        raise BeamloopError(
            f"there is no trained classifier at {path}: train one (beamloop train saxs CONFIG) and name it with "
            f"--model or {MODEL}."
        )
    return path


def _files(folder: Path) -> list[Path]:
    """Files of a folder of good curves, or the one file."""
    if not folder.is_dir():
        return [folder]
    found = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    if not found:
        raise BeamloopError(f"{folder}: holds no files to calibrate with.")
    return found


def _read(paths: Sequence[Path], unit: Unit | None, skip: bool) -> tuple[list[ReadCurve], list[str]]:
    from instruments.readers import CurveFileError, read_curves

    curves: list[ReadCurve] = []
    refused: list[str] = []
    for path in paths:
        try:
            reading = read_curves(path, unit=unit, skip_bad_rows=skip)
        except CurveFileError as error:
            refused.append(str(error))
            continue
        curves += reading.curves
        refused += reading.refused
    return curves, refused


def _gridded(classifier: SaxsClassifier, read: ReadCurve) -> tuple[Any, tuple[str, ...]]:
    import numpy as np

    from surrogates.saxs.curves import local_sigma

    curve, notes = read.curve, read.notes
    sigma = curve.sigma
    if np.isnan(sigma).any():
        sigma = local_sigma(curve.q, curve.intensity)
        notes = (*notes, "no error bars: estimated from the scatter of the points")
    return classifier.gridded(curve.q, curve.intensity, sigma, read.name), notes


def _joined(classifier: SaxsClassifier, curves: Sequence[ReadCurve]) -> Any:
    from surrogates.saxs.curves import GriddedCurves

    if not curves:
        raise BeamloopError("--calibrate: not one of the curves can be used.")
    return GriddedCurves.joined([_gridded(classifier, read)[0] for read in curves])


def _classified(classifier: SaxsClassifier, curves: Sequence[ReadCurve]) -> tuple[list[_Result], list[str]]:
    from surrogates.errors import SurrogateError
    from surrogates.saxs.curves import GriddedCurves

    kept, parts, refused = [], [], []
    for read in curves:
        try:
            part, notes = _gridded(classifier, read)
        except SurrogateError as error:
            refused.append(str(error))
            continue
        kept.append((read, notes))
        parts.append(part)
    if not parts:
        return [], refused
    found = classifier.classify(GriddedCurves.joined(parts))
    results = [_Result(read, notes, found.row(i)) for i, (read, notes) in enumerate(kept)]
    return results, refused


def _plain(result: _Result, alpha: float) -> dict[str, Any]:
    found = result.found
    return {
        "name": result.name,
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
        table.add_row(Path(result.name).name, found.name[0], *numbers, f"{p:.3g}", flag)
    console = Console(width=None if os.isatty(1) else 160)
    console.print(table)
    for result in results:
        for note in result.notes:
            console.print(f"{Path(result.name).name}: {note}", highlight=False, markup=False)
    console.print(
        f"p: how many curves of known kinds are as strange; unlike training at p <= {alpha:g}. Epistemic: what more "
        "training could tell; aleatoric: what this curve leaves open (nats).",
        highlight=False,
    )

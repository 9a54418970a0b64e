"""Data sets that `saxs_classifier` trains on and judges by: those that are there, else simulated ones."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from simulators.datasets import Dataset, DatasetError, Recipe, generate
from surrogates.saxs.curves import GriddedCurves, QGrid, rebin

CONFIGS = Path(__file__).parents[1] / "configs"
REFERENCE = 1.0
"""Exposure, s, that the bars are for."""
DOSES = (0.01, 0.1, REFERENCE, 10.0, 100.0)


@dataclass(frozen=True, eq=False)
class Labelled:
    """Curves on a grid."""

    curves: GriddedCurves
    """Single precision, as in training."""
    label: np.ndarray
    """``(n,)`` places in the list of names."""
    names: tuple[str, ...]


@dataclass(frozen=True)
class Recipes:
    """What is judged by, dose by dose."""

    test: Recipe
    """Known kinds, parameters from ranges wider than training's (or whatever ``--test`` says)."""
    same: Recipe
    """Known kinds, training's own ranges, another seed."""
    novelty: Recipe
    """The families that training never saw."""

    @classmethod
    def at(cls, dose: float, test: Path | None, curves: int | None) -> Recipes:
        """Return them for an exposure; with at most so many curves each, half of it for novelty."""
        usual = Recipe.from_yaml(CONFIGS / "saxs_test.yaml")

        def made(recipe: Recipe, most: int | None, **changes: Any) -> Recipe:
            number = recipe.curves if most is None else min(recipe.curves, most)
            return changed(recipe, exposure_s={"kind": "fixed", "value": dose}, curves=number, **changes)

        return cls(
            made(Recipe.from_yaml(test) if test else usual, curves),
            made(usual, curves, widened=0.0, seed=usual.seed + 1),
            made(Recipe.from_yaml(CONFIGS / "saxs_novelty.yaml"), None if curves is None else curves // 2),
        )


def changed(recipe: Recipe, **changes: Any) -> Recipe:
    """Return a recipe with other values at its top level."""
    return Recipe.model_validate({**recipe.model_dump(), **changes})


def training_recipe(known: int, classes: tuple[str, ...]) -> Recipe:
    """Return training's recipe with so many curves of the classes; curves of no class come on top, in proportion."""
    recipe = Recipe.from_yaml(CONFIGS / "saxs_train.yaml")
    weights = {name: member.weight for name, member in recipe.families.items()}
    if missing := [name for name in classes if name not in weights]:
        raise DatasetError(
            f"saxs_train.yaml: expected a family {missing[0]}, as the classifier has it, found {', '.join(weights)}; "
            "--no-baselines judges the classifier alone"
        )
    share = sum(weights[name] for name in classes) / sum(weights.values())
    return changed(recipe, curves=round(known / share))


class Sets:
    """Finds data sets by their recipe; what is not there is simulated.

    Parameters
    ----------
    data
        Folder with data sets of any name, or None.
    work
        Folder for those that are simulated.
    workers
        Processes that simulate.
    """

    def __init__(self, data: Path | None, work: Path, workers: int = 2) -> None:
        self._work, self._workers = work, workers
        self._there: dict[str, Path] = {}
        for folder in sorted(data.iterdir()) if data is not None and data.is_dir() else []:
            if (folder / "manifest.json").exists() and (folder / "recipe.json").exists():
                self._there[json.loads((folder / "recipe.json").read_text(encoding="utf-8"))["hash"]] = folder

    def get(self, name: str, recipe: Recipe) -> Dataset:
        """Return the data set of a recipe."""
        if recipe.hash not in self._there:
            began = time.perf_counter()
            generate(recipe, self._work / name, workers=min(self._workers, recipe.shards))
            print(f"{name}: {recipe.curves:,} curves simulated in {time.perf_counter() - began:.0f} s", flush=True)
            self._there[recipe.hash] = self._work / name
        return Dataset.open(self._there[recipe.hash])


def gridded(data: Dataset, grid: QGrid, names: tuple[str, ...] | None = None) -> Labelled:
    """Read a data set shard by shard onto a grid.

    Parameters
    ----------
    names
        Whose curves to take, and the order that labels count in; by default all of the data set's.

    Raises
    ------
    DatasetError
        If the data set lacks one of the names.
    """
    wanted = names or tuple(data.labels)
    if missing := [name for name in wanted if name not in data.labels]:
        raise DatasetError(f"{data.folder}: expected curves of {', '.join(wanted)}, found none of {missing[0]}")
    place = np.array([wanted.index(name) if name in wanted else -1 for name in data.labels])
    parts, labels = [], []
    for part in data.shards():
        own = place[part["label"]]
        rows = own >= 0
        part_gridded = rebin(data.q, part["intensity"][rows], part["sigma"][rows], grid, str(data.folder))
        parts.append(
            GriddedCurves(
                part_gridded.intensity.astype(np.float32),
                part_gridded.sigma.astype(np.float32),
                part_gridded.measured,
            )
        )
        labels.append(own[rows])
    return Labelled(GriddedCurves.joined(parts), np.concatenate(labels), wanted)

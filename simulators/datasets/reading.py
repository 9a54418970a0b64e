"""Reading a data set that `beamloop simulate` wrote."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulators.datasets.generate import load_manifest
from simulators.datasets.recipe import Recipe
from simulators.datasets.storage import store_for


@dataclass(frozen=True, eq=False)
class Dataset:
    """A complete data set; arrays are read shard by shard."""

    folder: Path
    manifest: dict[str, Any]
    recipe: Recipe

    @classmethod
    def open(cls, folder: str | Path) -> Dataset:
        """Open a folder.

        Raises
        ------
        DatasetError
            If it holds no complete data set.
        """
        manifest = load_manifest(folder)
        return cls(Path(folder), manifest, Recipe.model_validate(manifest["recipe"]))

    @property
    def labels(self) -> list[str]:
        """Names of the families, by label."""
        return list(self.manifest["labels"])

    @property
    def q(self) -> NDArray[np.float64]:
        """``(k,)`` 1/Å."""
        return self.recipe.q.values

    def __len__(self) -> int:
        """Return the number of curves."""
        return self.recipe.curves

    def shards(self) -> Iterator[dict[str, NDArray[Any]]]:
        """Yield the arrays of each shard (`simulators.datasets.storage.layout`), in order."""
        store = store_for(self.recipe, self.folder)
        for shard in range(self.recipe.shards):
            yield store.read(shard)

    def arrays(self, *names: str) -> dict[str, NDArray[Any]]:
        """Return whole arrays, all or those named: a million curves of 200 points are 800 MB each."""
        parts = [{key: part[key] for key in (names or part)} for part in self.shards()]
        return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}

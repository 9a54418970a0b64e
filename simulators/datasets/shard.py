"""One shard of a data set: labels, exposures and parameters drawn, curves computed and counted.

All that is random in shard i comes from the seed sequence [seed, i]: whoever makes it, and whenever, it is the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from simulators.datasets.families import Family
from simulators.datasets.noise import CountingModel
from simulators.datasets.recipe import Recipe
from simulators.errors import ParameterError

_BLOCK = 1000
"""Curves that the kernels work on at a time: their arrays stay in the processor's cache."""


@dataclass(frozen=True, eq=False)
class Maker:
    """Makes the shards of one recipe."""

    recipe: Recipe
    counting: CountingModel

    @classmethod
    def of(cls, recipe: Recipe) -> Maker:
        """Prepare what is the same for all shards.

        Raises
        ------
        InstrumentModelError
            If the camera does not cover q.
        """
        return cls(recipe, recipe.counting_model())

    def arrays(self, shard: int) -> dict[str, NDArray[Any]]:
        """Make one shard.

        Returns
        -------
        dict of ndarray
            As in `simulators.datasets.storage.layout`.

        Raises
        ------
        ParameterError
            If a kernel gives something that is no cross-section; the message names family and parameters.
        """
        recipe, n = self.recipe, self.recipe.rows(shard)
        rng = np.random.Generator(np.random.SFC64(np.random.SeedSequence([recipe.seed, shard])))
        weights = np.array([member.weight for member in recipe.families.values()])
        label = rng.choice(weights.size, size=n, p=weights / weights.sum()).astype(np.int16)
        exposure = recipe.exposure_s.quantile(rng.random(n)).astype(np.float32)
        columns = {name: i for i, name in enumerate(recipe.columns)}
        parameters = np.full((n, len(columns)), np.nan, dtype=np.float32)

        def draw(name: str, family: Family, rows: NDArray[np.intp]) -> dict[str, NDArray[np.float64]]:
            values = family.draw(rows.size, rng)
            for parameter, drawn in values.items():
                parameters[rows, columns[f"{name}.{parameter}"]] = drawn
            return values

        matrix = draw("matrix", recipe.resolved_matrix, np.arange(n))
        truth = np.empty((n, recipe.q.points), dtype=np.float32)
        q = torch.from_numpy(recipe.q.values).to(torch.float32)
        for index, (name, family) in enumerate(recipe.resolved.items()):
            rows = np.flatnonzero(label == index)
            own = draw(name, family, rows)
            for start in range(0, rows.size, _BLOCK):
                part = slice(start, start + _BLOCK)
                block = rows[part]
                values = {key: column[block] for key, column in matrix.items()}
                values |= {key: column[part] for key, column in own.items()}
                curve = torch.zeros((block.size, q.numel()), dtype=q.dtype)
                for one in (recipe.resolved_matrix, family):
                    scattering = one.cross_section(q, values)
                    if scattering is not None:
                        curve += scattering
                truth[block] = curve.numpy()
                _check(name, truth[block], values)
        measured = self.counting.measure(truth, exposure, rng)
        arrays: dict[str, NDArray[Any]] = {
            "intensity": measured.intensity.astype(np.float32),
            "sigma": measured.sigma.astype(np.float32),
            "label": label,
            "exposure_s": exposure,
            "counts": measured.counts,
            "parameters": parameters,
        }
        return arrays | ({"truth": truth} if recipe.keep_truth else {})


def _check(name: str, curves: NDArray[np.float32], values: dict[str, NDArray[np.float64]]) -> None:
    bad = ~(np.isfinite(curves) & (curves >= 0)).all(1)
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        found = ", ".join(f"{key} {column[row]:.4g}" for key, column in values.items())
        raise ParameterError(f"{name}: dΣ/dΩ is negative or not finite at {found}; narrow the priors of the recipe")

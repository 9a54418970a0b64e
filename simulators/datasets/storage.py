"""How a data set lies on disk: arrays by shards, in zarr or parquet, with a marker for each shard that is finished.

``FOLDER/recipe.json``
    What is being made, written first.
``FOLDER/curves.zarr`` or ``FOLDER/shard-00000.parquet`` ...
    The curves. One shard is one chunk of each zarr array, so that several processes can write side by side.
``FOLDER/finished/00000.json``
    Curves, classes and SHA-256 of one shard, written after it: a shard without it is made anew.
``FOLDER/manifest.json``
    Recipe, versions, counts and hash of the whole, written last: without it the data set is not complete.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from simulators.datasets.errors import DatasetError
from simulators.datasets.recipe import Recipe

Arrays = Mapping[str, NDArray[Any]]

CURVES = ("intensity", "sigma", "truth")
"""Arrays ``(n, k)``; all others but `PARAMETERS` are ``(n,)``."""
PARAMETERS = "parameters"
"""Array ``(n, number of columns)``, NaN where a family lacks a parameter."""
UNITS = {
    "q": "1/Å",
    "intensity": "1/cm",
    "sigma": "1/cm",
    "truth": "1/cm",
    "exposure_s": "s",
    "counts": "counts in all bins of the exposure",
    "label": "index into labels",
    "parameters": "those of simulators.scattering.kernel; columns by name",
}


class Store(Protocol):
    """Where shards go."""

    def create(self) -> None:
        """Make what must be there before the first shard."""
        ...

    def write(self, shard: int, arrays: Arrays) -> None:
        """Write one shard, whole or not at all as far as the format can."""
        ...

    def read(self, shard: int) -> dict[str, NDArray[Any]]:
        """Return one shard as it was written."""
        ...


def store_for(recipe: Recipe, folder: Path) -> Store:
    """Return the store that a recipe asks for."""
    return ZarrStore(recipe, folder) if recipe.format == "zarr" else ParquetStore(recipe, folder)


def layout(recipe: Recipe) -> dict[str, tuple[tuple[int, ...], str]]:
    """Return the shape of one row and the type of each array."""
    k = recipe.q.points
    curves = [name for name in CURVES if recipe.keep_truth or name != "truth"]
    return {
        **dict.fromkeys(curves, ((k,), "float32")),
        "label": ((), "int16"),
        "exposure_s": ((), "float32"),
        "counts": ((), "float64"),
        PARAMETERS: ((len(recipe.columns),), "float32"),
    }


class ZarrStore:
    """One zarr group, format 3; one chunk for each shard and array."""

    def __init__(self, recipe: Recipe, folder: Path) -> None:
        self._recipe, self._path = recipe, folder / "curves.zarr"

    def create(self) -> None:
        """Make the group with its empty arrays, if it is not there."""
        import zarr
        from zarr.codecs import BloscCodec

        recipe = self._recipe
        group = zarr.open_group(str(self._path), mode="a", zarr_format=3)
        group.attrs.update({"labels": list(recipe.families), "columns": recipe.columns, "units": UNITS})
        for name, (shape, kind) in layout(recipe).items():
            if name not in group:
                group.create_array(
                    name,
                    shape=(recipe.curves, *shape),
                    chunks=(recipe.shard_curves, *(max(size, 1) for size in shape)),
                    dtype=kind,
                    # Noise does not shrink much: what is fast is best.
                    compressors=BloscCodec(cname="lz4", clevel=1, shuffle="shuffle"),
                )
        if "q" not in group:
            group.create_array("q", data=recipe.q.values)

    def write(self, shard: int, arrays: Arrays) -> None:
        """Write one chunk of every array; zarr puts each in its place by renaming."""
        import zarr

        group: Any = zarr.open_group(str(self._path), mode="r+")
        rows = self._rows(shard)
        for name, values in arrays.items():
            group[name][rows] = values

    def read(self, shard: int) -> dict[str, NDArray[Any]]:
        """Return one chunk of every array."""
        import zarr

        group: Any = zarr.open_group(str(self._path), mode="r")
        rows = self._rows(shard)
        return {name: np.asarray(group[name][rows]) for name in layout(self._recipe)}

    def _rows(self, shard: int) -> slice:
        start = shard * self._recipe.shard_curves
        return slice(start, start + self._recipe.rows(shard))


class ParquetStore:
    """One file for each shard: curves as lists, parameters as columns of their names."""

    def __init__(self, recipe: Recipe, folder: Path) -> None:
        self._recipe, self._folder = recipe, folder

    def create(self) -> None:
        """Do nothing: every file is whole in itself."""

    def write(self, shard: int, arrays: Arrays) -> None:
        """Write one file beside its place, then rename it."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        columns: dict[str, Any] = {}
        for name, values in arrays.items():
            if name == PARAMETERS:
                columns |= {column: values[:, i] for i, column in enumerate(self._recipe.columns)}
            elif values.ndim == 2:
                columns[name] = pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), values.shape[1])
            else:
                columns[name] = values
        notes = {"q": list(self._recipe.q.values), "labels": list(self._recipe.families), "units": UNITS}
        table = pa.table(columns).replace_schema_metadata({"beamloop": json.dumps(notes, ensure_ascii=False)})
        path = self._path(shard)
        pq.write_table(table, path.with_suffix(".part"), compression="lz4")
        path.with_suffix(".part").replace(path)

    def read(self, shard: int) -> dict[str, NDArray[Any]]:
        """Return one file's arrays."""
        import pyarrow.parquet as pq

        table = pq.read_table(self._path(shard))
        result: dict[str, NDArray[Any]] = {}
        for name, (shape, kind) in layout(self._recipe).items():
            if name == PARAMETERS:
                parts = [table[column].to_numpy() for column in self._recipe.columns]
                result[name] = np.stack(parts, axis=1).astype(kind)
            elif shape:
                flat = table[name].combine_chunks().flatten().to_numpy(zero_copy_only=False)
                result[name] = flat.reshape(-1, *shape)
            else:
                result[name] = table[name].to_numpy()
        return result

    def _path(self, shard: int) -> Path:
        return self._folder / f"shard-{shard:05d}.parquet"


def content_hash(arrays: Arrays) -> str:
    """SHA-256 (hex) of the numbers of a shard, whatever they are compressed with."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        digest.update(f"{name} {arrays[name].dtype} {arrays[name].shape}\n".encode())
        digest.update(np.ascontiguousarray(arrays[name]).data)
    return digest.hexdigest()


def marker(folder: Path, shard: int) -> Path:
    """Return the path of a finished shard's marker."""
    return folder / "finished" / f"{shard:05d}.json"


def write_json(path: Path, value: object) -> None:
    """Write a JSON file beside its place, then rename it: it is there whole or not at all."""
    part = path.with_name(path.name + ".part")
    with part.open("w", encoding="utf-8") as file:
        json.dump(value, file, indent=1, ensure_ascii=False)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def read_json(path: Path) -> Any:
    """Return a JSON file's value, or None if there is none that can be read."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def clear(folder: Path) -> None:
    """Remove a data set from its folder, and nothing else.

    Raises
    ------
    DatasetError
        If there is something that belongs to no data set.
    """
    ours = {"recipe.json", "manifest.json", "curves.zarr", "finished"}
    strange = [
        path.name
        for path in folder.iterdir()
        if path.name not in ours
        and not (path.name.startswith("shard-") and path.suffix in (".parquet", ".part"))
        and not path.name.endswith(".json.part")
    ]
    if strange:
        raise DatasetError(
            f"{folder}: holds {sorted(strange)[:3]}, which belong to no data set; choose another folder."
        )
    for path in folder.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()

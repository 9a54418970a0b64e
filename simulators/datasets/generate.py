"""From a recipe to a data set on disk: shard by shard, by one process, several, or Ray's; the same bytes each time."""

from __future__ import annotations

import hashlib
import logging
import multiprocessing
import os
import platform
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from simulators.datasets.errors import DatasetError
from simulators.datasets.recipe import Recipe
from simulators.datasets.shard import Maker
from simulators.datasets.storage import UNITS, clear, content_hash, marker, read_json, store_for, write_json

Progress = Callable[[int, int, bool], None]
"""Called after each shard with curves that are there, all curves, and whether the shard was there before."""

_VERSIONS = ("beamloop", "torch", "numpy", "scipy", "zarr", "pyarrow")


def generate(
    recipe: Recipe,
    folder: str | Path,
    *,
    workers: int = 1,
    ray: bool = False,
    force: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Make a data set, or what is missing of it.

    Parameters
    ----------
    recipe
        What to make.
    folder
        Where. One that holds a part of the same data set is completed: shards whose numbers are as their marker says
        stay, all others are made.
    workers
        Processes. The result does not depend on it.
    ray
        Let Ray run them: on the cluster that it finds (``RAY_ADDRESS``), else here. The folder must be one that all of
        its machines share.
    force
        Remove a data set that is in the folder first.
    progress
        See `Progress`.

    Returns
    -------
    dict
        The manifest.

    Raises
    ------
    DatasetError
        If the folder holds something else, cannot be written, or a worker process dies.
    InstrumentModelError, ParameterError
        If the recipe asks for what camera or kernels cannot give.
    """
    folder = Path(folder)
    if workers < 1:
        raise DatasetError(f"workers must be at least 1, got {workers}")
    _maker(recipe.model_dump_json())  # a recipe that cannot be made is to be told before anything is removed or written
    try:
        _prepare(recipe, folder, force=force)
        finished: dict[int, dict[str, Any]] = {}
        curves = 0
        with _runner(recipe, folder, workers, ray) as results:
            for record in results:
                finished[record["shard"]] = record
                curves += record["curves"]
                if progress is not None:
                    progress(curves, recipe.curves, record["kept"])
        manifest = _manifest(recipe, [finished[shard] for shard in range(recipe.shards)])
        write_json(folder / "manifest.json", manifest)
    except OSError as error:
        raise DatasetError(
            f"{error.filename or folder}: cannot be written ({error.strerror or error}); finished shards stay, and the "
            "same command goes on."
        ) from error
    return manifest


def load_manifest(folder: str | Path) -> dict[str, Any]:
    """Return the manifest of a complete data set.

    Raises
    ------
    DatasetError
        If there is none.
    """
    manifest = read_json(Path(folder) / "manifest.json")
    if not isinstance(manifest, dict):
        raise DatasetError(f"{folder}: found no manifest.json, expected a complete data set of `beamloop simulate`.")
    return manifest


def _prepare(recipe: Recipe, folder: Path, *, force: bool) -> None:
    if folder.exists() and not folder.is_dir():
        raise DatasetError(f"{folder}: is a file, expected a folder for a data set.")
    if force and folder.exists():
        clear(folder)
    there = read_json(folder / "recipe.json") if folder.exists() else None
    if there is None and folder.exists() and any(folder.iterdir()):
        raise DatasetError(f"{folder}: is not empty and holds no data set; choose another folder.")
    if there is not None and there.get("hash") != recipe.hash and not any((folder / "finished").glob("*.json")):
        # Begun, and nothing is lost by beginning anew.
        clear(folder)
    elif there is not None and there.get("hash") != recipe.hash:
        raise DatasetError(
            f"{folder}: holds a data set of another recipe ({there.get('name')!r}, or another version of it); --force "
            "replaces it, or choose another folder."
        )
    (folder / "finished").mkdir(parents=True, exist_ok=True)
    (folder / "manifest.json").unlink(missing_ok=True)
    write_json(folder / "recipe.json", {"name": recipe.name, "hash": recipe.hash, **recipe.description_of_all()})
    store_for(recipe, folder).create()


@lru_cache(maxsize=1)
def _maker(recipe_json: str) -> Maker:
    return Maker.of(Recipe.model_validate_json(recipe_json))


def make_shard(recipe_json: str, folder: str, shard: int) -> dict[str, Any]:
    """Make one shard, unless it is there whole; return its record.

    Raises
    ------
    OSError, SimulatorError
        As `generate`.
    """
    maker, path = _maker(recipe_json), marker(Path(folder), shard)
    store = store_for(maker.recipe, Path(folder))
    record = read_json(path)
    if record is not None and _as_marked(store.read, shard, record):
        return {**record, "kept": True}
    path.unlink(missing_ok=True)
    # The processes share the processors already; more threads in each would only be in each other's way.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        arrays = maker.arrays(shard)
    finally:
        torch.set_num_threads(threads)
    store.write(shard, arrays)
    counts = np.bincount(arrays["label"], minlength=len(maker.recipe.families))
    record = {
        "shard": shard,
        "curves": len(arrays["label"]),
        "families": dict(zip(maker.recipe.families, counts.tolist(), strict=True)),
        "sha256": content_hash(arrays),
    }
    write_json(path, record)
    return {**record, "kept": False}


def _as_marked(read: Callable[[int], dict[str, Any]], shard: int, record: dict[str, Any]) -> bool:
    try:
        return bool(content_hash(read(shard)) == record["sha256"])
    except Exception:
        # A file that is damaged can fail in many ways, and the remedy is the same for all: the shard is made anew.
        return False


@contextmanager
def _runner(recipe: Recipe, folder: Path, workers: int, ray: bool) -> Iterator[Iterator[dict[str, Any]]]:
    """Give an iterator over the records of all shards, as they are finished."""
    arguments = (recipe.model_dump_json(), str(folder.absolute()))
    if ray:
        yield _by_ray(arguments, recipe.shards, workers)
        return
    workers = min(workers, recipe.shards)
    if workers == 1:
        yield (make_shard(*arguments, shard) for shard in range(recipe.shards))
        return
    # Fresh processes: forked ones would inherit torch's threads in whatever state they are.
    pool = ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"))
    try:
        futures = [pool.submit(make_shard, *arguments, shard) for shard in range(recipe.shards)]
        yield (future.result() for future in as_completed(futures))
    except BrokenProcessPool as error:
        raise DatasetError(
            "a worker process died (out of memory?); finished shards stay: run the same command again, with fewer "
            "--workers or a smaller shard_curves."
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _by_ray(arguments: tuple[str, str], shards: int, workers: int) -> Iterator[dict[str, Any]]:
    try:
        import ray
    except ImportError as error:
        raise DatasetError("Ray is not installed; pip install 'beamloop[scale]', or leave out --ray.") from error
    ours = not ray.is_initialized()
    if ours:
        if os.environ.get("RAY_ADDRESS"):
            ray.init(log_to_driver=False, logging_level=logging.ERROR)
        else:
            ray.init(num_cpus=workers, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    try:
        remote = ray.remote(num_cpus=1)(make_shard)
        waiting = [remote.remote(*arguments, shard) for shard in range(shards)]
        while waiting:
            ready, waiting = ray.wait(waiting)
            try:
                yield from ray.get(ready)
            except ray.exceptions.RayTaskError as error:
                raise error.cause if isinstance(error.cause, Exception) else error from None
            except ray.exceptions.RayError as error:
                raise DatasetError(f"a worker of Ray died ({error}); finished shards stay.") from error
    finally:
        if ours:
            ray.shutdown()


def _manifest(recipe: Recipe, records: list[dict[str, Any]]) -> dict[str, Any]:
    families: Counter[str] = Counter()
    for record in records:
        families.update(record["families"])
    digest = hashlib.sha256("".join(record["sha256"] for record in records).encode()).hexdigest()
    return {
        "name": recipe.name,
        "recipe_sha256": recipe.hash,
        "data_sha256": digest,
        "curves": recipe.curves,
        "shards": recipe.shards,
        "format": recipe.format,
        "labels": list(recipe.families),
        "families": {name: families[name] for name in recipe.families},
        "columns": recipe.columns,
        "units": UNITS,
        "versions": {"python": platform.python_version(), **{name: version(name) for name in _VERSIONS}},
        **recipe.description_of_all(),
    }

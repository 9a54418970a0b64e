"""How fast curves are simulated: a million noisy curves on disk, and a sphere against sasmodels.

1. A data set as `beamloop simulate` makes it: all ten families in equal shares (matrix, polydispersity, counting noise,
   background subtraction), 200 q, exposures over four decades, written as zarr by two processes. `--quick` makes 50,000
   curves and extrapolates: the time that the processes need to start, which is the same for a million, is measured by a
   data set of two small shards and counted once.
2. Spheres with a Schulz distribution of radii on 200 q, one thread: ours (closed average, batches of 1000 different
   curves, float32 and float64) against a loop over sasmodels' compiled ``sphere`` with 40 points of polydispersity,
   taking turns in one process, in processor seconds; both curves are compared, too.

    python benchmarks/saxs_generate.py [--quick] [--data DIR] [--test RECIPE.yaml] [--workers N]

`--test` takes the families, matrix and instrument of a recipe instead. `--data` is not used: no recorded data are
needed. The last line is one JSON object: ``seconds_per_million`` (wall), ``processor_seconds_per_million`` (all
processes; two cores that are not busy with something else need half of it), ``ratio_sasmodels`` (curves per second,
ours in float32, as data sets are made, over sasmodels'), ``ratio_sasmodels_float64``, ``peak_mb`` (this process and all
workers, each at its largest), ``disk_mb``, ``workers``, ``extrapolated``.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sasmodels.core import load_model
from sasmodels.direct_model import call_kernel

from simulators.datasets import CLASSES, NOVELTIES, Recipe, generate
from simulators.scattering import spheres

MILLION = 1_000_000
QUICK = 50_000
SHARD = 12_500


def recipe(curves: int, test: Path | None, shard: int = SHARD) -> Recipe:
    """Return what is made: the standard mix, or what a file says, with so many curves."""
    standard = {
        "name": "benchmark",
        "seed": 1,
        "families": {name: {} for name in (*CLASSES, *NOVELTIES)},
        "exposure_s": {"kind": "loguniform", "low": 0.01, "high": 100.0},
    }
    base = Recipe.from_yaml(test).model_dump() if test else standard
    return Recipe.model_validate({**base, "curves": curves, "shard_curves": shard})


def processor_seconds() -> float:
    """Of this process and of all its children that have ended."""
    return sum(
        usage.ru_utime + usage.ru_stime
        for usage in (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    )


def generation(curves: int, workers: int, test: Path | None) -> dict[str, float]:
    """Make a data set; return wall and processor seconds, and its size in MB."""
    folder = Path(tempfile.mkdtemp(prefix="saxs_generate-"))
    try:
        wall, processor = time.perf_counter(), processor_seconds()
        # As many shards as workers at least, so that all of them start.
        generate(recipe(curves, test, min(SHARD, curves // workers)), folder / "set", workers=workers)
        wall, processor = time.perf_counter() - wall, processor_seconds() - processor
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    finally:
        shutil.rmtree(folder)
    return {"wall": wall, "processor": processor, "disk_mb": size / 1e6}


def against_sasmodels(seconds: float) -> dict[str, float]:
    """Return curves per processor second of ours and sasmodels', and the largest relative difference."""
    q = np.geomspace(0.003, 0.5, 200)
    kernel = load_model("sphere").make_kernel([q])
    rng = np.random.default_rng(0)
    radius, width = rng.uniform(20, 100, 1000), rng.uniform(0.1, 0.3, 1000)

    def theirs(index: int, points: int = 40) -> np.ndarray:
        spread = {"radius_pd": width[index], "radius_pd_n": points, "radius_pd_nsigma": 8, "radius_pd_type": "schulz"}
        values = {"scale": 0.01, "background": 0.0, "sld": 60.0, "sld_solvent": 0.0, "radius": radius[index]}
        return np.asarray(call_kernel(kernel, {**values, **spread}))

    def ours(kind: torch.dtype) -> torch.Tensor:
        settings = {"radius": radius, "polydispersity": width}
        columns: dict[str, Any] = {name: torch.from_numpy(value).to(kind) for name, value in settings.items()}
        # φ(1-φ) is sasmodels' scale.
        phi = 0.5 - (0.25 - 0.01) ** 0.5
        return spheres(torch.from_numpy(q).to(kind), volume_fraction=phi, contrast=6e-5, **columns)

    exact = np.array([theirs(index, 400) for index in range(0, 1000, 100)])
    difference = np.abs(ours(torch.float64).numpy()[::100] / exact - 1).max()
    used, curves = {"theirs": 0.0, "float32": 0.0, "float64": 0.0}, dict.fromkeys(("theirs", "float32", "float64"), 0)
    while min(used.values()) < seconds:
        # Turn by turn: a busy machine favours nobody.
        for name in used:
            begin = time.process_time()
            if name == "theirs":
                for index in range(200):
                    theirs(index)
            else:
                ours(getattr(torch, name))
            used[name] += time.process_time() - begin
            curves[name] += 200 if name == "theirs" else 1000
    return {"difference": float(difference), **{name: curves[name] / used[name] for name in used}}


def main() -> None:
    """Measure both and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help=f"{QUICK:,} curves, extrapolated to a million")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--data", type=Path, help="not used: this benchmark needs no recorded data")
    parser.add_argument("--test", type=Path, help="recipe whose families, matrix and instrument are taken")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.data:
        print(f"{arguments.data} is not used: all curves are simulated (--test RECIPE.yaml takes other families)")

    speed = against_sasmodels(1.0 if arguments.quick else 4.0)
    print(f"Spheres, 200 q, Schulz: largest difference from sasmodels' sum of 400 radii {speed['difference']:.1e}")
    print(f"  sasmodels, 40 radii: {speed['theirs']:8.0f} curves per second and core")
    print(f"  ours, float64:       {speed['float64']:8.0f}")
    print(f"  ours, float32:       {speed['float32']:8.0f}")

    curves = QUICK if arguments.quick else MILLION
    start = {"wall": 0.0, "processor": 0.0}
    if arguments.quick:
        start = generation(2 * arguments.workers, arguments.workers, arguments.test)
        print(
            f"Start of {arguments.workers} processes: {start['wall']:.1f} s ({start['processor']:.1f} s of processors)"
        )
    made = generation(curves, arguments.workers, arguments.test)
    print(
        f"{curves:,} noisy curves on disk: {made['wall']:.1f} s with {arguments.workers} processes "
        f"({made['processor']:.1f} s of processors), {made['disk_mb']:.0f} MB"
    )
    million = {
        key: start[key] + (made[key] - start[key]) * MILLION / curves if arguments.quick else made[key]
        for key in ("wall", "processor")
    }
    if arguments.quick:
        print(f"A million, extrapolated: {million['wall']:.0f} s ({million['processor']:.0f} s of processors)")
    # ru_maxrss of the children is that of the largest.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss + arguments.workers * (
        resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    )
    summary = {
        "seconds_per_million": round(million["wall"], 1),
        "processor_seconds_per_million": round(million["processor"], 1),
        "ratio_sasmodels": round(speed["float32"] / speed["theirs"], 1),
        "ratio_sasmodels_float64": round(speed["float64"] / speed["theirs"], 1),
        "peak_mb": round(peak / 1024),
        "disk_mb": round(made["disk_mb"] * MILLION / curves),
        "workers": arguments.workers,
        "extrapolated": arguments.quick,
    }
    print(json.dumps(summary))


if __name__ == "__main__":
    main()

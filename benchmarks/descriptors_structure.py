"""Structures a second to 136 numbers, against matminer's comparable featurisers in the same run.

    python benchmarks/descriptors_structure.py [--quick] [--data DIR] [--test FILE]

Structures are those of the recorded set with up to 60 sites, in random order, as pymatgen Structures in memory; two
processes describe them. matminer's three comparable featurisers are symmetry (spglib), structural heterogeneity and
maximum packing efficiency (Voronoi): 15 numbers together. They and ours take turns in one process, so that a busy
machine slows both down; the ratio is ours, all 136 numbers, over theirs, all three.

`--test` takes another parquet file with the columns of mp_structures. The last line is one JSON object:
``structures_per_s`` (two processes, wall), ``structures_per_s_core`` (one process, processor seconds),
``ratio_matminer_structure`` (one process each, wall), ``ratio_matminer_structure_core`` (processor seconds), and what
each of matminer's featurisers does a second; null without matminer.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pymatgen.core import Lattice, Structure

from simulators.errors import DataMissingError
from simulators.recorded import find_data
from surrogates.descriptors.structure import StructureDescriptor

Numbers = dict[str, float | int | bool | str | None]
MOST_SITES = 60
COUNT, COUNT_QUICK = 6_000, 600
"""Structures described by two processes."""
TURNS, TURNS_QUICK = 60, 12
"""Structures that matminer gets, one at a turn; ours gets `OURS` at a turn."""
OURS = 25
PROCESSES = 2


def structures_of(data: Path | None, test: Path | None, count: int) -> list[Structure]:
    """Read some structures of up to `MOST_SITES` sites in random order."""
    table = pd.read_parquet(test or find_data("mp_structures", data) / "dev.parquet")
    sizes = table["atomic_numbers"].map(len)
    table = table[sizes <= MOST_SITES]
    order = np.random.default_rng(0).permutation(len(table))[:count]
    return [structure_of(row) for row in table.iloc[order].itertuples()]


def structure_of(row: Any) -> Structure:
    """Build the structure of a row."""
    lattice = Lattice.from_parameters(row.a, row.b, row.c, row.alpha, row.beta, row.gamma)
    return Structure(lattice, row.atomic_numbers, np.asarray(row.frac_coords, dtype=float).reshape(-1, 3))


def matminer_featurisers() -> dict[str, Callable[[Structure], object]]:
    """Return matminer's comparable featurisers by name; none if it is not installed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            from matminer.featurizers.structure import (
                GlobalSymmetryFeatures,
                MaximumPackingEfficiency,
                StructuralHeterogeneity,
            )
        except ImportError:
            return {}
    return {
        "symmetry": GlobalSymmetryFeatures().featurize,
        "heterogeneity": StructuralHeterogeneity().featurize,
        "packing": MaximumPackingEfficiency().featurize,
    }


class Clock:
    """Rows, wall and processor seconds that they took, and rows that failed."""

    def __init__(self) -> None:
        self.rows, self.wall, self.processor, self.failed = 0, 0.0, 0.0, 0

    def time(self, work: Callable[[], object], rows: int) -> None:
        """Do some work."""
        wall, processor = time.perf_counter(), time.process_time()
        work()
        self.wall += time.perf_counter() - wall
        self.processor += time.process_time() - processor
        self.rows += rows

    def seconds(self) -> Iterator[float]:
        """Return wall and processor seconds of one row."""
        yield self.wall / self.rows
        yield self.processor / self.rows


def attempt(clock: Clock, featurise: Callable[[Structure], object], structure: Structure) -> None:
    """Try one of matminer's; it fails where a site has no Voronoi neighbour nearby."""
    try:
        featurise(structure)
    except ValueError:
        clock.failed += 1


def take_turns(structures: list[Structure], turns: int) -> tuple[Clock, dict[str, Clock]]:
    """Time ours and matminer's featurisers in one process; ours alone where matminer is not installed."""
    theirs = matminer_featurisers()
    descriptor, ours, clocks = StructureDescriptor(), Clock(), {name: Clock() for name in theirs}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for i in range(turns):
            part = [structures[(i * OURS + j) % len(structures)] for j in range(OURS)]
            ours.time(lambda part=part: descriptor.transform(part), len(part))
            for name, featurise in theirs.items():
                # One of those that ours got, so that both see the same sizes on average.
                clocks[name].time(lambda c=clocks[name], f=featurise, s=part[0]: attempt(c, f, s), 1)
    return ours, clocks


def measure(data: Path | None, test: Path | None, quick: bool) -> Numbers:
    """Time structures, ours by two processes, and ours and matminer's in turns."""
    structures = structures_of(data, test, COUNT_QUICK if quick else COUNT)
    sites = np.mean([len(structure) for structure in structures])
    print(f"{len(structures):,} structures of up to {MOST_SITES} sites, {sites:.0f} on average, to 136 numbers:")
    StructureDescriptor().transform(structures[:20])  # tables are made once
    workers = StructureDescriptor(n_jobs=PROCESSES)
    workers.transform(structures[: 4 * StructureDescriptor.rows_per_block])  # processes start once
    both = Clock()
    both.time(lambda: workers.transform(structures), len(structures))
    print(f"  {PROCESSES} processes: {both.rows / both.wall:7.0f} a second")
    ours, clocks = take_turns(structures, TURNS_QUICK if quick else TURNS)
    wall, processor = ours.seconds()
    print(f"  one process:  {1 / wall:7.0f} a second; {1 / processor:.0f} per second of a core")
    found: Numbers = {
        "structures_per_s": round(both.rows / both.wall, 1),
        "structures_per_s_core": round(1 / processor, 1),
        "structures": len(structures),
        "ratio_matminer_structure": None,
        "ratio_matminer_structure_core": None,
    }
    if not clocks:
        print("  matminer is not installed (pip install 'beamloop[benchmarks]'): no ratio")
        return found
    for name, clock in clocks.items():
        print(f"  matminer's {name}: {clock.rows / clock.wall:.1f} a second; fails for {clock.failed} of {clock.rows}")
        found[f"matminer_{name}_per_s"] = round(clock.rows / clock.wall, 2)
    their_wall, their_processor = np.sum([list(clock.seconds()) for clock in clocks.values()], axis=0)
    print(f"  all three of matminer's, 15 numbers: {1 / their_wall:.1f} a second")
    return found | {
        "ratio_matminer_structure": round(float(their_wall) / wall, 1),
        "ratio_matminer_structure_core": round(float(their_processor) / processor, 1),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer structures")
    parser.add_argument("--data", type=Path, help="folder of the recorded sets")
    parser.add_argument("--test", type=Path, help="parquet to describe instead, with the columns of mp_structures")
    arguments = parser.parse_args()
    summary: Numbers = {}
    try:
        summary |= measure(arguments.data, arguments.test, arguments.quick)
    except DataMissingError as error:
        print(error)
    print(json.dumps(summary | {"quick": arguments.quick}))


if __name__ == "__main__":
    main()

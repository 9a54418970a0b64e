"""Descriptors a second, against matminer's comparable ones in the same run.

    python benchmarks/descriptors.py [--quick] [--data DIR] [--test FILE]

Compositions: recorded formulas as text to 1994 numbers, parsing included, by one process in batches as screening does;
against matminer's Magpie features (132 numbers), parsed by pymatgen. Both take turns, so that a busy machine slows both
down. Structures: see `descriptors_structure.py`.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from simulators.errors import DataMissingError
from simulators.recorded import find_data
from surrogates.descriptors.composition import CompositionDescriptor
from surrogates.descriptors.formulas import parse_formulas

Numbers = dict[str, float | int | bool | str | None]
SETS = ("mp_composition_stability", "mp_structures")
BATCH = 2_000
THEIRS = 250
"""Rows that matminer gets at a turn."""


@dataclass
class Clock:
    """Rows and seconds, turn by turn."""

    rows: int = 0
    wall: float = 0.0
    processor: float = 0.0

    def time(self, work: Callable[[], object], rows: int) -> None:
        """Do some work."""
        wall, processor = time.perf_counter(), time.process_time()
        work()
        self.wall += time.perf_counter() - wall
        self.processor += time.process_time() - processor
        self.rows += rows


def formulas_of(data: Path | None, test: Path | None) -> list[str]:
    """Read all formulas: of a file, or of the recorded sets."""
    files = [test] if test else [find_data(name, data) / "dev.parquet" for name in SETS]
    return [formula for file in files for formula in pd.read_parquet(file, columns=["formula"])["formula"]]


def matminer_magpie() -> Callable[[Sequence[str]], object] | None:
    """Return matminer's featuriser of formulas, or None if it is not installed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            from matminer.featurizers.composition import ElementProperty
        except ImportError:
            return None
        from pymatgen.core import Composition

        magpie = ElementProperty.from_preset("magpie")
    return lambda formulas: [magpie.featurize(Composition(formula)) for formula in formulas]


def parsed_differently(formulas: Sequence[str]) -> int:
    """Count formulas whose atomic fractions are not, bit by bit, those of pymatgen's parser."""
    from pymatgen.core import Composition

    ours, different = parse_formulas(formulas), 0
    ends = [*ours.start[1:].tolist(), len(ours.row)]
    for formula, i, j in zip(formulas, ours.start.tolist(), ends, strict=True):
        composition = Composition(formula)
        theirs = {element.Z: composition.get_atomic_fraction(element) for element in composition}
        found = dict(zip(ours.number[i:j].tolist(), ours.fraction[i:j].tolist(), strict=True))
        different += found != theirs
    return different


def measure(data: Path | None, test: Path | None, quick: bool) -> Numbers:
    """Time compositions, ours and matminer's in turns."""
    formulas = formulas_of(data, test)
    order = np.random.default_rng(0).permutation(len(formulas))
    formulas = [formulas[i] for i in order[: 20_000 if quick else None]]
    descriptor, magpie = CompositionDescriptor(), matminer_magpie()
    descriptor.transform(formulas[:100])  # tables are made once
    ours, theirs = Clock(), Clock()
    for start in range(0, len(formulas), BATCH):
        batch = formulas[start : start + BATCH]
        ours.time(lambda batch=batch: descriptor.transform(batch), len(batch))
        if magpie is not None:
            part = batch[:THEIRS]
            theirs.time(lambda part=part: magpie(part), len(part))
    at_once = Clock()
    at_once.time(lambda: descriptor.transform(formulas), len(formulas))
    different = parsed_differently(formulas)
    print(f"{len(formulas):,} formulas to 1994 numbers, one process, parsing included:")
    print(f"  in batches of {BATCH:,}: {ours.rows / ours.wall:9,.0f} a second")
    print(f"  per second of a core:  {ours.rows / ours.processor:9,.0f}")
    print(f"  all at once, {at_once.rows * 1994 * 8 / 2**30:.1f} GiB: {at_once.rows / at_once.wall:9,.0f} a second")
    print(f"  {different} of them parsed differently from pymatgen")
    found: Numbers = {
        "compositions_per_s": round(ours.rows / ours.wall),
        "compositions_per_s_core": round(ours.rows / ours.processor),
        "compositions_per_s_at_once": round(at_once.rows / at_once.wall),
        "compositions": len(formulas),
        "formulas_unlike_pymatgen": different,
        "magpie_per_s": None,
        "ratio_matminer_composition": None,
        "ratio_matminer_composition_core": None,
    }
    if magpie is None:
        print("  matminer is not installed (pip install 'beamloop[benchmarks]'): no ratio")
        return found
    print(f"  matminer's Magpie, 132 numbers: {theirs.rows / theirs.wall:9,.0f} a second")
    return found | {
        "magpie_per_s": round(theirs.rows / theirs.wall),
        "ratio_matminer_composition": round(ours.rows / ours.wall * theirs.wall / theirs.rows, 1),
        "ratio_matminer_composition_core": round(ours.rows / ours.processor * theirs.processor / theirs.rows, 1),
    }


def main() -> None:
    """Measure both kinds and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer rows")
    parser.add_argument("--data", type=Path, help="folder of the recorded sets")
    parser.add_argument("--test", type=Path, help="parquet to describe instead, with the columns of mp_structures")
    arguments = parser.parse_args()
    summary: Numbers = {}
    try:
        summary |= measure(arguments.data, arguments.test, arguments.quick)
        from descriptors_structure import measure as measure_structures

        summary |= measure_structures(arguments.data, arguments.test, arguments.quick)
    except DataMissingError as error:
        print(error)
    print(json.dumps(summary | {"quick": arguments.quick}))


if __name__ == "__main__":
    main()

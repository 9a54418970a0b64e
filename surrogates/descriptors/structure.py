"""Crystal structures as 136 numbers: symmetry, packing, coordination, bonds, angles, radial distribution, chemistry.

Everything is per atom or per bond, and of the crystal rather than of its description: another cell, orientation, origin
or order of sites makes no difference beyond rounding. Only the columns of `symmetry` hang on a tolerance, as spglib
does; everything else but the four of `network` changes gradually when atoms move, since bonds fade with distance
(`bonds`) and bins overlap (`grouped.shares`). What disorder, isotopes, charges and the like do stands in `cells`, what
is not known of an element in `elements`.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from surrogates.descriptors.base import Block, Descriptor, Feature, Progress
from surrogates.descriptors.cache import content_key
from surrogates.descriptors.structural import (
    angles,
    atoms,
    coordination,
    differences,
    ends,
    lengths,
    network,
    packing,
    radial,
    surroundings,
    symmetry,
)
from surrogates.descriptors.structural.batch import join
from surrogates.descriptors.structural.cells import Cell, read_cell
from surrogates.descriptors.structural.neighbours import Pairs, find_pairs
from surrogates.descriptors.structural.properties import element_arrays
from surrogates.errors import SurrogateError

GROUPS = (symmetry, network, packing, coordination, lengths, angles, radial, atoms, differences, ends, surroundings)
"""Modules with the columns, in their order."""
SITES_AT_ONCE = 1000
"""Structures are computed together up to so many sites: enough for numpy, few enough for the processor's cache."""


class StructureDescriptor(Descriptor):
    """Describes crystal structures by 136 numbers.

    Rows are pymatgen Structures. Parameters beside those of `Descriptor`:

    Parameters
    ----------
    symprec
        How far, in Å, atoms may be off their places for spglib to see a symmetry. 0.01 is right for relaxed and for
        refined structures; 0.1, as the Materials Project's pages use, for rough ones.

    Examples
    --------
    >>> from pymatgen.core import Lattice, Structure
    >>> salt = Structure.from_spacegroup("Fm-3m", Lattice.cubic(5.64), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])
    >>> descriptor = StructureDescriptor()
    >>> descriptor.transform([salt]).shape
    (1, 136)
    >>> descriptor.feature_table()[0].name
    'space_group_number'
    """

    version = 1
    rows_per_block = 128
    accepted = "pymatgen Structures"

    def __init__(
        self,
        *,
        symprec: float = symmetry.SYMPREC,
        n_jobs: int | None = 1,
        cache: str | os.PathLike[str] | None = None,
        progress: Progress | None = None,
        on_error: Literal["raise", "nan"] = "raise",
    ) -> None:
        super().__init__(n_jobs=n_jobs, cache=cache, progress=progress, on_error=on_error)
        self.symprec = symprec

    def feature_table(self) -> list[Feature]:
        """Return name, unit and meaning of the 136 columns."""
        return [feature for group in GROUPS for feature in group.COLUMNS]

    def _compute(self, rows: Sequence[Any]) -> Block:
        values, errors = np.full((len(rows), len(_names())), np.nan), {}
        done: list[int] = []
        read: list[tuple[Cell, Pairs, np.ndarray]] = []
        for i, row in enumerate(rows):
            try:
                read.append(self._read(row))
                done.append(i)
            except SurrogateError as error:
                errors[i] = str(error)
            except Exception as error:  # an error of a library that we call: named, and shown with its row
                errors[i] = f"{type(error).__name__}: {error}"
            if sum(cell.sites for cell, *_ in read) >= SITES_AT_ONCE:
                values[done] = _numbers(read)
                done, read = [], []
        if read:
            values[done] = _numbers(read)
        return Block(values, errors)

    def _read(self, structure: Any) -> tuple[Cell, Pairs, np.ndarray]:
        """Do what can only be done for one structure at a time: sites, pairs of sites, symmetry."""
        cell = read_cell(structure)
        return (
            cell,
            find_pairs(cell, element_arrays()["covalent_radius"]),
            symmetry.symmetry_numbers(cell, self.symprec),
        )

    def _content(self, row: Any) -> bytes:
        cell = read_cell(row)
        parts = (cell.lattice, cell.fractional, cell.site, cell.number, cell.occupancy, cell.mass)
        return b"|".join(np.ascontiguousarray(part).tobytes() for part in parts)

    def _token(self) -> str:
        import spglib

        table = element_arrays()
        content = b"".join(name.encode() + table[name].tobytes() for name in sorted(table))
        return f"{self.symprec!r} {spglib.__version__} {content_key(content).hex()} {_names()}"

    def _label(self, row: Any) -> str:
        composition = getattr(row, "composition", None)
        return super()._label(row) if composition is None else str(composition.reduced_formula)

    def _check_settings(self) -> None:
        super()._check_settings()
        if not isinstance(self.symprec, int | float | np.number) or not 0 < self.symprec < 1:
            raise SurrogateError(f"symprec must be between 0 and 1 Å, got {self.symprec!r}")


@functools.cache
def _names() -> tuple[str, ...]:
    return tuple(feature.name for group in GROUPS for feature in group.COLUMNS)


def _numbers(read: Sequence[tuple[Cell, Pairs, np.ndarray]]) -> np.ndarray:
    """Compute all columns of some structures at once, ``(n, 136)``."""
    cells, pairs, symmetries = zip(*read, strict=True)
    batch = join(cells, pairs, element_arrays())
    return np.hstack([np.stack(symmetries), *(group.compute(batch) for group in GROUPS if group is not symmetry)])

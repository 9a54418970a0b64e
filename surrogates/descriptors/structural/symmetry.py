"""Symmetry and the lattice's shape, by spglib."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from surrogates.descriptors.base import Feature
from surrogates.descriptors.structural.cells import Cell
from surrogates.errors import SurrogateError

SYMPREC = 0.01
"""Å. How far atoms may be off their symmetric places; the default of pymatgen's SpacegroupAnalyzer."""
_LOUD = "SPGLIB_WARNING"
_FINER = (1e-3, 1e-4, 1e-5)
_LAST_OF_SYSTEM = (2, 15, 74, 142, 167, 194, 230)
_ORDER = {
    "1": 1, "-1": 2, "2": 2, "m": 2, "2/m": 4, "222": 4, "mm2": 4, "mmm": 8, "4": 4, "-4": 4, "4/m": 8, "422": 8,
    "4mm": 8, "-42m": 8, "4/mmm": 16, "3": 3, "-3": 6, "32": 6, "3m": 6, "-3m": 12, "6": 6, "-6": 6, "6/m": 12,
    "622": 12, "6mm": 12, "-6m2": 12, "6/mmm": 24, "23": 12, "m-3": 24, "432": 24, "-43m": 24, "m-3m": 48,
}  # fmt: skip
_CENTROSYMMETRIC = frozenset(("-1", "2/m", "mmm", "4/m", "4/mmm", "-3", "-3m", "6/m", "6/mmm", "m-3", "m-3m"))
_POLAR = frozenset(("1", "2", "m", "mm2", "4", "4mm", "3", "3m", "6", "6mm"))
_SOHNCKE = frozenset(("1", "2", "222", "4", "422", "3", "32", "6", "622", "23", "432"))

_PERIOD = "of the three shortest independent lattice vectors"
COLUMNS = (
    Feature("space_group_number", "1", "Number of the space group, 1 to 230"),
    Feature(
        "crystal_system",
        "1",
        "1 triclinic, 2 monoclinic, 3 orthorhombic, 4 tetragonal, 5 trigonal, 6 hexagonal, 7 cubic",
    ),
    Feature("point_group_order", "1", "Number of operations of the crystal's point group, 1 to 48"),
    Feature("centrosymmetric", "1", "1 if there is a centre of inversion, else 0"),
    Feature("polar", "1", "1 if the point group leaves a direction unchanged (pyroelectric classes), else 0"),
    Feature("sohncke", "1", "1 if all operations are proper, so that the crystal can be chiral, else 0"),
    Feature("primitive_sites log2", "1", "Binary logarithm of the number of sites in the primitive cell"),
    Feature("orbits_per_site", "1", "Symmetrically different sites over sites of the primitive cell"),
    Feature("site_symmetry log2", "1", "Binary logarithm of the order of a site's symmetry, mean over sites"),
    Feature("general_position_share", "1", "Share of the sites without any symmetry of their own"),
    Feature("shortest_period", "Å", f"Length of the first {_PERIOD}"),
    Feature("period_ratio 2", "1", f"Length of the second {_PERIOD} over the first's"),
    Feature("period_ratio 3", "1", f"Length of the third {_PERIOD} over the first's"),
    Feature("lattice_skewness", "1", f"Product of the lengths {_PERIOD} over the volume that they span, 1 to √2"),
)


def _site_types(cell: Cell) -> list[int]:
    """Return a number for each site; the same for sites that hold the same."""
    if cell.ordered:
        return [int(number) for number in cell.number]
    contents: dict[int, list[tuple[int, float]]] = {}
    for site, number, occupancy in zip(cell.site, cell.number, cell.occupancy, strict=True):
        contents.setdefault(int(site), []).append((int(number), round(float(occupancy), 3)))
    kinds: dict[tuple[tuple[int, float], ...], int] = {}
    return [kinds.setdefault(tuple(contents[i]), len(kinds) + 1) for i in range(cell.sites)]


def _dataset(cell: Cell, symprec: float) -> Any:
    import spglib

    atoms: Any = (cell.lattice, cell.fractional, _site_types(cell))
    for tolerance in (symprec, *(finer for finer in _FINER if finer < symprec)):
        with _quiet():
            try:
                found = spglib.get_symmetry_dataset(atoms, symprec=tolerance)
            except Exception:  # how spglib will report failures one day; now it returns None
                found = None
        if found is not None:
            return found
    raise SurrogateError(f"spglib finds no symmetry within {symprec:g} Å, nor within {_FINER[-1]:g} Å")


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence spglib's announcement of that, which comes with every call, and what it prints of attempts that fail."""
    loud = os.environ.get(_LOUD)
    if loud is None:
        os.environ[_LOUD] = "OFF"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            yield
    finally:
        if loud is None:
            del os.environ[_LOUD]


def symmetry_numbers(cell: Cell, symprec: float = SYMPREC) -> np.ndarray:
    """Compute the columns `COLUMNS` of one crystal, ``(p,)``.

    If spglib finds nothing, not even the identity, within `symprec` (Å), finer ones are tried.

    Raises
    ------
    SurrogateError
        If spglib finds no symmetry, not even the identity.
    """
    import spglib

    found = _dataset(cell, symprec)
    symbol = found.pointgroup.strip()
    order = _ORDER[symbol]
    primitive, once = np.unique(found.mapping_to_primitive, return_index=True)
    _, orbit, count = np.unique(found.crystallographic_orbits[once], return_inverse=True, return_counts=True)
    # An orbit is as large as the point group, divided by the symmetry of its sites.
    site_symmetry = np.log2(order / count)[orbit]
    # Niggli's vectors are the three shortest.
    with _quiet():
        reduced = spglib.niggli_reduce(found.primitive_lattice)
    if reduced is None:
        raise SurrogateError("spglib cannot reduce the lattice: is the cell nearly flat?")
    lengths = np.sort(np.linalg.norm(reduced, axis=1))
    return np.array(
        [
            found.number,
            1 + int(np.searchsorted(_LAST_OF_SYSTEM, found.number)),
            order,
            symbol in _CENTROSYMMETRIC,
            symbol in _POLAR,
            symbol in _SOHNCKE,
            np.log2(len(primitive)),
            len(count) / len(primitive),
            site_symmetry.mean(),
            np.mean(site_symmetry < 0.5),
            lengths[0],
            lengths[1] / lengths[0],
            lengths[2] / lengths[0],
            lengths.prod() / abs(np.linalg.det(found.primitive_lattice)),
        ],
        dtype=float,
    )

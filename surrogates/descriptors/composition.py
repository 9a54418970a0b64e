"""Compositions as 1994 numbers: histograms of element properties (842) and of pairs of elements (1152).

After Makino et al., whose descriptor this is in kind; their bins are in a supplement that we do not have, and those
here are our own. All numbers are shares between 0 and 1. Multiples of a formula, and the order of its elements, make no
difference.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.sparse import block_diag, csr_array

from surrogates.descriptors.base import Block, Descriptor, Feature
from surrogates.descriptors.cache import content_key
from surrogates.descriptors.formulas import Compositions, read_formulas
from surrogates.descriptors.histograms import histogram_features, histogram_table
from surrogates.descriptors.pairs import ELEMENTS, PAIRS, pair_features, pair_number, pair_table


class CompositionDescriptor(Descriptor):
    """Describes compositions by 1994 numbers.

    Rows are formulas (see `surrogates.descriptors.formulas` for what is read and how), pymatgen Compositions, or
    mappings of element symbols to amounts. Parameters are those of `Descriptor`. One process describes tens of
    thousands of compositions a second: workers and cache only pay where rows are dear, which they are not here.

    Examples
    --------
    >>> descriptor = CompositionDescriptor()
    >>> descriptor.transform(["Fe2O3", "NaCl"]).shape
    (2, 1994)
    >>> descriptor.feature_table()[7]
    Feature(name='atomic_number 8', unit='1', meaning='Share of the atoms that are O')
    """

    version = 1
    rows_per_block = 512
    accepted = "formulas or pymatgen Compositions"

    def feature_table(self) -> list[Feature]:
        """Return name, unit and meaning of the 1994 columns."""
        return list(_features())

    def _compute(self, rows: Sequence[Any]) -> Block:
        compositions, errors = read_formulas(rows)
        return Block(composition_features(compositions), errors)

    def _content(self, row: Any) -> bytes:
        if isinstance(row, str):
            return b"formula " + row.encode()
        if isinstance(row, Mapping):
            amounts = sorted((str(species), float(amount)) for species, amount in row.items())
            return b"amounts " + repr(amounts).encode()
        raise TypeError(type(row).__name__)

    def _token(self) -> str:
        table = _table()
        return content_key(table.data.tobytes() + table.indices.tobytes() + table.indptr.tobytes()).hex()


def composition_features(compositions: Compositions) -> np.ndarray:
    """Compute the 1994 columns.

    Parameters
    ----------
    compositions
        `n` of them.

    Returns
    -------
    ndarray
        ``(n, 1994)``, columns as in `CompositionDescriptor.feature_table`.
    """
    row, first, second = _pairs(compositions)
    x = compositions.fraction
    terms = np.concatenate([x, 2 * x[first] * x[second]])
    rows = np.concatenate([compositions.row, row])
    numbers = compositions.number
    columns = np.concatenate([numbers - 1, ELEMENTS + pair_number(numbers[first], numbers[second])])
    fractions = csr_array((terms, (rows, columns)), shape=(compositions.n, ELEMENTS + PAIRS))
    found: np.ndarray = (fractions @ _table()).toarray()
    return found


def _pairs(compositions: Compositions) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Row, and both entries, of each pair of entries of a composition."""
    count = np.bincount(compositions.row, minlength=compositions.n)
    start = np.cumsum(count) - count
    rows, firsts, seconds = [np.empty(0, int)], [np.empty(0, int)], [np.empty(0, int)]
    for size in np.unique(count[count > 1]).tolist():
        which = np.flatnonzero(count == size)
        first, second = np.triu_indices(size, 1)
        rows.append(np.repeat(which, len(first)))
        firsts.append((start[which, None] + first).ravel())
        seconds.append((start[which, None] + second).ravel())
    return np.concatenate(rows), np.concatenate(firsts), np.concatenate(seconds)


@functools.cache
def _table() -> csr_array:
    """Share of each element, and then of each pair of elements, in each column: ``(118 + 6903, 1994)``."""
    singles, pairs = csr_array(histogram_table()), pair_table()
    return csr_array(block_diag([singles, pairs], format="csr"))


@functools.cache
def _features() -> tuple[Feature, ...]:
    return (*histogram_features(), *pair_features())

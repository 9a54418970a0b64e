"""Pairs of elements by their valence electrons: quadratic in the atomic fractions.

Two atoms are drawn at random from a composition, the first put back before the second is drawn, and counted if they are
of different elements. For each two shells a and b out of s, p, d, f there are three histograms: over the numbers of a
electrons of the first atom and of b electrons of the second (a block of the SPDF matrix), over the difference of the
two numbers, and over their product. Each sums to the probability that the elements differ, 1 − Σx²; so all are 0 for a
single element.

Where a and b are the same shell, which atom is first does not matter: the matrix has one bin for {m, n}, and the
difference has no sign.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations_with_replacement
from typing import Literal

import numpy as np
from scipy.sparse import csr_array

from surrogates.descriptors.base import Feature
from surrogates.descriptors.elements import element_table

SHELLS = "spdf"
CAPACITY = {"s": 2, "p": 6, "d": 10, "f": 14}
ELEMENTS = 118
PAIRS = ELEMENTS * (ELEMENTS - 1) // 2
Kind = Literal["matrix", "difference", "product"]
_NAMES: dict[Kind, str] = {"matrix": "{a}{0} {b}{1}", "difference": "{a}-{b} {0}", "product": "{a}*{b} {0}"}


@dataclass(frozen=True)
class PairHistogram:
    """Bins over what two atoms' numbers of electrons make together."""

    kind: Kind
    a: str
    b: str

    @property
    def bins(self) -> tuple[tuple[int, ...], ...]:
        """What each bin stands for: both numbers, their difference, or their product."""
        numbers = [(m, n) for m in range(CAPACITY[self.a] + 1) for n in range(CAPACITY[self.b] + 1)]
        return tuple(sorted({self._made_of(m, n) for m, n in numbers}))

    def of(self, m: np.ndarray, n: np.ndarray) -> np.ndarray:
        """Return the bin of atoms with `m` electrons in shell a and others with `n` in shell b."""
        place = {made: i for i, made in enumerate(self.bins)}
        return np.array([place[self._made_of(*both)] for both in zip(m.tolist(), n.tolist(), strict=True)])

    def features(self) -> list[Feature]:
        """Return the columns."""
        name = (
            f"spdf_{self.kind} "
            + {"matrix": "{a}{0} {b}{1}", "difference": "{a}-{b} {0}", "product": "{a}*{b} {0}"}[self.kind]
        )
        return [
            Feature(
                name.format(*made, a=self.a, b=self.b),
                "1",
                f"Share of all pairs that are two elements{self._where(made)}",
            )
            for made in self.bins
        ]

    def _made_of(self, m: int, n: int) -> tuple[int, ...]:
        if self.kind == "matrix":
            return (min(m, n), max(m, n)) if self.a == self.b else (m, n)
        if self.kind == "difference":
            return (abs(m - n) if self.a == self.b else m - n,)
        return (m * n,)

    def _where(self, made: tuple[int, ...]) -> str:
        a, b, n = self.a, self.b, made[0]
        one, other = ("one", "the other") if a == b else ("the first", "the second")
        if self.kind == "matrix":
            return f", {one} with {n} {a} electrons and {other} with {made[1]} {b} electrons"
        if self.kind == "difference" and a == b:
            return f" whose numbers of {a} electrons differ by {n}"
        if self.kind == "difference":
            more = f"{abs(n)} {'more' if n >= 0 else 'fewer'} {a} electrons"
            return f", the first with {more} than the second has {b} electrons"
        return f", the {a} electrons of {one} times the {b} electrons of {other} being {n}"


PAIR_HISTOGRAMS = tuple(
    PairHistogram(kind, a, b) for kind in _NAMES for a, b in combinations_with_replacement(SHELLS, 2)
)
"""1152 bins: 666 of the SPDF matrix, 138 of differences, 348 of products."""


def pair_number(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the number, from 0 to `PAIRS` − 1, of pairs of different elements; either may be first."""
    low, high = np.minimum(first, second) - 1, np.maximum(first, second) - 1
    return np.asarray(low * (2 * ELEMENTS - low - 1) // 2 + high - low - 1)


def pair_table() -> csr_array:
    """Return how each pair of elements is shared among the bins of all pair histograms, ``(PAIRS, 1152)``."""
    table = element_table()
    electrons = {shell: np.rint(table[f"valence_{shell}"][1:]).astype(int) for shell in SHELLS}
    low, high = np.triu_indices(ELEMENTS, 1)  # in the order of `pair_number`
    rows, columns, before = [], [], 0
    for histogram in PAIR_HISTOGRAMS:
        a, b = electrons[histogram.a], electrons[histogram.b]
        for one, other in ((low, high), (high, low)):
            rows.append(np.arange(PAIRS))
            columns.append(before + histogram.of(a[one], b[other]))
        before += len(histogram.bins)
    entries = np.concatenate(rows), np.concatenate(columns)
    return csr_array((np.full(len(entries[0]), 0.5), entries), shape=(PAIRS, before))


def pair_features() -> list[Feature]:
    """Return the columns of `pair_table`."""
    return [feature for histogram in PAIR_HISTOGRAMS for feature in histogram.features()]

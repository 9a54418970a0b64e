"""Elements as rows of numbers, for networks over compositions."""

from __future__ import annotations

import functools

import numpy as np

from surrogates.errors import SurrogateError


@functools.cache
def first_elements(count: int) -> tuple[str, ...]:
    """Return the symbols of the first elements of the periodic table.

    Raises
    ------
    SurrogateError
        If there are not so many.
    """
    from pymatgen.core import Element

    if not 1 <= count <= 118:
        raise SurrogateError(
            f"there are 118 elements, but {count} columns of amounts: name the elements, and count the columns after "
            "them in extra"
        )
    return tuple(Element.from_Z(z).symbol for z in range(1, count + 1))


@functools.cache
def known_elements(symbols: tuple[str, ...]) -> None:
    """Raise `SurrogateError` unless all are symbols of elements, each named once."""
    from pymatgen.core import Element

    wrong = [s for s in symbols if not Element.is_valid_symbol(s)]
    if wrong or len(set(symbols)) != len(symbols) or not symbols:
        twice = sorted({s for s in symbols if symbols.count(s) > 1})
        raise SurrogateError(
            f"elements must be symbols as Fe, each once and at least one; unknown: {wrong}, repeated: {twice}"
        )


@functools.cache
def property_table(symbols: tuple[str, ...]) -> np.ndarray:
    """Compute properties ``(E, p)`` of elements, standardised over the periodic table.

    The scaling does not depend on which elements are asked for. A property that is not known counts as the mean.
    """
    return _all_properties()[[_number(s) - 1 for s in symbols]]


def _number(symbol: str) -> int:
    from pymatgen.core import Element

    return int(Element(symbol).Z)


@functools.cache
def _all_properties() -> np.ndarray:
    from surrogates.descriptors.elements import ELEMENT_PROPERTIES, element_value

    table = np.full((118, len(ELEMENT_PROPERTIES)), np.nan)
    for z in range(1, 119):
        for j, prop in enumerate(ELEMENT_PROPERTIES):
            try:
                table[z - 1, j] = element_value(z, prop)
            except SurrogateError:  # not known: the mean, below
                continue
    table = (table - np.nanmean(table, 0)) / np.nanstd(table, 0)
    return np.nan_to_num(table, nan=0.0)

"""Statistics of element properties over a composition.

The statistics are those of Ward et al., npj Comput. Mater. 2, 16028 (2016), doi:10.1038/npjcompumats.2016.28, of fewer
properties: those that are known for (nearly) every element, since a guessed value is worse than none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from surrogates.descriptors.elements import ELEMENT_PROPERTIES, ElementProperty, element_value
from surrogates.descriptors.formulas import Compositions, parse_formulas
from surrogates.errors import SurrogateError

STATISTICS = ("mean", "deviation", "minimum", "maximum", "range")
"""Of a property over the elements of a composition. Mean and mean absolute deviation are weighted with the atomic
fractions, the others are over the elements that are there."""


@dataclass(frozen=True, eq=False)
class ElementFeatures:
    """Features of `n` formulas."""

    values: np.ndarray
    """``(n, d)``."""
    names: tuple[str, ...]
    """``(d,)``, property and statistic: ``"electronegativity mean"``."""
    units: tuple[str, ...]
    """``(d,)``."""


def element_features(
    formulas: Sequence[str] | Compositions,
    properties: Sequence[ElementProperty] = ELEMENT_PROPERTIES,
    statistics: Sequence[str] = STATISTICS,
) -> ElementFeatures:
    """Compute statistics of element properties over each composition.

    Parameters
    ----------
    formulas
        ``n`` formulas, or what `parse_formulas` made of them.
    properties
        Properties wanted.
    statistics
        Of each property, out of `STATISTICS`.

    Returns
    -------
    ElementFeatures
        ``(n, len(properties) * len(statistics))``, all of a property side by side; the same for multiples of a formula.

    Raises
    ------
    SurrogateError
        If a formula cannot be read, a property of one of its elements is not known (both name formula and row), or a
        statistic does not exist.
    """
    if unknown := set(statistics) - set(STATISTICS):
        raise SurrogateError(f"unknown statistics {sorted(unknown)}: choose from {', '.join(STATISTICS)}")
    parsed = formulas if isinstance(formulas, Compositions) else parse_formulas(formulas)
    names = tuple(f"{prop.name} {statistic}" for prop in properties for statistic in statistics)
    units = tuple(prop.unit for prop in properties for _ in statistics)
    if parsed.n == 0:
        return ElementFeatures(np.empty((0, len(names))), names, units)
    entries, start = _property_entries(parsed, properties), parsed.start
    weight = parsed.fraction[:, None]
    mean = np.add.reduceat(weight * entries, start)
    low, high = np.minimum.reduceat(entries, start), np.maximum.reduceat(entries, start)
    every = {
        "mean": mean,
        "deviation": np.add.reduceat(weight * np.abs(entries - mean[parsed.row]), start),
        "minimum": low,
        "maximum": high,
        "range": high - low,
    }
    values = np.stack([every[statistic] for statistic in statistics], -1).reshape(parsed.n, len(names))
    return ElementFeatures(values, names, units)


def _property_entries(parsed: Compositions, properties: Sequence[ElementProperty]) -> np.ndarray:
    """Properties ``(k, p)`` of the element of each entry."""
    present, which = np.unique(parsed.number, return_inverse=True)
    table = np.empty((len(present), len(properties)))
    for i, number in enumerate(present.tolist()):
        try:
            table[i] = [element_value(number, prop) for prop in properties]
        except SurrogateError as error:
            row = int(parsed.row[np.argmax(parsed.number == number)])
            raise SurrogateError(f"row {row}: {error}; leave the row out, or choose other properties") from error
    return table[which]

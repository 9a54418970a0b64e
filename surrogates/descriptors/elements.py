"""Formulas as numbers: atomic fractions, and statistics of element properties over a composition.

The statistics are those of Ward et al., npj Comput. Mater. 2, 16028 (2016), doi:10.1038/npjcompumats.2016.28, of fewer
properties: those that are known for (nearly) every element, since a guessed value is worse than none.
"""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from pymatgen.analysis.molecule_structure_comparator import CovalentRadius
from pymatgen.core import Composition, Element

from surrogates.errors import SurrogateError

_ALLEN = {"He": 4.160, "Ne": 4.787, "Ar": 3.242}
"""Electronegativity of the noble gases that Pauling's scale leaves out: Allen, J. Am. Chem. Soc. 111, 9003 (1989),
doi:10.1021/ja00207a003; the scales agree within 0.1 for fluorine and for xenon."""


@dataclass(frozen=True)
class ElementProperty:
    """A property that every element has."""

    name: str
    unit: str
    """``"1"`` where there is none."""
    of: Callable[[Element], float]
    """The value; NaN, None or an exception where it is not known."""


def _electronegativity(element: Element) -> float:
    return _ALLEN.get(element.symbol) or element.X


def _valence(shell: str) -> Callable[[Element], float]:
    """Electrons of one kind beyond the noble gas core; full inner d and f shells of the row count as well."""

    def of(element: Element) -> float:
        # As [Xe].4f14.5d9.6s1
        parts = [part for part in element.electronic_structure.split(".") if not part.startswith("[")]
        return float(sum(int(part[2:]) for part in parts if part[1] == shell))

    return of


ELEMENT_PROPERTIES: tuple[ElementProperty, ...] = (
    ElementProperty("mendeleev_number", "1", lambda e: e.mendeleev_no),
    ElementProperty("atomic_mass", "u", lambda e: float(e.atomic_mass)),
    ElementProperty("period", "1", lambda e: e.row),
    ElementProperty("group", "1", lambda e: e.group),
    ElementProperty("electronegativity", "Pauling", _electronegativity),
    ElementProperty("electron_affinity", "eV", lambda e: e.electron_affinity),
    ElementProperty("ionisation_energy", "eV", lambda e: e.ionization_energy),
    ElementProperty("covalent_radius", "Å", lambda e: CovalentRadius.radius[e.symbol]),
    ElementProperty("melting_point", "K", lambda e: float(e.melting_point)),
    ElementProperty("molar_volume", "cm³/mol", lambda e: float(e.molar_volume)),
    # From 0.006 to 430 W/m/K: a mean of the logarithms says more than a mean that the largest one decides.
    ElementProperty("log10_thermal_conductivity", "log10(W/m/K)", lambda e: math.log10(e.thermal_conductivity)),
    ElementProperty("valence_s", "electrons", _valence("s")),
    ElementProperty("valence_p", "electrons", _valence("p")),
    ElementProperty("valence_d", "electrons", _valence("d")),
    ElementProperty("valence_f", "electrons", _valence("f")),
)
"""Known for all elements up to curium but astatine and francium."""

STATISTICS = ("mean", "deviation", "minimum", "maximum", "range")
"""Of a property over the elements of a composition. Mean and mean absolute deviation are weighted with the atomic
fractions, the others are over the elements that are there."""


@dataclass(frozen=True, eq=False)
class Compositions:
    """Atomic fractions of `n` formulas in sparse form, sorted by formula."""

    n: int
    row: np.ndarray
    """``(k,)`` formula of each entry."""
    number: np.ndarray
    """``(k,)`` atomic number of each entry."""
    fraction: np.ndarray
    """``(k,)`` atomic fraction, above 0; a formula's sum to 1."""

    @property
    def start(self) -> np.ndarray:
        """``(n,)`` first entry of each formula."""
        return np.searchsorted(self.row, np.arange(self.n))

    def chemical_systems(self) -> tuple[str, ...]:
        """Return the elements of each formula, in alphabetical order, joined by ``-``."""
        symbols = np.array([Element.from_Z(z).symbol for z in self.number.tolist()], dtype=object)
        return tuple("-".join(sorted(part)) for part in np.split(symbols, self.start[1:]))


@dataclass(frozen=True, eq=False)
class ElementFeatures:
    """Features of `n` formulas."""

    values: np.ndarray
    """``(n, d)``."""
    names: tuple[str, ...]
    """``(d,)``, property and statistic: ``"electronegativity mean"``."""
    units: tuple[str, ...]
    """``(d,)``."""


def parse_formulas(formulas: Sequence[str]) -> Compositions:
    """Read chemical formulas, as ``Fe2O3``, ``Li0.5Na0.5Cl`` or ``BiSb(Se0.92Br0.08)3``; deuterium counts as hydrogen.

    Raises
    ------
    SurrogateError
        If one cannot be read or names something that is no element; says which, and in what row (from 0).
    """
    rows: list[int] = []
    numbers: list[int] = []
    fractions: list[float] = []
    for row, formula in enumerate(formulas):
        try:
            composition = Composition(formula)
            total = composition.num_atoms
            if not 0 < total < math.inf:
                raise ValueError("no atoms")
            amounts: dict[int, float] = {}
            for element, amount in composition.items():
                if not isinstance(element, Element):
                    raise ValueError(f"{element.symbol} is no element")
                amounts[element.Z] = amounts.get(element.Z, 0.0) + amount
        except (ValueError, TypeError, KeyError) as error:
            raise SurrogateError(
                f"row {row}: {formula!r} cannot be read as a chemical formula ({error}); expected element symbols with "
                "amounts, as Fe2O3 or BiSb(Se0.92Br0.08)3"
            ) from error
        rows += [row] * len(amounts)
        numbers += amounts
        fractions += [amount / total for amount in amounts.values()]
    return Compositions(len(formulas), np.array(rows, int), np.array(numbers, int), np.array(fractions, float))


@functools.cache
def element_value(number: int, prop: ElementProperty) -> float:
    """Return a property of the element with this atomic number.

    Raises
    ------
    SurrogateError
        If it is not known.
    """
    element = Element.from_Z(number)
    with warnings.catch_warnings():
        # pymatgen's way to say that a value is not known, which is said below.
        warnings.filterwarnings("ignore", f"No (data available|Pauling electronegativity) for .*{element.symbol}")
        try:
            value = float(prop.of(element))
        except (KeyError, TypeError, ValueError):
            value = math.nan
    if not math.isfinite(value):
        raise SurrogateError(f"{prop.name} of {element.symbol} is not known")
    return value


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

"""Properties of the elements, from pymatgen, and as a table without gaps.

`element_value` knows what pymatgen knows, and says so where it does not. `element_table` fills the gaps, by one rule:
what is not known of an element is taken from the nearest element of its column of the periodic table (the lighter one
of two that are equally near; actinides stand below lanthanides). An element is most like those above and below it, and
for the valence electrons of the heaviest elements the rule is exact but for exchanges between s, d and p. What was
filled is marked in `ElementTable.known`.
"""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from pymatgen.analysis.molecule_structure_comparator import CovalentRadius
from pymatgen.core import Element

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


def _atomic_radius(element: Element) -> float:
    # Slater has no noble gases, but argon, for which pymatgen gives the calculated radius.
    return float(element.atomic_radius or element.atomic_radius_calculated)


def _shannon(kind: str) -> Callable[[Element], float]:
    """Mean over the charges that are usual in crystals, each at coordination number 6, or over all that are tabulated.

    Usual are those of at least 1 % of the element's entries in the ICSD; where none of them is tabulated, all are.
    """

    def of(element: Element) -> float:
        tabulated: Mapping[str, Any] = element.data["Shannon radii"]
        # One entry of europium has no charge.
        charges = {int(charge): sites for charge, sites in tabulated.items() if charge}
        usual = [sites for charge, sites in charges.items() if charge in element.icsd_oxidation_states]
        return _mean(_mean(_at_coordination_6(sites, kind)) for sites in usual or charges.values())

    return of


def _at_coordination_6(sites: Mapping[str, Any], kind: str) -> Iterable[float]:
    """Radii of all spins at coordination number 6, or at all coordination numbers if that is not tabulated."""
    for spins in [sites["VI"]] if "VI" in sites else sites.values():
        for radii in spins.values():
            yield radii[kind]


def _mean(values: Iterable[float]) -> float:
    found = list(values)
    return sum(found) / len(found)


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

MORE_PROPERTIES: tuple[ElementProperty, ...] = (
    ElementProperty("atomic_number", "1", lambda e: e.Z),
    ElementProperty("atomic_radius", "Å", _atomic_radius),
    ElementProperty("ionic_radius", "Å", _shannon("ionic_radius")),
    ElementProperty("crystal_radius", "Å", _shannon("crystal_radius")),
)
"""Known for fewer. Radii: atomic, Slater, J. Chem. Phys. 41, 3199 (1964), doi:10.1063/1.1725697, and for noble gases as
calculated by Clementi et al., J. Chem. Phys. 47, 1300 (1967), doi:10.1063/1.1712084; ionic (effective) and crystal,
Shannon, Acta Cryst. A32, 751 (1976), doi:10.1107/S0567739476001551. Covalent above: Cordero et al., Dalton Trans. 2832
(2008), doi:10.1039/b801115j."""


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


@dataclass(frozen=True, eq=False)
class ElementTable:
    """Properties of all elements, without gaps."""

    properties: tuple[ElementProperty, ...]
    values: np.ndarray
    """``(119, p)``, by atomic number; row 0 is NaN."""
    known: np.ndarray
    """``(119, p)``, whether a value is known, or that of another element of the column."""

    def __getitem__(self, name: str) -> np.ndarray:
        """Return a property ``(119,)`` by atomic number; index 0 is NaN."""
        names = [prop.name for prop in self.properties]
        if name not in names:
            raise SurrogateError(f"no property is called {name!r}; there are {', '.join(names)}")
        found: np.ndarray = self.values[:, names.index(name)]
        return found


@functools.cache
def element_table() -> ElementTable:
    """Return all properties of all elements, what is not known filled by the rule at the top of this file."""
    properties = ELEMENT_PROPERTIES + MORE_PROPERTIES
    values = np.full((119, len(properties)), np.nan)
    for z in range(1, 119):
        for j, prop in enumerate(properties):
            try:
                values[z, j] = element_value(z, prop)
            except SurrogateError:  # filled below
                continue
    known = np.isfinite(values)
    for j in range(len(properties)):
        for unknown in (np.flatnonzero(~known[1:, j]) + 1).tolist():
            values[unknown, j] = values[_stand_in(unknown, known[:, j]), j]
    values.setflags(write=False)
    known.setflags(write=False)
    return ElementTable(properties, values, known)


def _column(z: int) -> int:
    """Group, or 100 and more for each column of the lanthanides and actinides."""
    for first in (57, 89):
        if first <= z <= first + 14:
            return 100 + z - first
    return int(Element.from_Z(z).group)


def _stand_in(z: int, known: np.ndarray) -> int:
    """Nearest element of the column of which something is known, the lighter one of two."""
    period, column = Element.from_Z(z).row, _column(z)
    others = [other for other in range(1, 119) if known[other] and _column(other) == column]
    return min(others, key=lambda other: (abs(Element.from_Z(other).row - period), other))

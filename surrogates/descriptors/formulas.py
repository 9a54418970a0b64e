"""Formulas and compositions as atomic fractions.

Formulas are read as pymatgen reads them, plain ones by a parser of our own, which is faster and says the same. Beyond
that, and where pymatgen leaves it open:

* Isotopes: D and T count as hydrogen, in everything. Oxidation states of a pymatgen `Composition` are left out.
* Hydrates: ``·`` (or another raised dot) joins formulas that may have a factor each, ``CuSO4·5H2O``. A full stop is a
  decimal point; ``CuSO4.5H2O``, where it could be either, is refused.
* Charge: is no atom, and is left out. It may stand last, as ``[2-]``, ``(2-)``, ``^2-``, ``²⁻``, or as signs alone
  (``OH-``). Digits before a bare sign could be an amount or a charge: refused (``SO42-``), but where there is one
  element alone (``Fe3+``), for which it makes no difference.
* Subscripts (``Fe₂O₃``) are amounts. Amounts under 1e-8 are left out.
* Whatever is no element (X, Vac, R), amounts that are no numbers (``x``, ``1-x``), below 0 or infinite, and
  formulas without atoms are refused.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pymatgen.core import Composition, Element

from surrogates.errors import SurrogateError

SYMBOLS = ("", *(Element.from_Z(z).symbol for z in range(1, 119)))
"""Of the elements, by atomic number."""
_NUMBERS = {symbol: z for z, symbol in enumerate(SYMBOLS) if z} | {"D": 1, "T": 1}
_LEAST = Composition.amount_tolerance

_TOKENS = re.compile(r"([A-Z][a-z]?)(\d*\.?\d*) *|.", re.DOTALL)
"""Symbols with amounts; anything else is a token without a symbol."""
_SUBSCRIPTS = str.maketrans("₀₁₂₃₄₅₆₇₈₉", "0123456789")
_DOTS = re.compile("[·•∙⋅‧・]")
_FACTOR = re.compile(r"^(\d*\.?\d*)(.*)", re.DOTALL)
_STATED_CHARGE = re.compile(r"(\[(\d*[+-]+|[+-]\d+)\]|\((\d*[+-]+|[+-]\d+)\)|\^\{?\d*[+-]+\}?|[⁰¹²³⁴⁵⁶⁷⁸⁹]*[⁺⁻]+)$")
_BARE_CHARGE = re.compile(r"(\d*)[+-]+$")
_WATER = re.compile(r"[1-9]\d*\.\d+\(?H2O\)?$")
_ERRORS = (ValueError, TypeError, KeyError, OverflowError)
_EXPECTED = "expected element symbols with amounts, as Fe2O3 or BiSb(Se0.92Br0.08)3"


@dataclass(frozen=True, eq=False)
class Compositions:
    """Atomic fractions of `n` formulas in sparse form, sorted by formula."""

    n: int
    row: np.ndarray
    """``(k,)`` formula of each entry."""
    number: np.ndarray
    """``(k,)`` atomic number of each entry; none twice in a formula."""
    fraction: np.ndarray
    """``(k,)`` atomic fraction, above 0; a formula's sum to 1."""

    @property
    def start(self) -> np.ndarray:
        """``(n,)`` first entry of each formula."""
        return np.searchsorted(self.row, np.arange(self.n))

    def chemical_systems(self) -> tuple[str, ...]:
        """Return the elements of each formula, in alphabetical order, joined by ``-``."""
        symbols = np.array([SYMBOLS[z] for z in self.number.tolist()], dtype=object)
        return tuple("-".join(sorted(part)) for part in np.split(symbols, self.start[1:]))


def parse_formulas(formulas: Sequence[Any]) -> Compositions:
    """Read formulas (or pymatgen Compositions, or mappings of symbols to amounts).

    Raises
    ------
    SurrogateError
        If one cannot be read; says which, and in what row (from 0).
    """
    compositions, errors = read_formulas(formulas)
    if errors:
        row = min(errors)
        raise SurrogateError(f"row {row}: {formulas[row]!r} {errors[row]}")
    return compositions


def read_formulas(formulas: Sequence[Any]) -> tuple[Compositions, dict[int, str]]:
    """Read formulas, and say why some cannot be read.

    Returns
    -------
    Compositions
        Without entries where a formula cannot be read.
    dict of int to str
        What is wrong, by row (from 0).
    """
    counts: list[int] = []
    totals: list[float] = []
    numbers: list[int] = []
    amounts: list[float] = []
    errors: dict[int, str] = {}
    for row, formula in enumerate(formulas):
        try:
            found = amounts_of(formula)
            total = sum(found.values())
            if not 0 < total < math.inf:
                raise ValueError(f"{total:g} atoms")
        except _ERRORS as error:
            errors[row] = f"cannot be read as a chemical formula ({error}); {_EXPECTED}"
            counts.append(0)
            continue
        counts.append(len(found))
        totals.append(total)
        numbers += found
        amounts += found.values()
    entries = np.array(counts, dtype=int)
    row_of = np.repeat(np.arange(len(counts)), entries)
    fractions = np.array(amounts, dtype=float) / np.repeat(np.array(totals, dtype=float), entries[entries > 0])
    return Compositions(len(counts), row_of, np.array(numbers, dtype=int), fractions), errors


def amounts_of(formula: Any) -> dict[int, float]:
    """Return the amount of each element, by atomic number, in the order in which they are named.

    Raises
    ------
    ValueError, TypeError, KeyError, OverflowError
        If this is no composition.
    """
    if not isinstance(formula, str):
        return _amounts_of_composition(formula)
    amounts: dict[int, float] = {}
    for symbol, amount in _TOKENS.findall(formula):
        number = _NUMBERS.get(symbol)
        if number is None or amount == ".":
            return _amounts_of_text(formula)
        amounts[number] = amounts.get(number, 0.0) + (float(amount) if amount else 1.0)
    if not amounts or min(amounts.values()) < _LEAST or formula.endswith("H2O"):
        return _amounts_of_text(formula)
    return amounts


def _amounts_of_text(text: str) -> dict[int, float]:
    """Read a formula that is not plain."""
    text = text.strip().translate(_SUBSCRIPTS)
    if _WATER.search(text):
        raise ValueError("a hydrate, or a decimal point? Write CuSO4·5H2O for the former, H2O first for the latter")
    stated = _STATED_CHARGE.sub("", text)
    bare = None if stated != text else _BARE_CHARGE.search(text)
    if bare is not None:
        stated = text[: bare.start()]
    amounts: dict[int, float] = {}
    parts = _DOTS.split(stated)
    for part in parts:
        factor, rest = _FACTOR.findall(part.strip())[0] if len(parts) > 1 else ("", part)
        for number, amount in _amounts_of_composition(Composition(rest)).items():
            amounts[number] = amounts.get(number, 0.0) + amount * float(factor or 1)
    if bare is not None and bare[1] and len(amounts) > 1:
        raise ValueError(
            f"is the {bare[1]} before the sign an amount or a charge? Write a charge in brackets, as SO4[2-] or NH4[+]"
        )
    return {number: amount for number, amount in amounts.items() if amount >= _LEAST}


def _amounts_of_composition(composition: Any) -> dict[int, float]:
    if isinstance(composition, float) and math.isnan(composition):
        raise ValueError("a missing value; where it is sodium nitride, NaN, read the table with keep_default_na=False")
    if not isinstance(composition, Mapping):
        raise TypeError(f"got {type(composition).__name__}")
    if not isinstance(composition, Composition):
        composition = Composition(composition)
    amounts: dict[int, float] = {}
    for species, amount in composition.items():
        number = _NUMBERS.get(species.symbol)
        if number is None:
            raise ValueError(f"{species.symbol} is no element")
        if amount < 0:
            raise ValueError(f"{amount:g} atoms of {species.symbol}")
        amounts[number] = amounts.get(number, 0.0) + float(amount)
    return amounts

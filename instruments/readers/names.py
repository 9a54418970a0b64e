"""Names of columns and units, as programs and people write them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_SEPARATED = r"[\s_.,:/-]"
# "q (1/A)", "I_1/cm", "q_nm-1": a unit in brackets, or behind a separator.
_UNIT = (
    rf"(?:\s*[(\[{{<|].*|{_SEPARATED}+(?:1/|per_?)?(?:å|ångstr[oö]ms?|angstroms?|ang|a|nm|cm|m)"
    r"(?:\s*\^?\s*[({]?[-−_]?1[)}]?|⁻¹)?)?"
)
_ERROR = r"(?:err(?:or)?s?|std|st\.?\s?dev\.?|std\.?[ _.-]?dev\.?|sd|esd|sigma|sig|dev|uncertainty|uncertainties|unc|σ)"
_CORES = {
    # In this order where several fit: "sigma_q" is no q, "i_err" is no intensity.
    "resolution": rf"d_?q[wl]?|(?:{_ERROR}|res(?:olution)?|delta|[Δδ])[ _(]*q\)?"
    rf"|q[ _]?(?:{_ERROR}|res(?:olution)?|min|max|low|high)|resolution",
    "sigma": rf"d_?i|{_ERROR}|{_ERROR}[ _.(]*(?:i|int(?:ensity)?)(?:\(q\))?\)?|(?:delta|[δΔ])[ _]?i"
    rf"|(?:i|int|intensity)[ _]?{_ERROR}",
    "intensity": r"i|iq|i[ _]?\(q\)|i_q|int|intensity|intensities|d?σ/dω|dsigma/domega",
    "q": r"q|q[ _]?vec(?:tor)?|q[ _]?values?|scattering[ _]vector|momentum[ _]transfer",
}
_PATTERNS = {
    kind: re.compile(rf"(?P<prefix>(?:.*?{_SEPARATED})??)(?:{core}){_UNIT}", re.IGNORECASE)
    for kind, core in _CORES.items()
}

_LONGEST = 100
"""Name of a column."""
_LENGTHS = {"a": 1.0, "nm": 0.1, "um": 1e-4, "mm": 1e-7, "cm": 1e-8, "m": 1e-10}
"""Length -> 1/length in 1/Å."""
_NANOMETRE = re.compile(r"1\s*/\s*nm\b|(?<![a-z])nm\s*\^?\s*\{?\(?\s*[-−]\s*1|nm⁻¹|inverse nanomet", re.IGNORECASE)
_ANGSTROM = re.compile(
    r"1\s*/\s*(å|a|ang\w*)\b|(?<![a-z])(å|a|ang\w*)\s*\^?\s*\{?\(?\s*[-−]\s*1|å⁻¹|inverse angstr", re.IGNORECASE
)


@dataclass(frozen=True)
class Named:
    """Which columns make a curve."""

    prefix: str
    """What their names begin with: ``saxs_`` of ``saxs_q``, ``saxs_i``."""
    q: str
    intensity: str
    sigma: str | None


def curve_columns(names: Sequence[str], wanted: Sequence[str] | None = None) -> list[Named]:
    """Find the columns of curves among names.

    Parameters
    ----------
    names
        All columns there are.
    wanted
        Those to take, as q, I and if there is one σ; by default what is named as usual (``q``, ``I(q)``, ``sigma``,
        ``saxs_q``, ``saxs_i``, ``saxs_i_err`` ...), one curve for each prefix.

    Raises
    ------
    ValueError
        If one that is wanted is missing.
    """
    if wanted is not None:
        for name in wanted:
            if name not in names:
                raise ValueError(f"has no column {name!r}; there are {listed(names)}")
        return [Named("", wanted[0], wanted[1], wanted[2] if len(wanted) > 2 else None)]
    found: dict[str, dict[str, str]] = {}
    for name in names:
        kind, prefix = kind_of(name)
        if kind:
            found.setdefault(prefix, {}).setdefault(kind, name)
    return [
        Named(prefix, parts["q"], parts["intensity"], parts.get("sigma"))
        for prefix, parts in found.items()
        if "q" in parts and "intensity" in parts
    ]


def kind_of(name: str) -> tuple[str, str]:
    """Say what a column is by its name: ``q``, ``intensity``, ``sigma``, ``resolution`` or nothing; and its prefix."""
    name = name.strip()
    if len(name) > _LONGEST:
        return "", ""
    matches = [(kind, match["prefix"]) for kind, pattern in _PATTERNS.items() if (match := pattern.fullmatch(name))]
    return min(matches, key=lambda match: len(match[1]), default=("", ""))


def listed(names: Sequence[str], most: int = 12) -> str:
    """Names for a message; the first ones."""
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "") if names else "none"


def q_factor(unit: str) -> float | None:
    """Return the factor that brings q to 1/Å; None where the unit is not known."""
    length = _per_length(unit)
    return None if length is None else _LENGTHS[length]


def intensity_factor(unit: str) -> float | None:
    """Return the factor that brings an intensity to 1/cm; None where it is on no absolute scale."""
    length = _per_length(re.sub(r"(/|\s|\*|\.)?\s*(sr|ster\w*)(\s*\^?\s*-1)?$|(?<=\d)\s*sr\s*\^?-1$", "", unit.strip()))
    return None if length is None else _LENGTHS[length] / _LENGTHS["cm"]


def _per_length(unit: str) -> str | None:
    """Return the length in a unit that is one over a length: ``nm`` of ``1/nm``, ``nm^-1``, ``inverse nanometers``."""
    text = unit.strip().lower().replace("⁻¹", "^-1").replace("−", "-").replace("µ", "u").replace("μ", "u")
    text = re.sub(r"ångstr[oö]ms?|angstr[oö]ms?|\\aa|å|å|\bang\b", "a", text)
    text = re.sub(r"nanomet(?:er|re)s?", "nm", text)
    text = re.sub(r"[\s{}()$]|\*\*|rad(?:ians?)?", "", text.replace("**", "^"))
    match = re.fullmatch(r"(?:1/|/|inv(?:erse)?|per|reciprocal)(\w+?)|(\w+?)(?:\^-1|-1|_-1|\^_-1)", text)
    length = (match[1] or match[2]) if match else None
    return length if length in _LENGTHS else None


def q_unit_in(header: Sequence[str]) -> str | None:
    """Find the unit of q in lines of a header; the line that names q counts most."""
    lines = [line for line in header if re.search(r"\bq\b|\bq[_(\[/]|scattering vector", line, re.IGNORECASE)]
    for line in [*reversed(lines), *reversed(header)]:
        if _NANOMETRE.search(line):
            return "1/nm"
        if _ANGSTROM.search(line):
            return "1/A"
    return None

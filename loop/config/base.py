"""What every section of a campaign file is made of: strict models, and values that explain themselves when refused."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

Unit = Literal[
    "1", "fraction", "percent", "frame",
    "degC", "K", "K/s",
    "angstrom", "nm", "um", "mm", "cm", "m", "1/angstrom", "1/nm",
    "ms", "s", "min", "h",
    "deg", "rad", "mrad",
    "uL", "mL", "uL/min", "mL/min", "mg/mL", "mol/L", "mmol/L", "umol/L",
    "wt%", "at%", "vol%", "pH", "dpa",
    "Pa", "kPa", "MPa", "bar", "N", "mT", "T", "V", "mV", "A", "mA", "eV", "keV", "Hz",
]  # fmt: skip
"""Units that a parameter may have. Nothing is converted: a unit says what a number means, and must be its device's."""


def refusal(expected: str) -> PydanticCustomError:
    """Return the error to raise from a validator: "found ..., expected `expected`"."""
    return PydanticCustomError("expected", "{expected}", {"expected": expected})


RESERVED = ("sample", "_id")


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong in a campaign file."""

    loc: tuple[str | int, ...]
    """Keys that lead to it."""
    found: str
    """What stands there, as text."""
    expected: str
    """What is allowed there, as text; it completes "found ..., expected"."""
    origin: str = ""
    """Where it stands, if not where the key does."""


def suggestion(found: str, known: Iterable[str]) -> str:
    """Return ``; did you mean "..."?``, or nothing if nothing known is close."""
    close = difflib.get_close_matches(found, list(known), n=1, cutoff=0.5)
    return f'; did you mean "{close[0]}"?' if close else ""


def refuse(title: str, problems: Sequence[tuple[tuple[str | int, ...], Any, str]]) -> None:
    """Raise all of ``(place, value, expected)`` at once; pydantic adds them to what it found elsewhere."""
    if problems:
        raise ValidationError.from_exception_data(
            title,
            [InitErrorDetails(type=refusal(text), loc=loc, input=value) for loc, value, text in problems],
        )


class Section(BaseModel):
    """A mapping in the file: no unknown keys, no silent conversions, immutable, described."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )

    def keywords(self) -> dict[str, Any]:
        """Return the keys that are set (not null), `kind` aside, as keyword arguments.

        What the file leaves out keeps the default of the class it configures, so that each default stands in one place.
        """
        return {
            name: value
            for name in type(self).model_fields
            if name != "kind" and (value := getattr(self, name)) is not None
        }


def _name(text: str) -> str:
    if not (text.isascii() and text.isidentifier() and len(text) <= 60):
        raise refusal("a name of letters, digits and underscores that starts with a letter")
    return text


def _kind(text: str) -> str:
    module, colon, attribute = text.partition(":")
    parts = [*module.split("."), attribute] if colon else [text]
    if not all(part.isascii() and part.isidentifier() for part in parts):
        raise refusal('a built-in name, or "module:Name" for your own')
    return text


def _scalar(value: JsonValue) -> JsonValue:
    if isinstance(value, (dict, list)) or value is None:
        raise refusal("a single value (text, number, true or false)")
    return value


Name = Annotated[str, AfterValidator(_name), Field(json_schema_extra={"pattern": "^[A-Za-z_][A-Za-z0-9_]*$"})]
"""Names of parameters, observables and devices: they become keys of Bluesky documents."""


def _axis_name(text: str) -> str:
    if text in RESERVED:
        raise refusal(f"a name other than {' and '.join(RESERVED)}, which every point has anyway")
    return text


AxisName = Annotated[Name, AfterValidator(_axis_name)]
"""Names of parameters and features: a point holds them beside its own reserved keys."""

Kind = Annotated[
    str,
    AfterValidator(_kind),
    Field(json_schema_extra={"pattern": r"^[A-Za-z_]\w*$|^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*$"}),
]
"""A built-in name, or ``module:Name`` for a class or function of the user's own."""

Scalar = Annotated[JsonValue, AfterValidator(_scalar)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Pair = Annotated[tuple[float, float], Field(strict=False)]


class Component(Section):
    """An exchangeable part: which one, and its options."""

    kind: Kind
    """A built-in name, or `module:Name` for your own class or function."""
    options: dict[Name, JsonValue] = Field(default_factory=dict)
    """Keyword arguments of that part, in the units that its documentation states."""

"""What every section of a recipe is made of: strict models, and rules that name the place where they are broken."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

Broken = tuple[tuple[str | int, ...], Any, str]
"""Place, value found, and what was expected there."""


class Section(BaseModel):
    """A mapping in the file: no unknown keys, no silent conversions, immutable, described."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


def refuse(title: str, broken: Sequence[Broken]) -> None:
    """Raise all broken rules at once, from inside a validator; nothing if there are none."""
    if broken:
        raise ValidationError.from_exception_data(
            title,
            [
                InitErrorDetails(
                    type=PydanticCustomError("expected", "expected {expected}", {"expected": text}),
                    loc=place,
                    input=value,
                )
                for place, value, text in broken
            ],
        )

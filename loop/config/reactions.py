"""What a campaign does by itself when a measured value crosses a threshold."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from loop.config.base import Component, Name, NotNegative, Section, refuse


class When(Section):
    """When a reaction is triggered: a measured observable lies above, or below, a threshold."""

    observable: Name
    """Which observable."""
    above: float | None = None
    """It must be larger than this, in the observable's unit; either this or `below`."""
    below: float | None = None
    """It must be smaller than this, in the observable's unit."""
    significance: NotNegative = 0.0
    """How many of its own standard deviations it must lie beyond the threshold."""

    @model_validator(mode="after")
    def _one_side(self) -> Self:
        if (self.above is None) == (self.below is None):
            found = {name: value for name in ("above", "below") if (value := getattr(self, name)) is not None}
            refuse("when", [((), found, "either above or below")])
        return self


class Reaction(Section):
    """A condition, and what follows where an outcome fulfils it."""

    name: Name
    """Name of the reaction, for records and the report."""
    when: When
    """When it is triggered."""
    do: Component
    """What follows: `remeasure` (with a longer exposure), `look_around`, `note` (nothing but an alert), or
    `module:Name` for your own."""
    at_most: Annotated[int, Field(ge=1)] = 5
    """How often in a campaign it asks for points; alerts are raised beyond that, too."""

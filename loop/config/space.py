"""Where measurements may be taken: a box of continuous parameters, or a pool of recorded samples."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from loop.config.base import AxisName, Name, Section, Unit, refuse


class BoxParameter(Section):
    """One continuous parameter and the device that sets it."""

    low: float
    """Lower bound, in `unit`."""
    high: float
    """Upper bound, in `unit`."""
    unit: Unit
    """Unit of the bounds; the same as the device's."""
    device: Name
    """Which of the beamline's devices sets it."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.low < self.high:
            refuse("parameter", [(("low",), self.low, f"a number less than high ({self.high:g})")])
        return self


class BoxSpace(Section):
    """All combinations of continuous parameters between their bounds."""

    kind: Literal["box"]
    """A box: every parameter between its bounds."""
    parameters: Annotated[dict[AxisName, BoxParameter], Field(min_length=1)]
    """The parameters by name; the order is that of the model's inputs."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the model's inputs, in order."""
        return tuple(self.parameters)

    @property
    def units(self) -> dict[str, str]:
        """Unit of each."""
        return {name: parameter.unit for name, parameter in self.parameters.items()}


class Feature(Section):
    """One recorded quantity that the model sees."""

    unit: Unit
    """Unit of the recorded numbers."""
    column: str | None = None
    """Column of the table that holds it; null: the column of the same name."""
    scale: Literal["linear", "log", "rank"] = "linear"
    """What the model sees of it: the number, its logarithm, or its rank among the samples (for a feature that is
    sampled densely in some places and sparsely in others)."""


class PoolSpace(Section):
    """The recorded samples: each row of the beamline's table is one point that can be measured."""

    kind: Literal["pool"]
    """A pool: the rows of the table that the beamline replays."""
    features: Annotated[dict[AxisName, Feature], Field(min_length=1)]
    """The columns that describe a row, by name; the order is that of the model's inputs."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the model's inputs, in order."""
        return tuple(self.features)

    @property
    def units(self) -> dict[str, str]:
        """Unit of each."""
        return {name: feature.unit for name, feature in self.features.items()}

    @property
    def columns(self) -> dict[str, str]:
        """Column of the table that holds each feature."""
        return {name: feature.column or name for name, feature in self.features.items()}


Space = Annotated[BoxSpace | PoolSpace, Field(discriminator="kind")]

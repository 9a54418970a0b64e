"""What `beamloop pretrain` reads: where theory comes from, which networks learn it, where the prior goes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, JsonValue, model_validator

from loop.config.base import AxisName, Component, Name, Positive, Section, Unit, refuse
from loop.config.beamline import Instrument
from loop.config.data import Reduction
from loop.config.load import parse_as, read_text


class Bounds(Section):
    """One input of the networks."""

    low: float
    """Lower bound, in `unit`."""
    high: float
    """Upper bound, in `unit`."""
    unit: Unit
    """Unit of the bounds."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.low < self.high:
            refuse("parameter", [(("low",), self.low, f"a number less than high ({self.high:g})")])
        return self


class TableInput(Bounds):
    """One column of the table that the networks see."""

    column: str | None = None
    """Column that holds it; null: the column of the same name."""


class ScenarioSource(Section):
    """Points of a space, computed by a scenario."""

    kind: Literal["scenario"]
    """Computed by a scenario."""
    scenario: Component
    """Which one; most have the option `variant: theory`."""
    parameters: Annotated[dict[AxisName, Bounds], Field(min_length=1)]
    """All of the scenario's parameters, with the bounds that campaigns will have."""
    observables: Annotated[dict[Name, Component], Field(min_length=1)]
    """Numbers computed from each curve, as in campaign files."""
    points: Annotated[int, Field(ge=8, le=1_000_000)] = 1024
    """How many points of a Sobol sequence are computed."""
    instrument: Instrument = Instrument()
    """The camera, which gives the q of the curves."""
    reduction: Reduction = Reduction()
    """From frame to curve, as in campaign files."""


class TableSource(Section):
    """Rows of a table."""

    kind: Literal["table"]
    """A table of numbers."""
    file: Annotated[str, Field(min_length=1)]
    """Parquet or CSV file, relative to where the command runs."""
    inputs: Annotated[dict[AxisName, TableInput], Field(min_length=1)]
    """Columns that the networks see, by the names that campaigns have for them."""
    outputs: Annotated[dict[Name, str], Field(min_length=1)]
    """Name of an observable -> column that holds its values."""
    group: str | None = None
    """Column of labels: rows with the same label are judged or trained on together. Null: each row for itself."""


class PretrainConfig(Section):
    """A file for `beamloop pretrain`."""

    name: Name
    """Names the prior."""
    description: str = ""
    """What it is, for people."""
    seed: Annotated[int, Field(ge=0)]
    """Of the points, the division and the training."""
    source: Annotated[ScenarioSource | TableSource, Field(discriminator="kind")]
    """Where the theory comes from."""
    network: dict[Name, JsonValue] | None = None
    """Kind and options of the networks (`surrogates.networks`); null: the default of `surrogates.pretraining`."""
    members: Annotated[int, Field(ge=1, le=64)] = 8
    """How many networks are trained for each observable."""
    epochs: Annotated[int, Field(ge=1)] = 300
    """Passes over the data."""
    batch_size: Annotated[int, Field(ge=1)] = 256
    """Rows of a step."""
    lr: Positive = 0.01
    """Size of Adam's steps."""
    held_out: Annotated[float, Field(gt=0, lt=1)] = 0.15
    """Share of the rows that is not trained on: metrics and the prior's width come from it."""
    threads: Annotated[int, Field(ge=1, le=1024)] = 1
    """Threads that torch may use."""
    output: Annotated[str, Field(min_length=1)]
    """Path of the prior without a suffix, relative to where the command runs: what `prior` of a campaign names."""


def load_pretrain_config(path: str | Path, overrides: Sequence[str] = ()) -> PretrainConfig:
    """Read and check a file for `beamloop pretrain`; errors as of `loop.config.load_config`."""
    text = read_text(Path(path), "pretraining")
    return parse_as(PretrainConfig, text, overrides, name=str(path), what="a pretraining: name, seed, source, ...")

"""What `beamloop train saxs` reads: where the curves come from, how the classifier is trained, where it goes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, cast

from pydantic import Field

from loop.config.base import Name, Positive, Section
from loop.config.load import parse_as, read_text

Share = Annotated[float, Field(ge=0, le=1)]


class TrainingGrid(Section):
    """Bins of equal width in log q that all curves are brought to."""

    q_min: Positive = 0.003
    """First q, 1/Å."""
    q_max: Positive = 0.5
    """Last q, 1/Å."""
    points: Annotated[int, Field(ge=16, le=4096)] = 128
    """How many."""


class TrainingAugmentation(Section):
    """How training curves are changed at random."""

    thinned: Share = 0.2
    """Share that gets the noise of a shorter exposure."""
    shortest: Annotated[float, Field(gt=0, le=1)] = 0.1
    """Least share of the exposure that is left."""
    cut: Share = 0.3
    """Share that loses a part of q at both ends."""
    deepest: Annotated[float, Field(ge=0, lt=0.5)] = 0.4
    """Largest share of bins that an end loses."""


class TrainConfig(Section):
    """A file for `beamloop train saxs`."""

    name: Name
    """Names the classifier."""
    description: str = ""
    """What it is, for people."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Of the division of the data, the networks and their training."""
    data: Annotated[str, Field(min_length=1)]
    """Folder of a data set of `beamloop simulate`, relative to where the command runs."""
    unlike: str | None = None
    """Label of the data set that is no class, but curves of no physics, from which the border of the known is learnt
    (the family `irregular`). Left out: all labels are classes."""
    scale: Literal["absolute", "relative"] = "absolute"
    """relative: intensities are known up to a factor only."""
    grid: TrainingGrid = TrainingGrid()
    """Where the networks see curves."""
    members: Annotated[int, Field(ge=1, le=64)] = 3
    """How many networks."""
    channels: Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=1)] = Field([16, 32, 64])
    """Of the convolutions, each of which is followed by a pool of 2."""
    hidden: Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=1)] = Field([64])
    """Widths of the dense layers."""
    epochs: Annotated[int, Field(ge=1)] = 4
    """Passes over the data."""
    batch_size: Annotated[int, Field(ge=1)] = 64
    """Curves of a step."""
    lr: Positive = 0.01
    """Size of Adam's steps."""
    held_out: Annotated[float, Field(gt=0, lt=1)] = 0.2
    """Share of the curves that is not trained on: metrics, temperature and p-values come from it."""
    shape_presentations: Annotated[int, Field(ge=1)] = 1_500_000
    """Curves that the autoencoder of novelty sees."""
    augmentation: TrainingAugmentation = TrainingAugmentation()
    """How training curves are changed."""
    threads: Annotated[int, Field(ge=1, le=1024)] = 1
    """Threads that torch may use."""
    output: Annotated[str, Field(min_length=1)]
    """Path of the classifier without a suffix, relative to where the command runs."""


def load_train_config(path: str | Path, overrides: Sequence[str] = ()) -> TrainConfig:
    """Read and check a file for `beamloop train saxs`; errors as of `loop.config.load_config`."""
    text = read_text(Path(path), "training")
    what = "a training: name, data, output, ..."
    return cast(TrainConfig, parse_as(cast(Any, TrainConfig), text, overrides, name=str(path), what=what))

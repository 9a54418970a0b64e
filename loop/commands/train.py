"""Train the classifier of SAXS curves on a data set and write it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from loop.commands.pace import Pace
from loop.errors import BeamloopError
from loop.exitcodes import ExitCode

_MIN_STEP_S = 5.0
"""Between two lines of progress."""


def train_saxs(path: Path, overrides: Sequence[str], *, force: bool, quiet: bool) -> int:
    """Train as a file says; return the exit code."""
    from loop.config.train import load_train_config

    config = load_train_config(path, overrides)
    output = Path(config.output)
    for suffix in (".safetensors", ".json"):
        there = output.with_name(output.name + suffix)
        if there.exists() and not force:
            raise BeamloopError(f"{there}: is there already; --force replaces it, or choose another output.")
    import torch

    from simulators.datasets import Dataset
    from surrogates.saxs.augment import Augmentation
    from surrogates.saxs.curves import QGrid
    from surrogates.saxs.model import Batch, SaxsClassifier
    from surrogates.saxs.training import Training

    torch.set_num_threads(config.threads)
    data = Dataset.open(config.data)

    def batches() -> Iterator[Batch]:
        for part in data.shards():
            yield Batch(data.q, part["intensity"], part["sigma"], part["label"])

    if not quiet:
        print(f"Data set: {config.data}: {len(data):,} curves of {', '.join(data.labels)}", flush=True)
    training = Training(
        grid=QGrid(**config.grid.model_dump()),
        scale=config.scale,
        members=config.members,
        channels=tuple(config.channels),
        hidden=tuple(config.hidden),
        epochs=config.epochs,
        batch_size=config.batch_size,
        lr=config.lr,
        augmentation=Augmentation(**config.augmentation.model_dump()),
        shape_presentations=config.shape_presentations,
        held_out=config.held_out,
        seed=config.seed,
    )
    description = {
        "name": config.name,
        "description": config.description,
        "data": config.data,
        "recipe": data.recipe.name,
        "recipe_sha256": data.recipe.hash,
        "date": date.today().isoformat(),
    }
    pace = Pace(_MIN_STEP_S)

    def report(step: int, steps: int, loss: float) -> None:
        if pace.due() or step == steps:
            print(f"step {step:,} of {steps:,}: loss {loss:.3f}{pace.left(step, steps - step)}", flush=True)

    if config.unlike is not None and config.unlike not in data.labels:
        raise BeamloopError(
            f"{path}: unlike: found {config.unlike!r}, expected a label of {config.data}: {', '.join(data.labels)}."
        )
    model = SaxsClassifier.train(
        batches(),
        data.labels,
        training,
        unlike=config.unlike,
        description=description,
        progress=None if quiet else report,
    )
    model.save(output)
    if not quiet:
        _show(model.card)
        print(f"Classifier: {output}.safetensors and {output.name}.json; beamloop classify FILE... --model {output}")
    return ExitCode.DONE


def _show(card: Any) -> None:
    metrics = card["metrics"]
    print(
        f"On {metrics['curves']:,} curves held out: accuracy {metrics['accuracy']:.4f}, macro F1 "
        f"{metrics['macro_f1']:.4f}, calibration error {metrics['ece']:.4f}; {card['seconds']:.0f} s"
    )

"""Make a data set of simulated curves from a recipe."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from loop.commands.pace import Pace
from loop.exitcodes import ExitCode

_MIN_STEP_S = 2.0
"""Between two lines of progress."""


def simulate(
    path: Path, overrides: Sequence[str], *, out: Path | None, workers: int, ray: bool, force: bool, quiet: bool
) -> int:
    """Make the data set that a recipe describes; return the exit code."""
    from loop.config.load import parse_as, read_text
    from simulators.datasets import Recipe, generate

    # A recipe is a strict pydantic model like the sections of a campaign file, though not made from their base class:
    # the simulators do not know the loop.
    recipe = parse_as(
        cast(Any, Recipe),
        read_text(path, "recipe"),
        overrides,
        name=str(path),
        what="a recipe: name, seed, curves, families, ...",
    )
    recipe = cast(Recipe, recipe)
    folder = out or Path("datasets") / recipe.name
    report = _Progress()
    manifest = generate(
        recipe, folder, workers=workers, ray=ray, force=force, progress=None if quiet else report.finished
    )
    if not quiet:
        kept = f", {report.kept:,} of them there already" if report.kept else ""
        print(f"{manifest['curves']:,} curves{kept}; {report.pace.seconds:.0f} s")
        for label, (name, count) in enumerate(manifest["families"].items()):
            print(f"  {label}  {name}: {count:,}")
        print(f"Data set: {folder} (numbers: SHA-256 {manifest['data_sha256'][:16]}...)")
    return ExitCode.DONE


class _Progress:
    """What was made, and what was there before."""

    def __init__(self) -> None:
        self.pace = Pace(_MIN_STEP_S)
        self.kept = 0
        self._made = self._seen = 0

    def finished(self, curves: int, total: int, kept: bool) -> None:
        """Count a shard, and say how far we are if some time has passed."""
        step, self._seen = curves - self._seen, curves
        self.kept += step if kept else 0
        self._made += 0 if kept else step
        if curves < total and self.pace.due():
            print(f"{curves:,} of {total:,} curves{self.pace.left(self._made, total - curves)}", flush=True)

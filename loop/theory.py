"""Theory as tables of inputs and outputs: computed by a scenario, or read from a file."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loop.config.pretrain import PretrainConfig, ScenarioSource, TableSource
from loop.errors import ConfigError
from loop.wording import symbol


@dataclass(frozen=True, eq=False)
class TheoryTable:
    """What networks are pretrained on."""

    X: NDArray[np.float64]
    """``(n, d)`` physical units."""
    Y: NDArray[np.float64]
    """``(n, m)``."""
    input_names: tuple[str, ...]
    units: dict[str, str]
    low: list[float]
    high: list[float]
    output_names: tuple[str, ...]
    groups: list[str] | None
    dropped: int
    """Rows without a value of every input and output, or outside the bounds."""


def theory_table(config: PretrainConfig) -> TheoryTable:
    """Compute or read what a pretraining file names.

    Raises
    ------
    ConfigError, SimulatorError, InstrumentError
        If it cannot be had.
    """
    if isinstance(config.source, ScenarioSource):
        return _computed(config.source, config.seed)
    return _read(config.source)


def _computed(source: ScenarioSource, seed: int) -> TheoryTable:
    from loop.compose import compose
    from loop.config import CampaignConfig

    # A campaign that is never run has all that is needed: the reduction's q, the observables, a space of points.
    axes = {name: bounds.model_dump() for name, bounds in source.parameters.items()}
    sections = source.model_dump(mode="json")
    campaign = CampaignConfig.model_validate(
        {
            "name": "theory",
            "seed": seed,
            "objective": {"kind": "map", "observable": next(iter(source.observables))},
            "observables": sections["observables"],
            "space": {"kind": "box", "parameters": {k: {**axis, "device": f"set_{k}"} for k, axis in axes.items()}},
            "stopping": {"points": 8},
            "storage": {"tiled": "none"},
            "reduction": sections["reduction"],
            "beamline": {
                "kind": "simulated",
                "scenario": sections["scenario"],
                "instrument": sections["instrument"],
                "devices": {f"set_{k}": {"kind": "motor", **axis} for k, axis in axes.items()},
            },
        }
    )
    parts = compose(campaign, Path(tempfile.gettempdir()) / "beamloop-theory")
    points = parts.space.initial(source.points, seed=seed)
    values = parts.experiment.truth(points)  # type: ignore[attr-defined]
    names = tuple(axes)
    X = np.array([[float(point[name]) for name in names] for point in points])
    Y = np.column_stack([np.asarray(values[name], dtype=float) for name in source.observables])
    good = np.isfinite(Y).all(1)
    return TheoryTable(
        X[good],
        Y[good],
        names,
        {name: symbol(bounds.unit) for name, bounds in source.parameters.items()},
        [bounds.low for bounds in source.parameters.values()],
        [bounds.high for bounds in source.parameters.values()],
        tuple(source.observables),
        None,
        int((~good).sum()),
    )


def _read(source: TableSource) -> TheoryTable:
    import pandas as pd

    path = Path(source.file)
    readers: dict[str, Callable[[Path], Any]] = {".parquet": pd.read_parquet, ".csv": pd.read_csv}
    if path.suffix not in readers:
        raise ConfigError(f"source.file: found {source.file!r}, expected a file that ends in {' or '.join(readers)}.")
    try:
        table = readers[path.suffix](path)
    except (OSError, ValueError) as error:
        raise ConfigError(f"source.file: {source.file} cannot be read: {error}.") from error
    columns = {f"inputs.{name}": column.column or name for name, column in source.inputs.items()}
    columns |= {f"outputs.{name}": column for name, column in source.outputs.items()}
    if source.group is not None:
        columns["group"] = source.group
    for key, column in columns.items():
        if column not in table.columns:
            known = ", ".join(map(str, table.columns))
            raise ConfigError(f"source.{key}: found column {column!r}, expected one of {source.file}'s: {known}.")
    try:
        X = table[[columns[f"inputs.{name}"] for name in source.inputs]].to_numpy(dtype=float)
        Y = table[[columns[f"outputs.{name}"] for name in source.outputs]].to_numpy(dtype=float)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"source: expected columns of numbers in {source.file}: {error}.") from error
    low = np.array([column.low for column in source.inputs.values()])
    high = np.array([column.high for column in source.inputs.values()])
    inside = (low <= X) & (high >= X)
    good = np.isfinite(X).all(1) & np.isfinite(Y).all(1) & inside.all(1)
    groups = None if source.group is None else [str(label) for label in table[source.group].to_numpy()[good]]
    return TheoryTable(
        X[good],
        Y[good],
        tuple(source.inputs),
        {name: symbol(column.unit) for name, column in source.inputs.items()},
        low.tolist(),
        high.tolist(),
        tuple(source.outputs),
        groups,
        int((~good).sum()),
    )

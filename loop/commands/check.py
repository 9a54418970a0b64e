"""Check a campaign file without measuring anything, and say what it would do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from loop.exitcodes import ExitCode

if TYPE_CHECKING:
    from loop.config import CampaignConfig
    from loop.config.base import Component


def check(path: Path, overrides: Sequence[str]) -> int:
    """Validate, build every object, check that the devices reach the space; print a table of what would run."""
    from loop.config import config_hash, load_config

    config = load_config(path, overrides)
    from loop.run import check_campaign

    findings = check_campaign(config)
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(f"{path}: {config.name}"), title_justify="left", show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for key, value in summary(config):
        table.add_row(key, Text(value))
    table.add_row("config hash", config_hash(config)[:12])
    console = Console()
    console.print(table)
    for finding in findings:
        console.print(Text(f"✓ {finding}"))
    console.print("Ready to run.")
    return ExitCode.DONE


def summary(config: CampaignConfig) -> Iterator[tuple[str, str]]:
    """Say in a few lines what a campaign would do."""
    if config.description:
        yield "description", " ".join(config.description.split())
    objective = config.objective
    goal = {"map": "map", "optimise": getattr(objective, "direction", ""), "target": "minimise the distance"}
    yield "objective", f"{goal[objective.kind]} {objective.observable}"
    for name, observable in config.observables.items():
        yield f"observable {name}", _component(observable)
    if config.space.kind == "box":
        for name, axis in config.space.parameters.items():
            yield f"parameter {name}", f"{axis.low:g} to {axis.high:g} {axis.unit}, set by {axis.device}"
    else:
        features = ", ".join(f"{name} ({feature.unit})" for name, feature in config.space.features.items())
        yield "pool", f"recorded samples, described by {features}"
    if config.beamline.kind == "simulated":
        yield "beamline", f"simulated, scenario {_component(config.beamline.scenario)}"
        for name, device in config.beamline.devices.items():
            yield f"device {name}", f"{device.kind}, {device.low:g} to {device.high:g} {device.unit}"
    else:
        rows = "".join(f", {column} = {value}" for column, value in config.beamline.where.items())
        yield "beamline", f"replay of {config.beamline.data}{rows}"
    yield "surrogate", _component(config.surrogate)
    yield "acquisition", _component(config.acquisition)
    ends = [f"{config.stopping.points} points"] if config.stopping.points else []
    ends += [f"{config.stopping.minutes:g} min"] if config.stopping.minutes else []
    ends += [_component(rule) for rule in config.stopping.rules]
    yield "points", f"{config.initial.points} initial; ends at {' or '.join(ends)}"
    for reaction in config.reactions:
        when = reaction.when
        side = f"above {when.above:g}" if when.above is not None else f"below {when.below:g}"
        yield f"reaction {reaction.name}", f"{when.observable} {side}: {_component(reaction.do)}"
    measurement = config.measurement
    yield (
        "measurement",
        f"{measurement.exposure_s:g} s, up to {measurement.attempts} attempts; pauses after "
        f"{measurement.failures_in_a_row} failures in a row",
    )
    yield "records", f"below {config.storage.folder}, Tiled: {config.storage.tiled}"
    yield "seed", str(config.seed)


def _component(component: Component) -> str:
    options = ", ".join(f"{name} = {value}" for name, value in component.options.items())
    return f"{component.kind} ({options})" if options else component.kind

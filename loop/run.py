"""Running, resuming, checking and reporting a campaign: what the commands do."""

from __future__ import annotations

import os
import sys
import uuid
from dataclasses import dataclass
from pathlib import Path

import torch

from loop.catalogue import Feeder
from loop.compose import Parts, compose
from loop.config import CampaignConfig, parse_config, to_json
from loop.driver import drive, logging_to, terminated_pauses
from loop.engine import Campaign
from loop.errors import JournalError
from loop.executor import run_engine
from loop.exitcodes import ExitCode
from loop.history import History, close_unfinished, read_history
from loop.journal import CONFIG_NAME, FILE_NAME, TORN_NAME, Journal, read_documents
from loop.modelerror import ModelError
from loop.priors import keep_prior
from loop.progress import Header, make_progress
from loop.provenance import metadata
from loop.records import Point
from loop.space import PoolSpace
from loop.warmup import warm_up
from loop.wording import symbol

REPORT_FOLDER = "report"
MIN_FREE_BYTES = 100 * 1024 * 1024
"""Below this much free space no exposure begins."""


@dataclass(frozen=True)
class CampaignResult:
    """How a command's campaign ended."""

    folder: Path
    stop_reason: str
    exit_code: ExitCode


def run_campaign(config: CampaignConfig, folder: Path, *, progress: bool = True) -> CampaignResult:
    """Run a campaign from its beginning to its end, or until it pauses.

    Parameters
    ----------
    config
        The checked campaign file.
    folder
        The campaign's folder; made if it is missing.
    progress
        Whether to say how it goes.

    Raises
    ------
    JournalError
        If the folder holds a campaign already.
    """
    if (folder / FILE_NAME).exists():
        raise JournalError(f"{folder}: there is a campaign here already. To go on with it: beamloop resume {folder}")
    parts = _build(config, folder)  # what cannot be built leaves no folder behind
    folder.mkdir(parents=True, exist_ok=True)
    if config.surrogate.prior is not None:
        keep_prior(config.surrogate.prior, folder)
    _write(folder / CONFIG_NAME, to_json(config))
    return _execute(parts, folder, progress=progress)


def resume_campaign(folder: Path, *, progress: bool = True) -> CampaignResult:
    """Go on with a campaign, whatever ended its process."""
    return _execute(_build(_config_of(folder), folder), folder, progress=progress)


def check_campaign(config: CampaignConfig, folder: Path = Path()) -> list[str]:
    """Build everything and ask the devices whether they reach the whole space; return what was found, in words."""
    parts = _build(config, folder)
    warm_up(parts.new_agent(), ModelError(parts.experiment, is_map=config.objective.kind == "map"))
    points = _extremes(parts)
    return [
        f"{len(parts.experiment.observables)} observable(s): {', '.join(parts.experiment.observables)}",
        f"surrogate and acquisition can be built ({config.surrogate.kind}, {config.acquisition.kind})",
        f"the devices reach all {len(points)} {'samples' if config.space.kind == 'pool' else 'corners of the space'}",
    ]


def write_report(folder: Path) -> Path:
    """Write the report of a campaign, finished or not; return its path."""
    from loop.findings import analyse
    from loop.report import write_report as write

    config = _config_of(folder)
    _configure(config)
    history = read_history(read_documents(folder), notes=_notes(folder))
    parts = compose(config, folder)
    if history.preparation:
        parts.experiment.restore(history.preparation)
    findings = analyse(
        history,
        agent_factory=parts.new_agent,
        experiment=parts.experiment,
        repeats=config.report.baseline_repeats,
        seed=config.seed,
    )
    return write(findings, history, folder / REPORT_FOLDER)


def _build(config: CampaignConfig, folder: Path) -> Parts:
    """Build everything, and ask the devices whether they reach the whole space."""
    _configure(config)
    parts = compose(config, folder)
    parts.experiment.check(_extremes(parts))
    return parts


def _execute(parts: Parts, folder: Path, *, progress: bool) -> CampaignResult:
    config = parts.config
    with Journal(folder) as journal, logging_to(folder):
        history = _history(folder, journal)
        display = make_progress("auto" if progress else "none")
        error = ModelError(parts.experiment, is_map=config.objective.kind == "map")
        campaign = Campaign(
            parts.new_agent(),
            parts.experiment,
            parts.stopping,
            metadata=metadata(config, parts.experiment, folder),
            attempts=config.measurement.attempts,
            failures_in_a_row=config.measurement.failures_in_a_row,
            progress=display,
            guards=(lambda: _space_left(journal),),
            model_error=error,
            history=history,
            reactions=parts.reactions,
            exposure_s=parts.exposure_s,
        )
        display.started(_header(config, parts, history, folder, error.name))
        for note in _notes(folder):
            display.note(note)
        warm_up(parts.new_agent(), error)
        feeder = None if config.storage.tiled == "none" else Feeder(folder, config.storage.tiled)
        try:
            with run_engine(journal) as engine, terminated_pauses(engine):
                code, reason = drive(engine, campaign)
        except BaseException as failure:
            display.ended(f"failed: {failure}")
            if feeder:
                feeder.finish(timeout_s=10)
            raise
        ended = read_history(read_documents(folder))
        display.ended(reason, _summary(ended))
    if feeder and (trouble := feeder.finish()):
        print(trouble, file=sys.stderr)
    return CampaignResult(folder, reason, code)


def _history(folder: Path, journal: Journal) -> History | None:
    """Read back what an earlier process left, and close what it left open."""
    documents = list(read_documents(folder))
    for name, doc in close_unfinished(documents):
        journal(name, doc)
        documents.append((name, doc))
    if not any(name == "start" and doc.get("purpose") == "decisions" for name, doc in documents):
        return None
    return read_history(documents)


def _notes(folder: Path) -> list[str]:
    torn = folder / TORN_NAME
    if not torn.exists():
        return []
    return [f"A half-written line that a killed process left in the journal was set aside in {torn}."]


def _config_of(folder: Path) -> CampaignConfig:
    path = folder / CONFIG_NAME
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise JournalError(
            f"{folder}: no campaign here: expected {CONFIG_NAME} ({error.strerror}). Name the campaign's folder."
        ) from None
    return parse_config(text, name=str(path))


def _configure(config: CampaignConfig) -> None:
    torch.set_num_threads(config.threads)


def _header(config: CampaignConfig, parts: Parts, history: History | None, folder: Path, error_name: str) -> Header:
    objective = config.objective
    unit = parts.experiment.describe().get("observables", {}).get(objective.observable, {}).get("unit", "")
    verb = "map of" if objective.kind == "map" else "minimise" if objective.kind == "target" else objective.direction
    return Header(
        campaign=config.name,
        objective=f"{verb} {objective.observable}",
        observable=objective.observable,
        observable_unit=symbol(unit),
        parameter_units=dict(zip(parts.space.names, parts.space.units, strict=True)),
        seed=config.seed,
        budget=config.stopping.points,
        elapsed_s=history.elapsed_s if history else 0.0,
        error_name=error_name,
        error_unit=symbol(unit),
        folder=str(folder),
    )


def _extremes(parts: Parts) -> list[Point]:
    """Points that show whether the devices reach the space: all corners of a box, all samples of a pool."""
    space = parts.space
    if isinstance(space, PoolSpace):
        return [space.at(row) for row in range(len(space))]
    d = len(space.names)
    corners = torch.cartesian_prod(*[torch.tensor([0.0, 1.0], dtype=torch.float64)] * d).reshape(-1, d)
    return space.decode(corners[: 2**12])


def _space_left(journal: Journal) -> str | None:
    free = journal.free_bytes()
    if free < MIN_FREE_BYTES or (journal.low_space and not journal.restore_reserve()):
        return (
            f"only {free / 2**20:.0f} MiB are left on the disk of {journal.folder}, "
            f"{MIN_FREE_BYTES / 2**20:.0f} MiB are needed. Nothing is lost; free some space, then go on."
        )
    return None


def _summary(history: History) -> dict[str, object]:
    elapsed = max(history.elapsed_s, 1e-9)
    return {
        "points": len(history.steps),
        "measured": len(history.measured),
        "elapsed_s": round(elapsed, 1),
        "idle_s": round(history.idle_s, 2),
        "idle_fraction": round(history.idle_s / elapsed, 4),
    }


def _write(path: Path, text: str) -> None:
    """Write a file so that it is there whole or not at all."""
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)

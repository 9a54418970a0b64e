"""Running, resuming, checking and reporting a campaign: what the commands do."""

from __future__ import annotations

import importlib.metadata
import logging
import os
import platform
import signal
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from bluesky import RunEngine
from bluesky.utils import RunEngineInterrupted

from loop.catalogue import Feeder
from loop.compose import Parts, compose
from loop.config import CampaignConfig, config_hash, parse_config, to_json
from loop.engine import Campaign
from loop.errors import JournalError
from loop.executor import run_engine
from loop.exitcodes import ExitCode
from loop.history import History, close_unfinished, read_history
from loop.journal import FILE_NAME, TORN_NAME, Journal, read_documents
from loop.metrics import rmse
from loop.progress import Header, Progress, make_progress
from loop.protocols import KnowsTruth
from loop.records import Point

CONFIG_NAME = "campaign.json"
LOG_NAME = "campaign.log"
REPORT_FOLDER = "report"
MIN_FREE_BYTES = 100 * 1024 * 1024
"""Below this much free space no exposure begins."""
_PACKAGES = (
    "beamloop", "bluesky", "ophyd", "event-model", "tiled", "torch", "botorch", "gpytorch", "pyro-ppl", "pyFAI",
    "pymatgen", "numpy", "scipy",
)  # fmt: skip


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
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / CONFIG_NAME, to_json(config))
    return _execute(config, folder, progress=progress)


def resume_campaign(folder: Path, *, progress: bool = True) -> CampaignResult:
    """Go on with a campaign, whatever ended its process."""
    return _execute(_config_of(folder), folder, progress=progress)


def check_campaign(config: CampaignConfig, folder: Path = Path()) -> list[str]:
    """Build everything and ask the devices whether they reach the whole space; return what was found, in words."""
    parts = compose(config, folder)
    points = _extremes(parts)
    parts.experiment.check(points)
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


def _execute(config: CampaignConfig, folder: Path, *, progress: bool) -> CampaignResult:
    _configure(config)
    parts = compose(config, folder)
    parts.experiment.check(_extremes(parts))
    with Journal(folder) as journal, _logging(folder):
        history = _history(folder, journal)
        display = make_progress("auto" if progress else "none")
        campaign = Campaign(
            parts.new_agent(),
            parts.experiment,
            parts.stopping,
            metadata=_metadata(config, parts),
            attempts=config.measurement.attempts,
            failures_in_a_row=config.measurement.failures_in_a_row,
            progress=display,
            guards=(lambda: _space_left(journal),),
            model_error=_ModelError(parts),
            history=history,
        )
        display.started(_header(config, parts, history, folder))
        for note in _notes(folder):
            display.note(note)
        feeder = None if config.storage.tiled == "none" else Feeder(folder, config.storage.tiled)
        try:
            with run_engine(journal) as engine, _terminated_pauses(engine):
                code, reason = _drive(engine, campaign, display)
        except BaseException as error:
            display.ended(f"failed: {error}")
            if feeder:
                feeder.finish(timeout_s=10)
            raise
        ended = read_history(read_documents(folder))
        display.ended(reason, _summary(ended))
    if feeder and (trouble := feeder.finish()):
        print(trouble, file=sys.stderr)
    return CampaignResult(folder, reason, code)


def _drive(engine: RunEngine, campaign: Campaign, display: Progress) -> tuple[ExitCode, str]:
    """Execute the plan; whenever it pauses, ask the person at the terminal, if there is one."""
    reasons: list[str] = []
    paused, display.paused = display.paused, lambda why: (reasons.append(why), paused(why))[1]  # type: ignore[method-assign]
    go: Callable[[], Any] = lambda: engine(campaign.plan())  # noqa: E731
    while True:
        try:
            return ExitCode.DONE, go().plan_result
        except RunEngineInterrupted:
            if engine.state != "paused":
                return ExitCode.STOPPED, "stopped"
            why = reasons.pop() if reasons else "paused by a person"
            answer = _ask(why)
            if answer == "c":
                go = engine.resume
                continue
            engine.abort(why)
            return (ExitCode.STOPPED if answer == "s" else ExitCode.PAUSED), why


def _ask(why: str) -> str:
    """Ask what to do with a paused campaign: c continue, s stop, l leave it paused for a later resume."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return "l"
    print(f"\nPaused: {why}")
    while True:
        try:
            answer = input("[c]ontinue, [s]top (a later `beamloop resume` goes on): ").strip().lower()[:1]
        except (EOFError, KeyboardInterrupt):
            return "s"
        if answer in ("c", "s"):
            return answer


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
    if config.threads:
        torch.set_num_threads(config.threads)


def _metadata(config: CampaignConfig, parts: Parts) -> dict[str, Any]:
    return {
        "campaign": config.name,
        "seed": config.seed,
        "config_hash": config_hash(config),
        "versions": {"python": platform.python_version(), **{p: importlib.metadata.version(p) for p in _PACKAGES}},
        "config": config.model_dump(mode="json"),
        "experiment": dict(parts.experiment.describe()),
        "observables": list(parts.experiment.observables),
    }


def _header(config: CampaignConfig, parts: Parts, history: History | None, folder: Path) -> Header:
    objective = config.objective
    unit = parts.experiment.describe().get("observables", {}).get(objective.observable, {}).get("unit", "")
    verb = {"map": "map of", "target": "minimise"}.get(objective.kind) or objective.direction  # type: ignore[union-attr]
    known = isinstance(parts.experiment, KnowsTruth)
    return Header(
        campaign=config.name,
        objective=f"{verb} {objective.observable}",
        observable=objective.observable,
        observable_unit=unit,
        parameter_units=dict(zip(parts.space.names, parts.space.units, strict=True)),
        seed=config.seed,
        budget=config.stopping.points,
        elapsed_s=history.elapsed_s if history else 0.0,
        error_name="map RMSE" if known and objective.kind == "map" else "mean predictive sd",
        error_unit=unit,
        folder=str(folder),
    )


class _ModelError:
    """Error of the current model: RMSE against the truth where it is known and the goal is a map, else the mean sd."""

    def __init__(self, parts: Parts, n: int = 400) -> None:
        self._parts = parts
        self._n = n
        self._points: list[Point] | None = None
        self._truth: np.ndarray | None = None

    def __call__(self, agent: Any) -> float | None:
        if len(agent.measured) < max(2, agent.n_initial - 1):
            return None
        space, experiment = self._parts.space, self._parts.experiment
        name = agent.observables[0]
        if self._points is None:
            size = self._n if space.candidates is None else min(self._n, len(space.candidates))
            self._points = space.random(size, seed=0)
            if isinstance(experiment, KnowsTruth) and self._parts.config.objective.kind == "map":
                self._truth = np.asarray(experiment.truth(self._points)[name])
        predictions = agent.predict(self._points)
        if self._truth is None:
            return float(np.mean([p.sd[name] for p in predictions]))
        known = np.isfinite(self._truth)
        mean = np.array([p.mean[name] for p in predictions])
        return float(rmse(self._truth[known], mean[known]))


def _extremes(parts: Parts) -> list[Point]:
    """Points that show whether the devices reach the space: all corners of a box, all samples of a pool."""
    space = parts.space
    if space.candidates is not None:
        return [space.at(row) for row in range(len(space))]  # type: ignore[union-attr]
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


@contextmanager
def _terminated_pauses(engine: RunEngine) -> Iterator[None]:
    """Make SIGTERM pause the campaign at the next safe place instead of killing it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(
        signal.SIGTERM, lambda *_: threading.Thread(target=engine.request_pause, args=(True,), daemon=True).start()
    )
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _logging(folder: Path) -> Iterator[None]:
    """Send the log of Bluesky and Ophyd, tracebacks included, to the campaign's log instead of the terminal."""
    handler = logging.FileHandler(folder / LOG_NAME, delay=True)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    loggers = [logging.getLogger(name) for name in ("bluesky", "ophyd", "loop")]
    before = [logger.propagate for logger in loggers]
    for logger in loggers:
        logger.addHandler(handler)
        logger.propagate = False
    try:
        yield
    finally:
        for logger, propagate in zip(loggers, before, strict=True):
            logger.removeHandler(handler)
            logger.propagate = propagate
        handler.close()


def _write(path: Path, text: str) -> None:
    """Write a file so that it is there whole or not at all."""
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)

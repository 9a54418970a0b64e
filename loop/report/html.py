"""One self-contained HTML file, its figures inside and beside it."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jinja2
import yaml

from loop.findings.alerts import AlertRow
from loop.findings.records import Findings, PointRow
from loop.history import History
from loop.records import Origin, Status
from loop.report.figures import figures
from loop.report.style import Picture
from loop.wording import duration, label, number, percent, quantity, with_error

REPORT_NAME = "report.html"
FINDINGS_NAME = "findings.json"
_SHOWN = 4
"""Parameters in the table of points; a phone shows no more."""


def write_report(findings: Findings, history: History, folder: Path) -> Path:
    """Write the report of a campaign.

    Parameters
    ----------
    findings
        What `loop.findings.analyse` says.
    history
        The campaign, for its configuration and provenance.
    folder
        Where to; made if it is missing. Gets ``report.html``, one PNG per figure and the findings as JSON.

    Returns
    -------
    Path
        Of ``report.html``, which needs none of the other files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    pictures, remarks = figures(findings)
    written = {f"{p.name}.png" for part in pictures.values() for p in part}
    for stale in folder.glob("*.png"):
        if stale.name not in written:
            stale.unlink()
    for part in pictures.values():
        for picture in part:
            (folder / f"{picture.name}.png").write_bytes(picture.png)
    (folder / FINDINGS_NAME).write_text(json.dumps(findings.to_json()), encoding="utf-8")
    path = folder / REPORT_NAME
    path.write_text(_page(findings, history, pictures, remarks), encoding="utf-8")
    return path


def _page(
    findings: Findings, history: History, pictures: Mapping[str, Sequence[Picture]], remarks: Sequence[str]
) -> str:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("loop.report", ""),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    template = environment.get_template("report.html.j2")
    return template.render(
        title=findings.setting.campaign,
        objective=findings.setting.objective,
        observable=findings.setting.description,
        description=str(history.config.get("description") or ""),
        stopped=history.stop_reason or "not finished",
        started=_when(history.started),
        tiles=_tiles(findings),
        verdicts=findings.verdicts,
        remarks=[*findings.remarks, *remarks, *history.notes],
        pictures={name: [_figure(p) for p in part] for name, part in pictures.items()},
        columns=_columns(findings),
        rows=[_row(row, findings) for row in findings.points],
        alerts=[_alert(alert) for alert in findings.alerts],
        timings=_timings(findings),
        provenance=_provenance(findings, history),
        config=yaml.safe_dump(_jsonable(history.config), sort_keys=False, allow_unicode=True),
        instrument=yaml.safe_dump(_jsonable(findings.instrument), sort_keys=False, allow_unicode=True),
    )


def _figure(picture: Picture) -> dict[str, Any]:
    data = base64.b64encode(picture.png).decode("ascii")
    return {
        "name": picture.name,
        "caption": picture.caption,
        "uri": f"data:image/png;base64,{data}",
        "wide": picture.wide,
    }


def _tiles(findings: Findings) -> list[tuple[str, str, str]]:
    """Headline numbers: value, what it is, and a hint."""
    setting, timings = findings.setting, findings.timings
    lost = sum(findings.count(s) for s in (Status.REJECTED, Status.FAILED, Status.ABANDONED))
    tiles = [(str(findings.count(Status.MEASURED)), "points measured", f"{lost} refused or failed" if lost else "")]
    search, reference, learning = findings.search, findings.reference, findings.learning
    if search is not None:
        value = quantity(with_error(search.best_measured, search.best_measured_sd), setting.unit)
        tiles.append((value, f"best {label(setting.observable)}", "as measured"))
        if search.random_reached is not None:
            reached = "–" if search.reached_at is None else str(search.reached_at)
            hint = f"random order: {search.random_reached[1]:.0f}"
            tiles.append((reached, f"points to the best {percent(search.top)}", hint))
    elif reference is not None and reference.rmse is not None:
        spread = reference.truth_spread
        hint = f"{percent(reference.rmse / spread)} of the spread" if spread else ""
        tiles.append((quantity(number(reference.rmse, 3), setting.unit), "map error (RMSE)", hint))
    if learning is not None and learning.reached_at is not None:
        total = int(learning.budgets[-1])
        tiles.append(
            (percent(learning.reached_at / total), "of random's measurements", "for random sampling's final error")
        )
    calibration = findings.calibration
    if calibration is not None:
        low, high = calibration.interval[-1]
        tiles.append(
            (percent(calibration.coverage[-1]), "inside the 95 % interval", f"{percent(low)} to {percent(high)}")
        )
    tiles.append((percent(timings.idle_fraction), "beam idle", "waiting for decisions"))
    tiles.append((duration(timings.elapsed_s), "in all", ""))
    return tiles


def _columns(findings: Findings) -> list[str]:
    setting = findings.setting
    parameters = [label(n, setting.parameter_units.get(n, "")) for n in setting.parameters[:_SHOWN]]
    name = label(setting.observable, setting.unit)
    truth = ["truth"] if any(row.truth is not None for row in findings.points) else []
    return ["#", *_identity(findings), *parameters, f"predicted {name}", f"measured {name}", "pull", *truth, "status"]


def _row(row: PointRow, findings: Findings) -> dict[str, Any]:
    known = any(r.truth is not None for r in findings.points)
    names = findings.setting.parameters[:_SHOWN]
    status = "in flight" if row.status is None else str(row.status)
    notes = [row.reason] if row.reason else []
    if row.attempts > 1:
        notes.append(f"{row.attempts} attempts")
    if row.origin is Origin.MANUAL:
        notes.append("asked for by a person")
    if row.origin is Origin.REACTION:
        notes.append(f"follows point {row.follows} ({label(row.reaction)})")
    if row.exposure_s is not None:
        notes.append(f"exposed {duration(row.exposure_s)}")
    return {
        "status": status,
        "note": "; ".join(notes),
        "surprising": row.pull is not None and abs(row.pull) > 3,
        "cells": [
            str(row.iteration),
            *(str(row.point.get(n, "")) for n in _identity(findings)),
            *(number(row.point.get(n), strip=False) for n in names),
            str(row.origin) if row.predicted is None else with_error(row.predicted, row.predicted_sd),
            with_error(row.measured, row.measured_sd),
            "" if row.pull is None else f"{row.pull:+.1f}".replace("-", "−"),
            *([number(row.truth, 3, strip=False)] if known else []),
        ],
    }


def _alert(alert: AlertRow) -> list[str]:
    followed = ", ".join(map(str, alert.followed))
    left = alert.asked - len(alert.followed)
    if left:
        followed = f"{followed}; " if followed else ""
        followed += f"{left} not taken: the campaign was over, or they were not free any more"
    return [
        str(alert.iteration),
        label(alert.observable),
        quantity(with_error(alert.value, alert.sd), alert.unit),
        f"{alert.side} {number(alert.threshold)}",
        label(alert.reaction),
        followed,
    ]


def _identity(findings: Findings) -> list[str]:
    """Keys by which a pool's points are known, besides their features."""
    names = dict.fromkeys(name for row in findings.points for name in row.point)
    return [name for name in names if name not in findings.setting.parameters][:1]


def _timings(findings: Findings) -> list[tuple[str, str, str]]:
    timings = findings.timings

    def share(seconds: float) -> str:
        return percent(seconds / timings.elapsed_s) if timings.elapsed_s > 0 else ""

    lines = [
        ("preparation (background, shutters)", duration(timings.preparation_s), share(timings.preparation_s)),
        ("measuring (travel, exposure, read-out)", duration(timings.measuring_s), share(timings.measuring_s)),
        ("beam waiting for a decision", duration(timings.idle_s), share(timings.idle_s)),
        ("everything else (reduction, recording, pauses)", duration(timings.other_s), share(timings.other_s)),
        ("whole campaign", duration(timings.elapsed_s), ""),
    ]
    if timings.decisions is not None:
        median, high, worst = timings.decisions
        lines.append(
            ("one decision: median", duration(median), f"90th percentile {duration(high)}, at most {duration(worst)}")
        )
    return lines


def _provenance(findings: Findings, history: History) -> list[tuple[str, str]]:
    metadata = history.metadata
    lines = [
        ("campaign", history.name),
        ("started", _when(history.started)),
        ("seed", str(metadata.get("seed", history.config.get("seed", "–")))),
        ("configuration hash", str(metadata.get("config_hash", "–"))),
        ("frames taken", str(history.frames)),
    ]
    versions = metadata.get("versions")
    if isinstance(versions, Mapping):
        lines.append(("software", ", ".join(f"{name} {version}" for name, version in versions.items())))
    for key in ("data_source", "citation", "licence", "doi"):
        for place, value in _find(findings.instrument, key):
            lines.append((place, value))
    return lines


def _find(value: Any, key: str, place: str = "") -> list[tuple[str, str]]:
    """All texts under `key`, however deep."""
    found = []
    if isinstance(value, Mapping):
        for name, inner in value.items():
            path = f"{place} {name}".strip()
            if name == key and isinstance(inner, str) and inner:
                found.append((label(path), inner))
            else:
                found.extend(_find(inner, key, path))
    return found


def _when(timestamp: float) -> str:
    return f"{datetime.fromtimestamp(timestamp, tz=UTC):%Y-%m-%d %H:%M:%S} UTC" if timestamp > 0 else "–"


def _jsonable(value: Any) -> Any:
    """Plain containers only, so that `yaml.safe_dump` accepts them."""
    return json.loads(json.dumps(value, default=str))

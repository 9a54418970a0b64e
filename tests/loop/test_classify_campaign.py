"""`beamloop classify` of a campaign's folder: every measured point's curve, as the campaign reduced it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from loop.cli import app
from loop.commands.classify_campaign import CampaignCurves, read_campaign
from loop.commands.classify_inputs import Input, Reading
from loop.compose import compose
from loop.config import parse_config
from loop.errors import BeamloopError
from loop.history import History, Step, read_history
from loop.journal import CONFIG_NAME, FILE_NAME, read_documents
from loop.records import Observation, Origin, Status, Suggestion
from loop.run import run_campaign

CONFIG = """\
name: small
seed: 3
objective: {kind: map, observable: band}
observables: {band: {kind: band, options: {q_min: 0.015, q_max: 0.05}}}
space:
  kind: box
  parameters:
    anneal_temperature: {low: 300, high: 700, unit: degC, device: temperature}
    x: {low: -20, high: 20, unit: mm, device: sample_x}
surrogate: {kind: gp}
initial: {points: 3}
stopping: {points: 3}
threads: 1
measurement: {exposure_s: 0.2}
reduction: {n_bins: 60}
beamline:
  kind: simulated
  time_scale: 0.0
  background_frames: 2
  scenario: {kind: annealing}
  instrument: {shape: [120, 100], beam_centre_px: [15.2, 12.7], pixel_mm: 0.6, module_rows: 50, gap_px: 4}
  devices:
    temperature: {kind: temperature_stage, low: 20, high: 900, unit: degC, ramp_rate: 1000, start: 300}
    sample_x: {kind: motor, low: -25, high: 25, unit: mm, velocity: 50, start: 0}
quality: {q_low: 0.015, q_high: 0.1, min_points: 15}
storage: {tiled: none}
"""


@pytest.fixture(scope="module")
def campaign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished campaign of three points, at another place than where it ran."""
    folder = tmp_path_factory.mktemp("campaign") / "first"
    run_campaign(parse_config(CONFIG, name="test"), folder, progress=False)
    return folder.rename(folder.with_name("moved"))


@pytest.fixture(scope="module")
def history(campaign: Path) -> History:
    return read_history(read_documents(campaign))


def curves(history: History, folder: Path, **reading: Any) -> tuple[list[Input], list[str]]:
    return CampaignCurves(history, folder, "c", Reading(**reading)).read()


def test_curves_are_those_of_the_campaign(campaign: Path, history: History) -> None:
    experiment = compose(parse_config(CONFIG, name="test"), campaign).experiment
    experiment.restore(history.preparation)
    inputs, refused = read_campaign(campaign, Reading())
    assert refused == []
    for item, step in zip(inputs, history.steps, strict=True):
        curve = experiment.evaluate(step.runs[-1]).curve
        assert curve is not None
        for name in ("q", "intensity", "sigma"):
            np.testing.assert_array_equal(getattr(item.read.curve, name), getattr(curve, name))
        assert item.origin["suggestion_id"] == step.suggestion.id
        assert item.origin["point"] == step.suggestion.point
        assert item.label.startswith(f"{step.suggestion.id} anneal_temperature=")


def test_the_command_has_a_row_for_each_point(campaign: Path, toy: SimpleNamespace) -> None:
    result = CliRunner().invoke(app, ["classify", str(campaign), "--model", str(toy.path), "--json"])
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)["curves"]
    assert [curve["iteration"] for curve in found] == [0, 1, 2]
    assert {curve["campaign"] for curve in found} == {"small"}
    assert all(set(curve["point"]) == {"anneal_temperature", "x"} for curve in found)
    assert all(abs(sum(curve["probabilities"].values()) - 1) < 1e-5 for curve in found)
    table = CliRunner().invoke(app, ["classify", str(campaign), "--model", str(toy.path)]).stdout
    assert all(curve["suggestion_id"] in table for curve in found)


def test_what_reduction_does_not_need_may_be_missing(campaign: Path, history: History) -> None:
    config = {
        **history.config,
        "surrogate": {"kind": "nowhere:Model", "prior": "gone"},
        "acquisition": {"kind": "nowhere:Best"},
        "observables": {"band": {"kind": "nowhere:Observable"}},
    }
    inputs, refused = curves(replace(history, config=config), campaign)
    assert (len(inputs), refused) == (3, [])


def test_a_campaign_from_python_says_what_to_do(campaign: Path, history: History) -> None:
    with pytest.raises(BeamloopError, match="frames and no campaign file"):
        curves(replace(history, config={}), campaign)


def test_a_frame_that_is_gone_costs_its_point_only(campaign: Path, history: History, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(campaign, tmp_path / "c")
    (tmp_path / "c" / "frames" / "frame_000001.h5").unlink()
    inputs, refused = read_campaign(tmp_path / "c", Reading())
    assert [item.origin["iteration"] for item in inputs] == [0, 2]
    (line,) = refused
    assert line.startswith(
        f"{tmp_path / 'c'}: point 1 ({history.steps[1].suggestion.id}): has no curve: the frame's file"
    )


Q = np.geomspace(0.05, 2, 20)


def recorded(name: str = "curve", **event: Any) -> Step:
    """A point whose run holds the curve itself."""
    data = {f"{name}_q": list(Q), f"{name}_intensity": list(Q**-2), f"{name}_sigma": list(0.1 * Q), **event}
    run = (
        ("start", {"uid": "r"}),
        (
            "descriptor",
            {"uid": "d", "run_start": "r", "name": "primary", "data_keys": {f"{name}_q": {"units": "1/nm"}}},
        ),
        ("event", {"descriptor": "d", "data": data}),
    )
    suggestion = Suggestion("0007-abc", 7, {"sample": "A"}, Origin.INITIAL)
    return Step(suggestion, Observation("0007-abc", suggestion.point, Status.REJECTED, reason="too dim"), (run,))


def test_curves_in_the_documents_are_taken_as_they_are(history: History, tmp_path: Path) -> None:
    # No campaign file: nothing has to be built.
    own = replace(history, config={}, steps=(recorded(), replace(recorded(), runs=())))
    (item,), refused = curves(own, tmp_path)
    assert refused == []
    np.testing.assert_allclose(item.read.curve.q, Q / 10)
    np.testing.assert_allclose(item.read.curve.sigma, 0.1 * Q)
    assert item.read.notes == ("q converted from 1/nm to 1/Å", "rejected in the campaign: too dim")
    assert item.label == "0007-abc sample=A"
    own = replace(own, steps=(recorded(a=list(Q), b=list(Q)),))
    (item,), _ = curves(own, tmp_path, columns=("a", "b"))
    np.testing.assert_allclose(item.read.curve.q, Q)
    assert "has no column 'z'" in curves(own, tmp_path, columns=("a", "z"))[1][0]


def test_bad_rows_name_the_point(history: History, tmp_path: Path) -> None:
    own = replace(history, steps=(recorded(curve_sigma=[1.0, 0.0, *[1.0] * 18]),))
    inputs, (line,) = curves(own, tmp_path)
    assert inputs == []
    assert line.startswith("c: point 7 (0007-abc): row 2: the error bar must be greater than 0, got 0")
    assert len(curves(own, tmp_path, skip_bad_rows=True)[0]) == 1


def test_a_campaign_without_a_measurement_and_one_without_a_journal(
    campaign: Path, tmp_path: Path, toy: SimpleNamespace
) -> None:
    for name in ("new", "empty"):
        (tmp_path / name).mkdir()
        (tmp_path / name / CONFIG_NAME).write_text("{}")
    lines = (campaign / FILE_NAME).read_text().splitlines(keepends=True)
    (tmp_path / "new" / FILE_NAME).write_text("".join(lines[:2]))
    arguments = ["classify", str(tmp_path / "new"), str(tmp_path / "empty"), "--model", str(toy.path)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2
    assert "not one point has been measured yet" in result.stderr.splitlines()[0]
    assert "expected its journal" in result.stderr.splitlines()[1]

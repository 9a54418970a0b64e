"""`beamloop simulate`: what it prints, what it refuses, and with which exit code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from loop.cli import app
from simulators.datasets import Dataset, load_manifest

RECIPE = """\
name: small
seed: 3
curves: 25
shard_curves: 10
families:
  none: {}
  voids: {weight: 2}
q: {low: 0.02, high: 0.1, points: 12}
instrument: {shape: [150, 130], beam_centre_px: [20.2, 15.7], distance_mm: 1000, beamstop_mm: 3}
"""


def simulate(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["simulate", *arguments], catch_exceptions=False)


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    Path("r.yaml").write_text(RECIPE)
    return "r.yaml"


def test_a_data_set_is_made_and_gone_on_with(recipe: str) -> None:
    result = simulate(recipe)
    assert result.exit_code == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0].startswith("25 curves; ")
    assert [line.split(":")[0].strip() for line in lines[1:3]] == ["0  none", "1  voids"]
    assert lines[3].startswith("Data set: datasets/small (numbers: SHA-256 ")
    assert len(Dataset.open("datasets/small")) == 25
    Path("datasets/small/finished/00001.json").unlink()
    assert "15 of them there already" in simulate(recipe).stdout


def test_options(recipe: str) -> None:
    assert simulate(recipe, "--out", "d", "--set", "format=parquet", "--set", "curves=5", "--quiet").stdout == ""
    assert load_manifest("d")["curves"] == 5
    refused = simulate(recipe, "--out", "d")
    assert refused.exit_code == 2
    assert "d: holds a data set of another recipe ('small'" in refused.stderr
    assert simulate(recipe, "--out", "d", "--force", "-q").exit_code == 0
    assert load_manifest("d")["curves"] == 25


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("curvs=3", 'r.yaml: --set curvs=3: curvs: found an unknown key, expected one of .*; did you mean "curves"'),
        ("curves=0", "curves: found 0, expected a number of at least 1"),
        ("families.viods={}", "families.viods: found .*, expected a built-in family"),
        ("exposure_s.kind=uniformly", "exposure_s.kind: found .uniformly., expected one of fixed, loguniform"),
        ("q.low=0.001", "q bins have no usable pixel, .*; the camera sees"),
        ("families.voids.parameters.radius={kind: fixed, value: 0.1}", "radius.*where spheres holds"),
    ],
)
def test_mistakes_are_named(recipe: str, override: str, message: str) -> None:
    result = simulate(recipe, "--set", override)
    assert result.exit_code == 2
    assert re.search(message, result.stderr), result.stderr
    assert not Path("datasets").exists()


def test_files_that_are_no_recipe(recipe: str) -> None:
    missing = simulate("none.yaml")
    assert missing.exit_code == 2
    assert "none.yaml: found no readable file" in missing.stderr
    Path("empty.yaml").write_text("")
    assert "expected a recipe: name, seed, curves, families" in simulate("empty.yaml").stderr

"""`beamloop pretrain`, and the prior of a campaign."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import torch
from typer.testing import CliRunner, Result

from loop.cli import app
from loop.compose import compose
from loop.config import load_config
from loop.errors import ConfigError
from loop.exitcodes import ExitCode
from loop.history import read_history
from loop.journal import read_documents
from loop.priors import fitted_prior, prior_files, prior_hash
from loop.run import resume_campaign, run_campaign
from loop.space import BoxSpace, Continuous
from surrogates.pretrained import PretrainedPrior

SCENARIO = """\
name: theory
seed: 1
source:
  kind: scenario
  scenario: {kind: annealing, options: {variant: theory}}
  parameters:
    anneal_temperature: {low: 300, high: 700, unit: degC}
    x: {low: -20, high: 20, unit: mm}
  observables: {band: {kind: band, options: {q_min: 0.01, q_max: 0.05}}}
  instrument: {distance_mm: 2000, wavelength_A: 1.0}
  points: 64
network: {hidden: [8, 8]}
members: 2
epochs: 5
output: priors/theory
"""
TABLE = """\
name: table
seed: 1
source:
  kind: table
  file: table.csv
  inputs: {a: {low: 0, high: 1, unit: fraction}, b: {low: -2, high: 2, unit: mm, column: second}}
  outputs: {band: gap}
  group: family
members: 2
epochs: 5
output: prior
"""


def beamloop(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["pretrain", *arguments])


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "scenario.yaml").write_text(SCENARIO)
    (tmp_path / "table.yaml").write_text(TABLE)
    generator = torch.Generator().manual_seed(0)
    a, b = torch.rand(2, 40, generator=generator, dtype=torch.float64)
    table = pd.DataFrame({"a": a, "second": 4 * b - 2, "gap": a + b, "family": [f"f{i // 4}" for i in range(40)]})
    table.loc[5, "gap"] = None
    table.loc[6, "a"] = 3.0
    table.to_csv(tmp_path / "table.csv", index=False)
    return tmp_path


def test_from_a_scenario(here: Path) -> None:
    result = beamloop("scenario.yaml")
    assert result.exit_code == 0, result.output
    assert "64 rows of anneal_temperature, x" in result.stdout
    assert "band" in result.stdout
    prior = PretrainedPrior.load(here / "priors" / "theory")
    assert prior.input_names == ("anneal_temperature", "x")
    assert prior.low.tolist() == [300, -20]
    assert prior.members == 2
    assert prior.card["units"] == {"anneal_temperature": "°C", "x": "mm"}
    assert prior.card["source"]["scenario"]["options"] == {"variant": "theory"}


def test_nothing_is_replaced_unless_asked(here: Path) -> None:
    assert beamloop("table.yaml", "-q").exit_code == 0
    first = (here / "prior.safetensors").read_bytes()
    again = beamloop("table.yaml", "--set", "seed=2")
    assert again.exit_code == 2
    assert "--force" in again.stderr
    assert (here / "prior.safetensors").read_bytes() == first
    assert beamloop("table.yaml", "--set", "seed=2", "--force").exit_code == 0
    assert (here / "prior.safetensors").read_bytes() != first


def test_from_a_table(here: Path) -> None:
    result = beamloop("table.yaml")
    assert result.exit_code == 0, result.output
    assert "38 rows (2 left out" in result.stdout
    prior = PretrainedPrior.load(here / "prior")
    assert prior.card["groups"] == 10
    assert (prior.input_names, prior.output_names) == (("a", "b"), ("band",))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("source.outputs.band=nothing", "source.outputs.band: found column 'nothing', expected one of table.csv's"),
        ("source.file=absent.csv", "absent.csv cannot be read"),
        ("source.file=table.txt", "expected a file that ends in .parquet or .csv"),
        ("source.inputs.a.low=2", "source.inputs.a.low: found 2, expected a number less than high (1)"),
        ("sead=1", "found an unknown key, expected one of batch_size, description"),
        ("network={kind: nothing}", "unknown network kind 'nothing'"),
        ("source.kind=tabel", 'did you mean "table"?'),
    ],
)
def test_what_is_wrong_is_said(here: Path, change: str, message: str) -> None:
    result = beamloop("table.yaml", "--set", change)
    assert result.exit_code == 2
    assert message in result.stderr


def test_errors_name_file_and_line(here: Path) -> None:
    (here / "table.yaml").write_text(TABLE.replace("epochs: 5", "epochs: many"))
    result = beamloop("table.yaml")
    assert result.stderr == 'table.yaml:10: epochs: found "many", expected a whole number.\n'


@pytest.fixture
def campaign_file() -> Path:
    return Path(__file__).parents[2] / "configs" / "demo.yaml"


def space(*parameters: Continuous) -> BoxSpace:
    return BoxSpace(parameters)


def test_a_prior_is_fitted_to_the_space(here: Path) -> None:
    assert beamloop("table.yaml", "-q").exit_code == 0
    prior = PretrainedPrior.load("prior")
    narrower = space(Continuous("b", -1.0, 1.0, "mm"), Continuous("a", 0.0, 0.5, ""))
    fitted = fitted_prior("prior", narrower, ["band"])
    X = torch.tensor([[0.2, -0.5], [0.4, 0.9]], dtype=torch.float64)
    torch.testing.assert_close(fitted.function(X.flip(-1)), prior.function(X))


@pytest.mark.parametrize(
    ("parameters", "observables", "message"),
    [
        ([("a", 0.0, 1.0, ""), ("c", -2.0, 2.0, "mm")], ["band"], "trained on the inputs a, b, and the space has a, c"),
        (
            [("a", 0.0, 9.0, ""), ("b", -2.0, 2.0, "mm")],
            ["band"],
            "trained on a from 0 to 1, and the space goes from 0",
        ),
        ([("a", 0.0, 1.0, ""), ("b", -2.0, 2.0, "mm")], ["porod"], "is of band, and not of porod"),
        ([("a", 0.0, 1.0, ""), ("b", -2.0, 2.0, "Å")], ["band"], "its input b is in mm, the space's in Å"),
    ],
)
def test_a_prior_of_another_space_is_refused(
    here: Path, parameters: list[tuple[str, float, float, str]], observables: list[str], message: str
) -> None:
    assert beamloop("table.yaml", "-q").exit_code == 0
    with pytest.raises(ConfigError, match=message):
        fitted_prior("prior", space(*(Continuous(*own) for own in parameters)), observables)


def test_a_missing_prior_is_said(here: Path) -> None:
    with pytest.raises(ConfigError, match=r"surrogate\.prior: found 'absent'"):
        fitted_prior("absent", space(Continuous("a", 0.0, 1.0, "")), ["band"])


def test_a_campaign_keeps_its_prior_and_says_which(here: Path, campaign_file: Path) -> None:
    assert beamloop("scenario.yaml", "-q").exit_code == 0
    changes = ["surrogate.prior=priors/theory", "stopping.points=9", "initial.points=8", "storage.tiled=none"]
    changes += ["beamline.time_scale=0.001", "measurement.exposure_s=0.1"]
    campaign = load_config(campaign_file, changes)
    folder = here / "campaign"
    expected = prior_hash("priors/theory")
    assert run_campaign(campaign, folder, progress=False).exit_code == ExitCode.DONE
    history = read_history(read_documents(folder))
    assert history.metadata["prior_hash"] == expected
    assert 0 <= history.steps[-1].suggestion.model["weight_theory"] <= 1
    # The campaign's own copy serves from now on, whatever becomes of the original.
    for file in prior_files("priors/theory"):
        file.unlink()
    assert resume_campaign(folder, progress=False).exit_code == ExitCode.DONE


def test_a_surrogate_without_theory_refuses_a_prior(here: Path, campaign_file: Path) -> None:
    assert beamloop("scenario.yaml", "-q").exit_code == 0
    campaign = load_config(campaign_file, ["surrogate.prior=priors/theory", "surrogate.kind=gp"])
    with pytest.raises(ConfigError, match="gp does not take"):
        compose(campaign, here)
    with pytest.raises(ConfigError, match=r"expected it as surrogate\.prior"):
        compose(load_config(campaign_file, ["surrogate.options={prior: priors/theory}"]), here)

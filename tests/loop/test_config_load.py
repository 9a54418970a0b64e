"""A campaign file as a whole: what is accepted, what stays what it was."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from pydantic import ValidationError

from loop.config import CampaignConfig, config_hash, load_config, parse_config, schema_json, to_json
from loop.config.pretrain import load_pretrain_config
from loop.config.source import parse
from loop.config.train import load_train_config
from loop.errors import ConfigError

DEMO = """\
name: demo
seed: 1
objective: {kind: map, observable: band}
observables:
  band: {kind: band, options: {q_min: 0.01, q_max: 0.05}}
space:
  kind: box
  parameters:
    temperature: {low: 300, high: 700, unit: degC, device: stage}
    x: {low: -20, high: 20, unit: mm, device: motor}
stopping: {points: 45}
beamline:
  kind: simulated
  scenario: {kind: annealing}
  devices:
    stage: {kind: temperature_stage, low: 20, high: 900, unit: degC}
    motor: {kind: motor, low: -25, high: 25, unit: mm}
"""

FILES = sorted((Path(__file__).parents[2] / "configs").glob("*.yaml"))
PRETRAINING = [path for path in FILES if path.name.startswith("pretrain")]
DATA_SETS = [path for path in FILES if path.name.startswith("saxs")]  # tests/simulators/datasets has these
TRAINING = [path for path in FILES if path.name.startswith("train")]
CONFIGS = [path for path in FILES if path not in [*PRETRAINING, *DATA_SETS, *TRAINING]]


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_files_of_the_project_are_valid(path: Path) -> None:
    config = load_config(path)
    assert config.name == path.stem
    assert path.read_text().startswith("# yaml-language-server: $schema=schema.json\n")


@pytest.mark.parametrize("path", PRETRAINING, ids=lambda path: path.name)
def test_pretraining_files_of_the_project_are_valid(path: Path) -> None:
    assert load_pretrain_config(path).output == "priors/annealing_theory"


@pytest.mark.parametrize("path", TRAINING, ids=lambda path: path.name)
def test_training_files_of_the_project_are_valid(path: Path) -> None:
    assert load_train_config(path).data == "datasets/saxs_train"


def test_json_schema_in_the_repository_is_current(project_root: Path) -> None:
    assert (project_root / "configs" / "schema.json").read_text() == schema_json()


def test_every_key_is_described() -> None:
    schema = json.loads(schema_json())
    for name, section in schema["$defs"].items():
        for key, value in section.get("properties", {}).items():
            assert value.get("description"), f"{name}.{key} has no description"


def test_defaults_fill_what_is_left_out() -> None:
    config = parse_config(DEMO)
    assert config.surrogate.kind == "pbnn"
    assert config.acquisition.kind == "auto"
    assert config.measurement.attempts == 2
    assert config.threads == 1
    assert config.space.units == {"temperature": "degC", "x": "mm"}


def test_what_is_left_out_is_not_passed_on() -> None:
    config = parse_config(DEMO, ["quality.min_points=7", "beamline.instrument.shape=[100, 90]"])
    assert config.quality.keywords() == {"min_points": 7}
    assert config.reduction.keywords() == {}
    assert config.beamline.instrument.keywords() == {"shape": (100, 90)}


def test_a_config_is_immutable() -> None:
    config = parse_config(DEMO)
    with pytest.raises(ValidationError, match="frozen"):
        config.seed = 2  # type: ignore[misc]


def test_json_reads_back_as_the_same_campaign() -> None:
    for path in CONFIGS:
        config = load_config(path)
        assert parse_config(to_json(config)) == config


def test_json_keeps_the_order_of_the_models_inputs() -> None:
    swapped = DEMO.replace("    temperature:", "    zz:", 1)
    assert tuple(parse_config(to_json(parse_config(swapped))).space.names) == ("zz", "x")


def test_hash_is_of_the_campaign_and_not_of_its_spelling() -> None:
    plain = yaml.safe_load(DEMO)
    reordered = yaml.safe_dump(plain, sort_keys=False).replace("300", "300.0")
    config = parse_config(DEMO)
    assert config_hash(parse_config(reordered)) == config_hash(config)
    assert config_hash(parse_config(DEMO + "measurement: {attempts: 2}\n")) == config_hash(config)
    assert len(config_hash(config)) == 64


@given(st.integers(0, 2**63 - 1), st.integers(8, 10**6))
def test_different_campaigns_have_different_hashes(seed: int, points: int) -> None:
    changed = parse_config(DEMO, [f"seed={seed}", f"stopping.points={points}"])
    same = config_hash(changed) == config_hash(parse_config(DEMO))
    assert same == ((seed, points) == (1, 45))


def test_numbers_are_those_of_yaml_1_2() -> None:
    text = DEMO.replace("stopping: {points: 45}", "stopping: {points: 0x2d, minutes: 1e3}")
    config = parse_config(text + "description: on\n")
    assert (config.stopping.points, config.stopping.minutes, config.description) == (45, 1000.0, "on")


def test_python_objects_are_checked_by_the_same_rules() -> None:
    data = yaml.safe_load(DEMO)
    data["initial"] = {"points": 46}
    with pytest.raises(ValidationError, match=r"at most stopping.points \(45\)"):
        CampaignConfig.model_validate(data)


def test_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no\.yaml: found no readable file \(No such file"):
        load_config(tmp_path / "no.yaml")
    with pytest.raises(ConfigError, match="Is a directory"):
        load_config(tmp_path)


def test_binary_and_huge_files_are_refused(tmp_path: Path) -> None:
    binary = tmp_path / "image.yaml"
    binary.write_bytes(b"name: x\n\xff\xfe")
    with pytest.raises(ConfigError, match=r"image\.yaml:2: found bytes that are not UTF-8"):
        load_config(binary)
    binary.write_bytes(b"#" * 1_000_001)
    with pytest.raises(ConfigError, match="more than 1,000,000 bytes"):
        load_config(binary)


def test_the_json_schema_says_what_the_reader_says(project_root: Path) -> None:
    schema = json.loads((project_root / "configs" / "schema.json").read_text())
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    for path in CONFIGS:
        data = parse(path.read_text(), path.name).data
        assert list(validator.iter_errors(data)) == []
        assert not validator.is_valid({**data, "sead": 1})
        assert not validator.is_valid({**data, "seed": "one"})
        assert not validator.is_valid({**data, "objective": {"kind": "find"}})

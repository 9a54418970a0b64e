"""From a campaign file to objects: what is built, and what cannot be built is told."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from instruments.devices import SimulatedMotor, TemperatureStage
from instruments.errors import InstrumentError
from instruments.replay import ReplayExperiment
from instruments.simulated import SimulatedExperiment
from loop.compose import compose
from loop.config import parse_config
from loop.errors import BeamloopError, ConfigError, PluginError
from loop.reactions import Condition, LookAround, Remeasure, Rule
from loop.space import BoxSpace, PoolSpace
from loop.stopping import StopState
from simulators.errors import DataMissingError, SimulatorError
from surrogates.gp import GaussianProcess
from surrogates.pbnn import PBNN

SIMULATED = """\
name: demo
seed: 4
objective: {kind: map, observable: band}
observables:
  low: {kind: band, options: {q_min: 0.01, q_max: 0.02}}
  band: {kind: band, options: {q_min: 0.01, q_max: 0.05}}
space:
  kind: box
  parameters:
    anneal_temperature: {low: 300, high: 700, unit: degC, device: furnace}
    x: {low: -20, high: 20, unit: mm, device: stage}
surrogate: {kind: gp}
stopping: {points: 20, minutes: 5}
beamline:
  kind: simulated
  scenario: {kind: annealing}
  devices:
    furnace: {kind: temperature_stage, low: 20, high: 900, unit: degC, ramp_rate: 10, start: 300}
    stage: {kind: motor, low: -25, high: 25, unit: mm, velocity: 5}
"""
REPLAY = """\
name: replay
seed: 4
objective: {kind: target, observable: distance}
observables: {distance: {kind: match, options: {target: {sample: s3}, q_min: 0.01, q_max: 0.1}}}
space: {kind: pool, features: {radius: {unit: nm}}}
surrogate: {kind: gp}
initial: {points: 3}
stopping: {points: 6}
beamline: {kind: replay, data: made_up/table.parquet, id: name, exclude: [s3], time_scale: 0.0}
quality: {q_low: 0.01, q_high: 0.1, min_points: 10}
storage: {tiled: none}
"""


def build(text, tmp_path):
    return compose(parse_config(text, name="test"), tmp_path / "campaign")


@pytest.fixture
def recording(tmp_path, monkeypatch):
    """Twelve curves of Guinier's law, the radius growing."""
    q = np.linspace(0.005, 0.15, 80)
    radius = np.linspace(2.0, 6.0, 12)
    intensity = [100 * np.exp(-((q * 10 * r) ** 2) / 15) + 0.1 for r in radius]
    table = pd.DataFrame(
        {
            "name": [f"s{k}" for k in range(12)],
            "radius": radius,
            "word": "text",
            "q": [q] * 12,
            "i": intensity,
            "sigma": [0.02 * i for i in intensity],
        }
    )
    (tmp_path / "data" / "made_up").mkdir(parents=True)
    table.to_parquet(tmp_path / "data" / "made_up" / "table.parquet")
    monkeypatch.setenv("BEAMLOOP_DATA", str(tmp_path / "data"))
    return table


def test_a_simulated_campaign(tmp_path):
    parts = build(SIMULATED, tmp_path)
    assert isinstance(parts.experiment, SimulatedExperiment)
    assert isinstance(parts.space, BoxSpace)
    assert parts.space.names == ("anneal_temperature", "x")
    # The objective comes first, whatever the file's order.
    assert parts.experiment.observables == ("band", "low")
    furnace, stage = parts.experiment.devices.axes.values()
    assert isinstance(furnace, TemperatureStage)
    assert isinstance(stage, SimulatedMotor)
    assert (furnace.name, stage.name) == ("furnace", "stage")
    assert stage.limits == (-25, 25)
    assert parts.experiment.frames == tmp_path / "campaign" / "frames"
    assert not (tmp_path / "campaign").exists()
    assert parts.stopping.reason(StopState(elapsed_s=301.0)) == "5 minutes are over"
    assert parts.stopping.reason(StopState(elapsed_s=299.0)) is None
    agent = parts.new_agent()
    assert agent is not parts.new_agent()
    assert agent.direction is None
    assert agent.seed == 4
    assert agent.surrogate is GaussianProcess


@pytest.mark.parametrize(
    ("objective", "direction"),
    [
        ("{kind: optimise, observable: band, direction: maximise}", "maximise"),
        ("{kind: optimise, observable: band, direction: minimise}", "minimise"),
        ("{kind: target, observable: band}", "minimise"),
    ],
)
def test_the_objective_s_direction(tmp_path, objective, direction):
    agent = build(SIMULATED.replace("{kind: map, observable: band}", objective), tmp_path).new_agent()
    assert agent.direction == direction
    assert agent.observables[0] == "band"


def test_a_surrogate_s_options_reach_it(tmp_path):
    agent = build(SIMULATED.replace("{kind: gp}", "{kind: pbnn, options: {members: 3}}"), tmp_path).new_agent()
    assert agent.surrogate.func is PBNN
    assert agent.surrogate.keywords == {"members": 3}


@pytest.mark.parametrize(
    ("old", "new", "error", "words"),
    [
        ("{kind: annealing}", "{kind: anealing}", SimulatorError, "annealing"),
        ("{kind: gp}", "{kind: kriging}", BeamloopError, "kriging"),
        ("{kind: gp}", "{kind: 'nowhere_to_be_found:Model'}", PluginError, "nowhere_to_be_found"),
        ("{kind: gp}", "{kind: gp}\nacquisition: {kind: varianze}", BeamloopError, "varianze"),
        ("minutes: 5", "rules: [{kind: no_improvement, options: {widow: 3}}]", ConfigError, "widow"),
        ("{kind: band, options: {q_min: 0.01, q_max: 0.05}}", "{kind: bend}", InstrumentError, "bend"),
        ("anneal_temperature: {", "temperature: {", InstrumentError, "anneal_temperature"),
    ],
)
def test_what_cannot_be_built_is_named(tmp_path, old, new, error, words):
    assert old in SIMULATED
    with pytest.raises(error, match=words):
        build(SIMULATED.replace(old, new), tmp_path)


def test_a_replayed_campaign(tmp_path, recording):
    parts = build(REPLAY, tmp_path)
    assert isinstance(parts.experiment, ReplayExperiment)
    assert isinstance(parts.space, PoolSpace)
    assert len(parts.space) == 11
    samples = [parts.space.at(row) for row in range(11)]
    assert "s3" not in {sample["sample"] for sample in samples}
    parts.experiment.check(samples)
    distances = parts.experiment.truth(samples)["distance"]
    # The target is the curve that was left out: its neighbours are the nearest.
    assert {samples[k]["sample"] for k in np.argsort(distances)[:2]} == {"s2", "s4"}


@pytest.mark.parametrize(
    ("old", "new", "error", "words"),
    [
        ("made_up/table", "made_up/chair", DataMissingError, "chair"),
        ("id: name", "id: nome", SimulatorError, "nome"),
        ("exclude: [s3]", "exclude: [s99]", ConfigError, "beamline.exclude.*s99"),
        ("sample: s3", "sample: s99", ConfigError, "observables.distance.options.target.sample.*s99"),
        (
            "radius: {unit: nm}",
            "radius: {unit: nm, column: diameter}",
            ConfigError,
            "features.radius.*diameter.*radius",
        ),
        ("radius: {unit: nm}", "word: {unit: nm}", ConfigError, "columns of numbers"),
    ],
)
def test_what_a_recording_does_not_have_is_named(tmp_path, recording, old, new, error, words):
    assert old in REPLAY
    with pytest.raises(error, match=words):
        build(REPLAY.replace(old, new), tmp_path)


def test_reactions(tmp_path):
    text = SIMULATED + (
        "measurement: {exposure_s: 2.5}\n"
        "reactions:\n"
        "  - {name: closer, when: {observable: low, below: -1.5, significance: 3}, do: {kind: remeasure}}\n"
        "  - name: near\n"
        "    when: {observable: band, above: 2}\n"
        "    do: {kind: look_around, options: {points: 2, radius: 0.1}}\n"
        "    at_most: 7\n"
    )
    parts = build(text, tmp_path)
    assert parts.exposure_s == 2.5
    assert parts.reactions == (
        Rule("closer", Condition("low", "below", -1.5, 3.0), Remeasure()),
        Rule("near", Condition("band", "above", 2.0), LookAround(2, 0.1), at_most=7),
    )
    with pytest.raises(ConfigError, match=r"reactions.near.do.options: look_around .*radius"):
        build(text.replace("radius: 0.1", "radius: 2.0"), tmp_path)
    with pytest.raises(ConfigError, match=r"reactions.near.do.options: look_around .*wide"):
        build(text.replace("radius: 0.1", "wide: 2.0"), tmp_path)
    with pytest.raises(PluginError, match=r"there is no reaction 'look_arund': expected one of remeasure, look_around"):
        build(text.replace("kind: look_around", "kind: look_arund"), tmp_path)


def test_a_reaction_of_ones_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_reactions.py").write_text(
        "from loop.reactions import FollowUp\n"
        "class ToTheMiddle:\n"
        "    def __init__(self, x=0.0):\n"
        "        self.x = x\n"
        "    def __call__(self, suggestion, observation, situation):\n"
        "        return [FollowUp({**suggestion.point, 'x': self.x})]\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    reaction = "{name: r, when: {observable: band, above: 2}, do: {kind: 'my_reactions:ToTheMiddle', options: {x: 3}}}"
    (rule,) = build(f"{SIMULATED}reactions: [{reaction}]\n", tmp_path).reactions
    assert rule.do.x == 3


def test_a_recording_offers_no_exposure(tmp_path, recording):
    near = "{name: near, when: {observable: distance, below: 0.1}, do: {kind: look_around}}"
    assert build(f"{REPLAY}reactions: [{near}]\n", tmp_path).exposure_s is None

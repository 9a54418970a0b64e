"""The keys of a campaign file are the options of what they configure."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest
from ophyd import Device

from instruments.devices.positioners import SimulatedMotor, TemperatureStage
from instruments.quality import QualityGate
from instruments.reduction import Reducer
from loop.config import beamline, data, load_config, train
from loop.config.base import Section
from loop.wording import symbol
from simulators.instrument import InstrumentModel
from simulators.scenarios import make_scenario
from surrogates.saxs.augment import Augmentation
from surrogates.saxs.curves import QGrid
from surrogates.saxs.training import Training


def parameters(factory: Callable[..., Any]) -> set[str]:
    """Names of all keyword arguments, those of the base classes included that are passed on."""
    names: set[str] = set()
    for base in inspect.getmro(factory) if inspect.isclass(factory) else (factory,):
        if base is Device:
            break
        names |= set(inspect.signature(base).parameters)
    return names


@pytest.mark.parametrize(
    ("section", "configured", "of_the_code"),
    [
        (beamline.Instrument, InstrumentModel, set()),
        (data.Quality, QualityGate, set()),
        # What the experiment knows by itself is not a person's to say.
        (data.Reduction, Reducer, {"geometry", "mask", "thickness_cm", "background"}),
    ],
)
def test_same_options(section: type[Section], configured: Callable[..., Any], of_the_code: set[str]) -> None:
    assert set(section.model_fields) == set(inspect.signature(configured).parameters) - of_the_code


@pytest.mark.parametrize(
    ("section", "configured", "of_the_code"),
    [
        (train.TrainingAugmentation, Augmentation, set()),
        (train.TrainingGrid, QGrid, {"max_gap"}),
        (train.TrainConfig, Training, {"kernel", "pool", "start", "shape_middle"}),
    ],
)
def test_training_files_have_the_classifiers_options_and_defaults(
    section: type[Section], configured: Callable[..., Any], of_the_code: set[str]
) -> None:
    options = inspect.signature(configured).parameters
    # What the file alone knows: where the data come from, what its labels mean, and where the classifier goes.
    own = {"name", "description", "data", "unlike", "threads", "output"} if section is train.TrainConfig else set()
    assert set(section.model_fields) - own == set(options) - of_the_code
    for name in set(section.model_fields) - own - {"grid", "augmentation"}:
        said = section.model_fields[name].default
        assert (tuple(said) if isinstance(said, list) else said) == options[name].default, name


@pytest.mark.parametrize(
    ("section", "device"), [(beamline.Motor, SimulatedMotor), (beamline.TemperatureStage, TemperatureStage)]
)
def test_devices_take_their_keywords(section: type[beamline.Axis], device: type[Any]) -> None:
    kind = section.model_fields["kind"].annotation.__args__[0]  # type: ignore[union-attr]
    numbers = {name: 5.0 for name in section.model_fields if name not in ("kind", "low", "high", "unit", "start")}
    keywords = section(kind=kind, low=1.0, high=9.0, unit="degC", start=2.0, **numbers).keywords()
    made = device(name="axis", **keywords)
    assert made.limits == (1.0, 9.0)
    assert made.egu == "°C"
    assert made.position == 2.0
    assert set(keywords) <= parameters(device)


def test_the_demo_stays_within_its_scenario(project_root: Any) -> None:
    config = load_config(project_root / "configs" / "demo.yaml")
    assert config.space.kind == "box"
    assert config.beamline.kind == "simulated"
    scenario = make_scenario(config.beamline.scenario.kind, **config.beamline.scenario.options)
    assert set(config.space.parameters) == {parameter.name for parameter in scenario.parameters}
    for parameter in scenario.parameters:
        axis = config.space.parameters[parameter.name]
        assert symbol(axis.unit) == parameter.unit
        assert parameter.low <= axis.low < axis.high <= parameter.high

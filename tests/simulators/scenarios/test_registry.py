"""Finding scenarios: built in, plug-ins, module:Name, and what is said when there is none."""

from importlib.metadata import EntryPoint

import numpy as np
import pytest

from simulators.errors import ParameterError, ScenarioError
from simulators.scenarios import SampleProperties, Scenario, ScenarioParameter, make_scenario, registry, scenario_kinds

PLUGIN = """
import numpy as np
from simulators.scenarios import SampleProperties, ScenarioParameter

class Mine:
    name = "mine"
    parameters = (ScenarioParameter("z", "mm", 0.0, 1.0, "height"),)
    sample = SampleProperties(0.1, 0.5)

    def __init__(self, level=1.0):
        self.level = level

    def cross_section(self, states, q):
        return np.full((len(states), len(q)), self.level)

def broken():
    return 3

number = 4
"""


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    (tmp_path / "my_sample.py").write_text(PLUGIN)
    monkeypatch.syspath_prepend(tmp_path)
    return "my_sample"


def test_every_known_kind_can_be_made_and_keeps_the_protocol():
    assert {"annealing", "composition_wafer", "irradiation_dose", "particle_growth"} <= set(scenario_kinds())
    for kind in registry.BUILT_IN:
        scenario = make_scenario(kind)
        assert isinstance(scenario, Scenario)
        middle = {p.name: (p.low + p.high) / 2 for p in scenario.parameters}
        q = np.geomspace(0.005, 0.3, 20)
        assert scenario.cross_section([middle], q).shape == (1, 20)


def test_module_and_name(plugin):
    scenario = make_scenario(f"{plugin}:Mine", level=3.0)
    assert scenario.cross_section([{"z": 0.5}], np.array([0.1]))[0, 0] == 3.0


def test_entry_point(plugin, monkeypatch):
    point = EntryPoint("mine", f"{plugin}:Mine", registry.ENTRY_POINT_GROUP)
    monkeypatch.setattr(registry, "entry_points", lambda group: [point])
    assert "mine" in scenario_kinds()
    assert make_scenario("mine").name == "mine"


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("anealing", {}, "no scenario 'anealing'; known: annealing, composition_wafer"),
        ("annealing", {"widht": 3}, "accepted: variant, boundary_width_c"),
        ("no_such_module:X", {}, "module 'no_such_module' cannot be imported"),
        ("my_sample:Nothing", {}, "my_sample has no 'Nothing'"),
        ("my_sample:broken", {}, "made a int, which has no name, parameters, sample, cross_section"),
        ("my_sample:number", {}, "is a int, not a class or function"),
    ],
)
def test_says_what_is_wrong(plugin, kind, options, message):
    with pytest.raises(ScenarioError, match=message):
        make_scenario(kind, **options)


@pytest.mark.parametrize(("thickness", "transmission"), [(0.0, 0.5), (np.nan, 0.5), (0.1, 0.0), (0.1, 1.2)])
def test_impossible_samples_are_refused(thickness, transmission):
    with pytest.raises(ParameterError):
        SampleProperties(thickness, transmission)


def test_parameters_are_frozen():
    parameter = ScenarioParameter("x", "mm", 0.0, 1.0, "position")
    with pytest.raises(AttributeError):
        parameter.low = 3.0

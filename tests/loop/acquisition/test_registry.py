from __future__ import annotations

import importlib.metadata
import subprocess
import sys
import textwrap
from functools import partial

import pytest
from botorch.models import SingleTaskGP

import loop.acquisition
from loop.acquisition.registry import BUILTIN, DEFAULTS, available, blame, check_options, find, name_of
from loop.acquisition.testing import problems
from loop.agent import Agent
from loop.errors import PluginError
from loop.records import Observation, Status
from loop.space import BoxSpace, Continuous

# The example that the documentation shows is the one that is tried here.
EXAMPLE = textwrap.dedent(loop.acquisition.__doc__.split("::\n", 1)[1].split("\n``testing", 1)[0])


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder for a user's modules; what is imported from it is forgotten afterwards."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    known = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - known:
        if getattr(sys.modules[name], "__file__", None) and str(tmp_path) in sys.modules[name].__file__:
            del sys.modules[name]


def test_built_ins_are_found_and_defaults_are_built_in():
    for name in BUILTIN:
        assert callable(find(name))
    assert set(DEFAULTS.values()) <= set(BUILTIN)
    assert available()[: len(BUILTIN)] == tuple(BUILTIN)


def test_names_do_not_load_torch():
    code = "import sys; from loop.acquisition.registry import available; available(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_an_object_is_itself():
    builder = partial(max)
    assert find(builder) is builder


def test_a_users_module_works_by_name(folder):
    (folder / "my_module.py").write_text(EXAMPLE)
    builder = find("my_module:MyAcquisition", search_path=folder)
    assert name_of(builder) == "my_module:MyAcquisition"
    check_options(builder, {"weight": 2.0}, direction=None)
    assert problems(builder, options={"weight": 2.0}, direction="minimise") == []


def test_the_documented_example_is_short_and_runs_a_campaign(folder, monkeypatch):
    assert len([line for line in EXAMPLE.splitlines() if line.strip()]) <= 15
    (folder / "my_module.py").write_text(EXAMPLE)
    monkeypatch.chdir(folder)

    def surrogate(train_X, train_Y, train_Yvar=None, *, seed=0):
        return SingleTaskGP(train_X, train_Y, train_Yvar).eval()

    agent = Agent(
        BoxSpace([Continuous("x", 0, 10)]),
        surrogate,
        "my_module:MyAcquisition",
        observables=("y",),
        direction="minimise",
        n_initial=3,
        acquisition_options={"weight": 0.5},
    )
    for _ in range(10):
        (s,) = agent.suggest()
        agent.ingest(Observation(s.id, s.point, Status.MEASURED, {"y": (s.point["x"] - 3) ** 2}))
    assert min(o.values["y"] for o in agent.measured) < 0.1


def test_the_working_directory_is_searched(folder, monkeypatch):
    monkeypatch.chdir(folder)
    (folder / "beside_me.py").write_text(EXAMPLE)
    assert name_of(find("beside_me:MyAcquisition")) == "beside_me:MyAcquisition"


def test_an_installed_package_is_found_by_its_entry_point(folder, monkeypatch):
    (folder / "installed_one.py").write_text(EXAMPLE)
    monkeypatch.syspath_prepend(folder)
    point = importlib.metadata.EntryPoint("theirs", "installed_one:MyAcquisition", "beamloop.acquisition")
    monkeypatch.setattr("loop.acquisition.registry.entry_points", lambda group: (point,))
    assert available()[-1] == "theirs"
    assert name_of(find("theirs")) == "installed_one:MyAcquisition"


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("varaince", "no acquisition 'varaince': expected one of variance, "),
        ("no_such_module_here:Thing", "no module 'no_such_module_here'"),
        ("loop.no_such:Thing", "no module 'loop.no_such'"),
        ("broken:Thing", "importing broken failed: ZeroDivisionError"),
        ("needs_other:Thing", "importing needs_other failed: No module named 'surely_not_installed'"),
        ("good:Missing", "has no 'Missing'; it has .*MyAcquisition"),
        ("good:NUMBER", "expected a class or a function, got int"),
        (":Thing", "expected module:Name"),
        ("good:", "expected module:Name"),
    ],
)
def test_what_cannot_be_found_is_explained(folder, spec, message):
    (folder / "broken.py").write_text("1 / 0")
    (folder / "needs_other.py").write_text("import surely_not_installed")
    (folder / "good.py").write_text(EXAMPLE + "\nNUMBER = 3\n")
    with pytest.raises(PluginError, match=message):
        find(spec, search_path=folder)


def test_options_are_checked_before_there_is_a_model():
    with pytest.raises(
        PluginError, match=r"options {'bta': 1}.*unexpected keyword argument 'bta'.*options are \['beta'\]"
    ):
        check_options(find("ucb"), {"bta": 1}, direction="maximise")
    with pytest.raises(PluginError, match="its options are none"):
        check_options(find("variance"), {"beta": 1}, direction=None)
    with pytest.raises(PluginError, match="no direction: say maximise or minimise"):
        check_options(find("log_ei"), {}, direction=None)
    check_options(find("ucb"), {"beta": 1}, direction="minimise")


def test_blame_names_plug_ins_and_leaves_our_own_errors_alone():
    def theirs():
        """Stands for a plug-in."""

    message = r"test_registry:.*theirs failed, deciding: ValueError: oh"
    with pytest.raises(PluginError, match=message) as caught, blame(theirs, "deciding"):
        raise ValueError("oh")
    assert isinstance(caught.value.__cause__, ValueError)
    with pytest.raises(ValueError, match="oh") as own, blame(find("ucb"), "deciding"):
        raise ValueError("oh")
    assert own.value.__notes__ == ["in loop.acquisition.confidence:UpperConfidenceBound, deciding"]

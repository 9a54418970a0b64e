"""The documentation's examples do what the pages say: every file runs, every campaign file is valid."""

from __future__ import annotations

import ast
import json
import os
import re
import runpy
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from loop.cli import app
from loop.config import load_config
from loop.config.pretrain import load_pretrain_config
from loop.history import Step, read_history
from loop.journal import read_documents

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "docs" / "examples"
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = sorted(path for path in (ROOT / "docs").rglob("*.md") if "_build" not in path.parts)
SMALL = (
    *("--set", "stopping.points=6", "--set", "initial.points=4", "--set", "beamline.time_scale=0"),
    *("--set", "storage.tiled=none", "--no-report", "--quiet"),
)


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)


def python(*arguments: str, cwd: Path) -> str:
    """Run a script as a reader would; in a process of its own, which also ends the RunEngine's thread."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def beamloop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """The command, in an empty working directory, with the examples' modules within reach."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(EXAMPLES)

    def run(*arguments: str) -> str:
        result = CliRunner().invoke(app, arguments, catch_exceptions=False)
        assert result.exit_code == 0, result.stderr
        return result.stdout

    return run


@pytest.mark.parametrize("name", ["suggest_ingest", "my_module", "run_engine"])
def test_the_readme_shows_the_example_files(name: str) -> None:
    assert (EXAMPLES / f"{name}.py").read_text(encoding="utf-8") in blocks(README, "python")


def test_the_readme_shows_the_smallest_campaign_file() -> None:
    assert (EXAMPLES / "smallest.yaml").read_text(encoding="utf-8") in blocks(README, "yaml")


def test_the_readmes_examples_are_as_short_as_it_says() -> None:
    assert len((EXAMPLES / "suggest_ingest.py").read_text().splitlines()) < 15
    assert len((EXAMPLES / "my_module.py").read_text().splitlines()) <= 15
    assert len((EXAMPLES / "smallest.yaml").read_text().splitlines()) <= 20


def test_suggest_and_ingest(capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(EXAMPLES / "suggest_ingest.py"))
    assert capsys.readouterr().out.startswith("Prediction(mean={'band':")


def test_a_run_engine_and_devices(tmp_path: Path) -> None:
    code = (EXAMPLES / "run_engine.py").read_text(encoding="utf-8") + "\nprint(len(agent.measured), best.point)"
    count, _, point = python("-c", code, cwd=tmp_path).partition(" ")
    assert count == "12"
    # The bell of ophyd's noisy detector stands at 0; its noise is a tenth of its height.
    assert abs(ast.literal_eval(point)["position"]) < 1


def test_a_journalled_campaign_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script = (EXAMPLES / "journalled.py").read_text(encoding="utf-8")
    # First half of it, then the rest by another process.
    assert python("-c", script.replace("MaxPoints(12)", "MaxPoints(6)"), cwd=tmp_path) == "6 points measured\n"
    assert python("-c", script, cwd=tmp_path) == "12 points measured\n"
    sys.argv, arguments = ["read_journal.py", str(tmp_path / "campaigns" / "from_python")], sys.argv
    try:
        runpy.run_path(str(EXAMPLES / "read_journal.py"))
    finally:
        sys.argv = arguments
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "from_python - 12 points are measured"
    assert len(lines) == 13
    assert all("measured" in line for line in lines[1:])


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.stem)
def test_campaign_files_are_valid(path: Path) -> None:
    (load_pretrain_config if path.stem.startswith("pretrain") else load_config)(path)


@pytest.mark.parametrize("name", ["optimise", "ageing"])
def test_campaigns_with_parts_of_ones_own(name: str, beamloop: Callable[..., str]) -> None:
    beamloop("run", str(EXAMPLES / f"{name}.yaml"), "--out", "c", *SMALL)
    assert "6 measured" in beamloop("status", "c")


def test_the_smallest_campaign_and_its_catalogue(beamloop: Callable[..., str], tmp_path: Path) -> None:
    beamloop("run", str(EXAMPLES / "smallest.yaml"), "--out", "c", *SMALL)
    # In a process of its own, and one for both: Tiled takes long to import.
    fill = (
        "import threading; from pathlib import Path; from loop.catalogue import EMBEDDED, feed\n"
        "at_once = threading.Event(); at_once.set(); feed(Path('c'), EMBEDDED, at_once)\n"
    )
    shown = python("-c", fill + (EXAMPLES / "read_tiled.py").read_text(encoding="utf-8"), "c", cwd=tmp_path)
    assert shown.count(" measured ") == 6
    assert "6 measurement runs" in shown
    assert "shape of the first frame: (1, 619, 487)" in shown


def test_a_recording_of_ones_own(beamloop: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BEAMLOOP_DATA", str(tmp_path / "data"))
    runpy.run_path(str(EXAMPLES / "make_recording.py"))
    beamloop("run", str(EXAMPLES / "my_replay.yaml"), "--out", "c", *SMALL)
    assert "6 measured" in beamloop("status", "c")


def modelled(campaign: Path) -> list[Step]:
    """Steps whose point a model chose."""
    return [step for step in read_history(read_documents(campaign)).steps if step.suggestion.model]


def said(name: str, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Run an example that needs no arguments; return its lines."""
    runpy.run_path(str(EXAMPLES / f"{name}.py"))
    return capsys.readouterr().out.splitlines()


def number_after(word: str, line: str) -> float:
    found = re.search(rf"{word} (-?[\d.]+)", line)
    assert found is not None, line
    return float(found[1])


def test_layers_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    names, *models = said("pbnn_layers", capsys)
    assert names == "layers: dense0, dense1, output"
    # The last layer alone is the one that has an exact posterior.
    assert ["conjugate" in line for line in models] == [False, False, False, True]


def test_outliers(capsys: pytest.CaptureFixture[str]) -> None:
    gaussian, student = said("pbnn_outliers", capsys)
    assert student.startswith("student_t")
    assert number_after("error", student) < 0.5 * number_after("error", gaussian)


def test_noise_that_varies(capsys: pytest.CaptureFixture[str]) -> None:
    low, high = said("pbnn_noise", capsys)
    assert number_after("noise at 0.9:", high) > 1.5 * number_after("noise at 0.1:", low)


def test_engines(capsys: pytest.CaptureFixture[str]) -> None:
    lines = said("pbnn_engines", capsys)
    assert ["NOT converged" in line for line in lines] == [False, False, False, True]
    exact, *others = (number_after(r"\):", line) for line in lines)
    assert max(abs(mean - exact) for mean in others[:2]) < 0.1


def test_curves(capsys: pytest.CaptureFixture[str]) -> None:
    layers, error = said("pbnn_curves", capsys)
    assert layers == "layers (2, 3) of 4, engine linearised"
    # Radii from 20 to 60 Å.
    assert number_after("by", error) < 2


def test_compositions(capsys: pytest.CaptureFixture[str]) -> None:
    layers, error = said("pbnn_compositions", capsys)
    assert layers == "embedding, block0.attention, block0.feedforward, output"
    assert number_after("error", error) < 0.5 * number_after("values", error)


def test_a_classifier(capsys: pytest.CaptureFixture[str]) -> None:
    measured, between, overlap = said("pbnn_classifier", capsys)
    assert measured.startswith("measured: disordered")
    for unsure in (between, overlap):
        assert number_after("entropy", unsure) > 2 * number_after("entropy", measured)
    assert number_after("ignorance", between) > number_after("ignorance", overlap)


def test_update_and_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    _, imagined, same = said("pbnn_update", capsys)
    assert number_after("difference:", imagined) < 0.1
    assert same == "bit by bit the same: True"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["phase_model.json", "phase_model.safetensors"]


def test_theory_from_python(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    _, none, right, wrong = said("pbnn_with_theory", capsys)
    assert number_after("error", right) < number_after("error", none)
    assert number_after("weight", right) > 0.5 > number_after("weight", wrong)


def test_options_and_engines_of_a_campaign(beamloop: Callable[..., str], capsys: pytest.CaptureFixture[str]) -> None:
    beamloop("run", str(EXAMPLES / "pbnn_options.yaml"), "--out", "c", *SMALL)
    sys.argv, arguments = ["read_engines.py", "c"], sys.argv
    try:
        lines = said("read_engines", capsys)
    finally:
        sys.argv = arguments
    # Two of the six points were chosen by a model.
    assert [line.split()[:2] for line in lines] == [["4", "svi"], ["5", "svi"]]


def test_a_prior_and_a_campaign_with_it(beamloop: Callable[..., str]) -> None:
    few = ("--set", "source.points=64", "--set", "epochs=20", "--set", "members=2", "--quiet")
    beamloop("pretrain", str(ROOT / "configs" / "pretrain_demo.yaml"), *few)
    beamloop("run", str(EXAMPLES / "with_theory.yaml"), "--out", "c", *SMALL)
    steps = modelled(Path("c"))
    assert len(steps) == 2
    assert all(0 <= float(step.suggestion.model["weight_networks_theory"]) <= 1 for step in steps)


def test_a_prior_from_a_table(beamloop: Callable[..., str]) -> None:
    rows = [f"{alloy},{300 + 80 * i},{alloy / 30},{alloy / 10 - 0.1 * i}" for alloy in range(30) for i in range(6)]
    Path("computed.csv").write_text("\n".join(["alloy,temperature,x_alloy,gap_computed", *rows]), encoding="utf-8")
    beamloop("pretrain", str(EXAMPLES / "pretrain_table.yaml"), "--set", "epochs=20", "--quiet")
    card = json.loads(Path("priors/computed_gaps.json").read_text(encoding="utf-8"))
    assert card["input_names"] == ["temperature", "composition"]
    assert card["card"]["groups"] == 30


def links() -> Iterator[tuple[Path, str]]:
    for page in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *PAGES):
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            if "://" not in target:
                yield page, target


def test_links_lead_somewhere() -> None:
    broken = [f"{page.relative_to(ROOT)}: {target}" for page, target in links() if not (page.parent / target).exists()]
    assert broken == []


def test_commands_shown_exist() -> None:
    known = {command.name or command.callback.__name__ for command in app.registered_commands if command.callback}
    known |= {group.name or group.typer_instance.info.name for group in app.registered_groups if group.typer_instance}
    shown = {
        (page.name, command)
        for page in (ROOT / "README.md", *PAGES)
        for command in re.findall(r"^\$ beamloop ([a-z]+)", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    }
    assert shown
    assert {(page, command) for page, command in shown if command not in known} == set()


def test_make_targets_shown_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    shown = {
        target
        for page in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *PAGES)
        for target in re.findall(r"(?:`|^\$ )make ([a-z-]+)", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    }
    assert shown <= targets

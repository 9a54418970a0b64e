"""`beamloop train saxs` and `beamloop classify`: what they print, what they refuse, and with which exit code."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from loop.cli import app
from simulators.datasets import Dataset

RECIPE = """\
name: small
seed: 3
curves: 1500
shard_curves: 600
families: {none: {}, voids: {}}
exposure_s: {kind: loguniform, low: 1, high: 10}
"""
TRAINING = """\
name: small
data: datasets/small
members: 1
channels: [8, 8]
hidden: [8]
epochs: 2
shape_presentations: 20000
output: models/small
"""


def beamloop(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments, catch_exceptions=False)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with a data set, a classifier and curves."""
    folder = tmp_path_factory.mktemp("classify")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        Path("r.yaml").write_text(RECIPE)
        Path("t.yaml").write_text(TRAINING)
        assert beamloop("simulate", "r.yaml", "--quiet").exit_code == 0
        result = beamloop("train", "saxs", "t.yaml")
        assert result.exit_code == 0, result.stderr
        assert "1,500 curves of none, voids" in result.stdout
        assert "accuracy" in result.stdout
        assert "models/small.safetensors" in result.stdout
        data = Dataset.open("datasets/small")
        part = next(data.shards())
        Path("good").mkdir()
        for i in range(25):
            rows = np.column_stack([10 * data.q, part["intensity"][i], part["sigma"][i]])
            np.savetxt(f"good/{i:02d}.dat", rows, header="q (1/nm)  I (1/cm)  sigma")
    return folder


@pytest.fixture(autouse=True)
def here(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)


def test_a_classifier_that_is_there_is_not_replaced_unless_forced() -> None:
    refused = beamloop("train", "saxs", "t.yaml")
    assert refused.exit_code == 2
    assert "models/small.safetensors: is there already; --force" in refused.stderr
    result = beamloop("train", "saxs", "t.yaml", "--force", "--quiet", "--set", "epochs=1", "--set", "output=models/b")
    assert (result.exit_code, result.stdout) == (0, "")


@pytest.mark.parametrize(
    ("change", "message"),
    [("data=nowhere", "nowhere"), ("members=0", "members"), ("epoch=3", 'did you mean "epochs"')],
)
def test_bad_training_files(change: str, message: str) -> None:
    result = beamloop("train", "saxs", "t.yaml", "--set", change, "--set", "output=models/c")
    assert result.exit_code == 2
    assert message in result.stderr


def test_a_table_of_classes() -> None:
    result = beamloop("classify", "good/00.dat", "good/01.dat", "--model", "models/small")
    assert result.exit_code == 0, result.stderr
    for text in ("00.dat", "01.dat", "voids", "epistemic", "aleatoric", "q converted from 1/nm to 1/Å"):
        assert text in result.stdout


def test_json() -> None:
    result = beamloop("classify", "good/00.dat", "--model", "models/small.json", "--json")
    found = json.loads(result.stdout)
    assert found["classes"] == ["none", "voids"]
    (curve,) = found["curves"]
    assert sum(curve["probabilities"].values()) == pytest.approx(1, abs=1e-5)
    assert 0 < curve["p_value"] <= 1
    assert curve["unlike_training"] == (curve["p_value"] <= 0.05)


def test_bad_files_are_told_in_one_line_each_and_the_others_classified() -> None:
    Path("bad.dat").write_text("0.1 1 1\n0.2 1 0\n0.3 1 1\n0.4 1 1\n")
    Path("far.dat").write_text("1 1 1\n2 1 1\n3 1 1\n4 1 1\n")
    result = beamloop("classify", "bad.dat", "good/00.dat", "far.dat", "none.dat", "--model", "models/small", "--json")
    assert result.exit_code == 2
    assert len(json.loads(result.stdout)["curves"]) == 1
    lines = result.stderr.splitlines()
    assert lines[0].startswith("bad.dat: row 2: the error bar must be greater than 0, got 0; --skip-bad-rows")
    assert lines[1] == "none.dat: there is no such file"
    assert lines[2].startswith("far.dat: q from 1 to 4 1/Å lies outside the 0.003 to 0.5 1/Å")
    assert len(lines) == 3
    assert beamloop("classify", "far.dat", "--model", "models/small", "--unit", "1/nm").exit_code == 0


def test_no_error_bars_and_rows_left_out() -> None:
    q = np.geomspace(0.01, 0.3, 60)
    np.savetxt("two.dat", np.column_stack([q, q**-4 * 1e-6 + 0.1]))
    result = beamloop("classify", "two.dat", "--model", "models/small")
    assert "estimated from the scatter" in result.stdout
    result = beamloop("classify", "bad.dat", "--skip-bad-rows", "--model", "models/small")
    assert result.exit_code == 2  # three points are left
    assert "at least 4 points" in result.stderr


def test_calibration_to_an_instrument() -> None:
    q = np.geomspace(0.1, 0.12, 30)
    np.savetxt("odd.dat", np.column_stack([q, 1e3 + 0 * q, 1 + 0 * q]))
    arguments = ("classify", "odd.dat", "good/00.dat", "--model", "models/small", "--calibrate", "good", "--json")
    odd, good = json.loads(beamloop(*arguments).stdout)["curves"]
    assert odd["p_value"] == pytest.approx(1 / 26)
    assert odd["unlike_training"]
    assert not good["unlike_training"]
    Path("few").mkdir(exist_ok=True)
    refused = beamloop("classify", "odd.dat", "--model", "models/small", "--calibrate", "few")
    assert (refused.exit_code, "holds no files" in refused.stderr) == (2, True)
    refused = beamloop("classify", "odd.dat", "--model", "models/small", "--calibrate", "good/00.dat")
    assert "at least 10 good curves" in refused.stderr


def test_a_picture() -> None:
    folder = beamloop("classify", "good", "--model", "models/small")
    assert (folder.exit_code, folder.stderr) == (2, "good: is a folder, and no campaign's; name its files (good/*)\n")
    files = [f"good/{i:02d}.dat" for i in range(5)]
    assert beamloop("classify", *files, "--model", "models/small", "--figure", "f.png").exit_code == 0
    assert Path("f.png").stat().st_size > 10_000
    # The same file twice is drawn twice.
    assert beamloop("classify", files[0], *files, "--model", "models/small", "--figure", "f.png").exit_code == 0
    refused = beamloop("classify", *files, "--model", "models/small", "--figure", "nowhere/f.png")
    assert "nowhere/f.png: cannot be written" in refused.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--model", "nothing"), "no model can be read from nothing.safetensors"),
        (("--model", "models/small", "--unit", "nm"), "--unit"),
        (("--model", "models/small", "--alpha", "2"), "--alpha"),
        (("--model", "models/small", "--columns", "q"), "--columns: expected names of q, I and if there is one σ"),
        (
            ("--model", "models/small", "--columns", "q,i"),
            "good/00.dat: has no column 'i'; there are columns 1 to 3, named q (1/nm), I (1/cm)",
        ),
        (("--model", "models/small", "--run", "1"), "good/00.dat: --run names runs of a Tiled catalogue"),
    ],
)
def test_bad_options(arguments: tuple[str, ...], message: str) -> None:
    result = beamloop("classify", "good/00.dat", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert "Traceback" not in result.stderr


def test_the_classifier_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BEAMLOOP_CLASSIFIER", "models/small")
    assert beamloop("classify", "good/00.dat").exit_code == 0


def test_columns_by_name_and_number() -> None:
    values = np.loadtxt("good/00.dat")
    np.savetxt("mixed.csv", values[:, [2, 0, 1]], header="err,q (1/nm),I", delimiter=",", comments="")
    (usual,) = json.loads(beamloop("classify", "good/00.dat", "--model", "models/small", "--json").stdout)["curves"]
    for columns in (None, "q (1/nm),I,err", "q,I,err", "2,3,1"):
        option = () if columns is None else ("--columns", columns)
        result = beamloop("classify", "mixed.csv", "--model", "models/small", "--json", *option)
        (curve,) = json.loads(result.stdout)["curves"]
        assert curve["probabilities"] == pytest.approx(usual["probabilities"])


def test_labels_that_are_alike_are_told_apart_and_taken_as_they_are() -> None:
    Path("more").mkdir(exist_ok=True)
    for name in ("more/00.dat", "[bold]x.dat"):
        Path(name).write_bytes(Path("good/00.dat").read_bytes())
    result = beamloop("classify", "good/00.dat", "more/00.dat", "[bold]x.dat", "--model", "models/small")
    assert result.exit_code == 0
    for label in ("good/00.dat", "more/00.dat", "[bold]x.dat"):
        assert label in result.stdout


def test_many_files_cost_no_more_each_and_one_model_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    from surrogates.saxs.model import SaxsClassifier

    load, calls = SaxsClassifier.load, []
    monkeypatch.setattr(SaxsClassifier, "load", lambda path: calls.append(path) or load(path))
    files = [f"good/{i % 25:02d}.dat" for i in range(300)]
    result = beamloop("classify", *files, "--model", "models/small", "--json")
    assert len(json.loads(result.stdout)["curves"]) == 300
    assert len(calls) == 1


@pytest.mark.parametrize("address", ["http://u:key@127.0.0.1:9", "http://127.0.0.1:9/api/v1?api_key=key"])
def test_a_key_in_an_address_is_refused_and_not_repeated(address: str) -> None:
    result = beamloop("classify", address, "--model", "models/small")
    assert result.exit_code == 2
    assert "expected it in the environment variable BEAMLOOP_TILED_API_KEY" in result.stderr
    assert "key@" not in result.stderr
    assert "=key" not in result.stderr


def answer(code: int) -> Exception:
    import httpx

    request = httpx.Request("GET", "http://there")
    return httpx.HTTPStatusError("no", request=request, response=httpx.Response(code, request=request))


def refusal(kind: str) -> Exception:
    import httpx

    return {
        "away": httpx.ConnectError("Connection refused"),
        "slow": httpx.ReadTimeout("timed out"),
        "no key": RuntimeError("This server requires API key authentication.\n   Set an api_key"),
        "no Tiled": json.JSONDecodeError("Expecting value", "<html>", 0),
    }.get(kind) or answer(int(kind))


@pytest.mark.parametrize(
    ("kind", "key", "message"),
    [
        ("away", "", "cannot be reached (Connection refused)."),
        ("slow", "", "cannot be reached (timed out)."),
        ("no key", "", "no key is in the environment variable BEAMLOOP_TILED_API_KEY, and the server wants one."),
        ("401", "wrong", "the key in the environment variable BEAMLOOP_TILED_API_KEY is refused."),
        ("404", "", "there is nothing here; expected the address of a node of a Tiled server."),
        ("500", "", "the server answers 500; expected the address of a node of a Tiled server."),
        ("no Tiled", "", "is no Tiled server: expected JSON."),
    ],
)
def test_servers_that_do_not_answer(monkeypatch: pytest.MonkeyPatch, kind: str, key: str, message: str) -> None:
    def refuse(*_: object) -> None:
        raise refusal(kind)

    monkeypatch.setattr("loop.commands.classify_tiled.open_catalogue", refuse)
    monkeypatch.setenv("BEAMLOOP_TILED_API_KEY", key)
    result = beamloop("classify", "http://there:1", "good/00.dat", "--model", "models/small", "--json")
    assert (result.exit_code, result.stderr) == (2, f"http://there:1: {message}\n")
    assert len(json.loads(result.stdout)["curves"]) == 1

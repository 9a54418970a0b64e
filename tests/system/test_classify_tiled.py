"""`beamloop classify` reads from a real Tiled server: a campaign, one of its runs, other runs, arrays and tables."""

from __future__ import annotations

import gc
import json
import socket
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dask
import httpx
import numpy as np
import pandas as pd
import pytest
from bluesky.callbacks.tiled_writer import TiledWriter
from event_model import compose_run
from tiled.client import from_uri
from typer.testing import CliRunner, Result

from loop.catalogue import EMBEDDED, FOLDER_NAME, FRAMES_NAME, feed, open_catalogue
from loop.cli import app
from loop.commands.classify_campaign import read_campaign
from loop.commands.classify_inputs import Reading
from loop.commands.classify_tiled import read_node
from loop.history import read_history
from loop.journal import read_documents
from surrogates.saxs.model import Batch, SaxsClassifier
from surrogates.saxs.training import Training

KEY = "akeyfortests"
BOUND_S = 90
AT_ONCE = threading.Event()
AT_ONCE.set()
# Bluesky's writer calls Tiled's client in the former order of arguments.
pytestmark = [
    pytest.mark.filterwarnings("ignore:The order of arguments has changed:DeprecationWarning"),
    # A client that is refused by its server does not close its connection.
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
    pytest.mark.timeout(300),
]


@dataclass(frozen=True)
class Place:
    """A server that holds a campaign, and what else a beamline has there."""

    url: str
    campaign: Path
    model: Path

    def node(self, *path: str) -> str:
        """Address of a node."""
        return "/".join((self.url, "api/v1/metadata", *path))

    def classify(self, *arguments: str) -> Result:
        """Run the command."""
        return CliRunner().invoke(app, ["classify", *arguments, "--model", str(self.model)], catch_exceptions=False)

    def curves(self, *arguments: str) -> list[dict[str, Any]]:
        """Run the command; return what it finds."""
        result = self.classify(*arguments, "--json")
        assert result.exit_code == 0, result.stderr
        return json.loads(result.stdout)["curves"]


def a_classifier(path: Path) -> None:
    rng = np.random.default_rng(1)
    q = np.geomspace(0.003, 0.5, 100)
    labels = rng.integers(0, 2, 1600)
    clean = 1e-7 * q**-4 + 0.1 + labels[:, None] * np.exp(-((40 * q) ** 2) / 3) * rng.uniform(1, 30, (1600, 1))
    sigma = 0.03 * clean
    settings = Training(members=1, epochs=2, channels=(8, 8), hidden=(8,), batch_size=64, shape_presentations=20_000)
    noisy = clean + sigma * rng.standard_normal(clean.shape)
    SaxsClassifier.train([Batch(q, noisy, sigma, labels)], ("smooth", "knee"), settings).save(path)


@pytest.fixture(scope="module")
def place(
    zygote: Any, config_text: str, environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("classify_tiled")
    campaign = folder / "campaign"
    assert zygote("run", campaign, config=config_text.replace("points: 12", "points: 6"))["code"] == 0, zygote.log
    a_classifier(folder / "model")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "tiled", "serve", "catalog", "--temp", "--api-key", KEY, "--port", str(port)]
    with (folder / "server.log").open("wb") as log, pytest.MonkeyPatch.context() as patch:
        patch.setenv("BEAMLOOP_TILED_API_KEY", KEY)
        patch.setenv("TILED_RETRY_ATTEMPTS", "1")
        server = subprocess.Popen(
            [*command, "--read", str(campaign / FRAMES_NAME)], env=environment, stdout=log, stderr=log
        )
        try:
            answers = False
            deadline = time.monotonic() + BOUND_S
            while not answers:
                assert server.poll() is None, (folder / "server.log").read_text()
                assert time.monotonic() < deadline, (folder / "server.log").read_text()
                time.sleep(0.1)
                with suppress(httpx.HTTPError):
                    answers = httpx.get(f"{url}/healthz").status_code == 200
            assert feed(campaign, url, AT_ONCE) == 0
            yield Place(url, campaign, folder / "model")
        finally:
            server.terminate()
            server.wait(30)


@pytest.fixture
def client(place: Place) -> Iterator[Any]:
    node = from_uri(place.url, api_key=KEY)
    yield node
    node.context.close()


@pytest.fixture(autouse=True)
def connections_that_tiled_leaves_open() -> Iterator[None]:
    """They are to be closed before pytest looks for what was not."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


def test_a_campaign_on_the_server_is_what_its_folder_is(place: Place) -> None:
    here, there = place.curves(str(place.campaign)), place.curves(place.url)
    assert len(here) == 6
    for own, other in zip(here, there, strict=True):
        assert {**own, "name": ""} == {**other, "name": ""}
    # A source that fails takes nothing from the others.
    result = place.classify("nothing.dat", place.url)
    assert (result.exit_code, result.stderr) == (2, "nothing.dat: there is no such file\n")
    assert all(curve["suggestion_id"] in result.stdout for curve in here)
    names = {curve["name"] for curve in there}
    assert len(names) == 6
    assert all(name.startswith(f"{place.url}: small: point ") for name in names)


def test_runs_are_found_by_address_uid_scan_id_and_place(place: Place) -> None:
    history = read_history(read_documents(place.campaign))
    runs = [step.runs[-1][0][1] for step in history.steps]
    last = runs[-1]
    for arguments in (
        (place.node(last["uid"]),),
        (f"{place.url}/ui/browse/{last['uid']}",),
        (place.url, "--run", last["uid"]),
        (place.url, "--run", last["uid"][:8]),
        (place.url, "--run", str(last["scan_id"])),
        (place.url, "--run", "-1"),
    ):
        (curve,) = place.curves(*arguments)
        assert curve["run"] == last["uid"], arguments
        assert curve["suggestion_id"] == last["suggestion_id"]
    two = place.curves(place.url, "--run", runs[0]["uid"], "--run", runs[3]["uid"])
    assert [curve["iteration"] for curve in two] == [0, 3]


def test_an_embedded_catalogue_gives_the_same_curves(place: Place) -> None:
    assert feed(place.campaign, EMBEDDED, AT_ONCE) == 0
    assert (place.campaign / FOLDER_NAME).is_dir()
    expected, _ = read_campaign(place.campaign, Reading())
    with dask.config.set(scheduler="synchronous"), open_catalogue(place.campaign, EMBEDDED) as node:
        found, refused = read_node(node, "embedded", Reading())
    assert refused == []
    for own, other in zip(expected, found, strict=True):
        np.testing.assert_array_equal(own.read.curve.intensity, other.read.curve.intensity)
        np.testing.assert_array_equal(own.read.curve.sigma, other.read.curve.sigma)
        assert (own.label, own.origin) == (other.label, other.origin)


Q = np.geomspace(0.005, 0.4, 1200)  # so many that a printed array leaves some out
INTENSITY = 1e-7 * Q**-4 + 0.1 + 5 * np.exp(-((40 * Q) ** 2) / 3)
SIGMA = 0.03 * INTENSITY


def test_a_bluesky_run_whose_detector_reduces(place: Place, client: Any) -> None:
    run = compose_run()
    keys = {
        name: {"source": "det", "dtype": "array", "shape": [len(Q)], "dtype_numpy": "<f8", "units": unit}
        for name, unit in (("det_q", "1/nm"), ("det_i", "1/cm"), ("det_sigma", "1/cm"))
    }
    stream = run.compose_descriptor(name="primary", data_keys=keys)
    values = {"det_q": 10 * Q, "det_i": INTENSITY, "det_sigma": SIGMA}
    event = stream.compose_event(
        data={name: list(value) for name, value in values.items()}, timestamps=dict.fromkeys(values, 1.0)
    )
    writer = TiledWriter(client, batch_size=1)
    documents = (("start", run.start_doc), ("descriptor", stream.descriptor_doc), ("event", event))
    for name, doc in (*documents, ("stop", run.compose_stop())):
        writer(name, doc)
    uid = run.start_doc["uid"]
    np.savetxt(place.model.with_name("same.dat"), np.column_stack([Q, INTENSITY, SIGMA]), fmt="%.17g")
    (expected,) = place.curves(str(place.model.with_name("same.dat")))
    (curve,) = place.curves(place.node(uid))
    assert curve["probabilities"] == pytest.approx(expected["probabilities"], abs=1e-4)
    assert curve["run"] == uid
    assert curve["notes"] == ["q converted from 1/nm to 1/Å"]
    # Beside a campaign's runs, all of them are read, and runs without a curve are passed over.
    assert sum(found["run"] == uid for found in place.curves(place.url)) == 1
    client.delete_contents([uid], recursive=True, external_only=False)


def test_arrays_and_tables(place: Place, client: Any) -> None:
    folder = client.create_container("reduced")
    folder.write_table(
        pd.DataFrame({"Q": 10 * Q, "I(q)": INTENSITY, "dI": SIGMA}), key="t", metadata={"units": {"Q": "1/nm"}}
    )
    folder.write_table({"q": [list(Q), list(Q)], "i": [list(INTENSITY)] * 2, "sigma": [list(SIGMA)] * 2}, key="lists")
    folder.write_table(pd.DataFrame({"x": Q, "y": INTENSITY, "z": SIGMA}), key="odd")
    folder.write_array(np.stack([Q, INTENSITY, SIGMA]), key="matrix")
    arrays = folder.create_container("arrays")
    for name, values in (("q", Q), ("intensity", np.stack([INTENSITY] * 2)), ("sigma", np.stack([SIGMA] * 2))):
        arrays.write_array(values, key=name)
    try:
        expected = place.curves(place.node("reduced", "matrix"))[0]["probabilities"]
        for path, count in ((("t",), 1), (("lists",), 2), (("arrays",), 2), ((), 5)):
            found = place.curves(place.node("reduced", *path))
            assert len(found) == count, path
            for curve in found:
                assert curve["probabilities"] == pytest.approx(expected, abs=1e-4)
        (curve,) = place.curves(place.node("reduced", "odd"), "--columns", "x,y,z")
        assert curve["probabilities"] == pytest.approx(expected, abs=1e-4)
        result = place.classify(place.node("reduced", "odd"))
        assert result.exit_code == 2
        assert "there are x, y, z; name them with --columns" in result.stderr
    finally:
        client.delete_contents(["reduced"], recursive=True, external_only=False)


def test_what_cannot_be_read_gets_one_line(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    decisions = next(doc for name, doc in read_documents(place.campaign) if name == "start")
    for arguments, message in (
        ((place.node("nothing"),), f"{place.node('nothing')}: there is nothing here"),
        ((f"{place.url}/nothing",), "there is nothing here"),
        ((place.url, "--run", "99"), "found no run '99'"),
        ((place.url, "--run", "abcdef01"), "found no run 'abcdef01'"),
        ((place.node(decisions["uid"]),), "holds no curve"),
    ):
        result = place.classify(*arguments)
        assert result.exit_code == 2, arguments
        (line,) = result.stderr.splitlines()
        assert message in line
    monkeypatch.setenv("BEAMLOOP_TILED_API_KEY", "wrong")
    assert "BEAMLOOP_TILED_API_KEY is refused" in place.classify(place.url).stderr
    monkeypatch.delenv("BEAMLOOP_TILED_API_KEY")
    assert "no key is in the environment variable BEAMLOOP_TILED_API_KEY" in place.classify(place.url).stderr

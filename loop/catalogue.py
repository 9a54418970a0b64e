"""Feed a campaign's journal into a Tiled catalogue, from a process of its own.

The journal is the truth; the catalogue follows it. So a catalogue that is slow, dead or behind delays nothing and loses
nothing: at every start the feeder compares both, replaces runs that are incomplete and then follows the growing file.

Run as ``python -m loop.catalogue FOLDER TARGET``; it ends when its standard input closes (also when its parent was
killed) and everything that was written until then is in the catalogue.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import shutil
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from loop.errors import JournalError
from loop.journal import FILE_NAME

EMBEDDED = "embedded"
FOLDER_NAME = "catalog"
FRAMES_NAME = "frames"
LOCK_NAME = "lock"
PLACE_NAME = "place"
"""File of an embedded catalogue that says where it was made; written last."""
LOG_NAME = "catalogue.log"
KEY_VARIABLE = "BEAMLOOP_TILED_API_KEY"
POLL_S = 0.1
PASSES = 2
"""How often a run that could not be written is tried: a server may have been away for a while."""

log = logging.getLogger(__name__)


class Feeder:
    """The feeder's process, as the campaign's process sees it.

    Parameters
    ----------
    folder
        The campaign's folder.
    target
        ``"embedded"`` for a catalogue in the folder itself (SQLite, DuckDB and files), or the URI of a Tiled server,
        whose key is taken from the environment variable ``BEAMLOOP_TILED_API_KEY``.
    """

    def __init__(self, folder: Path, target: str = EMBEDDED) -> None:
        self.folder = folder
        with (folder / LOG_NAME).open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "loop.catalogue", str(folder), target],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                # Ctrl-C is for the campaign alone; the feeder ends by itself.
                start_new_session=True,
            )

    def finish(self, timeout_s: float = 120.0) -> str | None:
        """Let it catch up and end; return what went wrong, in words, or None."""
        assert self._process.stdin is not None  # noqa: S101 - for the type checker
        self._process.stdin.close()
        try:
            code = self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return (
                f"the Tiled catalogue is still catching up after {timeout_s:.0f} s; it goes on by itself, "
                f"see {self.folder / LOG_NAME}"
            )
        if code:
            return (
                f"the Tiled catalogue is incomplete (its feeder ended with code {code}, see {self.folder / LOG_NAME}). "
                f"The journal is complete; to fill the catalogue from it: beamloop catalogue {self.folder}"
            )
        return None

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()
        self._process.wait()


def follow(path: Path, ended: threading.Event) -> Iterator[tuple[str, dict[str, Any]] | None]:
    """Yield whole lines of a growing journal, None whenever it has been read to its present end.

    Stops at the end of the file once `ended` is set.
    """
    with path.open("rb") as file:
        rest = b""
        while True:
            last_round = ended.is_set()
            chunk = file.read(1 << 20)
            if chunk:
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    name, doc = json.loads(line)
                    yield name, doc
                continue
            yield None
            if last_round:
                return
            # A line that was torn by a kill is cut off at resume: read from the last whole line on again.
            file.seek(-len(rest), os.SEEK_CUR)
            rest = b""
            ended.wait(POLL_S)


@contextmanager
def open_catalogue(folder: Path, target: str) -> Iterator[Any]:
    """Yield a Tiled client of the campaign's catalogue; for ``embedded`` the server lives in this process."""
    os.environ.setdefault("TILED_RETRY_ATTEMPTS", "3")
    os.environ.setdefault("TILED_RETRY_TIMEOUT", "5")
    if target != EMBEDDED:
        from tiled.client import from_uri

        yield from_uri(target, api_key=os.environ.get(KEY_VARIABLE))
        return
    import secrets

    with warnings.catch_warnings():
        # Tiled reaches its own server through Starlette's test client, which would like another HTTP library.
        warnings.filterwarnings("ignore", message="Using `httpx` with `starlette.testclient`")
        import starlette.testclient  # noqa: F401
    from tiled.catalog import from_uri as catalog_from_uri
    from tiled.client import Context, from_context
    from tiled.config import Authentication
    from tiled.server.app import build_app

    root = folder.absolute() / FOLDER_NAME
    (root / "data").mkdir(parents=True, exist_ok=True)
    frames = folder.absolute() / FRAMES_NAME
    frames.mkdir(exist_ok=True)
    note = root / PLACE_NAME
    tree = catalog_from_uri(
        str(root / "catalog.db"),
        writable_storage=[str(root / "data"), f"duckdb:///{root / 'tables.duckdb'}"],
        readable_storage=[str(frames)],
        init_if_not_exists=not note.exists(),  # it takes a process of its own, and seconds
    )
    if not note.exists():
        note.write_text(str(root))
    key = secrets.token_hex(16)
    app = build_app(tree, authentication=Authentication(single_user_api_key=key))
    with Context.from_app(app, api_key=key) as context:
        yield from_context(context)


class _Runs:
    """Sorts documents by run and passes them to one TiledWriter each, leaving out what the catalogue has already."""

    def __init__(self, client: Any, frames: Path) -> None:
        self.client = client
        self.frames = frames
        self._run_of: dict[str, str] = {}
        self._writers: dict[str, Any] = {}
        self.written = 0
        self.failed: set[str] = set()

    def __call__(self, name: str, doc: Mapping[str, Any]) -> None:
        from bluesky.callbacks.tiled_writer import TiledWriter

        if name == "start":
            uid = doc["uid"]
            if uid in self.client:
                if "stop" in self.client[uid].metadata:
                    return
                self.client.delete_contents([uid], recursive=True, external_only=False)
            # batch_size=1: otherwise events appear only when the run stops.
            self._writers[uid] = TiledWriter(self.client, batch_size=1)
        else:
            uid = (
                doc.get("run_start")
                or self._run_of.get(doc.get("stream_resource", ""))
                or self._run_of.get(doc.get("descriptor", ""), "")
            )
        if "uid" in doc:
            self._run_of[doc["uid"]] = uid
        writer = self._writers.get(uid)
        if writer is None:
            return
        try:
            writer(name, self._found_again(name, doc))
        except Exception:
            # The run stays incomplete in the catalogue and is replaced at the next start.
            log.exception("run %s, document %s", uid, name)
            self.failed.add(uid)
            del self._writers[uid]
            return
        self.written += 1
        if name == "stop":
            del self._writers[uid]

    def _found_again(self, name: str, doc: Mapping[str, Any]) -> dict[str, Any]:
        """Return the document; one that announces a frame says where it lies now (a campaign may have been moved)."""
        if name != "stream_resource":
            return dict(doc)
        file = self.frames / Path(unquote(urlsplit(doc["uri"]).path)).name
        return {**doc, "uri": f"file://localhost{quote(str(file))}"} if file.is_file() else dict(doc)


def _forget_another_place(root: Path) -> None:
    """Remove an embedded catalogue that was filled elsewhere (it names files by where they lay) or only half made."""
    note = root / PLACE_NAME
    if note.exists() and note.read_text() == str(root):
        return
    for path in root.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != LOCK_NAME:
            path.unlink()


def feed(folder: Path, target: str, ended: threading.Event) -> int:
    """Bring the catalogue up to date and keep it so until `ended` is set; return how many runs could not be written."""
    if not (folder / FILE_NAME).is_file():
        raise JournalError(f"{folder}: no campaign here: expected its journal {FILE_NAME}. Name the campaign's folder.")
    (folder / FOLDER_NAME).mkdir(exist_ok=True)
    with (folder / FOLDER_NAME / LOCK_NAME).open("w") as lock:
        # A feeder whose campaign was killed may still be catching up.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if target == EMBEDDED:
            _forget_another_place(folder.absolute() / FOLDER_NAME)
        for _ in range(PASSES):
            with open_catalogue(folder, target) as client:
                runs = _Runs(client, folder.absolute() / FRAMES_NAME)
                for item in follow(folder / FILE_NAME, ended):
                    if item is not None:
                        runs(*item)
            log.info("%d documents written, %d runs incomplete", runs.written, len(runs.failed))
            if not runs.failed:
                break
    return len(runs.failed)


def main() -> int:
    """Feed until standard input closes."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    folder, target = Path(sys.argv[1]), sys.argv[2]
    ended = threading.Event()

    def wait_for_parent() -> None:
        sys.stdin.buffer.read()
        ended.set()

    threading.Thread(target=wait_for_parent, daemon=True).start()
    os.nice(10)  # exposures and decisions come first
    deadline = None
    while True:
        try:
            return 1 if feed(folder, target, ended) else 0
        except Exception:
            # An unreachable server: the journal waits; try again while the campaign lives, then a little longer.
            log.exception("the catalogue %s cannot be reached; trying again in 5 s", target)
            if ended.is_set():
                deadline = deadline or time.monotonic() + 20
                if time.monotonic() > deadline:
                    return 2
            time.sleep(5)


if __name__ == "__main__":
    sys.exit(main())

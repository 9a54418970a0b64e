"""A process that has loaded everything and forks a child for each job, so that a child starts in an instant.

Jobs come as lines of JSON on standard input; how each child ended goes as one line of JSON to standard output. A child
runs a real campaign, and may be told where to die.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import traceback
import types
from pathlib import Path

import torch

import instruments.frames
import loop.findings
import loop.journal
import loop.report
import loop.run
from loop.compose import compose
from loop.config import parse_config
from loop.modelerror import ModelError
from loop.warmup import warm_up


class Deadly(types.ModuleType):
    """Stands in for `os` in one module: the n-th call of one function is the process's last."""

    def __init__(self, function: str, n: int, last: object) -> None:
        super().__init__("os")
        self._function, self._left, self._last = function, n, last

    def __getattr__(self, name: str) -> object:
        if name != self._function:
            return getattr(os, name)

        def call(*args: object) -> object:
            self._left -= 1
            if self._left == 0:
                self._last(*args)
                die()
            return getattr(os, name)(*args)

        return call


def die() -> None:
    """End as `kill -9` does."""
    os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)


def half_a_line(fd: int, data: bytes) -> None:
    os.write(fd, bytes(data)[: max(1, len(data) // 2)])


def half_a_frame(fd: int) -> None:
    os.ftruncate(fd, os.fstat(fd).st_size // 2)


PLACES = {
    "half a document is written": lambda n: (loop.journal, Deadly("write", n, half_a_line)),
    "a document is written, but nobody knows": lambda n: (loop.journal, Deadly("write", n, os.write)),
    "half a frame is written": lambda n: (instruments.frames, Deadly("fsync", 2 * n - 1, half_a_frame)),
    "a frame is written, but no event": lambda n: (instruments.frames, Deadly("replace", n, os.replace)),
    "the campaign file is written": lambda n: (loop.run, Deadly("fsync", n, os.fsync)),
    "the journal is there, but empty": lambda n: (loop.journal, Deadly("open", n, os.open)),
}


def run(job: dict) -> object:
    folder = Path(job["folder"])
    if where := job.get("die"):
        module, deadly = PLACES[where](job["n"])
        module.os = deadly
    match job["do"]:
        case "run":
            result = loop.run.run_campaign(parse_config(job["config"], name="test"), folder, progress=False)
        case "resume":
            result = loop.run.resume_campaign(folder, progress=False)
        case "report":
            return str(loop.run.write_report(folder))
    return [result.exit_code, result.stop_reason]


def child(job: dict) -> None:
    log = os.open(job["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    code = 1
    try:
        Path(job["result"]).write_text(json.dumps(run(job)))
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def supervise(job: dict) -> dict:
    """Fork the child, kill it when its time has come, and say how it ended."""
    began = time.monotonic()
    pid = os.fork()
    if pid == 0:
        child(job)
    deadline = began + job["timeout_s"]
    kill_at = began + job.get("kill_after_s", job["timeout_s"])
    while True:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return {"code": os.waitstatus_to_exitcode(status), "seconds": time.monotonic() - began}
        now = time.monotonic()
        if now >= min(kill_at, deadline):
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return {"code": -9 if now < deadline else "timed out", "seconds": now - began}
        time.sleep(0.001)


def main() -> None:
    """Serve until standard input closes."""
    torch.set_num_threads(1)
    warm = json.loads(sys.stdin.readline())
    config = parse_config(warm["config"], name="test")
    parts = compose(config, Path(warm["folder"]))
    warm_up(parts.new_agent(), ModelError(parts.experiment, is_map=False))
    threads = os.listdir("/proc/self/task")
    assert len(threads) == 1, "a process with threads must not be forked"
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        print(json.dumps(supervise(json.loads(line))), flush=True)


main()

"""How fast curves are classified, from q, I and σ to class, posterior and novelty.

Measured in a process of its own: its memory is that of classifying alone.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import resource
import statistics
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch

from surrogates.saxs.model import SaxsClassifier

BATCH = 500
"""Curves of a batch: what fits the caches. Memory is that of a few batches, however many curves there are."""
_REPEATS = 101
_MODEL: SaxsClassifier | None = None

Arrays = tuple[np.ndarray, np.ndarray, np.ndarray]
"""q ``(k,)``, I and σ ``(n, k)``."""


def speed(path: Path, arrays: Arrays, curves: int) -> dict[str, Any]:
    """Measure one curve, and many."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context, initializer=_leave_with, initargs=(os.getpid(),)) as pool:
        return pool.submit(_measured, path, arrays, curves).result()


def _measured(path: Path, arrays: Arrays, curves: int) -> dict[str, Any]:
    model = SaxsClassifier.load(path)
    return one_curve(model, arrays) | many_curves(model, path, arrays, curves)


def one_curve(model: SaxsClassifier, arrays: Arrays) -> dict[str, float]:
    """Return the median of rebinning and classifying one curve, posterior included; one thread.

    ``ms_per_curve`` is wall time, ``processor_ms_per_curve`` leaves out waiting for other programs.
    """
    q, intensity, sigma = arrays
    wall, processor = [], []
    with _threads(1):
        for repeat in range(_REPEATS + 1):
            i = repeat % len(intensity)
            began = time.perf_counter(), time.process_time()
            model.classify(model.gridded(q, intensity[i], sigma[i]))
            wall.append(time.perf_counter() - began[0])
            processor.append(time.process_time() - began[1])
    return {
        "ms_per_curve": round(1e3 * statistics.median(wall[1:]), 2),
        "processor_ms_per_curve": round(1e3 * statistics.median(processor[1:]), 2),
    }


def many_curves(model: SaxsClassifier, path: Path, arrays: Arrays, curves: int) -> dict[str, Any]:
    """Return curves per second, wall time, on two cores in three ways, and of one core.

    ``processes``
        Two, each with a classifier of its own and one thread; curves are sent to them. Their start is not counted
        (``start_s``).
    ``threads``
        Two Python threads share the classifier, torch has one thread for each.
    ``torch``
        One Python thread, torch has two.
    ``one_core``, ``one_core_processor``
        One thread, by the clock and by the processor: the latter leaves out waiting for other programs.
    """
    q, intensity, sigma = arrays
    starts = range(0, curves, BATCH)

    def batch(start: int) -> Arrays:
        rows = np.arange(start, min(start + BATCH, curves)) % len(intensity)
        return q, intensity[rows], sigma[rows]

    rates: dict[str, float] = {}
    with _threads(1):
        few = range(0, max(curves // 4, BATCH), BATCH)
        began = time.process_time()
        rates["one_core"] = _rate(lambda: [_classified(model, batch(s)) for s in few])
        rates["one_core_processor"] = len(few) * BATCH / (time.process_time() - began)
        with ThreadPoolExecutor(2) as pool:
            rates["threads"] = _rate(lambda: _ahead(lambda s: pool.submit(_classified, model, batch(s)), starts))
    with _threads(2):
        rates["torch"] = _rate(lambda: [_classified(model, batch(s)) for s in starts])
    began = time.perf_counter()
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, mp_context=context, initializer=_load, initargs=(path, os.getpid())) as workers:
        # Twice as many as workers, so that both have begun.
        _ahead(lambda s: workers.submit(_in_process, batch(s)), range(0, 4 * BATCH, BATCH))
        start = time.perf_counter() - began
        rates["processes"] = _rate(lambda: _ahead(lambda s: workers.submit(_in_process, batch(s)), starts))
        peaks = dict(workers.submit(_peak_mb).result() for _ in range(20))
    two = {name: rate for name, rate in rates.items() if not name.startswith("one_core")}
    best = max(two, key=lambda name: two[name])
    return {
        "curves_per_s": round(two[best]),
        "best_way": best,
        "rates": {name: round(rate) for name, rate in rates.items()},
        "start_s": round(start, 1),
        "speed_curves": curves,
        "peak_mb": round(_peak_mb()[1] + (2 * max(peaks.values()) if best == "processes" else 0)),
    }


def _peak_mb() -> tuple[int, float]:
    """Id of this process and its largest memory."""
    with contextlib.suppress(OSError):
        # `resource` gives that of the parent where it was larger when this process began.
        for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return os.getpid(), int(line.split()[1]) / 1024
    return os.getpid(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _rate(work: Callable[[], list[int]]) -> float:
    began = time.perf_counter()
    done = sum(work())
    return done / (time.perf_counter() - began)


def _ahead(submit: Callable[[int], Future[int]], starts: range) -> list[int]:
    """Keep four batches under way, no more: memory stays bounded."""
    waiting: list[Future[int]] = []
    done = []
    for start in starts:
        if len(waiting) == 4:
            done.append(waiting.pop(0).result())
        waiting.append(submit(start))
    return done + [future.result() for future in waiting]


def _classified(model: SaxsClassifier, arrays: Arrays) -> int:
    return len(model.classify(model.gridded(*arrays)))


def _leave_with(parent: int) -> None:
    """End this process when its parent has: a pool's workers outlive a parent that was killed."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1.0)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _load(path: Path, parent: int) -> None:
    global _MODEL
    _leave_with(parent)
    torch.set_num_threads(1)
    _MODEL = SaxsClassifier.load(path)


def _in_process(arrays: Arrays) -> int:
    assert _MODEL is not None
    return _classified(_MODEL, arrays)


class _threads:  # noqa: N801
    """Torch's threads for a while."""

    def __init__(self, number: int) -> None:
        self._number = number

    def __enter__(self) -> None:
        self._before = torch.get_num_threads()
        torch.set_num_threads(self._number)

    def __exit__(self, *_: object) -> None:
        torch.set_num_threads(self._before)

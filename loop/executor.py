"""A RunEngine of one's own, and the end of it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from bluesky import RunEngine
from bluesky.run_engine import SigintHandler


@contextmanager
def run_engine(*callbacks: Callable[[str, Any], None]) -> Iterator[RunEngine]:
    """Lend a RunEngine whose calls return a result object, and leave no thread, loop or paused plan behind.

    Parameters
    ----------
    callbacks
        Subscribed to all documents, in this order.
    """
    # Signals reach the main thread only.
    managers = [SigintHandler] if threading.current_thread() is threading.main_thread() else []
    engine = RunEngine({}, context_managers=managers, call_returns_result=True)
    for callback in callbacks:
        engine.subscribe(callback)
    try:
        yield engine
    finally:
        if engine.state == "paused":
            engine.abort("left paused")
        engine.loop.call_soon_threadsafe(engine.loop.stop)
        engine._th.join(10)
        if not engine.loop.is_running():
            engine.loop.close()

"""Work in other threads, waited for without blocking the RunEngine: pause, abort and suspenders act at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from typing import Any, TypeVar

import bluesky.plan_stubs as bps
from bluesky.utils import MsgGenerator

T = TypeVar("T")


def in_thread(function: Callable[..., T], *args: Any) -> Future[T]:
    """Call a function in a thread of its own."""
    future: Future[T] = Future()

    def work() -> None:
        try:
            result = function(*args)
        except Exception as error:
            future.set_exception(error)
        else:
            future.set_result(result)

    Thread(target=work, name=f"beamloop-{getattr(function, '__name__', 'work')}").start()
    return future


def settle(future: Future[Any]) -> MsgGenerator[None]:
    """Plan stub that waits until the future has a result or an error."""

    async def done() -> None:
        await asyncio.wait([asyncio.wrap_future(future)])

    if not future.done():
        yield from bps.wait_for([done])

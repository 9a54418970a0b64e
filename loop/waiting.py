"""How a campaign's plan waits: for a person after trouble, for guards, for results of other threads."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Protocol, TypeVar

import bluesky.plan_stubs as bps
from bluesky.utils import MsgGenerator

from loop.progress import Progress
from loop.threads import in_thread, settle

T = TypeVar("T")


class Guard(Protocol):
    """Something that may forbid the next exposure: a full disk, say."""

    def __call__(self) -> str | None:
        """Return why the campaign must pause now, or None."""
        ...


class Waiting:
    """Plan stubs that wait without blocking the RunEngine.

    Parameters
    ----------
    progress
        Is told of pauses.
    on_pause
        Hears why the plan is about to pause by itself.
    guards
        Asked before each exposure.
    """

    def __init__(self, progress: Progress, on_pause: Callable[[str], None], guards: tuple[Guard, ...]) -> None:
        self.progress = progress
        self.on_pause = on_pause
        self.guards = guards

    def pause(self, why: str) -> MsgGenerator[None]:
        """Pause until a person resumes."""
        self.progress.paused(why)
        self.on_pause(why)
        yield from bps.checkpoint()
        yield from bps.pause()

    def for_guards(self) -> MsgGenerator[None]:
        """Pause as long as a guard forbids to go on."""
        for guard in self.guards:
            while (why := guard()) is not None:
                yield from self.pause(why)

    def for_result(self, future: Future[T], doing: str) -> MsgGenerator[T | None]:
        """Wait for a result; an error pauses the campaign and gives None once it is resumed."""
        yield from settle(future)
        error = future.exception()
        if error is None:
            return future.result()
        yield from self.pause(f"{doing} failed: {type(error).__name__}: {error}")
        return None

    def until_it_works(self, compute: Callable[[], T], doing: str) -> MsgGenerator[T]:
        """Compute in a thread, again and again; every error pauses the campaign. The result must not be None."""
        while True:
            result = yield from self.for_result(in_thread(compute), doing)
            if result is not None:
                return result

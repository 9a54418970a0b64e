"""Where the decision side's random numbers come from: one campaign seed, split by key, never the global state."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

FIT, ACQUIRE, REFERENCE, INITIAL, OPTIMISE = range(5)
"""What a random stream is for: the last part of its key."""

_GLOBAL_STATE = threading.RLock()


def derive(seed: int, *key: int) -> int:
    """Return a seed that depends on the campaign's seed and the key alone, in ``[0, 2**32)``.

    Streams of different keys are independent (`numpy.random.SeedSequence`).
    """
    return int(np.random.SeedSequence([seed, *key]).generate_state(1)[0])


@contextmanager
def isolated(seed: int) -> Iterator[None]:
    """Run code that may draw from torch's global generator as if that generator were its own.

    Our own code never draws from it, but BoTorch (retries of a fit, samplers without a seed) and plug-ins do. Inside
    the block the global generator starts from `seed`; afterwards it stands as it stood before. A lock keeps two agents
    in two threads apart; a thread that draws from the global generator without it at the same moment is not kept apart.
    """
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_initialized() else []
    with _GLOBAL_STATE, torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield

"""Loading what loads late before the beam is used, instead of while it waits."""

from __future__ import annotations

import math

from loop.agent import Agent
from loop.modelerror import ModelError
from loop.records import Observation, Status


def warm_up(agent: Agent, error: ModelError) -> None:
    """Take one decision on made-up outcomes and look up the truth once.

    The first fit, the first acquisition and the first reduction of a process take seconds longer than the next ones.

    Parameters
    ----------
    agent
        A scratch agent, set up like the campaign's; it is of no use afterwards.
    error
        The campaign's own.
    """
    error.prepare(agent)
    for k in range(agent.n_initial + 1):
        if agent.remaining == 0:
            return
        (suggestion,) = agent.suggest(1)
        values = {name: math.sin(1.7 * k + i) for i, name in enumerate(agent.observables)}
        sds = dict.fromkeys(agent.observables, 0.1)
        agent.ingest(Observation(suggestion.id, suggestion.point, Status.MEASURED, values, sds))
    agent.suggest(1)

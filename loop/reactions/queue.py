"""The rules of a campaign at work: outcomes go in, alerts and suggestions of follow-ups come out."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from loop.acquisition.registry import blame
from loop.agent import Agent
from loop.errors import PluginError
from loop.reactions.contract import FollowUp, ReactionError, Situation
from loop.reactions.rules import Rule
from loop.records import Alert, Cause, Observation, Origin, Point, Suggestion


@dataclass(frozen=True)
class _Waiting:
    """A follow-up that has not been suggested yet."""

    point: Point
    exposure_factor: float
    cause: Cause
    again: bool
    """Whether it is a remeasurement."""


class Reactions:
    """A campaign's rules and the follow-ups that wait; the contract is that of `loop.reactions`.

    Its state is a function of what it was told, in order, through `hear`, `suggest` and `took`.

    Parameters
    ----------
    agent
        Whose outcomes these are. It is asked what is taken, and enters the follow-ups.
    rules
        In the order in which they are asked.
    exposure_s
        The campaign's exposure time; None where the experiment cannot expose longer.

    Raises
    ------
    ReactionError
        Two rules have one name, or one looks at an observable that the campaign lacks.
    """

    def __init__(self, agent: Agent, rules: Sequence[Rule] = (), exposure_s: float | None = None) -> None:
        self.agent = agent
        self.rules = tuple(rules)
        self.exposure_s = exposure_s
        self._queue: list[_Waiting] = []
        self._reacted: Counter[str] = Counter()
        names = [rule.name for rule in self.rules]
        if len(set(names)) < len(names):
            raise ReactionError(f"names of reactions must be distinct, got {names}")
        for rule in self.rules:
            if rule.when.observable not in agent.observables:
                raise ReactionError(
                    f"reaction {rule.name!r} looks at {rule.when.observable!r}, the campaign observes "
                    f"{', '.join(agent.observables)}"
                )

    @property
    def waiting(self) -> int:
        """How many follow-ups wait."""
        return len(self._queue)

    def hear(self, suggestion: Suggestion, observation: Observation) -> list[Alert]:
        """Take note of an outcome that the agent has ingested; return the alerts that it raises.

        Raises
        ------
        PluginError
            A reaction that is not ours failed, or gave what is no follow-up; names it. Nothing is noted then.
        """
        alerts: list[Alert] = []
        queued: list[_Waiting] = []
        reacting: list[str] = []
        for rule in self.rules:
            if not rule.when.holds(observation):
                continue
            wanted: list[_Waiting] = []
            if self._reacted[rule.name] < rule.at_most:
                wanted = self._wanted(rule, suggestion, observation, queued)
            queued += wanted
            if wanted:
                reacting.append(rule.name)
            name = rule.when.observable
            alerts.append(
                Alert(
                    suggestion.id,
                    rule.name,
                    name,
                    observation.values[name],
                    observation.sds.get(name, math.nan),
                    rule.when.side,
                    rule.when.threshold,
                    len(wanted),
                )
            )
        self._queue += queued
        self._reacted.update(reacting)
        return alerts

    def suggest(self) -> Suggestion | None:
        """Let the agent enter the next follow-up; return it, or None if none waits that can still be measured."""
        situation = Situation.of(self.agent)
        while self._queue:
            first = self._queue[0]
            if first.again or situation.free(first.point):
                exposure_s = None if self.exposure_s is None else self.exposure_s * first.exposure_factor
                suggestion = self.agent.add(
                    first.point, cause=first.cause, exposure_s=None if first.exposure_factor == 1 else exposure_s
                )
                del self._queue[0]
                return suggestion
            del self._queue[0]
        return None

    def took(self, suggestion: Suggestion) -> None:
        """Take note of a suggestion that a journal tells of: the queue becomes what it was after that decision."""
        if suggestion.origin is Origin.MANUAL:
            return  # entered, not decided
        if suggestion.origin is not Origin.REACTION:
            # Follow-ups go first: those that waited then could not be measured any more.
            self._queue.clear()
            return
        for place, waiting in enumerate(self._queue):
            if waiting.cause == suggestion.cause and dict(waiting.point) == dict(suggestion.point):
                del self._queue[: place + 1]
                return

    def _wanted(
        self, rule: Rule, suggestion: Suggestion, observation: Observation, queued: Sequence[_Waiting]
    ) -> list[_Waiting]:
        """Ask a reaction, and leave out what cannot be measured."""
        cause = Cause(suggestion.id, rule.name)
        before = [waiting.point for waiting in (*self._queue, *queued) if not waiting.again]
        situation = Situation.of(self.agent, before)
        with blame(rule.do, f"reacting to {suggestion.id}"):
            asked = list(rule.do(suggestion, observation, situation))
        wanted: list[_Waiting] = []
        for follow_up in asked:
            if not isinstance(follow_up, FollowUp):
                raise PluginError(
                    f"reaction {rule.name!r}: expected a sequence of loop.reactions.FollowUp, got one of "
                    f"{type(follow_up).__name__}"
                )
            self._check_exposure(rule, follow_up)
            again = dict(follow_up.point) == dict(suggestion.point)
            if again:
                twice = any(w.again and w.cause.suggestion_id == suggestion.id for w in (*queued, *wanted))
                usable = not (twice or self._is_remeasurement(suggestion))
            else:
                usable = situation.free(follow_up.point)
            if usable:
                point = situation.space.validate(follow_up.point)
                situation = situation if again else replace(situation, taken=(*situation.taken, point))
                wanted.append(_Waiting(point, follow_up.exposure_factor, cause, again))
        return wanted

    def _check_exposure(self, rule: Rule, follow_up: FollowUp) -> None:
        factor = follow_up.exposure_factor
        if not 0 < factor < math.inf or (factor != 1 and self.exposure_s is None):
            raise PluginError(
                f"reaction {rule.name!r}: asks for {factor!r} times the exposure; "
                + ("this experiment cannot expose longer" if 0 < factor < math.inf else "expected a number above 0")
            )

    def _is_remeasurement(self, suggestion: Suggestion) -> bool:
        if suggestion.cause is None:
            return False
        first = next((s for s in self.agent.suggestions if s.id == suggestion.cause.suggestion_id), None)
        return first is not None and dict(first.point) == dict(suggestion.point)

"""The campaign as a Bluesky plan: suggest, measure, evaluate, ingest, until a stopping rule speaks.

The next decision is taken in a worker thread while the current point is being measured; the point in flight is
pending for it. So the decision for point k is a function of the outcomes up to k - 2 and of point k - 1 being under
way, whatever the timing: that is what makes a resumed campaign suggest what an uninterrupted one would have suggested.

A decision takes the first follow-up that waits, if there is one (`loop.reactions`). What follows from the outcome of
point k waits from then on: point k + 1 has been decided by then, so that k + 2 is the first that can be a follow-up.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
from bluesky.utils import MsgGenerator

from loop.agent import Agent
from loop.decisions import Decisions
from loop.errors import JournalError
from loop.history import History, Step
from loop.measuring import Measuring
from loop.progress import NullProgress, Progress
from loop.protocols import Experiment
from loop.reactions import Reactions, Rule
from loop.records import Alert, Observation, Status, Suggestion
from loop.stopping import StoppingRule, StopState
from loop.threads import settle
from loop.waiting import Guard, Waiting
from loop.wording import alerted

__all__ = ["Campaign", "Guard"]


@dataclass(frozen=True)
class Campaign:
    """Everything that one campaign consists of; call `plan` and hand the result to a RunEngine."""

    agent: Agent
    experiment: Experiment
    stopping: StoppingRule
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """Goes into the start document of every run."""
    attempts: int = 2
    """How often a point is tried before it counts as rejected or failed."""
    failures_in_a_row: int = 3
    """After so many points that could not be measured, the campaign pauses instead of burning through the space."""
    progress: Progress = field(default_factory=NullProgress)
    guards: tuple[Guard, ...] = ()
    model_error: Callable[[Agent], float | None] = lambda agent: None
    """Error of the current model where the truth is known; computed in the worker."""
    on_pause: Callable[[str], None] = lambda why: None
    """Hears why the plan is about to pause by itself."""
    history: History | None = None
    """What an earlier process left, to be continued."""
    reactions: Sequence[Rule] = ()
    """What it does by itself when an outcome crosses a threshold."""
    exposure_s: float | None = None
    """Exposure time, s, of which reactions ask multiples; None where the experiment cannot expose longer."""

    def plan(self) -> MsgGenerator[str]:
        """Return the plan; it returns the reason why the campaign ended."""
        return (yield from _Run(self).plan())


class _Run:
    """One execution of a campaign's plan: the state that the plan needs while it runs."""

    def __init__(self, campaign: Campaign) -> None:
        self.campaign = campaign
        self.agent = campaign.agent
        self.progress = campaign.progress
        self.decisions = Decisions(campaign.experiment.observables)
        self.reactions = Reactions(campaign.agent, campaign.reactions, campaign.exposure_s)
        self.waiting = Waiting(campaign.progress, campaign.on_pause, campaign.guards)
        self.measuring = Measuring(
            campaign.experiment,
            self.waiting,
            campaign.progress,
            metadata=campaign.metadata,
            attempts=campaign.attempts,
            history=campaign.history,
        )
        self.elapsed_before = campaign.history.elapsed_s if campaign.history else 0.0
        self.started = time.monotonic()
        self.error: float | None = None
        self.failures = 0
        self.at_most = {rule.name: rule.at_most for rule in campaign.reactions}
        self.noted: Counter[str] = Counter()
        """Alerts raised by this process, by reaction."""

    def plan(self) -> MsgGenerator[str]:
        worker = ThreadPoolExecutor(1, thread_name_prefix="beamloop-decision")
        try:
            token = yield from bps.subscribe("all", self.measuring.collector)
            yield from self.decisions.open({**self.campaign.metadata, **self.measuring.metadata(None)})
            reason = yield from bpp.finalize_wrapper(self._prepared(worker), self.campaign.experiment.finish)
            yield from self.decisions.close(reason)
            yield from bps.unsubscribe(token)
        finally:
            # Never wait here: this runs on the RunEngine's loop.
            worker.shutdown(wait=False, cancel_futures=True)
        return reason

    def _prepared(self, worker: Executor) -> MsgGenerator[str]:
        yield from self.measuring.prepare()
        return (yield from self._loop(worker))

    def _loop(self, worker: Executor) -> MsgGenerator[str]:
        upcoming: Future[list[Suggestion]] | None = None
        step = yield from self._rebuild()
        self.measuring.beam_free = time.monotonic()
        while True:
            if step is None:
                if upcoming is None:
                    reason = self.campaign.stopping.reason(self._state(in_flight=0))
                    if reason is not None:
                        return reason
                    upcoming = worker.submit(self._decide)
                suggestions = yield from self.waiting.for_result(upcoming, "deciding on the next point")
                upcoming = None
                if suggestions is None:
                    continue
                if not suggestions:
                    if self.reactions.waiting:
                        continue  # follow-ups of an outcome that came after that decision
                    return "every sample of the pool has been taken"
                (suggestion,) = suggestions
                idle_s = time.monotonic() - self.measuring.beam_free
                yield from self.decisions.suggestion(suggestion, idle_s=idle_s)
                step = Step(suggestion, idle_s=idle_s)
                self.progress.suggested(suggestion)
            self.agent.register(step.suggestion)
            if self.campaign.stopping.reason(self._state(in_flight=1)) is None:
                upcoming = worker.submit(self._decide)
            known = step.observation
            observation = known
            if observation is None:
                observation = yield from self.measuring.finish(step)
                yield from self.decisions.outcome(observation)
            if upcoming is not None:
                # The agent must not learn of this outcome before that decision is taken.
                yield from settle(upcoming)
            self.agent.ingest(observation)
            self.progress.finished(step.suggestion, observation, idle_s=step.idle_s, model_error=self.error)
            yield from self._react(step.suggestion, observation)
            step = None
            if known is None:
                # Not for what an earlier process saw fail: whoever resumed has looked.
                yield from self._pause_if_failing(observation)

    def _rebuild(self) -> MsgGenerator[Step | None]:
        """Replay what the journal tells; return the last step, which the loop takes up where it was left.

        Outcomes are told where they came between the decisions, so that reactions see what they saw then.
        """
        steps = self.campaign.history.steps if self.campaign.history else ()
        told = 0
        for number, step in enumerate(steps):
            for earlier in steps[told : min(step.suggestion.based_on, number)]:
                yield from self._tell(earlier)
                told += 1
            self.agent.register(step.suggestion)
            self.reactions.took(step.suggestion)
        for earlier in steps[told:-1]:
            yield from self._tell(earlier)
        return steps[-1] if steps else None

    def _tell(self, step: Step) -> MsgGenerator[None]:
        """Tell an outcome of the journal again."""
        if step.observation is None:
            raise JournalError(
                f"the journal holds point {step.suggestion.iteration} ({step.suggestion.id}) without an outcome before "
                "a later one: it was not written by one campaign."
            )
        self.agent.ingest(step.observation)
        self.progress.finished(step.suggestion, step.observation, idle_s=step.idle_s, model_error=None)
        yield from self._heard(step.suggestion, step.observation)

    def _decide(self) -> list[Suggestion]:
        follow_up = self.reactions.suggest()
        suggestions = self.agent.suggest(1) if follow_up is None else [follow_up]
        self.error = self.campaign.model_error(self.agent)
        return suggestions

    def _react(self, suggestion: Suggestion, observation: Observation) -> MsgGenerator[None]:
        """Let the reactions hear of an outcome, and raise the alerts that the journal does not hold yet."""
        history = self.campaign.history
        raised = {alert.key for alert in history.alerts} if history else set()
        for alert in (yield from self._heard(suggestion, observation)):
            if alert.key in raised:
                continue
            yield from self.decisions.alert(alert)
            self.noted[alert.reaction] += 1
            if alert.follow_ups or self.noted[alert.reaction] <= self.at_most[alert.reaction]:
                # All are in the journal; on the screen those would hide the rest that nothing follows any more.
                self.progress.note(alerted(alert, suggestion.iteration))

    def _heard(self, suggestion: Suggestion, observation: Observation) -> MsgGenerator[list[Alert]]:
        if not self.reactions.rules:
            return []
        hear = self.reactions.hear
        return (yield from self.waiting.until_it_works(lambda: hear(suggestion, observation), "reacting to an outcome"))

    def _pause_if_failing(self, observation: Observation) -> MsgGenerator[None]:
        self.failures = 0 if observation.status is Status.MEASURED else self.failures + 1
        if self.failures >= self.campaign.failures_in_a_row:
            count, self.failures = self.failures, 0
            yield from self.waiting.pause(
                f"{count} points in a row could not be measured; the last one, {observation.suggestion_id}: "
                f"{observation.reason}. Look at the instrument, then resume."
            )

    def _state(self, *, in_flight: int) -> StopState:
        """Build the stopping rules' view, the point in flight counted as if it were measured."""
        return StopState(
            observations=tuple(self.agent.observations),
            in_flight=in_flight,
            elapsed_s=self.elapsed_before + time.monotonic() - self.started,
            direction=self.agent.direction,
            objective=self.agent.observables[0],
            suggestions=self.agent.suggestions,
        )

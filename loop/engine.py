"""The campaign as a Bluesky plan: suggest, measure, evaluate, ingest, until a stopping rule speaks.

The next decision is taken in a worker thread while the current point is being measured; the point in flight is
pending for it. So the decision for point k is a function of the outcomes up to k - 2 and of point k - 1 being under
way, whatever the timing: that is what makes a resumed campaign suggest what an uninterrupted one would have suggested.
"""

from __future__ import annotations

import errno
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
from bluesky.utils import IllegalMessageSequence, MsgGenerator, RunEngineControlException

from loop.agent import Agent
from loop.collector import Collector
from loop.decisions import Decisions
from loop.errors import JournalError
from loop.history import MEASUREMENT, PREPARATION, History, RunDocuments, Step, has_event
from loop.progress import NullProgress, Progress
from loop.protocols import Evaluation, Experiment
from loop.records import Observation, Status, Suggestion
from loop.stopping import StoppingRule, StopState
from loop.threads import in_thread, settle

T = TypeVar("T")

STORAGE_FAILURES = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO}
)
"""What the operating system says when a file cannot be written: never a point's fault."""
NOT_A_DEVICES_FAILURE = (RunEngineControlException, IllegalMessageSequence, JournalError)
"""What the plan lets through: a person's abort, a plan's own mistake, a journal that cannot go on."""

log = logging.getLogger(__name__)


class Guard(Protocol):
    """Something that may forbid the next exposure: a full disk, say."""

    def __call__(self) -> str | None:
        """Return why the campaign must pause now, or None."""
        ...


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

    def plan(self) -> MsgGenerator[str]:
        """Return the plan; it returns the reason why the campaign ended."""
        return (yield from _Run(self).plan())


class _Run:
    """One execution of a campaign's plan: the state that the plan needs while it runs."""

    def __init__(self, campaign: Campaign) -> None:
        self.campaign = campaign
        self.agent = campaign.agent
        self.experiment = campaign.experiment
        self.progress = campaign.progress
        self.decisions = Decisions(campaign.experiment.observables)
        self.collector = Collector()
        self.frame = campaign.history.frames if campaign.history else 0
        self.elapsed_before = campaign.history.elapsed_s if campaign.history else 0.0
        self.started = time.monotonic()
        self.beam_free = time.monotonic()
        """When the last exposure ended: idle time counts from here."""
        self.error: float | None = None
        self.failures = 0

    def plan(self) -> MsgGenerator[str]:
        worker = ThreadPoolExecutor(1, thread_name_prefix="beamloop-decision")
        try:
            token = yield from bps.subscribe("all", self.collector)
            yield from self.decisions.open({**self.campaign.metadata, **self._metadata(None)})
            reason = yield from bpp.finalize_wrapper(self._prepared(worker), self.experiment.finish)
            yield from self.decisions.close(reason)
            yield from bps.unsubscribe(token)
        finally:
            # Never wait here: this runs on the RunEngine's loop.
            worker.shutdown(wait=False, cancel_futures=True)
        return reason

    def _prepared(self, worker: Executor) -> MsgGenerator[str]:
        yield from self._prepare()
        return (yield from self._loop(worker))

    def _prepare(self) -> MsgGenerator[None]:
        """Prepare, or take up what was prepared; failures are tried again as a point's, then the campaign pauses."""
        history = self.campaign.history
        runs = history.preparation if history else ()
        failures = 0
        while True:
            try:
                if not runs:
                    yield from self._pause_if_guarded()
                    runs = yield from self._take_preparation()
                self.experiment.restore(runs)
            except NOT_A_DEVICES_FAILURE:
                raise
            except Exception as error:
                # What an earlier process prepared may be spoilt as well: a file is gone, say. It is taken anew.
                runs, failures = (), failures + 1
                log.exception("preparing")
                why = f"preparing failed: {error}"
            else:
                yield from bps.checkpoint()
                return
            self.collector.take()
            if failures % self.campaign.attempts:
                self.progress.note(why)
            else:
                yield from self._pause(f"{why} Look at the instrument, then resume.")

    def _take_preparation(self) -> MsgGenerator[tuple[RunDocuments, ...]]:
        metadata = {**self._metadata(None), "purpose": PREPARATION}
        yield from bpp.set_run_key_wrapper(bpp.inject_md_wrapper(self.experiment.prepare(), metadata), PREPARATION)
        return tuple(self.collector.take())

    def _loop(self, worker: Executor) -> MsgGenerator[str]:
        upcoming: Future[list[Suggestion]] | None = None
        step = self._rebuild_agent()
        self.beam_free = time.monotonic()
        while True:
            if step is None:
                if upcoming is None:
                    reason = self.campaign.stopping.reason(self._state(in_flight=0))
                    if reason is not None:
                        return reason
                    upcoming = worker.submit(self._decide)
                suggestions = yield from self._wait_for(upcoming, "deciding on the next point")
                if suggestions is None:
                    upcoming = None
                    continue
                if not suggestions:
                    return "every sample of the pool has been taken"
                (suggestion,) = suggestions
                idle_s = time.monotonic() - self.beam_free
                yield from self.decisions.suggestion(suggestion, idle_s=idle_s)
                step = Step(suggestion, idle_s=idle_s)
                self.progress.suggested(suggestion)
            self.agent.register(step.suggestion)
            upcoming = None
            if self.campaign.stopping.reason(self._state(in_flight=1)) is None:
                upcoming = worker.submit(self._decide)
            known = step.observation
            observation = known
            if observation is None:
                observation = yield from self._finish(step)
                yield from self.decisions.outcome(observation)
            if upcoming is not None:
                # The agent must not learn of this outcome before that decision is taken.
                yield from settle(upcoming)
            self.agent.ingest(observation)
            self.progress.finished(step.suggestion, observation, idle_s=step.idle_s, model_error=self.error)
            step = None
            if known is None:
                # Not for what an earlier process saw fail: whoever resumed has looked.
                yield from self._pause_if_failing(observation)

    def _rebuild_agent(self) -> Step | None:
        """Replay what the journal tells; return the last step, which the loop takes up where it was left."""
        steps = self.campaign.history.steps if self.campaign.history else ()
        for step in steps[:-1]:
            if step.observation is None:
                raise JournalError(
                    f"the journal holds point {step.suggestion.iteration} ({step.suggestion.id}) without an outcome "
                    f"before point {steps[-1].suggestion.iteration}: it was not written by one campaign."
                )
            self.agent.register(step.suggestion)
            self.agent.ingest(step.observation)
            self.progress.finished(step.suggestion, step.observation, idle_s=step.idle_s, model_error=None)
        return steps[-1] if steps else None

    def _decide(self) -> list[Suggestion]:
        suggestions = self.agent.suggest(1)
        self.error = self.campaign.model_error(self.agent)
        return suggestions

    def _finish(self, step: Step) -> MsgGenerator[Observation]:
        """Measure and evaluate until the point is accepted or the attempts are used up."""
        suggestion = step.suggestion
        uids: list[str] = []
        attempts, status, reason = 0, Status.FAILED, ""
        runs = list(step.runs)
        while True:
            if not runs:
                if attempts >= self.campaign.attempts:
                    return Observation(
                        suggestion.id, suggestion.point, status, reason=reason, attempts=attempts, run_uids=tuple(uids)
                    )
                yield from self._pause_if_guarded()
                self.progress.measuring(suggestion, attempts + 1)
                runs = yield from self._measure(suggestion, attempts + 1)
            run = runs.pop(0)
            uids.append(run[0][1]["uid"])
            if has_event(run):
                evaluation = yield from self._evaluate(run)
                attempts += 1
                if evaluation.accepted:
                    return Observation(
                        suggestion.id,
                        suggestion.point,
                        Status.MEASURED,
                        values=dict(evaluation.values),
                        sds=dict(evaluation.sds),
                        attempts=attempts,
                        run_uids=tuple(uids),
                    )
                status, reason = Status.REJECTED, evaluation.reason
                self.progress.note(f"point {suggestion.iteration}: {reason}")
            elif run[-1][0] == "stop" and run[-1][1]["exit_status"] == "fail":
                attempts += 1
                status, reason = Status.FAILED, run[-1][1].get("reason", "")
                self.progress.note(f"point {suggestion.iteration}: {reason}")
            # Any other run without an event was interrupted (its process died, a person aborted): not an attempt.

    def _measure(self, suggestion: Suggestion, attempt: int) -> MsgGenerator[list[RunDocuments]]:
        metadata = {
            **self._metadata(suggestion),
            "purpose": MEASUREMENT,
            "attempt": attempt,
            "frame_number": self.frame,
        }
        plan = self.experiment.measure(suggestion.point, frame_number=self.frame, metadata=metadata)
        blocked = ""
        try:
            yield from bpp.set_run_key_wrapper(plan, MEASUREMENT)
        except NOT_A_DEVICES_FAILURE:
            raise
        except Exception as error:
            runs = self.collector.take()
            log.exception("point %d", suggestion.iteration)
            if not _counts_as_attempt(runs, error):
                # Another point would fare no better.
                blocked = f"point {suggestion.iteration}: {error}"
        else:
            runs = self.collector.take()
        finally:
            self.beam_free = time.monotonic()
        self.frame += sum(has_event(run) for run in runs)
        yield from bps.checkpoint()
        if blocked:
            yield from self._pause(f"{blocked}. Nothing measured is lost; mend it, then resume.")
        return runs

    def _evaluate(self, run: RunDocuments) -> MsgGenerator[Evaluation]:
        while True:
            # Not in the decision worker, which may be busy with the next suggestion.
            evaluation = yield from self._wait_for(in_thread(self.experiment.evaluate, run), "evaluating a run")
            if evaluation is not None:
                return evaluation

    def _wait_for(self, future: Future[T], doing: str) -> MsgGenerator[T | None]:
        """Wait without blocking the RunEngine; an error pauses the campaign and gives None once it is resumed."""
        yield from settle(future)
        error = future.exception()
        if error is None:
            return future.result()
        yield from self._pause(f"{doing} failed: {type(error).__name__}: {error}")
        return None

    def _pause_if_guarded(self) -> MsgGenerator[None]:
        for guard in self.campaign.guards:
            while (why := guard()) is not None:
                yield from self._pause(why)

    def _pause_if_failing(self, observation: Observation) -> MsgGenerator[None]:
        self.failures = 0 if observation.status is Status.MEASURED else self.failures + 1
        if self.failures >= self.campaign.failures_in_a_row:
            count, self.failures = self.failures, 0
            yield from self._pause(
                f"{count} points in a row could not be measured; the last one, {observation.suggestion_id}: "
                f"{observation.reason}. Look at the instrument, then resume."
            )

    def _pause(self, why: str) -> MsgGenerator[None]:
        self.progress.paused(why)
        self.campaign.on_pause(why)
        yield from bps.checkpoint()
        yield from bps.pause()

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

    def _metadata(self, suggestion: Suggestion | None) -> dict[str, Any]:
        return {
            **{k: v for k, v in self.campaign.metadata.items() if k not in ("config", "experiment")},
            "iteration": None if suggestion is None else suggestion.iteration,
            "suggestion_id": None if suggestion is None else suggestion.id,
        }


def _counts_as_attempt(runs: Sequence[RunDocuments], error: Exception) -> bool:
    """Whether a measurement that raised has told something about its point.

    It has not if it never opened a run, was closed as aborted, or the frame could not be stored.
    """
    if not runs or runs[-1][-1][0] != "stop" or runs[-1][-1][1]["exit_status"] != "fail":
        return False
    return not (isinstance(error, OSError) and error.errno in STORAGE_FAILURES)

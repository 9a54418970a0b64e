"""What a campaign's plan does with the instrument: prepare it, and measure one point until its outcome is known."""

from __future__ import annotations

import errno
import logging
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
from bluesky.utils import IllegalMessageSequence, MsgGenerator, RunEngineControlException

from loop.collector import Collector
from loop.errors import JournalError
from loop.history import MEASUREMENT, PREPARATION, History, RunDocuments, Step, has_event
from loop.progress import Progress
from loop.protocols import Experiment
from loop.records import Observation, Status, Suggestion
from loop.waiting import Waiting

STORAGE_FAILURES = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO}
)
"""What the operating system says when a file cannot be written: never a point's fault."""
NOT_A_DEVICES_FAILURE = (RunEngineControlException, IllegalMessageSequence, JournalError)
"""What the plan lets through: a person's abort, a plan's own mistake, a journal that cannot go on."""

log = logging.getLogger(__name__)


class Measuring:
    """Preparation and measurements of one process that works on a campaign.

    Parameters
    ----------
    experiment
        The instrument.
    waiting
        How to wait for guards, results and people.
    progress
        Is told of attempts and what came of them.
    metadata
        Of the campaign, for every run's start document.
    attempts
        How often a point, or the preparation, is tried.
    history
        What an earlier process left.
    """

    def __init__(
        self,
        experiment: Experiment,
        waiting: Waiting,
        progress: Progress,
        *,
        metadata: Mapping[str, Any],
        attempts: int,
        history: History | None,
    ) -> None:
        self.experiment = experiment
        self.waiting = waiting
        self.progress = progress
        self.attempts = attempts
        self.collector = Collector()
        """To be subscribed to the RunEngine."""
        self.beam_free = time.monotonic()
        """When the last exposure ended: idle time counts from here."""
        self._metadata = {k: v for k, v in metadata.items() if k not in ("config", "experiment")}
        self._frame = history.frames if history else 0
        self._prepared = history.preparation if history else ()

    def metadata(self, suggestion: Suggestion | None) -> dict[str, Any]:
        """Return what the start document of a run says of the campaign and of the point."""
        return {
            **self._metadata,
            "iteration": None if suggestion is None else suggestion.iteration,
            "suggestion_id": None if suggestion is None else suggestion.id,
        }

    def prepare(self) -> MsgGenerator[None]:
        """Prepare, or take up what was prepared; failures are tried again as a point's, then the campaign pauses."""
        runs = self._prepared
        failures = 0
        while True:
            try:
                if not runs:
                    yield from self.waiting.for_guards()
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
            if failures % self.attempts:
                self.progress.note(why)
            else:
                yield from self.waiting.pause(f"{why} Look at the instrument, then resume.")

    def finish(self, step: Step) -> MsgGenerator[Observation]:
        """Measure and evaluate until the point is accepted or the attempts are used up."""
        suggestion = step.suggestion
        uids: list[str] = []
        attempts, status, reason = 0, Status.FAILED, ""
        runs = list(step.runs)
        while True:
            if not runs:
                if attempts >= self.attempts:
                    return Observation(
                        suggestion.id, suggestion.point, status, reason=reason, attempts=attempts, run_uids=tuple(uids)
                    )
                yield from self.waiting.for_guards()
                self.progress.measuring(suggestion, attempts + 1)
                runs = yield from self._measure(suggestion, attempts + 1)
            run = runs.pop(0)
            uids.append(run[0][1]["uid"])
            if has_event(run):
                # Not in the decision worker, which may be busy with the next suggestion.
                evaluation = yield from self.waiting.until_it_works(
                    partial(self.experiment.evaluate, run), "evaluating a run"
                )
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

    def _take_preparation(self) -> MsgGenerator[tuple[RunDocuments, ...]]:
        metadata = {**self.metadata(None), "purpose": PREPARATION}
        yield from bpp.set_run_key_wrapper(bpp.inject_md_wrapper(self.experiment.prepare(), metadata), PREPARATION)
        return tuple(self.collector.take())

    def _measure(self, suggestion: Suggestion, attempt: int) -> MsgGenerator[list[RunDocuments]]:
        metadata = {
            **self.metadata(suggestion),
            "purpose": MEASUREMENT,
            "attempt": attempt,
            "frame_number": self._frame,
        }
        # Experiments that know no exposure time need not take one.
        exposure = {} if suggestion.exposure_s is None else {"exposure_s": suggestion.exposure_s}
        plan = self.experiment.measure(suggestion.point, frame_number=self._frame, metadata=metadata, **exposure)
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
        self._frame += sum(has_event(run) for run in runs)
        yield from bps.checkpoint()
        if blocked:
            yield from self.waiting.pause(f"{blocked}. Nothing measured is lost; mend it, then resume.")
        return runs


def _counts_as_attempt(runs: Sequence[RunDocuments], error: Exception) -> bool:
    """Whether a measurement that raised has told something about its point.

    It has not if it never opened a run, was closed as aborted, or the frame could not be stored.
    """
    if not runs or runs[-1][-1][0] != "stop" or runs[-1][-1][1]["exit_status"] != "fail":
        return False
    return not (isinstance(error, OSError) and error.errno in STORAGE_FAILURES)

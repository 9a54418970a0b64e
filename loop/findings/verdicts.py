"""The findings in plain language."""

from __future__ import annotations

from collections.abc import Iterator

from loop.findings.records import Calibration, Findings, Learning, Reference, Search, Setting, Timings, Tone, Verdict
from loop.records import Status
from loop.wording import duration, label, number, percent, quantity, with_error

_MAP_WORDS: dict[Tone, str] = {
    "good": "The map is close to the truth",
    "fair": "The map shows the truth roughly",
    "poor": "The map misses much of the truth",
}
IDLE_BAR = 0.05
"""A beam that waits longer than this share of the campaign is worth a word."""


def verdicts(findings: Findings) -> Iterator[Verdict]:
    """Say what matters, the most important first."""
    if findings.search is not None:
        yield from _search(findings.search, findings.setting)
    if findings.reference is not None and findings.setting.direction is None:
        yield from _map(findings.reference, findings.setting)
    if findings.learning is not None:
        yield from _learning(findings.learning, findings.setting)
    if findings.calibration is not None:
        yield _calibration(findings.calibration)
    yield from _alerts(findings)
    yield from _points(findings)
    yield from _timings(findings.timings)


def _map(reference: Reference, setting: Setting) -> Iterator[Verdict]:
    error, spread = reference.rmse, reference.truth_spread
    if error is None or not spread:
        return
    share = error / spread
    tone: Tone = "good" if share < 0.15 else ("fair" if share < 0.4 else "poor")
    yield Verdict(
        tone,
        f"{_MAP_WORDS[tone]}: its root-mean-square error is {quantity(number(error, 3), setting.unit)}, "
        f"{percent(share)} of the {label(setting.observable)}'s own spread over the space.",
    )


def _learning(learning: Learning, setting: Setting) -> Iterator[Verdict]:
    median = learning.random_median
    if median is None:
        return
    total, final = int(learning.budgets[-1]), quantity(number(float(median[-1]), 3), setting.unit)
    if learning.reached_at is None:
        yield Verdict(
            "poor",
            f"Random sampling did at least as well: its error after {total} measurements ({final}) "
            "was not undercut by the campaign.",
        )
        return
    share = learning.reached_at / total
    yield Verdict(
        "good" if share <= 0.6 else "fair",
        f"The campaign needed {learning.reached_at} measurements ({percent(share)}) for what random sampling "
        f"reaches with all {total} (error {final}, median of {len(learning.random)} repeats).",
    )


def _search(search: Search, setting: Setting) -> Iterator[Verdict]:
    place = ", ".join(
        f"{label(name)} {quantity(number(value), setting.parameter_units.get(name, ''))}"
        for name, value in search.best_point.items()
        if name in setting.parameters
    )
    value = quantity(with_error(search.best_measured, search.best_measured_sd), setting.unit)
    yield Verdict("neutral", f"Best measured: {label(setting.observable)} = {value} at {place}.")
    if search.random_reached is None:
        return
    low, middle, high = search.random_reached
    top = percent(search.top)
    if search.reached_at is None:
        tail = "" if search.noise_free else ", as far as the measured values tell"
        yield Verdict("poor", f"None of the {len(search.best)} points tried lies in the best {top}{tail}.")
        return
    faster = search.reached_at < middle
    yield Verdict(
        "good" if search.reached_at <= 0.6 * middle else ("fair" if faster else "poor"),
        f"The best {top} was reached after {search.reached_at} points; a random order needs {middle:.0f} "
        f"(8 out of 10 orders: {low:.0f} to {high:.0f}).",
    )


def _calibration(calibration: Calibration) -> Verdict:
    n = len(calibration.pulls)
    level, share, (low, high) = calibration.levels[-1], calibration.coverage[-1], calibration.interval[-1]
    facts = (
        f"{round(share * n)} of {n} outcomes ({percent(share)}) lay inside the {percent(level)} interval stated before "
        f"measuring (binomial range {percent(low)} to {percent(high)}; typical pull {calibration.rms_pull:.2f} sd)."
    )
    # The typical pull tells of error bars that are too wide: coverage saturates at 100 %.
    if high < level or calibration.rms_pull > 1.5:
        return Verdict("poor" if share < 0.85 else "fair", f"The model was too sure of itself: {facts}")
    if calibration.rms_pull < 0.6 and n >= 10:
        return Verdict("fair", f"The model was too cautious: {facts}")
    return Verdict("good", f"The model's error bars can be trusted: {facts}")


def _points(findings: Findings) -> Iterator[Verdict]:
    measured = findings.count(Status.MEASURED)
    if not measured:
        yield Verdict("poor", "Nothing was measured.")
    lost = {s: findings.count(s) for s in (Status.REJECTED, Status.FAILED, Status.ABANDONED)}
    if sum(lost.values()):
        words = ", ".join(f"{n} {status}" for status, n in lost.items() if n)
        total = measured + sum(lost.values())
        yield Verdict(
            "neutral" if sum(lost.values()) <= 0.2 * total else "fair",
            f"{words} of {total} points: the model never saw them; reasons stand in the table of points.",
        )


def _alerts(findings: Findings) -> Iterator[Verdict]:
    alerts = findings.alerts
    if not alerts:
        return
    asked, followed = sum(alert.asked for alert in alerts), sum(len(alert.followed) for alert in alerts)
    text = f"{_count(len({alert.iteration for alert in alerts}))} raised an alert"
    if asked:
        text += f"; reactions asked for {_count(asked)}, {followed if followed < asked else 'all'} of which were taken"
    yield Verdict("neutral", f"{text}.")


def _count(points: int) -> str:
    return f"{points} point" if points == 1 else f"{points} points"


def _timings(timings: Timings) -> Iterator[Verdict]:
    idle = timings.idle_fraction
    if idle is None:
        return
    yield Verdict(
        "good" if idle < IDLE_BAR else "fair",
        f"The beam waited {duration(timings.idle_s)} of {duration(timings.elapsed_s)} ({percent(idle)}) for decisions.",
    )

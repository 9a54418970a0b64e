"""Figures that judge: calibration, learning curve, search."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator
from scipy.stats import binom, norm

from loop.findings.records import Calibration, Findings, Learning, Search
from loop.report.style import BAD, MODEL, POINT, RANDOM, TRUTH, WIDE, Picture, canvas, render
from loop.wording import label, number, percent, quantity

_BINS = 10


def calibration_pictures(findings: Findings) -> Iterator[Picture]:
    """Draw pulls in order, coverage against claims, and the histogram of the probability integral transform."""
    calibration = findings.calibration
    if calibration is None:
        return
    yield _pulls(calibration)
    yield _reliability(calibration)
    yield _pit(calibration)


def _pulls(calibration: Calibration) -> Picture:
    figure, ax = canvas(WIDE, 3.6)
    largest = max(3.2, float(np.abs(calibration.pulls).max()) * 1.1)
    for level, alpha in ((0.95, 0.12), (0.5, 0.16)):
        z = norm.ppf(0.5 + level / 2)
        ax.axhspan(-z, z, color=MODEL, alpha=alpha, lw=0)
        ax.annotate(percent(level), (1, z), (3, -2), xycoords=("axes fraction", "data"), textcoords="offset points",
                    fontsize=9, va="top", color=MODEL)  # fmt: skip
    inside = np.abs(calibration.pulls) <= norm.ppf(0.975)
    ax.plot(calibration.iterations[inside], calibration.pulls[inside], "o", color=MODEL, ms=6, mec="white")
    ax.plot(calibration.iterations[~inside], calibration.pulls[~inside], "o", color=BAD, ms=7, mec="white")
    ax.axhline(0, color=TRUTH, lw=0.8)
    ax.set_ylim(-largest, largest)
    ax.set_xlabel("point")
    ax.set_ylabel("pull (sd)")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    return render(
        "pulls",
        "Outcome minus prediction, in units of the standard deviation predicted before measuring. An honest model has "
        "half of its pulls inside the dark band and 95 % inside the light one, without a trend.",
        figure,
        wide=True,
    )


def _reliability(calibration: Calibration) -> Picture:
    figure, ax = canvas(5.6, 5.0)
    nominal = np.linspace(0.0, 1.0, 101)
    n = len(calibration.pulls)
    claimed = np.abs(2 * calibration.pit - 1)
    observed = np.array([np.mean(claimed <= level) for level in nominal])
    low, high = binom.ppf(0.025, n, nominal) / n, binom.ppf(0.975, n, nominal) / n
    ax.fill_between(nominal, low, high, color=RANDOM, alpha=0.25, lw=0, label="honest model, 95 % range")
    ax.plot([0, 1], [0, 1], color=TRUTH, lw=1, ls="--")
    ax.step(nominal, observed, where="post", color=MODEL, label="this campaign")
    for level, share, (bottom, top) in zip(calibration.levels, calibration.coverage, calibration.interval, strict=True):
        ax.errorbar(
            level, share, yerr=[[max(share - bottom, 0)], [max(top - share, 0)]], fmt="o", color=POINT, ms=5, capsize=3
        )
    ax.set_xlim(0, 1.02)
    ax.set_ylim(0, 1.04)
    ax.set_xlabel("probability that the model claims")
    ax.set_ylabel("share of outcomes inside")
    ax.legend(loc="upper left")
    shares = ", ".join(
        f"{percent(share)} for {percent(level)}"
        for level, share in zip(calibration.levels, calibration.coverage, strict=True)
    )
    return render(
        "coverage",
        f"Coverage of central intervals: {shares} ({n} predictions). Below the diagonal the model was too sure, above "
        "it too cautious. Bars: binomial 95 % intervals.",
        figure,
    )


def _pit(calibration: Calibration) -> Picture:
    figure, ax = canvas(5.6, 5.0)
    n = len(calibration.pulls)
    bins = _BINS if n >= 30 else 5
    ax.hist(calibration.pit, bins=np.linspace(0, 1, bins + 1).tolist(), color=MODEL, alpha=0.85, ec="white")
    low, high = binom.ppf([0.025, 0.975], n, 1 / bins)
    ax.axhspan(low, high, color=RANDOM, alpha=0.25, lw=0, label="honest model, 95 % range per bin")
    ax.axhline(n / bins, color=TRUTH, lw=1, ls="--")
    ax.set_xlim(0, 1)
    ax.set_ylim(0, ax.get_ylim()[1] * 1.15)
    ax.set_xlabel("probability integral transform of the outcome")
    ax.set_ylabel("outcomes")
    ax.yaxis.set_major_locator(MaxNLocator(integer=True))
    ax.legend(loc="upper right")
    return render(
        "pit",
        "Where outcomes fell in their predicted distributions: flat if honest, a hump if too cautious, U-shaped if "
        f"too sure, tilted if biased. Negative log predictive density {number(calibration.nlpd, 3)} nats per point.",
        figure,
    )


def learning_picture(findings: Findings) -> Picture | None:
    """Map error against measurements."""
    learning = findings.learning
    return None if learning is None else _learning(learning, findings)


def _learning(learning: Learning, findings: Findings) -> Picture:
    figure, ax = canvas(WIDE, 4.4)
    unit, total = findings.setting.unit, int(learning.budgets[-1])
    median = learning.random_median
    caption = "Root-mean-square error of the map against the truth, refitted to the first points of the campaign."
    if median is not None:
        low, high = learning.random.min(axis=0), learning.random.max(axis=0)
        ax.fill_between(learning.budgets, low, high, color=RANDOM, alpha=0.3, lw=0, label="random, range")
        count = len(learning.random)
        ax.plot(learning.budgets, median, "s-", color=RANDOM, ms=5, label=f"random, median of {count}")
        ax.axhline(float(median[-1]), color=RANDOM, lw=1, ls=":")
        caption += " Random sampling used the same surrogate, noise and number of accepted measurements."
    ax.plot(learning.budgets, learning.campaign, "o-", color=MODEL, ms=6, label="this campaign")
    spread = findings.reference.truth_spread if findings.reference is not None else None
    if spread:
        ax.axhline(spread, color=TRUTH, lw=0.8, ls="--", label="always saying the average")
    if median is not None and learning.reached_at is not None and learning.reached_at < total:
        ax.plot(learning.reached_at, float(median[-1]), "*", ms=16, color=POINT, mec="white", zorder=5)
        ax.annotate(
            f"random's final error\nafter {learning.reached_at} of {total}",
            (learning.reached_at, float(median[-1])),
            (-12, -12),
            textcoords="offset points",
            fontsize=9.5,
            color=POINT,
            va="top",
            ha="right",
        )
    ax.set_yscale("log")
    ax.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: number(float(value), 2)))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.grid(True, axis="y")
    ax.set_xlabel("measurements")
    ax.set_ylabel(label("map error (RMSE)", unit) if unit else "map error (RMSE)")
    ax.legend(loc="upper right", bbox_to_anchor=(1, 0.97), frameon=True, facecolor="white", edgecolor="none")
    return render("learning", caption, figure, wide=True)


def search_picture(findings: Findings) -> Picture | None:
    """Best value so far against points tried."""
    search = findings.search
    return None if search is None else _search(search, findings)


def _search(search: Search, findings: Findings) -> Picture:
    figure, ax = canvas(WIDE, 4.4)
    setting = findings.setting
    tried = np.arange(1, len(search.best) + 1)
    if search.random is not None:
        ax.fill_between(tried, search.random[0], search.random[2], step="post", color=RANDOM, alpha=0.3, lw=0,
                        label="random order, 8 of 10")  # fmt: skip
        ax.step(tried, search.random[1], where="post", color=RANDOM, label="random order, median")
    ax.step(tried, search.best, where="post", color=MODEL, label="this campaign")
    if search.optimum is not None:
        ax.axhline(
            search.optimum,
            color=TRUTH,
            lw=1,
            ls="--",
            label="best there is" if search.finite else "best of many random points",
        )
    if search.threshold is not None:
        ax.axhline(search.threshold, color=POINT, lw=1, ls=":", label=f"best {percent(search.top)}")
    if search.reached_at is not None:
        ax.plot(search.reached_at, search.best[search.reached_at - 1], "*", ms=16, color=POINT, mec="white", zorder=5)
    ax.set_xlabel("points tried")
    ax.set_ylabel(f"best {label(setting.observable, setting.unit)} so far")
    ax.set_xlim(1, max(len(tried), 2))
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.legend(loc="best")
    caption = "Best value so far" + ("" if search.noise_free else ", as measured (the truth is not known)") + "."
    if search.random_reached is not None:
        low, middle, high = search.random_reached
        reached = "not reached" if search.reached_at is None else f"reached after {search.reached_at} points"
        caption += (
            f" The best {percent(search.top)} ({quantity(number(search.threshold, 3), setting.unit)}) were {reached}; "
            f"a random order needs {middle:.0f} (8 out of 10: {low:.0f} to {high:.0f})."
        )
    return render("search", caption, figure, wide=True)

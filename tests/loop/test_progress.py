"""The displays: what they show, and that they can neither stop nor delay a campaign."""

import io
import threading
import time

import pytest
from rich.console import Console

from loop.progress import Header, NullProgress, PlainProgress, RichProgress, make_progress
from loop.progress.board import Board, sparkline
from loop.progress.live import render
from loop.records import Observation, Origin, Prediction, Status, Suggestion

HEADER = Header(
    "annealing", "map of invariant", "invariant", "1/cm", {"temperature": "degC", "composition": "fraction"},
    seed=7, budget=10, error_name="map RMSE", error_unit="1/cm",
)  # fmt: skip


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def suggestion(k, mean=0.5, sd=0.1):
    prediction = None if mean is None else Prediction({"invariant": mean}, {"invariant": sd})
    point = {"temperature": 400.0 + k, "composition": 0.25}
    return Suggestion(f"s{k}", k, point, Origin.INITIAL if mean is None else Origin.ACQUISITION, prediction)


def outcome(s, value=0.62, status=Status.MEASURED, reason=""):
    good = status is Status.MEASURED
    return Observation(
        s.id, s.point, status, {"invariant": value} if good else {}, {"invariant": 0.02} if good else {}, reason
    )


def text_of(board, width):
    console = Console(record=True, width=width, file=io.StringIO())
    console.print(render(board, width))
    return console.export_text()


def board_with_everything():
    clock = Clock()
    board = Board(clock, keep=8)
    board.started(HEADER)
    for k in range(3):
        s = suggestion(k, None if k == 0 else 0.5)
        board.measuring(s, 1)
        clock.now += 10
        if k == 2:
            board.outcome(s, outcome(s, status=Status.REJECTED, reason="saturated pixels"), 0.0, None)
        else:
            board.outcome(s, outcome(s, 0.82 if k else 0.62), 0.6, 0.1 / (k + 1))
    board.measuring(suggestion(3), 2)
    clock.now += 3
    board.row(suggestion(4))
    return board, clock


@pytest.mark.parametrize("width", [80, 100, 140])
def test_the_live_display_tells_everything_and_fits(width):
    board, _ = board_with_everything()
    text = text_of(board, width)
    assert max(len(line) for line in text.splitlines()) <= width
    for words in ("annealing", "map of invariant", "seed 7", "temperature", "(°C)", "0.50 ± 0.10", "0.820 ± 0.020",
                  "+3.2", "rejected", "3 of 10: 2 measured, 1 rejected", "map RMSE 0.05 1/cm", "elapsed 33.0 s",
                  "left about 1 min 17 s", "beam idle 3.6 %", "next"):  # fmt: skip
        assert words in text, words
    if width >= 90:
        assert "saturated pixels" in text
        assert "measuring 3.0 s, attempt 2" in text


def test_only_the_last_points_stay():
    board = Board(Clock(), keep=2)
    board.started(HEADER)
    for k in range(5):
        board.row(suggestion(k))
    assert [row.suggestion.iteration for row in board.rows] == [3, 4]


def test_an_outcome_finds_its_row_while_the_next_point_waits():
    board = Board(Clock())
    board.measuring(suggestion(0), 1)
    board.row(suggestion(1))
    board.outcome(suggestion(0), outcome(suggestion(0)), 0.0, None)
    assert [row.observation is None for row in board.rows] == [False, True]


def test_a_resumed_campaign_counts_its_earlier_time():
    clock = Clock()
    board = Board(clock)
    board.started(Header("c", "map", "invariant", budget=4, elapsed_s=90.0))
    for k in range(2):
        board.outcome(suggestion(k), outcome(suggestion(k)), 5.0, None)
    clock.now = 10.0
    assert board.elapsed_s == 100.0
    assert board.idle_fraction == pytest.approx(0.1)
    assert board.remaining_s == pytest.approx(100.0)


def test_pull_needs_prediction_and_outcome():
    board = Board(Clock())
    s = suggestion(1, mean=0.5, sd=0.1)
    assert board.outcome(s, outcome(s, 0.7), 0.0, None).pull("invariant") == pytest.approx(2.0)
    assert board.outcome(suggestion(2, None), outcome(suggestion(2)), 0.0, None).pull("invariant") is None
    flat = suggestion(3, sd=0.0)
    assert board.outcome(flat, outcome(flat), 0.0, None).pull("invariant") is None


def test_plain_lines():
    stream = io.StringIO()
    progress = PlainProgress(stream, board=Board(Clock()))
    progress.started(HEADER)
    first, second = suggestion(0, None), suggestion(1)
    progress.measuring(first, 1)
    progress.finished(first, outcome(first), idle_s=0.0, model_error=0.2)
    progress.measuring(second, 2)
    progress.finished(second, outcome(second, status=Status.FAILED, reason="motor refused"))
    progress.paused("the disk is full")
    progress.note("frame 3 was late")
    progress.ended("10 points", {"coverage": "95 %"})
    lines = stream.getvalue().splitlines()
    assert lines[0] == "annealing: map of invariant, 10 points, seed 7"
    assert "temperature = 400 °C, composition = 0.25 | no prediction yet | measured 0.620 ± 0.020 1/cm" in lines[1]
    assert "map RMSE 0.2 1/cm" in lines[1]
    assert "attempt 2" in lines[2]
    assert "predicted 0.50 ± 0.10 | failed: motor refused" in lines[3]
    assert lines[4:6] == ["paused: the disk is full", "note: frame 3 was late"]
    assert lines[6].startswith("ended after")
    assert lines[7] == "  coverage: 95 %"


def exercise(progress):
    progress.started(HEADER)
    progress.suggested(suggestion(0))
    progress.measuring(suggestion(0))
    progress.finished(suggestion(0), outcome(suggestion(0)), idle_s=0.1, model_error=0.3)
    progress.paused("why")
    progress.note("what")
    progress.ended("done", {"a": 1})
    progress.note("after the end")


class Broken(io.StringIO):
    def write(self, text):
        raise OSError("the terminal is gone")


@pytest.mark.parametrize(
    "make", [PlainProgress, lambda stream: RichProgress(Console(file=stream, force_terminal=True))]
)
def test_a_broken_terminal_stops_nothing(make):
    exercise(make(Broken()))


@pytest.mark.parametrize(
    "make", [PlainProgress, lambda stream: RichProgress(Console(file=stream, force_terminal=True))]
)
def test_a_stalled_terminal_delays_nothing(make, monkeypatch):
    monkeypatch.setattr("loop.progress.background._FLUSH_S", 0.05)
    release = threading.Event()

    class Stalled(io.StringIO):
        def write(self, text):
            release.wait(20)
            return super().write(text)

    begin = time.monotonic()
    try:
        exercise(make(Stalled()))
        assert time.monotonic() - begin < 2.0
    finally:
        release.set()


def test_the_live_display_gives_the_cursor_back():
    stream = io.StringIO()
    exercise(RichProgress(Console(file=stream, force_terminal=True, width=100)))
    hide, show = "\x1b[?25l", "\x1b[?25h"
    # Once for the prompt of a pause, once at the end.
    assert stream.getvalue().count(hide) == stream.getvalue().count(show) == 2
    assert "ended: done" in stream.getvalue()


def test_the_terminal_decides():
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    assert isinstance(make_progress("auto", io.StringIO()), PlainProgress)
    assert isinstance(make_progress("auto", Terminal()), RichProgress)
    assert isinstance(make_progress("none"), NullProgress)
    exercise(make_progress("none"))


def test_sparkline_falls_with_the_error():
    assert sparkline([8.0, 4.0, 2.0, 1.0])[0] == "█"
    assert sparkline([8.0, 4.0, 2.0, 1.0])[-1] == "▁"
    assert sparkline([]) == ""
    assert len(sparkline([float(k) for k in range(1, 500)])) == 24
    assert set(sparkline([2.0, 2.0])) == {"▄"}
    assert sparkline([-1.0, 0.0, 3.0])[-1] == "█"

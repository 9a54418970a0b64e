"""The live display: a table of the last points and the campaign's vital signs, by Rich."""

from __future__ import annotations

from collections.abc import Mapping

from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from loop.progress.background import Background, Display
from loop.progress.board import Board, Header, Row, sparkline
from loop.records import Observation, Status, Suggestion
from loop.wording import duration, label, number, percent, quantity, with_error

_STATUS_STYLE = {
    Status.MEASURED: "green",
    Status.REJECTED: "yellow",
    Status.FAILED: "red",
    Status.ABANDONED: "dim",
}
_SHOWN_PARAMETERS = 3


def render(board: Board, width: int = 100) -> RenderableType:
    """Lay the board out.

    Parameters
    ----------
    board
        What is known.
    width
        Of the terminal, in characters; below 90 the reasons move out of the table.
    """
    header = board.header
    title = Text.assemble((header.campaign, "bold"), "  ", header.objective)
    if header.seed is not None:
        title.append(f"  seed {header.seed}", style="dim")
    parts: list[RenderableType] = [title, _table(board, wide=width >= 90), _vital_signs(board)]
    if board.message:
        parts.append(Text(board.message, style="bold yellow" if board.paused else "dim"))
    border = "yellow" if board.paused else ("green" if board.finished else "blue")
    return Panel(Group(*parts), box=box.ROUNDED, border_style=border, title="beamloop", title_align="left")


def _table(board: Board, *, wide: bool) -> Table:
    header = board.header
    names = board.point_columns()[:_SHOWN_PARAMETERS]
    table = Table(box=box.SIMPLE_HEAD, expand=True, pad_edge=False, padding=(0, 1), collapse_padding=True)
    table.add_column("#", justify="right", style="dim", no_wrap=True)
    for name in names:
        table.add_column(_heading(name, header.parameter_units.get(name, "")), justify="right")
    table.add_column(_heading("predicted", header.observable_unit), justify="right", no_wrap=True)
    table.add_column(_heading("measured", header.observable_unit), justify="right", no_wrap=True)
    table.add_column(_heading("pull", "sd"), justify="right", no_wrap=True)
    table.add_column("status", ratio=1 if wide else None, overflow="ellipsis", no_wrap=True)
    for row in board.rows:
        table.add_row(*_cells(row, board, names, wide=wide))
    return table


def _heading(name: str, unit: str) -> str:
    # The unit below the name keeps the columns narrow enough for a terminal of 80 characters.
    return label(name) + (f"\n({unit})" if unit else "")


def _cells(row: Row, board: Board, names: list[str], *, wide: bool) -> list[RenderableType]:
    name, prediction, observation = board.header.observable, row.suggestion.prediction, row.observation
    point = row.suggestion.point
    predicted = (
        Text(str(row.suggestion.origin), style="dim")
        if prediction is None
        else Text(with_error(prediction.mean.get(name), prediction.sd.get(name)))
    )
    measured = (
        Text("")
        if observation is None
        else Text(with_error(observation.values.get(name), observation.sds.get(name)), style="bold")
    )
    return [
        str(row.suggestion.iteration),
        *[number(point[n], strip=False) if n in point else "" for n in names],
        predicted,
        measured,
        _pull(row.pull(name)),
        _status(row, board, wide=wide),
    ]


def _pull(pull: float | None) -> Text:
    if pull is None:
        return Text("")
    style = "green" if abs(pull) <= 2 else ("yellow" if abs(pull) <= 3 else "bold red")
    return Text(f"{pull:+.1f}".replace("-", "−"), style=style)


def _status(row: Row, board: Board, *, wide: bool) -> Text:
    observation = row.observation
    if observation is not None:
        text = Text(str(observation.status), style=_STATUS_STYLE[observation.status])
        if observation.reason and wide:
            text.append(f": {observation.reason}")
        return text
    if not row.attempt:
        return Text("next", style="dim")
    spent = duration(max(board.clock() - row.since, 0.0))
    if not wide:
        return Text(spent if row.attempt == 1 else f"try {row.attempt}", style="cyan")
    again = f", attempt {row.attempt}" if row.attempt > 1 else ""
    return Text(f"measuring {spent}{again}", style="cyan")


def _vital_signs(board: Board) -> RenderableType:
    header = board.header
    progress = Table.grid(padding=(0, 1))
    total = header.budget
    done = f"{board.done} of {total}: {board.measured} measured" if total else f"{board.measured} measured"
    lost = [f"{n} {s}" for s, n in board.counts.items() if n and s is not Status.MEASURED]
    bar: RenderableType = ProgressBar(total=total, completed=min(board.done, total), width=30) if total else ""
    progress.add_row(bar, Text(", ".join([done, *lost])))
    facts = [f"elapsed {duration(board.elapsed_s)}"]
    if board.remaining_s is not None:
        facts.append(f"left about {duration(board.remaining_s)}")
    idle = board.idle_fraction
    vital = Text.assemble(("   ".join(facts), "dim"), "   beam idle ")
    vital.append(percent(idle), style="" if idle is None else ("green" if idle < 0.05 else "yellow"))
    parts: list[RenderableType] = [progress, vital]
    if board.errors:
        error = quantity(number(board.errors[-1], 3), header.error_unit)
        parts.insert(1, Text.assemble(f"{header.error_name} ", (error, "bold"), f"  {sparkline(board.errors)}"))
    return Group(*parts)


class RichDisplay(Display):
    """Redraws `render` in place."""

    tick_s: float | None = 0.5

    def __init__(self, console: Console, board: Board) -> None:
        self._console = console
        self._board = board
        # The thread of `Background` is the only one that draws: no second one inside Rich.
        self._live = Live(console=console, auto_refresh=False, transient=False)
        self._held = False
        """Whether a person at the prompt has the terminal."""

    def started(self, header: Header) -> None:
        """Take the terminal."""
        self._board.started(header)
        if header.elapsed_s:
            self._board.message = f"resumed after {duration(header.elapsed_s)}"
        self._live.start()
        self.tick()

    def suggested(self, suggestion: Suggestion) -> None:
        """Show what comes next."""
        self._take_back()
        self._board.row(suggestion)
        self.tick()

    def measuring(self, suggestion: Suggestion, attempt: int) -> None:
        """Show what is being measured."""
        self._take_back()
        self._board.measuring(suggestion, attempt)
        self.tick()

    def finished(
        self, suggestion: Suggestion, observation: Observation, idle_s: float, model_error: float | None
    ) -> None:
        """Show the outcome."""
        self._take_back()
        self._board.outcome(suggestion, observation, idle_s, model_error)
        if observation.status is not Status.MEASURED:
            self._board.message = f"point {suggestion.iteration} {observation.status}: {observation.reason}"
        self.tick()

    def paused(self, message: str) -> None:
        """Show why, in yellow, and leave the terminal to a prompt until the next point moves."""
        self._board.paused, self._board.message = True, f"paused: {message}"
        self.tick()
        self._live.stop()
        self._held = True

    def note(self, message: str) -> None:
        """Show it under the table."""
        self._board.message = message
        self.tick()

    def ended(self, reason: str, summary: Mapping[str, object]) -> None:
        """Leave the last picture standing, and the summary below it."""
        self._take_back()
        self._board.ended()
        self._board.message = f"ended: {reason}"
        self.tick()
        self._live.stop()
        if summary:
            table = Table.grid(padding=(0, 2))
            for name, value in summary.items():
                table.add_row(Text(name, style="dim"), Text(str(value)))
            self._console.print(table)

    def tick(self) -> None:
        """Redraw."""
        if self._held:
            return
        self._live.update(render(self._board, self._console.width), refresh=True)

    def _take_back(self) -> None:
        if self._held:
            self._held = False
            self._live.start()

    def close(self) -> None:
        """Show the cursor again."""
        self._live.stop()


class RichProgress(Background):
    """Live display in the terminal.

    Parameters
    ----------
    console
        Where to; standard output by default.
    board
        State to start from (a test's clock).
    """

    def __init__(self, console: Console | None = None, *, board: Board | None = None) -> None:
        super().__init__(RichDisplay(console or Console(), board or Board()))

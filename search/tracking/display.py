"""Show a running sweep: a live table on a terminal, plain lines elsewhere."""

import math
import time
from typing import Any

from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.control import Control
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.segment import ControlType
from rich.table import Table
from rich.text import Text

from glosstune.results.fitting import Column, build_table, differing, fit_columns, order_parameters
from glosstune.results.reading.epoch_metrics import by_scoring
from glosstune.results.reading.events import RUNNING
from glosstune.results.text import lines_to, printable
from glosstune.search.scheduler.trial import TrialState
from glosstune.search.tracking.progress import SweepProgress

SHOWN_TRIALS = 12
PLAIN_INTERVAL_S = 15.0
# Lines beside those of the trials.
_FRAME = 8


class Display:
    """Draws a ``SweepProgress``; write-only."""

    def __init__(self, progress: SweepProgress, console: Console) -> None:
        self.progress = progress
        self._terminal = console.is_terminal
        self._console = console
        self._live: Live | None = None
        self._printed = 0.0
        self._announced = math.inf
        self._next = progress.next
        self._widths: list[int] = []  # of the lines that were drawn last

    def __enter__(self) -> "Display":
        if self._terminal:
            self._live = Live(console=self._console, get_renderable=self._redraw, refresh_per_second=4)
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._next = self.progress.next
        self.close()

    def close(self) -> None:
        """Leave the terminal as it was."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def refresh(self) -> None:
        """Called after every event: plain output prints a line where there is news; the live table redraws itself."""
        # Here and not where it is drawn: that is another thread's, and trials move under its eyes.
        self._next = self.progress.next
        best_wer, now = self.progress.best_wer, time.monotonic()
        if self._terminal or not (best_wer != self._announced or now - self._printed > PLAIN_INTERVAL_S):
            return
        self._printed, self._announced = now, best_wer
        lines_to(self._console)(self.line())

    def note(self, line: str) -> None:
        """A line that stays: above the live table on a terminal."""
        self._unwrap()
        lines_to(self._console)(line)

    def line(self, *, timing: bool = True) -> str:
        """All of it on one line."""
        best, took = [f"best {self._best()}"] if self._best() else [], [self._timing()] if timing else []
        return "; ".join([f"{self.progress.name}: {self._states()}", *best, *took])

    def render(self) -> RenderableType:
        """Headline, progress bar, the best, what runs and what comes next, and the running and best trials."""
        progress = self.progress
        bar = Table.grid(padding=(0, 2))
        bar.add_row(
            ProgressBar(total=1.0, completed=progress.done, width=min(40, self._console.width // 3)), self._timing()
        )
        told = {"best": self._best(), "now": progress.now, "next": self._next}
        lines = [f"{progress.name}: {self._states()}", *(f"{name:6}{words}" for name, words in told.items() if words)]
        head, *rest = (Text(printable(line), no_wrap=True, overflow="ellipsis") for line in lines)
        return Group(head, bar, *rest, self._table())

    def _redraw(self) -> RenderableType:
        self._unwrap()
        drawn = self.render()
        lines = self._console.render_lines(drawn, pad=False)
        self._widths = [sum(cell_len(segment.text) for segment in line) for line in lines]
        return drawn

    def _unwrap(self) -> None:
        """Erase what a terminal that became narrower has wrapped: rich knows of as many lines only as it has drawn."""
        if self._live is None:
            return
        wrapped = sum(max(0, math.ceil(width / self._console.width) - 1) for width in self._widths)
        self._widths = []
        if wrapped:
            up = [(ControlType.CURSOR_UP, 1), (ControlType.ERASE_IN_LINE, 2)] * wrapped
            self._console.control(Control(ControlType.CARRIAGE_RETURN, (ControlType.ERASE_IN_LINE, 2), *up))

    def _states(self) -> str:
        return ", ".join(f"{count} {state}" for state, count in self.progress.counts.items() if count) or "no trial yet"

    def _best(self) -> str:
        best = self.progress.best
        if best is None or best.best_wer is None:
            return ""
        verdict = "reached" if best.best_wer < self.progress.target else "not reached"
        wer = f"WER {_percent(best.best_wer)}{by_scoring(self.progress.scoring)}"
        return f"{wer} (trial {best.number}, epoch {best.epoch_of_best}), target {self.progress.target:.0%} {verdict}"

    def _timing(self) -> str:
        progress, remaining = self.progress, self.progress.remaining_s
        left = [] if progress.ended else ["estimating" if remaining is None else f"{_clock(remaining)} left"]
        gone = f"{_clock(progress.elapsed_s)} gone"
        return ", ".join([f"{progress.done:.0%}", f"{progress.pace:.2f} epochs/s", gone, *left])

    def _table(self) -> Table:
        room = max(1, min(SHOWN_TRIALS, self._console.height - _FRAME))
        shown, best = _shown(self.progress)[:room], self.progress.best
        columns = [
            Column("trial", [str(trial.number) for trial in shown]),
            Column("state", [trial.status for trial in shown], right=False),
            Column("epoch", [f"{trial.epoch}/{self.progress.epochs}" for trial in shown]),
            Column("WER", [_percent(_last(trial, "wer")) for trial in shown]),
            Column("best", [_percent(trial.best_wer) for trial in shown]),
            Column("below\nfloor", [_percent(_last(trial, "loss_below_floor")) for trial in shown]),
        ]
        names = {name: None for trial in shown for name in trial.configuration}
        parameters = differing([_parameter(name, shown) for name in order_parameters(names)])
        fitting = fit_columns([*columns, *parameters], self._console.width, kept=len(columns))
        styles = ["bold green" if trial is best else None if trial.status == RUNNING else "dim" for trial in shown]
        return build_table(fitting, styles, box=None)


def _parameter(name: str, shown: list[TrialState]) -> Column:
    given = [trial.configuration.get(name) for trial in shown]
    return Column(
        printable(name).replace("_", "\n"),
        list(map(_cell, given)),
        right=not any(isinstance(each, str) for each in given),
    )


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3g}"
    return "-" if value is None else printable(str(value))


def describe(configuration: Any) -> str:
    """A configuration on one line."""
    return " ".join(
        f"{name}={value:.3g}" if isinstance(value, float) else f"{name}={value}"
        for name, value in configuration.items()
    )


def _last(trial: TrialState, metric: str) -> float | None:
    return trial.curve[-1].get(metric) if trial.curve else None


def _shown(progress: SweepProgress) -> list[TrialState]:
    running = [trial for trial in progress.trials if trial.status == RUNNING]
    ended = [trial for trial in progress.trials if trial.status != RUNNING]
    ended.sort(key=lambda trial: trial.best_wer if trial.best_wer is not None else float("inf"))
    return running + ended


def _percent(fraction: float | None) -> str:
    return "-" if fraction is None else f"{fraction:.1%}"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"

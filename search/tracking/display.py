"""Show a running sweep: a live table on a terminal, plain lines elsewhere."""

import math
import time
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from glosstune.results.reading.epoch_metrics import by_scoring
from glosstune.results.reading.events import RUNNING
from glosstune.search.scheduler.trial import TrialState
from glosstune.search.tracking.progress import SweepProgress

SHOWN_TRIALS = 12
PLAIN_INTERVAL_S = 15.0


class Display:
    """Draws a ``SweepProgress``; write-only."""

    def __init__(self, progress: SweepProgress, console: Console) -> None:
        self.progress = progress
        self._terminal = console.is_terminal
        self._console = console
        self._live: Live | None = None
        self._printed = 0.0
        self._announced = math.inf

    def __enter__(self) -> "Display":
        if self._terminal:
            self._live = Live(console=self._console, get_renderable=self.render, refresh_per_second=4)
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Leave the terminal as it was."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def refresh(self) -> None:
        """Called after every event: plain output prints a line where there is news; the live table redraws itself."""
        best_wer, now = self.progress.best_wer, time.monotonic()
        if self._terminal or not (best_wer != self._announced or now - self._printed > PLAIN_INTERVAL_S):
            return
        self._printed, self._announced = now, best_wer
        self._console.print(self._headline(), soft_wrap=True)

    def note(self, line: str) -> None:
        """A line that stays: above the live table on a terminal."""
        self._console.print(line, soft_wrap=True, highlight=False, markup=False)

    def render(self) -> RenderableType:
        """Headline, progress bar and the running and best trials."""
        bar = ProgressBar(total=1.0, completed=self.progress.done, width=40)
        line = Table.grid(padding=(0, 2))
        line.add_row(bar, self._timing())
        return Group(self._headline(timing=False), line, self._table())

    def _headline(self, *, timing: bool = True) -> Text:
        counts = self.progress.counts
        states = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
        best = self.progress.best
        parts = [f"{self.progress.name}: {states}"]
        if best is not None and best.best_wer is not None:
            verdict = "reached" if best.best_wer < self.progress.target else "ahead"
            scored = by_scoring(self.progress.scoring)
            parts.append(f"best WER {_percent(best.best_wer)}{scored} (trial {best.number})")
            parts.append(f"target {_percent(self.progress.target)} {verdict}")
        if timing:
            parts.append(self._timing().plain)
        return Text("; ".join(parts))

    def _timing(self) -> Text:
        progress, remaining = self.progress, self.progress.remaining_s
        left = "estimating" if remaining is None else f"{_clock(remaining)} left"
        gone = f"{_clock(progress.elapsed_s)} gone"
        return Text(f"{progress.done:.0%}, {progress.pace:.2f} epochs/s, {gone}, {left}")

    def _table(self) -> Table:
        table = Table(box=None, pad_edge=False, header_style="bold")
        for name in ("trial", "state", "epoch", "WER", "best", "below floor", "configuration"):
            table.add_column(name, justify="left" if name in ("state", "configuration") else "right", no_wrap=True)
        best = self.progress.best
        for trial in _shown(self.progress):
            table.add_row(
                str(trial.number),
                trial.status,
                f"{trial.epoch}/{self.progress.epochs}",
                _percent(_last(trial, "wer")),
                _percent(trial.best_wer),
                _percent(_last(trial, "loss_below_floor")),
                describe(trial.configuration),
                style="bold green" if trial is best else "" if trial.status == RUNNING else "dim",
            )
        return table


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
    return (running + ended)[:SHOWN_TRIALS]


def _percent(fraction: float | None) -> str:
    return "-" if fraction is None else f"{fraction:.1%}"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"

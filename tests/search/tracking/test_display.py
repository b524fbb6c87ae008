import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from replay import Tape, learning, metrics, sweep
from rich.console import Console
from terminal import Terminal, check_screen

from glosstune.search.scheduler.scheduler import Scheduler
from glosstune.search.tracking.display import Display
from glosstune.search.tracking.progress import SweepProgress

SCREENS = Path(__file__).parent / "screens"


class Stage:
    """A sweep of four trials of ten epochs, two of them over, with a clock that is set by hand."""

    def __init__(self, *overrides: str) -> None:
        plan = sweep("search.samples=4", "training.epochs=10", "halving.kind=none", *overrides)
        self.now = 0.0
        self.scheduler = Scheduler(plan, Tape().append, slots=lambda: 4, clock=lambda: self.now)
        self.progress = SweepProgress(self.scheduler.state, lambda: self.scheduler.used_s, clock=lambda: self.now)

    def train(self, wer: float, epochs: int) -> None:
        number = self.scheduler.next_trial()
        assert number is not None
        for epoch in range(1, epochs + 1):
            self.scheduler.report(number, epoch, metrics(wer, 0.1))

    def play(self) -> "Stage":
        self.train(0.25, 10)
        self.train(0.97, 3)
        self.scheduler.stop(1)
        self.train(0.9, 5)
        self.now = 100.0
        return self


def test_counts_best_and_share_of_work() -> None:
    progress = Stage().play().progress
    assert progress.counts == {"finished": 1, "stopped": 1, "running": 1, "to come": 1}
    assert progress.best is not None and progress.best.number == 0
    assert progress.pace == 18 / 100
    assert progress.done == 2.5 / 4
    assert progress.remaining_s == 60.0


def test_a_rule_of_its_own_stands_behind_the_best_wer() -> None:
    stage = Stage().play()
    told = io.StringIO()
    console = Console(file=told, width=200)
    for scoring, shown in (("plain", "best WER 25.0% (trial 0"), ("phoenix2014", "best WER 25.0% by phoenix2014")):
        stage.scheduler.state.scoring = scoring
        console.print(Display(stage.progress, console).line())
        assert shown in told.getvalue()


def test_remaining_time_ends_with_the_budget() -> None:
    stage = Stage("search.time_budget_min=2").play()
    assert stage.progress.remaining_s == pytest.approx(20.0)
    stage.now = 130.0
    assert stage.progress.remaining_s == 0.0


def test_no_estimate_before_the_first_epoch() -> None:
    stage = Stage()
    stage.now = 5.0
    assert stage.progress.remaining_s is None


def test_a_resumed_sweep_is_timed_by_what_its_new_driver_does() -> None:
    stage = Stage().play()
    resumed = SweepProgress(stage.scheduler.state, lambda: stage.scheduler.used_s, clock=lambda: stage.now)
    stage.now = 110.0
    assert resumed.pace == 0 and resumed.remaining_s is None
    stage.train(0.5, 10)
    assert resumed.pace == 1.0
    assert resumed.remaining_s == 10.0 * 0.125 / 0.25


@given(st.lists(st.integers(1, 10), max_size=4))
def test_share_of_work_never_shrinks_and_stays_below_one(lengths: list[int]) -> None:
    stage, before = Stage(), 0.0
    for epochs in lengths:
        stage.train(1.0, epochs)
        assert before <= stage.progress.done <= 1
        before = stage.progress.done


@pytest.mark.parametrize("overrides", [("halving.lead=0.85",), ("halving.kind=stop",), ("search.epoch_budget=60",)])
def test_share_of_work_grows_under_halving_and_is_whole_at_the_end(overrides: tuple[str, ...]) -> None:
    scheduler = Scheduler(sweep(*overrides), Tape().append, slots=lambda: 2)
    progress, before = SweepProgress(scheduler.state, lambda: 0.0), 0.0
    while not scheduler.done:
        number = scheduler.next_trial()
        assert number is not None
        trial = scheduler.state.trials[number]
        while scheduler.report(number, trial.epoch + 1, learning(trial.configuration, trial.epoch + 1)):
            assert before <= progress.done < 1
            before = progress.done
            assert progress.next or len(progress.trials) == 12
    scheduler.close()
    assert progress.done == 1 and progress.ended and not progress.next


def _busy() -> Stage:
    """Trials in every state, of three strategies."""
    choice = "space.strategy={choice: [baseline, fine-tune, full-finetune]}"
    stage = Stage("halving={kind: promote, lead: 0, min_epochs: 3}", "search.samples=9", choice, "pretrained=auto")
    for wer in (1.012, 0.4, 0.9):
        stage.train(wer, 3)
    stage.train(0.35, 4)
    stage.train(0.97, 1)
    stage.now = 205.0
    return stage


@pytest.mark.parametrize("width", [80, 100, 160])
def test_a_live_table_shows_every_number_whole(width: int) -> None:
    terminal = Terminal(width)
    terminal.console.print(Display(_busy().progress, terminal.console).render())
    check_screen(terminal.text, SCREENS / f"live-{width}.txt")
    for trial in ("0  paused", "1  running   4/10   35.0%   35.0%", "101.2%"):
        assert trial in terminal.text


@pytest.mark.parametrize("width", [200, 79, 50])
def test_a_window_of_another_size_holds_no_torn_copies(width: int) -> None:
    terminal, stage = Terminal(120), _busy()
    terminal.console.print("pretraining is over")
    with Display(stage.progress, terminal.console) as display:
        assert display._live is not None
        display._live.refresh()
        terminal.resize(width)
        display._live.refresh()
        display.note("trial 1 failed")
        display._live.refresh()
        text = terminal.text
    assert text.count("below") == text.count("student:") == text.count("next  ") == 1
    assert text.count("trial 1 failed") == 1


def test_lines_that_a_narrower_terminal_has_wrapped_are_erased() -> None:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=120, height=40)
    with Display(_busy().progress, console) as display:
        assert display._live is not None
        display._live.refresh()
        drawn, widest = len(display._widths), max(display._widths)
        console.width = 60
        before = len(stream.getvalue())
        display._live.refresh()
        moves = stream.getvalue()[before:].count("\x1b[1A")
    assert widest > 60 and moves > drawn - 1


def test_elsewhere_lines_are_printed_when_there_is_news() -> None:
    stream, stage = io.StringIO(), Stage().play()
    with Display(stage.progress, Console(file=stream, width=80)) as display:
        display.refresh()
        display.refresh()
        stage.scheduler.report(2, 6, metrics(0.2, 0.5))
        display.refresh()
    lines = stream.getvalue().splitlines()
    assert len(lines) == 2
    assert "best WER 25.0% (trial 0, epoch 1)" in lines[0] and "best WER 20.0% (trial 2, epoch 6)" in lines[1]

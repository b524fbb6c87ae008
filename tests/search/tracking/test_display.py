import io

from hypothesis import given
from hypothesis import strategies as st
from replay import Tape, metrics, sweep
from rich.console import Console

from glosstune.search.scheduler.scheduler import Scheduler
from glosstune.search.tracking.display import Display
from glosstune.search.tracking.progress import SweepProgress


class Stage:
    """A sweep of four trials of ten epochs, two of them over, with a clock that is set by hand."""

    def __init__(self, *overrides: str) -> None:
        plan = sweep("search.samples=4", "training.epochs=10", "halving.kind=none", *overrides)
        self.now = 0.0
        self.scheduler = Scheduler(plan, Tape().append, slots=lambda: 4, clock=lambda: self.now)
        self.progress = SweepProgress(self.scheduler, clock=lambda: self.now)

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
    assert progress.counts == {"finished": 1, "stopped": 1, "running": 1, "waiting": 1}
    assert progress.best is not None and progress.best.number == 0
    assert progress.pace == 18 / 100
    assert progress.done == 2.5 / 4
    assert progress.remaining_s == 60.0


def test_a_rule_of_its_own_stands_behind_the_best_wer() -> None:
    stage = Stage().play()
    told = io.StringIO()
    console = Console(file=told, width=200)
    for scoring, shown in (("plain", "best WER 25.0% (trial 0)"), ("phoenix2014", "best WER 25.0% by phoenix2014")):
        stage.scheduler.state.scoring = scoring
        console.print(Display(stage.progress, console)._headline())
        assert shown in told.getvalue()


def test_remaining_time_ends_with_the_budget() -> None:
    stage = Stage("search.time_budget_min=2").play()
    assert stage.progress.remaining_s == 20.0
    stage.now = 130.0
    assert stage.progress.remaining_s == 0.0


def test_no_estimate_before_the_first_epoch() -> None:
    stage = Stage()
    stage.now = 5.0
    assert stage.progress.remaining_s is None


def test_a_resumed_sweep_is_timed_by_what_its_new_driver_does() -> None:
    stage = Stage().play()
    resumed = SweepProgress(stage.scheduler, clock=lambda: stage.now)
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


def test_a_terminal_shows_table_bar_and_target() -> None:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=160)
    console.print(Display(Stage().play().progress, console).render())
    text = stream.getvalue()
    for part in ("1 finished", "1 running", "1 waiting", "25.0%", "reached", "5/10", "dropout=0.", "left"):
        assert part in text


def test_elsewhere_lines_are_printed_when_there_is_news() -> None:
    stream, stage = io.StringIO(), Stage().play()
    with Display(stage.progress, Console(file=stream, width=80)) as display:
        display.refresh()
        display.refresh()
        stage.scheduler.report(2, 6, metrics(0.2, 0.5))
        display.refresh()
    lines = stream.getvalue().splitlines()
    assert len(lines) == 2
    assert "best WER 25.0% (trial 0)" in lines[0] and "best WER 20.0% (trial 2)" in lines[1]

import io
import pickle

from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from glosstune.search.display import Display
from glosstune.search.progress import SweepProgress


def _progress() -> SweepProgress:
    progress = SweepProgress("sweep", samples=4, epochs=10, target=0.3)
    progress.start(0, {"learning_rate": 1e-3})
    progress.report(0, _metrics(10, wer=0.4, best=0.25))
    progress.end(0, "finished")
    progress.start(1, {"learning_rate": 2e-3})
    progress.report(1, _metrics(3, wer=0.97, best=0.97))
    progress.end(1, "stopped")
    progress.start(2, {"learning_rate": 3e-3, "dropout": 0.123456})
    progress.report(2, _metrics(5, wer=0.9, best=0.9))
    return progress


def _metrics(epoch: int, *, wer: float, best: float) -> dict[str, float]:
    return {"epoch": epoch, "wer": wer, "best_wer": best, "loss_below_floor": 0.1}


def test_counts_best_and_share_of_work() -> None:
    progress = _progress()
    assert progress.counts == {"finished": 1, "stopped": 1, "running": 1, "waiting": 1}
    assert progress.best is not None and progress.best.number == 0
    assert progress.epochs_done == 18
    assert progress.done == 2.5 / 4
    assert progress.remaining_s(100.0) == 60.0


def test_remaining_time_ends_with_the_budget() -> None:
    progress = _progress()
    progress.time_budget_s = 120.0
    assert progress.remaining_s(100.0) == 20.0
    assert progress.remaining_s(130.0) == 0.0


def test_no_estimate_before_the_first_epoch() -> None:
    assert SweepProgress("sweep", 4, 10, 0.3).remaining_s(5.0) is None


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 10)), max_size=30))
def test_share_of_work_never_shrinks_and_stays_below_one(reports: list[tuple[int, int]]) -> None:
    progress = SweepProgress("sweep", 4, 10, 0.3)
    before = 0.0
    for number, epoch in reports:
        progress.start(number, {})
        progress.report(number, _metrics(epoch, wer=1.0, best=1.0))
        assert before <= progress.done <= 1
        before = progress.done


def test_a_terminal_shows_table_bar_and_target() -> None:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=160)
    display = Display(_progress(), console)
    console.print(display.render())
    text = stream.getvalue()
    for part in ("1 finished", "1 running", "1 waiting", "25.0%", "reached", "5/10", "dropout=0.123", "left"):
        assert part in text


def test_elsewhere_lines_are_printed_when_there_is_news() -> None:
    stream = io.StringIO()
    with Display(_progress(), Console(file=stream, width=80)) as display:
        display.refresh()
        display.refresh()
        display.progress.report(2, _metrics(6, wer=0.2, best=0.2))
        display.refresh()
    lines = stream.getvalue().splitlines()
    assert len(lines) == 2
    assert "best WER 25.0% (trial 0)" in lines[0] and "best WER 20.0% (trial 2)" in lines[1]


def test_a_display_can_be_pickled() -> None:
    copy = pickle.loads(pickle.dumps(Display(_progress(), Console(file=io.StringIO()))))
    copy.refresh()
    assert copy.progress.best.number == 0

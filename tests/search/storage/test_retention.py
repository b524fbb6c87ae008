"""Checkpoints of the best trials stay, those of others go, and nothing else does."""

import errno
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glosstune.search.storage.retention import Retention
from glosstune.spaces.files.folder import LocalFolder

FILES = ("best.pt", "last.pt", "hypotheses.parquet", "trial.log")


@pytest.fixture
def folder(tmp_path: Path) -> LocalFolder:
    """Six trials, the last of which has never been better than before."""
    for number in range(6):
        for name in FILES[number == 5 :]:
            path = tmp_path / "trials" / f"{number:04d}" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    return LocalFolder(tmp_path)


def _kept(folder: LocalFolder) -> list[int]:
    """Trials that still have a checkpoint; the other files are there whatever becomes of those."""
    assert len(list(folder.here.glob("trials/*/hypotheses.parquet"))) == 6
    assert len(list(folder.here.glob("trials/*/trial.log"))) == 6
    best = {int(path.parent.name) for path in folder.here.glob("trials/*/best.pt")}
    last = {int(path.parent.name) for path in folder.here.glob("trials/*/last.pt")}
    assert best == last - {5}
    return sorted(last)


def test_the_best_that_ended_and_the_best_that_wait_at_each_rung_keep_theirs(folder: LocalFolder) -> None:
    ended, first_rung = {0: (0.5,), 1: (0.3,), 2: (0.3,)}, {3: (0.9,), 4: (0.8,)}
    Retention(folder, print).settle([ended, first_rung], 1)  # and the sixth trains
    assert _kept(folder) == [1, 4, 5]


def test_null_keeps_all_and_fewer_trials_than_may_keep_theirs_do(folder: LocalFolder) -> None:
    retention = Retention(folder, print)
    retention.settle([{number: (0.1 * number,) for number in range(6)}], None)
    retention.settle([{number: (0.1 * number,) for number in range(6)}], 6)
    assert _kept(folder) == list(range(6))


def test_with_several_objectives_all_on_the_front_keep_theirs(folder: LocalFolder) -> None:
    points = {0: (0.9, 1.0), 1: (0.5, 2.0), 2: (0.1, 3.0), 3: (0.6, 2.0), 4: (0.2, 4.0), 5: (0.95, 1.0)}
    Retention(folder, print).settle([points], 1)
    assert _kept(folder) == [0, 1, 2]


def test_what_a_trial_that_was_stopped_while_it_trained_still_wrote_goes_too(folder: LocalFolder) -> None:
    retention, points = Retention(folder, print), {0: (0.1,), 1: (0.2,)}
    retention.settle([points], 1)
    for name in ("best.pt", "last.pt"):
        (folder.here / "trials" / "0001" / name).touch()
    retention.settle([points], 1)  # nobody says that it wrote, and nothing is asked of the disk again
    assert 1 in _kept(folder)
    retention.settle([points], 1, [1])
    assert _kept(folder) == [0, 2, 3, 4, 5]


def test_a_trial_that_went_on_is_judged_anew(folder: LocalFolder) -> None:
    retention = Retention(folder, print)
    retention.settle([{0: (0.1,), 1: (0.2,)}], 1)
    for name in ("best.pt", "last.pt"):
        (folder.here / "trials" / "0001" / name).touch()
    retention.settle([{0: (0.1,)}], 1)  # it trains
    retention.settle([{0: (0.1,), 1: (0.05,)}], 1)
    assert _kept(folder) == [1, 2, 3, 4, 5]


def test_what_cannot_be_removed_is_told_once_and_stays(folder: LocalFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*names: str) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    told: list[str] = []
    monkeypatch.setattr(folder, "remove", refuse)
    retention = Retention(folder, told.append)
    retention.settle([{0: (0.1,), 1: (0.2,)}], 1)
    retention.settle([{0: (0.1,), 1: (0.2,), 2: (0.3,)}], 1)
    (line,) = told
    assert "search.keep_checkpoints" in line and "Permission denied" in line
    assert _kept(folder) == list(range(6))


class _Asked(LocalFolder):
    """Only notes what is to be removed."""

    def __init__(self) -> None:
        super().__init__(Path())
        self.removed: set[int] = set()

    def remove(self, *names: str) -> None:
        self.removed |= {int(name.split("/")[1]) for name in names}


@given(st.lists(st.floats(0, 2), max_size=30), st.integers(1, 12))
def test_whatever_order_trials_end_in_those_that_have_theirs_are_the_best(scores: list[float], keep: int) -> None:
    folder = _Asked()
    retention, ended = Retention(folder, print), dict[int, tuple[float, ...]]()
    for number, score in enumerate(scores):
        ended[number] = (score,)
        retention.settle([ended], keep)
    best = sorted(ended, key=lambda number: (ended[number], number))[:keep]
    assert folder.removed == set(ended) - set(best)

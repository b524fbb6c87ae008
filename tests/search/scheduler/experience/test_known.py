"""What is read of other sweeps: the best configurations of those that come along, and of folders."""

import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from replay import drive, run_through, sweep

from glosstune.search import load_sweep
from glosstune.search.scheduler.experience.known import KnownSweep, best_of, fitting, known_to, packaged
from glosstune.search.scheduler.experience.prior import Prior
from glosstune.search.scheduler.scheduler import Scheduler
from glosstune.search.storage.record import Record
from glosstune.spaces import FolderError, SettingError


def _earlier(folder: Path, *overrides: str) -> Scheduler:
    """A sweep whose record lies in a folder."""
    folder.mkdir()
    record = Record(folder / "record.jsonl")
    record.append("sweep", format=1, id="1", samples=1, epochs=18, metric="wer", target=0.3)
    scheduler = Scheduler(sweep(*overrides), record.append)
    drive(scheduler)
    return scheduler


@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=50))
def test_the_best_are_a_tenth_and_none_of_the_others_is_better(scores: list[float]) -> None:
    trials = [({"place": place}, score) for place, score in enumerate(scores)]
    best = [each["place"] for each in best_of(trials)]
    assert len(best) == max(1, round(len(scores) / 10))
    others = [score for place, score in enumerate(scores) if place not in best]
    assert max(scores[place] for place in best) <= min(others, default=1.0)


def test_of_the_packaged_ones_those_of_the_same_kind_of_model_are_known() -> None:
    student, teacher = (known_to(load_sweep(name, "search.prior=packaged")) for name in ("student", "teacher"))
    assert {each.model for each in student} == {"student"} and {each.model for each in teacher} == {"teacher"}
    assert len(student) + len(teacher) == len(packaged())
    assert known_to(load_sweep("student", ["search.prior=none"])) == ()


def test_what_fits_any_model_is_known_to_all() -> None:
    any_model = KnownSweep("a", None, [{}])
    assert fitting([any_model, KnownSweep("b", "teacher", [{}])], load_sweep("student")) == [any_model]


def test_a_folder_tells_the_best_of_its_trials(tmp_path: Path) -> None:
    before = _earlier(tmp_path / "a", "search.samples=20", "search.sampler=random")
    best = min(before.state.trials.values(), key=lambda trial: trial.best_wer or 1.0)
    (known,) = known_to(sweep(f"search.prior={tmp_path / 'a'}"))
    assert known.best[0] == best.configuration and len(known.best) == 2
    first = Prior([known]).first(sweep().space, random.Random(0))
    assert first in [dict(configuration) for configuration in known.best]
    scheduler, _ = run_through(sweep(f"search.prior=[{tmp_path / 'a'}]"))
    assert scheduler.state.trials[0].source == "prior"


def test_folders_lie_where_the_file_says_or_where_the_command_runs(tmp_path: Path) -> None:
    file = tmp_path / "my.yaml"
    file.write_text("search: {prior: [runs/a]}\n", encoding="utf-8")
    assert load_sweep(file).search.prior == (tmp_path / "runs" / "a",)
    assert load_sweep("student", ["search.prior=runs/b"]).search.prior == (Path("runs/b").absolute(),)


def test_what_nothing_can_be_learned_from_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FolderError, match=r"search\.prior: .*nowhere.*; it is packaged, none, or folders of sweeps"):
        known_to(sweep(f"search.prior={tmp_path / 'nowhere'}"))
    (tmp_path / "empty").mkdir()
    record = Record(tmp_path / "empty" / "record.jsonl")
    record.append("sweep", format=1, id="1", samples=1, epochs=18, metric="wer", target=0.3)
    with pytest.raises(FolderError) as caught:
        known_to(sweep(f"search.prior={tmp_path / 'empty'}"))
    assert "none of its 0 trials has shown a wer, so search.prior can learn nothing from it" in str(caught.value)
    with pytest.raises(SettingError, match=r"search\.prior"):
        load_sweep("student", ["search.prior=3"])

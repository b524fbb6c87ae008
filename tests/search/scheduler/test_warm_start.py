from pathlib import Path

import pytest
from replay import Tape, drive, sweep

from glosstune.search import Sweep
from glosstune.search.scheduler.scheduler import Scheduler
from glosstune.search.scheduler.warm_start import earlier_trials, read_earlier, tell_scorings
from glosstune.search.storage.record import Record
from glosstune.spaces import FolderError


def _earlier(folder: Path, plan: Sweep) -> Scheduler:
    """Run a sweep whose record lies in a folder."""
    folder.mkdir()
    record = Record(folder / "record.jsonl")
    record.append("sweep", format=1, id="1", samples=1, epochs=18, metric="wer", target=0.3)
    scheduler = Scheduler(plan, record.append)
    drive(scheduler)
    return scheduler


def test_every_ended_trial_that_fits_is_taken_with_its_curve(tmp_path: Path) -> None:
    plan = sweep("search.samples=6", "halving.min_epochs=2")
    before = _earlier(tmp_path / "a", plan)
    said: list[str] = []
    warm = sweep(f"search.warm_start=[{tmp_path / 'a'}]", "halving.min_epochs=2")
    trials = earlier_trials(warm, read_earlier(warm), said.append)
    assert said == [f"warm start: 6 of 6 trials of {tmp_path / 'a'} fit"]
    for trial, original in zip(trials, before.state.trials.values(), strict=True):
        assert trial.configuration == original.configuration
        assert trial.curve == original.curve and trial.scores == original.scores
        assert trial.status == original.status and trial.rule == original.rule


def test_what_does_not_fit_is_said_with_the_reason(tmp_path: Path) -> None:
    before = _earlier(tmp_path / "a", sweep("search.samples=8", "search.sampler=random"))
    inside = [t for t in before.state.trials.values() if t.configuration["dropout"] <= 0.25]
    said: list[str] = []
    warm = sweep(f"search.warm_start=[{tmp_path / 'a'}]", "space.dropout.float=[0, 0.25]")
    assert len(earlier_trials(warm, read_earlier(warm), said.append)) == len(inside)
    assert said[0] == f"warm start: {len(inside)} of 8 trials of {tmp_path / 'a'} fit"
    assert all("dropout: must be a number from 0.0 to 0.25" in line for line in said[1:])


def test_a_sweep_that_is_scored_otherwise_is_told(tmp_path: Path) -> None:
    _earlier(tmp_path / "a", sweep("search.samples=1"))
    records = read_earlier(sweep(f"search.warm_start=[{tmp_path / 'a'}]"))
    said: list[str] = []
    tell_scorings(records, "plain", said.append)
    assert said == []
    tell_scorings(records, "phoenix2014", said.append)
    assert said[0].startswith(f"warm start: WER in {tmp_path / 'a'} is counted by plain, here by phoenix2014")


def test_curves_are_judged_by_the_rungs_and_the_length_of_the_new_sweep(tmp_path: Path) -> None:
    _earlier(tmp_path / "a", sweep("search.samples=4", "halving.kind=none", "search.sampler=random"))
    warm = sweep(f"search.warm_start=[{tmp_path / 'a'}]", "training.epochs=10", "halving.min_epochs=2")
    trials = earlier_trials(warm, read_earlier(warm), lambda line: None)
    for trial in trials:
        if trial.rule != "stuck":
            assert trial.epoch == 10 and trial.status == "finished"
            assert 1 <= len(trial.scores) <= 2


def test_what_still_runs_is_left_out(tmp_path: Path) -> None:
    scheduler = _earlier(tmp_path / "a", sweep("search.samples=2"))
    record = Record(tmp_path / "a" / "record.jsonl")
    record.append("trial", trial=2, configuration=dict(scheduler.state.trials[0].configuration), source="tpe")
    said: list[str] = []
    warm = sweep(f"search.warm_start=[{tmp_path / 'a'}]")
    assert len(earlier_trials(warm, read_earlier(warm), said.append)) == 2
    assert said[1] == "  1 not: its status is running"


def test_the_sampler_draws_by_what_earlier_sweeps_found(tmp_path: Path) -> None:
    _earlier(tmp_path / "a", sweep("search.samples=40", "search.sampler=random", "halving.min_epochs=2"))
    warm = sweep(f"search.warm_start=[{tmp_path / 'a'}]", "search.samples=12", "halving.min_epochs=2")
    told = Scheduler(warm, Tape().append, earlier=earlier_trials(warm, read_earlier(warm), lambda line: None))
    drive(told)
    rates = [trial.configuration["learning_rate"] for trial in told.state.trials.values()]
    assert sum(1e-4 < rate < 1e-2 for rate in rates) >= 9


def test_a_folder_without_a_sweep_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FolderError, match="no such folder"):
        read_earlier(sweep(f"search.warm_start=[{tmp_path / 'nowhere'}]"))

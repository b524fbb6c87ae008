"""The study for dashboards: it follows the record, and is made anew where it does not."""

from pathlib import Path

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import TrialState as OptunaState
from replay import Tape, drive, sized, sweep

from glosstune.results.reading.events import Event, TrialEvent
from glosstune.results.reading.names import STUDY
from glosstune.search.scheduler.scheduler import Scheduler
from glosstune.search.tracking.optuna_study import URL, OptunaStudy
from glosstune.spaces import SettingError

PLAN = sweep("search.samples=5", "halving.min_epochs=2")


def _trials(folder: Path) -> list[optuna.trial.FrozenTrial]:
    path = str(folder / STUDY)
    storage = JournalStorage(JournalFileBackend(path, lock_obj=JournalFileOpenLock(path)))
    return optuna.load_study(study_name="student-1", storage=storage).trials


@pytest.fixture
def ended() -> Scheduler:
    scheduler = Scheduler(PLAN, Tape().append)
    drive(scheduler)
    return scheduler


def _mirrored(scheduler: Scheduler, folder: Path) -> OptunaStudy:
    mirror = OptunaStudy(PLAN, "1", folder)
    mirror.open(scheduler.state.trials.values(), final=scheduler.done)
    return mirror


def _agrees(scheduler: Scheduler, folder: Path) -> bool:
    shown, trials = _trials(folder), list(scheduler.state.trials.values())
    states = {"finished": OptunaState.COMPLETE, "stopped": OptunaState.PRUNED, "failed": OptunaState.FAIL}
    return len(shown) == len(trials) and all(
        kept.state == states[trial.status]
        and kept.params == trial.configuration
        and kept.intermediate_values == {epoch: m["wer"] for epoch, m in enumerate(trial.curve, start=1)}
        and kept.user_attrs["reason"] == trial.reason
        for kept, trial in zip(shown, trials, strict=True)
    )


def test_it_shows_every_trial_with_its_curve_and_end(ended: Scheduler, tmp_path: Path) -> None:
    _mirrored(ended, tmp_path)
    assert _agrees(ended, tmp_path)
    finished = [trial for trial in _trials(tmp_path) if trial.state == OptunaState.COMPLETE]
    assert min(trial.value for trial in finished if trial.value is not None) == ended.state.best_wer


def test_it_follows_a_running_sweep_and_leaves_nothing_running(tmp_path: Path) -> None:
    scheduler = Scheduler(PLAN, Tape().append)
    mirror = _mirrored(scheduler, tmp_path)
    original = scheduler._emit

    def emit(event: Event) -> None:
        original(event)
        if isinstance(event, TrialEvent):
            mirror.show(scheduler.state.trials[event.trial])

    scheduler._emit = emit  # type: ignore[method-assign]  # to see each event
    drive(scheduler)
    for trial in scheduler.state.trials.values():
        mirror.show(trial, final=True)
    assert _agrees(scheduler, tmp_path)


def test_trials_that_were_over_and_go_on_are_shown_going_on(tmp_path: Path) -> None:
    tape = Tape()
    drive(Scheduler(PLAN, tape.append))
    more = sweep("search.samples=15", "halving.min_epochs=2")
    scheduler = Scheduler(more, tape.append, events=tape.told)
    before = {number: trial.epoch for number, trial in scheduler.state.trials.items()}
    mirror = _mirrored(scheduler, tmp_path)
    drive(scheduler)
    assert any(scheduler.state.trials[number].epoch > epoch for number, epoch in before.items())
    for trial in scheduler.state.trials.values():
        mirror.show(trial, final=True)
    assert _agrees(scheduler, tmp_path)


@pytest.mark.parametrize("damage", ["missing", "torn", "behind", "locked", "foreign"])
def test_it_is_made_anew_where_it_deviates(ended: Scheduler, tmp_path: Path, damage: str) -> None:
    path = tmp_path / STUDY
    _mirrored(ended, tmp_path)
    if damage == "missing":
        path.unlink()
    elif damage == "torn":
        path.write_bytes(path.read_bytes()[:-7])
    elif damage == "behind":
        path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-4]))
    elif damage == "locked":
        (tmp_path / f"{STUDY}.lock").write_text("")
    else:
        path.write_text("no journal\n")
    _mirrored(ended, tmp_path)
    assert _agrees(ended, tmp_path)


def test_what_agrees_is_left_as_it_is(ended: Scheduler, tmp_path: Path) -> None:
    _mirrored(ended, tmp_path)
    before = (tmp_path / STUDY).read_bytes()
    _mirrored(ended, tmp_path)
    assert (tmp_path / STUDY).read_bytes() == before


def test_an_interrupted_sweep_leaves_nothing_running_and_goes_on(tmp_path: Path) -> None:
    tape = Tape()
    scheduler = Scheduler(PLAN, tape.append)
    assert scheduler.next_trial() == 0
    scheduler.interrupt("interrupted by SIGTERM")
    scheduler.close()
    mirror = _mirrored(scheduler, tmp_path)
    for trial in scheduler.state.trials.values():
        mirror.show(trial, final=True)
    assert [trial.state for trial in _trials(tmp_path)] == [OptunaState.PRUNED]
    tape.append("resume", changes={})
    again = Scheduler(PLAN, tape.append, events=tape.told)
    drive(again)
    _mirrored(again, tmp_path)
    assert _agrees(again, tmp_path)


def test_a_database_of_the_environment_is_used_and_its_url_kept_nowhere(
    ended: Scheduler, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{tmp_path / 'secret-name.db'}"
    monkeypatch.setenv(URL, url)
    for _ in range(2):
        _mirrored(ended, tmp_path)
    assert len(optuna.load_study(study_name="student-1", storage=url).trials) == 5
    assert not (tmp_path / STUDY).exists()


def test_a_database_that_cannot_be_used_is_an_error_without_its_url(
    ended: Scheduler, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(URL, "sqlite:////nowhere/hunter2/study.db")
    with pytest.raises(SettingError, match=f"{URL}: cannot be used") as caught:
        _mirrored(ended, tmp_path)
    assert "hunter2" not in str(caught.value)


def test_with_several_objectives_its_front_is_that_of_the_sweep(tmp_path: Path) -> None:
    sizes = ("space.width={float: [0.1, 1], log: true}", "search.objectives=[wer,parameters]")
    plan = sweep("search.samples=8", "halving.min_epochs=2", *sizes)
    scheduler = Scheduler(plan, Tape().append)
    drive(scheduler, sized)
    for _ in range(2):  # made anew, then found as it is
        OptunaStudy(plan, "1", tmp_path).open(scheduler.state.trials.values(), final=True)
    path = str(tmp_path / STUDY)
    study = optuna.load_study(
        study_name="student-1", storage=JournalStorage(JournalFileBackend(path, lock_obj=JournalFileOpenLock(path)))
    )
    trials = scheduler.state.trials
    reached = {n: (min(m["wer"] or 1.0 for m in t.curve), t.costs["parameters"]) for n, t in trials.items()}
    assert {trial.number: tuple(trial.values) for trial in study.best_trials} == {
        number: point
        for number, point in reached.items()
        if not any(all(a <= b for a, b in zip(o, point, strict=True)) and o != point for o in reached.values())
    }

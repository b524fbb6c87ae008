"""The study for dashboards: it follows the record, and is made anew where it does not."""

from pathlib import Path

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import TrialState as OptunaState
from replay import Tape, drive, sweep

from glosstune.search.scheduler.scheduler import Conductor
from glosstune.search.tracking.optuna_study import STUDY, URL, Mirror
from glosstune.spaces import SettingError

PLAN = sweep("search.samples=5", "halving.min_epochs=2")


def _trials(folder: Path) -> list[optuna.trial.FrozenTrial]:
    path = str(folder / STUDY)
    storage = JournalStorage(JournalFileBackend(path, lock_obj=JournalFileOpenLock(path)))
    return optuna.load_study(study_name="student-1", storage=storage).trials


@pytest.fixture
def ended() -> Conductor:
    conductor = Conductor(PLAN, Tape().append)
    drive(conductor)
    return conductor


def _mirrored(conductor: Conductor, folder: Path) -> Mirror:
    mirror = Mirror(PLAN, "1", folder)
    mirror.open(conductor.state.trials.values(), final=conductor.done)
    return mirror


def _agrees(conductor: Conductor, folder: Path) -> bool:
    shown, trials = _trials(folder), list(conductor.state.trials.values())
    states = {"finished": OptunaState.COMPLETE, "stopped": OptunaState.PRUNED, "failed": OptunaState.FAIL}
    return len(shown) == len(trials) and all(
        kept.state == states[trial.status]
        and kept.params == trial.configuration
        and kept.intermediate_values == {epoch: m["wer"] for epoch, m in enumerate(trial.curve, start=1)}
        and kept.user_attrs["reason"] == trial.reason
        for kept, trial in zip(shown, trials, strict=True)
    )


def test_it_shows_every_trial_with_its_curve_and_end(ended: Conductor, tmp_path: Path) -> None:
    _mirrored(ended, tmp_path)
    assert _agrees(ended, tmp_path)
    finished = [trial for trial in _trials(tmp_path) if trial.state == OptunaState.COMPLETE]
    assert min(trial.value for trial in finished if trial.value is not None) == ended.state.best_wer


def test_it_follows_a_running_sweep_and_leaves_nothing_running(tmp_path: Path) -> None:
    conductor = Conductor(PLAN, Tape().append)
    mirror = _mirrored(conductor, tmp_path)
    original = conductor._emit

    def emit(event: str, **fields: object) -> None:
        original(event, **fields)
        if "trial" in fields:
            mirror.show(conductor.state.trials[fields["trial"]])  # type: ignore[index]  # a number

    conductor._emit = emit  # type: ignore[method-assign]  # to see each event
    drive(conductor)
    for trial in conductor.state.trials.values():
        mirror.show(trial, final=True)
    assert _agrees(conductor, tmp_path)


def test_trials_that_were_over_and_go_on_are_shown_going_on(tmp_path: Path) -> None:
    tape = Tape()
    drive(Conductor(PLAN, tape.append))
    more = sweep("search.samples=15", "halving.min_epochs=2")
    conductor = Conductor(more, tape.append, events=tape.events)
    before = {number: trial.epoch for number, trial in conductor.state.trials.items()}
    mirror = _mirrored(conductor, tmp_path)
    drive(conductor)
    assert any(conductor.state.trials[number].epoch > epoch for number, epoch in before.items())
    for trial in conductor.state.trials.values():
        mirror.show(trial, final=True)
    assert _agrees(conductor, tmp_path)


@pytest.mark.parametrize("damage", ["missing", "torn", "behind", "locked", "foreign"])
def test_it_is_made_anew_where_it_deviates(ended: Conductor, tmp_path: Path, damage: str) -> None:
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


def test_what_agrees_is_left_as_it_is(ended: Conductor, tmp_path: Path) -> None:
    _mirrored(ended, tmp_path)
    before = (tmp_path / STUDY).read_bytes()
    _mirrored(ended, tmp_path)
    assert (tmp_path / STUDY).read_bytes() == before


def test_an_interrupted_sweep_leaves_nothing_running_and_goes_on(tmp_path: Path) -> None:
    tape = Tape()
    conductor = Conductor(PLAN, tape.append)
    assert conductor.next_trial() == 0
    conductor.interrupt("interrupted by SIGTERM")
    conductor.close()
    mirror = _mirrored(conductor, tmp_path)
    for trial in conductor.state.trials.values():
        mirror.show(trial, final=True)
    assert [trial.state for trial in _trials(tmp_path)] == [OptunaState.PRUNED]
    tape.append("resume", changes={})
    again = Conductor(PLAN, tape.append, events=tape.events)
    drive(again)
    _mirrored(again, tmp_path)
    assert _agrees(again, tmp_path)


def test_a_database_of_the_environment_is_used_and_its_url_kept_nowhere(
    ended: Conductor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{tmp_path / 'secret-name.db'}"
    monkeypatch.setenv(URL, url)
    for _ in range(2):
        _mirrored(ended, tmp_path)
    assert len(optuna.load_study(study_name="student-1", storage=url).trials) == 5
    assert not (tmp_path / STUDY).exists()


def test_a_database_that_cannot_be_used_is_an_error_without_its_url(
    ended: Conductor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(URL, "sqlite:////nowhere/hunter2/study.db")
    with pytest.raises(SettingError, match=f"{URL}: cannot be used") as caught:
        _mirrored(ended, tmp_path)
    assert "hunter2" not in str(caught.value)

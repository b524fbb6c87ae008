"""What strangers have written into a record stays text wherever its trials are shown, and nothing lands elsewhere."""

import json
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hostile import ESCAPE, NAMES, OUTSIDE, TAG
from replay import Tape, sweep

from glosstune.results.reading.names import trial_name
from glosstune.search.scheduler.scheduler import Scheduler
from glosstune.search.scheduler.trial import TrialState
from glosstune.search.tracking.optuna_study import OptunaStudy, open_storage
from glosstune.search.tracking.tensorboard_files import TensorBoardFiles
from glosstune.search.tracking.views import Views
from glosstune.spaces.files.bounded import parse_json

# As a record gives them, which has no half surrogate pairs.
WRITTEN = [str(parse_json(json.dumps(name))) for name in [*NAMES, "x" * 100_000, "a\0b"]]


def trials_of(names: Sequence[str], *, keys: bool = True) -> dict[int, TrialState]:
    """Trials that hold such text wherever a record holds text, for keys too; numbers are theirs as well."""
    trials = {}
    for place, name in enumerate(names):
        number = place if place % 3 else 10**15 - place
        given = {
            "learning_rate": 1e-3,
            "dropout": 0.1,
            "warmup_epochs": 1,
            "strategy": name,
            **({name: name} if keys else {}),
        }
        curve = [{"wer": 0.9, **({name: 1.0} if keys else {})}, {"wer": 0.8}]
        trials[number] = TrialState(number, given, name, curve=curve, status="failed", reason=name, error=name)
    return trials


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """That of the sweep; nothing appears elsewhere."""
    for name in [name for name in os.environ if name.startswith(("MLFLOW_TRACKING", "WANDB_"))]:
        monkeypatch.delenv(name)
    for name in ("here", "sweep"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "here")
    yield tmp_path / "sweep"
    assert list((tmp_path / "here").iterdir()) == []
    assert {path.name for path in tmp_path.iterdir()} == {"here", "sweep"}
    if "wandb" in sys.modules:  # which keeps what it once read from the environment
        import wandb

        wandb.teardown()


def test_hostile_names_are_text_in_tensorboard_s_files(folder: Path) -> None:
    board, trials = TensorBoardFiles(folder, {}), trials_of(WRITTEN)
    for trial in trials.values():
        board.show(trial)
    files = {path.parent.name: path.read_bytes() for path in folder.glob("tensorboard/*/*tfevents*")}
    assert {
        trial_name(number): trial.source.encode() in files[trial_name(number)] for number, trial in trials.items()
    } == {trial_name(number): True for number in trials}


def test_hostile_names_are_text_in_the_study_of_dashboards(folder: Path) -> None:
    trials = trials_of(WRITTEN)
    OptunaStudy(sweep(), "1", folder).open(trials.values(), final=True)
    (study,) = open_storage(folder).get_all_studies()
    shown = open_storage(folder).get_all_trials(study._study_id)
    assert [trial.user_attrs["reason"] for trial in shown] == WRITTEN
    assert [set(trial.params) for trial in shown] == [{"learning_rate", "dropout", "warmup_epochs"}] * len(WRITTEN)
    for line in (folder / "study.journal").read_text().splitlines():
        json.loads(line)  # whose line breaks are spelled out


@pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning")
def test_hostile_names_reach_mlflow_as_text_or_not_at_all(folder: Path) -> None:
    """Its keys are files in some of its stores, so it takes none of these for a key."""
    scheduler, notes = Scheduler(sweep("tracking=mlflow"), Tape().append), list[str]()
    views = Views(scheduler, folder, notes.append)
    views.open()
    scheduler.state.trials.update(trials_of([TAG, ESCAPE, OUTSIDE, "a\0b"], keys=False))
    for number in scheduler.state.trials:
        views.show(number, final=True)
    assert notes == []
    scheduler.state.trials[7] = TrialState(7, {OUTSIDE: TAG}, "tpe")
    views.show(7)
    assert notes == ["what mlflow shows is not kept any more (MlflowException)"]


def test_hostile_names_are_text_in_runs_of_weights_and_biases(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")
    scheduler, notes = Scheduler(sweep("tracking=wandb"), Tape().append), list[str]()
    views = Views(scheduler, folder, notes.append)
    views.open()
    scheduler.state.trials.update(trials_of([TAG, ESCAPE, OUTSIDE, "a\0b"]))
    for number in scheduler.state.trials:
        views.show(number, final=True)
    views.close()
    assert notes == []
    assert len(list(folder.glob("wandb/offline-run-*/*.wandb"))) == 4

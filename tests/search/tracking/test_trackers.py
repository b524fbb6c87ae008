"""Runs in MLflow and Weights & Biases: one a trial, each epoch once, whatever the sweep went through."""

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from replay import Tape, crash_plan, drive, sweep
from rich.console import Console

from glosstune.results.reading.events import Event, SweepBegun, TrialEvent, write_event
from glosstune.search.scheduler.scheduler import Scheduler
from glosstune.search.storage.sweep_folder import SweepFolder
from glosstune.search.tracking import trackers as tracking
from glosstune.search.tracking.mlflow_runs import MLflowTracker
from glosstune.search.tracking.trackers import check_tracking, open_tracker
from glosstune.search.tracking.wandb_runs import WandbTracker
from glosstune.spaces import SettingError

PLAN = sweep("search.samples=5", "halving.min_epochs=2", "tracking=mlflow")
# Of a query in mlflow's own store.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning")


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """No settings of the one who runs the tests, and nothing left in the current folder."""
    for name in [name for name in os.environ if name.startswith(("MLFLOW_TRACKING", "WANDB_"))]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    yield
    if "wandb" in sys.modules:  # which keeps what it once read from the environment
        import wandb

        wandb.teardown()


def _runs(folder: Path) -> list[Any]:
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    experiment = client.get_experiment_by_name(PLAN.name)
    assert experiment is not None
    runs = sorted(client.search_runs([experiment.experiment_id]), key=lambda run: int(run.data.tags["glosstune.trial"]))
    for run in runs:
        history = client.get_metric_history(run.info.run_id, "wer")
        run.curve = [(metric.step, metric.value) for metric in history]
    return runs


def _watched(scheduler: Scheduler, tracker: MLflowTracker | WandbTracker) -> None:
    """Run a sweep; the tracker hears of every event as it does in a driver."""
    emit = scheduler._emit

    def shown(event: Event) -> None:
        emit(event)
        if isinstance(event, TrialEvent):
            tracker.show(scheduler.state.trials[event.trial])

    scheduler._emit = shown  # type: ignore[method-assign]  # to look over its shoulder
    drive(scheduler)
    for trial in scheduler.state.trials.values():
        tracker.show(trial, final=True)
    tracker.close()


def test_mlflow_has_one_run_a_trial_with_its_curve_and_end(tmp_path: Path) -> None:
    scheduler = Scheduler(PLAN, Tape().append)
    tracker = open_tracker(PLAN, "1", tmp_path, [])
    assert isinstance(tracker, MLflowTracker)
    _watched(scheduler, tracker)
    states = {"finished": "FINISHED", "stopped": "KILLED", "failed": "FAILED"}
    trials = list(scheduler.state.trials.values())
    runs = _runs(tmp_path)
    assert len(runs) == len(trials) == 5
    for run, trial in zip(runs, trials, strict=True):
        assert run.info.run_name == f"{trial.number:04d}"
        assert run.info.status == states[trial.status]
        assert run.data.tags["glosstune.reason"] == trial.reason
        assert run.data.params == {name: str(value) for name, value in trial.configuration.items()}
        assert run.curve == [(epoch, metrics["wer"]) for epoch, metrics in enumerate(trial.curve, start=1)]


def test_another_driver_finds_the_runs_and_writes_only_what_is_new(tmp_path: Path) -> None:
    scheduler = Scheduler(PLAN, Tape().append, slots=lambda: 2)
    first = MLflowTracker(PLAN, "1", tmp_path)
    for _ in range(2):
        number = scheduler.next_trial()
        assert number is not None
        scheduler.report(number, 1, {"wer": 1.0, "train_loss": 3.0, "loss_below_floor": 0.0, "epoch_s": 1.0})
        first.show(scheduler.state.trials[number])
    scheduler.interrupt("interrupted by SIGTERM")
    scheduler.close()
    for trial in scheduler.state.trials.values():
        first.show(trial, final=True)
    assert [run.info.status for run in _runs(tmp_path)] == ["KILLED", "KILLED"]
    trial = scheduler.state.trials[0]
    trial.status = "running"
    trial.curve.append({"wer": 0.5})
    second = MLflowTracker(PLAN, "1", tmp_path)
    second.show(trial)
    run = _runs(tmp_path)[0]
    assert run.info.status == "RUNNING"
    assert run.curve == [(1, 1.0), (2, 0.5)]
    assert len(_runs(tmp_path)) == 2


def test_two_sweeps_of_one_name_share_the_experiment_not_the_runs(tmp_path: Path) -> None:
    for identity in "ab":
        scheduler = Scheduler(PLAN, Tape().append)
        number = scheduler.next_trial()
        assert number is not None
        MLflowTracker(PLAN, identity, tmp_path).show(scheduler.state.trials[number])
    assert len(_runs(tmp_path)) == 2


def _steps(file: Path) -> list[int]:
    """The steps in a run that Weights & Biases has written offline: a LevelDB log after a header of 7 bytes."""
    from wandb.proto import wandb_internal_pb2

    data, place, whole, steps = file.read_bytes(), 7, b"", []
    while place < len(data):
        if (left := 32768 - place % 32768) < 7:  # no record begins that near the end of a block
            place += left
            continue
        length, kind = int.from_bytes(data[place + 4 : place + 6], "little"), data[place + 6]
        whole += data[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # a whole record, or the last piece of one
            record = wandb_internal_pb2.Record()
            record.ParseFromString(whole)
            whole = b""
            if record.WhichOneof("record_type") == "history":
                steps.append(record.history.step.num)
    return steps


def test_wandb_has_one_run_a_trial_with_every_epoch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")
    plan = sweep("search.samples=3", "halving.min_epochs=6", "tracking=wandb")
    check_tracking(plan)
    scheduler = Scheduler(plan, Tape().append)
    tracker = open_tracker(plan, "1", tmp_path, [])
    assert isinstance(tracker, WandbTracker)
    _watched(scheduler, tracker)
    assert not tracker._open
    # Offline each part of a trial is a folder that begins at the first epoch; the last one has them all.
    lasts = {int(file.stem.rpartition("-")[2]): file for file in sorted(tmp_path.glob("wandb/*/*.wandb"))}
    assert sorted(lasts) == [0, 1, 2]
    for number, trial in scheduler.state.trials.items():
        # The service of Weights & Biases may write the last block of a file after it has said that a run is finished.
        deadline = time.monotonic() + 30
        while len(_steps(lasts[number])) < trial.epoch and time.monotonic() < deadline:
            time.sleep(0.1)
        assert _steps(lasts[number]) == list(range(1, trial.epoch + 1))
    before = set(tmp_path.glob("wandb/*"))
    again = open_tracker(plan, "1", tmp_path, scheduler.state.trials.values())
    assert again is not None
    for trial in scheduler.state.trials.values():
        again.show(trial, final=True)
    assert set(tmp_path.glob("wandb/*")) == before


def test_wandb_without_a_key_is_refused_before_it_could_ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    with pytest.raises(SettingError, match=r"tracking: wandb has no key; run 'wandb login', or set WANDB_MODE=offline"):
        check_tracking(sweep("tracking=wandb"))


def test_a_key_that_is_refused_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    import wandb

    def login(**options: Any) -> bool:
        raise wandb.errors.AuthenticationError("key abc123 is no longer valid")

    monkeypatch.setattr(wandb, "login", login)
    with pytest.raises(SettingError, match=r"refuses the key or does not answer \(AuthenticationError\)") as caught:
        check_tracking(sweep("tracking=wandb"))
    assert "abc123" not in str(caught.value)


def test_an_experiment_that_was_deleted_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow import MlflowClient

    uri = f"sqlite:///{tmp_path / 'server.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    client = MlflowClient(uri)
    client.delete_experiment(client.create_experiment(PLAN.name))
    with pytest.raises(SettingError, match="tracking: MLflow's experiment 'student' was deleted; restore it"):
        check_tracking(PLAN)


def test_what_is_not_installed_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracking, "find_spec", lambda name: None)
    with pytest.raises(SettingError, match=r'tracking: mlflow is not installed; pip install "glosstune\[mlflow\]"'):
        check_tracking(PLAN)
    check_tracking(sweep())


def test_a_server_that_does_not_answer_is_told_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:secret@127.0.0.1:9")
    with pytest.raises(SettingError, match="MLFLOW_TRACKING_URI: nothing that MLflow can use answers") as caught:
        check_tracking(PLAN)
    assert "secret" not in str(caught.value)


def test_another_tool_is_refused() -> None:
    with pytest.raises(SettingError, match="tracking: must be 'mlflow' or 'wandb'"):
        sweep("tracking=comet")


def test_a_sweep_goes_on_when_its_tracker_is_lost(
    ray_cluster: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from player import play

    from glosstune.search.driver import driving
    from glosstune.search.storage.record import Record
    from glosstune.search.tracking import views

    class Lost:
        def show(self, trial: Any, *, final: bool = False) -> None:
            raise ConnectionError("https://me:secret@tracker")

        def close(self) -> None:
            closed.append(self)

    closed: list[Lost] = []
    monkeypatch.setattr(views, "open_tracker", lambda *arguments: Lost())
    plan = crash_plan(2, "training.epochs=3", "tracking=mlflow")
    begun = SweepBegun(format=1, id="1", samples=2, epochs=3, metric="wer", target=0.3)
    begun = write_event(Record(tmp_path / "record.jsonl").append, begun)
    driving.drive(plan, SweepFolder(tmp_path), [begun], Console(), print, trainable=play(tmp_path))
    told = capsys.readouterr().out
    assert told.count("what mlflow shows is not kept any more (ConnectionError)") == 1
    assert not closed
    assert "secret" not in told
    assert (tmp_path / "record.jsonl").read_text().count('"end"') == 2

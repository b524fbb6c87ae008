"""The search stack on a real Ray, over replayed curves."""

import gc
import json
import os
import pickle
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest
import ray
from player import FullPlayer, HangingPlayer, MortalPlayer, Player, SlowPlayer, play
from ray.tune.experiment import Trial
from replay import Tape, costs, drive, sweep

from glosstune.results.reading.record import read_record
from glosstune.search import load_sweep
from glosstune.search.config.settings import ResourceSettings
from glosstune.search.driver import ray_tune as tuning
from glosstune.search.driver.ray_tune import _Relay, _Schedule, _Search, run_trials, train_with
from glosstune.search.nodes import gpu_share
from glosstune.search.nodes.resources import count_slots
from glosstune.search.scheduler.scheduler import Scheduler
from glosstune.search.storage.record import Record
from glosstune.trainables.settings import read_settings
from glosstune.trainables.trainable import CTCTrainable, TrialContext

pytestmark = pytest.mark.usefixtures("ray_cluster")


class Log:
    """Notes what a watcher hears; ``then`` happens at the first report."""

    def __init__(self, then: Any = None) -> None:
        self.begun: list[int] = []
        self.reports: list[int] = []
        self.then = then

    def begin(self, number: int) -> None:
        self.begun.append(number)

    def report(self, number: int) -> None:
        self.reports.append(number)
        if self.then is not None:
            self.then, then = None, self.then
            then()

    def tick(self) -> None:
        pass


def _run(folder: Path, *overrides: str, workers: int = 1, log: Log | None = None, kind: Any = None) -> Scheduler:

    plan = sweep("halving.min_epochs=2", "space.dropout.float=[0, 0.4]", *overrides)
    record = Record(folder / "record.jsonl")
    if not record.path.exists():
        record.append("sweep", format=1, id="1", samples=1, epochs=18, metric="wer", target=0.3)
    else:
        record.append("resume", changes={})
    events = read_record(folder).events
    scheduler = Scheduler(plan, record.append, slots=lambda: workers, events=events)
    limit_min = plan.resources.hang_min
    run_trials(scheduler, play(folder, kind or Player, hang_min=limit_min), folder, log or Log())
    scheduler.close()
    return scheduler


def _curves(scheduler: Scheduler) -> dict[int, Any]:
    return {
        n: (dict(t.configuration), [m["wer"] for m in t.curve], t.status) for n, t in scheduler.state.trials.items()
    }


def test_ray_runs_what_the_scheduler_says_and_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log, put = Log(), Mock()
    monkeypatch.setattr(ray, "put", put)
    scheduler = _run(tmp_path, "search.samples=8", log=log)
    pure = Scheduler(scheduler.state.sweep, Tape().append)
    drive(pure)
    assert _curves(scheduler) == _curves(pure)
    assert len(log.reports) == scheduler.state.epochs
    assert set(log.begun) == set(range(8))
    train_with(scheduler.state.sweep, str(tmp_path), {"teacher": "inputs/a.safetensors"})
    put.assert_not_called()  # Ray ends a driver without a word whose own objects are lost
    for number, trial in scheduler.state.trials.items():
        last = json.loads((tmp_path / "trials" / f"{number:04d}" / "last.pt").read_text())
        assert last["epoch"] == trial.epoch


def test_two_workers_and_a_stopper_in_between(tmp_path: Path) -> None:
    scheduler = _run(tmp_path, "search.samples=8", "search.epoch_budget=20", workers=2)
    assert scheduler.state.epochs in (20, 21)
    assert {trial.status for trial in scheduler.state.trials.values()} <= {"interrupted", "stopped", "finished"}
    more = _run(tmp_path, "search.samples=8", workers=2)
    assert len(more.state.trials) == 8
    assert {trial.status for trial in more.state.trials.values()} == {"stopped", "finished"}


def test_ray_keeps_nothing_of_trials_that_ended(tmp_path: Path) -> None:
    kept: list[int] = []

    class Counting(Log):
        def report(self, number: int) -> None:
            super().report(number)
            if len(self.reports) % 10 == 0:
                gc.collect()
                kept.append(sum(type(each) is Trial for each in gc.get_objects()))

    samples = len(_run(tmp_path, log=Counting()).state.trials)
    assert max(kept) <= kept[0] + 3
    (written,) = tmp_path.glob("ray/experiment_state*.json")
    # The last, which it returns, and what has ended since it last looked: see search/nodes/internals/private_ray.py.
    assert len(json.loads(written.read_text())["trial_data"]) <= 3 < samples
    assert not list(tmp_path.glob("ray/*/checkpoint*"))
    assert ray.tune.execution.tune_controller.TuneController.on_step_end.__name__ == "on_step_end"


def test_a_trial_that_raises_fails_alone_and_is_not_tried_again(tmp_path: Path) -> None:
    scheduler = _run(tmp_path, "search.samples=4", "space.dropout={choice: [0.1, 0.46]}", "search.sampler=random")
    for number, trial in scheduler.state.trials.items():
        if trial.configuration["dropout"] == 0.46:
            assert (trial.status, trial.rule, trial.error) == (
                "failed",
                "error",
                "RuntimeError: dropout above 0.45 breaks this model",
            )
            assert "Traceback" in (tmp_path / "trials" / f"{number:04d}" / "trial.log").read_text()
    states = {trial.status for trial in scheduler.state.trials.values()}
    assert "failed" in states and len(states) > 1


def test_a_trial_whose_process_is_killed_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    def kill() -> None:
        (pid,) = (tmp_path / "trials").glob("*/pid")
        os.kill(int(pid.read_text()), signal.SIGKILL)

    scheduler = _run(tmp_path, "search.samples=2", log=Log(kill), kind=SlowPlayer)
    events = [json.loads(line) for line in (tmp_path / "record.jsonl").read_text().splitlines()]
    assert [event["event"] for event in events].count("retry") == 1
    pure = Scheduler(scheduler.state.sweep, Tape().append)
    drive(pure)
    assert _curves(scheduler) == _curves(pure)
    for number in scheduler.state.trials:
        epochs = [event["epoch"] for event in events if event["event"] == "report" and event["trial"] == number]
        assert epochs == list(range(1, len(epochs) + 1))


def test_a_trial_that_dies_in_its_third_epoch_every_time_is_given_up_alone(tmp_path: Path) -> None:
    scheduler = _run(tmp_path, "search.samples=4", kind=MortalPlayer)
    first, *others = scheduler.state.trials.values()
    assert (first.status, first.rule, first.epoch) == ("failed", "process died", 2)
    assert {trial.status for trial in others} <= {"finished", "stopped"} and len(others) == 3
    events = [json.loads(line) for line in (tmp_path / "record.jsonl").read_text().splitlines()]
    assert [event["trial"] for event in events if event["event"] == "retry"] == [0] * 4


def test_a_process_that_hangs_is_ended_and_its_trial_goes_on(tmp_path: Path) -> None:
    overrides = ("search.samples=2", f"resources.hang_min={1 / 15}")
    scheduler = _run(tmp_path, *overrides, kind=HangingPlayer)
    events = [json.loads(line) for line in (tmp_path / "record.jsonl").read_text().splitlines()]
    retries = [event for event in events if event["event"] == "retry"]
    assert [retry["trial"] for retry in retries] == [0, 0]
    told = (tmp_path / "trials" / "0000" / "trial.log").read_text()
    for retry, where in zip(retries, ("in _new_session", "in _train_epoch"), strict=True):
        assert "so its process was ended; trial.log says where it stood" in retry["reason"]
        assert where in told
    pure = Scheduler(scheduler.state.sweep, Tape().append)
    drive(pure)
    assert _curves(scheduler) == _curves(pure)


def test_a_full_disk_costs_the_trial_time_where_it_empties_again(tmp_path: Path) -> None:
    scheduler = _run(tmp_path, "search.samples=3", kind=FullPlayer)
    assert {trial.status for trial in scheduler.state.trials.values()} <= {"finished", "stopped"}
    events = [json.loads(line) for line in (tmp_path / "record.jsonl").read_text().splitlines()]
    retries = [event for event in events if event["event"] == "retry"]
    assert [event["trial"] for event in retries] == [0, 0]
    assert all("no space left on the disk" in event["reason"] for event in retries)
    pure = Scheduler(scheduler.state.sweep, Tape().append)
    drive(pure)
    assert _curves(scheduler) == _curves(pure)


@pytest.fixture(scope="module")
def _begun(ray_cluster: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("begun")
    _run(folder, "search.samples=1", "search.epoch_budget=5")
    return folder


@pytest.fixture
def begun(_begun: Path, tmp_path: Path) -> Path:
    """The folder of a sweep of one trial that was interrupted after its fifth epoch, a copy for each test."""
    return Path(shutil.copytree(_begun, tmp_path / "begun"))


@pytest.mark.parametrize("damage", ["removed", "torn"])
def test_a_lost_checkpoint_costs_time_and_nothing_else(begun: Path, damage: str) -> None:
    last = begun / "trials" / "0000" / "last.pt"
    if damage == "removed":
        last.unlink()
    else:
        last.write_bytes(last.read_bytes()[:20])
    scheduler = _run(begun, "search.samples=1")
    pure = Scheduler(scheduler.state.sweep, Tape().append)
    drive(pure)
    assert _curves(scheduler) == _curves(pure)


def test_an_epoch_that_was_stored_but_not_recorded_is_recorded_and_not_trained_again(begun: Path) -> None:
    path = begun / "record.jsonl"
    lines = path.read_text().splitlines()
    (fifth,) = (place for place, line in enumerate(lines) if json.loads(line).get("epoch") == 5)
    path.write_text("\n".join(lines[:fifth]) + "\n")  # killed between checkpoint and record
    log = begun / "trials" / "0000" / "trial.log"
    before = log.read_text().count('"epoch": 5')
    scheduler = _run(begun, "search.samples=1")
    assert scheduler.state.trials[0].status == "finished"
    assert log.read_text().count('"epoch": 5') == before == 1


def test_the_first_signal_saves_and_the_handlers_are_put_back(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGTERM)

    def send() -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    started = time.monotonic()
    scheduler = _run(tmp_path, "search.samples=8", "training.epochs=1000", log=Log(send), kind=SlowPlayer)
    assert time.monotonic() - started < 60
    assert signal.getsignal(signal.SIGTERM) == before
    assert scheduler.state.over is not None and scheduler.state.over.reason == "interrupted by SIGTERM"
    assert {trial.status for trial in scheduler.state.trials.values()} <= {"interrupted", "paused"}


def test_outside_the_main_thread_no_signal_is_caught(tmp_path: Path) -> None:
    schedulers = []
    thread = threading.Thread(target=lambda: schedulers.append(_run(tmp_path, "search.samples=1")))
    thread.start()
    thread.join()
    assert schedulers[0].state.trials[0].status == "finished"


def test_nothing_of_a_sweep_gets_into_rays_pickles() -> None:
    scheduler = Scheduler(sweep(), Tape().append)
    for made in (_Search(scheduler), _Schedule(scheduler), _Relay(scheduler, Log(), "head:6379", Path())):
        assert b"glosstune.search.scheduler.scheduler" not in pickle.dumps(made)


_TRIAL = """
import pickle, sys
from pathlib import Path

kind, context, config = pickle.loads(Path(sys.argv[1]).read_bytes())


class Trial(kind):
    def setup(self, config):
        super().setup(config, context)


report = Trial(config=config).train()
assert report["epoch"] == 1, report
sys.exit(any(name.startswith("glosstune.search") for name in sys.modules))
"""


def test_a_trial_trains_without_anything_of_the_search(tiny: list[str], tmp_path: Path) -> None:
    scheduler = Scheduler(load_sweep(tiny[0], tiny[1:]), Tape().append)
    config = _Search(scheduler).suggest("a")
    assert config == json.loads(json.dumps(config))  # plain data
    given = CTCTrainable, TrialContext(str(tmp_path), threads=1), config
    (tmp_path / "given").write_bytes(ray.cloudpickle.dumps(given))
    done = subprocess.run([sys.executable, "-c", _TRIAL, tmp_path / "given"], check=False, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    assert (tmp_path / "trials" / "0000" / "last.pt").exists()


def test_what_a_trial_is_handed_is_what_its_configuration_stands_for_to_the_last_digit() -> None:
    plan = load_sweep("teacher", ["pretrained=weights.safetensors", "space.gains.face={float: [0, 1]}"])
    for seed in range(30):
        settings = plan.settings_of(plan.space.sample(random.Random(seed)))
        assert read_settings(settings.model_dump(mode="json")) == settings


def test_slots_are_what_fits_on_every_machine_or_what_the_user_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_share, "usable_memory", lambda: 64_000_000_000)
    cpus = sum(node["Resources"].get("CPU", 0) for node in ray.nodes() if node["Alive"])
    assert count_slots(ResourceSettings(cpu=1)) == cpus == 2
    assert count_slots(ResourceSettings(cpu=0.1)) == 20
    assert count_slots(ResourceSettings(cpu=2)) == 1
    assert count_slots(ResourceSettings(cpu=1, gpu=1)) == 0
    assert count_slots(ResourceSettings(cpu=1, concurrent=7)) == 7


def test_ray_is_not_imported_before_its_authentication_is_decided() -> None:
    code = "import sys, glosstune.search, glosstune.search.cli.main; sys.exit('ray' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_process_that_dies_with_the_whole_cluster_is_no_fault_of_its_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    scheduler = Scheduler(sweep("search.samples=1"), (tape := Tape()).append)
    assert scheduler.next_trial() == 0
    relay = _Relay(scheduler, Log(), "head:6379", Path())
    trial: Any = SimpleNamespace(config={"trial": 0}, error_file=None)
    for listening in (False, True):
        monkeypatch.setattr(tuning, "listens", lambda head, listening=listening: listening)
        relay.on_trial_error(0, [trial], trial)
        assert len(tape.named("retry")) == listening


def test_what_recognisers_cost_comes_into_the_record_once_and_decides(tmp_path: Path) -> None:
    sizes = ("space.width={float: [0.1, 1], log: true}", "search.objectives=[wer,parameters]", "search.samples=6")
    scheduler = _run(tmp_path, *sizes)
    for trial in scheduler.state.trials.values():
        assert trial.costs == costs(trial.configuration)
    reports = [line for line in (tmp_path / "record.jsonl").read_text().splitlines() if '"costs"' in line]
    assert [json.loads(line)["epoch"] for line in reports] == [1] * 6
    tape = Tape()
    whole = Scheduler(scheduler.state.sweep, tape.append)
    drive(whole)
    assert _curves(whole) == _curves(scheduler)


def test_a_second_process_comes_to_work_though_segments_are_shorter_than_it_takes_to_start(tmp_path: Path) -> None:
    scheduler = Scheduler(sweep("search.samples=500"), Tape().append, slots=lambda: 2)
    processes: set[str] = set()

    class Seen(Log):
        def report(self, number: int) -> None:
            processes.update(path.read_text() for path in tmp_path.glob("trials/*/pid"))
            if len(processes) > 1:
                scheduler.interrupt("both are there")

    run_trials(scheduler, play(tmp_path), tmp_path, Seen())
    assert len(processes) == 2


def test_the_newest_trial_is_started_first_and_none_waits_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    schedule, now = _Schedule(Scheduler(sweep(), Tape().append)), 0.0
    monkeypatch.setattr(tuning, "time", SimpleNamespace(monotonic=lambda: now))
    trials = [SimpleNamespace(trial_id=str(number), status=Trial.PENDING) for number in range(3)]
    controller = SimpleNamespace(get_trials=lambda: trials)
    assert schedule.choose_trial_to_run(controller) is trials[2]
    now = tuning.START_S + 1
    trials.append(SimpleNamespace(trial_id="3", status=Trial.PENDING))
    assert schedule.choose_trial_to_run(controller) is trials[0]
    trials[0].status = trials[1].status = trials[2].status = Trial.RUNNING
    assert schedule.choose_trial_to_run(controller) is trials[3]
    trials[3].status = Trial.TERMINATED
    assert schedule.choose_trial_to_run(controller) is None

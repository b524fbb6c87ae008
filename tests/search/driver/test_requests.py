"""What users ask of a running driver when that cannot write it down."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from replay import crash_plan

from glosstune.results.reading.events import parse_event
from glosstune.results.reading.record import read_record
from glosstune.search.config.loading import load_sweep
from glosstune.search.driver.requests import Requests, send, take
from glosstune.search.scheduler.scheduler import Scheduler
from glosstune.search.storage.record import Record
from glosstune.search.storage.sweep_folder import SweepFolder, write_sweep
from glosstune.spaces import FolderError
from glosstune.spaces.files.folder import LocalFolder


@pytest.mark.parametrize("asked", [{"stop": 0}, {"changes": {}, "samples": "+7", "queue": []}])
def test_what_is_asked_for_while_the_record_cannot_be_written_waits_for_the_next_driver(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: dict[str, Any]
) -> None:
    plan, work = crash_plan(4), SweepFolder(tmp_path)
    write_sweep(plan, work)
    begun = work.record.append("sweep", format=1, id="1", samples=4, epochs=18, metric="wer", target=0.3)
    scheduler = Scheduler(plan, work.record.append, events=[parse_event(begun)])
    scheduler.next_trial()
    send(work, asked)

    def refuse(record: Record, line: bytes) -> None:
        raise FolderError("no space left on the disk")

    monkeypatch.setattr(Record, "_write", refuse)
    with pytest.raises(FolderError, match="no space left"):
        Requests(scheduler, work, lambda note: None).obey()
    assert load_sweep(tmp_path / "sweep.yaml").search.samples == 4
    assert [request for _, request in take(work)] == [asked]


QUEUED = [{"learning_rate": rate, "dropout": 0.0, "warmup_epochs": 1} for rate in (1e-3, 2e-3)]
STEPS = 5  # the change, the sweep file, two configurations, the request's own file


@pytest.mark.parametrize("resumed_with", [0, 3])
@pytest.mark.parametrize("died_at", range(STEPS + 1))
def test_a_driver_that_is_killed_at_any_step_of_a_request_has_it_followed_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, died_at: int, resumed_with: int
) -> None:
    work, steps = SweepFolder(tmp_path), [0]
    write_sweep(crash_plan(4), work)
    work.record.append("sweep", format=1, id="1", samples=4, epochs=18, metric="wer", target=0.3)
    send(work, {"changes": {}, "samples": "+7", "queue": QUEUED})

    def obey() -> Scheduler:
        events = read_record(tmp_path).events
        scheduler = Scheduler(load_sweep(tmp_path / "sweep.yaml"), work.record.append, events=events)
        Requests(scheduler, work, pytest.fail).obey()
        return scheduler

    def dying(step: Callable[..., Any]) -> Callable[..., Any]:
        def take_it(*arguments: Any) -> Any:
            if steps[0] == died_at:
                raise Death
            steps[0] += 1
            return step(*arguments)

        return take_it

    with monkeypatch.context() as patch:
        for owner, name in ((Record, "_write"), (SweepFolder, "write"), (LocalFolder, "remove")):
            patch.setattr(owner, name, dying(getattr(owner, name)))
        try:
            obey()
        except Death:
            assert died_at < STEPS
    assert steps[0] == died_at
    if resumed_with:
        write_sweep(load_sweep(tmp_path / "sweep.yaml", [f"search.samples={_samples(tmp_path) + resumed_with}"]), work)
    scheduler = obey()
    assert list(scheduler.state.queue) == QUEUED
    assert _samples(tmp_path) == scheduler.state.sweep.search.samples == 4 + 7 + resumed_with
    assert list(take(work)) == []
    again = obey()
    assert (_samples(tmp_path), again.state.samples) == (11 + resumed_with, 13 + resumed_with)


def test_a_request_that_is_followed_counts_once_also_behind_one_of_a_machine_whose_clock_is_late(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = SweepFolder(tmp_path)
    write_sweep(crash_plan(4), work)
    work.record.append("sweep", format=1, id="1", samples=4, epochs=18, metric="wer", target=0.3)

    def obey() -> None:
        events = read_record(tmp_path).events
        scheduler = Scheduler(load_sweep(tmp_path / "sweep.yaml"), work.record.append, events=events)
        Requests(scheduler, work, pytest.fail).obey()

    def die(folder: LocalFolder, *names: str) -> None:
        raise Death

    send(work, {"changes": {}, "samples": "+7", "queue": []})
    with monkeypatch.context() as patch, pytest.raises(Death):
        patch.setattr(LocalFolder, "remove", die)
        obey()
    monkeypatch.setattr(time, "time_ns", lambda: 10**18)
    send(work, {"changes": {}, "samples": "+1", "queue": []})
    obey()
    assert _samples(tmp_path) == 4 + 7 + 1
    assert list(take(work)) == []


def test_a_stop_that_is_followed_already_is_no_cause_for_a_note(tmp_path: Path) -> None:
    plan, work = crash_plan(4), SweepFolder(tmp_path)
    begun = work.record.append("sweep", format=1, id="1", samples=4, epochs=18, metric="wer", target=0.3)
    scheduler = Scheduler(plan, work.record.append, events=[parse_event(begun)])
    scheduler.next_trial()
    for _ in range(2):  # as where a driver is killed before it removes the request
        send(work, {"stop": 0})
        assert Requests(scheduler, work, pytest.fail).obey()


class Death(BaseException):
    """Which nothing catches, as nothing outlives SIGKILL."""


def _samples(folder: Path) -> int:
    return load_sweep(folder / "sweep.yaml").search.samples

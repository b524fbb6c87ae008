"""A sweep ends at its budgets, out of patience or at its target, and counts the time of its drivers alone."""

import heapq
from collections.abc import Mapping
from typing import Any

import pytest
from replay import Tape, drive, learning, metrics, run_through, sweep

from glosstune.results.reading.events import parse_event
from glosstune.search import Sweep
from glosstune.search.config.settings import SearchSettings
from glosstune.search.scheduler.scheduler import Scheduler
from glosstune.search.scheduler.stopping import judge_sweep

FIELDS: dict[str, dict[str, Any]] = {
    "sweep": {"format": 1, "id": "1", "samples": 2, "epochs": 18, "metric": "wer", "target": 0.3},
    "queue": {"configuration": {}},
    "resume": {"changes": {}},
    "visit": {},
}


def test_patience_counts_other_trials_than_the_best() -> None:
    def flat(configuration: Mapping[str, Any], epoch: int) -> dict[str, float]:
        return metrics(0.5, 0.5)

    for patience in (1, 3):
        scheduler, _ = run_through(
            sweep("search.samples=20", "halving.min_epochs=2", f"search.patience_trials={patience}"), flat
        )
        assert len(scheduler.state.trials) == 1 + patience


def test_time_that_a_command_spends_on_an_idle_sweep_is_not_the_sweeps() -> None:
    stamps = ["00:00:00", "00:00:05", "09:00:00", "09:00:01", "10:00:00"]
    kinds = ["sweep", "queue", "visit", "queue", "resume"]
    events = [
        parse_event({"event": kind, "time": f"2026-11-22T{stamp}+00:00", **FIELDS[kind]})
        for kind, stamp in zip(kinds, stamps, strict=True)
    ]
    assert Scheduler(sweep(), Tape().append, events=events, clock=lambda: 0.0).used_s == 6.0


@pytest.mark.parametrize(
    ("limit", "rule"),
    [
        ("search.stop_at_target=true", "target"),
        ("search.patience_trials=4", "patience"),
    ],
)
def test_a_sweep_ends_early_at_its_limit(limit: str, rule: str) -> None:
    scheduler, tape = run_through(sweep("search.samples=60", "halving.min_epochs=2", limit))
    assert scheduler.state.over is not None and scheduler.state.over.rule == rule
    assert len(scheduler.state.trials) < 60
    assert len(tape.named("over")) == 1
    if rule == "target":
        assert scheduler.state.best_wer < 0.3
    if rule == "patience":  # the best is still carried on
        assert any(trial.status == "finished" for trial in scheduler.state.trials.values())


@pytest.mark.parametrize("workers", [1, 2])
def test_the_last_epochs_of_a_budget_are_the_best_trials(workers: int) -> None:
    kept = 0
    for budget in range(16, 72):
        limits = ("training.epochs=8", "halving.min_epochs=2", f"search.epoch_budget={budget}")
        scheduler, tape = run_through(sweep("search.samples=60", *limits), workers=workers)
        assert scheduler.state.epochs < budget + workers
        reserved = [event for event in tape.named("over") if event["rule"] == "epoch reserve"]
        if reserved:
            best = min(scheduler.state.trials.values(), key=lambda trial: (trial.score, trial.number))
            assert best.status == "finished"
            kept += 1
    assert kept > 10


@pytest.mark.parametrize("workers", [1, 2])
def test_the_last_minutes_of_a_budget_are_the_best_trials(workers: int) -> None:
    kept = 0
    for budget_s in range(29, 140, 3):
        limits = ("training.epochs=8", "halving.min_epochs=2", f"search.time_budget_min={budget_s / 60}")
        scheduler, tape = _drive_by_the_clock(sweep("search.samples=60", *limits), workers)
        if any(event["rule"] == "time reserve" for event in tape.named("over")):
            best = min(scheduler.state.trials.values(), key=lambda trial: (trial.score, trial.number))
            assert best.status == "finished"
            kept += 1
    assert kept > 5


def _drive_by_the_clock(plan: Sweep, workers: int) -> tuple[Scheduler, Tape]:
    """Run a sweep whose epochs take seconds, and a process 0.3 s to start; its limits are looked at all the time."""
    now, tape, running = 0.0, Tape(), list[tuple[float, int]]()
    scheduler = Scheduler(plan, tape.append, slots=lambda: workers, clock=lambda: now)

    def begin_epoch(number: int, start_s: float) -> None:
        trial = scheduler.state.trials[number]
        heapq.heappush(running, (now + start_s + learning(trial.configuration, trial.epoch + 1)["epoch_s"], number))

    while not scheduler.must_end:
        while (number := scheduler.next_trial()) is not None:
            begin_epoch(number, 0.3)
        if not running:
            break
        ends, number = heapq.heappop(running)
        while not scheduler.must_end and now < ends:
            now = min(ends, now + 0.2)
            scheduler.judge_sweep()
        trial = scheduler.state.trials[number]
        if not scheduler.must_end and scheduler.report(
            number, trial.epoch + 1, learning(trial.configuration, trial.epoch + 1)
        ):
            begin_epoch(number, 0.0)
    scheduler.close()
    return scheduler, tape


def test_what_made_room_for_the_best_trial_goes_on_once_there_is_more() -> None:
    made_room, workers = 0, 2
    for budget in range(16, 72):
        limits = ("training.epochs=8", "halving.min_epochs=2", "search.samples=12")
        short, tape = run_through(sweep(*limits, f"search.epoch_budget={budget}"), workers=workers)
        waiting = [trial.number for trial in short.state.trials.values() if trial.status == "interrupted"]
        tape.append("resume", changes={})
        again = Scheduler(sweep(*limits), tape.append, slots=lambda: workers, events=tape.told)
        assert all(again.state.trials[number].status == "interrupted" for number in waiting)
        drive(again)
        assert not any(trial.status == "interrupted" for trial in again.state.trials.values())
        made_room += len(waiting)
    assert made_room > 5


def test_no_more_than_a_quarter_of_a_budget_is_kept_for_the_best_trial() -> None:
    limits = {"epochs": 40, "best": 3, "needs_epochs": 90}
    assert _rule(epoch_budget=80, **limits) is None
    assert _rule(epoch_budget=80, **{**limits, "epochs": 60}) == "epoch reserve"
    assert _rule(time_budget_min=1, used_s=44.0, best=3, needs_s=90.0) is None
    assert _rule(time_budget_min=1, used_s=45.0, best=3, needs_s=90.0) == "time reserve"
    assert _rule(time_budget_min=1, used_s=55.0, best=3, needs_s=4.0) is None
    assert _rule(time_budget_min=1, used_s=55.0, needs_s=90.0) is None


def _rule(**given: Any) -> str | None:
    state: dict[str, Any] = {"best_wer": 1.0, "used_s": 0.0, "epochs": 0, "since_best": 0}
    settings = {name: given.pop(name) for name in list(given) if name in SearchSettings.model_fields}
    stop = judge_sweep(SearchSettings(**settings), **{**state, **given})
    return None if stop is None else stop.rule


def test_the_time_of_all_drivers_counts_and_the_time_between_them_does_not() -> None:
    plan, now = sweep("search.samples=2", "search.time_budget_min=1"), [0.0]
    tape = Tape()
    scheduler = Scheduler(plan, tape.append, clock=lambda: now[0])
    scheduler.next_trial()
    now[0] = 59.0
    scheduler.judge_sweep()
    assert not scheduler.must_end
    now[0] = 60.0
    scheduler.judge_sweep()
    assert scheduler.must_end and scheduler.state.over is not None
    assert scheduler.state.over.reason == "time budget of 1 min used up"
    stamps = ["00:00:00", "00:00:30", "05:00:00", "05:00:10"]
    kinds = ["sweep", "queue", "resume", "queue"]
    events = [
        parse_event({"event": kind, "time": f"2026-11-22T{stamp}+00:00", **FIELDS[kind]})
        for kind, stamp in zip(kinds, stamps, strict=True)
    ]
    later = Scheduler(plan, tape.append, events=events, clock=lambda: now[0])
    assert later.used_s == 40.0


def test_a_clock_that_is_set_costs_no_budget() -> None:
    plan = sweep("search.time_budget_min=60", "search.samples=1")
    seconds = [3.0, 10.0, 20.0, 25.0, 1.0, 6.0]  # the second driver began anew
    stamps = ["21T06:00:00", "22T18:00:00", "20T07:00:00", "22T07:00:00", "22T07:00:01", "25T00:00:00"]
    kinds = ["sweep", "queue", "queue", "queue", "resume", "queue"]
    events = [
        parse_event({"event": kind, "time": f"2026-11-{stamp}+00:00", "up_s": up_s, **FIELDS[kind]})
        for kind, stamp, up_s in zip(kinds, stamps, seconds, strict=True)
    ]
    later = Scheduler(plan, Tape().append, events=events, clock=lambda: 0.0)
    assert later.used_s == 22.0 + 5.0 and not later.must_end

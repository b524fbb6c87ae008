"""A sweep ends at its budgets, out of patience or at its target, and counts the time of its drivers alone."""

from collections.abc import Mapping
from typing import Any

import pytest
from replay import Tape, metrics, run_through, sweep

from glosstune.results.reading.events import parse_event
from glosstune.search.scheduler.scheduler import Scheduler

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
        ("search.epoch_budget=40", "epoch budget"),
        ("search.patience_trials=4", "patience"),
    ],
)
def test_a_sweep_ends_early_at_its_limit(limit: str, rule: str) -> None:
    scheduler, tape = run_through(sweep("search.samples=60", "halving.min_epochs=2", limit))
    assert scheduler.state.over is not None and scheduler.state.over.rule == rule
    assert len(scheduler.state.trials) < 60
    assert len(tape.named("over")) == 1
    if rule == "epoch budget":
        assert scheduler.state.epochs == 40
    if rule == "target":
        assert scheduler.state.best_wer < 0.3
    if rule == "patience":  # the best is still carried on
        assert any(trial.status == "finished" for trial in scheduler.state.trials.values())


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

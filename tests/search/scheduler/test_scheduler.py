"""Who goes on, who waits and who ends, as the trials of a sweep report."""

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

from replay import Tape, drive, learning, metrics, run_through, stuck, sweep

from glosstune.search.scheduler.scheduler import MOST_DEATHS, Scheduler


def test_thirty_stuck_trials_end_within_grace_and_window_each() -> None:
    plan = sweep("search.samples=30", "training.epochs=81")
    scheduler, _ = run_through(plan, stuck, workers=4)
    for trial in scheduler.state.trials.values():
        assert trial.rule == ("halving" if trial.epoch in (3, 9) else "stuck")
        assert trial.epoch <= 3 + trial.warmup_epochs + 3
    assert len(scheduler.state.trials) == 30


def test_the_best_trial_is_carried_on_to_its_last_epoch() -> None:
    scheduler, tape = run_through(sweep("search.samples=2", "halving.min_epochs=2"))
    best = min(scheduler.state.trials.values(), key=lambda trial: trial.score)
    assert best.status == "finished" and best.epoch == 18
    assert {event["trial"] for event in tape.named("promote") if event.get("carried")} == {best.number}


def test_nobody_is_carried_on_after_one_who_broke_a_rule() -> None:
    def collapsing(configuration: Mapping[str, Any], epoch: int) -> dict[str, float]:
        return metrics(0.5, 0.5) if epoch <= 6 else {**metrics(1.0, 0.0), "train_loss": math.nan}

    scheduler, tape = run_through(sweep("search.samples=5", "halving.min_epochs=2"), collapsing)
    assert len({event["trial"] for event in tape.named("promote") if event.get("carried")}) == 1
    assert Counter(trial.status for trial in scheduler.state.trials.values()) == {"stopped": 5}


def test_every_end_names_its_rule_and_a_halved_one_its_rung_and_rivals() -> None:
    scheduler, tape = run_through(sweep("search.samples=12", "halving.min_epochs=2"))
    for event in tape.named("end"):
        assert event["rule"] in ("halving", "finished", "stuck")
        if event["rule"] == "halving":
            assert event["rivals"] >= event["rank"] >= 1
            assert f"of {event['rivals']} at rung {event['rung']}" in event["reason"]
    assert {trial.status for trial in scheduler.state.trials.values()} == {"finished", "stopped"}


def test_halving_of_either_type_saves_epochs_and_finds_the_same_best() -> None:
    plan = ("search.samples=40", "halving.min_epochs=2", "search.sampler=random")
    ends = {kind: run_through(sweep(*plan, f"halving.kind={kind}"))[0].state for kind in ("promote", "stop", "none")}
    assert max(ends["promote"].epochs, ends["stop"].epochs) < ends["none"].epochs
    assert ends["promote"].best_wer == ends["stop"].best_wer == ends["none"].best_wer


def test_an_epoch_that_is_reported_again_counts_once_and_one_that_skips_ends_the_trial() -> None:
    scheduler = Scheduler(sweep("search.samples=1"), (tape := Tape()).append)
    scheduler.next_trial()
    good = learning({"learning_rate": 1e-3, "dropout": 0}, 1)
    assert scheduler.report(0, 1, good) and scheduler.report(0, 1, {**good, "wer": 0.0})
    assert len(tape.named("report")) == 1
    assert not scheduler.report(0, 3, good)
    assert scheduler.state.trials[0].status == "failed"
    assert scheduler.state.trials[0].error == "epoch 3 was reported after epoch 1"


def test_a_trial_whose_process_keeps_dying_is_given_up_and_one_that_makes_epochs_is_not() -> None:
    scheduler = Scheduler(sweep("search.samples=1", "training.epochs=30", "halving.kind=none"), Tape().append)
    for epoch in range(1, 3 * MOST_DEATHS):
        assert scheduler.next_trial() == 0
        scheduler.report(0, epoch, learning({"learning_rate": 1e-3, "dropout": 0}, epoch))
        scheduler.died(0, "killed")
    for _ in range(MOST_DEATHS):
        assert scheduler.next_trial() == 0
        scheduler.died(0, "killed")
    assert scheduler.next_trial() is None and scheduler.done
    assert (scheduler.state.trials[0].status, scheduler.state.trials[0].rule) == ("failed", "process died")


def test_a_sweep_ends_where_no_process_lives_long_enough_to_report() -> None:
    scheduler, deaths = Scheduler(sweep("search.samples=64"), Tape().append), 0
    while (number := scheduler.next_trial()) is not None:
        scheduler.died(number, "worker died")
        deaths += 1
    assert deaths == 2 * (MOST_DEATHS + 1)
    assert scheduler.done and scheduler.state.over is not None
    assert scheduler.state.over.reason == "no process of a trial lives long enough to report (worker died)"


def test_a_failed_trial_leaves_the_others_alone() -> None:
    scheduler = Scheduler(sweep("search.samples=3", "halving.min_epochs=2"), Tape().append)
    assert scheduler.next_trial() == 0
    scheduler.fail(0, "out of memory", "CUDA out of memory")
    drive(scheduler)
    states = [trial.status for trial in scheduler.state.trials.values()]
    assert states[0] == "failed" and "finished" in states[1:]


def test_rungs_in_seconds_judge_cheap_and_dear_trials_at_equal_cost() -> None:
    def priced(configuration: Mapping[str, Any], epoch: int) -> dict[str, float]:
        return {**learning(configuration, epoch), "epoch_s": 1.0 if configuration["dropout"] < 0.25 else 3.0}

    plan = sweep("search.samples=12", "halving.resource=seconds", "halving.min_seconds=6", "search.sampler=random")
    scheduler, tape = run_through(plan, priced)
    for event in tape.named("pause"):
        trial = scheduler.state.trials[event["trial"]]
        spent = sum(
            e["metrics"]["epoch_s"]
            for e in tape.events[: tape.events.index(event)]
            if e["event"] == "report" and e["trial"] == trial.number
        )
        assert 6 * 3 ** event["rung"] <= spent < 6 * 3 ** event["rung"] + 3

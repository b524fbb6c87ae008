"""What users ask of a sweep: configurations to try, other ranges, trials to end or to pin."""

from collections import Counter

import pytest
from replay import Tape, drive, learning, run_through, stuck, sweep

from glosstune.search.scheduler.scheduler import Scheduler
from glosstune.spaces import SettingError


def test_a_queued_configuration_comes_next_and_on_top_of_the_samples() -> None:
    plan = sweep("search.samples=3", "halving.min_epochs=2")
    _, tape = run_through(plan)
    wanted = {"learning_rate": 2e-3, "dropout": 0.0, "warmup_epochs": 1}
    scheduler = Scheduler(plan, tape.append, events=tape.told)
    assert scheduler.done
    scheduler.queue(wanted)
    assert not scheduler.done
    drive(scheduler)
    assert len(scheduler.state.trials) == 4
    assert dict(scheduler.state.trials[3].configuration) == wanted
    assert scheduler.state.trials[3].source == "queue"
    again = Scheduler(plan, tape.append, events=tape.told)
    assert again.done and not again.state.queue


@pytest.mark.parametrize("wrong", [{"bogus": 1}, {"learning_rate": 2e-3, "dropout": 5, "warmup_epochs": 1}])
def test_a_configuration_outside_the_space_is_not_queued(wrong: dict) -> None:
    _, tape = run_through(sweep("search.samples=3"))
    scheduler = Scheduler(sweep("search.samples=3"), tape.append, events=tape.told)
    with pytest.raises(SettingError):
        scheduler.queue(wrong)
    assert scheduler.done and tape.named("queue") == []


def test_a_queued_configuration_is_tried_whatever_the_samples_and_start_points_say() -> None:
    points = [{"learning_rate": rate, "dropout": 0.1, "warmup_epochs": 0} for rate in (1e-3, 1e-2, 1e-4)]
    plan = sweep("search.samples=2", "halving.min_epochs=2", f"search.start_points={points}")
    _, tape = run_through(plan)
    wanted = {"learning_rate": 2e-3, "dropout": 0.0, "warmup_epochs": 1}
    for fewer in ("search.samples=2", "search.samples=1"):
        later = sweep("halving.min_epochs=2", f"search.start_points={points}", fewer)
        scheduler = Scheduler(later, tape.append, events=tape.told)
        before = len(scheduler.state.trials)
        scheduler.queue(wanted)
        drive(scheduler)
        assert len(scheduler.state.trials) == before + 1
        assert dict(scheduler.state.trials[before].configuration) == wanted


def test_a_queue_and_a_change_put_a_sweep_out_of_patience_to_work_again() -> None:
    impatient = sweep("search.samples=60", "halving.min_epochs=2", "search.patience_trials=3")
    scheduler, tape = run_through(impatient)
    assert scheduler.state.over is not None
    number = len(scheduler.state.trials)
    scheduler.queue({"learning_rate": 2e-3, "dropout": 0.0, "warmup_epochs": 1})
    assert not scheduler.done and scheduler.next_trial() == number
    patient = sweep("search.samples=60", "halving.min_epochs=2")
    again, tape = run_through(impatient)
    again.change(patient, {"search.patience_trials": None})
    assert again.state.over is None and not again.done
    assert Scheduler(patient, tape.append, events=tape.told).state.over is None


def test_start_points_that_narrowing_has_moved_are_not_tried_again() -> None:
    space = "space={strategy: {choice: [baseline, full-finetune]}, learning_rate: {float: [%s, 1e-2], log: true}}"
    fixed = ("pretrained=auto", "search.start_points=strategies", "search.samples=4", "halving.min_epochs=2")
    _, tape = run_through(sweep(*fixed, space % "2e-4"), stuck)
    scheduler = Scheduler(sweep(*fixed, space % "4e-4", "search.samples=8"), tape.append, events=tape.told)
    drive(scheduler, stuck)
    assert Counter(trial.source for trial in scheduler.state.trials.values()) == {"start point": 2, "tpe": 6}


def test_a_trial_that_is_over_can_be_neither_ended_nor_pinned() -> None:
    scheduler, _ = run_through(sweep("search.samples=3", "halving.min_epochs=2"))
    best = min(scheduler.state.trials.values(), key=lambda trial: trial.score)
    for act in (scheduler.stop, scheduler.pin):
        with pytest.raises(SettingError, match=f"TRIAL: trial {best.number} is over already: all 18 epochs"):
            act(best.number)
        with pytest.raises(SettingError, match="TRIAL: the sweep has trials 0 to 2; got 9"):
            act(9)


def test_narrowed_ranges_hold_for_new_trials_only() -> None:
    plan = sweep("search.samples=6", "halving.min_epochs=2", "search.sampler=random")
    _, tape = run_through(plan)
    narrow = sweep(
        "search.samples=12",
        "halving.min_epochs=2",
        "search.sampler=random",
        "space.learning_rate={float: [1e-4, 1e-3], log: true}",
    )
    scheduler = Scheduler(narrow, tape.append, events=tape.told)
    drive(scheduler)
    rates = [trial.configuration["learning_rate"] for trial in scheduler.state.trials.values()]
    assert any(not 1e-4 <= rate <= 1e-3 for rate in rates[:6])
    assert all(1e-4 <= rate <= 1e-3 for rate in rates[6:])


def test_a_pinned_trial_trains_to_its_end_and_holds_nobody_up() -> None:
    plan = sweep("search.samples=9", "halving.min_epochs=2")
    _, tape = run_through(plan)
    scheduler = Scheduler(plan, tape.append, events=tape.told)
    loser = max(scheduler.state.trials.values(), key=lambda trial: (trial.waits, trial.score)).number
    scheduler.pin(loser)
    assert not scheduler.done
    drive(scheduler)
    assert scheduler.state.trials[loser].status == "finished"


def test_a_pinned_trial_is_not_stopped_by_the_rules_of_its_own() -> None:
    plan = sweep("search.samples=2", "halving.min_epochs=2")
    tape = Tape()
    scheduler = Scheduler(plan, tape.append)
    number = scheduler.next_trial()
    assert number == 0
    scheduler.pin(0)
    for epoch in range(1, 18):
        assert scheduler.report(0, epoch, stuck({}, epoch))
    assert not scheduler.report(0, 18, stuck({}, 18))
    assert scheduler.state.trials[0].status == "finished"


def test_a_trial_that_a_user_ends_while_it_trains_is_over_at_its_next_report() -> None:
    plan = sweep("search.samples=1")
    scheduler = Scheduler(plan, (tape := Tape()).append)
    assert scheduler.next_trial() == 0
    scheduler.report(0, 1, learning({"learning_rate": 1e-3, "dropout": 0}, 1))
    scheduler.stop(0)
    assert not scheduler.report(0, 2, learning({"learning_rate": 1e-3, "dropout": 0}, 2))
    assert scheduler.done and len(tape.named("report")) == 1
    assert scheduler.state.trials[0].rule == "user"

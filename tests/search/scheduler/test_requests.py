"""What users ask of a sweep: configurations to try, other ranges, trials to end or to pin."""

from collections import Counter

import pytest
from replay import Tape, drive, learning, run_through, stuck, sweep

from glosstune.search.scheduler.scheduler import Conductor
from glosstune.spaces import SettingError


def test_a_queued_configuration_comes_next_and_on_top_of_the_samples() -> None:
    plan = sweep("search.samples=3", "halving.min_epochs=2")
    _, tape = run_through(plan)
    wanted = {"learning_rate": 2e-3, "dropout": 0.0, "warmup_epochs": 1}
    conductor = Conductor(plan, tape.append, events=tape.events)
    assert conductor.done
    conductor.queue(wanted)
    assert not conductor.done
    drive(conductor)
    assert len(conductor.state.trials) == 4
    assert dict(conductor.state.trials[3].configuration) == wanted
    assert conductor.state.trials[3].source == "queue"
    again = Conductor(plan, tape.append, events=tape.events)
    assert again.done and not again.state.queue


def test_a_queued_configuration_is_tried_whatever_the_samples_and_start_points_say() -> None:
    points = [{"learning_rate": rate, "dropout": 0.1, "warmup_epochs": 0} for rate in (1e-3, 1e-2, 1e-4)]
    plan = sweep("search.samples=2", "halving.min_epochs=2", f"search.start_points={points}")
    _, tape = run_through(plan)
    wanted = {"learning_rate": 2e-3, "dropout": 0.0, "warmup_epochs": 1}
    for fewer in ("search.samples=2", "search.samples=1"):
        later = sweep("halving.min_epochs=2", f"search.start_points={points}", fewer)
        conductor = Conductor(later, tape.append, events=tape.events)
        before = len(conductor.state.trials)
        conductor.queue(wanted)
        drive(conductor)
        assert len(conductor.state.trials) == before + 1
        assert dict(conductor.state.trials[before].configuration) == wanted


def test_a_queue_and_a_change_put_a_sweep_out_of_patience_to_work_again() -> None:
    impatient = sweep("search.samples=60", "halving.min_epochs=2", "search.patience_trials=3")
    conductor, tape = run_through(impatient)
    assert conductor.state.over is not None
    number = len(conductor.state.trials)
    conductor.queue({"learning_rate": 2e-3, "dropout": 0.0, "warmup_epochs": 1})
    assert not conductor.done and conductor.next_trial() == number
    patient = sweep("search.samples=60", "halving.min_epochs=2")
    again, tape = run_through(impatient)
    again.change(patient, {"search.patience_trials": None})
    assert again.state.over is None and not again.done
    assert Conductor(patient, tape.append, events=tape.events).state.over is None


def test_start_points_that_narrowing_has_moved_are_not_tried_again() -> None:
    space = "space={strategy: {choice: [baseline, full-finetune]}, learning_rate: {float: [%s, 1e-2], log: true}}"
    fixed = ("pretrained=auto", "search.start_points=strategies", "search.samples=4", "halving.min_epochs=2")
    _, tape = run_through(sweep(*fixed, space % "2e-4"), stuck)
    conductor = Conductor(sweep(*fixed, space % "4e-4", "search.samples=8"), tape.append, events=tape.events)
    drive(conductor, stuck)
    assert Counter(trial.source for trial in conductor.state.trials.values()) == {"start point": 2, "tpe": 6}


def test_a_trial_that_is_over_can_be_neither_ended_nor_pinned() -> None:
    conductor, _ = run_through(sweep("search.samples=3", "halving.min_epochs=2"))
    best = min(conductor.state.trials.values(), key=lambda trial: trial.score)
    for act in (conductor.stop, conductor.pin):
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
    conductor = Conductor(narrow, tape.append, events=tape.events)
    drive(conductor)
    rates = [trial.configuration["learning_rate"] for trial in conductor.state.trials.values()]
    assert any(not 1e-4 <= rate <= 1e-3 for rate in rates[:6])
    assert all(1e-4 <= rate <= 1e-3 for rate in rates[6:])


def test_a_pinned_trial_trains_to_its_end_and_holds_nobody_up() -> None:
    plan = sweep("search.samples=9", "halving.min_epochs=2")
    _, tape = run_through(plan)
    conductor = Conductor(plan, tape.append, events=tape.events)
    loser = max(conductor.state.trials.values(), key=lambda trial: (trial.waits, trial.score)).number
    conductor.pin(loser)
    assert not conductor.done
    drive(conductor)
    assert conductor.state.trials[loser].status == "finished"


def test_a_pinned_trial_is_not_stopped_by_the_rules_of_its_own() -> None:
    plan = sweep("search.samples=2", "halving.min_epochs=2")
    tape = Tape()
    conductor = Conductor(plan, tape.append)
    number = conductor.next_trial()
    assert number == 0
    conductor.pin(0)
    for epoch in range(1, 18):
        assert conductor.report(0, epoch, stuck({}, epoch))
    assert not conductor.report(0, 18, stuck({}, 18))
    assert conductor.state.trials[0].status == "finished"


def test_a_trial_that_a_user_ends_while_it_trains_is_over_at_its_next_report() -> None:
    plan = sweep("search.samples=1")
    conductor = Conductor(plan, (tape := Tape()).append)
    assert conductor.next_trial() == 0
    conductor.report(0, 1, learning({"learning_rate": 1e-3, "dropout": 0}, 1))
    conductor.stop(0)
    assert not conductor.report(0, 2, learning({"learning_rate": 1e-3, "dropout": 0}, 2))
    assert conductor.done and len(tape.named("report")) == 1
    assert conductor.state.trials[0].rule == "user"

import math
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from replay import Died, Tape, check_decisions, drive, learning, metrics, stuck, sweep

from glosstune.search import Sweep
from glosstune.search.conductor import MOST_DEATHS, Conductor
from glosstune.spaces import FolderError, SettingError

Outcome = dict[int, tuple[Any, Any, Any]]


def _run(
    sweep: Sweep, curve: Callable[..., Any] = learning, *, workers: int = 1, **driving: Any
) -> tuple[Conductor, Tape]:
    tape = Tape()
    conductor = Conductor(sweep, tape.append, slots=lambda: workers)
    drive(conductor, curve, **driving)
    return conductor, tape


def _outcome(conductor: Conductor) -> Outcome:
    trials = conductor.state.trials
    return {n: (dict(t.configuration), [m["wer"] for m in t.curve], t.status) for n, t in trials.items()}


def _resumed(sweep: Sweep, deaths: list[int], workers: int, seed: int = 0) -> tuple[Conductor, Tape]:
    """Run a sweep whose driver dies after as many further events as each of ``deaths``, then to its end."""
    tape = Tape()
    for number, further in enumerate([*deaths, None]):
        tape = Tape(tape.events, None if further is None else len(tape.events) + 1 + further)
        try:
            if number:
                tape.append("resume", changes={})
            conductor = Conductor(sweep, tape.append, slots=lambda: workers, events=tape.events)
            drive(conductor, seed=seed + number, jitter=0.5)
        except Died:
            continue
        return conductor, tape
    raise AssertionError


KINDS = st.sampled_from(["promote", "stop", "none"])


@given(st.lists(st.integers(0, 60), max_size=6), KINDS)
@settings(max_examples=40)
def test_with_one_worker_a_sweep_that_was_killed_comes_to_the_same(deaths: list[int], kind: str) -> None:
    plan = sweep("search.samples=8", "halving.min_epochs=2", f"halving.kind={kind}")
    whole, _ = _run(plan)
    resumed, _ = _resumed(plan, deaths, workers=1)
    assert _outcome(resumed) == _outcome(whole)


@given(st.lists(st.integers(0, 60), max_size=6), KINDS, st.integers(2, 4), st.integers(0, 3))
@settings(max_examples=40)
def test_with_several_workers_every_sample_is_there_and_no_epoch_twice_or_missing(
    deaths: list[int], kind: str, workers: int, seed: int
) -> None:
    plan = sweep("search.samples=9", "halving.min_epochs=2", f"halving.kind={kind}")
    conductor, tape = _resumed(plan, deaths, workers, seed)
    assert sorted(conductor.state.trials) == list(range(9))
    assert len(tape.named("trial")) == 9
    for number, trial in conductor.state.trials.items():
        epochs = [event["epoch"] for event in tape.named("report") if event["trial"] == number]
        assert epochs == list(range(1, len(epochs) + 1))
        assert [m["wer"] for m in trial.curve] == [learning(trial.configuration, epoch)["wer"] for epoch in epochs]
        assert trial.status in ("finished", "stopped")
    check_decisions(tape.events, plan)


def test_thirty_stuck_trials_end_within_grace_and_window_each() -> None:
    plan = sweep("search.samples=30", "training.epochs=81")
    conductor, _ = _run(plan, stuck, workers=4)
    for trial in conductor.state.trials.values():
        assert trial.rule == ("halving" if trial.epoch in (3, 9) else "stuck")
        assert trial.epoch <= 3 + trial.warmup_epochs + 3
    assert len(conductor.state.trials) == 30


def test_the_best_trial_is_carried_on_to_its_last_epoch() -> None:
    conductor, tape = _run(sweep("search.samples=2", "halving.min_epochs=2"))
    best = min(conductor.state.trials.values(), key=lambda trial: trial.score)
    assert best.status == "finished" and best.epoch == 18
    assert {event["trial"] for event in tape.named("promote") if event["carried"]} == {best.number}


def test_nobody_is_carried_on_after_one_who_broke_a_rule() -> None:
    def collapsing(configuration: Mapping[str, Any], epoch: int) -> dict[str, float]:
        return metrics(0.5, 0.5) if epoch <= 6 else {**metrics(1.0, 0.0), "train_loss": math.nan}

    conductor, tape = _run(sweep("search.samples=5", "halving.min_epochs=2"), collapsing)
    assert len({event["trial"] for event in tape.named("promote") if event["carried"]}) == 1
    assert Counter(trial.status for trial in conductor.state.trials.values()) == {"stopped": 5}


def test_every_end_names_its_rule_and_a_halved_one_its_rung_and_rivals() -> None:
    conductor, tape = _run(sweep("search.samples=12", "halving.min_epochs=2"))
    for event in tape.named("end"):
        assert event["rule"] in ("halving", "finished", "stuck")
        if event["rule"] == "halving":
            assert event["rivals"] >= event["rank"] >= 1
            assert f"of {event['rivals']} at rung {event['rung']}" in event["reason"]
    assert {trial.status for trial in conductor.state.trials.values()} == {"finished", "stopped"}


def test_halving_of_either_type_saves_epochs_and_finds_the_same_best() -> None:
    plan = ("search.samples=40", "halving.min_epochs=2", "search.sampler=random")
    ends = {kind: _run(sweep(*plan, f"halving.kind={kind}"))[0].state for kind in ("promote", "stop", "none")}
    assert max(ends["promote"].epochs, ends["stop"].epochs) < ends["none"].epochs
    assert ends["promote"].best_wer == ends["stop"].best_wer == ends["none"].best_wer


def test_start_points_come_first_and_once_however_often_the_sweep_is_resumed() -> None:
    points = [{"learning_rate": rate, "dropout": 0.1, "warmup_epochs": 0} for rate in (1e-3, 1e-3, 1e-2)]
    plan = sweep("search.samples=8", "halving.min_epochs=2", f"search.start_points={points}")
    conductor, _ = _resumed(plan, [1, 0, 2, 5, 9], workers=1)
    assert [dict(conductor.state.trials[number].configuration) for number in range(3)] == points
    assert [trial.source for trial in conductor.state.trials.values()] == ["start point"] * 3 + ["tpe"] * 5


def test_a_queued_configuration_comes_next_and_on_top_of_the_samples() -> None:
    plan = sweep("search.samples=3", "halving.min_epochs=2")
    _, tape = _run(plan)
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
    _, tape = _run(plan)
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
    conductor, tape = _run(impatient)
    assert conductor.state.over is not None
    number = len(conductor.state.trials)
    conductor.queue({"learning_rate": 2e-3, "dropout": 0.0, "warmup_epochs": 1})
    assert not conductor.done and conductor.next_trial() == number
    patient = sweep("search.samples=60", "halving.min_epochs=2")
    again, tape = _run(impatient)
    again.change(patient, {"search.patience_trials": None})
    assert again.state.over is None and not again.done
    assert Conductor(patient, tape.append, events=tape.events).state.over is None


def test_start_points_that_narrowing_has_moved_are_not_tried_again() -> None:
    space = "space={strategy: {choice: [baseline, full-finetune]}, learning_rate: {float: [%s, 1e-2], log: true}}"
    fixed = ("pretrained=auto", "search.start_points=strategies", "search.samples=4", "halving.min_epochs=2")
    _, tape = _run(sweep(*fixed, space % "2e-4"), stuck)
    conductor = Conductor(sweep(*fixed, space % "4e-4", "search.samples=8"), tape.append, events=tape.events)
    drive(conductor, stuck)
    assert Counter(trial.source for trial in conductor.state.trials.values()) == {"start point": 2, "tpe": 6}


def test_patience_counts_other_trials_than_the_best() -> None:
    def flat(configuration: Mapping[str, Any], epoch: int) -> dict[str, float]:
        return metrics(0.5, 0.5)

    for patience in (1, 3):
        conductor, _ = _run(
            sweep("search.samples=20", "halving.min_epochs=2", f"search.patience_trials={patience}"), flat
        )
        assert len(conductor.state.trials) == 1 + patience


def test_time_that_a_command_spends_on_an_idle_sweep_is_not_the_sweeps() -> None:
    stamps = ["00:00:00", "00:00:05", "09:00:00", "09:00:01", "10:00:00"]
    kinds = ["sweep", "queue", "visit", "queue", "resume"]
    events = [
        {"event": kind, "time": f"2026-11-22T{stamp}+00:00", "configuration": {}, "id": "1"}
        for kind, stamp in zip(kinds, stamps, strict=True)
    ]
    assert Conductor(sweep(), Tape().append, events=events, clock=lambda: 0.0).used_s == 6.0


def test_a_trial_that_is_over_can_be_neither_ended_nor_pinned() -> None:
    conductor, _ = _run(sweep("search.samples=3", "halving.min_epochs=2"))
    best = min(conductor.state.trials.values(), key=lambda trial: trial.score)
    for act in (conductor.stop, conductor.pin):
        with pytest.raises(SettingError, match=f"TRIAL: trial {best.number} is over already: all 18 epochs"):
            act(best.number)
        with pytest.raises(SettingError, match="TRIAL: the sweep has trials 0 to 2; got 9"):
            act(9)


def test_events_that_no_conductor_has_written_are_an_error() -> None:
    _, tape = _run(sweep("search.samples=2"))
    for name in ("reason", "rule", "time", "status"):
        broken = [
            {key: value for key, value in event.items() if key != name} if event["event"] == "end" else event
            for event in tape.events
        ]
        with pytest.raises(FolderError, match=r"its event 'end' of .* cannot be replayed"):
            Conductor(sweep("search.samples=2"), Tape().append, events=broken)


def test_a_finished_sweep_goes_on_with_more_samples_and_its_rungs_as_they_were() -> None:
    plan = sweep("search.samples=6", "halving.min_epochs=2")
    first, tape = _run(plan)
    before = [dict(scores) for scores in first.state.halving.rungs]
    more = sweep("search.samples=12", "halving.min_epochs=2")
    conductor = Conductor(more, tape.append, events=tape.events)
    assert [dict(scores) for scores in conductor.state.halving.rungs] == before
    drive(conductor)
    assert len(conductor.state.trials) == 12
    check_decisions(tape.events, more)


def test_narrowed_ranges_hold_for_new_trials_only() -> None:
    plan = sweep("search.samples=6", "halving.min_epochs=2", "search.sampler=random")
    _, tape = _run(plan)
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
    _, tape = _run(plan)
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


def test_an_epoch_that_is_reported_again_counts_once_and_one_that_skips_ends_the_trial() -> None:
    conductor = Conductor(sweep("search.samples=1"), (tape := Tape()).append)
    conductor.next_trial()
    good = learning({"learning_rate": 1e-3, "dropout": 0}, 1)
    assert conductor.report(0, 1, good) and conductor.report(0, 1, {**good, "wer": 0.0})
    assert len(tape.named("report")) == 1
    assert not conductor.report(0, 3, good)
    assert conductor.state.trials[0].status == "failed"
    assert conductor.state.trials[0].error == "epoch 3 was reported after epoch 1"


def test_a_trial_whose_process_keeps_dying_is_given_up_and_one_that_makes_epochs_is_not() -> None:
    conductor = Conductor(sweep("search.samples=1", "training.epochs=30", "halving.kind=none"), Tape().append)
    for epoch in range(1, 3 * MOST_DEATHS):
        assert conductor.next_trial() == 0
        conductor.report(0, epoch, learning({"learning_rate": 1e-3, "dropout": 0}, epoch))
        conductor.died(0, "killed")
    for _ in range(MOST_DEATHS):
        assert conductor.next_trial() == 0
        conductor.died(0, "killed")
    assert conductor.next_trial() is None and conductor.done
    assert (conductor.state.trials[0].status, conductor.state.trials[0].rule) == ("failed", "process died")


def test_a_sweep_ends_where_no_process_lives_long_enough_to_report() -> None:
    conductor, deaths = Conductor(sweep("search.samples=64"), Tape().append), 0
    while (number := conductor.next_trial()) is not None:
        conductor.died(number, "worker died")
        deaths += 1
    assert deaths == 2 * (MOST_DEATHS + 1)
    assert conductor.done and conductor.state.over is not None
    assert conductor.state.over.reason == "no process of a trial lives long enough to report (worker died)"


def test_a_failed_trial_leaves_the_others_alone() -> None:
    conductor = Conductor(sweep("search.samples=3", "halving.min_epochs=2"), Tape().append)
    assert conductor.next_trial() == 0
    conductor.fail(0, "out of memory", "CUDA out of memory")
    drive(conductor)
    states = [trial.status for trial in conductor.state.trials.values()]
    assert states[0] == "failed" and "finished" in states[1:]


def test_an_interrupted_sweep_keeps_what_waits_waiting() -> None:
    conductor = Conductor(sweep("search.samples=4", "halving.min_epochs=2"), (tape := Tape()).append)
    for _ in range(2):
        number = conductor.next_trial()
        assert number is not None
        for epoch in range(1, 7):
            if not conductor.report(number, epoch, learning(conductor.state.trials[number].configuration, epoch)):
                break
    assert conductor.next_trial() == 2
    conductor.interrupt("interrupted by SIGTERM")
    assert conductor.must_end and conductor.next_trial() is None
    conductor.close()
    states = [trial.status for trial in conductor.state.trials.values()]
    assert states[2] == "interrupted" and "paused" in states[:2] and conductor.done
    tape.append("resume", changes={})
    again = Conductor(sweep("search.samples=4", "halving.min_epochs=2"), tape.append, events=tape.events)
    assert again.next_trial() == 2


@pytest.mark.parametrize(
    ("limit", "rule"),
    [
        ("search.stop_at_target=true", "target"),
        ("search.epoch_budget=40", "epoch budget"),
        ("search.patience_trials=4", "patience"),
    ],
)
def test_a_sweep_ends_early_at_its_limit(limit: str, rule: str) -> None:
    conductor, tape = _run(sweep("search.samples=60", "halving.min_epochs=2", limit))
    assert conductor.state.over is not None and conductor.state.over.rule == rule
    assert len(conductor.state.trials) < 60
    assert len(tape.named("over")) == 1
    if rule == "epoch budget":
        assert conductor.state.epochs == 40
    if rule == "target":
        assert conductor.state.best_wer < 0.3
    if rule == "patience":  # the best is still carried on
        assert any(trial.status == "finished" for trial in conductor.state.trials.values())


def test_the_time_of_all_drivers_counts_and_the_time_between_them_does_not() -> None:
    plan, now = sweep("search.samples=2", "search.time_budget_min=1"), [0.0]
    tape = Tape()
    conductor = Conductor(plan, tape.append, clock=lambda: now[0])
    conductor.next_trial()
    now[0] = 59.0
    conductor.judge_sweep()
    assert not conductor.must_end
    now[0] = 60.0
    conductor.judge_sweep()
    assert conductor.must_end and conductor.state.over is not None
    assert conductor.state.over.reason == "time budget of 1 min used up"
    stamps = ["00:00:00", "00:00:30", "05:00:00", "05:00:10"]
    kinds = ["sweep", "queue", "resume", "queue"]
    events = [
        {"event": kind, "time": f"2026-11-22T{stamp}+00:00", "configuration": {}, "id": "1"}
        for kind, stamp in zip(kinds, stamps, strict=True)
    ]
    later = Conductor(plan, tape.append, events=events, clock=lambda: now[0])
    assert later.used_s == 40.0


def test_what_a_driver_could_not_decide_any_more_is_decided_by_the_next() -> None:
    plan = sweep("search.samples=1", "training.epochs=2", "halving.kind=none")
    tape = Tape()
    conductor = Conductor(plan, tape.append)
    conductor.next_trial()
    conductor.report(0, 1, learning({"learning_rate": 1e-3, "dropout": 0}, 1))
    died = Tape(tape.events, limit=len(tape.events) + 1)
    dying = Conductor(plan, died.append, events=tape.events)
    dying.next_trial()
    with pytest.raises(Died):
        dying.report(0, 2, learning({"learning_rate": 1e-3, "dropout": 0}, 2))
    assert died.events[-1]["event"] == "report"
    after = Conductor(plan, (tape := Tape(died.events)).append, events=died.events)
    assert after.done and after.state.trials[0].status == "finished"
    assert tape.events[-1]["event"] == "end"


def test_rungs_in_seconds_judge_cheap_and_dear_trials_at_equal_cost() -> None:
    def priced(configuration: Mapping[str, Any], epoch: int) -> dict[str, float]:
        return {**learning(configuration, epoch), "epoch_s": 1.0 if configuration["dropout"] < 0.25 else 3.0}

    plan = sweep("search.samples=12", "halving.resource=seconds", "halving.min_seconds=6", "search.sampler=random")
    conductor, tape = _run(plan, priced)
    for event in tape.named("pause"):
        trial = conductor.state.trials[event["trial"]]
        spent = sum(
            e["metrics"]["epoch_s"]
            for e in tape.events[: tape.events.index(event)]
            if e["event"] == "report" and e["trial"] == trial.number
        )
        assert 6 * 3 ** event["rung"] <= spent < 6 * 3 ** event["rung"] + 3

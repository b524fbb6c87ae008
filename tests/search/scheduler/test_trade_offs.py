"""Several objectives: who goes on, what the sampler sees, when a sweep has no better trade-off, and resuming."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.trial import TrialState as OptunaState
from replay import (
    Tape,
    check_decisions,
    costs,
    drive,
    metrics,
    resume_after,
    run_through,
    sized,
    sweep,
)

from glosstune.results.reading.objectives import front_numbers, hypervolume, weigh
from glosstune.results.reading.record import read_record
from glosstune.search import Sweep, load_sweep
from glosstune.search.config.settings import HalvingSettings
from glosstune.search.scheduler.halving import Halving
from glosstune.search.scheduler.sampler import Sampler, check_sampler
from glosstune.search.scheduler.scheduler import Scheduler
from glosstune.search.scheduler.trial import TrialState
from glosstune.search.scheduler.warm_start import earlier_trials
from glosstune.spaces import Float, SettingError, Space

WIDTH = "space.width={float: [0.1, 1], log: true}"
SIZES = (WIDTH, "search.objectives=[wer,parameters]", "halving.min_epochs=2", "search.prior=packaged")


def _plan(*overrides: str) -> Sweep:
    return sweep("search.samples=9", *SIZES, *overrides)


def _outcome(scheduler: Scheduler) -> dict[int, Any]:
    trials = scheduler.state.trials
    return {n: (dict(t.configuration), dict(t.costs), [m["wer"] for m in t.curve], t.status) for n, t in trials.items()}


KINDS = st.sampled_from(["promote", "stop", "none"])


@given(st.lists(st.integers(0, 60), max_size=6), KINDS, st.sampled_from(["parameters", "parameters,size_mb"]))
@settings(max_examples=30)
def test_with_one_worker_a_sweep_that_was_killed_comes_to_the_same(deaths: list[int], kind: str, paid: str) -> None:
    plan = _plan(f"halving.kind={kind}", f"search.objectives=[wer,{paid}]")
    whole, _ = run_through(plan, sized)
    resumed, tape = resume_after(plan, deaths, workers=1, curve=sized)
    assert _outcome(resumed) == _outcome(whole)
    assert [event["epoch"] for event in tape.named("report") if "costs" in event].count(1) == len(whole.state.trials)


@given(st.lists(st.integers(0, 60), max_size=6), KINDS, st.integers(2, 4), st.integers(0, 3))
@settings(max_examples=30)
def test_with_several_workers_every_decision_follows_from_the_record(
    deaths: list[int], kind: str, workers: int, seed: int
) -> None:
    plan = _plan(f"halving.kind={kind}")
    scheduler, tape = resume_after(plan, deaths, workers, seed, sized)
    assert len(scheduler.state.trials) == 9
    assert {trial.status for trial in scheduler.state.trials.values()} <= {"finished", "stopped"}
    check_decisions(tape.events, plan)


@given(st.lists(st.integers(0, 60), max_size=4), st.sampled_from(["wer", "dev_loss"]))
@settings(max_examples=20)
def test_with_one_objective_costs_change_nothing(deaths: list[int], metric: str) -> None:
    plan = sweep("search.samples=9", WIDTH, "halving.min_epochs=2", "halving.lead=0.85", f"search.metric={metric}")
    assert plan.search.objectives == (metric,)
    tapes = []
    for amount in (1.0, None):
        scheduler = Scheduler(plan, (tape := Tape()).append)
        while (number := scheduler.next_trial()) is not None:
            goes_on = True
            while goes_on:
                trial = scheduler.state.trials[number]
                told = sized(trial.configuration, trial.epoch + 1)
                paid = None if amount is None else {"parameters": amount / (number + 1)}
                goes_on = scheduler.report(number, trial.epoch + 1, told, costs=paid)
        tapes.append([{key: value for key, value in event.items() if key != "costs"} for event in tape.events])
    assert tapes[0] == tapes[1]


def test_nobody_leads_and_whom_nobody_beats_is_carried_on_to_its_end() -> None:
    points = [{"learning_rate": 5e-3, "dropout": 0, "warmup_epochs": 0, "width": width} for width in (0.2, 0.4, 0.6, 1)]
    plan = _plan("search.samples=4", f"search.start_points={json.dumps(points)}")
    scheduler, tape = run_through(plan, sized, workers=2)
    trials = [trial for trial in scheduler.state.trials.values() if not trial.faulty and trial.score < 0.9]
    reached = np.array([(trial.score, *weigh(trial.costs, ["parameters"])) for trial in trials])
    front = [trial for trial, number in zip(trials, front_numbers(reached), strict=True) if number == 0]
    assert len(front) >= 3
    assert {trial.status for trial in front} == {"finished"}
    carried = {event["trial"] for event in tape.named("promote") if event.get("carried")}
    assert carried and carried <= {trial.number for trial in trials if trial.status == "finished"}
    assert not any(event.get("lead") for event in tape.named("promote"))


def test_a_small_trial_that_is_still_on_the_plateau_is_not_carried_on() -> None:
    def slow(configuration: Any, epoch: int) -> dict[str, float]:
        return metrics(1.0, 0.3) if configuration["width"] < 0.5 else metrics(0.2, 0.8)

    points = [{"learning_rate": 1e-3, "dropout": 0.0, "warmup_epochs": 0, "width": width} for width in (0.2, 0.9)]
    plan = _plan("search.samples=2", "halving.min_epochs=3", f"search.start_points={points}")
    scheduler, _ = run_through(plan, slow)
    assert [trial.status for trial in scheduler.state.trials.values()] == ["stopped", "finished"]


def test_at_a_rung_the_front_goes_on_before_a_better_wer_that_is_dominated() -> None:
    halving = Halving(HalvingSettings(min_epochs=1, lead=0), 27)
    # WER and logarithm of the size: 0, 1 and 4 are the front; 3 is better than 1 by WER, but beaten by 0 in both.
    for trial, (wer, size) in enumerate([(0.20, 5.0), (0.40, 4.0), (0.50, 5.5), (0.25, 5.1), (0.80, 3.9), (0.9, 6.0)]):
        halving.arrive(trial, 0, wer, (size,))
    ranks = [halving.standing(trial, 0).rank for trial in range(6)]
    assert ranks[0] == 1 and sorted(ranks[trial] for trial in (0, 1, 4)) == [1, 2, 3]
    assert ranks[3] == 4 and ranks[5] == 6
    gone = []
    while (standing := halving.next_promotion()) is not None:
        halving.promote(standing.trial, standing.rung)
        gone.append(standing.trial)
    assert gone == [0, 1]
    halving.remove(1)
    assert halving.standing(1, 0).rank == 2  # where it would stand
    assert halving.standing(4, 0).rank == 3


def test_ties_pass_nobody_with_several_objectives_either() -> None:
    halving = Halving(HalvingSettings(min_epochs=1), 27)
    for trial in range(9):
        halving.arrive(trial, 0, 1.0, (5.0,))
    assert [halving.standing(trial, 0).rank for trial in range(9)] == list(range(1, 10))


def test_costs_that_nobody_knows_rank_behind_all_that_are_known() -> None:
    halving = Halving(HalvingSettings(min_epochs=1), 27)
    for trial, (wer, size) in enumerate([(0.1, math.inf), (0.9, 6.0), (math.inf, 3.0)]):
        halving.arrive(trial, 0, wer, (size,))
    assert [halving.standing(trial, 0).rank for trial in range(3)] == [2, 1, 3]


SPACE = Space({"width": Float(0.1, 1.0, log=True), "dropout": Float(0.0, 0.5)})


def _judged(number: int, wer: float, width: float, **known: Any) -> TrialState:
    told = {"scores": [wer], "score": wer, "status": "paused", "costs": costs({"width": width}), **known}
    return TrialState(number, {"width": width, "dropout": 0.1}, "tpe", **told)


def test_the_sampler_sees_every_objective_of_whoever_has_come_to_a_rung() -> None:
    shown = {
        name: Sampler(SPACE, "tpe", 0, costs=["parameters"])._show(trial, 1)
        for name, trial in {
            "paused": _judged(0, 0.5, 0.3),
            "finished": _judged(1, 0.4, 0.3, score=0.2, status="finished"),
            "stuck": _judged(2, 2.0, 0.1, faulty=True, status="stopped"),
            "unknown": _judged(3, 0.5, 0.3, costs={}),
            "running": _judged(4, 0.5, 0.3, scores=[], status="running"),
        }.items()
    }
    size = math.log10(costs({"width": 0.3})["parameters"])
    assert {name: (trial.state, trial.values) for name, trial in shown.items()} == {
        "paused": (OptunaState.COMPLETE, [0.5, size]),
        "finished": (OptunaState.COMPLETE, [0.2, size]),
        "stuck": (OptunaState.PRUNED, None),
        "unknown": (OptunaState.PRUNED, None),
        "running": (OptunaState.RUNNING, None),
    }


def test_tpe_draws_along_the_front_and_not_at_its_best_wer_alone() -> None:
    # A wide network gains nothing over one of 0.3.
    widths = [0.1 * 10 ** (number / 39) for number in range(40)]
    wers = [0.9 if width < 0.3 else 0.3 + 0.02 * (number * 7 % 5) for number, width in enumerate(widths)]
    trials = [_judged(number, wer, width) for number, (wer, width) in enumerate(zip(wers, widths, strict=True))]
    both, alone = (
        [Sampler(SPACE, "tpe", 0, costs=paid).suggest(number, trials)["width"] for number in range(40, 70)]
        for paid in (["parameters"], [])
    )
    assert 0.2 < np.median(both) < 0.4
    assert np.median(alone) > 0.5


@pytest.mark.parametrize("name", ["optuna.samplers:NSGAIISampler", "optuna.samplers:TPESampler"])
def test_other_samplers_of_optuna_take_several_objectives(name: str) -> None:
    plan = load_sweep("student", [*SIZES[:2], f"search.sampler={name}", "search.samples=60"])
    check_sampler(plan, print)


def test_a_sampler_for_one_objective_is_refused_before_the_sweep_begins() -> None:
    plan = load_sweep("student", [*SIZES[:2], "search.sampler=optuna.samplers:CmaEsSampler"])
    with pytest.raises(SettingError, match=r"^search\.sampler: .*CmaEsSampler fails"):
        check_sampler(plan, print)


def test_patience_waits_for_a_trial_that_moves_the_front() -> None:
    plan = _plan("search.patience_trials=2", "search.sampler=random", "search.samples=30")
    _, tape = run_through(plan, sized)
    (over,) = [event for event in tape.named("over") if event["rule"] == "patience"]
    assert over["reason"] == "no better trade-off of wer, parameters from 2 trials in a row"
    best = sweep("search.samples=30", WIDTH, "halving.min_epochs=2", "search.patience_trials=2")
    assert best.search.objectives == ("wer",)


def test_a_trial_of_100_percent_moves_no_front_however_small_it_is() -> None:
    scheduler = Scheduler(_plan("search.sampler=random"), Tape().append, slots=lambda: 9)
    for number, (wer, moved) in enumerate([(1.0, False), (1.2, False), (0.99, True), (0.99, False)]):
        assert scheduler.next_trial() == number
        scheduler.state.since_best.add(99)
        scheduler.report(number, 1, metrics(wer, 0.5), costs={"parameters": 1e4 if number != 3 else 2e4})
        assert (99 not in scheduler.state.since_best) == moved


def test_an_earlier_sweep_without_the_costs_teaches_nothing_about_them(tmp_path: Path) -> None:
    plan = _plan("search.samples=3", "search.objectives=[wer]")
    tape = Tape()
    tape.append("sweep", format=1, id="1", samples=3, epochs=18, metric="wer", target=0.3)
    drive(Scheduler(plan, tape.append, events=tape.told), sized)
    (tmp_path / "record.jsonl").write_text("".join(json.dumps(line) + "\n" for line in tape.events))
    said: list[str] = []
    records = {tmp_path: read_record(tmp_path)}
    assert len(earlier_trials(_plan(), records, said.append)) == 3
    assert earlier_trials(_plan("search.objectives=[wer,latency_ms]"), records, said.append) == []
    assert said[-1] == "  3 not: its latency_ms were not recorded"


def test_the_front_of_a_search_over_both_is_worth_more_than_that_over_wer() -> None:
    def volume(objectives: str, seed: int) -> float:
        plan = _plan(
            f"search.objectives={objectives}", "search.samples=99", f"search.seed={seed}", "search.epoch_budget=200"
        )
        scheduler = Scheduler(plan, Tape().append)
        drive(scheduler, sized)
        trials = scheduler.state.trials.values()
        points = [(trial.score, *weigh(trial.costs, ["parameters"])) for trial in trials]
        return hypervolume(np.array(points), (1.0, 5.4))

    both, alone = (sum(volume(each, seed) for seed in range(4)) for each in ("[wer,parameters]", "[wer]"))
    assert both > alone


def test_a_choice_of_one_width_is_no_trade_off() -> None:
    for width in ("0.5", "{choice: [0.5]}"):
        with pytest.raises(SettingError, match=r"search\.objectives: parameters is that of every trial alike"):
            load_sweep("student", [f"space.width={width}", "search.objectives=[wer,parameters]"])
    load_sweep("student", ["space.time_stride.choice=[2,4]", "search.objectives=[wer,latency_ms]"])

"""What comes next where every epoch is weighed: a trial that waits, or a new one."""

import math
from collections.abc import Mapping
from typing import Any

import pytest
from known_trials import EPOCHS, known
from replay import metrics, run_through, sweep

from glosstune.search import load_sweep
from glosstune.search.scheduler.index import LOOKED_AT, Index
from glosstune.search.scheduler.trial import TrialState
from glosstune.spaces import SettingError

INDEX = ("halving.kind=index", "search.prior=packaged")


def _trial(number: int, *scores: float, rate: float = 1e-3) -> TrialState:
    return TrialState(number, {"learning_rate": rate}, "tpe", scores=list(scores), score=scores[-1], status="paused")


def test_the_trial_that_falls_fastest_goes_on() -> None:
    index = Index(known(), EPOCHS, None)
    trials = [_trial(0, 0.7, 0.69), _trial(1, 0.7, 0.5), _trial(2, 0.7, 0.65)]
    choice = index.choose(trials, trials, may_begin=False)
    assert choice is not None and choice.trial == 1
    assert choice.second is not None and choice.second[0] in (0, 2)
    assert str(choice).startswith("best is trial 1, expected to lower the best WER by ")


def test_a_new_one_begins_where_none_that_waits_promises_anything() -> None:
    index = Index(known(), EPOCHS, None)
    waiting = [_trial(0, *[0.99] * 8), _trial(1, *[0.98] * 8)]
    choice = index.choose(waiting, waiting, may_begin=True)
    assert choice is not None and choice.trial is None
    assert "best is a new trial, expected" in str(choice)


def test_nothing_is_worth_an_epoch_below_the_target_or_of_a_trial_that_has_diverged() -> None:
    trials = [_trial(0, 0.25, 0.2), _trial(1, math.inf)]
    assert Index(known(), EPOCHS, 0.3).choose(trials, trials, may_begin=False) is None
    assert Index(known(), EPOCHS, None).choose(trials, trials[1:], may_begin=False) is None


def test_a_sweep_ends_when_nothing_promises_more_and_its_best_is_whole() -> None:
    scheduler, tape = run_through(sweep("search.samples=12", *INDEX))
    trials = scheduler.state.trials.values()
    best = min(trials, key=lambda trial: trial.score)
    assert best.status == "finished" and len(trials) == 12
    assert scheduler.state.epochs < 12 * 18 / 2
    assert {trial.status for trial in trials} == {"finished", "stopped"}
    for event in tape.named("pause") + tape.named("promote"):
        assert event["reason"].startswith("index: ") or event.get("carried")


def test_stuck_trials_end_by_their_rule_or_wait_for_ever() -> None:
    def stuck(configuration: Mapping[str, Any], epoch: int) -> dict[str, float]:
        return metrics(1.0, 0.0)

    scheduler, _ = run_through(sweep("search.samples=20", "training.epochs=60", *INDEX), stuck, workers=3)
    assert len(scheduler.state.trials) == 20
    assert {trial.rule for trial in scheduler.state.trials.values()} <= {"stuck", "halving"}
    assert scheduler.state.epochs < 20 * 9


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "search.prior=none",
            "search.prior: must be packaged, where halving.kind is index; got 'none'",
        ),
        ("search.metric=dev_loss", "search.metric: must be wer, where halving.kind is index; got 'dev_loss'"),
        ("training.epochs=1", "training.epochs: must be at least 2, where halving.kind is index; got 1"),
    ],
)
def test_what_does_not_go_with_it_is_refused(override: str, message: str) -> None:
    with pytest.raises(SettingError) as caught:
        load_sweep("student", [*INDEX, override])
    assert message in str(caught.value)


def test_among_many_that_wait_a_steep_one_and_the_one_that_arrived_are_looked_at() -> None:
    index = Index(known(), EPOCHS, None)
    flat = [_trial(number, *[0.3] * 10, rate=1e-5) for number in range(3 * LOOKED_AT)]
    steep, arrived = _trial(len(flat), 0.9, 0.35), _trial(len(flat) + 1, 0.95, 0.31)
    choice = index.choose([*flat, steep], [*flat, steep], may_begin=False)
    assert choice is not None and choice.trial == steep.number
    choice = index.choose([*flat, arrived], flat, may_begin=False, arrived=arrived)
    assert choice is not None and choice.trial == arrived.number


def test_where_nothing_is_to_be_gained_new_trials_get_an_epoch_and_no_more() -> None:
    def perfect(configuration: Mapping[str, Any], epoch: int) -> dict[str, float]:
        return metrics(0.4 if epoch == 1 else 0.002, 0.9)

    scheduler, _ = run_through(sweep("search.samples=6", *INDEX), perfect)
    epochs = [trial.epoch for trial in scheduler.state.trials.values()]
    assert sorted(epochs)[-1] == 18 and sum(epochs) <= 18 + 5 * 2


def test_every_decision_is_recorded_and_a_carried_trial_runs_in_one_segment() -> None:
    scheduler, tape = run_through(sweep("search.samples=12", *INDEX))
    decided = {(event["trial"], event["reason"][:7]) for event in tape.named("promote")}
    assert (0, "index: ") in decided
    for number, trial in scheduler.state.trials.items():
        told = [
            event for event in tape.events if event["event"] in ("promote", "pause", "end") and event["trial"] == number
        ]
        assert len(told) >= trial.epoch - 18 * trial.carried
    assert len([event for event in tape.named("promote") if event.get("carried")]) <= 1

"""The best trial goes on whatever its rank, up to its share of all epochs."""

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from replay import Tape, check_decisions, learning, metrics, run_through, sweep

from glosstune.search import load_sweep
from glosstune.search.scheduler.scheduler import Scheduler
from glosstune.spaces import SettingError

HALVED = ("halving.min_epochs=2", "search.samples=14")


@given(st.sampled_from([0.2, 0.5, 0.85]), st.integers(1, 4), st.integers(0, 20))
@settings(max_examples=30)
def test_whoever_leads_is_the_best_and_leads_have_no_more_than_their_share(
    lead: float, workers: int, seed: int
) -> None:
    plan = sweep(*HALVED, f"halving.lead={lead}", f"search.seed={seed}", "search.sampler=random")
    scheduler, tape = run_through(plan, workers=workers)
    scores: dict[int, float] = {}
    below: dict[int, float] = {}
    leads: set[int] = set()
    done: Counter[int] = Counter()
    epochs = led = 0
    for event in tape.events:
        number = event.get("trial", -1)
        if event["event"] == "report":
            epochs, led = epochs + 1, led + (number in leads)
            told = event["metrics"]
            done[number] += 1
            below[number] = max(below.get(number, -math.inf), told["loss_below_floor"])
            wer = min(scores.get(number, math.inf), told["wer"])
            scores[number] = wer if wer < 0.9 else 2 - below[number]
            # With several workers, others' epochs come in between an epoch's begin and its end.
            assert led <= lead * epochs + workers
        elif event["event"] == "end":
            leads.discard(number)
            if event.get("faulty"):
                del scores[number]
        elif event["event"] in ("promote", "pause"):
            leads.discard(number)
            if event.get("lead"):
                leads.add(number)
                there = {trial: score for trial, score in scores.items() if done[trial] >= 2}  # the first rung
                assert (there[number], number) == min((score, trial) for trial, score in there.items())
                assert led < lead * epochs
    assert (scheduler.state.epochs, scheduler.state.lead_epochs) == (epochs, led)
    check_decisions(tape.events, plan)


def _to_the_end(scheduler: Scheduler, tape: Any) -> int:
    """Epochs of all trials until the first one is whole."""
    events = [event["event"] for event in tape.events]
    whole = next(place for place, event in enumerate(tape.events) if event.get("rule") == "finished")
    return events[:whole].count("report")


def test_the_first_good_trial_is_whole_sooner_than_by_rank() -> None:
    good = "search.start_points=[{learning_rate: 1e-3, dropout: 0, warmup_epochs: 0}]"
    led, waited = (_to_the_end(*run_through(sweep(*HALVED, good, f"halving.lead={lead}"))) for lead in (0.85, 0))
    assert led <= 18 / 0.85 + 2
    assert led < waited / 2


def test_one_that_is_overtaken_waits_at_its_last_rung_and_says_why() -> None:
    def crossing(configuration: Mapping[str, Any], epoch: int) -> dict[str, float]:
        return metrics(0.5 if configuration["dropout"] < 0.25 else 0.9 * 0.7**epoch, 0.5)

    points = [{"learning_rate": 1e-3, "dropout": dropout, "warmup_epochs": 0} for dropout in (0.1, 0.4)]
    plan = sweep("search.samples=2", "halving.min_epochs=2", f"search.start_points={points}", "halving.lead=0.5")
    scheduler, tape = run_through(plan, crossing)
    first, second = scheduler.state.trials.values()
    waits = [event["reason"] for event in tape.named("pause") if event["trial"] == 0]
    assert any(
        reason.startswith("lead: waits after epoch 4; 2 of 4 epochs went to the best trial, 50% may")
        for reason in waits
    )
    assert second.status == "finished" and first.epoch < 18
    assert first.status == "stopped" and first.reason.startswith("halving: stopped, ")


def test_a_best_trial_that_was_stopped_leaves_the_lead_to_the_next() -> None:
    plan = sweep("search.samples=4", "halving.min_epochs=2", "halving.lead=0.85", "search.sampler=random")
    scheduler = Scheduler(plan, Tape().append, slots=lambda: 2)
    first, second = scheduler.next_trial(), scheduler.next_trial()
    assert (first, second) == (0, 1)
    for epoch in (1, 2):
        assert scheduler.report(0, epoch, metrics(0.2, 0.5)) and scheduler.report(1, epoch, metrics(0.4, 0.5)) == (
            epoch < 2
        )
    scheduler.stop(0)
    assert scheduler.next_trial() == 1
    assert scheduler.state.trials[1].leads


def test_a_pinned_leader_leads_no_more_and_goes_on() -> None:
    plan = sweep("search.samples=2", "halving.min_epochs=2", "halving.lead=0.85")
    scheduler = Scheduler(plan, Tape().append)
    assert scheduler.next_trial() == 0
    for epoch in (1, 2):
        assert scheduler.report(0, epoch, metrics(0.2, 0.5))
    scheduler.pin(0)
    for epoch in range(3, 18):
        assert scheduler.report(0, epoch, metrics(0.2, 0.5))
    assert scheduler.state.lead_epochs == 0


def test_without_a_lead_nobody_leads() -> None:
    for kind, lead in (("promote", 0), ("stop", 0.85), ("none", 0.85)):
        scheduler, tape = run_through(sweep(*HALVED, f"halving.kind={kind}", f"halving.lead={lead}"), learning)
        assert not any(event.get("lead") for event in tape.named("promote"))
        assert scheduler.state.lead_epochs == 0


@pytest.mark.parametrize("lead", [-0.1, 1, 85])
def test_a_share_that_leaves_nothing_for_others_is_refused(lead: float) -> None:
    with pytest.raises(SettingError, match=r"halving\.lead"):
        load_sweep("student", [f"halving.lead={lead}"])

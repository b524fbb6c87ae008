"""A new scheduler that is given the events of an old one goes on where that one was."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from replay import Died, Tape, check_decisions, drive, learning, resume_after, run_through, sweep

from glosstune.results.reading.events import TrialEnded
from glosstune.search.scheduler.scheduler import Scheduler
from glosstune.spaces import FolderError

# How the best trial leads, where halving promotes.
LEADS = st.sampled_from([0, 0.3, 0.85])
KINDS = st.sampled_from(["promote", "stop", "none"])


def _outcome(scheduler: Scheduler) -> dict[int, tuple[Any, Any, Any]]:
    trials = scheduler.state.trials
    return {n: (dict(t.configuration), [m["wer"] for m in t.curve], t.status) for n, t in trials.items()}


@given(st.lists(st.integers(0, 60), max_size=6), KINDS, LEADS)
@settings(max_examples=40)
def test_with_one_worker_a_sweep_that_was_killed_comes_to_the_same(deaths: list[int], kind: str, lead: float) -> None:
    halving = (f"halving.kind={kind}", "halving.min_epochs=2", f"halving.lead={lead}")
    plan = sweep("search.samples=8", *halving, "search.prior=packaged")
    whole, _ = run_through(plan)
    resumed, _ = resume_after(plan, deaths, workers=1)
    assert _outcome(resumed) == _outcome(whole)


@given(st.lists(st.integers(0, 60), max_size=6), KINDS, LEADS, st.integers(2, 4), st.integers(0, 3))
@settings(max_examples=40)
def test_with_several_workers_every_sample_is_there_and_no_epoch_twice_or_missing(
    deaths: list[int], kind: str, lead: float, workers: int, seed: int
) -> None:
    halving = (f"halving.kind={kind}", "halving.min_epochs=2", f"halving.lead={lead}")
    plan = sweep("search.samples=9", *halving, "search.prior=packaged")
    scheduler, tape = resume_after(plan, deaths, workers, seed)
    assert sorted(scheduler.state.trials) == list(range(9))
    assert len(tape.named("trial")) == 9
    for number, trial in scheduler.state.trials.items():
        epochs = [event["epoch"] for event in tape.named("report") if event["trial"] == number]
        assert epochs == list(range(1, len(epochs) + 1))
        assert [m["wer"] for m in trial.curve] == [learning(trial.configuration, epoch)["wer"] for epoch in epochs]
        assert trial.status in ("finished", "stopped")
    check_decisions(tape.events, plan)


def test_start_points_come_first_and_once_however_often_the_sweep_isresume_after() -> None:
    points = [{"learning_rate": rate, "dropout": 0.1, "warmup_epochs": 0} for rate in (1e-3, 1e-3, 1e-2)]
    plan = sweep("search.samples=8", "halving.min_epochs=2", f"search.start_points={points}")
    scheduler, _ = resume_after(plan, [1, 0, 2, 5, 9], workers=1)
    assert [dict(scheduler.state.trials[number].configuration) for number in range(3)] == points
    assert [trial.source for trial in scheduler.state.trials.values()] == ["start point"] * 3 + ["tpe"] * 5


def test_events_that_no_scheduler_has_written_are_an_error() -> None:
    _, tape = run_through(sweep("search.samples=2"))
    timeless = [replace(event, time="") if isinstance(event, TrialEnded) else event for event in tape.told]
    without_begin = [event for event in tape.told if isinstance(event, TrialEnded)]
    for broken in (timeless, without_begin):
        with pytest.raises(FolderError, match=r"its event 'end' of .* cannot be replayed"):
            Scheduler(sweep("search.samples=2"), Tape().append, events=broken)


def test_a_finished_sweep_goes_on_with_more_samples_and_its_rungs_as_they_were() -> None:
    plan = sweep("search.samples=6", "halving.min_epochs=2")
    first, tape = run_through(plan)
    before = [dict(scores) for scores in first.state.halving.rungs]
    more = sweep("search.samples=12", "halving.min_epochs=2")
    scheduler = Scheduler(more, tape.append, events=tape.told)
    assert [dict(scores) for scores in scheduler.state.halving.rungs] == before
    drive(scheduler)
    assert len(scheduler.state.trials) == 12
    check_decisions(tape.events, more)


def test_an_interrupted_sweep_keeps_what_waits_waiting() -> None:
    scheduler = Scheduler(sweep("search.samples=4", "halving.min_epochs=2"), (tape := Tape()).append)
    for _ in range(2):
        number = scheduler.next_trial()
        assert number is not None
        for epoch in range(1, 7):
            if not scheduler.report(number, epoch, learning(scheduler.state.trials[number].configuration, epoch)):
                break
    assert scheduler.next_trial() == 2
    scheduler.interrupt("interrupted by SIGTERM")
    assert scheduler.must_end and scheduler.next_trial() is None
    scheduler.close()
    states = [trial.status for trial in scheduler.state.trials.values()]
    assert states[2] == "interrupted" and "paused" in states[:2] and scheduler.done
    tape.append("resume", changes={})
    again = Scheduler(sweep("search.samples=4", "halving.min_epochs=2"), tape.append, events=tape.told)
    assert again.next_trial() == 2


def test_what_a_driver_could_not_decide_any_more_is_decided_by_the_next() -> None:
    plan = sweep("search.samples=1", "training.epochs=2", "halving.kind=none")
    tape = Tape()
    scheduler = Scheduler(plan, tape.append)
    scheduler.next_trial()
    scheduler.report(0, 1, learning({"learning_rate": 1e-3, "dropout": 0}, 1))
    died = Tape(tape.events, limit=len(tape.events) + 1)
    dying = Scheduler(plan, died.append, events=tape.told)
    dying.next_trial()
    with pytest.raises(Died):
        dying.report(0, 2, learning({"learning_rate": 1e-3, "dropout": 0}, 2))
    assert died.events[-1]["event"] == "report"
    after = Scheduler(plan, (tape := Tape(died.events)).append, events=died.told)
    assert after.done and after.state.trials[0].status == "finished"
    assert tape.events[-1]["event"] == "end"

"""Where trials stopped, why, and what that saved."""

import pytest

from glosstune.results import count_rungs, count_stops, load_results, sum_costs


@pytest.fixture
def halved(sweep):
    """Three trials come to rung 0 after two epochs, the best goes on, is stuck later; the third never starts."""
    sweep.settle("name: demo\nresources: {cpu: 1, gpu: 0.5}\n")
    for trial, score in enumerate((1.4, 0.8, 1.9)):
        sweep.start(trial, learning_rate=0.1)
        for epoch in (1, 2):
            sweep.report(trial, epoch, wer=score / 2, epoch_s=10.0)
        told = {"rank": 1, "rivals": trial + 1, "quota": 0, "score": score}
        sweep.decide("pause", trial, 0, **told)
    sweep.decide("promote", 1, 0, rank=1, rivals=3, quota=1, score=0.8, carried=False)
    sweep.report(1, 3, wer=0.3, epoch_s=30.0)
    sweep.append(
        event="end", trial=1, time="2026-11-21T22:45:49+00:00", status="stopped", rule="stuck", reason="stuck: WER 97%"
    )
    sweep.start(3, learning_rate=0.2)
    sweep.end(3, "failed", "error", error="no disk")
    return sweep.path


def test_rungs_say_who_came_and_who_went_on(halved):
    (rung,) = count_rungs(load_results(halved)).to_dict("records")
    assert (rung["rung"], rung["epoch"], rung["came"], rung["went_on"]) == (0, 2, 3, 1)
    assert rung["share"] == pytest.approx(1 / 3)
    assert (rung["best_score"], rung["median_score"]) == (0.8, 1.4)


def test_who_is_carried_on_at_the_end_did_not_go_on_by_merit(sweep):
    sweep.start(0)
    sweep.report(0, 1, wer=0.9)
    sweep.decide("pause", 0, 0, rank=1, rivals=1, quota=0, score=0.9)
    sweep.decide("promote", 0, 0, rank=1, rivals=1, quota=0, score=0.9, carried=True)
    results = load_results(sweep.path)
    assert count_rungs(results)["went_on"].tolist() == [0]
    assert results.decisions["decision"].tolist() == ["begins", "waits", "is carried on"]
    assert results.decisions["epoch"].tolist() == [0, 1, 1]


def test_stops_are_counted_by_rule(halved):
    stops = count_stops(load_results(halved)).set_index("rule")
    assert stops["trials"].to_dict() == {"halving": 2, "error": 1, "stuck": 1}
    assert stops.loc["halving", "epochs"] == 4
    assert stops.loc["halving", "wer_best"] == 0.7
    assert stops.loc["stuck", ["status", "epochs", "train_seconds"]].tolist() == ["stopped", 3, 50.0]


def test_what_stopping_saved_is_what_the_stopped_had_left(halved, sweep):
    (costs,) = sum_costs(load_results(halved)).to_dict("records")
    # Of six epochs it had three left at 50/3 s; those that wait may yet go on, and the failed one saves nothing.
    assert (costs["trials"], costs["epochs"], costs["saved_epochs"]) == (4, 7, 3)
    assert costs["train_seconds"] == 90
    assert costs["saved_seconds"] == pytest.approx(50)
    assert costs["saved_share"] == pytest.approx(3 / 10)
    assert costs["gpu_hours"] == pytest.approx(90 * 0.5 / 3600)
    assert costs["saved_gpu_hours"] == pytest.approx(50 * 0.5 / 3600)
    for trial in (0, 2):
        sweep.end(trial, "stopped", "halving: stopped")
    (costs,) = sum_costs(load_results(halved)).to_dict("records")
    assert (costs["saved_epochs"], costs["saved_seconds"]) == (11, pytest.approx(50 + 80))


def test_a_sweep_without_trials_costs_nothing(sweep):
    (costs,) = sum_costs(load_results(sweep.path)).to_dict("records")
    assert (costs["trials"], costs["epochs"], costs["saved_epochs"], costs["saved_share"]) == (0, 0, 0, 0.0)
    assert count_rungs(load_results(sweep.path)).empty
    assert count_stops(load_results(sweep.path)).empty


def test_a_pinned_trial_did_not_go_on_by_merit(halved, sweep):
    sweep.append(event="promote", trial=0, time="", rung=0, rank=2, rivals=3, quota=1, score=1.4, reason="pinned")
    assert count_rungs(load_results(halved))["went_on"].tolist() == [1]


def test_a_trial_that_goes_on_after_a_break_says_so(sweep):
    sweep.start(0)
    sweep.end(0, "interrupted", "interrupted by SIGTERM after epoch 0")
    sweep.append(event="continue", trial=0, time="")
    assert load_results(sweep.path).decisions["decision"].tolist() == ["begins", "ends", "goes on after a break"]

"""The page about one trial holds what the record holds."""

import pytest
from sweep_folder import SweepFolder

from glosstune.results import explain_trial, load_results
from glosstune.spaces.errors import SettingError


@pytest.fixture
def met(sweep):
    """Trial 1 meets two rivals at rung 0, waits, goes on, and is stopped."""
    for trial, score in ((0, 0.9), (1, 0.7), (2, 1.5)):
        sweep.append(
            event="trial", trial=trial, time="2026-11-21T22:45:00+00:00", source="tpe", configuration={"lr": 0.1}
        )
        metrics = {"train_loss": 3.5, "loss_below_floor": 0.25, "blank_ratio": 0.5, "grad_norm": 2.0}
        sweep.report(trial, 1, wer=score, epoch_s=3.0, **metrics)
        sweep.decide("pause", trial, 0, score=score, rank=1, rivals=trial + 1, quota=0)
    sweep.decide("promote", 1, 0, second=9, score=0.7, rank=1, rivals=3, quota=1)
    sweep.report(1, 2, wer=None, train_loss=None)
    sweep.end(1, "stopped", "diverged: the training loss is no finite number\x1b[2J")
    return load_results(sweep.path)


def test_the_page_tells_what_was_given_and_reached(met):
    page = explain_trial(met, 1)
    assert page.startswith("trial 1 of demo: stopped after 2 epochs, suggested by: tpe\ngiven     lr=0.1\n")
    assert "best      WER 70.0% at epoch 1, last not finite" in page
    assert "why       diverged: the training loss is no finite number" in page
    assert "\x1b" not in page


def test_the_curve_has_a_line_an_epoch_and_says_what_is_missing(met):
    lines = explain_trial(met, 1).split("\n\n")[1].splitlines()
    assert lines[0].split() == ["epoch", "WER", "train", "loss", "below", "floor", "blank", "grad", "s"]
    assert lines[1].split() == ["1", "70.0%", "3.500", "25.0%", "50.0%", "2", "3.0"]
    assert lines[2].split() == ["2", "-", "-", "-", "-", "-", "-"]


def test_rivals_are_those_that_were_there_by_then(met):
    assert "rung 0, epoch 1: score 0.7, waits; trial and score of all there: this one 0.7, 0 0.9\n" in explain_trial(
        met, 1
    )
    assert "trial and score of all there: 1 0.7, 0 0.9, this one 1.5" in explain_trial(met, 2)


def test_the_life_of_a_trial_is_in_order(met):
    life = explain_trial(met, 1).split("\n\n")[3].splitlines()
    assert [line.split(", ")[1].split(":")[0] for line in life] == ["begins", "waits", "goes on", "ends"]
    assert life[2].startswith("2026-11-21 22:44:58  after epoch 1, goes on: halving: promote at rung 0")


def test_a_trial_that_never_reported_has_a_page(sweep):
    sweep.start(0, lr=0.1)
    sweep.end(0, "failed", "out of memory", error="tried to allocate 2 GiB")
    page = explain_trial(load_results(sweep.path), 0)
    assert "trial 0 of demo: failed after 0 epochs, suggested by: tpe\n" in page
    assert "error     tried to allocate 2 GiB" in page
    with pytest.raises(SettingError, match="the sweep demo has no trial 7"):
        explain_trial(load_results(sweep.path), 7)


def test_it_says_what_the_recogniser_costs(weighed: SweepFolder) -> None:
    told = explain_trial(load_results(weighed.path), 1)
    assert "costs     40,000 parameters, 0.16 MB" in told
    assert "costs" not in explain_trial(load_results(weighed.path), 7)

import math

from hypothesis import given
from hypothesis import strategies as st
from replay import metrics

from glosstune.search.scheduler.ranking import PLATEAU_WER, WORST, score_curve

wers = st.floats(0, 3)
shares = st.floats(-2, 1)
curves = st.lists(st.tuples(wers, shares), min_size=1, max_size=8)


@given(curves, curves)
def test_a_trial_that_left_the_plateau_ranks_before_every_one_that_did_not(left: list, stands: list) -> None:
    left = [*left, (0.89, 0.1)]
    stands = [(max(wer, PLATEAU_WER), below) for wer, below in stands]
    scores = [score_curve([metrics(*epoch) for epoch in curve], "wer") for curve in (left, stands)]
    assert scores[0] < PLATEAU_WER < 1 <= scores[1]


@given(curves, st.tuples(wers, shares))
def test_a_further_epoch_never_makes_a_trial_worse(curve: list, epoch: tuple) -> None:
    before = score_curve([metrics(*each) for each in curve], "wer")
    assert score_curve([metrics(*each) for each in [*curve, epoch]], "wer") <= before


def test_on_the_plateau_the_loss_decides() -> None:
    slow, blind = [metrics(1.0, 0.3)], [metrics(0.98, 0.0)]
    assert score_curve(slow, "wer") < score_curve(blind, "wer")


def test_what_is_not_finite_is_the_worst() -> None:
    for name in ("wer", "train_loss"):
        assert score_curve([metrics(0.1, 0.9), {**metrics(0.1, 0.9), name: None}], "wer") == WORST
    assert score_curve([], "wer") == math.inf


def test_another_metric_counts_alone() -> None:
    assert score_curve([{**metrics(1.0, 0.0), "dev_loss": 2.5}], "dev_loss") == 2.5


def test_without_a_floor_a_plateau_has_one_rank() -> None:
    assert score_curve([{**metrics(1.0, 0.0), "loss_below_floor": None}], "wer") == 2

"""The success indicators say yes, no, or that nothing can be said yet."""

import math

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glosstune.results import INDICATORS, judge_trials, load_results
from glosstune.results.reading.columns import EPOCH_COLUMNS

DEADLINES = {"wer_below_60_by_10": (0.6, 10), "wer_below_40_by_20": (0.4, 20), "wer_below_30_by_40": (0.3, 40)}

figures = st.one_of(st.floats(0, 12), st.sampled_from([0.3, 0.4, 0.6, 3.0, math.nan, math.inf]))
curves = st.lists(st.tuples(figures, figures, figures), min_size=1, max_size=45)


def frame(*trials):
    """Epochs of trials, each a list of (wer, train_loss, dev_loss)."""
    rows = [
        ("a", number, epoch, *figures)
        for number, trial in enumerate(trials)
        for epoch, figures in enumerate(trial, start=1)
    ]
    names = ["sweep", "trial", "epoch", "wer", "train_loss", "dev_loss"]
    return pd.DataFrame(rows, columns=names).astype({name: EPOCH_COLUMNS[name].dtype for name in names})


def judge(name, trial):
    """The verdict on one trial as True, False or None."""
    verdict = judge_trials(frame(trial))[name].iloc[0]
    return None if pd.isna(verdict) else bool(verdict)


def with_wer(*wers):
    return [(wer, 1.0, 1.0) for wer in wers]


def with_losses(*pairs):
    return [(1.0, train, dev) for train, dev in pairs]


@pytest.mark.parametrize(("name", "level", "deadline"), [(name, *rule) for name, rule in DEADLINES.items()])
def test_wer_is_reached_up_to_the_deadline_and_missed_from_there(name, level, deadline):
    below, above = level - 0.001, level + 0.001
    before = [above] * (deadline - 1)
    assert judge(name, with_wer(*before)) is None
    assert judge(name, with_wer(*before, below)) is True
    assert judge(name, with_wer(*before, level)) is False  # below means below
    assert judge(name, with_wer(*before, above)) is False
    assert judge(name, with_wer(*before, above, below)) is False  # an epoch late
    assert judge(name, with_wer(below)) is True
    assert judge(name, with_wer(below, *before, above)) is True  # once reached, it may rise again


def test_epoch_without_a_wer_reaches_nothing():
    assert judge("wer_below_60_by_10", with_wer(*[math.nan] * 9)) is None
    assert judge("wer_below_60_by_10", with_wer(*[math.nan] * 10)) is False


@pytest.mark.parametrize(
    ("losses", "verdict"),
    [((9.0, 2.9), True), ((2.0, 3.0), False), ((2.0, math.nan), None), ((2.0, math.inf), None), ((math.nan, 0), True)],
)
def test_training_loss_is_that_of_the_last_epoch(losses, verdict):
    assert judge("train_loss_below_3", with_losses(*((loss, 1.0) for loss in losses))) is verdict


@pytest.mark.parametrize(
    ("pairs", "verdict"),
    [
        # Documented: training loss 0.015 and dev loss 8.4, fallen and risen, or never really fallen.
        ([(12.0, 9.0), (4.0, 4.1), (0.5, 6.0), (0.015, 8.4)], False),
        ([(30.0, 20.0), (4.0, 4.1), (0.015, 8.4)], False),
        ([(12.0, 9.0), (4.0, 8.1), (0.015, 8.4)], False),
        ([(4.0, 4.0), (2.0, 4.0)], False),
        ([(4.0, 4.0), (6.0, 6.0)], False),
        ([(9.0, 4.0), (6.0, 4.0)], False),  # standing still is not following, even below training loss
        # Healthy: both low, both high and falling, and dev loss a little above its lowest.
        ([(4.8, 3.6), (0.5, 0.6), (0.02, 0.05)], True),
        ([(12.0, 8.0), (7.5, 6.5), (6.0, 6.1)], True),
        ([(7.5, 3.66), (3.6, 3.5), (3.47, 3.42)], True),
        ([(6.0, 5.0), (0.5, 1.6), (0.2, 2.0)], True),
        # Nothing to say.
        ([(4.8, 3.6)], None),
        ([(4.8, math.nan), (4.0, 3.0)], None),
        ([(4.8, 3.6), (4.0, 3.0), (math.nan, 3.0)], None),
        ([(4.8, 3.6), (4.0, 3.0), (1.0, math.inf)], None),
    ],
)
def test_dev_loss_follows_training_loss_or_not(pairs, verdict):
    assert judge("dev_loss_follows", with_losses(*pairs)) is verdict


def test_columns_have_three_values_even_where_there_is_no_epoch():
    for epochs in (frame(), frame(with_wer(1.0))):
        verdicts = judge_trials(epochs)
        assert list(verdicts.columns) == list(INDICATORS)
        assert set(verdicts.dtypes.astype(str)) == {"boolean"}
        assert verdicts.index.names == ["sweep", "trial"]


@given(st.lists(curves, min_size=1, max_size=3), st.randoms(use_true_random=False))
@settings(max_examples=30)
def test_order_of_rows_does_not_matter_nor_do_other_trials(trials, random):
    epochs = frame(*trials)
    verdicts = judge_trials(epochs)
    order = list(range(len(epochs)))
    random.shuffle(order)
    pd.testing.assert_frame_equal(judge_trials(epochs.iloc[order]), verdicts)
    for number in range(len(trials)):
        pd.testing.assert_frame_equal(judge_trials(epochs[epochs["trial"] == number]), verdicts.loc[[("a", number)]])


@given(curves, curves)
@settings(max_examples=30)
def test_neither_more_epochs_nor_lower_wer_take_back_what_was_reached(trial, more):
    lower = [(wer / 2, train, dev) for wer, train, dev in trial]
    verdicts = judge_trials(frame(trial, trial + more, lower))[list(DEADLINES)].astype(object)
    for verdict, with_more, with_lower in verdicts.T.itertuples(index=False):
        assert pd.isna(verdict) or with_more is verdict
        assert verdict is not True or with_lower is True


@given(curves)
@settings(max_examples=30)
def test_verdict_is_open_only_before_the_deadline_or_without_a_loss(trial):
    verdicts = judge_trials(frame(trial)).iloc[0]
    for name, (_, deadline) in DEADLINES.items():
        assert len(trial) < deadline or not pd.isna(verdicts[name])
    _, train, dev = trial[-1]
    assert pd.isna(verdicts["train_loss_below_3"]) == (not math.isfinite(train))
    known = sum(math.isfinite(loss) for _, _, loss in trial)
    assert pd.isna(verdicts["dev_loss_follows"]) == (not math.isfinite(train + dev) or known < 2)


def test_verdicts_stand_before_the_checkpoints_of_each_trial(sweep):
    sweep.start(3)
    sweep.start(1)
    sweep.start(2, wer_below_60_by_10="mine")
    for epoch in range(1, 11):
        sweep.report(1, epoch, wer=0.9, train_loss=4.0 / epoch, dev_loss=4.0 / epoch)
    sweep.report(3, 1, wer=0.35, train_loss=3.5)
    trials = load_results(sweep.path).trials
    assert list(trials.columns)[-7:] == [*INDICATORS, "best_checkpoint", "last_checkpoint"]
    assert trials["config_wer_below_60_by_10"].tolist() == [pd.NA, "mine", pd.NA]
    assert trials[list(INDICATORS)].astype(object).to_numpy().tolist() == [
        [False, pd.NA, pd.NA, True, True],
        [pd.NA] * 5,
        [True, True, pd.NA, False, pd.NA],
    ]

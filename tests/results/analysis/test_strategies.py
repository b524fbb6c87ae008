"""Strategies are compared by the best trial of each."""

import math

import pandas as pd
import pytest

from glosstune.results import compare_strategies, load_results
from glosstune.results.analysis.strategies import STRATEGY_COLUMNS
from glosstune.spaces import STRATEGIES


@pytest.fixture
def compare(sweep):
    """Compare the strategies of the sweep written so far."""
    return lambda: compare_strategies(load_results(sweep.path).trials)


def add_trial(sweep, trial, wers, *, end="finished", **configuration):
    sweep.start(trial, **configuration)
    for epoch, wer in enumerate(wers, start=1):
        sweep.report(trial, epoch, wer=wer, epoch_s=1.5)
    sweep.end(trial, end, "reason")


def test_each_strategy_is_a_row_with_its_best_trial(sweep, compare):
    add_trial(sweep, 0, [0.9, 0.31, 0.35], strategy="progressive", learning_rate=1e-4)
    add_trial(sweep, 1, [0.99, 0.97], strategy="baseline", learning_rate=5e-4, end="stopped")
    add_trial(sweep, 2, [0.98, 0.29], strategy="progressive", learning_rate=2e-4)
    add_trial(sweep, 3, [], strategy="progressive", learning_rate=9e-4, end="failed")
    expected = pd.DataFrame(
        {
            "strategy": ["baseline", "progressive"],
            "trials": [1, 3],
            "finished": [0, 2],
            "wer_best": [0.97, 0.29],
            "epoch_of_best": [2, 2],
            "sweep": ["demo", "demo"],
            "trial": [1, 2],
            "epochs": [2, 5],
            "train_seconds": [3.0, 7.5],
            "gpu_hours": [math.nan, math.nan],
            "learning_rate": [5e-4, 2e-4],
        }
    )
    pd.testing.assert_frame_equal(compare(), expected.astype(STRATEGY_COLUMNS))


def test_rows_stand_in_the_order_of_the_strategies_and_unknown_ones_last(sweep, compare):
    for trial, strategy in enumerate(["mine", *reversed(STRATEGIES), "her own"]):
        add_trial(sweep, trial, [0.5], strategy=strategy)
    assert compare()["strategy"].tolist() == [*STRATEGIES, "her own", "mine"]


def test_of_equal_trials_the_earliest_is_the_best(sweep):
    for trial in range(3):
        add_trial(sweep, trial, [0.9, 0.4], strategy="baseline", learning_rate=10.0**-trial)
    trials = load_results(sweep.path).trials
    for frame in (trials, trials.iloc[::-1]):
        assert compare_strategies(frame)[["trial", "learning_rate"]].to_numpy().tolist() == [[0, 1.0]]


def test_strategy_without_a_report_has_no_best(sweep, compare):
    add_trial(sweep, 0, [], strategy="fine-tune", learning_rate=1e-3, end="failed")
    row = compare().iloc[0]
    assert (row["trials"], row["finished"], row["epochs"], row["train_seconds"]) == (1, 0, 0, 0.0)
    assert math.isnan(row["wer_best"])
    assert row[["epoch_of_best", "trial", "learning_rate"]].isna().all()


@pytest.mark.parametrize("rates", [(None, None), ("fast", "slow"), (True, "slow")])
def test_learning_rate_that_is_missing_or_no_number_is_missing(sweep, compare, rates):
    for trial, rate in enumerate(rates):
        add_trial(sweep, trial, [0.5], strategy="baseline", **({} if rate is None else {"learning_rate": rate}))
    assert compare()["learning_rate"].tolist() == [pd.NA]


def test_learning_rate_of_whole_numbers_is_a_number_all_the_same(sweep, compare):
    add_trial(sweep, 0, [0.5], strategy="baseline", learning_rate=1)
    assert compare()["learning_rate"].tolist() == [1.0]


def test_trial_without_a_strategy_belongs_to_none(sweep, compare):
    add_trial(sweep, 0, [0.1], learning_rate=1e-3)
    add_trial(sweep, 1, [0.5], strategy="baseline", learning_rate=1e-2)
    assert compare()[["strategy", "trials", "trial"]].to_numpy().tolist() == [["baseline", 1, 1]]


@pytest.mark.parametrize("started", [0, 2])
def test_sweep_without_strategies_gives_the_same_columns_and_no_row(sweep, compare, started):
    for trial in range(started):
        add_trial(sweep, trial, [0.5], learning_rate=1e-3)
    compared = compare()
    assert len(compared) == 0
    assert {name: str(dtype) for name, dtype in compared.dtypes.items()} == STRATEGY_COLUMNS

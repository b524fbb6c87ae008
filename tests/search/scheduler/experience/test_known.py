"""What is read of other sweeps, and the heights that trials are compared by."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from known_trials import known

from glosstune.search import load_sweep
from glosstune.search.scheduler.experience.known import (
    KnownTrial,
    best_of_each,
    height,
    heights,
    known_to,
    on_grid,
    packaged,
)

SCORES = st.one_of(st.floats(0.0, 5.0), st.just(math.inf))


@given(SCORES, SCORES)
def test_a_lower_score_is_no_higher(one: float, other: float) -> None:
    assert (height(min(one, other))) <= height(max(one, other))


def test_halving_a_wer_is_as_much_at_40_as_at_4_percent() -> None:
    assert height(0.4) - height(0.2) == pytest.approx(height(0.04) - height(0.02)) == pytest.approx(math.log(2))
    assert height(0.0) == height(0.005)


@given(st.lists(SCORES, min_size=1, max_size=20))
def test_heights_never_rise_and_begin_above_the_first(scores: list[float]) -> None:
    told = heights(scores)
    assert len(told) == len(scores) + 1
    assert (np.diff(told) <= 0).all()
    assert told[1] == height(scores[0]) < told[0]


def test_a_curve_of_another_length_is_read_at_the_same_shares_of_training() -> None:
    trial = KnownTrial("a", {}, [0.8, 0.4, 0.2, 0.1], 8)
    assert on_grid(trial, 4)[1:3] == pytest.approx([height(0.4), height(0.1)])
    assert np.isnan(on_grid(trial, 4)[3:]).all()
    assert on_grid(trial, 8)[:5] == pytest.approx(heights(trial.scores))


def test_the_best_of_a_task_are_those_that_are_low_all_the_way() -> None:
    chosen = best_of_each([*known("a"), *known("b", (1e-4, 2e-3))], 0.25)
    assert [[trial.configuration["learning_rate"] for trial in best] for best in chosen] == [[1e-3], [2e-3]]


def test_what_is_packaged_is_whole() -> None:
    trials = packaged()
    assert len({trial.task for trial in trials}) >= 5
    for trial in trials:
        assert 1 <= len(trial.scores) <= trial.epochs
        assert all(map(math.isfinite, trial.scores))
        assert {"learning_rate", "warmup_epochs", "dropout"} <= trial.configuration.keys()


def test_nothing_is_known_unless_asked_for() -> None:
    assert known_to(load_sweep("student")) == ()
    assert known_to(load_sweep("student", ["search.prior=packaged"])) == packaged()

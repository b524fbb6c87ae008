"""How trials are expected to go on, and what that is worth."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from known_trials import EPOCHS, known

from glosstune.search.scheduler.experience.forecasts import Forecast, Forecasts, worth
from glosstune.search.scheduler.experience.known import KnownTrial, height, heights
from glosstune.search.scheduler.trial import TrialState

RATES = tuple(10**decade for decade in np.linspace(-5, -2, 25))
HEIGHTS = st.lists(st.floats(-5, 2), min_size=3, max_size=3)


def _expected(forecast: Forecast, ahead: int) -> float:
    """The mean height after so many epochs, of the cases that reach so far."""
    told = forecast.heights[:, ahead - 1]
    known = ~np.isnan(told)
    return float(np.average(told[known], weights=forecast.weights[known]))


def test_a_curve_is_forecast_as_those_like_it_went_on() -> None:
    trials = known("a", RATES)
    forecasts = Forecasts(trials[::2], EPOCHS)
    for trial in trials[1::2]:
        forecast = forecasts.of([(trial.configuration, heights(trial.scores[:4]))])[0]
        assert forecast.heights.shape[1] == EPOCHS - 4
        assert forecast.weights.sum() == pytest.approx(1)
        assert _expected(forecast, EPOCHS - 4) == pytest.approx(height(trial.scores[-1]), abs=0.35)


def test_the_sweeps_own_curves_correct_what_is_known_from_elsewhere() -> None:
    forecasts = Forecasts(known("a", RATES), EPOCHS)
    standing = [
        TrialState(number, {"learning_rate": 1e-3}, "tpe", scores=[0.74] * 11, score=0.74) for number in range(30)
    ]
    told = heights([0.74, 0.74])
    before = _expected(forecasts.of([({"learning_rate": 1e-3}, told)])[0], 6)
    forecasts.look_at(standing)
    after = _expected(forecasts.of([({"learning_rate": 1e-3}, told)])[0], 6)
    assert before < after - 0.1 and after == pytest.approx(height(0.74), abs=0.1)


@given(HEIGHTS, HEIGHTS, st.floats(0.01, 1), st.floats(-5, 2), st.integers(0, 2))
def test_worth_is_the_largest_expected_gain_an_epoch(
    one: list[float], other: list[float], share: float, best: float, before: int
) -> None:
    forecast = Forecast(np.array([one, other]), np.array([share, 1.0]))
    found = worth(forecast, best, -math.inf, before)
    gains = [(share * max(0.0, best - a) + max(0.0, best - b)) / (share + 1) for a, b in zip(one, other, strict=True)]
    assert found.rate == pytest.approx(max(gain / (before + n) for n, gain in enumerate(gains, start=1)))
    assert worth(forecast, best, 3.0).gain == 0.0  # all lies below the target


def test_what_is_not_known_counts_for_nothing() -> None:
    cases = np.array([[-1.0, math.nan], [math.nan, math.nan]])
    assert worth(Forecast(cases, np.array([1.0, 5.0])), 0.0, -math.inf).gain == pytest.approx(1.0)
    assert worth(Forecast(cases[1:], np.ones(1)), 0.0, -math.inf).gain == 0.0
    assert worth(Forecast(np.empty((0, 0)), np.empty(0)), 0.0, -math.inf).gain == 0.0


def test_new_trials_are_forecast_by_what_the_sweeps_own_began_with() -> None:
    forecasts = Forecasts(known("a", RATES), EPOCHS)
    good, bad = (
        [TrialState(n, {"learning_rate": rate}, "tpe", scores=[score], score=score) for n in range(16)]
        for rate, score in ((1e-3, 0.74), (1e-5, 0.99))
    )
    worths = [worth(forecasts.of_new(trials), 0.0, -math.inf, before=1).rate for trials in (good, [], bad)]
    assert worths[0] > worths[1] > worths[2]


def test_curves_that_say_nothing_of_an_epoch_are_no_obstacle() -> None:
    short = [KnownTrial("b", {"learning_rate": 1e-3}, [0.7, 0.6], 60)]
    for trials in (short, [*short, *known("a", RATES)]):
        forecasts = Forecasts(trials, EPOCHS)
        for epochs in (0, 1, 3):
            new = forecasts.of_new([TrialState(0, {"learning_rate": 1e-3}, "tpe", scores=[0.7] * epochs, score=0.7)])
            assert math.isfinite(worth(new, 0.0, -math.inf, before=1).rate)
    assert worth(new, 0.0, -math.inf, before=1).rate > 0


def test_the_most_is_what_comes_of_it_after_any_number_of_epochs() -> None:
    falling = Forecast(np.array([[-0.009, -0.017, -0.024]]), np.ones(1))
    found = worth(falling, 0.0, -math.inf)
    assert (found.epochs, found.gain, found.most) == (1, pytest.approx(0.009), pytest.approx(0.024))

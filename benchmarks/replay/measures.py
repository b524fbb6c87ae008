"""Figures of simulated searches: how much they cost to a target, what they found by when, whom they gave up."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import trim_mean

from replay.simulator import Run, Verdict
from replay.surrogate import Configuration, Curve

_RESAMPLES = 2000


@dataclass(frozen=True)
class Reached:
    """What a search had used when a trial first went below a target."""

    device_s: float
    epochs: int


@dataclass(frozen=True)
class Outcome:
    """Figures of one search.

    Attributes:
        reached: by target; a target that is missing was not reached.
        regret: at each mark, the best WER so far less the best one recorded.
        good: trials that began whose whole curve goes below the first target.
        killed: those of them that were ended for good before they did.
        left: those of them that waited at the end of the search and had not yet gone below it.
        trials: that began.
        epochs: of all trials together.
    """

    reached: dict[float, Reached]
    regret: list[float]
    good: int
    killed: int
    left: int
    trials: int
    epochs: int


@dataclass(frozen=True)
class Interval:
    """An interquartile mean and the limits of its 95 % interval."""

    mean: float
    low: float
    high: float


def measure(
    run: Run,
    curve: Callable[[Configuration], Curve],
    *,
    targets: Sequence[float],
    marks_s: Sequence[float],
    best_wer: float,
) -> Outcome:
    """Figures of a run.

    Args:
        marks_s: device-seconds, in order, at which the regret is wanted.
        best_wer: what regret is counted from.
    """
    reached: dict[float, Reached] = {}
    lowest, regret = 1.0, []
    marks = list(marks_s)
    for count, epoch in enumerate(run.epochs, start=1):
        while marks and epoch.device_s > marks[0]:
            marks.pop(0)
            regret.append(lowest - best_wer)
        lowest = min(lowest, epoch.wer)
        for target in targets:
            if epoch.wer < target and target not in reached:
                reached[target] = Reached(epoch.device_s, count)
    regret += [lowest - best_wer] * len(marks)
    through = {epoch.trial for epoch in run.epochs if epoch.wer < targets[0]}
    good = {
        number
        for number, configuration in run.configurations.items()
        if min(metrics["wer"] for metrics in curve(configuration)) < targets[0]
    }
    verdicts = [run.verdicts.get(number) for number in good - through]
    killed, left = verdicts.count(Verdict.END), verdicts.count(Verdict.WAIT)
    return Outcome(reached, regret, len(good), killed, left, len(run.configurations), len(run.epochs))


def interquartile(values: Sequence[float]) -> Interval:
    """The mean of the middle half, with a bootstrap interval over seeds."""
    sample = np.asarray(values, float)
    low, high = np.percentile(_resampled(sample), [2.5, 97.5])
    return Interval(float(trim_mean(sample, 0.25)), float(low), float(high))


def ratio(values: Sequence[float], others: Sequence[float]) -> Interval:
    """The interquartile mean of values over that of others of the same seeds; below 1 the values are lower."""
    sample, other = np.asarray(values, float), np.asarray(others, float)
    low, high = np.percentile(_resampled(sample) / _resampled(other), [2.5, 97.5])
    return Interval(float(trim_mean(sample, 0.25) / trim_mean(other, 0.25)), float(low), float(high))


def cost(outcomes: Sequence[Outcome], target: float, limit_s: float) -> list[float]:
    """Device-seconds to a target; a search that never got there counts as the limit, which is too little."""
    return [outcome.reached[target].device_s if target in outcome.reached else limit_s for outcome in outcomes]


def epochs_to(outcomes: Sequence[Outcome], target: float) -> list[float]:
    """Epochs to a target; a search that never got there counts with all that it did."""
    return [
        float(outcome.reached[target].epochs if target in outcome.reached else outcome.epochs) for outcome in outcomes
    ]


def censored(outcomes: Sequence[Outcome], target: float) -> int:
    """Searches that never got to a target."""
    return sum(target not in outcome.reached for outcome in outcomes)


def share(outcomes: Sequence[Outcome], kind: str) -> float:
    """The ``killed`` or ``left`` of all good trials of all searches; not a number if there were none."""
    good = sum(outcome.good for outcome in outcomes)
    return sum(getattr(outcome, kind) for outcome in outcomes) / good if good else math.nan


def _resampled(sample: NDArray[np.float64]) -> NDArray[np.float64]:
    # The same seeds are drawn for every method, so that ratios compare like with like.
    chosen = np.random.default_rng(0).integers(len(sample), size=(_RESAMPLES, len(sample)))
    means: NDArray[np.float64] = trim_mean(sample[chosen], 0.25, axis=1)
    return means

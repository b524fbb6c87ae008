"""Figures of simulated searches: device-seconds to targets, as multiples of a limit, over seeds and tasks."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata, trim_mean

from replay.simulator import Run

Array = NDArray[np.float64]

_RESAMPLES = 2000


@dataclass(frozen=True)
class Interval:
    """A figure and the limits of its 95 % interval."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:.2f} ({self.low:.2f} to {self.high:.2f})"


@dataclass(frozen=True)
class Searches:
    """The searches of one method on one task.

    Attributes:
        seconds: device-seconds to each target, infinite where it was not reached: (seed, target).
        limits: those of the quickest recorded run: (target,).
        full_s: device-seconds that each search had.
    """

    seconds: Array
    limits: Array
    full_s: float

    @property
    def multiples(self) -> Array:
        """Of the limit; a search that never got there counts with all its time: (seed, target)."""
        return np.minimum(self.seconds, self.full_s) / self.limits

    @property
    def never(self) -> Array:
        """Searches that did not get to each target: (target,)."""
        return np.isinf(self.seconds).sum(axis=0)


def seconds_to(run: Run, targets: Sequence[float]) -> list[float]:
    """Device-seconds until a trial of a search is first below each target; infinity where none ever was."""
    return [next((epoch.device_s for epoch in run.epochs if epoch.wer < target), float("inf")) for target in targets]


def over_tasks(told: Sequence[Array]) -> Array:
    """(target,): geometric mean over tasks of the interquartile means over seeds of (seed, target)."""
    return np.exp(np.mean([np.log(trim_mean(each, 0.25, axis=0)) for each in told], axis=0))


def ratio(told: Sequence[Array], others: Sequence[Array]) -> list[Interval]:
    """For each target ``over_tasks`` of one method over that of another, with a bootstrap over the same seeds."""
    generator = np.random.default_rng(0)
    resampled = np.zeros((_RESAMPLES, told[0].shape[1]))
    for one, other in zip(told, others, strict=True):
        drawn = generator.integers(len(one), size=(_RESAMPLES, len(one)))
        resampled += np.log(trim_mean(one[drawn], 0.25, axis=1)) - np.log(trim_mean(other[drawn], 0.25, axis=1))
    low, high = np.exp(np.percentile(resampled / len(told), [2.5, 97.5], axis=0))
    return [Interval(*map(float, each)) for each in zip(over_tasks(told) / over_tasks(others), low, high, strict=True)]


def mean_ranks(told: Sequence[Sequence[Array]]) -> Array:
    """(method,): mean rank over all tasks, seeds and targets of (method, task) arrays (seed, target); 1 is best."""
    return np.mean([rankdata(np.stack(each), axis=0).mean(axis=(1, 2)) for each in zip(*told, strict=True)], axis=0)

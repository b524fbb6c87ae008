"""Forecast how a trial goes on, and what an epoch of it is worth: from how curves like it went on.

Source: the thought of freezing and thawing trials by what they are expected to come to is Swersky et al. 2014, that of
forecasting from many recorded curves Adriaensen et al. 2023 (LC-PFN); here the nearest recorded curves stand for a
model, so that a forecast can be told and costs half a millisecond.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from glosstune.search.scheduler.experience.known import Array, KnownTrial, best_of_each, heights, on_grid
from glosstune.search.scheduler.trial import TrialState
from glosstune.spaces.parameters import Scalar

# How many recorded places a forecast is made of.
_NEIGHBOURS = 64
# What is near: in height, in what the last epoch brought, in the share of training done, in decades of the rate, and
# between trials that train everything from the start and those that do not.
_WIDTHS = np.array([0.25, 0.15, 0.1, 0.3, 0.7])
_STEEPEST = 1.0  # more than that an epoch counts as that
# How many of a task's trials are good ones, and how much of what is begun is like them.
_GOOD, _DRAWN_GOOD = 0.1, 0.5
# So many of the sweep's own trials weigh as much as another task, and as all others where new ones are forecast.
_OWN, _OWN_BEGUN = 10.0, 4.0
# The sweep's own trials that are looked at: for what curves come to, and for what new ones begin with.
_LATEST, _LATEST_BEGUN = 200, 16
_WHOLE = ("baseline", "full-finetune")

# A trial that has begun: its configuration, and its heights so far (see ``known.heights``).
Begun = tuple[Mapping[str, Scalar], Array]


@dataclass(frozen=True)
class Forecast:
    """What may come of a trial.

    Attributes:
        heights: after each further epoch, in each of the cases: (case, epoch); not a number where a case says nothing.
        weights: of the cases: (case,).
    """

    heights: Array
    weights: Array


@dataclass(frozen=True)
class Worth:
    """What a trial is expected to bring, in logarithms of the WER.

    Attributes:
        gain: by how much the best WER is expected to fall in ``epochs`` epochs.
        epochs: after which the gain an epoch is largest.
        most: the largest gain after any number of epochs.
    """

    gain: float
    epochs: int
    most: float

    @property
    def rate(self) -> float:
        """The gain an epoch."""
        return self.gain / self.epochs


@dataclass(frozen=True)
class _Curve:
    """Places of a curve, and how it went on from each: (place, 5) and (place, epoch)."""

    places: Array
    ahead: Array

    @classmethod
    def of(cls, configuration: Mapping[str, Scalar], path: Array, epochs: int) -> "_Curve":
        """Of a path (epoch + 1,), whose end may not be known."""
        known = int((~np.isnan(path)).sum()) - 1
        places = [_place(configuration, path, epoch, epochs) for epoch in range(1, known)]
        ahead = np.full((max(known - 1, 0), epochs), math.nan)
        for row, epoch in enumerate(range(1, known)):
            ahead[row, : known - epoch] = path[epoch + 1 : known + 1] - path[epoch]
        return cls(np.array(places).reshape(-1, len(_WIDTHS)), ahead)


class Forecasts:
    """Forecasts for the trials of one sweep, a function of their curves and of those known from elsewhere.

    Args:
        known: trials of other sweeps.
        epochs: of a full trial.
    """

    def __init__(self, known: Sequence[KnownTrial], epochs: int) -> None:
        self.epochs = epochs
        tasks = [trial.task for trial in known]
        share = [1 / tasks.count(task) for task in tasks]
        paths = [on_grid(trial, epochs) for trial in known]
        curves = [_Curve.of(trial.configuration, path, epochs) for trial, path in zip(known, paths, strict=True)]
        self._foreign = curves
        self._weights = [np.full(len(curve.places), each) for curve, each in zip(curves, share, strict=True)]
        self._own: dict[int, tuple[int, _Curve]] = {}
        good = {id(trial) for best in best_of_each(known, _GOOD) for trial in best}
        even = np.array(share) / sum(share)
        preferred = even * [float(id(trial) in good) for trial in known]
        drawn = _DRAWN_GOOD * preferred / preferred.sum() + (1 - _DRAWN_GOOD) * even
        # One that ended before the first epoch of this grid says nothing of how trials begin.
        told = [place for place, path in enumerate(paths) if not math.isnan(path[1])]
        self.look_at([])
        self._new = self._mixed([(known[place].configuration, paths[place][:2]) for place in told], drawn[told])

    def look_at(self, trials: Sequence[TrialState]) -> None:
        """Take the sweep's own curves in, as they are now."""
        latest = [trial for trial in trials[-_LATEST:] if len(trial.scores) > 1]
        for trial in latest:
            if self._own.get(trial.number, (0,))[0] != len(trial.scores):
                curve = _Curve.of(trial.configuration, heights(trial.scores), self.epochs)
                self._own[trial.number] = len(trial.scores), curve
        own = [self._own[trial.number][1] for trial in latest]
        curves = [*self._foreign, *own]
        self._places = np.concatenate([curve.places for curve in curves]) / _WIDTHS
        self._ahead = np.concatenate([curve.ahead for curve in curves])
        self._all_weights = np.concatenate([*self._weights, *(np.full(len(curve.places), 1 / _OWN) for curve in own)])

    def of(self, begun: Sequence[Begun]) -> list[Forecast]:
        """Of trials that have done an epoch, and have one to do: the configuration and heights of each."""
        if not begun or not len(self._places):
            return [Forecast(np.empty((0, self.epochs - len(told) + 1)), np.empty(0)) for _, told in begun]
        at = np.array([_place(configuration, told, len(told) - 1, self.epochs) for configuration, told in begun])
        at /= _WIDTHS
        squares = (self._places**2).sum(axis=1)
        distances = squares - 2 * at @ self._places.T + (at**2).sum(axis=1, keepdims=True)
        count = min(_NEIGHBOURS, len(squares))
        nearest = np.argpartition(distances, count - 1, axis=1)[:, :count]
        found = []
        for (_, told), far, row in zip(begun, distances, nearest, strict=True):
            weights = self._all_weights[row] * np.exp(-0.5 * (far[row] - far[row].min()))
            ahead = self._ahead[row, : self.epochs - len(told) + 1]
            found.append(Forecast(told[-1] + ahead, weights / weights.sum()))
        return found

    def of_new(self, trials: Sequence[TrialState]) -> Forecast:
        """Of a trial that is begun now, after its first epoch: as those are forecast that have done one.

        The sweep's own count for more, the more there are of them.
        """
        own = [trial for trial in trials if trial.scores][-_LATEST_BEGUN:]
        begun = [(trial.configuration, heights(trial.scores[:1])) for trial in own]
        mixed = self._mixed(begun, np.ones(len(begun)))
        weights = np.concatenate([_OWN_BEGUN * self._new.weights, mixed.weights])
        return Forecast(np.concatenate([self._new.heights, mixed.heights]), weights)

    def _mixed(self, begun: Sequence[Begun], shares: Array) -> Forecast:
        each = self.of(begun)
        weights = [share * forecast.weights for share, forecast in zip(shares, each, strict=True)]
        empty = Forecast(np.empty((0, self.epochs - 1)), np.empty(0))
        return Forecast(
            np.concatenate([empty.heights, *(forecast.heights for forecast in each)]),
            np.concatenate([empty.weights, *weights]),
        )


def worth(forecast: Forecast, best: float, target: float, before: int = 0) -> Worth:
    """What a trial is worth beside the best one.

    Args:
        best: the height of the best trial.
        target: the height below which nothing is gained any more.
        before: epochs to be done before the first that is forecast.
    """
    gains = np.maximum(0.0, best - np.maximum(forecast.heights, target))
    known = ~np.isnan(gains)
    weights = forecast.weights[:, None] * known
    total = weights.sum(axis=0)
    expected = np.divide((weights * np.where(known, gains, 0.0)).sum(axis=0), total, where=total > 0, out=0 * total)
    if not expected.size or expected.max() <= 0:
        return Worth(0.0, 1, 0.0)
    place = int(np.argmax(expected / (before + np.arange(1, expected.size + 1))))
    return Worth(float(expected[place]), before + place + 1, float(expected.max()))


def _place(configuration: Mapping[str, Scalar], path: Array, epoch: int, epochs: int) -> Array:
    """Where a curve stands, for comparison with others (see ``_WIDTHS``)."""
    rate = configuration.get("learning_rate")
    return np.array(
        [
            path[epoch],
            min(path[epoch - 1] - path[epoch], _STEEPEST),
            epoch / epochs,
            math.log10(rate) if isinstance(rate, float | int) and rate > 0 else -2.7,
            float(configuration.get("strategy", "full-finetune") in _WHOLE),
        ]
    )

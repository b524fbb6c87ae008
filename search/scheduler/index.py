"""Whenever a slot is free, choose what is expected to bring most an epoch: a trial that waits, or a new one."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from heapq import nsmallest

from glosstune.search.config.sweep import Sweep
from glosstune.search.scheduler.experience.forecasts import Forecasts, Worth, worth
from glosstune.search.scheduler.experience.known import BEGINNING, KnownTrial, height, heights
from glosstune.search.scheduler.trial import TrialState

# Once no new trial is to begin, those that wait go on for this at least: a hundredth of the best WER.
LEAST_GAIN = 0.01
# Of those that wait: a decision is to take no longer where thousands do.
LOOKED_AT = 32


@dataclass(frozen=True)
class Choice:
    """What comes next; as text, why.

    Attributes:
        trial: that goes on; None for a new one.
        worth: what is expected of it.
        second: what would have come otherwise: its number, None for a new one, and its worth.
    """

    trial: int | None
    worth: Worth
    second: tuple[int | None, Worth] | None

    def __str__(self) -> str:
        others = f"; after it {_in_words(*self.second)}" if self.second else ""
        return f"best is {_in_words(self.trial, self.worth)}{others}"


class Index:
    """The choice among the trials of a sweep, a function of their curves alone.

    Args:
        known: trials of other sweeps, which say how curves go on.
        epochs: of a full trial.
        target: of the sweep where it ends there: a WER. What lies below brings nothing.
    """

    def __init__(self, known: Sequence[KnownTrial], epochs: int, target: float | None) -> None:
        self._forecasts = Forecasts(known, epochs)
        self._epochs = epochs
        self._target = -math.inf if target is None else height(target)

    @classmethod
    def of(cls, sweep: Sweep, known: Sequence[KnownTrial]) -> "Index | None":
        """That of a sweep, where it has one."""
        if sweep.halving.kind != "index":
            return None
        search = sweep.search
        return cls(known, sweep.training.epochs, search.target if search.stop_at_target else None)

    def choose(
        self,
        trials: Sequence[TrialState],
        waiting: Sequence[TrialState],
        may_begin: bool,
        arrived: TrialState | None = None,
    ) -> Choice | None:
        """The best of what is open; None where nothing is worth an epoch.

        Args:
            trials: all of the sweep, in order.
            waiting: those that could go on.
            may_begin: whether a new one could begin.
            arrived: the one that has just done an epoch, which is open too.
        """
        best = min([height(BEGINNING), *(height(trial.score) for trial in trials if not trial.faulty)])
        self._forecasts.look_at(trials)
        looked_at = [*self._foremost(waiting), *([] if arrived is None else [arrived])]
        looked_at = [trial for trial in looked_at if trial.score < math.inf]
        begun = [(trial.configuration, heights(trial.scores)) for trial in looked_at]
        told: list[tuple[Worth, int | None]] = [
            (worth(forecast, best, self._target), trial.number)
            for forecast, trial in zip(self._forecasts.of(begun), looked_at, strict=True)
        ]
        if not may_begin and max((each.most for each, _ in told), default=0.0) < LEAST_GAIN:
            return None
        if may_begin:
            told.append((worth(self._forecasts.of_new(trials), best, self._target, before=1), None))
        # Of equals one that has begun comes before a new one, unless nothing is to be gained, and the older one first.
        told.sort(key=lambda each: (-each[0].rate, (each[1] is None) != (each[0].rate <= 0), each[1] or 0))
        (value, number), *others = told
        return Choice(number, value, (others[0][1], others[0][0]) if others else None)

    def _foremost(self, waiting: Sequence[TrialState]) -> list[TrialState]:
        """Those of many that may be worth most: the best so far, and those that would be if they went on falling so."""
        if len(waiting) <= 2 * LOOKED_AT:
            return [*waiting]

        def ahead(trial: TrialState) -> float:
            *_, before, now = heights(trial.scores[-2:])
            return float(now - (before - now) * (self._epochs - len(trial.scores)))

        chosen = {trial.number: trial for trial in nsmallest(LOOKED_AT, waiting, key=lambda each: each.score)}
        chosen |= {trial.number: trial for trial in nsmallest(LOOKED_AT, waiting, key=ahead)}
        return [*chosen.values()]


def _in_words(trial: int | None, value: Worth) -> str:
    """Such as ``trial 3, expected to lower the best WER by 12 % in 2 epochs``."""
    called = "a new trial" if trial is None else f"trial {trial}"
    share = 1 - math.exp(-value.gain)
    return f"{called}, expected to lower the best WER by {share:.1%} in {value.epochs} epoch{'s' * (value.epochs > 1)}"

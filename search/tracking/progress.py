"""What a running sweep has come to: trials by state, the best so far, time left."""

import time
from collections import Counter
from collections.abc import Callable

from glosstune.results.reading.events import RUNNING
from glosstune.search.scheduler.scheduler import Scheduler
from glosstune.search.scheduler.trial import TrialState


class SweepProgress:
    """Counts and estimates over all trials of a sweep, read from its scheduler whenever they are asked for."""

    def __init__(self, scheduler: Scheduler, clock: Callable[[], float] = time.monotonic) -> None:
        self._scheduler = scheduler
        self._clock = clock
        self._started = clock()
        self._epochs_before = scheduler.state.epochs
        self._done_before = self.done

    @property
    def trials(self) -> list[TrialState]:
        """All that have begun."""
        return list(self._scheduler.state.trials.values())

    @property
    def name(self) -> str:
        """Of the sweep."""
        return self._scheduler.state.sweep.name

    @property
    def epochs(self) -> int:
        """Length of a full trial."""
        return self._scheduler.state.sweep.training.epochs

    @property
    def target(self) -> float:
        """The WER to get below."""
        return self._scheduler.state.sweep.search.target

    @property
    def scoring(self) -> str:
        """The rule that WER is counted by."""
        return self._scheduler.state.scoring

    @property
    def counts(self) -> dict[str, int]:
        """Trials by state; ``waiting`` ones do not exist yet."""
        known: Counter[str] = Counter(trial.status for trial in self.trials)
        return {**known, "waiting": max(0, self._scheduler.samples - len(self.trials))}

    @property
    def best_wer(self) -> float:
        """The lowest of any epoch; infinity before the first."""
        return self._scheduler.state.best_wer

    @property
    def best(self) -> TrialState | None:
        """The trial with the lowest WER so far."""
        scored = [trial for trial in self.trials if trial.best_wer is not None]
        return min(scored, key=lambda trial: (trial.best_wer, trial.number), default=None)

    @property
    def elapsed_s(self) -> float:
        """Seconds since this driver began."""
        return self._clock() - self._started

    @property
    def pace(self) -> float:
        """Epochs a second, of this driver."""
        done = self._scheduler.state.epochs - self._epochs_before
        return done / self.elapsed_s if self.elapsed_s else 0.0

    @property
    def done(self) -> float:
        """Share of the work that is over: a trial that ended or waits counts whole, a running one by its epochs."""
        shares = (trial.epoch / self.epochs if trial.status == RUNNING else 1.0 for trial in self.trials)
        return min(1.0, sum(shares) / self._scheduler.samples)

    @property
    def remaining_s(self) -> float | None:
        """Seconds left at the pace so far, at most to the end of the time budget; None before there is a pace."""
        gained = self.done - self._done_before
        if gained <= 0:
            return None
        left = self.elapsed_s * (1 - self.done) / gained
        budget_min = self._scheduler.state.sweep.search.time_budget_min
        return left if budget_min is None else max(0.0, min(left, budget_min * 60 - self._scheduler.used_s))

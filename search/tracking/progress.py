"""What a running sweep has come to: trials by state, the best so far, what comes next, time left."""

import time
from collections import Counter
from collections.abc import Callable

from glosstune.results.reading.events import INTERRUPT, INTERRUPTED, PAUSED, RUNNING
from glosstune.search.scheduler.leading import incumbent, leader
from glosstune.search.scheduler.state import SweepState
from glosstune.search.scheduler.trial import TrialState

# What the work is taken for that nobody knows the end of yet.
_ALMOST = 0.99


class SweepProgress:
    """Counts and estimates over all trials of a sweep, made of its state whenever they are asked for.

    Args:
        used_s: seconds that the sweep has run for, all drivers together.
        clock: seconds.
        started: when its driver began, by that clock; default now.
    """

    def __init__(
        self,
        state: SweepState,
        used_s: Callable[[], float],
        clock: Callable[[], float] = time.monotonic,
        started: float | None = None,
    ) -> None:
        self._state = state
        self._used_s = used_s
        self._clock = clock
        self._started = clock() if started is None else started
        self._epochs_before = state.epochs
        self._done_before = self.done

    @property
    def trials(self) -> list[TrialState]:
        """All that have begun."""
        return list(self._state.trials.values())

    @property
    def name(self) -> str:
        """Of the sweep."""
        return self._state.sweep.name

    @property
    def epochs(self) -> int:
        """Length of a full trial."""
        return self._state.sweep.training.epochs

    @property
    def target(self) -> float:
        """The WER to get below."""
        return self._state.sweep.search.target

    @property
    def scoring(self) -> str:
        """The rule that WER is counted by."""
        return self._state.scoring

    @property
    def counts(self) -> dict[str, int]:
        """Trials by state; those ``to come`` do not exist yet."""
        known: Counter[str] = Counter(trial.status for trial in self.trials)
        return {**known, "to come": self._work - len(self.trials)}

    @property
    def best_wer(self) -> float:
        """The lowest of any epoch; infinity before the first."""
        return self._state.best_wer

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
        done = self._state.epochs - self._epochs_before
        return done / self.elapsed_s if self.elapsed_s else 0.0

    @property
    def ended(self) -> bool:
        """Whether it has come to its end, and not to a signal."""
        states = {trial.status for trial in self.trials}
        over = self._state.over
        if over is not None:
            return over.rule != INTERRUPT and not states & {RUNNING, PAUSED}
        return len(self.trials) >= self._work and not states & {RUNNING, PAUSED, INTERRUPTED}

    @property
    def _work(self) -> int:
        """Trials there are and will be: where something has ended the search, none begins any more."""
        over = self._state.over
        begun = len(self.trials)
        return max(begun, self._state.samples) if over is None or over.rule == INTERRUPT else begun

    @property
    def done(self) -> float:
        """Share of the work that is over, which never shrinks but where work is added; 1 at the end alone.

        A trial counts whole once a rung has judged it, before by its epochs; a best one is still to be trained to its
        end then. Where a budget has been used further than that, its share counts.
        """
        if self.ended:
            return 1.0
        search, epochs = self._state.sweep.search, self.epochs
        shares = [1.0 if trial.scores or not _trains(trial) else trial.epoch / epochs for trial in self.trials]
        work = max(1, self._work)
        if self._state.sweep.halving.kind == "promote":
            shares.append(max((trial.epoch for trial in self.trials), default=0) / epochs)
            work += 1
        used = [sum(shares) / work]
        if search.time_budget_min is not None:
            used.append(self._used_s() / (search.time_budget_min * 60))
        if search.epoch_budget is not None:
            used.append(self._state.epochs / search.epoch_budget)
        return min(_ALMOST, max(used))

    @property
    def remaining_s(self) -> float | None:
        """Seconds left at the pace so far, at most to the end of the time budget; None before there is a pace."""
        if self.ended:
            return 0.0
        gained = self.done - self._done_before
        if gained <= 0 or self._state.epochs == self._epochs_before:
            return None
        left = self.elapsed_s * (1 - self.done) / gained
        budget_min = self._state.sweep.search.time_budget_min
        return left if budget_min is None else max(0.0, min(left, budget_min * 60 - self._used_s()))

    @property
    def now(self) -> str:
        """The trials that train, in words; empty where none does."""
        running = [trial for trial in self.trials if trial.status == RUNNING]
        return ", ".join(
            f"trial {trial.number} epoch {trial.epoch + 1}{' (leads)' if trial.leads else ''}" for trial in running
        )

    @property
    def next(self) -> str:
        """What the next free slot is for, in words, as things stand; empty at the end."""
        state = self._state
        if state.over is not None:
            best = incumbent(state)
            carried = "" if best is None or state.over.rule == INTERRUPT else f"; trial {best.number} to its last epoch"
            return "" if self.ended else f"{state.over.reason}{carried}"
        best = leader(state)
        if best is not None and best.waits:
            return f"trial {best.number} goes on, the best so far"
        standing = state.halving.next_promotion() if state.sweep.halving.kind == "promote" else None
        if standing is not None:
            return f"trial {standing.trial} goes on from rung {standing.rung}, {standing.rank} of {standing.rivals}"
        if state.queue:
            return "a configuration that was queued"
        if len(state.trials) < state.samples:
            return f"a new trial; {len(state.trials)} of {state.samples} have begun"
        best = incumbent(state)
        return "" if best is None else f"trial {best.number}, the best, to its last epoch"


def _trains(trial: TrialState) -> bool:
    return trial.status in (RUNNING, INTERRUPTED)

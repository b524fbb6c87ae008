"""What is known of a running sweep: trials, best so far, time left."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass
class TrialProgress:
    """One trial as the display shows it; rates are fractions."""

    number: int
    configuration: Mapping[str, Any]
    epoch: int = 0
    wer: float | None = None
    best_wer: float | None = None
    loss_below_floor: float | None = None
    status: str = "running"


@dataclass
class SweepProgress:
    """Counts and estimates over all trials of a sweep.

    Args:
        samples: trials that the sweep will have.
        epochs: length of a full trial.
        time_budget_s: the sweep stops then, whatever is left to do.
    """

    name: str
    samples: int
    epochs: int
    target: float
    time_budget_s: float | None = None
    trials: dict[int, TrialProgress] = field(default_factory=dict)

    def start(self, number: int, configuration: Mapping[str, Any]) -> None:
        """A trial starts (or starts again after a fault)."""
        self.trials.setdefault(number, TrialProgress(number, configuration))

    def report(self, number: int, metrics: Mapping[str, Any]) -> None:
        """A trial has done an epoch."""
        trial = self.trials[number]
        trial.epoch = max(trial.epoch, int(metrics["epoch"]))
        trial.wer, trial.best_wer = metrics["wer"], metrics["best_wer"]
        trial.loss_below_floor = metrics["loss_below_floor"]

    def end(self, number: int, status: str) -> None:
        """A trial is over."""
        self.trials[number].status = status

    @property
    def counts(self) -> dict[str, int]:
        """Trials by state; ``waiting`` ones do not exist yet."""
        known = Counter(trial.status for trial in self.trials.values())
        return {**known, "waiting": max(0, self.samples - len(self.trials))}

    @property
    def best(self) -> TrialProgress | None:
        """The trial with the lowest WER so far."""
        scored = [trial for trial in self.trials.values() if trial.best_wer is not None]
        return min(scored, key=lambda trial: (trial.best_wer, trial.number), default=None)

    @property
    def epochs_done(self) -> int:
        """Epochs of all trials."""
        return sum(trial.epoch for trial in self.trials.values())

    @property
    def done(self) -> float:
        """Share of the work that is over: an ended trial counts whole, a running one by its epochs."""
        shares = (trial.epoch / self.epochs if trial.status == "running" else 1.0 for trial in self.trials.values())
        return min(1.0, sum(shares) / self.samples)

    def remaining_s(self, elapsed_s: float) -> float | None:
        """Seconds left at the pace so far, at most to the end of the time budget; None before the first epoch."""
        if not self.epochs_done:
            return None
        pace = elapsed_s * (1 - self.done) / self.done
        return pace if self.time_budget_s is None else max(0.0, min(pace, self.time_budget_s - elapsed_s))

"""What the search knows of one trial."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from glosstune.results.reading.events import FAILED, FINISHED, HALVING, INTERRUPTED, PAUSED, RUNNING, STOPPED, Status
from glosstune.search.scheduler.ranking import Metrics


@dataclass
class TrialState:
    """A trial as the record tells it.

    Attributes:
        source: who suggested it (see ``TrialBegun``).
        curve: metrics of every epoch so far, in order.
        costs: of its recogniser, once it has done an epoch (see ``objectives.COSTS``).
        scores: at the rungs it has come to, in order.
        score: of its curve as a whole (see ``ranking.score_curve``).
        status: how it stands.
        rule: what ended or paused it.
        faulty: whether it failed or broke a rule, so that it takes no further part, whatever it scored.
        judged: epochs done when the last decision on it was taken; it is not taken twice.
        deaths: processes it has lost since its last epoch.
        carried: it is or was the best one, and goes on though nobody else does.
        leads: runs or waits as the best trial, which went on without its rank.
        pinned: trains to its end whatever rivals and rules say.
    """

    number: int
    configuration: Mapping[str, Any]
    source: str
    curve: list[Metrics] = field(default_factory=list)
    costs: Mapping[str, float | None] = field(default_factory=dict)
    scores: list[float] = field(default_factory=list)
    score: float = float("inf")
    status: Status = RUNNING
    rule: str | None = None
    reason: str = ""
    faulty: bool = False
    error: str | None = None
    judged: int = 0
    deaths: int = 0
    carried: bool = False
    leads: bool = False
    pinned: bool = False
    _lowest: tuple[int, float | None] = field(default=(0, None), init=False, repr=False, compare=False)

    @property
    def epoch(self) -> int:
        """Epochs done."""
        return len(self.curve)

    @property
    def best_wer(self) -> float | None:
        """The lowest so far, a fraction."""
        # Displays ask for that of every trial several times a second: each epoch is looked at once.
        seen, best = self._lowest
        new = self.curve[seen:]  # once: the driver adds to it while a display looks
        for metrics in new:
            wer = metrics.get("wer")
            if wer is not None and (best is None or wer < best):
                best = wer
        self._lowest = seen + len(new), best
        return best

    @property
    def epoch_of_best(self) -> int | None:
        """The first epoch of that WER, from 1."""
        best = self.best_wer
        wers = (metrics.get("wer") for metrics in self.curve)
        return None if best is None else next(epoch for epoch, wer in enumerate(wers, start=1) if wer == best)

    @property
    def epoch_seconds(self) -> list[float]:
        """Seconds of each epoch."""
        return [metrics.get("epoch_s") or 0.0 for metrics in self.curve]

    @property
    def warmup_epochs(self) -> int:
        """Of its learning rate; what the space fixes or leaves out is in the configuration or 0."""
        return int(self.configuration.get("warmup_epochs") or 0)

    @property
    def waits(self) -> bool:
        """Whether it could train on if it was let."""
        return self.status in (PAUSED, INTERRUPTED) or (self.status == STOPPED and self.rule == HALVING)

    def shown_as(self, *, final: bool) -> Status:
        """What others are shown: running, finished, failed or stopped.

        What waits is running for them, unless this is ``final``: the driver ends.
        """
        if self.status in (FINISHED, FAILED):
            return self.status
        return RUNNING if (self.status == RUNNING or self.waits) and not final else STOPPED

"""The search of this project as a method to simulate, whole and without one of its parts at a time."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from glosstune.results.reading.events import FINISHED, PAUSED, RUNNING, parse_event
from glosstune.search.config.sweep import Sweep
from glosstune.search.scheduler.experience.known import KnownSweep
from glosstune.search.scheduler.sampler import Sampler
from glosstune.search.scheduler.scheduler import Scheduler
from glosstune.search.scheduler.trial import TrialState
from replay.simulator import Clock, Metrics, Verdict
from replay.surrogate import Configuration

_BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)


class Ours:
    """The real scheduler with the real sampler.

    Args:
        kind: one of the schedulers below, to leave a part out.
        floor: let rules and ranks see how far the loss is below the CTC floor.
        known: other sweeps, whose best the first trials are drawn like.

    Attributes:
        scheduler: the one that decides now.
        events: all that it and those before it have recorded.
    """

    def __init__(
        self,
        sweep: Sweep,
        clock: Clock,
        workers: int,
        *,
        kind: type[Scheduler] = Scheduler,
        floor: bool = True,
        known: Sequence[KnownSweep] = (),
    ) -> None:
        self.events: list[dict[str, Any]] = []
        self._sweep = sweep
        self._clock = clock
        self._workers = workers
        self._kind = kind
        self._floor = floor
        self._known = known
        self.restart()

    def restart(self) -> None:
        self.scheduler = self._kind(
            self._sweep,
            self._append,
            slots=lambda: self._workers,
            events=map(parse_event, self.events),
            clock=self._clock,
            known=self._known,
        )

    def next_trial(self) -> tuple[int, Configuration] | None:
        number = self.scheduler.next_trial()
        return None if number is None else (number, self.scheduler.state.trials[number].configuration)

    def report(self, number: int, epoch: int, metrics: Metrics) -> Verdict:
        if not self._floor:
            # Where there is no floor to compare with, no rule looks at it and all on the plateau rank the same.
            metrics = {**metrics, "loss_below_floor": float("nan")}
        if self.scheduler.report(number, epoch, metrics):
            return Verdict.GO_ON
        return Verdict.WAIT if self.scheduler.state.trials[number].status == PAUSED else Verdict.END

    def _append(self, event: str, **fields: Any) -> dict[str, Any]:
        time = (_BEGINNING + timedelta(seconds=self._clock())).isoformat()
        self.events.append({"event": event, "time": time, **fields})
        return self.events[-1]


class Untruthful(Scheduler):
    """Shows trials to Optuna as Ray's searcher does: all that do not run as complete, those that run not at all."""

    def _adopt(self, sweep: Sweep) -> None:
        super()._adopt(sweep)
        kept = self._suggestions.sampler
        self._suggestions.sampler = _UntruthfulSampler(kept.space, kept.sampler, kept.seed, kept.startup)


class TenRandom(Scheduler):
    """Draws as many trials at random as Optuna does by itself before its TPE looks at any."""

    def _adopt(self, sweep: Sweep) -> None:
        super()._adopt(sweep)
        self._suggestions.sampler.startup = 10


class _UntruthfulSampler(Sampler):
    def suggest(self, number: int, trials: Iterable[TrialState]) -> dict[str, Any]:
        told = [replace(trial, status=FINISHED, rule=None) for trial in trials if trial.status != RUNNING]
        return super().suggest(number, told)

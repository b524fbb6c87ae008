"""The search of this project as a method to simulate."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from glosstune.results.reading.events import PAUSED, parse_event
from glosstune.search.config.sweep import Sweep
from glosstune.search.scheduler.experience.known import KnownSweep
from glosstune.search.scheduler.scheduler import Scheduler
from replay.simulator import Clock, Metrics, Verdict
from replay.surrogate import Configuration

_BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)


class Ours:
    """The real scheduler with the real sampler.

    Args:
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
        floor: bool = True,
        known: Sequence[KnownSweep] = (),
    ) -> None:
        self.events: list[dict[str, Any]] = []
        self._sweep = sweep
        self._clock = clock
        self._workers = workers
        self._floor = floor
        self._known = known
        self.restart()

    def restart(self) -> None:
        self.scheduler = Scheduler(
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

"""The state of a sweep as its record tells it: events in, trials, rungs and tallies out; no decision is taken here."""

import math
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from glosstune.results.reading.epoch_metrics import PLAIN
from glosstune.results.reading.events import (
    ARRIVALS,
    FINISHED,
    HALVING,
    INTERRUPTED,
    PATIENCE,
    PAUSED,
    QUEUE,
    RUNNING,
    ConfigurationQueued,
    Decision,
    EpochReported,
    Event,
    SettingsChanged,
    Status,
    SweepBegun,
    SweepOver,
    SweepResumed,
    TrialBegun,
    TrialContinued,
    TrialEnded,
    TrialPaused,
    TrialPinned,
    TrialPromoted,
    TrialRetried,
)
from glosstune.results.reading.objectives import begun_front, weigh
from glosstune.search.config.sweep import Sweep
from glosstune.search.scheduler.halving import Halving
from glosstune.search.scheduler.ranking import lowest, score_curve
from glosstune.search.scheduler.stopping import Stop
from glosstune.search.scheduler.trial import TrialState
from glosstune.spaces.errors import FolderError


class SweepState:
    """What has happened in a sweep so far.

    Attributes:
        id: tells sweeps of one name apart.
        trials: by number, which counts from 0 without gaps.
        over: what ended the sweep, while nobody has resumed it.
        best_wer: lowest of any epoch.
        since_best: trials judged at a rung or ended since another one lowered the sweep's metric, or with several
            objectives moved the front.
        epochs: of all trials together.
        lead_epochs: of those, epochs of trials that led.
        used_s: seconds that drivers ran up to the newest event.
        queue: configurations that users want tried, and have not been yet.
        queued: all that they ever asked for.
        followed: of those, how many each request to a running driver has brought.
    """

    def __init__(self, sweep: Sweep) -> None:
        self.sweep = sweep
        self.halving = Halving(sweep.halving, sweep.training.epochs)
        self._front = begun_front(sweep.search.metric, len(sweep.search.costs))
        self.trials: dict[int, TrialState] = {}
        self.over: Stop | None = None
        self.best_wer = math.inf
        self.since_best: set[int] = set()
        self.epochs = 0
        self.lead_epochs = 0
        self.used_s = 0.0
        self.queue: deque[Mapping[str, Any]] = deque()
        self.queued = 0
        self.followed: Counter[str] = Counter()
        self.id = ""
        self.scoring = PLAIN
        self._best_trial: int | None = None
        self._last: datetime | None = None

    def apply(self, event: Event) -> None:
        """Take in the next event of the record."""
        at = datetime.fromisoformat(event.time)
        if self._last is not None and not isinstance(event, ARRIVALS):
            self.used_s += max(0.0, (at - self._last).total_seconds())
        self._last = at
        match event:
            case EpochReported():
                self._on_report(event)
            case TrialBegun():
                self._on_trial(event)
            case TrialPaused():
                self._on_pause(event)
            case TrialPromoted():
                self._on_promote(event)
            case TrialEnded():
                self._on_end(event)
            case TrialContinued():
                self.trials[event.trial].status = RUNNING
            case TrialPinned():
                self.trials[event.trial].pinned, self.trials[event.trial].leads = True, False
            case TrialRetried():
                self.trials[event.trial].deaths += 1
            case ConfigurationQueued():
                self.queue.append(event.configuration)
                self.queued += 1
                if event.request is not None:
                    self.followed[event.request] += 1
                if self.over is not None and self.over.rule == PATIENCE:
                    self._take_heart()
            case SweepOver():
                self.over = Stop(event.rule, event.reason)
            case SweepResumed() | SettingsChanged():
                self._take_heart()
            case SweepBegun():
                self.id, self.scoring = event.id, event.scoring

    def replay(self, events: Iterable[Event], source: Path) -> None:
        """Take in a whole record; FolderError where an event cannot follow on the others, as only foreign ones do."""
        for event in events:
            try:
                self.apply(event)
            except (KeyError, TypeError, ValueError, IndexError) as error:
                what = f"{event.name!r} of {event.time}"
                rule = f"cannot be replayed ({type(error).__name__}: {error}); it is damaged or of another version"
                raise FolderError(f"{source}: its event {what} {rule}") from error

    @property
    def samples(self) -> int:
        """Trials that the sweep will have."""
        return self.sweep.search.samples + self.queued

    def rung_reached(self, trial: TrialState) -> int | None:
        """The rung that a trial has come to with its newest epoch."""
        return self.halving.rung_reached(trial.epoch_seconds, trial.warmup_epochs)

    def weights(self, trial: TrialState) -> tuple[float, ...]:
        """What of a trial is minimised beside its score: nothing where the sweep has one objective."""
        return weigh(trial.costs, self.sweep.search.costs)

    def _moves_the_front(self, point: tuple[float, ...]) -> bool:
        """Whether no earlier point is at least as good in everything; with one objective, whether it is the lowest."""
        if not all(map(math.isfinite, point)) or any(_as_good(kept, point) for kept in self._front):
            return False
        self._front = [kept for kept in self._front if not _as_good(point, kept)] + [point]
        return True

    def _take_heart(self) -> None:
        """Whatever ended the sweep, somebody wants it to go on."""
        self.over = None
        self.since_best.clear()

    def _on_trial(self, event: TrialBegun) -> None:
        if event.trial in self.trials:
            return
        self.trials[event.trial] = TrialState(event.trial, event.configuration, event.source)
        if event.source == QUEUE:
            self.queue.popleft()

    def _on_report(self, event: EpochReported) -> None:
        trial, metrics = self.trials[event.trial], event.metrics
        if event.epoch != trial.epoch + 1:
            return  # (trial, epoch) counts once, the first wins
        trial.curve.append(metrics)
        trial.status, trial.rule, trial.deaths = RUNNING, None, 0
        metric = self.sweep.search.metric
        trial.score = score_curve(trial.curve, metric)
        trial.costs = trial.costs or event.costs or {}
        self.epochs += 1
        self.lead_epochs += trial.leads
        self.best_wer = min(self.best_wer, lowest([metrics], "wer"))
        if self._moves_the_front((lowest([metrics], metric), *self.weights(trial))):
            self._best_trial = trial.number
            self.since_best.clear()
        rung = self.rung_reached(trial)
        if rung is not None:
            self.halving.arrive(trial.number, rung, trial.score, self.weights(trial))
            trial.scores.append(trial.score)

    def _on_pause(self, event: TrialPaused) -> None:
        trial = self._decided(event, PAUSED, HALVING)
        if event.rung is None:
            self.halving.fall_back(trial.number)
        trial.leads = False

    def _on_promote(self, event: TrialPromoted) -> None:
        trial = self._decided(event, RUNNING, None)
        trial.carried = trial.carried or event.carried
        trial.leads = event.lead
        if event.lead:
            self.halving.lead(trial.number)
        elif event.rung is not None:
            self.halving.promote(trial.number, event.rung)

    def _on_end(self, event: TrialEnded) -> None:
        trial = self.trials[event.trial]
        if event.status == INTERRUPTED:
            trial.status, trial.rule, trial.reason = INTERRUPTED, event.rule, event.reason
            return
        self._decided(event, event.status, event.rule)
        trial.error = event.error
        if not trial.waits and trial.status != FINISHED:
            self.halving.remove(trial.number)

    def _decided(self, event: Decision, status: Status, rule: str | None) -> TrialState:
        trial = self.trials[event.trial]
        trial.status, trial.rule, trial.reason, trial.judged = status, rule, event.reason, trial.epoch
        trial.faulty = isinstance(event, TrialEnded) and event.faulty
        if trial.number != self._best_trial:
            self.since_best.add(trial.number)
        return trial


def _as_good(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return all(mine <= theirs for mine, theirs in zip(one, other, strict=True))

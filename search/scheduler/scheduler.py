"""Decide what every trial of a sweep does next; each decision is written to the record before it is acted on.

The scheduler knows neither Ray nor training. It is asked which trial a free slot should run, and told each epoch. A
trial runs in segments, from where it stands to where it is judged next. A new scheduler that is given the events of
an old one goes on where that one was.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from glosstune.results.reading.events import (
    CARRIES_ON,
    FAILED,
    FINISHED,
    HALVING,
    INTERRUPT,
    INTERRUPTED,
    PAUSED,
    QUEUE,
    RESERVES,
    RUNNING,
    STOPPED,
    USER,
    Append,
    ConfigurationQueued,
    EpochReported,
    Event,
    SettingsChanged,
    SweepOver,
    TrialBegun,
    TrialContinued,
    TrialEnded,
    TrialPaused,
    TrialPinned,
    TrialPromoted,
    TrialRetried,
    finite,
    write_event,
)
from glosstune.search.config.sweep import Sweep
from glosstune.search.scheduler.experience.known import KnownSweep
from glosstune.search.scheduler.halving import Standing
from glosstune.search.scheduler.leading import incumbent, leader, left_to_train, why_it_waits, yields
from glosstune.search.scheduler.state import SweepState
from glosstune.search.scheduler.stopping import Stop, judge_sweep, judge_trial
from glosstune.search.scheduler.suggesting import Suggestions
from glosstune.search.scheduler.trial import TrialState
from glosstune.spaces.errors import SettingError

# Processes in a row that a trial may lose without having done an epoch.
MOST_DEATHS = 3
# Trials whose processes all died, before any trial reported, after which the fault is the machine's.
HOPELESS_TRIALS = 2


class Scheduler:
    """The trials of a sweep, and what comes next.

    Args:
        sweep: what is searched.
        append: of the record.
        slots: how many trials can run at a time now.
        events: of the record so far, in order.
        earlier: trials of other sweeps, for the sampler.
        known: other sweeps, for what is drawn at first; default those that ``search.prior`` names.
        clock: seconds.
        source: where the events come from, for messages.

    Raises:
        FolderError: events that no scheduler has written.

    Attributes:
        state: what has happened so far.
        live: trials whose segment runs now.
        broken: what a sampler or rule of the user's own did wrong, for which the sweep has been interrupted.
    """

    def __init__(
        self,
        sweep: Sweep,
        append: Append,
        *,
        slots: Callable[[], int] = lambda: 1,
        events: Iterable[Event] = (),
        earlier: Sequence[TrialState] = (),
        known: Sequence[KnownSweep] | None = None,
        clock: Callable[[], float] = time.monotonic,
        source: Path = Path("record"),
    ) -> None:
        self.state = SweepState(sweep)
        self.live: set[int] = set()
        self.broken: SettingError | None = None
        self._append, self._slots, self._clock = append, slots, clock
        self._earlier = earlier
        self._known = known
        self._notes: dict[int, dict[str, Any]] = {}
        self._adopt(sweep)
        self.state.replay(events, source)
        self._used_s, self._started = self.state.used_s, clock()
        self._recover()

    # What whoever runs the trials asks and tells.

    def next_trial(self) -> int | None:
        """The trial that a free slot should run now; None if there is none at the moment (see ``done``)."""
        # One at least, even where no machine is free: Ray then waits for one and still hears signals and requests.
        if len(self.live) >= max(1, self._slots()) or self.must_end:
            return None
        number = self._to_continue()
        if number is None and self.state.over is None:
            number = self._to_promote()
            if number is None and self._may_begin:
                try:
                    number = self._to_begin()
                except SettingError as error:  # a sampler of the user's own
                    self._give_up(error)
                    return None
        # Where there is more than one to carry on, or time is short, nobody waits for the others.
        at_once = self.state.sweep.search.costs or (self.state.over is not None and self.state.over.rule in RESERVES)
        if number is None and (not self.live or at_once):
            number = self._to_carry_on()
        if number is not None:
            self.live.add(number)
        return number

    @property
    def done(self) -> bool:
        """Whether nothing runs and ``next_trial`` would find nothing that could."""
        if self.live or self.must_end:
            return not self.live
        if any(self._continues(trial) for trial in self.state.trials.values()) or incumbent(self.state) is not None:
            return False
        return self.state.over is not None or not (self._may_begin or self._promotion())

    @property
    def must_end(self) -> bool:
        """Whether all that runs has to end now; see ``CARRIES_ON``."""
        return self.state.over is not None and self.state.over.rule not in CARRIES_ON

    def report(
        self,
        number: int,
        epoch: int,
        metrics: Mapping[str, float],
        node: str | None = None,
        costs: Mapping[str, float] | None = None,
    ) -> bool:
        """Count an epoch that a trial has done and say whether it goes on; one counted before is not counted again.

        Args:
            node: the machine that trained it.
            costs: of its recogniser, with its first epoch.
        """
        trial = self.state.trials[number]
        if number not in self.live:
            return False  # it was ended from outside while it trained
        if epoch <= trial.epoch:
            return True
        if epoch > trial.epoch + 1:
            self.fail(number, "error", f"epoch {epoch} was reported after epoch {trial.epoch}")
            return False
        known = None if costs is None else finite(costs)
        self._emit(EpochReported(trial=number, epoch=epoch, metrics=finite(metrics), node=node, costs=known))
        try:
            goes_on = self._judge(trial)
        except SettingError as error:  # a rule of the user's own: what it would have said nobody knows
            self._give_up(error)
            goes_on = False
        self.judge_sweep()
        if not goes_on or self.must_end:
            self.live.discard(number)
        return number in self.live

    def fail(self, number: int, rule: str, message: str) -> None:
        """End a trial that cannot go on."""
        if number not in self.live:
            return
        self.live.discard(number)
        self._emit(TrialEnded(trial=number, status=FAILED, rule=rule, reason=rule, error=message, faulty=True))
        given_up = sum(trial.rule == "process died" for trial in self.state.trials.values())
        if given_up >= HOPELESS_TRIALS and not self.state.epochs:
            self.interrupt(f"no process of a trial lives long enough to report ({message})")

    def died(self, number: int, message: str) -> None:
        """The process of a trial has died: it goes on from its checkpoint, unless that keeps happening."""
        if number in self.live:
            self._emit(TrialRetried(trial=number, reason=message))
            if self.state.trials[number].deaths > MOST_DEATHS:
                self.fail(number, "process died", message)
            self.live.discard(number)

    def interrupt(self, reason: str) -> None:
        """End the sweep now; it can be resumed."""
        if not self.must_end:
            self._emit(SweepOver(rule=INTERRUPT, reason=reason))

    def _give_up(self, error: SettingError) -> None:
        self.broken = error
        self.interrupt(str(error))

    def judge_sweep(self) -> None:
        """End the sweep if it has reached a limit."""
        state, over = self.state, self.state.over
        counts = {"epochs": state.epochs, "since_best": len(state.since_best), **left_to_train(state)}
        stop = judge_sweep(state.sweep.search, best_wer=state.best_wer, used_s=self.used_s, **counts)
        if stop is not None and (over is None or (over.rule in CARRIES_ON and stop.rule not in CARRIES_ON)):
            self._emit(SweepOver(rule=stop.rule, reason=stop.reason))

    def close(self) -> None:
        """Say of every trial that has no end how it stands; called when nothing runs any more."""
        self.live.clear()
        goes_on = not self.done or (self.state.over is not None and self.state.over.rule == INTERRUPT)
        over = self.state.over or Stop(INTERRUPT, "the driver ended")
        for trial in self.state.trials.values():
            if trial.status == RUNNING:
                reason = f"{over.reason} after epoch {trial.epoch}"
                self._emit(TrialEnded(trial=trial.number, status=INTERRUPTED, rule=over.rule, reason=reason))
            elif trial.status == PAUSED and not goes_on:
                self._stop_waiting(trial)

    # What users ask for.

    def stop(self, number: int) -> None:
        """End a trial for good; SettingError if it is over already."""
        self._check_goes_on(number)
        self.live.discard(number)
        reason = f"stopped by the user after epoch {self.state.trials[number].epoch}"
        self._emit(TrialEnded(trial=number, status=STOPPED, rule=USER, reason=reason))

    def pin(self, number: int) -> None:
        """Let a trial train to its end, whatever rivals and rules say; SettingError if it is over already."""
        self._check_goes_on(number)
        self._emit(TrialPinned(trial=number))

    def queue(self, configuration: Mapping[str, Any], request: str | None = None) -> None:
        """Try a configuration, which the file ``request`` asks for, before the sampler suggests others.

        It comes on top of the samples; SettingError if it lies outside the space.
        """
        self.state.sweep.space.check(configuration)
        self._emit(ConfigurationQueued(configuration=dict(configuration), request=request))

    def change(self, sweep: Sweep, changes: Mapping[str, Any]) -> None:
        """Go on with other settings of the search, of a sweep that is otherwise the same."""
        self._emit(SettingsChanged(changes=dict(changes)))
        self._adopt(sweep)

    def _adopt(self, sweep: Sweep) -> None:
        self.state.sweep = sweep
        self._suggestions = Suggestions(sweep, self._earlier, self._known, self._notes)

    @property
    def used_s(self) -> float:
        """Seconds that the sweep has run for, all drivers together."""
        return self._used_s + self._clock() - self._started

    @property
    def _may_begin(self) -> bool:
        """Whether there is to be a further trial: a queued one, or one of the samples."""
        suggested = sum(trial.source != QUEUE for trial in self.state.trials.values())
        return bool(self.state.queue) or suggested < self.state.sweep.search.samples

    def _check_goes_on(self, number: int) -> None:
        trials = self.state.trials
        if number not in trials:
            known = f"trials 0 to {len(trials) - 1}" if trials else "no trials yet"
            raise SettingError(f"the sweep has {known}; got {number}", key="TRIAL")
        trial = trials[number]
        if trial.status != RUNNING and not trial.waits:
            raise SettingError(f"trial {number} is over already: {trial.reason}", key="TRIAL")

    # Decisions.

    def _judge(self, trial: TrialState) -> bool:
        """Decide on a trial after its newest epoch; True if it goes on at once."""
        if trial.judged == trial.epoch:
            return trial.status == RUNNING
        sweep, halving, epochs = self.state.sweep, self.state.halving, self.state.sweep.training.epochs
        if trial.epoch >= epochs:
            reason = f"all {epochs} epochs"
            self._emit(TrialEnded(trial=trial.number, status=FINISHED, rule=FINISHED, reason=reason))
            return False
        grace_epochs = halving.grace_epochs(trial.epoch_seconds, trial.warmup_epochs)
        broken = None if trial.pinned else judge_trial(trial.curve, grace_epochs, sweep.stopping)
        if broken is not None:
            self._emit(TrialEnded(trial=trial.number, status=STOPPED, **asdict(broken)))
            return False
        rung = self.state.rung_reached(trial)
        stop = yields(self.state, trial)
        if stop is not None and (rung is None or sweep.halving.kind != "promote"):
            self._emit(TrialEnded(trial=trial.number, status=INTERRUPTED, rule=stop.rule, reason=stop.reason))
            return False
        if rung is None:
            return trial.pinned or not trial.leads or self._keeps_the_lead(trial)
        if trial.pinned:
            self._promote(trial.number, "pinned by the user")
            return True
        standing = halving.standing(trial.number, rung)
        if sweep.halving.kind == "stop":
            if halving.keeps(standing):
                self._go_on(standing)
                return True
            self._stop_at(standing)
            return False
        chosen = None if self.state.over else halving.next_promotion()
        if chosen is not None and chosen.trial == trial.number:
            self._go_on(chosen)
            return True
        if self.state.over is None and leader(self.state) is trial:
            self._lead(trial)
            return True
        self._emit(TrialPaused(**standing.told(), reason=self._in_words(standing, "waits")))
        return False

    def _recover(self) -> None:
        """Take the decisions that a driver died before it could write."""
        for trial in list(self.state.trials.values()):
            if trial.status == RUNNING and trial.curve:
                self._judge(trial)

    def _to_continue(self) -> int | None:
        """A trial whose segment was cut off, or that a user pinned while it waited."""
        for trial in self.state.trials.values():
            if self._continues(trial):
                if trial.status == INTERRUPTED:
                    self._emit(TrialContinued(trial=trial.number))
                elif trial.waits:
                    self._promote(trial.number, "pinned by the user")
                return trial.number
        return None

    def _continues(self, trial: TrialState) -> bool:
        if trial.number in self.live or yields(self.state, trial) is not None:
            return False
        return trial.status in (RUNNING, INTERRUPTED) or (trial.pinned and trial.waits)

    def _to_promote(self) -> int | None:
        best = leader(self.state)
        if best is not None and best.waits and best.number not in self.live:
            self._lead(best)
            return best.number
        standing = self._promotion()
        if standing is None:
            return None
        self._go_on(standing)
        return standing.trial

    def _promotion(self) -> Standing | None:
        return self.state.halving.next_promotion() if self.state.sweep.halving.kind == "promote" else None

    def _lead(self, trial: TrialState) -> None:
        self._promote(trial.number, f"lead: goes on, the best of the sweep after epoch {trial.epoch}", lead=True)

    def _keeps_the_lead(self, trial: TrialState) -> bool:
        """Whether a trial that leads goes on, between rungs."""
        why = why_it_waits(self.state, trial)
        if why is not None:
            self._emit(TrialPaused(trial=trial.number, reason=f"lead: waits after epoch {trial.epoch}; {why}"))
        return why is None

    def _to_begin(self) -> int:
        number = len(self.state.trials)
        point, source = self._suggestions.next(self.state)
        self._emit(TrialBegun(trial=number, configuration=dict(point), source=source))
        return number

    def _to_carry_on(self) -> int | None:
        """The best trial, if it has not trained to its end: a sweep is judged by what its best one comes to."""
        best = incumbent(self.state)
        if best is not None:
            which = "one of the best" if self.state.sweep.search.costs else "the best"
            self._promote(best.number, f"{which} of the sweep, carried on to its last epoch", carried=True)
        return None if best is None else best.number

    def _promote(self, number: int, reason: str, *, carried: bool = False, lead: bool = False) -> None:
        """Let a trial go on for another reason than its rank."""
        rung = self.state.halving.highest_rung(number)
        told: dict[str, Any] = {"trial": number} if rung is None else self.state.halving.standing(number, rung).told()
        self._emit(TrialPromoted(**told, reason=reason, carried=carried, lead=lead))

    def _go_on(self, standing: Standing) -> None:
        self._emit(TrialPromoted(**standing.told(), reason=self._in_words(standing, "goes on")))

    def _stop_waiting(self, trial: TrialState) -> None:
        rung = self.state.halving.highest_rung(trial.number)
        assert rung is not None
        self._stop_at(self.state.halving.standing(trial.number, rung))

    def _stop_at(self, standing: Standing) -> None:
        reason = self._in_words(standing, "stopped")
        self._emit(TrialEnded(**standing.told(), status=STOPPED, rule=HALVING, reason=reason))

    def _in_words(self, standing: Standing, verdict: str) -> str:
        return standing.in_words(verdict, self.state.trials[standing.trial].epoch)

    def _emit(self, event: Event) -> None:
        self.state.apply(write_event(self._append, event))

"""Drive a sweep whose folder is ready, to its end or to the signal that interrupts it."""

import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import partial
from signal import Signals
from typing import Any

import optuna
from rich.console import Console

from glosstune.results.reading.events import FAILED, INTERRUPTED, PAUSED, RUNNING, Event
from glosstune.results.reading.names import RECORD, TRIAL_LOG, TRIALS, trial_name
from glosstune.search.config.errors import Say
from glosstune.search.config.sweep import Sweep
from glosstune.search.driver.requests import Requests
from glosstune.search.nodes.head_watch import hearing, last_words
from glosstune.search.scheduler.ranking import WORST, lowest
from glosstune.search.scheduler.scheduler import Scheduler
from glosstune.search.scheduler.trial import TrialState
from glosstune.search.storage.record import Record
from glosstune.search.storage.retention import Retention
from glosstune.search.storage.sweep_folder import SweepFolder
from glosstune.search.tracking.display import Display
from glosstune.search.tracking.progress import SweepProgress
from glosstune.search.tracking.views import Views
from glosstune.spaces.errors import quoted


def drive(
    ready: Sweep,
    work: SweepFolder,
    events: Iterable[Event],
    console: Console,
    say: Say,
    *,
    trainable: Any = None,
    queue: Iterable[Mapping[str, Any]] = (),
    inputs: Mapping[str, str] | None = None,
    earlier: Iterable[TrialState] = (),
) -> Signals | None:
    """Run what is left of a sweep. Needs a Ray connection and the place to itself (see ``SweepFolder.owned``).

    Where that is inside of ``watch_ray``, a loss of Ray is told with the command that goes on.

    Args:
        ready: with weights.
        events: of its record so far.
        trainable: default that of the sweep; a replay in tests and benchmarks.
        queue: configurations to try next.
        inputs: names in the place of the files that trials begin from, by key of their settings.
        earlier: trials that the sampler learns from.

    Returns:
        the signal that interrupted it, if one did.
    """
    from glosstune.search.driver.ray_tune import run_trials, train_with
    from glosstune.search.nodes.resources import count_slots

    optuna.logging.set_verbosity(optuna.logging.WARNING)  # its lines would tear the live table
    again = go_on(work)
    with hearing(partial(tell_loss, again=again, say=say)), last_words(again):
        record = work.record
        scheduler = Scheduler(
            ready,
            record.append,
            slots=lambda: count_slots(scheduler.state.sweep.resources),
            events=events,
            earlier=list(earlier),
            source=work.folder / RECORD,
        )
        for configuration in queue:
            scheduler.queue(configuration)
        trainable = trainable or train_with(ready, work.place, inputs or {})
        received = None
        with Display(SweepProgress(scheduler.state, lambda: scheduler.used_s), console) as display:
            watcher = _Watcher(scheduler, work, record, display)
            with hearing(watcher.lose):
                watcher.obey()
                scheduler.judge_sweep()
                watcher.views.open()
                if scheduler.done:
                    over = scheduler.state.over
                    why = f"{over.reason}; raise that limit" if over is not None else "add trials with --samples +8"
                    say(f"nothing is left to run: {why}, or see glosstune resume --help")
                watcher.tidy()
                # What was asked for while the last trial ended is not lost either.
                while not scheduler.done and received is None:
                    try:
                        received = run_trials(scheduler, trainable, work.folder, watcher)
                    except Exception as error:
                        if record.broken is not None:  # which Ray would show as its own, with a traceback
                            raise record.broken from error
                        raise
                    if not watcher.obey():
                        break
                scheduler.close()
                watcher.finish()
                work.publish()
    if scheduler.broken is not None:
        raise scheduler.broken
    return received


def tell_loss(what: str, again: str, say: Say) -> None:
    """Say that Ray is lost, and what goes on with the sweep; nothing is asked of its place, which may not answer."""
    say(f"glosstune: {what}")
    say("what was reported is kept; a Ray that this command has not started has to be started again")
    say(again)


def go_on(work: SweepFolder) -> str:
    """The line that says how a sweep goes on that has begun."""
    return f"go on with: glosstune resume {quoted(work.place)}"


class _Watcher:
    """Draws, shows elsewhere, and takes in what users ask for while trials run."""

    def __init__(self, scheduler: Scheduler, work: SweepFolder, record: Record, display: Display) -> None:
        self._scheduler = scheduler
        self._work = work
        self._record = record
        self._display = display
        self._looked = 0.0
        self._failed: set[int] = set()
        self._requests = Requests(scheduler, work, display.note)
        self._retention = Retention(work.files, display.note)
        self._lowest: dict[int, tuple[int, float]] = {}
        self.views = Views(scheduler, work.folder, display.note)

    def begin(self, number: int) -> None:
        self._show(number)

    def report(self, number: int) -> None:
        trial = self._scheduler.state.trials[number]
        if trial.status == FAILED and number not in self._failed:
            self._failed.add(number)
            log = f"{TRIALS}/{trial_name(number)}/{TRIAL_LOG}"
            self._display.note(f"trial {number} failed: {trial.error or trial.rule} ({log})")
        if trial.status != RUNNING:
            self.tidy(number)
        self._show(number)

    def tick(self) -> None:
        if time.monotonic() - self._looked >= self._work.files.look_s:
            self._looked = time.monotonic()
            # Not only where an epoch is reported: trials would train on beside those of the driver that has it now.
            self._record.check()
            self.obey()

    def lose(self, what: str) -> None:
        """Say what goes on with the sweep."""
        self._display.close()
        tell_loss(what, go_on(self._work), self._display.note)

    def obey(self) -> bool:
        """Do what users ask for; whether they asked for anything."""
        asked = self._requests.obey()
        if asked:
            self._display.refresh()
        return asked

    def finish(self) -> None:
        """Show how every trial ended."""
        self.tidy()
        for number in self._scheduler.state.trials:
            self._show(number, final=True)
        self.views.close()

    def tidy(self, *written: int) -> None:
        """Remove checkpoints that nobody is likely to need; ``written`` are trials that may just have written one."""
        state = self._scheduler.state
        groups: defaultdict[int | None, dict[int, tuple[float, ...]]] = defaultdict(dict)
        for number, trial in state.trials.items():
            if trial.status == PAUSED:
                groups[state.halving.highest_rung(number)][number] = (trial.score, *state.weights(trial))
            elif trial.status not in (RUNNING, INTERRUPTED):
                groups[None][number] = (self._lowest_of(trial), *state.weights(trial))
        self._retention.settle(groups.values(), state.sweep.search.keep_checkpoints, written)

    def _lowest_of(self, trial: TrialState) -> float:
        """Of the metric, which of thousands of trials takes too long to look up each time."""
        epoch, value = self._lowest.get(trial.number, (0, WORST))
        if epoch != trial.epoch:
            value = lowest(trial.curve, self._scheduler.state.sweep.search.metric)
            self._lowest[trial.number] = trial.epoch, value
        return value

    def _show(self, number: int, *, final: bool = False) -> None:
        self.views.show(number, final=final)
        self._display.refresh()

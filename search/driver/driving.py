"""Drive a sweep whose folder is ready, to its end or to the signal that interrupts it."""

import json
import time
from collections.abc import Iterable, Mapping
from signal import Signals
from typing import Any, Protocol

import optuna
import yaml
from rich.console import Console

from glosstune.results.reading.record import RECORD
from glosstune.search.config.changes import count_samples, list_changes
from glosstune.search.config.sweep import Sweep, load_sweep
from glosstune.search.driver.requests import take
from glosstune.search.driver.weights import Say
from glosstune.search.scheduler.scheduler import Scheduler
from glosstune.search.scheduler.state import Event
from glosstune.search.scheduler.trial import TrialState
from glosstune.search.scheduler.warm_start import earlier_trials
from glosstune.search.storage.record import Record
from glosstune.search.storage.sweep_folder import SweepFolder
from glosstune.search.tracking.display import Display
from glosstune.search.tracking.optuna_study import OptunaStudy
from glosstune.search.tracking.progress import SweepProgress
from glosstune.search.tracking.tensorboard_files import TensorBoardFiles
from glosstune.search.tracking.trackers import open_tracker
from glosstune.spaces.errors import FolderError, SettingError
from glosstune.spaces.files.atomic import trial_name

SWEEP = "sweep.yaml"
# Asking object storage costs a request.
REMOTE_LOOK_S = 10.0


def drive(
    ready: Sweep,
    work: SweepFolder,
    events: Iterable[Event],
    console: Console,
    say: Say,
    trainable: Any = None,
    queue: Iterable[Mapping[str, Any]] = (),
) -> Signals | None:
    """Run what is left of a sweep. Needs a Ray connection and the place to itself (see ``SweepFolder.owned``).

    Args:
        ready: with weights.
        events: of its record so far.
        trainable: default that of the sweep; a replay in tests and benchmarks.
        queue: configurations to try next.

    Returns:
        the signal that interrupted it, if one did.
    """
    from glosstune.search.driver.ray_tune import count_slots, run_trials, train_with  # which imports Ray

    optuna.logging.set_verbosity(optuna.logging.WARNING)  # its lines would tear the live table
    record = _Guarded(work.record)
    scheduler = Scheduler(
        ready,
        record.append,
        slots=lambda: count_slots(scheduler.state.sweep.resources),
        events=events,
        earlier=earlier_trials(ready, say),
        source=work.folder / RECORD,
    )
    for configuration in queue:
        scheduler.queue(configuration)
    received = None
    with Display(SweepProgress(scheduler), console) as display:
        watcher = _Watcher(scheduler, work, display)
        watcher.obey()
        scheduler.judge_sweep()
        watcher.open_views()
        if scheduler.done:
            over = scheduler.state.over
            why = f"{over.reason}; raise that limit" if over is not None else "add trials with --samples +8"
            say(f"nothing is left to run: {why}, or see glosstune resume --help")
        # What was asked for while the last trial ended is not lost either.
        while not scheduler.done and received is None:
            try:
                received = run_trials(scheduler, trainable or train_with(ready, work), work.folder, watcher)
            except Exception as error:
                if record.broken is not None:  # which Ray would show as its own, with a traceback
                    raise record.broken from error
                raise
            if not watcher.obey():
                break
        scheduler.close()
        watcher.finish()
        work.publish()
    return received


def write_sweep(sweep: Sweep, work: SweepFolder) -> None:
    """Write the resolved sweep into its folder."""
    work.write(SWEEP, yaml.safe_dump(sweep.resolved(), sort_keys=False, allow_unicode=True))


class _Guarded:
    """A record that remembers why it could not be written."""

    def __init__(self, record: Record) -> None:
        self._record = record
        self.broken: FolderError | None = None

    def append(self, event: str, **fields: Any) -> dict[str, Any]:
        try:
            return self._record.append(event, **fields)
        except FolderError as error:
            self.broken = error
            raise


class _View(Protocol):
    """Shows trials elsewhere: nothing of it is ever read back."""

    def show(self, trial: TrialState, *, final: bool = False) -> None:
        """Bring one trial up to date; with ``final`` the driver ends."""

    def close(self) -> None:
        """Write what is still to be written."""


class _Watcher:
    """Draws, mirrors, and takes in what users ask for while trials run."""

    def __init__(self, scheduler: Scheduler, work: SweepFolder, display: Display) -> None:
        self._scheduler = scheduler
        self._work = work
        self._display = display
        self._looked = 0.0
        self._failed: set[int] = set()
        self._views: dict[str, _View] = {
            "TensorBoard's files are": TensorBoardFiles(work.folder, scheduler.state.trials)
        }

    def open_views(self) -> None:
        """Bring the study for dashboards in line; SettingError if it is a database that cannot be used."""
        state = self._scheduler.state
        mirror = OptunaStudy(state.sweep, state.id, self._work.folder)
        study = "the study for dashboards is"
        try:
            mirror.open(state.trials.values(), final=self._scheduler.done)
            self._views[study] = mirror
        except SettingError:
            raise
        except Exception as error:  # whatever Optuna makes of a database that can be read and not written
            self._lose(study, error)
        tracked = f"what {state.sweep.tracking} shows is"
        try:
            tracker = open_tracker(state.sweep, state.id, self._work.folder, state.trials.values())
            if tracker is not None:
                self._views[tracked] = tracker
        except Exception as error:  # whatever the tool or its server makes of it
            self._lose(tracked, error)

    def begin(self, number: int) -> None:
        self._show(number)

    def report(self, number: int) -> None:
        trial = self._scheduler.state.trials[number]
        if trial.status == "failed" and number not in self._failed:
            self._failed.add(number)
            log = f"trials/{trial_name(number)}/trial.log"
            self._display.note(f"trial {number} failed: {trial.error or trial.rule} ({log})")
        self._show(number)

    def tick(self) -> None:
        if time.monotonic() - self._looked >= (1.0 if self._work.storage is None else REMOTE_LOOK_S):
            self._looked = time.monotonic()
            self.obey()

    def lose(self, what: str) -> None:
        """Say what goes on with the sweep."""
        self._display.close()
        again = f"glosstune resume {self._work.place}"
        self._display.note(f"glosstune: {what}; what was reported is kept: start a new one, and go on with: {again}")

    def obey(self) -> bool:
        """Do what users ask for; whether they asked for anything."""
        asked = False
        for request in take(self._work):
            asked = True
            try:
                self._follow(request)
            except Exception as error:  # whatever somebody has put there
                self._display.note(f"a request was not followed: {error}")
        return asked

    def finish(self) -> None:
        """Show how every trial ended."""
        for number in self._scheduler.state.trials:
            self._show(number, final=True)
        for what, view in list(self._views.items()):
            try:
                view.close()
            except Exception as error:
                self._lose(what, error)

    def _follow(self, request: Mapping[str, Any]) -> None:
        if "stop" in request:
            self._scheduler.stop(int(request["stop"]))
        elif "pin" in request:
            self._scheduler.pin(int(request["pin"]))
        else:
            self._change(request["changes"], request["samples"])
            for configuration in request["queue"]:
                self._scheduler.queue(configuration)
        self._display.refresh()

    def _change(self, asked: Mapping[str, Any], samples: str | None) -> None:
        old = load_sweep(self._work.folder / SWEEP)
        overrides = [f"{key}={json.dumps(value)}" for key, value in asked.items()]
        if samples is not None:
            overrides.append(f"search.samples={count_samples(samples, old)}")
        new = load_sweep(self._work.folder / SWEEP, overrides)
        changes = list_changes(old, new)
        for key in changes:
            if key in ("resources.cpu", "resources.gpu", "teacher", "tracking"):  # which this run has begun with
                raise SettingError("can change only when a sweep is resumed; interrupt it first", key=key)
        if changes:
            write_sweep(new, self._work)
            # The file may leave weights and the share of a GPU open, which this driver has found.
            now = self._scheduler.state.sweep
            resources = new.resources.model_copy(update={"gpu": now.resources.gpu})
            ready = new.model_copy(update={"pretrained": now.pretrained, "resources": resources})
            self._scheduler.change(ready, changes)

    def _show(self, number: int, *, final: bool = False) -> None:
        # They are for looking at: no fault of theirs, a full disk or a lost database, may end a sweep.
        trial = self._scheduler.state.trials[number]
        for what, view in list(self._views.items()):
            try:
                view.show(trial, final=final)
            except Exception as error:
                self._lose(what, error)
        self._display.refresh()

    def _lose(self, what: str, error: Exception) -> None:
        self._views.pop(what, None)
        self._display.note(f"{what} not kept any more ({type(error).__name__})")

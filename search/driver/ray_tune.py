"""Run the trials that our scheduler asks for with Ray Tune: its searcher, scheduler, callback and stopper around ours.

Each Ray trial is one segment: a trial of ours from where it stands to where it is judged. The searcher hands out the
next segment whenever a slot is free, the scheduler passes on every report, and no state of Ray's is ever read again.
"""

import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import ray
from pydantic import ValidationError
from ray import tune
from ray.tune.experiment import Trial
from ray.tune.progress_reporter import TrialProgressCallback
from ray.tune.schedulers import FIFOScheduler
from ray.tune.search import Searcher

from glosstune.results.reading.epoch_metrics import METRICS
from glosstune.results.reading.names import HANG, RAY, TRIAL_LOG, TRIALS, trial_name
from glosstune.results.reading.objectives import COSTS
from glosstune.search.config.sweep import Sweep
from glosstune.search.nodes.head_watch import describe_death, listens
from glosstune.search.nodes.internals.private_ray import count_no_callbacks, forgetting, keep_keys_here
from glosstune.search.scheduler.scheduler import Scheduler
from glosstune.spaces.errors import SettingError
from glosstune.trainables.trainable import CTCTrainable, TrialContext, in_sweep

# SIGUSR1 is what SLURM can be told to send before a job's time is up; SIGBREAK is Windows' alone, which lacks that.
SIGNALS = [signal.Signals[name] for name in ("SIGINT", "SIGTERM", "SIGUSR1", "SIGBREAK") if hasattr(signal, name)]

# How long a trial waits for a process of its own, which may have to pack the corpus first, before it takes the next
# that becomes free.
START_S = 600.0

# Trials are stopped where they stand: what counts of them is on the disk.
os.environ.setdefault("TUNE_FORCE_TRIAL_CLEANUP_S", "1")
os.environ["TUNE_DISABLE_SIGINT_HANDLER"] = "1"
# Its loggers would write a folder for each segment; see ``tensorboard_files``.
os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"
# Ray would start one actor after the other; how many trials there are at a time the scheduler decides.
os.environ.setdefault("TUNE_MAX_PENDING_TRIALS_PG", "1000")


def train_with(sweep: Sweep, place: str, inputs: Mapping[str, str]) -> Any:
    """The Trainable of a sweep's trials, whose input files have these names in its place."""
    threads = max(1, int(sweep.resources.cpu))
    context = TrialContext(
        place,
        threads=threads,
        inputs=inputs,
        objectives=tuple(sweep.search.objectives),
        hang_min=sweep.resources.hang_min,
    )
    return in_sweep(CTCTrainable, context)


def run_trials(scheduler: Scheduler, trainable: Any, folder: Path, watcher: "Watcher") -> signal.Signals | None:
    """Run segments until the scheduler has none left or says that all has to end. Needs a Ray connection.

    What still runs then is stopped; to ``close`` the scheduler is left to the caller.

    Returns the signal that ended it, if one did.

    Args:
        trainable: reports ``epoch`` and every one of ``METRICS``, with the first epoch ``COSTS`` too, or ``failure``
            and ``failure_rule``; its configuration has ``trial``, ``from_epoch`` and ``settings``, those of the trial
            as plain data.
        folder: of the sweep; Ray's logs go below.
        watcher: hears of everything that happens.

    Raises:
        SettingError: this Ray would hand the driver's keys on to trials.
    """
    keep_keys_here()
    count_no_callbacks()
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)  # its lines would tear the live table
    resources = scheduler.state.sweep.resources
    head = ray.get_runtime_context().gcs_address
    relay = _Relay(scheduler, watcher, head, folder)
    tuner = tune.Tuner(
        tune.with_resources(trainable, {"cpu": resources.cpu, "gpu": resources.gpu or 0.0}),
        tune_config=tune.TuneConfig(
            num_samples=-1,
            search_alg=_Search(scheduler),
            scheduler=_Schedule(scheduler),
            reuse_actors=True,
            trial_dirname_creator=lambda trial: trial_name(_number(trial)),
        ),
        run_config=tune.RunConfig(
            name=RAY,
            storage_path=str(folder),
            verbose=0,
            progress_reporter=tune.CLIReporter(),  # which says nothing; that of notebooks clears what stands there
            callbacks=[relay, _Silent()],
            stop=_End(scheduler),
            checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=0, checkpoint_at_end=False),
        ),
    )
    with forgetting():
        tuner.fit()
    return relay.received[0] if relay.received else None


class Watcher(Protocol):
    """Hears what happens to the trials."""

    def begin(self, number: int) -> None:
        """A trial has started, or goes on."""

    def report(self, number: int) -> None:
        """A trial has done an epoch, and what comes next is decided."""

    def tick(self) -> None:
        """Several times a second, between all else."""


class _Stateless:
    """Ray pickles searcher, scheduler and callbacks into its own state, where nothing of a sweep belongs."""

    def __getstate__(self) -> dict[str, Any]:
        return {}


class _Search(_Stateless, Searcher):
    """Hands out segments."""

    def __init__(self, scheduler: Scheduler) -> None:
        super().__init__()
        self._scheduler = scheduler

    def suggest(self, trial_id: str) -> Any:
        number = self._scheduler.next_trial()
        if number is None:
            return Searcher.FINISHED if self._scheduler.done else None
        trial = self._scheduler.state.trials[number]
        try:
            # As plain data: a trial's process needs nothing of this package but what trains.
            settings = self._scheduler.state.sweep.settings_of(trial.configuration).model_dump(mode="json")
        except (SettingError, ValidationError, KeyError) as error:  # an event that somebody else has written
            self._scheduler.fail(number, "error", f"its configuration is none of this sweep ({error})")
            return self.suggest(trial_id)
        return {"trial": number, "from_epoch": trial.epoch, "settings": settings}

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        pass

    def save(self, checkpoint_path: str) -> None:
        pass

    def restore(self, checkpoint_path: str) -> None:
        pass


class _Schedule(_Stateless, FIFOScheduler):
    """Lets the scheduler decide on every report: the one place where all rules are known."""

    def __init__(self, scheduler: Scheduler) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Ray leaves it bare
        self._scheduler = scheduler
        self._since: dict[str, float] = {}

    def choose_trial_to_run(self, controller: Any) -> Trial | None:
        """The trial that is next to have a process: the newest, which has none on its way yet.

        A process that has become free goes to the trial chosen here, and the one that was being started for it is given
        up. Where the oldest is chosen, as Ray does by itself, and segments are shorter than a process takes to start,
        no further one ever gets through. But none waits for ever, as where other jobs have taken its place.
        """
        now = time.monotonic()
        waiting: list[Trial] = [trial for trial in controller.get_trials() if trial.status == Trial.PENDING]
        self._since = {trial.trial_id: self._since.get(trial.trial_id, now) for trial in waiting}
        if not waiting:
            return None
        return waiting[0 if now - self._since[waiting[0].trial_id] > START_S else -1]

    def on_trial_result(self, controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        number = _number(trial)
        if "failure" in result:
            self._scheduler.fail(number, result["failure_rule"], result["failure"])
            return self.STOP
        metrics, node = {name: result[name] for name in METRICS}, result.get("hostname")
        costs = {name: result[name] for name in COSTS if name in result}
        goes_on = self._scheduler.report(number, int(result["epoch"]), metrics, node, costs or None)
        return self.CONTINUE if goes_on else self.STOP


class _Relay(_Stateless, tune.Callback):
    """Tells the watcher what happens and the scheduler which process died; takes in signals."""

    def __init__(self, scheduler: Scheduler, watcher: Watcher, head: str, folder: Path) -> None:
        self._scheduler = scheduler
        self._watcher = watcher
        self._head = head
        self._folder = folder
        self.received: list[signal.Signals] = []
        self._restore: Callable[[], None] | None = None

    def on_step_begin(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        if self._restore is None:
            # Not before: Ray takes SIGTERM and SIGUSR1 for itself when it starts, and when a run does.
            self._restore = _catch_signals(self.received)
        if self.received:
            self._scheduler.interrupt(f"interrupted by {self.received[0].name}")
        self._watcher.tick()

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        self._watcher.begin(_number(trial))

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: Any
    ) -> None:
        self._watcher.report(_number(trial))

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        if not listens(self._head):
            return  # the whole cluster goes down, which is no fault of the trial: see ``watch_ray``
        # Ray's own copy on the shared storage is not there yet, the local one is.
        told = Path(trial.error_file).read_text(encoding="utf-8") if trial.error_file else ""
        why = self._hang(_number(trial)) or describe_death(told)
        self._scheduler.died(_number(trial), why)
        self._watcher.report(_number(trial))

    def _hang(self, number: int) -> str | None:
        """Why a process has ended itself, if it has; of one on another machine, where both share the folder."""
        file = self._folder / TRIALS / trial_name(number) / HANG
        if not file.exists() or not file.stat().st_size:
            return None
        return f"no batch came for resources.hang_min, so its process was ended; {TRIAL_LOG} says where it stood"

    def on_experiment_end(self, trials: list[Trial], **info: Any) -> None:
        if self._restore is not None:
            self._restore()


class _Silent(_Stateless, TrialProgressCallback):
    """In the place of the callback that Ray adds by itself, which prints nothing here and keeps every trial."""

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: Any
    ) -> None: ...

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None: ...

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None: ...


class _End(_Stateless, tune.Stopper):
    """Ends the run at once where the scheduler says so."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        self._scheduler.judge_sweep()
        return self._scheduler.must_end


def _catch_signals(received: list[signal.Signals]) -> Callable[[], None]:
    """Collect signals; a second one interrupts at once, which loses nothing but the summary."""

    def note(number: int, frame: Any) -> None:
        received.append(signal.Signals(number))
        if len(received) > 1:
            raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        return lambda: None
    before = {number: signal.signal(number, note) for number in SIGNALS}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    return restore


def _number(trial: Trial) -> int:
    return int(trial.config["trial"])

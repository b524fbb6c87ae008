"""Run the trials of a sweep with Ray Tune, its OptunaSearch and its ASHA."""

import logging
import os
import socket
import time
from pathlib import Path
from typing import Any

import optuna
import ray
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from ray import tune
from ray.tune.experiment import Trial
from ray.tune.schedulers import AsyncHyperBandScheduler
from ray.tune.search.optuna import OptunaSearch

from glosstune.search.display import Display
from glosstune.search.record import Record
from glosstune.search.sweep import Sweep
from glosstune.spaces import Choice, Float, Int, SettingError, Space
from glosstune.spaces.start_points import labelled
from glosstune.trainables.session import METRICS
from glosstune.trainables.trainable import CTCTrainable, TrialContext, trial_name

STUDY = "study.journal"


def run_trials(sweep: Sweep, folder: Path, record: Record, display: Display) -> None:
    """Run every trial to its end; all that matters is in the record and in ``trials/`` afterwards.

    Needs a Ray connection. Ctrl-C ends the trials and returns.
    """
    # Their lines would tear the live table, which tells of every failed trial itself.
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    cpus, gpus = sweep.resources.cpu, sweep.resources.gpu
    trainable = tune.with_parameters(
        CTCTrainable,
        context=TrialContext(
            build=sweep.trial_settings, folder=folder, threads=max(1, int(cpus)), metric=sweep.search.metric
        ),
    )
    epochs = sweep.training.epochs
    budget_min = sweep.search.time_budget_min
    relay = _Relay(record, display, epochs=epochs, time_budget_s=None if budget_min is None else budget_min * 60)
    tuner = tune.Tuner(
        tune.with_resources(trainable, {"cpu": cpus, "gpu": gpus}),
        tune_config=tune.TuneConfig(
            metric="objective",
            mode="min",
            num_samples=sweep.search.samples,
            search_alg=_NumberedSearch(sweep, folder / STUDY),
            scheduler=AsyncHyperBandScheduler(
                time_attr="training_iteration",
                max_t=epochs,
                grace_period=min(sweep.halving.min_epochs, epochs),
                reduction_factor=sweep.halving.reduction,
            ),
            max_concurrent_trials=sweep.resources.concurrent,
            time_budget_s=relay.time_budget_s,
            reuse_actors=True,
            trial_dirname_creator=_trial_dirname,
        ),
        run_config=tune.RunConfig(
            name="ray",
            storage_path=str(folder),
            verbose=0,
            callbacks=[relay],
            stop={"training_iteration": epochs},
            checkpoint_config=tune.CheckpointConfig(num_to_keep=1, checkpoint_frequency=1),
        ),
    )
    tuner.fit()
    relay.close()


def start_ray() -> None:
    """Connect to the cluster that RAY_ADDRESS names, else start Ray here; a connection that is there stays."""
    if ray.is_initialized():
        return
    address = os.environ.get("RAY_ADDRESS", "")
    try:
        host, _, port = address.rpartition(":")
        if port.isdigit() and "/" not in host:
            socket.create_connection((host, int(port)), timeout=10).close()  # Ray itself would wait for minutes
        ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    except (OSError, ValueError, RuntimeError, ImportError) as error:
        reason = f"no Ray cluster answers at {address} ({error})" if address else f"Ray cannot start here ({error})"
        raise SettingError(f"{reason}; start one, or unset RAY_ADDRESS", key="RAY_ADDRESS") from error


def check_resources(sweep: Sweep) -> None:
    """Raise SettingError where no machine has what a trial asks for: Ray would wait for it for ever."""
    nodes = ray.nodes()  # type: ignore[no-untyped-call]  # Ray leaves it bare
    machines = [node["Resources"] for node in nodes if node["Alive"]]
    for key, resource in {"cpu": "CPU", "gpu": "GPU"}.items():
        asked, most = getattr(sweep.resources, key), max(machine.get(resource, 0.0) for machine in machines)
        if asked > most:
            rule = f"a trial asks for {asked:g}, but the largest machine has {most:g}; set it to at most {most:g}"
            raise SettingError(rule, key=f"resources.{key}")


class _NumberedSearch(OptunaSearch):
    """OptunaSearch over a conditional Space that numbers its trials."""

    def __init__(self, sweep: Sweep, study: Path) -> None:
        # The default lock is a symbolic link, which Windows refuses to ordinary users.
        backend = JournalFileBackend(str(study), lock_obj=JournalFileOpenLock(str(study)))
        sampler: optuna.samplers.BaseSampler = optuna.samplers.RandomSampler(seed=sweep.search.seed)
        if sweep.search.sampler == "tpe":
            # Optuna's own ten, fewer in a short search, which would otherwise be random to its end.
            startup = max(4, min(10, sweep.search.samples * 5 // 8))
            sampler = optuna.samplers.TPESampler(seed=sweep.search.seed, n_startup_trials=startup)
        super().__init__(
            space=_Suggest(sweep.space),
            metric="objective",
            mode="min",
            sampler=sampler,
            study_name=sweep.name,
            storage=JournalStorage(backend),
            points_to_evaluate=[labelled(sweep.space, point) for point in sweep.start_points] or None,
        )
        self._count = 0

    def suggest(self, trial_id: str) -> dict[str, Any] | None:
        drawn = super().suggest(trial_id)
        if drawn is None:
            return None
        number, self._count = self._count, self._count + 1
        return {"trial": number, **drawn["configuration"]}


class _Suggest:
    """Draws a configuration of a Space from an Optuna trial."""

    def __init__(self, space: Space) -> None:
        self._space = space

    def __call__(self, trial: optuna.Trial) -> dict[str, Any]:
        def suggest(label: str, parameter: Float | Int | Choice) -> Any:
            if isinstance(parameter, Float):
                return trial.suggest_float(label, parameter.low, parameter.high, step=parameter.step, log=parameter.log)
            if isinstance(parameter, Int):
                return trial.suggest_int(label, parameter.low, parameter.high, step=parameter.step, log=parameter.log)
            return trial.suggest_categorical(label, parameter.options)

        return {"configuration": self._space.configuration(suggest)}


class _Relay(tune.Callback):
    """Carries Ray's events to the record and the display."""

    def __init__(self, record: Record, display: Display, *, epochs: int, time_budget_s: float | None) -> None:
        self.record = record
        self.display = display
        self.epochs = epochs
        self.time_budget_s = time_budget_s
        self._started = time.monotonic()
        self._ended: set[int] = set()

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        self._start(trial)
        self.display.refresh()

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: Any
    ) -> None:
        number = self._start(trial)
        self.record.report(number, int(result["epoch"]), {name: result[name] for name in METRICS})
        self.display.progress.report(number, result)
        self.display.refresh()

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        number = self._start(trial)
        if self._epoch(number) >= self.epochs:
            self._end(number, "finished", f"all {self.epochs} epochs")
        else:
            self._end(number, "stopped", self._out_of_time() or f"halving at epoch {self._epoch(number)}")

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        number = self._start(trial)
        # Ray's own copy on the shared storage is not there yet, the local one is; its last line is the error.
        lines = Path(trial.error_file).read_text(encoding="utf-8").strip().splitlines() if trial.error_file else []
        message = lines[-1] if lines else "unknown"
        self.display.note(f"trial {number} failed: {message} (trials/{trial_name(number)}/trial.log)")
        self._end(number, "failed", "error", message)

    def close(self) -> None:
        """End in the record what Ray left running: it reports no end when a sweep is cut short."""
        for number, trial in list(self.display.progress.trials.items()):
            if trial.status == "running":
                self._end(number, "stopped", self._out_of_time() or f"interrupted after epoch {trial.epoch}")

    def _start(self, trial: Trial) -> int:
        # A trial whose process cannot start fails without having started, and Ray starts one again after a fault.
        number = _number(trial)
        if number not in self.display.progress.trials:
            self.record.trial(number, _configuration(trial))
            self.display.progress.start(number, _configuration(trial))
        return number

    def _epoch(self, number: int) -> int:
        return self.display.progress.trials[number].epoch

    def _out_of_time(self) -> str | None:
        if self.time_budget_s is None or time.monotonic() - self._started < self.time_budget_s:
            return None
        return f"time budget of {self.time_budget_s / 60:g} min used up"

    def _end(self, number: int, status: str, reason: str, error: str | None = None) -> None:
        if number not in self._ended:
            self._ended.add(number)
            self.record.end(number, status=status, reason=reason, error=error)
            self.display.progress.end(number, status)
            self.display.refresh()


def _number(trial: Trial) -> int:
    return int(trial.config["trial"])


def _configuration(trial: Trial) -> dict[str, Any]:
    return {name: value for name, value in trial.config.items() if name != "trial"}


def _trial_dirname(trial: Trial) -> str:
    return trial_name(_number(trial))

"""Show the trials of a sweep in MLflow or Weights & Biases: one run a trial, however many segments it took.

Ray's own callbacks begin a run for each of Ray's trials, which here are segments, and forget them on resume. Where
runs go is for each tool's own environment variables to say (MLFLOW_TRACKING_URI, WANDB_API_KEY, WANDB_MODE, …).
Without any, MLflow's go into ``mlflow.db`` in the sweep's folder.
"""

import logging
import os
import time
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from glosstune.search.sweep import Sweep
from glosstune.search.trial_state import TrialState
from glosstune.spaces import SettingError
from glosstune.trainables.files import trial_name

# A server that does not answer would otherwise hold up the whole sweep for minutes, epoch after epoch.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")

_STATUSES = {"running": "RUNNING", "finished": "FINISHED", "failed": "FAILED", "stopped": "KILLED"}


def check_tracking(sweep: Sweep) -> None:
    """Raise SettingError unless the tool that a sweep names is installed and answers."""
    if sweep.tracking is None:
        return
    if find_spec(sweep.tracking) is None:
        rule = f"is not installed; pip install 'glosstune[{sweep.tracking}]', or set it to null"
        raise SettingError(f"{sweep.tracking} {rule}", key="tracking")
    if sweep.tracking == "wandb":
        import wandb

        online = wandb.setup().settings.mode in ("online", "shared")
        if online and not wandb.login(prompt=False):
            raise SettingError("wandb has no key; run 'wandb login', or set WANDB_MODE=offline", key="tracking")
    elif uri := os.environ.get("MLFLOW_TRACKING_URI"):
        from mlflow import MlflowClient

        try:
            MlflowClient(uri).search_experiments(max_results=1)
        except Exception as error:
            # Neither the address nor the error's text: they may hold a password.
            rule = f"nothing that MLflow can use answers there ({type(error).__name__}); correct or unset it"
            raise SettingError(rule, key="MLFLOW_TRACKING_URI") from None


def open_tracker(
    sweep: Sweep, identity: str, folder: Path, trials: Iterable[TrialState]
) -> "MLflowTracker | WandbTracker | None":
    """The tracker that a sweep names, if it does.

    Args:
        identity: of the sweep, different for every one of a name.
        folder: of the sweep.
        trials: that it has already.
    """
    if sweep.tracking == "mlflow":
        return MLflowTracker(sweep, identity, folder)
    if sweep.tracking == "wandb":
        return WandbTracker(sweep, identity, folder, trials)
    return None


class MLflowTracker:
    """An experiment of the sweep's name; runs are found again by their tags, so nothing is written twice."""

    def __init__(self, sweep: Sweep, identity: str, folder: Path) -> None:
        from mlflow import MlflowClient

        logging.getLogger("mlflow").setLevel(logging.WARNING)  # its lines would tear the live table
        self._client = MlflowClient(os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{folder / 'mlflow.db'}")
        self._metric = sweep.search.metric
        self._identity = identity
        experiment = self._client.get_experiment_by_name(sweep.name)
        self._experiment = experiment.experiment_id if experiment else self._client.create_experiment(sweep.name)
        self._runs: dict[int, str] = {}
        self._epochs: dict[int, int] = {}
        self._statuses: dict[int, str] = {}

    def show(self, trial: TrialState, *, final: bool = False) -> None:
        from mlflow.entities import Metric

        number = trial.number
        if number not in self._runs:
            self._find_or_begin(trial)
        now = int(time.time() * 1000)
        for epoch in range(self._epochs[number] + 1, trial.epoch + 1):
            known = trial.curve[epoch - 1].items()
            metrics = [Metric(name, value, now, epoch) for name, value in known if value is not None]
            self._client.log_batch(self._runs[number], metrics)
            self._epochs[number] = epoch
        status = _STATUSES[trial.shown_as(final=final)]
        if status != self._statuses[number]:
            self._statuses[number] = status
            if trial.reason:
                self._client.set_tag(self._runs[number], "glosstune.reason", trial.reason)
            if status == "RUNNING":
                self._client.update_run(self._runs[number], status)
            else:
                self._client.set_terminated(self._runs[number], status)

    def close(self) -> None:
        pass

    def _find_or_begin(self, trial: TrialState) -> None:
        number = trial.number
        tags = {"glosstune.sweep": self._identity, "glosstune.trial": str(number)}
        condition = " and ".join(f"tags.`{name}` = '{value}'" for name, value in tags.items())
        found = self._client.search_runs([self._experiment], condition, max_results=1)
        run = found[0] if found else self._client.create_run(self._experiment, run_name=trial_name(number), tags=tags)
        self._runs[number], self._statuses[number] = run.info.run_id, run.info.status
        written = self._client.get_metric_history(run.info.run_id, self._metric) if found else []
        self._epochs[number] = max((metric.step for metric in written), default=0)
        if not found:
            for name, value in trial.configuration.items():
                self._client.log_param(run.info.run_id, name, value)


class WandbTracker:
    """A project of the sweep's name with a group of its runs; what has stood still since it was opened is not shown."""

    def __init__(self, sweep: Sweep, identity: str, folder: Path, trials: Iterable[TrialState]) -> None:
        self._sweep = sweep
        self._identity = identity
        self._folder = folder
        self._open: dict[int, Any] = {}
        self._shown = {trial.number: trial.epoch for trial in trials if trial.status != "running"}

    def show(self, trial: TrialState, *, final: bool = False) -> None:
        number = trial.number
        if number not in self._open:
            if self._shown.get(number) == trial.epoch:
                return
            self._open[number] = self._begin(trial)
        run = self._open[number]
        # The step of a run that goes on is the next one; a new one, which offline all are, starts at 0.
        for epoch in range(max(1, run.step), trial.epoch + 1):
            known = {name: value for name, value in trial.curve[epoch - 1].items() if value is not None}
            run.log(known, step=epoch, commit=True)
        outcome = trial.shown_as(final=final)
        if outcome != "running":
            run.summary.update({"status": trial.status, "reason": trial.reason})
            self._open.pop(number).finish(exit_code=int(outcome == "failed"))
            self._shown[number] = trial.epoch

    def close(self) -> None:
        for run in self._open.values():
            run.finish()
        self._open.clear()

    def _begin(self, trial: TrialState) -> Any:
        import wandb

        return wandb.init(
            project=os.environ.get("WANDB_PROJECT") or self._sweep.name,
            group=f"{self._sweep.name}-{self._identity}",
            id=f"{self._identity}-{trial.number}",
            name=trial_name(trial.number),
            config=dict(trial.configuration),
            dir=str(self._folder),
            resume="allow",
            reinit="create_new",  # several trials run at a time
            settings=wandb.Settings(silent=True, console="off"),
        )

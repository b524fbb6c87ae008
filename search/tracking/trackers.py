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
from typing import TYPE_CHECKING, Any

from glosstune.search.config.sweep import Sweep
from glosstune.search.scheduler.trial import TrialState
from glosstune.spaces import SettingError
from glosstune.spaces.files.atomic import trial_name

if TYPE_CHECKING:
    from mlflow import MlflowClient

_REASON = "glosstune.reason"
_STATUSES = {"running": "RUNNING", "finished": "FINISHED", "failed": "FAILED", "stopped": "KILLED"}


def check_tracking(sweep: Sweep) -> None:
    """Raise SettingError unless the tool that a sweep names is installed and answers."""
    if sweep.tracking is None:
        return
    found = find_spec(sweep.tracking)
    if found is None or found.origin is None:  # W&B leaves folders of its own name, which pass for packages
        rule = f"is not installed; pip install 'glosstune[{sweep.tracking}]', or set it to null"
        raise SettingError(f"{sweep.tracking} {rule}", key="tracking")
    if sweep.tracking == "wandb":
        _check_wandb()
    elif uri := os.environ.get("MLFLOW_TRACKING_URI"):
        _check_mlflow(uri, sweep.name)


def _check_wandb() -> None:
    import wandb

    if wandb.setup().settings.mode not in ("online", "shared"):
        return
    try:
        known = wandb.login(prompt=False)
    except Exception as error:  # a key that is not valid any more, or no network
        rule = f"Weights & Biases refuses the key or does not answer ({type(error).__name__})"
        raise SettingError(f"{rule}; run 'wandb login', or set WANDB_MODE=offline", key="tracking") from None
    if not known:
        raise SettingError("wandb has no key; run 'wandb login', or set WANDB_MODE=offline", key="tracking")


def _check_mlflow(uri: str, name: str) -> None:
    try:
        experiment = _mlflow_client(uri).get_experiment_by_name(name)
    except Exception as error:
        # Neither the address nor the error's text: they may hold a password.
        rule = f"nothing that MLflow can use answers there ({type(error).__name__}); correct or unset it"
        raise SettingError(rule, key="MLFLOW_TRACKING_URI") from None
    if experiment is not None and experiment.lifecycle_stage != "active":
        rule = f"MLflow's experiment {name!r} was deleted; restore it there, or give the sweep another name"
        raise SettingError(rule, key="tracking")


def _mlflow_client(uri: str) -> "MlflowClient":
    # A server that does not answer would otherwise hold up the whole sweep for minutes, epoch after epoch.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
    from mlflow import MlflowClient

    logging.getLogger("mlflow").setLevel(logging.WARNING)  # its lines would tear the live table
    return MlflowClient(uri)


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
        self._client = _mlflow_client(os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{folder / 'mlflow.db'}")
        self._identity = identity
        experiment = self._client.get_experiment_by_name(sweep.name)
        self._experiment = experiment.experiment_id if experiment else self._client.create_experiment(sweep.name)
        self._runs: dict[int, str] = {}
        self._epochs: dict[int, int] = {}
        self._ends: dict[int, tuple[str, str]] = {}

    def show(self, trial: TrialState, *, final: bool = False) -> None:
        from mlflow.entities import Metric

        number = trial.number
        if number not in self._runs:
            self._find_or_begin(trial)
        now = int(time.time() * 1000)
        for epoch in range(self._epochs[number] + 1, trial.epoch + 1):
            known = {"epoch": epoch, **trial.curve[epoch - 1]}
            metrics = [Metric(name, value, now, epoch) for name, value in known.items() if value is not None]
            self._client.log_batch(self._runs[number], metrics)
            self._epochs[number] = epoch
        end = (_STATUSES[trial.shown_as(final=final)], trial.reason)
        if end == self._ends[number]:
            return
        self._client.set_tag(self._runs[number], _REASON, trial.reason)
        if end[0] == "RUNNING":
            self._client.update_run(self._runs[number], end[0])
        else:
            self._client.set_terminated(self._runs[number], end[0])
        self._ends[number] = end

    def close(self) -> None:
        """Nothing: every call has written what there was."""

    def _find_or_begin(self, trial: TrialState) -> None:
        number = trial.number
        tags = {"glosstune.sweep": self._identity, "glosstune.trial": str(number)}
        condition = " and ".join(f"tags.`{name}` = '{value}'" for name, value in tags.items())
        found = self._client.search_runs([self._experiment], condition, max_results=1)
        run = found[0] if found else self._client.create_run(self._experiment, run_name=trial_name(number), tags=tags)
        for name in set(trial.configuration) - set(run.data.params):
            self._client.log_param(run.info.run_id, name, trial.configuration[name])
        written = self._client.get_metric_history(run.info.run_id, "epoch") if found else []
        self._epochs[number] = max((metric.step for metric in written), default=0)
        self._ends[number] = (run.info.status, run.data.tags.get(_REASON, ""))
        self._runs[number] = run.info.run_id


class WandbTracker:
    """A project of the sweep's name with a group of its runs; a run is open only while its trial trains.

    Offline a trial that waited and went on has a folder for each part, all of one id and each with its whole curve.

    Args:
        trials: that there were already; those that stand still are not shown again.
    """

    def __init__(self, sweep: Sweep, identity: str, folder: Path, trials: Iterable[TrialState]) -> None:
        self._sweep = sweep
        self._identity = identity
        self._folder = folder
        self._open: dict[int, Any] = {}
        self._shown = {trial.number: (trial.epoch, trial.status) for trial in trials if trial.status != "running"}

    def show(self, trial: TrialState, *, final: bool = False) -> None:
        number, now = trial.number, (trial.epoch, trial.status)
        if number not in self._open:
            if self._shown.get(number) == now:
                return
            self._open[number] = self._begin(trial)
        run = self._open[number]
        # The step of a run that goes on is the next one; a new one, which offline all are, starts at 0.
        for epoch in range(max(1, run.step), trial.epoch + 1):
            known = {name: value for name, value in trial.curve[epoch - 1].items() if value is not None}
            run.log(known, step=epoch, commit=True)
        if trial.status != "running":
            run.summary.update({"status": trial.status, "reason": trial.reason})
            self._shown[number] = now
            self._open.pop(number).finish(exit_code=int(trial.status == "failed"))

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
            settings=wandb.Settings(
                silent=True,
                console="off",
                x_disable_stats=True,  # of the driver's machine, where no trial need run
                # Else a network that is gone would hold up the sweep for as long.
                init_timeout=30,
                finish_timeout=30,
                finish_timeout_raises=True,
            ),
        )

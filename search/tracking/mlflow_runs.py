"""Show the trials of a sweep in MLflow: one run a trial, however many segments it took."""

import logging
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from glosstune.results.reading.events import FAILED, FINISHED, RUNNING, STOPPED
from glosstune.results.reading.names import trial_name
from glosstune.search.config.sweep import Sweep
from glosstune.search.scheduler.trial import TrialState
from glosstune.spaces import SettingError

if TYPE_CHECKING:
    from mlflow import MlflowClient

_REASON = "glosstune.reason"
_STATUSES = {RUNNING: "RUNNING", FINISHED: "FINISHED", FAILED: "FAILED", STOPPED: "KILLED"}


def check_mlflow(uri: str, name: str) -> None:
    """Raise SettingError unless a server answers that takes runs of the sweep's name."""
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

"""Which tool a sweep names to show its trials in: MLflow or Weights & Biases, one run a trial.

Ray's own callbacks begin a run for each of Ray's trials, which here are segments, and forget them on resume. Where
runs go is for each tool's own environment variables to say (MLFLOW_TRACKING_URI, WANDB_API_KEY, WANDB_MODE, …).
Without any, MLflow's go into ``mlflow.db`` in the sweep's folder.
"""

import os
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

from glosstune.search.config.sweep import Sweep
from glosstune.search.scheduler.trial import TrialState
from glosstune.search.tracking.mlflow_runs import MLflowTracker, check_mlflow
from glosstune.search.tracking.wandb_runs import WandbTracker, check_wandb
from glosstune.spaces import SettingError


def check_tracking(sweep: Sweep) -> None:
    """Raise SettingError unless the tool that a sweep names is installed and answers."""
    if sweep.tracking is None:
        return
    found = find_spec(sweep.tracking)
    if found is None or found.origin is None:  # W&B leaves folders of its own name, which pass for packages
        rule = f'is not installed; pip install "glosstune[{sweep.tracking}]", or set it to null'
        raise SettingError(f"{sweep.tracking} {rule}", key="tracking")
    if sweep.tracking == "wandb":
        check_wandb()
    elif uri := os.environ.get("MLFLOW_TRACKING_URI"):
        check_mlflow(uri, sweep.name)


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

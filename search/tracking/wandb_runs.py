"""Show the trials of a sweep in Weights & Biases: one run a trial, however many segments it took."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from glosstune.results.reading.events import FAILED, RUNNING, Status
from glosstune.results.reading.names import trial_name
from glosstune.search.config.sweep import Sweep
from glosstune.search.scheduler.trial import TrialState
from glosstune.spaces import SettingError


def check_wandb() -> None:
    """Raise SettingError unless it works offline or has a key that is taken."""
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
        shown = (trial for trial in trials if trial.status != RUNNING)
        self._shown: dict[int, tuple[int, Status]] = {trial.number: (trial.epoch, trial.status) for trial in shown}

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
        if trial.status != RUNNING:
            run.summary.update({"status": trial.status, "reason": trial.reason})
            self._shown[number] = now
            self._open.pop(number).finish(exit_code=int(trial.status == FAILED))

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

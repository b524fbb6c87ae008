"""Every metric of every trial for TensorBoard, below ``tensorboard`` in the sweep's folder."""

from collections.abc import Mapping
from pathlib import Path

from tensorboardX import SummaryWriter

from glosstune.search.trial_state import TrialState
from glosstune.trainables.files import trial_name

TENSORBOARD = "tensorboard"


class Board:
    """Writes what a trial has newly reported; what was there when it was opened it takes for written."""

    def __init__(self, folder: Path, trials: Mapping[int, TrialState]) -> None:
        self._folder = folder / TENSORBOARD
        self._written = {number: trial.epoch for number, trial in trials.items()}
        self._open: dict[int, SummaryWriter] = {}

    def show(self, trial: TrialState, *, final: bool = False) -> None:
        """Bring one trial up to date; a file is open only while its trial runs, since thousands may wait."""
        first = self._written.get(trial.number, 0)
        if first < trial.epoch:
            if trial.number not in self._open:
                # The writer's own name ends at the second, and would write over what began in the same one.
                folder, suffix = str(self._folder / trial_name(trial.number)), f".{first:06d}"
                self._open[trial.number] = SummaryWriter(folder, filename_suffix=suffix)
            for epoch, metrics in enumerate(trial.curve[first:], start=first + 1):
                for name, value in metrics.items():
                    if value is not None:
                        self._open[trial.number].add_scalar(name, value, epoch)
            self._open[trial.number].flush()
            self._written[trial.number] = trial.epoch
        if trial.status != "running" and trial.number in self._open:
            self._open.pop(trial.number).close()

    def close(self) -> None:
        """Close every file."""
        for writer in self._open.values():
            writer.close()
        self._open.clear()

"""Load the folder of a sweep, finished or still running, as data frames."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from glosstune.results.frames import build_epochs, build_trials
from glosstune.results.record import read_record
from glosstune.spaces.errors import FolderError, SettingError


@dataclass(frozen=True, eq=False)
class Results:
    """What the trials of one sweep were given and reached.

    ``trials`` has a row a trial: its number, a column for each parameter (NA where a condition left it
    out; ``config_`` stands before a name that another column has), its end, its first lowest WER with
    the epoch, the success indicators (see ``judge_trials``), and its checkpoints. ``epochs`` has a row a
    reported epoch, with every metric. WER is a fraction; ``loss_*`` is the training loss. A trial without an
    end is ``running``.
    """

    folder: Path
    trials: pd.DataFrame
    epochs: pd.DataFrame
    target: float | None
    _configurations: Mapping[int, Mapping[str, Any]]

    @property
    def best(self) -> pd.Series:
        """The row of the trial with the lowest WER in any epoch; of equal ones, the earliest trial."""
        if self.trials["wer_best"].isna().all():
            raise FolderError(f"{self.folder}: no trial has reported a WER yet")
        return self.trials.iloc[self.trials["wer_best"].argmin()]

    def configuration(self, trial: int) -> dict[str, Any]:
        """Return what a trial was given, by the names of its space; SettingError if there is no such trial."""
        if trial not in self._configurations:
            raise SettingError(f"the sweep in {self.folder} has no trial {trial}", key="trial")
        return dict(self._configurations[trial])


def load_results(folder: Path | str) -> Results:
    """Return the results of the sweep in ``folder``; FolderError if it is none or its record is broken.

    Only the record is read, and only as JSON: checkpoints and pickles are named, never opened.
    """
    folder = Path(folder)
    record = read_record(folder)
    configurations = {number: trial.configuration for number, trial in record.trials.items()}
    epochs = build_epochs(record)
    return Results(folder, build_trials(record, epochs, folder), epochs, record.target, configurations)

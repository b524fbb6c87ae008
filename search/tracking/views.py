"""Whatever shows a sweep's trials while they run: TensorBoard's files, a study for dashboards, a tracker."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from glosstune.search.scheduler.scheduler import Scheduler
from glosstune.search.scheduler.trial import TrialState
from glosstune.search.tracking.optuna_study import OptunaStudy
from glosstune.search.tracking.tensorboard_files import TensorBoardFiles
from glosstune.search.tracking.trackers import open_tracker
from glosstune.spaces.errors import SettingError


class View(Protocol):
    """Shows trials elsewhere: nothing of it is ever read back."""

    def show(self, trial: TrialState, *, final: bool = False) -> None:
        """Bring one trial up to date; with ``final`` the driver ends."""

    def close(self) -> None:
        """Write what is still to be written."""


class Views:
    """All views of one sweep. They are for looking at: no fault of theirs, a full disk or a lost database, ends it.

    Args:
        folder: of the sweep.
        note: hears which of them is lost.
    """

    def __init__(self, scheduler: Scheduler, folder: Path, note: Callable[[str], object]) -> None:
        self._scheduler = scheduler
        self._folder = folder
        self._note = note
        files = TensorBoardFiles(folder, scheduler.state.trials)
        self._views: dict[str, View] = {"TensorBoard's files are": files}

    def open(self) -> None:
        """Bring the study for dashboards in line; SettingError if it is a database that cannot be used."""
        state = self._scheduler.state
        study = OptunaStudy(state.sweep, state.id, self._folder)
        shown = "the study for dashboards is"
        try:
            study.open(state.trials.values(), final=self._scheduler.done)
            self._views[shown] = study
        except SettingError:
            raise
        except Exception as error:  # whatever Optuna makes of a database that can be read and not written
            self._lose(shown, error)
        tracked = f"what {state.sweep.tracking} shows is"
        try:
            tracker = open_tracker(state.sweep, state.id, self._folder, state.trials.values())
            if tracker is not None:
                self._views[tracked] = tracker
        except Exception as error:  # whatever the tool or its server makes of it
            self._lose(tracked, error)

    def show(self, number: int, *, final: bool = False) -> None:
        """Bring one trial up to date everywhere; with ``final`` the driver ends."""
        trial = self._scheduler.state.trials[number]
        for what, view in list(self._views.items()):
            try:
                view.show(trial, final=final)
            except Exception as error:
                self._lose(what, error)

    def close(self) -> None:
        """Write what is still to be written."""
        for what, view in list(self._views.items()):
            try:
                view.close()
            except Exception as error:
                self._lose(what, error)

    def _lose(self, what: str, error: Exception) -> None:
        self._views.pop(what, None)
        self._note(f"{what} not kept any more ({type(error).__name__})")

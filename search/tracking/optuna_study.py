"""A copy of the sweep as an Optuna study, for dashboards: nothing ever reads it back, so it can be thrown away.

It is a journal file in the sweep's folder, or wherever the environment variable GLOSSTUNE_STUDY_URL points; that
URL may hold a password and is written nowhere.
"""

import math
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.study import StudyDirection
from optuna.trial import TrialState as OptunaState
from optuna.trial import create_trial

from glosstune.results.reading.events import FAILED, FINISHED, RUNNING, STOPPED
from glosstune.results.reading.names import STUDY
from glosstune.results.reading.objectives import MORE_IS_BETTER
from glosstune.search.config.sweep import Sweep
from glosstune.search.scheduler.ranking import lowest
from glosstune.search.scheduler.sampler import distribution
from glosstune.search.scheduler.trial import TrialState
from glosstune.spaces import SettingError
from glosstune.spaces.parameters import Parameter, Scalar

URL = "GLOSSTUNE_STUDY_URL"

_STATES = {
    RUNNING: OptunaState.RUNNING,
    FINISHED: OptunaState.COMPLETE,
    FAILED: OptunaState.FAIL,
    STOPPED: OptunaState.PRUNED,
}


def study_name(sweep: Sweep, identity: str) -> str:
    """What the study of a sweep is called; an identity is different for every sweep of a name."""
    return f"{sweep.name}-{identity}"


def open_storage(folder: Path) -> BaseStorage:
    """Where the study of the sweep in a folder is kept; SettingError if the environment names none that works."""
    url = os.environ.get(URL)
    if url is not None:
        try:
            return RDBStorage(url)
        except Exception as error:  # whatever a database makes Optuna raise
            raise _unusable(error) from None
    # The default lock is a symbolic link, which Windows refuses to ordinary users.
    path = str(folder / STUDY)
    return JournalStorage(JournalFileBackend(path, lock_obj=JournalFileOpenLock(path)))


class OptunaStudy:
    """Shows every trial with its metric by epoch; complete, pruned or failed once it has ended.

    With several objectives Optuna knows no pruned trials: whoever has reached something is complete, so that the front
    that a dashboard draws is that of the sweep.

    Args:
        identity: of the sweep, different for every one of a name.
        folder: of the sweep.

    Raises:
        SettingError: the storage that the environment names cannot be opened.
    """

    def __init__(self, sweep: Sweep, identity: str, folder: Path) -> None:
        self._sweep = sweep
        self._name = study_name(sweep, identity)
        self._path = folder / STUDY
        self._url = os.environ.get(URL)
        self._ids: dict[int, int] = {}
        self._epochs: dict[int, int] = {}
        self._ended: set[int] = set()

    def open(self, trials: Iterable[TrialState], *, final: bool = False) -> None:
        """Bring the study in line with the trials; a missing, torn or deviating one is made anew.

        While a driver is at work what waits is shown as running, for Optuna has no way back from an end.
        """
        trials = list(trials)
        try:
            self._storage = self._connect()
            study = self._storage.get_study_id_from_name(self._name)
            shown = self._storage.get_all_trials(study)
            pairs = zip(shown, trials, strict=False)
            same = len(shown) == len(trials) and all(self._agrees(kept, trial, final) for kept, trial in pairs)
        except SettingError:
            raise
        except Exception as error:  # whatever a torn file or a database makes Optuna raise
            if self._url is not None and not isinstance(error, KeyError):
                raise _unusable(error) from None
            same = False
        if same:
            self._study = study
            for kept, trial in zip(shown, trials, strict=True):
                self._ids[trial.number], self._epochs[trial.number] = kept._trial_id, trial.epoch
                if kept.state.is_finished():
                    self._ended.add(trial.number)
            return
        self._start_anew()
        for trial in trials:
            self.show(trial, final=final)

    def show(self, trial: TrialState, *, final: bool = False) -> None:
        """Bring one trial up to date; with ``final`` the driver ends, and so must what waits at a rung."""
        if trial.number in self._ended:
            return
        if trial.number not in self._ids:
            self._begin(trial)
        number = self._ids[trial.number]
        for epoch, value in self._values(trial, self._epochs[trial.number]).items():
            self._storage.set_trial_intermediate_value(number, epoch, value)
        self._epochs[trial.number] = trial.epoch
        state = self._state(trial, final)
        if state.is_finished():
            if trial.reason:
                self._storage.set_trial_user_attr(number, "reason", trial.reason)
            values = self._reached(trial) if state == OptunaState.COMPLETE else None
            self._storage.set_trial_state_values(number, state, values)
            self._ended.add(trial.number)

    def close(self) -> None:
        """Nothing: it is kept whole with every call."""

    def _begin(self, trial: TrialState) -> None:
        parameters, distributions = self._parameters(trial)
        # All epochs at once: each call is a write that is waited for, and of thousands of trials that takes minutes.
        template = create_trial(
            state=OptunaState.RUNNING,
            params=parameters,
            distributions=distributions,
            intermediate_values=self._values(trial),
        )
        self._ids[trial.number] = self._storage.create_new_trial(self._study, template)
        self._epochs[trial.number] = trial.epoch

    def _state(self, trial: TrialState, final: bool) -> OptunaState:
        state = _STATES[trial.shown_as(final=final)]
        if self._sweep.search.costs and state in (OptunaState.COMPLETE, OptunaState.PRUNED):
            known = all(map(math.isfinite, self._reached(trial))) and not trial.faulty
            return OptunaState.COMPLETE if known else OptunaState.PRUNED
        return state

    def _reached(self, trial: TrialState) -> list[float]:
        """The lowest metric, and the costs as they are."""
        costs = [trial.costs.get(name) for name in self._sweep.search.costs]
        known = [math.inf if amount is None else amount for amount in costs]
        return [lowest(trial.curve, self._sweep.search.metric), *known]

    def _values(self, trial: TrialState, first: int = 0) -> dict[int, float]:
        """The metric by epoch, of those after the ``first`` ones."""
        metric = self._sweep.search.metric
        shown = enumerate(trial.curve[first:], start=first + 1)
        return {epoch: value for epoch, metrics in shown if (value := metrics.get(metric)) is not None}

    def _parameters(self, trial: TrialState) -> tuple[dict[str, Any], dict[str, BaseDistribution]]:
        """What the space of today says about the trial's configuration; the rest it cannot show."""
        parameters: dict[str, Any] = {}
        distributions: dict[str, BaseDistribution] = {}

        def collect(label: str, parameter: Parameter) -> Scalar:
            value: Scalar = trial.configuration.get(label.partition("@")[0])
            if parameter.takes(value):
                parameters[label], distributions[label] = value, distribution(parameter)
            return value

        self._sweep.space.configuration(collect)
        return parameters, distributions

    def _agrees(self, shown: optuna.trial.FrozenTrial, trial: TrialState, final: bool) -> bool:
        same = shown.state == self._state(trial, final)
        same = same and shown.intermediate_values == self._values(trial)
        return same and shown.params == self._parameters(trial)[0]

    def _connect(self) -> BaseStorage:
        if self._url is None:
            for left in self._path.parent.glob(f"{STUDY}.lock*"):  # of a driver that was killed
                left.unlink(missing_ok=True)
        return open_storage(self._path.parent)

    def _start_anew(self) -> None:
        if self._url is None:
            self._path.unlink(missing_ok=True)
            self._storage = self._connect()
        else:
            with suppress(KeyError):
                self._storage.delete_study(self._storage.get_study_id_from_name(self._name))
        more = [name in MORE_IS_BETTER for name in self._sweep.search.objectives]
        directions = [StudyDirection.MAXIMIZE if each else StudyDirection.MINIMIZE for each in more]
        self._study = self._storage.create_new_study(directions, self._name)


def _unusable(error: Exception) -> SettingError:
    # The error's text may hold the URL.
    rule = f"cannot be used as a storage of Optuna studies ({type(error).__name__})"
    return SettingError(f"{rule}; correct or unset it", key=URL)

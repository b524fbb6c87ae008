"""Suggest configurations with Optuna's samplers, from a study that is built of what the trials really showed.

Optuna ranks a pruned trial by its last step before its value, and leaves out trials that failed or still run. So
each trial is shown as what it is worth: a trial that has come to a rung is pruned at the step that counts the rungs
it has come to, with its score there; a finished one is complete; one that was stuck, diverged or crashed is
pruned without any step, which ranks last; one that has nothing to show yet is running.
"""

from collections.abc import Container, Iterable, Sequence
from datetime import datetime
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.storages import InMemoryStorage
from optuna.trial import FrozenTrial
from optuna.trial import TrialState as OptunaState

from glosstune.results.reading.events import FAILED, FINISHED, STOPPED
from glosstune.search.scheduler.trial import TrialState
from glosstune.spaces import Choice, Float, Int, SettingError, Space
from glosstune.spaces.parameters import Parameter, Scalar
from glosstune.spaces.start_points import labelled

# Optuna stamps trials with a time; a fixed one keeps what the sampler sees a function of the record alone.
_BEGINNING = datetime(2000, 1, 1)


class Sampler:
    """Draws the configuration of a new trial; the same trials, seed and number give the same configuration.

    Args:
        space: what is searched. Trials outside of it are not shown to the sampler.
        sampler: ``tpe`` (multivariate, with constant liar) or ``random``.
        seed: of the sweep.
        startup: trials to draw at random before TPE looks at any.
        earlier: trials of other sweeps, which the sampler sees before all others.
    """

    def __init__(
        self, space: Space, sampler: str, seed: int, startup: int = 10, earlier: Sequence[TrialState] = ()
    ) -> None:
        self.space = space
        self.sampler = sampler
        self.seed = seed
        self.startup = startup
        self._earlier = [shown for trial in earlier if (shown := self._show(trial, 0)) is not None]
        self._kept: dict[int, tuple[object, FrozenTrial | None]] = {}

    def suggest(self, number: int, trials: Iterable[TrialState]) -> dict[str, Scalar]:
        """A configuration for the trial of a number.

        Args:
            trials: all trials so far, in order; only those that changed since the last call are converted again.
        """
        # Random draws look at none.
        known = () if self.sampler == "random" else trials
        shown = [*self._earlier, *(kept for trial in known if (kept := self._keep(trial)) is not None)]
        for place, trial in enumerate(shown, start=1):  # 0 is the trial that is asked for
            trial.number = place
        shelf = _Shelf(shown)
        shelf.create_new_study([optuna.study.StudyDirection.MINIMIZE], "sweep")
        asked = optuna.Study("sweep", shelf, self._sampler(number)).ask()
        return self.space.configuration(lambda label, parameter: _suggest(asked, label, parameter))

    def _sampler(self, number: int) -> BaseSampler:
        seed = int(np.random.SeedSequence([self.seed, number]).generate_state(1)[0])
        if self.sampler == "random":
            return RandomSampler(seed=seed)
        return TPESampler(seed=seed, n_startup_trials=self.startup, multivariate=True, constant_liar=True)

    def _keep(self, trial: TrialState) -> FrozenTrial | None:
        version = (trial.status, trial.rule, len(trial.scores), trial.score)
        if trial.number not in self._kept or self._kept[trial.number][0] != version:
            self._kept[trial.number] = version, self._show(trial, trial.number)
        return self._kept[trial.number][1]

    def _show(self, trial: TrialState, number: int) -> FrozenTrial | None:
        try:
            self.space.check(trial.configuration)
        except SettingError:
            return None
        return freeze(trial, self.space, number)


def freeze(trial: TrialState, space: Space, number: int) -> FrozenTrial:
    """The trial as Optuna should see it; its configuration must lie in the space."""
    parameters = labelled(space, trial.configuration)
    distributions: dict[str, BaseDistribution] = {}

    def collect(label: str, parameter: Parameter) -> Scalar:
        distributions[label] = distribution(parameter)
        return parameters[label]

    space.configuration(collect)
    state, value, steps = OptunaState.RUNNING, None, dict(enumerate(trial.scores))
    if trial.status == FAILED or trial.faulty:
        state, steps = OptunaState.PRUNED, {}
    elif trial.status == FINISHED:
        state, value = OptunaState.COMPLETE, trial.score
    elif trial.scores or trial.status == STOPPED:
        state = OptunaState.PRUNED
    return FrozenTrial(
        number=number,
        trial_id=number,
        state=state,
        value=value,
        datetime_start=_BEGINNING,
        datetime_complete=None if state == OptunaState.RUNNING else _BEGINNING,
        params=parameters,
        distributions=distributions,
        user_attrs={"reason": trial.reason} if trial.reason else {},
        system_attrs={},
        intermediate_values=steps,
    )


def distribution(parameter: Parameter) -> BaseDistribution:
    """Optuna's counterpart of a parameter."""
    if isinstance(parameter, Float):
        return FloatDistribution(parameter.low, parameter.high, step=parameter.step, log=parameter.log)
    if isinstance(parameter, Int):
        return IntDistribution(parameter.low, parameter.high, step=parameter.step, log=parameter.log)
    return CategoricalDistribution(parameter.options)


class _Shelf(InMemoryStorage):
    """A storage that shows ready trials; only the one that is asked for is really stored."""

    def __init__(self, shown: list[FrozenTrial]) -> None:
        super().__init__()
        self._shown = shown

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[OptunaState] | None = None
    ) -> list[FrozenTrial]:
        return [trial for trial in self._shown if states is None or trial.state in states]


def _suggest(trial: optuna.Trial, label: str, parameter: Parameter) -> Any:
    if isinstance(parameter, Choice):
        return trial.suggest_categorical(label, parameter.options)
    if isinstance(parameter, Int):
        return trial.suggest_int(label, parameter.low, parameter.high, step=parameter.step, log=parameter.log)
    return trial.suggest_float(label, parameter.low, parameter.high, step=parameter.step, log=parameter.log)

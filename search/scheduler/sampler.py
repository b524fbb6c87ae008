"""Suggest configurations with Optuna's samplers, from a study that is built of what the trials really showed.

Optuna ranks a pruned trial by its last step before its value, and leaves out trials that failed or still run. So
each trial is shown as what it is worth: a trial that has come to a rung is pruned at the step that counts the rungs
it has come to, with its score there; a finished one is complete; one that was stuck, diverged or crashed is
pruned without any step, which ranks last; one that has nothing to show yet is running. Most samplers other than TPE
look at complete trials alone: to them a trial that has come to a rung is complete with its score there. So it is to all
samplers where there are several objectives, for which Optuna has no pruning.
"""

import math
import warnings
from collections.abc import Callable, Container, Iterable, Sequence
from datetime import datetime
from inspect import signature
from random import Random
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.storages import InMemoryStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial
from optuna.trial import TrialState as OptunaState

from glosstune.results.reading.events import FINISHED, PAUSED, STOPPED
from glosstune.results.reading.objectives import weigh
from glosstune.search.config.sweep import Sweep
from glosstune.search.scheduler.trial import TrialState
from glosstune.spaces import Choice, Float, Int, SettingError, Space
from glosstune.spaces.errors import told
from glosstune.spaces.parameters import Parameter, Scalar, conditions
from glosstune.spaces.parts import is_own, load_part
from glosstune.spaces.start_points import labelled

# Optuna stamps trials with a time; a fixed one keeps what the sampler sees a function of the record alone.
_BEGINNING = datetime(2000, 1, 1)
_KEY = "search.sampler"


class Sampler:
    """Draws the configuration of a new trial; the same trials, seed and number give the same configuration.

    Args:
        space: what is searched. Trials outside of it are not shown to the sampler.
        sampler: ``tpe`` (multivariate, with constant liar), ``random``, or ``package.module:Name`` of any of Optuna's
            or one's own, which is made anew for each trial with ``seed`` where it takes one.
        seed: of the sweep.
        startup: trials to draw at random before the sampler looks at any.
        earlier: trials of other sweeps, which the sampler sees before all others.
        notes: what CMA-ES and the like keep with the trials they have drawn, by number; added to.
        costs: objectives beside the score.
    """

    def __init__(
        self,
        space: Space,
        sampler: str,
        seed: int,
        startup: int = 10,
        earlier: Sequence[TrialState] = (),
        notes: dict[int, dict[str, Any]] | None = None,
        costs: Sequence[str] = (),
    ) -> None:
        self.costs = costs
        self.space = space
        self.sampler = sampler
        self.seed = seed
        self.startup = startup
        self._earlier = [shown for trial in earlier if (shown := self._show(trial, 0)) is not None]
        self._kept: dict[int, tuple[object, FrozenTrial | None]] = {}
        self._notes = {} if notes is None else notes

    def suggest(self, number: int, trials: Iterable[TrialState]) -> dict[str, Scalar]:
        """A configuration for the trial of a number.

        Args:
            trials: all trials so far, in order; only those that changed since the last call are converted again.

        Raises:
            SettingError: a sampler of one's own fails.
        """
        # Random draws look at none.
        known = () if self.sampler == "random" else trials
        shown = [*self._earlier, *(kept for trial in known if (kept := self._keep(trial)) is not None)]
        for place, trial in enumerate(shown, start=1):  # 0 is the trial that is asked for
            trial.number = place
        shelf = _Shelf(shown)
        shelf.create_new_study([StudyDirection.MINIMIZE] * (1 + len(self.costs)), "sweep")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)  # which most samplers of Optuna are
            warnings.simplefilter("ignore", FutureWarning)  # of arguments that they will not have for ever
            try:
                asked = optuna.Study("sweep", shelf, self._sampler(number)).ask()
                drawn = self.space.configuration(lambda label, parameter: _suggest(asked, label, parameter))
            except (Exception, SystemExit) as error:
                if not is_own(self.sampler) or isinstance(error, SettingError):
                    raise
                raise SettingError(f"{self.sampler} fails ({told(error)})", key=_KEY) from error
        if is_own(self.sampler):
            self._notes[number] = shelf.get_trial(0).system_attrs
            drawn = {name: value.item() if isinstance(value, np.generic) else value for name, value in drawn.items()}
            try:
                self.space.check(drawn)
            except SettingError as error:
                raise SettingError(f"{self.sampler} draws what the space has not: {error}", key=_KEY) from None
        return drawn

    def _sampler(self, number: int) -> BaseSampler:
        seed = int(np.random.SeedSequence([self.seed, number]).generate_state(1)[0])
        if self.sampler == "random":
            return RandomSampler(seed=seed)
        if self.sampler == "tpe":
            return TPESampler(seed=seed, n_startup_trials=self.startup, multivariate=True, constant_liar=True)
        made = load_part(self.sampler, _KEY)
        known = {"seed": seed, "n_startup_trials": self.startup, "warn_independent_sampling": False}
        sampler = made(**{name: value for name, value in known.items() if name in signature(made).parameters})
        if not isinstance(sampler, BaseSampler):
            raise SettingError(f"{self.sampler} is no sampler of Optuna, but {type(sampler).__name__}", key=_KEY)
        return sampler

    def _keep(self, trial: TrialState) -> FrozenTrial | None:
        version = (trial.status, trial.rule, len(trial.scores), trial.score)
        if trial.number not in self._kept or self._kept[trial.number][0] != version:
            shown = self._show(trial, trial.number)
            if shown is not None:
                shown.system_attrs = self._notes.get(trial.number, {})
            self._kept[trial.number] = version, shown
        return self._kept[trial.number][1]

    def _show(self, trial: TrialState, number: int) -> FrozenTrial | None:
        try:
            self.space.check(trial.configuration)
        except SettingError:
            return None
        shown = freeze(trial, self.space, number)
        judged = shown.state == OptunaState.PRUNED and bool(shown.intermediate_values)
        if judged and (self.costs or is_own(self.sampler)):
            shown.state, shown.value = OptunaState.COMPLETE, trial.scores[-1]
        if self.costs and shown.state == OptunaState.COMPLETE:
            shown.values, shown.intermediate_values = [shown.value, *weigh(trial.costs, self.costs)], {}
            if not all(map(math.isfinite, shown.values)):
                shown.state, shown.values = OptunaState.PRUNED, None
        return shown


def check_sampler(sweep: Sweep, say: Callable[[str], object]) -> None:
    """Try a sampler of one's own before the sweep begins, and say which parameters it may not learn about.

    Raises:
        SettingError: it cannot be made, lacks a package, or would draw all trials of the sweep at random.
    """
    name, samples = sweep.search.sampler, sweep.search.samples
    if not is_own(name):
        return
    try:
        arguments = signature(load_part(name, _KEY)).parameters
    except (TypeError, ValueError) as error:
        raise SettingError(f"{name} is no class that can be called ({error})", key=_KEY) from error
    first = arguments["population_size"].default if "population_size" in arguments else 0
    if isinstance(first, int) and first >= samples:
        rule = f"{name} draws its first {first} trials at random, and search.samples is {samples}"
        raise SettingError(f"{rule}; set more, or use another sampler", key=_KEY)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    # As many made-up trials as it takes to have every one of Optuna's past its random start.
    tried = Sampler(sweep.space, name, sweep.search.seed, startup=4, costs=sweep.search.costs)
    drawn, trials = Random(sweep.search.seed), list[TrialState]()
    for number in range(8):
        score = 1 / (number + 1)
        trial = TrialState(number, sweep.space.sample(drawn), name, scores=[score], score=score, status=PAUSED)
        trial.costs = dict.fromkeys(sweep.search.costs, number + 1.0)
        trials.append(trial)
    if len({repr(tried.suggest(len(trials) + number, trials)) for number in range(3)}) == 1 and not fixed(sweep.space):
        rule = f"{name} draws the same for every trial; it may keep its state in the study, which is made anew for each"
        raise SettingError(f"{rule}; use another sampler", key=_KEY)
    dependent = [each for each in sweep.space if any(conditions(one.when) for one in sweep.space[each])]
    if dependent:
        say(f"{_KEY}: samplers other than tpe draw what depends on other parameters at random: {', '.join(dependent)}")


def fixed(space: Space) -> bool:
    """Whether a space has so few configurations that equal ones say nothing of who draws them."""
    drawn = Random(0)
    return len({repr(space.sample(drawn)) for _ in range(20)}) < 10


def freeze(trial: TrialState, space: Space, number: int) -> FrozenTrial:
    """The trial as Optuna should see it; its configuration must lie in the space."""
    parameters = labelled(space, trial.configuration)
    distributions: dict[str, BaseDistribution] = {}

    def collect(label: str, parameter: Parameter) -> Scalar:
        distributions[label] = distribution(parameter)
        return parameters[label]

    space.configuration(collect)
    state, value, steps = OptunaState.RUNNING, None, dict(enumerate(trial.scores))
    if trial.faulty:
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

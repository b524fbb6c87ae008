"""Ask Optuna for the configurations of a space that has conditions."""

import optuna
from optuna.samplers import TPESampler

from glosstune.spaces import Choice, Float, Int, Space
from glosstune.spaces.parameters import Scalar


def tpe(seed: int) -> TPESampler:
    """The sampler of every baseline that uses TPE: multivariate and with constant liar, as this project's own is."""
    return TPESampler(seed=seed, n_startup_trials=10, multivariate=True, constant_liar=True)


def draw(space: Space, trial: optuna.Trial) -> dict[str, Scalar]:
    """The configuration that a trial of Optuna stands for."""

    def suggest(label: str, parameter: Float | Int | Choice) -> Scalar:
        if isinstance(parameter, Choice):
            return trial.suggest_categorical(label, parameter.options)
        if isinstance(parameter, Int):
            return trial.suggest_int(label, parameter.low, parameter.high, step=parameter.step, log=parameter.log)
        return trial.suggest_float(label, parameter.low, parameter.high, step=parameter.step, log=parameter.log)

    return space.configuration(suggest)

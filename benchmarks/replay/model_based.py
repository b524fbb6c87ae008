"""SMAC3 with its multi-fidelity facade (random forest and Hyperband), if it is installed."""

import tempfile
from typing import Any

import ConfigSpace
from smac import MultiFidelityFacade, Scenario
from smac.runhistory.dataclasses import TrialInfo, TrialValue

from glosstune.search.config.sweep import Sweep
from glosstune.spaces import Choice, Int, Space
from glosstune.spaces.conditions import labels
from glosstune.spaces.parameters import Constant, Parameter, conditions
from glosstune.spaces.start_points import labelled
from replay.simulator import Metrics, Verdict
from replay.surrogate import Configuration


class Smac:
    """Every request of SMAC is a configuration and a number of epochs; one that it knows is trained on, not anew."""

    def __init__(self, sweep: Sweep) -> None:
        self._sweep = sweep
        self._folder = tempfile.TemporaryDirectory(prefix="smac-")  # gone with this object
        space = _configuration_space(sweep.space, sweep.search.seed)
        scenario = Scenario(
            space,
            deterministic=True,
            n_trials=sweep.search.samples,
            min_budget=sweep.halving.min_epochs,
            max_budget=sweep.training.epochs,
            seed=sweep.search.seed,
            output_directory=self._folder.name,
        )
        points = [ConfigSpace.Configuration(space, labelled(sweep.space, point)) for point in sweep.start_points]
        self._facade = MultiFidelityFacade(
            scenario,
            _never_called,
            # Ten, as many as TPE draws before it looks at any.
            initial_design=MultiFidelityFacade.get_initial_design(
                scenario, n_configs=max(0, 10 - len(points)), additional_configs=points
            ),
            intensifier=MultiFidelityFacade.get_intensifier(scenario, eta=sweep.halving.reduction),
            logging_level=False,
            overwrite=True,
        )
        self._numbers: dict[ConfigSpace.Configuration, int] = {}
        self._wers: dict[int, list[float]] = {}
        self._asked: dict[int, TrialInfo] = {}  # by the trial that runs for it
        self._postponed: list[TrialInfo] = []

    def next_trial(self) -> tuple[int, Configuration] | None:
        while True:
            asked = self._next_request()
            number = self._numbers.setdefault(asked.config, len(self._numbers))
            wers = self._wers.setdefault(number, [])
            if number in self._asked:
                self._postponed.append(asked)  # until the trial has come to the epoch it runs to
            elif len(wers) < asked.budget:
                self._asked[number] = asked
                return number, _as_configuration(self._sweep.space, asked.config)
            else:
                self._facade.tell(asked, TrialValue(wers[int(asked.budget) - 1]), save=False)

    def _next_request(self) -> TrialInfo:
        for place, asked in enumerate(self._postponed):
            if self._numbers[asked.config] not in self._asked:
                return self._postponed.pop(place)
        return self._facade.ask()

    def report(self, number: int, epoch: int, metrics: Metrics) -> Verdict:
        wer = metrics["wer"]
        assert wer is not None
        self._wers[number].append(wer)
        if epoch < self._asked[number].budget:
            return Verdict.GO_ON
        self._facade.tell(self._asked.pop(number), TrialValue(wer), save=False)
        return Verdict.WAIT if epoch < self._sweep.training.epochs else Verdict.END

    def restart(self) -> None:
        raise NotImplementedError("its run history is not saved")


def _as_configuration(space: Space, values: ConfigSpace.Configuration) -> Configuration:
    def value(label: str, parameter: Parameter) -> Any:
        given = values[label]
        return given.item() if hasattr(given, "item") else given  # NumPy's scalars as Python's own

    return space.configuration(value)


def _configuration_space(space: Space, seed: int) -> ConfigSpace.ConfigurationSpace:
    """The space with a hyperparameter for each label; parents have one definition, which is called as they are."""
    made = ConfigSpace.ConfigurationSpace(seed=seed)
    for name, alternatives in space.items():
        for label, definition in zip(labels(name, alternatives), alternatives, strict=True):
            if not isinstance(definition, Constant):
                made.add(_hyperparameter(label, definition))
    for name, alternatives in space.items():
        for label, definition in zip(labels(name, alternatives), alternatives, strict=True):
            for parent, values in conditions(definition.when).items():
                made.add(ConfigSpace.InCondition(made[label], made[parent], list(values)))
    return made


def _hyperparameter(label: str, parameter: Parameter) -> Any:
    if isinstance(parameter, Choice):
        return ConfigSpace.CategoricalHyperparameter(label, list(parameter.options))
    if isinstance(parameter, Int):
        return ConfigSpace.UniformIntegerHyperparameter(label, parameter.low, parameter.high, log=parameter.log)
    return ConfigSpace.UniformFloatHyperparameter(label, parameter.low, parameter.high, log=parameter.log)


def _never_called(configuration: ConfigSpace.Configuration, seed: int = 0, budget: float = 0) -> float:
    raise NotImplementedError("SMAC is asked and told")

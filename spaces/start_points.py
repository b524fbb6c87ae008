"""Configurations to try before a sampler suggests any: what each strategy's author used, as far as a space has it."""

from collections.abc import Mapping

from glosstune.spaces.parameters import Choice, Float, Int, Parameter, Scalar, listed
from glosstune.spaces.space import Space
from glosstune.spaces.strategies import STRATEGIES, Strategy

# What the strategies leave open. Dropout 0.1, not 0.3, is what their author's overfitting test calls for.
_OPEN: Mapping[str, Scalar] = {"dropout": 0.1, "warmup_epochs": 2}


def strategy_points(space: Space, depths: Mapping[str, str]) -> list[dict[str, Scalar]]:
    """A configuration of the space for each strategy that it offers, those last that begin without pretrained weights.

    A value of the strategy that the space does not offer gives way to the nearest one that it does; what
    neither the strategy nor this module names is the middle of its range, or the first choice.

    Args:
        depths: the layer that each of ``strategies.DEPTHS`` means in the model (see ``models.Architecture``).
    """
    offered = dict.fromkeys(str(option) for definition in space.get("strategy", ()) for option in listed(definition))
    strategies = sorted((STRATEGIES[name] for name in offered), key=lambda strategy: not strategy.pretrained)
    return [_point(space, strategy, depths) for strategy in strategies]


def labelled(space: Space, configuration: Mapping[str, Scalar]) -> dict[str, Scalar]:
    """The searched values of a configuration under the labels that ``Space.configuration`` asks for them by."""
    values: dict[str, Scalar] = {}

    def suggest(label: str, parameter: Parameter) -> Scalar:
        values[label] = configuration[label.partition("@")[0]]
        return values[label]

    space.configuration(suggest)
    return values


def _point(space: Space, strategy: Strategy, depths: Mapping[str, str]) -> dict[str, Scalar]:
    wanted = {
        **_OPEN,
        "strategy": strategy.name,
        "freeze_until": None if strategy.freeze_until is None else depths[strategy.freeze_until],
        "unfreeze_stages": strategy.unfreeze_stages,
        "learning_rate": strategy.learning_rate,
        "batch_size": strategy.batch_size,
    }
    return space.configuration(lambda label, parameter: _nearest(parameter, wanted.get(label.partition("@")[0])))


def _nearest(parameter: Parameter, wanted: Scalar) -> Scalar:
    if parameter.takes(wanted):
        return wanted
    if isinstance(parameter, Choice):
        return parameter.options[0]
    if isinstance(wanted, int | float):
        return within(parameter, min(max(wanted, parameter.low), parameter.high))
    middle = (parameter.low * parameter.high) ** 0.5 if parameter.log else (parameter.low + parameter.high) / 2
    return within(parameter, middle)


def within(parameter: Float | Int, value: float) -> Scalar:
    """The parameter's value nearest to one between its bounds."""
    if parameter.step is not None:
        value = parameter.low + round((value - parameter.low) / parameter.step) * parameter.step
        value = value if value <= parameter.high else value - parameter.step
    return round(value) if isinstance(parameter, Int) else float(value)

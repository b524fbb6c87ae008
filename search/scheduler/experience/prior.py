"""Draw configurations like those that did best in other sweeps."""

import math
import random
from collections.abc import Sequence

from glosstune.search.scheduler.experience.known import Configuration, KnownSweep
from glosstune.spaces import Choice, Int, Space
from glosstune.spaces.parameters import Parameter, Scalar
from glosstune.spaces.start_points import within

# Standard deviation of what is drawn around a value: in decades, and as a share of the range.
_DECADES, _SHARE = 0.15, 0.1
# Two configurations are apart by their strategies, and by at most as much for each of these: by as many decades, or by
# as much, they count as different.
_APART = {"learning_rate": 0.5, "warmup_epochs": 3.0, "dropout": 0.4}
_LOGARITHMIC = ("learning_rate",)
# These mean the same in every sweep; names of layers and the like do not.
_SHARED = ("strategy", "learning_rate", "warmup_epochs", "dropout", "unfreeze_stages", "temperature", "alpha")


class Prior:
    """Configurations near the best ones of other sweeps, where the space has them.

    Source: the mixture of expert and uniform priors of Mallik et al. 2023 (PriorBand), with recorded trials for the
    expert.

    Args:
        known: other sweeps, each of which counts alike.
    """

    def __init__(self, known: Sequence[KnownSweep]) -> None:
        self._best = [each.best for each in known]
        self._middle = _middle([configuration for best in self._best for configuration in best])

    def draw(self, space: Space, generator: random.Random) -> dict[str, Scalar]:
        """A configuration near a good one of a sweep; what the space does not offer of it is drawn evenly."""
        return self._near(generator.choice(generator.choice(self._best)), space, generator, 1.0)

    def first(self, space: Space, generator: random.Random) -> dict[str, Scalar]:
        """The good configuration that is most like all the others, as far as the space offers it."""
        return self._near(self._middle, space, generator, 0.0)

    def _near(self, wanted: Configuration, space: Space, generator: random.Random, spread: float) -> dict[str, Scalar]:
        def suggest(label: str, parameter: Parameter) -> Scalar:
            name, even, drawn = label.partition("@")[0], parameter.sample(generator), generator.gauss(0.0, spread)
            return _beside(parameter, wanted[name], even, drawn) if name in _SHARED and name in wanted else even

        return space.configuration(suggest)


def _middle(configurations: Sequence[Configuration]) -> Configuration:
    def apart(one: Configuration, other: Configuration) -> float:
        far = float(one.get("strategy") != other.get("strategy"))
        for name, width in _APART.items():
            values = [value for each in (one, other) if isinstance(value := each.get(name), int | float)]
            if len(values) == 2:
                first, second = (math.log10(value) if name in _LOGARITHMIC else value for value in values)
                far += min(1.0, abs(first - second) / width)
        return far

    return min(configurations, key=lambda one: sum(apart(one, other) for other in configurations))


def _beside(parameter: Parameter, value: Scalar, even: Scalar, drawn: float) -> Scalar:
    if isinstance(parameter, Choice):
        return value if value in parameter.options else even
    if isinstance(value, str | bool | None) or not parameter.low <= value <= parameter.high:
        return even
    if isinstance(parameter, Int):
        return within(parameter, value)
    if parameter.log:
        near = value * 10 ** (_DECADES * drawn)
    else:
        near = value + _SHARE * (parameter.high - parameter.low) * drawn
    return within(parameter, min(max(near, parameter.low), parameter.high))

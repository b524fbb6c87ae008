"""What one parameter may be: Float, Int, Choice or a constant, each with the condition under which it exists."""

import math
import random
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from decimal import Decimal

from glosstune.spaces.errors import SettingError, shown

Scalar = str | int | float | bool | None
When = Mapping[str, Scalar | Sequence[Scalar]]

# Readers of YAML 1.1, such as PyYAML, ask for a dot and a signed exponent, and so take 1e-5 for text.
SCIENTIFIC = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+", re.ASCII)

# Beyond it Optuna, which keeps whole numbers as floats, cannot tell neighbours apart.
_LARGEST_INT = 2**53
_MOST_STEPS = 1_000_000
_NOT_ON_GRID = "step must divide high - low; got step={} from low={} to high={}"


def same(first: object, second: object) -> bool:
    """Whether two values are equal, with true and 1 told apart."""
    return isinstance(first, bool) == isinstance(second, bool) and bool(first == second)


def conditions(when: When | None) -> dict[str, tuple[Scalar, ...]]:
    """The allowed values of every parameter that a condition names; no condition gives an empty mapping.

    Raises:
        SettingError: it is no mapping of names to values or lists of values.
    """
    if when is None:
        return {}
    _require(isinstance(when, Mapping), f"when must be a mapping of parameter to value; got {shown(when)}")
    allowed: dict[str, tuple[Scalar, ...]] = {}
    for name, values in when.items():
        _require(isinstance(name, str), f"when must name parameters by text; got {shown(name)}")
        several = isinstance(values, Sequence) and not isinstance(values, str)
        allowed[name] = _options(f"when: {name}", values if several else (values,))
    return allowed


@dataclass(frozen=True)
class Float:
    """A number from ``low`` to ``high``, both included; ``log`` draws its logarithm evenly, ``step`` makes a grid.

    Raises:
        SettingError: bounds that are no finite numbers or not in order, log from 0 or with a step,
            a step that is not positive or does not lead from low to high.
    """

    low: float
    high: float
    _: KW_ONLY
    log: bool = False
    step: float | None = None
    when: When | None = field(default=None, hash=False)

    def __post_init__(self) -> None:
        for name in ("low", "high") if self.step is None else ("low", "high", "step"):
            value = getattr(self, name)
            _require(_is_number(value), f"{name} must be a finite number; got {shown(value)}")
            object.__setattr__(self, name, float(value))
        _check_range(self.low, self.high, self.log)
        if self.step is not None:
            _require(not self.log, f"step must be left out when log is true; got {self.step!r}")
            _check_float_step(self.low, self.high, self.step)
        object.__setattr__(self, "when", conditions(self.when))

    @property
    def rule(self) -> str:
        """What a value must be, in words."""
        return f"a number from {self.low!r} to {self.high!r}" + (f" in steps of {self.step!r}" if self.step else "")

    def takes(self, value: object) -> bool:
        """Whether the value is a number in this range and, with a step, on its grid."""
        if not isinstance(value, int | float) or not _is_number(value) or not self.low <= value <= self.high:
            return False
        steps = (value - self.low) / self.step if self.step else 0.0
        # The tolerance is Optuna's, so that each accepts the other's values.
        return abs(steps - round(steps)) < 1e-8

    def sample(self, generator: random.Random) -> float:
        """A value drawn evenly, on the logarithm's scale where ``log`` is set."""
        if self.step is not None:
            low, step = Decimal(str(self.low)), Decimal(str(self.step))
            return float(low + step * generator.randint(0, _step_count(self.low, self.high, self.step)))
        if self.log:
            value = math.exp(generator.uniform(math.log(self.low), math.log(self.high)))
        else:
            value = generator.uniform(self.low, self.high)
        return min(max(value, self.low), self.high)  # rounding may step over a bound


@dataclass(frozen=True)
class Int:
    """A whole number from ``low`` to ``high``, both included; ``log`` draws its logarithm, ``step`` makes a grid.

    Raises:
        SettingError: bounds that are no whole numbers or not in order, log from 0 or with a step,
            a step that is not positive or does not lead from low to high.
    """

    low: int
    high: int
    _: KW_ONLY
    log: bool = False
    step: int = 1
    when: When | None = field(default=None, hash=False)

    def __post_init__(self) -> None:
        for name in ("low", "high", "step"):
            value = getattr(self, name)
            whole = isinstance(value, int) and not isinstance(value, bool) and abs(value) <= _LARGEST_INT
            _require(whole, f"{name} must be a whole number within ±2**53; got {shown(value)}")
        _check_range(self.low, self.high, self.log)
        _require(self.step > 0, f"step must be greater than 0; got {self.step}")
        _require(self.step == 1 or not self.log, f"step must be 1 when log is true; got {self.step}")
        if (self.high - self.low) % self.step:
            raise SettingError(_NOT_ON_GRID.format(self.step, self.low, self.high))
        object.__setattr__(self, "when", conditions(self.when))

    @property
    def rule(self) -> str:
        """What a value must be, in words."""
        return f"a whole number from {self.low} to {self.high}" + (f" in steps of {self.step}" * (self.step != 1))

    def takes(self, value: object) -> bool:
        """Whether the value is a whole number in this range and on its grid."""
        return (
            isinstance(value, int)
            and not isinstance(value, bool)
            and self.low <= value <= self.high
            and (value - self.low) % self.step == 0
        )

    def sample(self, generator: random.Random) -> int:
        """A value drawn evenly, on the logarithm's scale where ``log`` is set."""
        if not self.log:
            return generator.randrange(self.low, self.high + 1, self.step)
        # Half a unit on either side gives the two ends the share of every other number.
        value = math.exp(generator.uniform(math.log(self.low - 0.5), math.log(self.high + 0.5)))
        return min(max(round(value), self.low), self.high)


@dataclass(frozen=True)
class Choice:
    """One of the options, without an order: text, numbers, true, false or None.

    Raises:
        SettingError: no options, an option twice, or one that is no plain value.
    """

    options: Sequence[Scalar]
    _: KW_ONLY
    when: When | None = field(default=None, hash=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "options", _options("options", self.options))
        object.__setattr__(self, "when", conditions(self.when))

    @property
    def rule(self) -> str:
        """What a value must be, in words."""
        return "one of " + ", ".join(map(shown, self.options))

    def takes(self, value: object) -> bool:
        """Whether the value is one of the options."""
        return any(same(option, value) for option in self.options)

    def sample(self, generator: random.Random) -> Scalar:
        """An option drawn evenly."""
        return self.options[generator.randrange(len(self.options))]


@dataclass(frozen=True)
class Constant:
    """A value that is never searched, under a condition or always.

    Raises:
        SettingError: it is neither text nor a finite number, true, false or None.
    """

    value: Scalar
    _: KW_ONLY
    when: When | None = field(default=None, hash=False)

    def __post_init__(self) -> None:
        _check_scalar("a constant", self.value)
        object.__setattr__(self, "when", conditions(self.when))

    @property
    def rule(self) -> str:
        """What a value must be, in words."""
        return shown(self.value)

    def takes(self, value: object) -> bool:
        """Whether it is this value."""
        return same(self.value, value)


Parameter = Float | Int | Choice
Definition = Parameter | Constant


def listed(definition: Definition) -> tuple[Scalar, ...]:
    """Every value of a choice or a constant, the bounds of a range."""
    if isinstance(definition, Choice):
        return tuple(definition.options)
    return (definition.value,) if isinstance(definition, Constant) else (definition.low, definition.high)


def _require(holds: bool, rule: str) -> None:
    if not holds:
        raise SettingError(rule)


def _is_number(value: object) -> bool:
    largest = sys.float_info.max
    return isinstance(value, int | float) and not isinstance(value, bool) and -largest <= value <= largest


def _check_range(low: float, high: float, log: bool) -> None:
    _require(isinstance(log, bool), f"log must be true or false; got {shown(log)}")
    _require(low < high, f"low must be less than high; got low={low!r} and high={high!r}")
    _require(not log or low > 0, f"low must be greater than 0 when log is true; got {low!r}")
    _require(high - low <= sys.float_info.max, f"high - low must be finite; got low={low!r} and high={high!r}")


def _check_float_step(low: float, high: float, step: float) -> None:
    _require(step > 0, f"step must be greater than 0; got {step!r}")
    most = (high - low) / step <= _MOST_STEPS
    _require(most, f"step must leave at most {_MOST_STEPS} values from low to high; got {step!r}")
    # Optuna moves a bound that is off the grid and warns; a sweep file should say what is searched.
    reached = Decimal(str(low)) + Decimal(str(step)) * _step_count(low, high, step)
    _require(reached == Decimal(str(high)), _NOT_ON_GRID.format(step, low, high))


def _step_count(low: float, high: float, step: float) -> int:
    # In decimal digits as written: 0.3 / 0.1 is 3, which floats deny.
    return int((Decimal(str(high)) - Decimal(str(low))) / Decimal(str(step)))


def _options(name: str, values: object) -> tuple[Scalar, ...]:
    if not isinstance(values, Sequence) or isinstance(values, str) or not values:
        raise SettingError(f"{name} must be a list of at least one value; got {shown(values)}")
    for position, value in enumerate(values):
        _check_scalar(f"{name}: a value", value)
        # Plain equality: Optuna cannot tell 1 from true among the options of one choice.
        _require(value not in values[:position], f"{name} must differ from each other; got {shown(value)} twice")
    return tuple(values)


def _check_scalar(name: str, value: object) -> None:
    plain = value is None or isinstance(value, str | bool) or _is_number(value)
    _require(plain, f"{name} must be text, a finite number, true, false or null; got {shown(value)}")
    misread = isinstance(value, str) and SCIENTIFIC.fullmatch(value) is not None
    _require(not misread, f"{name} must be written as a number, not as the text {value!r}")

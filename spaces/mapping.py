"""The definitions of one parameter as plain data, the form they have in a sweep file."""

from collections.abc import Mapping
from typing import Any

from glosstune.spaces.errors import SettingError, shown, unknown_key
from glosstune.spaces.parameters import Choice, Constant, Definition, Float, Int, Scalar, conditions

_OPTIONS = {
    "float": ("float", "log", "step", "when"),
    "int": ("int", "log", "step", "when"),
    "choice": ("choice", "when"),
    "constant": ("constant", "when"),
}


def read_definitions(name: str, value: object) -> tuple[Definition, ...]:
    """The definitions that stand under one name of a space.

    Raises:
        SettingError: unknown or missing keys, bounds that are no pair, or arguments a definition refuses.
    """
    if isinstance(value, Mapping):
        return (_read(name, value),)
    if not isinstance(value, list | tuple):
        return (_read(name, {"constant": value}),)
    if not value or not all(isinstance(item, Mapping) for item in value):
        rule = f"must be a definition, a list of definitions or a constant; got {shown(value)}"
        raise SettingError(f"{rule}; write {{float: [low, high]}}, {{int: ...}} or {{choice: [...]}}", key=name)
    return tuple(_read(f"{name}[{position}]", item) for position, item in enumerate(value))


def write_definitions(definitions: tuple[Definition, ...]) -> object:
    """The plain data that read_definitions turns back into these definitions."""
    written = [_write(definition) for definition in definitions]
    return written[0] if len(written) == 1 else written


def _read(key: str, entry: Mapping[object, object]) -> Definition:
    kinds = [kind for kind in _OPTIONS if kind in entry]
    if len(kinds) != 1:
        rule = f"must have one of the keys {', '.join(_OPTIONS)}; got {shown(dict(entry))}"
        raise SettingError(rule, key=key)
    kind = kinds[0]
    for option in entry:
        if option not in _OPTIONS[kind]:
            raise SettingError(unknown_key(option, _OPTIONS[kind]), key=f"{key}.{option}")
    arguments = {str(option): value for option, value in entry.items()}
    try:
        return _build(kind, arguments.pop(kind), arguments)
    except SettingError as error:
        raise SettingError(error.rule, key=key) from None


def _build(kind: str, main: Any, arguments: dict[str, Any]) -> Definition:
    # A file holds values of any type; the definitions check them where they are made.
    if kind == "constant":
        return Constant(main, **arguments)
    if kind == "choice":
        return Choice(main, **arguments)
    if not isinstance(main, list | tuple) or len(main) != 2:
        raise SettingError(f"{kind} must be a pair [low, high]; got {shown(main)}")
    return Float(*main, **arguments) if kind == "float" else Int(*main, **arguments)


def _write(definition: Definition) -> object:
    when = {name: _one_or_list(values) for name, values in conditions(definition.when).items()}
    condition = {"when": when} if when else {}
    if isinstance(definition, Constant):
        return {"constant": definition.value, **condition} if when else definition.value
    if isinstance(definition, Choice):
        return {"choice": list(definition.options), **condition}
    entry: dict[str, object] = {type(definition).__name__.lower(): [definition.low, definition.high]}
    if definition.log:
        entry["log"] = True
    if definition.step != (None if isinstance(definition, Float) else 1):
        entry["step"] = definition.step
    return entry | condition


def _one_or_list(values: tuple[Scalar, ...]) -> object:
    return values[0] if len(values) == 1 else list(values)

"""How the parameters of a space depend on each other: their order, what can hold, and what each is called."""

import json
from collections.abc import Mapping
from graphlib import CycleError, TopologicalSorter

from glosstune.spaces.errors import SettingError, shown, unknown_key
from glosstune.spaces.parameters import Definition, Float, Scalar, conditions, same

Definitions = Mapping[str, tuple[Definition, ...]]
Allowed = dict[str, tuple[Scalar, ...]]


def holding(definitions: tuple[Definition, ...], values: Mapping[str, object]) -> int | None:
    """The position of the definition whose conditions all hold under the values, or None."""
    for position, definition in enumerate(definitions):
        allowed = conditions(definition.when)
        if all(parent in values and _among(values[parent], options) for parent, options in allowed.items()):
            return position
    return None


def dependency_order(definitions: Definitions) -> tuple[str, ...]:
    """The names, parents first and otherwise by the alphabet, so that no order of writing shows through.

    Raises:
        SettingError: a condition names a parameter that is not there, or conditions run in a circle.
    """
    sorter: TopologicalSorter[str] = TopologicalSorter()
    for name in sorted(definitions):
        parents = sorted({parent for definition in definitions[name] for parent in conditions(definition.when)})
        for parent in parents:
            if parent not in definitions:
                raise SettingError(f"when: {parent}: {unknown_key(parent, definitions)}", key=name)
        sorter.add(name, *parents)
    try:
        sorter.prepare()
    except CycleError as error:
        circle = error.args[1]
        raise SettingError(f"when: conditions run in a circle: {' -> '.join(circle)}", key=circle[0]) from None
    order: list[str] = []
    while sorter.is_active():
        ready = sorted(sorter.get_ready())
        order += ready
        sorter.done(*ready)
    return tuple(order)


def check_conditions(definitions: Definitions) -> None:
    """Require that every condition can hold and that no two definitions of one name hold at once.

    The definitions must be free of circles (see dependency_order).

    Raises:
        SettingError: a condition asks for a value that its parent never takes, conditions exclude
            each other, or two definitions of one name can hold at once.
    """
    for name, alternatives in definitions.items():
        for definition in alternatives:
            _check_parents(name, conditions(definition.when), definitions)
        for position, definition in enumerate(alternatives):
            allowed = conditions(definition.when)
            if not _possible(allowed, frozenset(), definitions):
                raise SettingError(f"when: its conditions exclude each other: {in_words(allowed)}", key=name)
            for other in alternatives[:position]:
                both = _merged(conditions(other.when), allowed)
                if both is not None and _possible(both, frozenset(), definitions):
                    first, second = in_words(conditions(other.when)), in_words(allowed)
                    rule = f"two definitions can hold at once, when {first} and when {second}"
                    raise SettingError(f"{rule}; give them conditions that exclude each other", key=name)


def labels(name: str, alternatives: tuple[Definition, ...]) -> tuple[str, ...]:
    """What each definition of a name is called: the name, or name@values of its condition where it has several."""
    if len(alternatives) == 1:
        return (name,)
    allowed = [dict(sorted(conditions(definition.when).items())) for definition in alternatives]
    short = [",".join(sorted(_word(value) for values in each.values() for value in values)) for each in allowed]
    if len(set(short)) < len(short):  # the same values of different parameters: name those too
        short = [json.dumps(each, ensure_ascii=False) for each in allowed]
    return tuple(f"{name}@{text}" for text in short)


def in_words(allowed: Allowed) -> str:
    """A condition as a message says it."""
    words = [f"{name} is {' or '.join(map(shown, values))}" for name, values in allowed.items()]
    return " and ".join(words) or "always"


def _check_parents(name: str, allowed: Allowed, definitions: Definitions) -> None:
    for parent, values in allowed.items():
        alternatives = definitions[parent]
        if any(isinstance(alternative, Float) for alternative in alternatives):
            # Drawn floats and written ones differ in their last digit.
            rule = f"when: {parent} is a float, which no condition can rely on; make it an int or a choice"
            raise SettingError(rule, key=name)
        for value in values:
            if not any(alternative.takes(value) for alternative in alternatives):
                takes = " or ".join(alternative.rule for alternative in alternatives)
                raise SettingError(f"when: {parent} never takes {shown(value)}; it is {takes}", key=name)


def _possible(wanted: Allowed, explained: frozenset[str], definitions: Definitions) -> bool:
    """Whether some configuration gives every wanted parameter one of its wanted values."""
    name = next((name for name in wanted if name not in explained), None)
    if name is None:
        return True
    for definition in definitions[name]:
        taken = tuple(value for value in wanted[name] if definition.takes(value))
        both = _merged(wanted | {name: taken}, conditions(definition.when)) if taken else None
        if both is not None and _possible(both, explained | {name}, definitions):
            return True
    return False


def _merged(first: Allowed, second: Allowed) -> Allowed | None:
    """What both allow, or None where they exclude each other."""
    merged = dict(first)
    for name, values in second.items():
        merged[name] = tuple(value for value in merged.get(name, values) if _among(value, values))
        if not merged[name]:
            return None
    return merged


def _among(value: object, options: tuple[Scalar, ...]) -> bool:
    return any(same(value, option) for option in options)


def _word(value: Scalar) -> str:
    return value if isinstance(value, str) else json.dumps(value)

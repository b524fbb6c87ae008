"""The space: what every parameter of a sweep may be, drawn, checked and written as plain data."""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Self

from glosstune.spaces.conditions import check_conditions, dependency_order, holding, in_words, labels
from glosstune.spaces.errors import SettingError, shown, unknown_key
from glosstune.spaces.mapping import read_definitions, write_definitions
from glosstune.spaces.parameters import Choice, Constant, Definition, Float, Int, Parameter, Scalar, conditions

Suggest = Callable[[str, Parameter], Scalar]


class Space(Mapping[str, tuple[Definition, ...]]):
    """Names and their definitions: one, several under conditions that exclude each other, or a constant value.

    A parameter none of whose conditions hold is absent from a configuration.

    Raises:
        SettingError: a condition on a parameter that is missing or on a value it never takes,
            conditions in a circle, or two definitions of one name that can hold at once.
    """

    def __init__(self, parameters: Mapping[str, Scalar | Definition | Sequence[Definition]]) -> None:
        self._definitions = {name: _definitions(name, value) for name, value in parameters.items()}
        self._order = dependency_order(self._definitions)
        check_conditions(self._definitions)
        self._labels = {name: labels(name, alternatives) for name, alternatives in self._definitions.items()}

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, object]) -> Self:
        """The space that plain data such as ``{"dropout": {"float": [0, 0.5], "when": {...}}}`` describes.

        Raises:
            SettingError: naming the key; see read_definitions and the class.
        """
        if not isinstance(mapping, Mapping):
            raise SettingError(f"must be a mapping of parameter to definition; got {shown(mapping)}")
        return cls({name: read_definitions(name, value) for name, value in mapping.items()})

    def to_mapping(self) -> dict[str, object]:
        """Plain data of which from_mapping makes an equal space."""
        return {name: write_definitions(alternatives) for name, alternatives in self._definitions.items()}

    def configuration(self, suggest: Suggest) -> dict[str, Scalar]:
        """The configuration that results from asking ``suggest(label, parameter)`` for every value that is searched.

        Parents are asked first, then by the alphabet. A label is the parameter's name, or
        ``name@values of its condition`` where a name has several definitions; no two are alike and
        no name holds an ``@``.
        """
        values: dict[str, Scalar] = {}
        for name in self._order:
            position = holding(self._definitions[name], values)
            if position is None:
                continue
            definition = self._definitions[name][position]
            if isinstance(definition, Constant):
                values[name] = definition.value
            else:
                values[name] = suggest(self._labels[name][position], definition)
        return values

    def sample(self, generator: random.Random) -> dict[str, Scalar]:
        """A configuration drawn evenly from the space, whatever order its names were written in."""
        return self.configuration(lambda label, parameter: parameter.sample(generator))

    def check(self, configuration: Mapping[str, object]) -> None:
        """Require that the configuration could have been drawn from the space.

        Raises:
            SettingError: naming a key that is unknown, missing or superfluous, or a value outside its range.
        """
        for name in configuration:
            if name not in self._definitions:
                raise SettingError(f"{unknown_key(name, self)} (of the space)", key=str(name))
        for name in self._order:
            alternatives = self._definitions[name]
            position = holding(alternatives, configuration)
            if position is None:
                if name in configuration:
                    when = ", or ".join(in_words(conditions(definition.when)) for definition in alternatives)
                    rule = f"exists only when {when}; got {shown(configuration[name])}"
                    raise SettingError(f"{rule}; leave it out", key=name)
                continue
            rule = f"must be {alternatives[position].rule}"
            if name not in configuration:
                raise SettingError(f"{rule}; it is missing", key=name)
            value = configuration[name]
            if not alternatives[position].takes(value):
                raise SettingError(f"{rule}; got {shown(value)}", key=name)

    def __getitem__(self, name: str) -> tuple[Definition, ...]:
        return self._definitions[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._definitions)

    def __len__(self) -> int:
        return len(self._definitions)

    def __repr__(self) -> str:
        return f"Space({self._definitions!r})"


def _definitions(name: str, value: Scalar | Definition | Sequence[Definition]) -> tuple[Definition, ...]:
    if not isinstance(name, str) or not name or "@" in name:
        raise SettingError(f"a parameter's name must be text without '@'; got {shown(name)}")
    if isinstance(value, Float | Int | Choice | Constant):
        return (value,)
    if not isinstance(value, Sequence) or isinstance(value, str):
        try:
            return (Constant(value),)
        except SettingError as error:
            raise SettingError(error.rule, key=name) from None
    if not value or not all(isinstance(item, Float | Int | Choice | Constant) for item in value):
        raise SettingError(f"must be a definition, a list of definitions or a constant; got {shown(value)}", key=name)
    return tuple(value)

"""What a section's own rules find wrong with a sweep, in the user's words, and who named the key."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar, cast

from annotated_types import Gt
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from glosstune.spaces.errors import SettingError, initials, likeliest, shown, unknown_key
from glosstune.trainables.settings import TunedSettings

Model = TypeVar("Model", bound=BaseModel)
Say = Callable[[str], None]  # hears what a user should know, a line at a time

_TYPE_RULES = {
    "bool_type": "must be true or false",
    "dict_type": "must be a mapping of keys",
    "finite_number": "must be a finite number",
    "float_type": "must be a number",
    "int_type": "must be a whole number",
    "model_type": "must be a mapping of keys",
    "path_type": "must be a path",
    "string_type": "must be text",
    "tuple_type": "must be a list",
}
_LIMIT_RULES = {
    "greater_than": ("must be greater than", "gt"),
    "greater_than_equal": ("must be at least", "ge"),
    "less_than": ("must be less than", "lt"),
    "less_than_equal": ("must be at most", "le"),
}


@dataclass(frozen=True)
class Sources:
    """Who named a key: the file, or one of the overrides as (dotted key, text)."""

    file: str
    overrides: tuple[tuple[str, str], ...]

    def located(self, error: SettingError) -> str:
        """The message with its source in front, without the credentials of an address in it."""
        return re.sub(r"(?<=://)[^/\s'\"]*@", "", f"{self._named(error)}: {error}")

    def _named(self, error: SettingError) -> str:
        key = error.key
        for name, text in reversed(self.overrides):
            if re.match(rf"{re.escape(name)}(?![\w-])", key) or name.startswith(f"{key}."):
                return f"override {text!r}"
        for name, text in reversed(self.overrides):
            # A rule across sections names the other key, and it may be that one which was overridden.
            if "." in name and re.search(rf"(?<![\w.-]){re.escape(name)}(?![\w-])", error.rule):
                return f"override {text!r}"
        return self.file


def problems(error: ValidationError, model: type[BaseModel], own: Callable[[str], str] | None) -> list[SettingError]:
    """What pydantic found, as one error a key, with what holds without the key as the way out.

    Args:
        own: says what holds, of a key, where leaving it out does not leave the default; empty where it does. None gives
            no way out.
    """
    rules: dict[str, list[str]] = {}
    endings: dict[str, str] = {}
    for details in error.errors(include_url=False):
        key, section, field, rest = locate(model, details["loc"])
        if details["type"] == "extra_forbidden" and section is not None:
            name = str(rest[0])
            rules[f"{key}.{name}" if key else name] = [_unknown(name, section, model)]
            continue
        rule = _rule(details) or f"is nothing that this key takes; glosstune keys {key} says what it does"
        if field is None:
            key += f"[{rest[0]}]"
        elif len(rest) > 1:  # a list inside a union
            rule = rule.replace("must", "each value must", 1)
        if rule not in rules.setdefault(key, []):
            rules[key].append(rule)
        if key not in endings:
            got = "" if "; got " in rule else f"; got {shown(details['input'])}"
            likely = _as_fraction(details, field) or _closest(details)
            endings[key] = got + (likely or ("" if own is None else own(key) or _way_out(field)))
    return [SettingError(" or ".join(found) + endings.get(key, ""), key=key) for key, found in rules.items()]


def validated(model: type[Model], data: Mapping[str, object]) -> Model:
    """The model that plain data describes.

    Raises:
        ValidationError: what pydantic found; see problems.
    """
    # As JSON, because in Python strictness would also refuse a path or tuple that YAML cannot write.
    return model.model_validate_json(json.dumps(data), strict=True)


def nested(path: tuple[str, ...], value: object) -> dict[str, object]:
    """The value under a path of keys."""
    for name in reversed(path):
        value = {name: value}
    return cast(dict[str, object], value)


def locate(
    model: type[BaseModel], path: tuple[int | str, ...]
) -> tuple[str, type[BaseModel] | None, FieldInfo | None, tuple[int | str, ...]]:
    """The dotted key of the innermost field on a path, its section if it is one, the field, and what follows."""
    section: type[BaseModel] | None = model
    field: FieldInfo | None = None
    names: list[str] = []
    for name in path:
        if section is None or name not in section.model_fields:
            break
        names.append(str(name))
        field = section.model_fields[str(name)]
        inner = field.annotation
        section = inner if isinstance(inner, type) and issubclass(inner, BaseModel) else None
    rest = path[len(names) :]
    # A number is a place in a list; text is pydantic's name for one member of a union.
    return ".".join(names), section, None if rest and isinstance(rest[0], int) else field, rest


def _rule(details: ErrorDetails) -> str | None:
    kind, context = details["type"], details.get("ctx", {})
    if kind in _LIMIT_RULES:
        words, limit = _LIMIT_RULES[kind]
        return f"{words} {context[limit]:.15g}"
    if kind == "literal_error":
        return f"must be {context['expected']}"
    if kind == "too_short":
        return "must not be empty" if context["min_length"] == 1 else f"must have {context['min_length']} or more"
    if kind == "value_error":
        return str(context["error"])
    return _TYPE_RULES.get(kind)


def _as_fraction(details: ErrorDetails, field: FieldInfo | None) -> str:
    """Asks for a fraction where a percentage was given; what has to be above 0 is a factor and no share."""
    value, context = details["input"], details.get("ctx", {})
    if 1 not in (context.get("le"), context.get("lt")) or not 2 <= value < 100:
        return ""
    factor = field is not None and any(isinstance(limit, Gt) for limit in field.metadata)
    return "" if factor else f"; did you mean {value / 100:.15g}?"


def _closest(details: ErrorDetails) -> str:
    """Asks for the word that was meant, where one of several has to be chosen."""
    if details["type"] != "literal_error":
        return ""
    return likeliest(details["input"], re.findall(r"'([^']*)'", details.get("ctx", {})["expected"]))


def _way_out(field: FieldInfo | None) -> str:
    if field is None or field.is_required():
        return ""
    default = field.get_default(call_default_factory=True)
    return "" if isinstance(default, BaseModel) else f"; leave it out for the default, {shown(default)}"


def _unknown(name: str, section: type[BaseModel], model: type[BaseModel]) -> str:
    sections = {key: field.annotation for key, field in model.model_fields.items() if key != "space"}
    homes = {"space": TunedSettings, **sections}
    if any(initials(known) == name for known in section.model_fields):
        return unknown_key(name, section.model_fields)
    for key, home in homes.items():
        if isinstance(home, type) and issubclass(home, BaseModel) and home is not section:
            for known in home.model_fields:
                if name in (known, initials(known)):
                    return f"unknown key; did you mean {f'{key}.{known}'!r}?"
    return unknown_key(name, section.model_fields)

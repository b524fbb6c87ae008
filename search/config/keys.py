"""The keys of a sweep file: what each means, takes and is by default, from the models that validate it."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from textwrap import wrap
from typing import Any

from glosstune.search.config.schema import resolved, setting, sweep_schema, trial_schema
from glosstune.spaces.errors import SettingError, initials
from glosstune.spaces.files.yaml_data import write_flow
from glosstune.trainables.settings import SETTINGS_PATHS

_INDENT = "    "
_SEARCHED = "searched instead of set"
_INSTEAD = {"epochs": "as one constant, because rungs need one horizon"}
_INTRODUCTION = """# Keys of a sweep file

Every key that a [sweep file](../search/config/sweeps/teacher.yaml) may have, or an override of a command, `key=value`.
`glosstune keys lr` finds the keys that a word names or means, `glosstune init my.yaml` writes a sweep file that says
what its keys mean, and `glosstune keys --schema` prints a JSON Schema, from which editors complete and check.

A key that is left out has its default. The packaged sweeps set some to values of their own: an override that is left
out leaves those.

<!-- Written by: glosstune keys --markdown -->
"""


@dataclass(frozen=True)
class Key:
    """One key.

    Attributes:
        name: with dots, as an override has it.
        section: the part before its first dot, if it has one.
        takes: its type and range, in words.
        options: the values that can be listed.
        default: as YAML; empty where it depends on the machine.
    """

    name: str
    section: str
    meaning: str
    takes: str
    options: tuple[str, ...]
    default: str

    @property
    def last(self) -> str:
        """Its name in its section."""
        return self.name.removeprefix(f"{self.section}.")


@cache
def list_keys() -> tuple[Key, ...]:
    """All keys, in the order of the sections."""
    return tuple(_keys(sweep_schema()))


@cache
def section_meanings() -> Mapping[str, str]:
    """What each section is about, in a sentence; nothing for the keys that stand alone."""
    whole = sweep_schema()
    sections = {name: resolved(part, whole) for name, part in whole["properties"].items()}
    sections["space"] = trial_schema()["$defs"]["TunedSettings"]
    return {name: _sentence(part["description"]) for name, part in sections.items() if "properties" in part}


def find_keys(pattern: str) -> list[Key]:
    """The keys of a section, or those whose name, meaning or values have a word that begins like the pattern.

    Letters may also be the initials of a name: lr is a learning rate.

    Raises:
        SettingError: there is none; names the nearest.
    """
    keys = list_keys()
    wanted = pattern.strip().removesuffix("=").removesuffix(".")
    exact = [key for key in keys if key.name == wanted or key.name.startswith(f"{wanted}.")]
    if exact:
        return exact
    words = _spaced(wanted)
    asked = {words, *(_spaced(key.last) for key in keys if initials(key.last) == words)} - {""}
    found = [
        key for key in keys if any(_begins(ask, _spaced(f"{key.name} {key.meaning} {key.takes}")) for ask in asked)
    ]
    if found:
        return found
    names = {name: None for key in keys for name in (key.name, key.last)}
    near = get_close_matches(wanted, names, n=3)
    likely = f"; did you mean {' or '.join(map(repr, near))}?" if near else ""
    raise SettingError(f"{pattern!r}: no key has that name or meaning{likely}; glosstune keys lists all")


def describe_keys(keys: Sequence[Key], width: int, *, headed: bool) -> Iterator[str]:
    """Lines of at most so many characters: key and default, what it takes, and what it means.

    Args:
        headed: with a sentence about each section above its keys.
    """
    section = ""
    for key in keys:
        if headed and key.section != section:
            section = key.section
            yield from ("", *wrap(f"{section}: {section_meanings()[section]}", width))
        first = f"{key.name}={key.default}"
        if len(first) + len(key.takes) + 4 <= width:
            yield f"{first}  ({key.takes})"
        else:
            yield from wrap(first, width, subsequent_indent=_INDENT, break_on_hyphens=False)
            yield from _indented(f"({key.takes})", width)
        yield from _indented(key.meaning, width)


def keys_page() -> str:
    """The page of docs that lists all keys."""
    lines = [_INTRODUCTION]
    section: str | None = None
    for key in list_keys():
        if key.section != section:
            section = key.section
            lines += [f"## `{section}`\n\n{section_meanings()[section]}\n"] if section else ["## Without a section\n"]
            lines += ["| key | default | takes | meaning |", "|---|---|---|---|"]
        cells = (f"`{key.name}`", f"`{key.default}`" if key.default else "", key.takes, key.meaning)
        lines.append(f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |")
    return "\n".join(lines).replace("|\n## ", "|\n\n## ") + "\n"


def in_words(schema: Mapping[str, Any]) -> str:
    """What a value of this schema is: ``a, b or a number from 0 to 1``."""
    parts = list(dict.fromkeys(_parts(schema)))
    return " or ".join(filter(None, [", ".join(parts[:-1]), parts[-1]])) if parts else "any value"


def _keys(whole: Mapping[str, Any]) -> Iterator[Key]:
    properties = whole["properties"]
    alone = [name for name, part in properties.items() if "properties" not in resolved(part, whole)]
    for name in alone:
        yield _key(name, "", properties[name])
    for name, part in properties.items():
        if name in alone or name == "space":
            continue
        yield from _below(name, resolved(part, whole), whole, name)
    yield _key("space", "space", properties["space"])
    for name, path in SETTINGS_PATHS.items():
        field = setting(path, trial_schema())
        meaning = field["description"] if path[0] == "tuned" else f"{'.'.join(path)}, {_INSTEAD.get(name, _SEARCHED)}."
        yield _key(f"space.{name}", "space", {**field, "description": meaning})


def _below(prefix: str, section: Mapping[str, Any], whole: Mapping[str, Any], top: str) -> Iterator[Key]:
    for name, part in section["properties"].items():
        yield _key(f"{prefix}.{name}", top, part)
        for branch in part.get("anyOf", ()):
            if "$ref" in branch:
                yield from _below(f"{prefix}.{name}", resolved(branch, whole), whole, top)


def _key(name: str, section: str, schema: Mapping[str, Any]) -> Key:
    default = write_flow(schema["default"]) if "default" in schema else ""
    options = tuple(write_flow(option) for option in _options(schema))
    return Key(name, section, schema["description"], in_words(schema), options, default)


def _options(schema: Mapping[str, Any]) -> Iterator[Any]:
    yield from schema.get("enum", [schema["const"]] if "const" in schema else ())
    if schema.get("type") == "boolean":
        yield from (True, False)
    for part in schema.get("anyOf", ()):
        yield from _options(part)


def _parts(schema: Mapping[str, Any]) -> Iterator[str]:
    kind = schema.get("type")
    if "title" in schema:
        yield schema["title"]
    elif "anyOf" in schema:
        for part in schema["anyOf"]:
            yield from _parts(part)
    elif "enum" in schema or "const" in schema:
        yield from map(write_flow, _options(schema))
    elif kind in ("number", "integer"):
        yield _number(schema, whole=kind == "integer")
    elif kind == "array":
        items = in_words(schema.get("items") or {"type": ""})
        plural = {"text": "texts", "path": "paths", "mapping of keys": "mappings"}
        yield f"list of {plural.get(items, items)}" if items != "any value" else "list"
    elif kind == "string":
        yield "path" if schema.get("format") == "path" else "text"
    elif kind in _WORDS or "$ref" in schema:
        yield from _WORDS.get(str(kind), ("mapping of keys",))


_WORDS = {"boolean": ("true", "false"), "null": ("null",), "object": ("mapping of keys",)}


def _number(schema: Mapping[str, Any], *, whole: bool) -> str:
    low, above = schema.get("minimum"), schema.get("exclusiveMinimum")
    high, below = schema.get("maximum"), schema.get("exclusiveMaximum")
    if whole:  # has a first and a last one
        low, above = (low if above is None else above + 1), None
        high, below = (high if below is None else below - 1), None
    limits = {"from": low, "above": above, "to" if above is None else "up to": high, "to below": below}
    told = [f"{word} {limit:.15g}" for word, limit in limits.items() if limit is not None]
    return " ".join(["whole number" if whole else "number", *told])


def _spaced(text: str) -> str:
    return re.sub(r"[._-]", " ", text).lower()


def _begins(words: str, text: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(words)}", text) is not None


def _sentence(text: str) -> str:
    """The first paragraph of a docstring, in one line."""
    return " ".join(text.partition("\n\n")[0].split()).replace("``", "`")


def _indented(text: str, width: int) -> Iterable[str]:
    return wrap(text, width, initial_indent=_INDENT, subsequent_indent=_INDENT, break_on_hyphens=False)

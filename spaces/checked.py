"""Checks of a key's value that also tell in JSON Schema what they ask for: for lists of keys, and for editors."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core.core_schema import CoreSchema, no_info_after_validator_function

from glosstune.spaces.parts import OWN_PATTERN, named_among


@dataclass(frozen=True, eq=False)
class Checked:
    """Stands in Annotated.

    Attributes:
        check: raises a ValueError that says what the value must be; gives the value.
        schema: what it asks for; a ``title`` says it in words.
    """

    check: Callable[[Any], Any]
    schema: Mapping[str, Any]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {**handler(core), **self.schema}


def part_among(*known: str) -> Checked:
    """One of ours, or the name of a part of one's own."""
    own = {"pattern": OWN_PATTERN, "title": "package.module:Name of your own"}
    return Checked(named_among(known), {"anyOf": [{"enum": [*known]}, own]} if known else own)


def joined(known: tuple[str, ...], *alone: str) -> Checked:
    """Different ones of the known names joined with ``+``, or a word that stands alone."""

    def check(text: str) -> str:
        names = text.split("+")
        if text not in alone and (not set(names) <= set(known) or len(set(names)) < len(names)):
            words = ", ".join(map(repr, alone))
            raise ValueError(f"must be {words} or different names joined with '+' out of {', '.join(known)}")
        return text

    one = f"({'|'.join(known)})"
    several = {"pattern": rf"^{one}(\+{one})*$", "title": f"names joined with '+' out of {', '.join(known)}"}
    return Checked(check, {"anyOf": [{"enum": [*alone]}, several]})

"""The JSON Schema of a sweep file, from the models that validate it: editors and the list of keys read it."""

from collections.abc import Mapping
from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from glosstune.search.config.sections import DEFAULT_SPACE, Sections
from glosstune.trainables.settings import SETTINGS_PATHS, TrialSettings

Schema = dict[str, Any]

_SCALAR: Schema = {"type": ["string", "number", "boolean", "null"]}
_WHEN: Schema = {
    "type": "object",
    "additionalProperties": {"anyOf": [_SCALAR, {"type": "array", "items": _SCALAR, "minItems": 1}]},
    "description": "Values of other parameters under which this definition holds.",
}
_OF_A_FIELD = ("default", "description")


class _Generator(GenerateJsonSchema):
    """Without titles that only repeat a name, and without warnings of defaults that are no JSON."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    def emit_warning(self, kind: Any, detail: str) -> None:
        return None


def sweep_schema() -> Schema:
    """What a sweep file may say, as far as JSON Schema can: rules between sections are left to ``rules``."""
    schema = Sections.model_json_schema(schema_generator=_Generator)
    trial = trial_schema()
    for section in (schema, *schema["$defs"].values()):
        section.pop("title", None)
    schema["properties"]["space"] |= {
        "type": "object",
        "properties": {name: _parameter(setting(path, trial)) for name, path in SETTINGS_PATHS.items()},
        "additionalProperties": False,
        "default": DEFAULT_SPACE.to_mapping(),
    }
    schema["$defs"]["when"] = _WHEN
    # The draft that editors know best.
    return {"$schema": "http://json-schema.org/draft-07/schema#"} | schema | {"description": "A sweep of glosstune."}


def trial_schema() -> Schema:
    """The same of the settings of a trial."""
    return TrialSettings.model_json_schema(schema_generator=_Generator)


def resolved(schema: Mapping[str, Any], whole: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a reference stands for; anything else as it is."""
    return whole["$defs"][schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema


def setting(path: tuple[str, ...], whole: Mapping[str, Any]) -> Schema:
    """The schema of the key at a path of names."""
    found: Mapping[str, Any] = whole
    for name in path:
        branches = resolved(found, whole), *(resolved(branch, whole) for branch in found.get("anyOf", ()))
        found = next(branch["properties"][name] for branch in branches if "properties" in branch)
    return dict(found)


def _parameter(field: Schema) -> Schema:
    """A constant, a definition or a list of definitions of values that a setting takes."""
    value = {name: part for name, part in field.items() if name not in _OF_A_FIELD}
    definitions = [_definition("constant", value), _definition("choice", _list(value))]
    for part in value.get("anyOf", [value]):
        if "enum" in part or part.get("type") not in ("number", "integer"):
            continue
        whole = {**part, "type": "integer"}
        for kind, bound in (("float", part), ("int", whole)):
            if kind == "int" or part["type"] == "number":
                more: Schema = {"log": {"type": "boolean"}, "step": {**bound, "minimum": 0}}
                definitions.append(_definition(kind, {**_list(bound), "minItems": 2, "maxItems": 2}, **more))
    told = {name: field[name] for name in _OF_A_FIELD if name in field}
    several = _list({"anyOf": definitions})
    return {"anyOf": [value, *definitions, several], **told}


def _definition(kind: str, main: Schema, **options: Schema) -> Schema:
    properties = {kind: main, **options, "when": {"$ref": "#/$defs/when"}}
    return {"type": "object", "properties": properties, "required": [kind], "additionalProperties": False}


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items, "minItems": 1}

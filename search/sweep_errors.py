"""What can be wrong with a sweep: the rules across its sections, and pydantic's findings in the user's words."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from operator import getitem
from typing import TYPE_CHECKING, Literal, TypeVar, cast, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from glosstune.spaces.errors import SettingError, shown, unknown_key
from glosstune.spaces.mapping import as_number
from glosstune.spaces.parameters import Choice, Constant, Definition, Float, Int, Scalar, conditions
from glosstune.spaces.strategies import STRATEGIES, Strategy
from glosstune.trainables.corpora.layout import FULL_WIDTH, layout_width
from glosstune.trainables.settings import (
    CorpusSettings,
    Gains,
    ModelSettings,
    TrainingSettings,
    TrialSettings,
    TunedSettings,
)

if TYPE_CHECKING:
    from glosstune.search.sweep import Sweep

Model = TypeVar("Model", bound=BaseModel)

# Where in TrialSettings each parameter of a space belongs. One seed and one network make trials
# comparable; epochs is here because a space may fix it.
SETTINGS_PATHS: Mapping[str, tuple[str, ...]] = {
    **{name: ("tuned", name) for name in TunedSettings.model_fields},
    **{name: ("training", name) for name in TrainingSettings.model_fields if name != "seed"},
    **{name: ("model", name) for name in ModelSettings.model_fields if name != "kind"},
    **{f"gains.{name}": ("corpus", "gains", name) for name in Gains.model_fields},
}

_TYPE_RULES = {
    "bool_type": "must be true or false",
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
        """The message with its source in front."""
        return f"{self._named(error)}: {error}"

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


def problems(error: ValidationError, model: type[BaseModel], *, with_defaults: bool = True) -> list[SettingError]:
    """What pydantic found, as one error a key, with the key's default as the way out."""
    rules: dict[str, list[str]] = {}
    endings: dict[str, str] = {}
    for details in error.errors(include_url=False):
        key, section, field, rest = _locate(model, details["loc"])
        if details["type"] == "extra_forbidden" and section is not None:
            name = str(rest[0])
            rules[f"{key}.{name}" if key else name] = [_unknown(name, section, model)]
            continue
        rule = _rule(details)
        if field is None:
            key += f"[{rest[0]}]"
        elif len(rest) > 1:  # a list inside a union
            rule = rule.replace("must", "each value must", 1)
        if rule not in rules.setdefault(key, []):
            rules[key].append(rule)
        if key not in endings:
            endings[key] = f"; got {shown(details['input'])}" + _way_out(field if with_defaults else None)
    return [SettingError(" or ".join(found) + endings.get(key, ""), key=key) for key, found in rules.items()]


def validated(model: type[Model], data: Mapping[str, object]) -> Model:
    """The model that plain data describes; text such as 1e-5 counts as a number where a number is expected.

    Raises:
        ValidationError: what pydantic found; see problems.
    """
    try:
        return _strictly(model, data)
    except ValidationError as error:
        repaired = json.loads(json.dumps(data))
        found = [details for details in error.errors() if as_number(details["input"]) != details["input"]]
        for details in found:
            if details["type"] in ("float_type", "int_type"):
                *parents, last = details["loc"]
                reduce(getitem, parents, repaired)[last] = as_number(details["input"])
        return _strictly(model, repaired)


def nested(path: tuple[str, ...], value: object) -> dict[str, object]:
    """The value under a path of keys."""
    for name in reversed(path):
        value = {name: value}
    return cast(dict[str, object], value)


def _strictly(model: type[Model], data: Mapping[str, object]) -> Model:
    # As JSON, because in Python strictness would also refuse a path or tuple that YAML cannot write.
    return model.model_validate_json(json.dumps(data), strict=True)


def check_sweep(sweep: "Sweep") -> int:
    """Require what no section can know of itself, and return the epochs a full trial trains for.

    Raises:
        SettingError: naming the key, the rule, the value and the way out.
    """
    _check_corpus(sweep.corpus)
    for name, definitions in sweep.space.items():
        for definition in definitions:
            _check_target(name, definition)
    _check_augment(sweep)
    _check_freezing(sweep)
    return _check_epochs(sweep)


def _locate(
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


def _rule(details: ErrorDetails) -> str:
    kind, context = details["type"], details.get("ctx", {})
    if kind in _LIMIT_RULES:
        words, limit = _LIMIT_RULES[kind]
        return f"{words} {context[limit]:.15g}"
    if kind == "literal_error":
        return f"must be {context['expected']}"
    if kind == "value_error":
        return str(context["error"])
    return _TYPE_RULES.get(kind) or details["msg"].replace("Input should", "must")


def _way_out(field: FieldInfo | None) -> str:
    if field is None or field.is_required():
        return ""
    default = field.get_default(call_default_factory=True)
    return "" if isinstance(default, BaseModel) else f"; leave it out for the default, {shown(default)}"


def _unknown(name: str, section: type[BaseModel], model: type[BaseModel]) -> str:
    homes = {key: field.annotation for key, field in model.model_fields.items()} | {"space": TunedSettings}
    for key, home in homes.items():
        if isinstance(home, type) and issubclass(home, BaseModel) and home is not section and name in home.model_fields:
            return f"unknown key; did you mean {f'{key}.{name}'!r}?"
    return unknown_key(name, section.model_fields)


def _check_target(name: str, definition: Definition) -> None:
    """Require that the setting which a parameter stands for takes every value it may have."""
    path, key = SETTINGS_PATHS[name], f"space.{name}"
    field = _locate(TrialSettings, path)[2]
    assert field is not None
    if get_origin(field.annotation) is Literal and isinstance(definition, Float | Int):
        options = ", ".join(map(shown, get_args(field.annotation)))
        raise SettingError(f"must be a choice out of {options}; got {definition.rule}", key=key)
    for value in _extremes(definition):
        try:
            validated(TrialSettings, nested(path, value))
        except ValidationError as error:
            raise SettingError(problems(error, TrialSettings, with_defaults=False)[0].rule, key=key) from None


def _extremes(definition: Definition) -> tuple[Scalar, ...]:
    """The bounds of a range, or every option; what holds at both bounds holds between them."""
    if isinstance(definition, Choice):
        return tuple(definition.options)
    return (definition.value,) if isinstance(definition, Constant) else (definition.low, definition.high)


def _values(sweep: "Sweep", name: str) -> list[Scalar]:
    return [value for definition in sweep.space.get(name, ()) for value in _extremes(definition)]


def _check_corpus(corpus: CorpusSettings) -> None:
    fingerspelling = corpus.kind == "fingerspelling"
    if not fingerspelling and corpus.root is None:
        rule = "must name the corpus's folder, because corpus.kind is 'phoenix'; got null; give corpus.root=FOLDER"
        raise SettingError(rule, key="corpus.root")
    if not fingerspelling and corpus.split == "unseen-clips":
        rule = "must not be 'unseen-clips' where corpus.kind is 'phoenix': only fingerspelling has clips"
        raise SettingError(f"{rule}; choose 'multi-signer' or 'unseen-signers'", key="corpus.split")
    default = CorpusSettings.model_fields["fold"].default
    if corpus.fold != default and not (fingerspelling and corpus.split == "unseen-signers"):
        rule = f"must be {default}: only fingerspelling with corpus.split 'unseen-signers' has folds; got {corpus.fold}"
        raise SettingError(f"{rule}; leave it out", key="corpus.fold")


def _check_augment(sweep: "Sweep") -> None:
    """Ready features may stand in any frame of reference, about which a mirror or a rotation would be wrong."""
    if sweep.corpus.kind != "phoenix" or layout_width(sweep.corpus.layout) != FULL_WIDTH:
        return
    for value in [*_values(sweep, "augment"), sweep.training.augment]:
        wrong = sorted({"mirror", "rotation", "scale"} & set(str(value).split("+")))
        if wrong:
            rule = f"{', '.join(wrong)} need landmark positions, but corpus.layout has ready features; got {value!r}"
            raise SettingError(f"{rule}; use the others", key="training.augment")


def _check_freezing(sweep: "Sweep") -> None:
    # Importing the package of the networks takes seconds and torch; most sweeps name no layer.
    layers: tuple[str, ...] = ()
    depths: list[Scalar] = [value for value in _values(sweep, "freeze_until") if value is not None]
    strategies = [STRATEGIES[str(value)] for value in _values(sweep, "strategy")]
    own_depths = [each for each in strategies if each.freeze_until and not each.unfreeze_stages]
    if depths or own_depths:
        from glosstune.models.layers import STUDENT_LAYERS, TEACHER_LAYERS

        layers = TEACHER_LAYERS if sweep.model.kind == "teacher" else STUDENT_LAYERS
    for depth in depths:
        if depth not in layers:
            rule = f"must be a layer of the {sweep.model.kind}: {', '.join(layers)}; got {shown(depth)}"
            raise SettingError(rule, key="space.freeze_until")
    if depths and any(each.unfreeze_stages for each in strategies) and not _only_elsewhere(sweep):
        rule = "has no meaning under 'progressive', where the stages say what is frozen"
        raise SettingError(f"{rule}; give it a 'when' of the other strategies", key="space.freeze_until")
    if not sweep.freezing.allow_random_frozen:
        _refuse_random_start(sweep, strategies, depths)
    for strategy in own_depths:
        if "freeze_until" not in sweep.space and strategy.freeze_until not in layers:
            rule = f"freezes until {strategy.freeze_until!r}, which the {sweep.model.kind} of model.kind does not have"
            raise SettingError(f"{strategy.name!r} {rule}; give space.freeze_until", key="space.strategy")


def _only_elsewhere(sweep: "Sweep") -> bool:
    """Whether every definition of freeze_until is tied to strategies other than progressive."""
    tied = [conditions(definition.when).get("strategy", ()) for definition in sweep.space["freeze_until"]]
    return all(allowed and "progressive" not in allowed for allowed in tied)


def _refuse_random_start(sweep: "Sweep", strategies: list[Strategy], depths: list[Scalar]) -> None:
    anyway = "or set freezing.allow_random_frozen: true to try it nevertheless"
    for strategy in strategies:
        if strategy.pretrained:
            frozen = strategy.freeze_until or strategy.unfreeze_stages
            without = "its frozen layers would keep random values" if frozen else "it would start from random values"
            rule = f"{strategy.name!r} starts from pretrained weights, which this version cannot load yet: {without}"
            raise SettingError(f"{rule}; use 'baseline', {anyway}", key="space.strategy")
    stages = [value for value in _values(sweep, "unfreeze_stages") if value is not None]
    for name, values in (("freeze_until", depths), ("unfreeze_stages", stages)):
        if values:
            rule = "layers would be frozen at random values, for this version cannot load pretrained weights yet"
            raise SettingError(f"{rule}; got {shown(values[0])}; leave it out, {anyway}", key=f"space.{name}")


def _check_epochs(sweep: "Sweep") -> int:
    epochs, key = sweep.training.epochs, "training.epochs"
    for definition in sweep.space.get("epochs", ()):
        if not isinstance(definition, Constant) or conditions(definition.when):
            rule = f"must be one constant, because rungs need one horizon; got {definition.rule}"
            raise SettingError(f"{rule}; set training.epochs instead", key="space.epochs")
        assert isinstance(definition.value, int)
        epochs, key = definition.value, "space.epochs"
    warmup = max((value for value in _values(sweep, "warmup_epochs") if isinstance(value, int)), default=0)
    if warmup > epochs:
        rule = f"must be at most {key}, {epochs}; got up to {warmup}"
        raise SettingError(f"{rule}; warm up for less or train longer", key="space.warmup_epochs")
    return epochs

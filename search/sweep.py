"""A sweep: what is trained, what is searched and how, read from one YAML file and checked once."""

import os
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Literal, Self, cast

import yaml
from pydantic import (
    AfterValidator,
    Field,
    NonNegativeFloat,
    PlainSerializer,
    PlainValidator,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    model_validator,
)

from glosstune.search.sweep_errors import SETTINGS_PATHS, Sources, check_sweep, problems, validated
from glosstune.spaces import Float, Int, SettingError, Space
from glosstune.spaces.errors import shown, unknown_key
from glosstune.trainables.settings import (
    CorpusSettings,
    FreezingSettings,
    ModelSettings,
    Section,
    TrainingSettings,
    TrialSettings,
)

DEFAULT_SPACE = Space(
    {
        "strategy": "baseline",
        "learning_rate": Float(3e-4, 5e-3, log=True),
        "warmup_epochs": Int(0, 2),
        "dropout": Float(0.0, 0.5),
    }
)

_PACKAGED = Path(__file__).with_name("sweeps") / "fingerspelling.yaml"
_PATHS = (("corpus", "root"), ("corpus", "cache"), ("storage",))
_DEEPEST = 20
_MOST_NODES = 10_000


def _folder_name(name: str) -> str:
    if not name or name.startswith(".") or not all(letter.isalnum() or letter in "._-" for letter in name):
        raise ValueError("must be letters, digits, '.', '_' and '-', because a folder is called so")
    if len(name.encode()) > 100:
        raise ValueError("must be at most 100 bytes long, because a folder is called so")
    return name


def _space(value: object) -> Space:
    for name in value if isinstance(value, Mapping) else ():
        if name not in SETTINGS_PATHS:
            raise SettingError(unknown_key(name, SETTINGS_PATHS), key=f"space.{name}")
    if isinstance(value, Space):
        return value
    try:
        return Space.from_mapping(cast(Mapping[str, object], value))  # which checks that it is one
    except SettingError as error:
        raise SettingError(error.rule, key=f"space.{error.key}" if error.key else "space") from None


def _share(amount: float) -> float:
    if amount > 1 and amount != int(amount):
        raise ValueError("must be a whole number above 1, because Ray shares out single ones only")
    return amount


class SearchSettings(Section):
    """How many trials there are, who suggests them, and what they are ranked by; metrics are minimised."""

    samples: PositiveInt = 8
    sampler: Literal["tpe", "random"] = "tpe"
    seed: int = Field(default=0, ge=0, lt=2**32)
    metric: Literal["wer", "train_loss", "dev_loss"] = "wer"
    target: NonNegativeFloat = 0.30
    time_budget_min: PositiveFloat | None = None


class HalvingSettings(Section):
    """At which epochs trials are compared: min_epochs times the powers of reduction, as far as training goes."""

    min_epochs: PositiveInt = 3
    reduction: int = Field(default=3, ge=2)


class ResourceSettings(Section):
    """What one trial occupies, and how many run at a time (None: as many as fit)."""

    cpu: Annotated[PositiveFloat, AfterValidator(_share)] = 1.0
    gpu: Annotated[NonNegativeFloat, AfterValidator(_share)] = 0.0
    concurrent: PositiveInt | None = None


class Sweep(Section):
    """Everything that one search needs to know; a space replaces the default space as a whole.

    Raises:
        SettingError: sections that contradict each other, or a space that a setting does not take.
    """

    name: Annotated[str, AfterValidator(_folder_name)] = "sweep"
    model: ModelSettings = ModelSettings()
    corpus: CorpusSettings = CorpusSettings()
    training: TrainingSettings = TrainingSettings()
    freezing: FreezingSettings = FreezingSettings()
    space: Annotated[Space, PlainValidator(_space), PlainSerializer(Space.to_mapping)] = DEFAULT_SPACE
    search: SearchSettings = SearchSettings()
    halving: HalvingSettings = HalvingSettings()
    resources: ResourceSettings = ResourceSettings()
    storage: Annotated[Path, AfterValidator(Path.absolute)] = Field(default_factory=lambda: Path.cwd() / "sweeps")

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        epochs = check_sweep(self)
        if epochs != self.training.epochs:
            # A constant of the space is a setting like any other: rungs and displays read it in one place.
            object.__setattr__(self, "training", self.training.model_copy(update={"epochs": epochs}))
        return self

    def trial_settings(self, configuration: Mapping[str, object]) -> TrialSettings:
        """The settings of the trial that a configuration from the space stands for.

        Raises:
            SettingError: the configuration lies outside the space.
        """
        self.space.check(configuration)
        settings: dict[str, Any] = self.model_dump(mode="json", include={"model", "corpus", "training", "freezing"})
        for name, value in configuration.items():
            *parents, last = SETTINGS_PATHS[name]
            section = settings
            for parent in parents:
                section = section.setdefault(parent, {})
            section[last] = value
        return validated(TrialSettings, settings)

    def resolved(self) -> dict[str, Any]:
        """Plain data with every default explicit, of which load_sweep makes an equal sweep."""
        return self.model_dump(mode="json")


def load_sweep(path: Path | None, overrides: Sequence[str] = ()) -> Sweep:
    """The sweep that a file describes, changed by overrides such as ``training.epochs=50``.

    Args:
        path: a YAML file, None for the packaged fingerspelling sweep. Relative paths in it
            start at its folder, those of overrides and of the packaged sweep at the current one.
        overrides: ``key=value`` with a dotted key and a YAML value; a mapping replaces the mapping.

    Raises:
        SettingError: one line for everything found, each with the file or override that names it.
    """
    file = _PACKAGED if path is None else Path(path)
    tree = _read(file)
    parsed = [(*_parse_override(override), override) for override in overrides]
    sources = Sources(file.name, tuple((".".join(keys), override) for keys, _, override in parsed))
    try:
        _make_absolute(tree, Path.cwd() if path is None else file.absolute().parent)
        for keys, value, _ in parsed:
            _put(tree, keys, value)
        _make_absolute(tree, Path.cwd())
        return validated(Sweep, tree)
    except ValidationError as error:
        found = problems(error, Sweep)
    except SettingError as error:
        found = [error]
    raise SettingError("\n".join(sources.located(error) for error in found))


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, which keeps the last of equal keys in silence, made to refuse them."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if (key.tag, key.value) in seen:
                    raise yaml.MarkedYAMLError(problem=f"duplicate key {key.value!r}", problem_mark=key.start_mark)
                seen.add((key.tag, key.value))
        return node


def _read(file: Path) -> dict[str, Any]:
    """The plain data of a YAML file."""
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise SettingError(f"{file}: no such file; give the path of a sweep file") from None
    except UnicodeDecodeError:
        raise SettingError(f"{file}: is not UTF-8 text") from None
    except OSError as error:
        raise SettingError(f"{file}: cannot be read: {error.strerror}") from None
    tree = _parse(text, file.name)
    if not isinstance(tree, dict):
        rule = f"must be a mapping of keys such as 'training: {{epochs: 24}}'; got {shown(tree)}"
        raise SettingError(f"{file.name}: {rule}")
    return tree


def _parse(text: str, source: str) -> Any:
    """The plain data of YAML text; equal keys, dates and other things that JSON lacks are refused."""
    try:
        loaded = yaml.load(text, _Loader)
        if sum(1 for _ in islice(_nodes(loaded), _MOST_NODES)) == _MOST_NODES:
            raise SettingError(f"must not hold more than {_MOST_NODES} values, aliases counted out")
        return _plain(loaded, "")
    except yaml.MarkedYAMLError as error:
        line = 0 if error.problem_mark is None else error.problem_mark.line
        raise SettingError(f"{source}: line {line + 1}: not valid YAML: {error.problem}") from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position)
        raise SettingError(f"{source}: line {line + 1}: not valid YAML: {error.reason}") from None
    except RecursionError:
        raise SettingError(f"{source}: not valid YAML: nested too deeply") from None
    except ValueError as error:  # such as the date 2024-13-01
        raise SettingError(f"{source}: not valid YAML: {error}; put text in quotes") from None
    except SettingError as error:
        raise SettingError(f"{source}: {error}") from None


def _nodes(value: object, depth: int = 0) -> Iterator[object]:
    """Every value below a value, as often as aliases repeat it, so that a few lines cannot unfold into gigabytes."""
    yield value
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    if depth <= _DEEPEST:  # deeper ones are refused below
        for child in children:
            yield from _nodes(child, depth + 1)


def _plain(value: object, key: str, depth: int = 0) -> Any:
    """A copy without shared parts, so that an override changes one place only."""
    if depth > _DEEPEST:
        raise SettingError(f"must not be nested in more than {_DEEPEST} levels", key=key)
    if isinstance(value, dict):
        for name in value:
            if not isinstance(name, str):
                raise SettingError(f"a key must be text; got {shown(name)}; put it in quotes", key=key)
        return {name: _plain(item, f"{key}.{name}".lstrip("."), depth + 1) for name, item in value.items()}
    if isinstance(value, list):
        return [_plain(item, f"{key}[{place}]", depth + 1) for place, item in enumerate(value)]
    if isinstance(value, str) and not value.isprintable():
        raise SettingError(f"must be printable text; got {shown(value)}", key=key)
    if value is not None and not isinstance(value, str | bool | int | float):
        rule = f"must be text, a number, true, false or null; got {shown(value)}"
        raise SettingError(f"{rule}; put it in quotes", key=key)
    return value


def _parse_override(override: str) -> tuple[list[str], Any]:
    key, equals, text = override.partition("=")
    keys = key.strip().split(".")
    source = f"override {override!r}"
    if not equals or not all(keys):
        raise SettingError(f"{source}: must be key=value with a dotted key, such as training.epochs=50")
    if keys[0] == "space" and ".".join(keys[1:3]) in SETTINGS_PATHS:
        keys[1:3] = [".".join(keys[1:3])]  # gains.face is one name
    return keys, _parse(text, source)


def _put(tree: dict[str, Any], keys: list[str], value: object) -> None:
    if keys[0] == "space" and len(keys) > 1:
        tree.setdefault("space", DEFAULT_SPACE.to_mapping())
    section = tree
    for depth, name in enumerate(keys[:-1], start=1):
        section = section.setdefault(name, {})
        if not isinstance(section, dict):
            whole = ".".join(keys[:depth])
            raise SettingError(f"has no keys, for it is {shown(section)}; override {whole} as a whole", key=whole)
    section[keys[-1]] = value


def _make_absolute(tree: dict[str, Any], folder: Path) -> None:
    """Resolve the paths of a tree that are still relative."""
    for *parents, last in _PATHS:
        section: Any = tree
        for parent in parents:
            section = section.get(parent) if isinstance(section, dict) else None
        if not isinstance(section, dict) or not isinstance(section.get(last), str):
            continue
        path, key = section[last], ".".join([*parents, last])
        if "://" in path:
            raise SettingError(f"must be a folder on this machine; got the address {path!r}", key=key)
        try:
            section[last] = os.path.abspath(folder / Path(path).expanduser())
        except RuntimeError:
            raise SettingError(f"must not start with an unknown user's ~; got {path!r}", key=key) from None

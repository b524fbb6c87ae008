"""A sweep: what is trained, what is searched and how, read from one YAML file and checked once."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self, cast

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainSerializer,
    PlainValidator,
    PositiveFloat,
    ValidationError,
    model_validator,
)

from glosstune.search.config.errors import Sources, problems, validated
from glosstune.search.config.rules import SETTINGS_PATHS, check_sweep
from glosstune.search.config.settings import HalvingSettings, ResourceSettings, SearchSettings, StoppingSettings
from glosstune.search.config.yaml_data import parse_yaml, read_yaml
from glosstune.spaces import STRATEGIES, Float, Int, SettingError, Space
from glosstune.spaces.errors import shown, unknown_key
from glosstune.spaces.files.object_storage import check_uri, is_uri
from glosstune.spaces.parameters import Scalar
from glosstune.spaces.start_points import strategy_points
from glosstune.trainables.settings import (
    CorpusSettings,
    DistillationSettings,
    FreezingSettings,
    ModelSettings,
    PretrainingSettings,
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

AUTO = "auto"

_PACKAGED = Path(__file__).with_name("sweeps")
_PATHS = (
    ("corpus", "root"),
    ("corpus", "cache"),
    ("pretrained",),
    ("pretraining", "align_with"),
    ("teacher",),
    ("search", "warm_start"),
    ("storage",),
)
_OF_A_TRIAL = {"model", "corpus", "training", "freezing", "pretrained", "pretraining", "teacher", "distillation"}
_OF_A_TRIAL |= {"activation_cache", "activation_cache_gb"}


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


def _storage(place: object) -> object:
    if isinstance(place, str) and is_uri(place):
        return check_uri(place)
    return str(Path(place).absolute()) if isinstance(place, str | Path) else place


def _file_or_auto(pretrained: str) -> str:
    return pretrained if pretrained == AUTO else str(Path(pretrained).absolute())


class Sweep(Section):
    """Everything that one search needs to know; a space replaces the default space as a whole.

    ``pretrained`` is a file of weights, or ``auto``: weights are then made once on the training split. ``teacher`` is
    an exported recogniser that every trial is distilled from. ``storage`` is where its folder is made, a path or
    ``s3://bucket/prefix``. ``tracking`` names a tool that shows every trial as it
    runs (see ``search.tracking.trackers``).

    Raises:
        SettingError: sections that contradict each other, or a space that a setting does not take.
    """

    name: Annotated[str, AfterValidator(_folder_name)] = "sweep"
    model: ModelSettings = ModelSettings()
    corpus: CorpusSettings = CorpusSettings()
    training: TrainingSettings = TrainingSettings()
    freezing: FreezingSettings = FreezingSettings()
    pretrained: Annotated[str, AfterValidator(_file_or_auto)] | None = None
    pretraining: PretrainingSettings = PretrainingSettings()
    teacher: Annotated[Path, AfterValidator(Path.absolute)] | None = None
    distillation: DistillationSettings = DistillationSettings()
    activation_cache: bool = True
    activation_cache_gb: PositiveFloat = 20.0
    space: Annotated[Space, PlainValidator(_space), PlainSerializer(Space.to_mapping)] = DEFAULT_SPACE
    search: SearchSettings = SearchSettings()
    halving: HalvingSettings = HalvingSettings()
    stopping: StoppingSettings = StoppingSettings()
    resources: ResourceSettings = ResourceSettings()
    tracking: Literal["mlflow", "wandb"] | None = None
    storage: Annotated[str, BeforeValidator(_storage)] = Field(default_factory=lambda: str(Path.cwd() / "sweeps"))

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
            SettingError: the configuration lies outside the space, or its strategy needs weights that
                ``search.with_weights`` has yet to make.
        """
        self.space.check(configuration)
        return self.settings_of(configuration)

    def settings_of(self, configuration: Mapping[str, object]) -> TrialSettings:
        """The same for any configuration that the settings take: a trial may have begun in a wider space."""
        settings: dict[str, Any] = self.model_dump(mode="json", include=_OF_A_TRIAL)
        if self.pretrained == AUTO:
            if STRATEGIES[str(configuration.get("strategy", "baseline"))].pretrained:
                raise SettingError("'auto' is no file yet; see glosstune.search.with_weights", key="pretrained")
            settings["pretrained"] = None
        for name, value in configuration.items():
            *parents, last = SETTINGS_PATHS[name]
            section = settings
            for parent in parents:
                section = section.setdefault(parent, {})
            section[last] = value
        return validated(TrialSettings, settings)

    @property
    def start_points(self) -> list[dict[str, Scalar]]:
        """Configurations of the space to try first."""
        points = self.search.start_points
        return strategy_points(self.space, self.model.kind) if points == "strategies" else [dict(p) for p in points]

    def resolved(self) -> dict[str, Any]:
        """Plain data with every default explicit, of which load_sweep makes an equal sweep."""
        return self.model_dump(mode="json")


def load_sweep(path: Path | str | None, overrides: Sequence[str] = ()) -> Sweep:
    """The sweep that a file describes, changed by overrides such as ``training.epochs=50``.

    Args:
        path: a YAML file, or the name of a packaged sweep such as ``student``; None for ``teacher``, or where an
            override sets ``corpus.root`` for ``teacher-phoenix``. Relative paths in it start at its folder,
            those of overrides and of packaged sweeps at the current one.
        overrides: ``key=value`` with a dotted key and a YAML value; a mapping replaces the mapping.

    Raises:
        SettingError: one line for everything found, each with the file or override that names it.
    """
    file, folder = _sweep_file(None if path is None else Path(path), overrides)
    tree = read_yaml(file)
    parsed = [(*_parse_override(override), override) for override in overrides]
    sources = Sources(file.name, tuple((".".join(keys), override) for keys, _, override in parsed))
    try:
        _make_absolute(tree, folder)
        for keys, value, _ in parsed:
            _put(tree, keys, value)
        _make_absolute(tree, Path.cwd())
        return validated(Sweep, tree)
    except ValidationError as error:
        found = problems(error, Sweep)
    except SettingError as error:
        found = [error]
    raise SettingError("\n".join(sources.located(error) for error in found))


def load_named(kind: str, overrides: Sequence[str]) -> Sweep:
    """The packaged sweep of a kind of model, for a corpus of the user's own where an override names one."""
    return load_sweep(f"{kind}-phoenix" if _own_corpus(overrides) else kind, overrides)


def packaged_sweeps() -> list[str]:
    """Names of the sweeps that come with the package."""
    return sorted(file.stem for file in _PACKAGED.glob("*.yaml"))


def _sweep_file(path: Path | None, overrides: Sequence[str]) -> tuple[Path, Path]:
    """The file to read and the folder that its relative paths start at."""
    if path is None:
        path = Path("teacher-phoenix" if _own_corpus(overrides) else "teacher")
    elif path.is_file() or path.suffix or path.name != str(path):
        return path, path.absolute().parent
    if path.name not in packaged_sweeps():
        raise SettingError(f"{path}: no such file, and no packaged sweep: those are {', '.join(packaged_sweeps())}")
    return _PACKAGED / f"{path.name}.yaml", Path.cwd()


def _own_corpus(overrides: Sequence[str]) -> bool:
    """Gains and widths of the embedded corpus would be wrong for anybody's own."""
    return any(override.replace(" ", "").startswith("corpus.root=") for override in overrides)


def _parse_override(override: str) -> tuple[list[str], Any]:
    key, equals, text = override.partition("=")
    keys = key.strip().split(".")
    source = f"override {override!r}"
    if not equals or not all(keys):
        raise SettingError(f"{source}: must be key=value with a dotted key, such as training.epochs=50")
    if keys[0] == "space" and ".".join(keys[1:3]) in SETTINGS_PATHS:
        keys[1:3] = [".".join(keys[1:3])]  # gains.face is one name
    return keys, parse_yaml(text, source)


def _put(tree: dict[str, Any], keys: list[str], value: object) -> None:
    if keys[0] == "space" and len(keys) > 1:
        space = tree.setdefault("space", DEFAULT_SPACE.to_mapping())
        if len(keys) == 2 and isinstance(space, dict):
            _narrow(space, keys[1], value)
    section = tree
    for depth, name in enumerate(keys[:-1], start=1):
        section = section.setdefault(name, {})
        if not isinstance(section, dict):
            whole = ".".join(keys[:depth])
            raise SettingError(f"has no keys, for it is {shown(section)}; override {whole} as a whole", key=whole)
    section[keys[-1]] = value


def _narrow(space: dict[str, Any], name: str, value: object) -> None:
    """Drop the definitions that an override leaves without a chance: space.strategy=fine-tune needs no stages."""
    if isinstance(value, dict):
        options = value.get("choice", [value["constant"]] if "constant" in value else None)
    else:
        options = None if isinstance(value, list) else [value]
    if not isinstance(options, list):  # a range, several definitions, or a mistake: for the space to judge
        return
    for other, definitions in list(space.items()):
        several = definitions if isinstance(definitions, list) else [definitions]
        kept = []
        for definition in several:
            when = definition.get("when") if isinstance(definition, dict) else None
            if isinstance(when, dict) and name in when:
                asked = when[name] if isinstance(when[name], list) else [when[name]]
                held = [option for option in asked if option in options]
                if not held:
                    continue
                definition = {**definition, "when": {**when, name: held}}
            kept.append(definition)
        if not kept:
            del space[other]
        elif kept != several:
            space[other] = kept


def _make_absolute(tree: dict[str, Any], folder: Path) -> None:
    """Resolve the paths of a tree that are still relative."""
    for *parents, last in _PATHS:
        section: Any = tree
        for parent in parents:
            section = section.get(parent) if isinstance(section, dict) else None
        if not isinstance(section, dict):
            continue
        key, value = ".".join([*parents, last]), section.get(last)
        if isinstance(value, list):
            section[last] = [_absolute(path, folder, key) for path in value]
        elif isinstance(value, str) and (value != AUTO or last != "pretrained"):
            section[last] = value if last == "storage" and is_uri(value) else _absolute(value, folder, key)


def _absolute(path: Any, folder: Path, key: str) -> Any:
    if not isinstance(path, str):
        return path  # for the section to judge
    if "://" in path:
        raise SettingError(f"must be a path on this machine; got the address {path!r}", key=key)
    try:
        return os.path.abspath(folder / Path(path).expanduser())
    except RuntimeError:
        raise SettingError(f"must not start with an unknown user's ~; got {path!r}", key=key) from None

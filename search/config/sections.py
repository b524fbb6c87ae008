"""The fields of a sweep, each checked by itself."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, cast

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, PlainValidator

from glosstune.search.config.settings import HalvingSettings, ResourceSettings, SearchSettings, StoppingSettings
from glosstune.spaces import Float, Int, SettingError, Space
from glosstune.spaces.errors import unknown_key
from glosstune.spaces.files.addresses import check_uri, is_uri
from glosstune.spaces.parts import is_own
from glosstune.trainables.settings import (
    SETTINGS_PATHS,
    ActivationCache,
    ActivationCacheGb,
    CorpusSettings,
    DistillationSettings,
    FreezingSettings,
    ModelSettings,
    PretrainingSettings,
    Section,
    TeacherKind,
    TrainingSettings,
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


class Sections(Section):
    """What a sweep file may say, section by section; what they cannot know of each other is for ``rules``."""

    name: Annotated[str, AfterValidator(_folder_name)] = Field(
        default="sweep", description="What its folder is called after."
    )
    model: ModelSettings = ModelSettings()
    corpus: CorpusSettings = CorpusSettings()
    training: TrainingSettings = TrainingSettings()
    freezing: FreezingSettings = FreezingSettings()
    pretrained: Annotated[str, AfterValidator(_file_or_auto)] | None = Field(
        default=None, description="Weights to start from: a file, or auto, which makes them once on the training split."
    )
    pretraining: PretrainingSettings = PretrainingSettings()
    teacher: Annotated[Path, AfterValidator(Path.absolute)] | None = Field(
        default=None, description="Exported recogniser that every trial is distilled from."
    )
    teacher_kind: TeacherKind = None
    distillation: DistillationSettings = DistillationSettings()
    activation_cache: ActivationCache = True
    activation_cache_gb: ActivationCacheGb = 20.0
    space: Annotated[Space, PlainValidator(_space), PlainSerializer(Space.to_mapping)] = Field(
        default=DEFAULT_SPACE,
        description="What is searched: for each name a constant, {float: [low, high]}, {int: [low, high]} or "
        "{choice: [a, b]}, maybe with log: true, step: and when: {other: value}; or a list of these.",
    )
    search: SearchSettings = SearchSettings()
    halving: HalvingSettings = HalvingSettings()
    stopping: StoppingSettings = StoppingSettings()
    resources: ResourceSettings = ResourceSettings()
    tracking: Literal["mlflow", "wandb"] | None = Field(
        default=None, description="Tool that shows every trial as it runs."
    )
    storage: Annotated[str, BeforeValidator(_storage)] = Field(
        default_factory=lambda: str(Path.cwd() / "sweeps"),
        description="Where its folder is made: a folder or s3:// address; sweeps in the current folder by default.",
    )

    @property
    def own_parts(self) -> list[str]:
        """The parts of the user's own that it names."""
        named = (self.model.kind, self.teacher_kind, self.corpus.kind, self.search.sampler, *self.stopping.rules)
        return list(dict.fromkeys(name for name in named if name is not None and is_own(name)))

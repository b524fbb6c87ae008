"""What can be set about one trial: its model, corpus and training, validated once, defaults only here."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    NonNegativeFloat,
    PlainValidator,
    PositiveFloat,
    PositiveInt,
    WithJsonSchema,
    model_validator,
)

from glosstune.models.kinds import KINDS
from glosstune.spaces import STRATEGIES
from glosstune.spaces.checked import Checked, joined, part_among
from glosstune.spaces.errors import SettingError, shown
from glosstune.trainables.layouts.blocks import CHANNELS, KEY, LAYOUTS, Hands, NotSeen, read_blocks

# Which need positions, and a frame of reference that is known.
GEOMETRIC = ("mirror", "rotation", "proportions", "scale", "place")
AUGMENTATIONS = ("speed", "rhythm", *GEOMETRIC, "hand-gaps", "clip-noise", "time-masks", "part-dropout")
# Which leave labels by frame, and what a teacher says of each, where they belong.
STEADY = tuple(name for name in AUGMENTATIONS if name != "rhythm")
# What ``auto`` is where positions are known: what paid on signers that training had not seen (benchmarks/recipes.py).
AUTO = ("proportions", "place", "hand-gaps")
ACTIVATION_AUGMENTATIONS = ("speed", "noise", "time-masks")
CORPORA: Mapping[str, str] = {
    "fingerspelling": "glosstune.trainables.corpora.fingerspelling:FingerspellingCorpus",
    "phoenix": "glosstune.trainables.corpora.phoenix:PhoenixCorpus",
    "table": "glosstune.trainables.corpora.table:TableCorpus",
}
TABLE_ENDINGS = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")


def augmentations(augment: str, positions: bool) -> frozenset[str]:
    """The names that a value of ``augment`` stands for, where landmark positions are known or not."""
    if augment == "auto":
        return frozenset(AUTO if positions else ())
    return frozenset(augment.split("+")) - {"none"}


def _layout(given: str | tuple[Any, ...]) -> str | tuple[Any, ...]:
    try:
        read_blocks(given)
    except SettingError as error:
        place = error.key.removeprefix(KEY)
        raise ValueError(f"{place}: {error.rule}" if place else error.rule) from None
    return given


Augmentations = Annotated[str, joined(AUGMENTATIONS, "none", "auto")]
Kind = Annotated[str, part_among(*KINDS)]
# What each is, is said where it counts: ``ctc.rules``.
Scoring = Literal["plain", "phoenix2014", "phoenix2014-camgoz", "phoenix2014t", "csl-daily", "characters"]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Share = Annotated[float, Field(ge=0.0, le=1.0)]
Unit = Annotated[float, Field(ge=0.0, lt=1.0)]
# Of a sweep and of its trials.
TeacherKind = Annotated[
    Kind | None, Field(description="Model of your own that the teacher may be; reading its file runs that code.")
]
ActivationCache = Annotated[bool, Field(description="What frozen layers give is computed once for all trials.")]
ActivationCacheGb = Annotated[PositiveFloat, Field(description="GiB that what frozen layers give may take on a node.")]


class Section(BaseModel):
    """A frozen group of keys, each with a line of meaning; a key it does not know is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, protected_namespaces=())


# Of each channel of each part of a layout, such as {hands: {shape: 1, velocity: 0.3}}.
BlockGains = Mapping[str, Mapping[str, float]]
MOST_GAIN = 1e6
Gain = Annotated[float, Field(ge=0.0, le=MOST_GAIN)]


def _block_gains(given: object) -> Literal["auto"] | BlockGains | None:
    if given is None or given == "auto":
        return None if given is None else "auto"
    if not isinstance(given, Mapping) or not all(isinstance(each, Mapping) for each in given.values()):
        raise ValueError("must be auto, null or a mapping such as {hands: {shape: 1, velocity: 0.3}}")
    for part, channels in given.items():
        for channel, gain in channels.items():
            if channel not in CHANNELS:
                raise ValueError(f"{part}.{channel}: must be a channel, {', '.join(CHANNELS)}")
            if isinstance(gain, bool) or not isinstance(gain, int | float) or not 0 <= gain <= MOST_GAIN:
                rule = f"{part}.{channel}: must be a number from 0 to {MOST_GAIN:.0f}; got {shown(gain)}"
                raise ValueError(rule)
    return {str(part): {str(name): float(gain) for name, gain in each.items()} for part, each in given.items()}


_GAIN = {"type": "number", "minimum": 0, "maximum": MOST_GAIN}
_CHANNEL_GAINS = {"type": "object", "properties": dict.fromkeys(CHANNELS, _GAIN), "additionalProperties": False}
_BLOCKS = {
    "type": "object",
    "additionalProperties": _CHANNEL_GAINS,
    "title": "a mapping such as {hands: {shape: 1, velocity: 0.3}}",
}


class Gains(Section):
    """How loud each body part and each channel enters the model, after standardisation; 0 mutes.

    The gain of one feature is that of its part times that of its channel, times that of ``blocks``.
    """

    blocks: Annotated[
        Literal["auto"] | BlockGains | None,
        PlainValidator(_block_gains),
        WithJsonSchema({"anyOf": [{"const": "auto"}, {"type": "null"}, _BLOCKS]}),
    ] = Field(
        default=None, description="Gain of each channel of each part; auto estimates it from training, null is 1."
    )
    pose: Gain = Field(default=1.0, description="Gain of the body's landmarks; 0 mutes them.")
    hands: Gain = Field(default=1.0, description="Gain of both hands.")
    face: Gain = Field(default=1.0, description="Gain of the face; 0 mutes it.")
    values: Gain = Field(default=1.0, description="Gain of blocks that are no landmarks.")
    shape: Gain = Field(default=1.0, description="Gain of where the points of a part lie to each other.")
    velocity: Gain = Field(default=1.0, description="Gain of how fast points move.")
    acceleration: Gain = Field(default=1.0, description="Gain of how fast their velocity changes.")
    position: Gain = Field(default=1.0, description="Gain of where a part is, whatever its shape.")


def _gains(given: object) -> object:
    if isinstance(given, Mapping | Gains):
        return given
    if given != "auto":
        raise ValueError("must be auto, or a mapping of gains such as {face: 0, velocity: 0.2}")
    return {"blocks": given}


def _auto_or_mapping(schema: dict[str, Any]) -> None:
    mapping = {"$ref": schema.pop("$ref"), "title": "a mapping such as {face: 0, velocity: 0.2}"}
    schema["anyOf"] = [{"const": "auto"}, mapping]
    schema["default"] = "auto"


class ModelSettings(Section):
    """Which network is trained, and how large."""

    kind: Kind = Field(
        default="student", description="Which network: I3D teacher, MobileNetV3 student, or one of your own."
    )
    width: PositiveFloat = Field(
        default=1.0, le=4.0, description="Channels of every layer, as a factor of the full network's."
    )
    time_stride: Literal[1, 2, 4, 8, 16] = Field(
        default=4,
        description="Input frames an output frame; lower it where sentences have more glosses than output frames.",
    )
    norm: Literal["group", "batch"] = Field(
        default="group", description="Normalisation in every layer: by group or by batch."
    )


class CorpusSettings(Section):
    """Where utterances come from, how they are read, split and conditioned."""

    kind: Annotated[str, part_among(*CORPORA)] = Field(
        default="fingerspelling",
        description="Which corpus: the embedded one, a PHOENIX-like folder, a table, or your own.",
    )
    root: Path | None = Field(default=None, description="Folder of a PHOENIX-like corpus, or file of a table.")
    layout: Annotated[
        str | tuple[Any, ...], Checked(_layout, {"anyOf": [{"enum": [*LAYOUTS]}, {"type": "array", "minItems": 1}]})
    ] = Field(
        default="default", description="What a frame of your files holds: a named layout, or a list of its blocks."
    )
    not_seen: NotSeen = Field(
        default="zeros+nan", description="What stands in your files where a landmark was not seen."
    )
    hands: Hands = Field(
        default="as-stored", description="followed tells hands apart that an extractor has written in any order."
    )
    frame_step: int = Field(default=1, ge=1, le=16, description="Packs every n-th frame, from the first.")
    split: Literal["multi-signer", "unseen-clips", "unseen-signers"] = Field(
        default="multi-signer", description="What dev and test hold out: sentences alone, recordings, or signers."
    )
    fold: int = Field(
        default=1, ge=1, le=5, description="Which group of signers is dev under unseen-signers; the next is test."
    )
    split_seed: Seed = Field(default=0, description="Draws the splits that a table does not say.")
    signers: Annotated[tuple[str, ...], Field(min_length=1)] | None = Field(
        default=None, description="Only these signers; null takes all."
    )
    sentences: int = Field(default=600, ge=12, le=20_000, description="Training words of the embedded corpus.")
    missing: Literal["error", "skip"] = Field(
        default="error", description="Whether rows without a file or a gloss are an error or left out."
    )
    scoring: Literal["auto", Scoring] = Field(
        default="auto", description="Rule that errors are counted by; auto takes what the corpus's papers do."
    )
    targets: Literal["raw", "clean"] = Field(
        default="raw", description="clean trains on what the scoring rule makes of annotations."
    )
    noise_floor: float = Field(
        default=0.05, ge=1e-6, le=1e6, description="What moves less is noise, in shoulder widths and hand sizes."
    )
    gains: Annotated[Gains, BeforeValidator(_gains)] = Field(
        default=Gains(blocks="auto"),
        json_schema_extra=_auto_or_mapping,
        description="How loud parts and channels enter the model; auto estimates it from the training split.",
    )
    cache: Path | None = Field(
        default=None, description="Where packed corpora, activations and weights are kept; null is your cache folder."
    )


class TrainingSettings(Section):
    """The constants of training; what is searched lives in the space."""

    epochs: PositiveInt = Field(default=24, le=1_000_000, description="Epochs of a full trial.")
    batch_size: PositiveInt = Field(default=16, description="Utterances a step.")
    optimizer: Literal["adamw", "adam"] = Field(default="adamw", description="Optimiser of all layers.")
    weight_decay: NonNegativeFloat = Field(
        default=1e-4,
        description="AdamW shrinks weights by this times the learning rate at every step; Adam adds it to gradients.",
    )
    clip_norm: PositiveFloat = Field(default=1.0, description="Gradients with a larger norm are scaled down to it.")
    schedule: Literal["constant", "cosine"] = Field(
        default="constant", description="Learning rate after warm-up: flat until final_decay, or half a cosine to 0."
    )
    final_decay: Unit = Field(
        default=0.2, description="Last share of the epochs, in which a constant learning rate falls to 5 % of itself."
    )
    average_epochs: float = Field(
        default=0.0, ge=0.0, le=1000.0, description="Last epochs that scored and kept weights are averaged over."
    )
    lr_scale: Literal["none", "fan_in"] = Field(
        default="none", description="fan_in: learning rate of layers with over 256 inputs divided by inputs / 256."
    )
    augment: Augmentations = Field(
        default="none", description="What changes in an utterance each time it is trained on; see docs/augmentation.md."
    )
    augment_activations: Annotated[str, joined(ACTIVATION_AUGMENTATIONS, "none")] = Field(
        default="none", description="The same of what enters the first layer that trains behind frozen ones."
    )
    precision: Literal["auto", "fp32", "bf16"] = Field(
        default="auto", description="Numbers of a step; auto takes the quicker ones where a GPU has bfloat16."
    )
    cuda_graphs: bool = Field(default=False, description="A GPU replays the recorded steps of each padded shape.")
    seed: Seed = Field(default=0, description="Seed of initial weights, order of batches, dropout and augmentation.")


class FreezingSettings(Section):
    """What may be frozen, and how layers that train at different depths differ."""

    allow_random_frozen: bool = Field(default=False, description="Freezes layers that hold random values too.")
    discriminative: float = Field(
        default=1.0, gt=0.0, le=1.0, description="Learning rate of a group of layers, as a factor of the one behind it."
    )
    warmup_at_thaw: int = Field(
        default=0, ge=0, description="Epochs in which the learning rate of newly thawed layers rises from 0."
    )


class PretrainingSettings(Section):
    """How weights to start from are made on the training split, and how foreign ones are fitted."""

    labels: Literal["auto", "isolated", "uniform", "aligned"] = Field(
        default="auto",
        description="What is classified: recordings of one gloss, or frames, cut evenly or where a model puts glosses; "
        "auto is isolated where there are such, else uniform.",
    )
    align_with: Path | None = Field(
        default=None, description="Checkpoint of a CTC model that puts glosses where labels is aligned."
    )
    steps: PositiveInt = Field(default=900, description="Optimiser steps of pretraining.")
    batch_size: PositiveInt = Field(default=32, description="Recordings or sentences a step of pretraining.")
    learning_rate: PositiveFloat = Field(default=4e-4, le=1e3, description="Learning rate of pretraining.")
    augment: Annotated[str, joined(STEADY, "none", "auto")] = Field(
        default="speed", description="As training.augment, in pretraining."
    )
    seed: Seed = Field(default=0, description="Seed of pretraining.")
    adapt: Literal["sum", "mean", "max", "centre"] = Field(
        default="sum", description="How kernels over space and time of foreign weights become kernels over time."
    )

    @model_validator(mode="after")
    def _aligned_by_a_model(self) -> Self:
        if (self.labels == "aligned") != (self.align_with is not None):
            raise ValueError("must name a CTC model's checkpoint in align_with exactly where labels is 'aligned'")
        return self


class DistillationSettings(Section):
    """How a student learns from a teacher: ``alpha * temperature**2 * KL(teacher || student) + (1 - alpha) * CTC``."""

    temperature: float = Field(
        default=3.0, gt=0.0, le=100.0, description="Softens what teacher and student say of a frame."
    )
    alpha: Share = Field(
        default=0.7, description="Weight of the teacher; 0 leaves it out, 1 leaves the transcripts out."
    )
    blank_weight: Share = Field(default=1.0, description="Weight of frames in which the teacher writes nothing.")
    feature_weight: float = Field(
        default=0.0,
        ge=0.0,
        le=1e6,
        description="Weight of how alike both find frames before their LSTM; 0 leaves it out.",
    )


class TunedSettings(Section):
    """What a sweep searches; in a sweep file these keys stand under ``space``."""

    strategy: Literal["baseline", "feature-extraction", "fine-tune", "progressive", "full-finetune"] = Field(
        default="baseline",
        description="What is frozen and when it thaws; all but baseline start from pretrained weights.",
    )
    freeze_until: str | None = Field(
        default=None,
        description="First layer that trains, of feature-extraction and fine-tune; null is the strategy's own.",
    )
    unfreeze_stages: int | None = Field(
        default=None, ge=1, description="Stages in which progressive thaws; null is the strategy's own."
    )
    learning_rate: float | None = Field(
        default=None, gt=0.0, le=1e3, description="Highest learning rate of a trial; null is the strategy's own."
    )
    warmup_epochs: int = Field(default=0, ge=0, description="Epochs in which the learning rate rises from 0.")
    dropout: Unit = Field(default=0.1, description="Share of activations that are dropped in training.")


class TrialSettings(Section):
    """Everything that one trial needs to know.

    ``pretrained`` is a file of weights for strategies that use one, ``teacher`` an exported recogniser that this trial
    is distilled from.
    """

    model: ModelSettings = ModelSettings()
    corpus: CorpusSettings = CorpusSettings()
    training: TrainingSettings = TrainingSettings()
    freezing: FreezingSettings = FreezingSettings()
    pretrained: Path | None = None
    pretraining: PretrainingSettings = PretrainingSettings()
    teacher: Path | None = None
    teacher_kind: TeacherKind = None
    distillation: DistillationSettings = DistillationSettings()
    tuned: TunedSettings = TunedSettings()
    activation_cache: ActivationCache = True
    activation_cache_gb: ActivationCacheGb = 20.0

    @property
    def learning_rate(self) -> float:
        """The tuned rate, else the strategy's own."""
        return self.tuned.learning_rate or STRATEGIES[self.tuned.strategy].learning_rate

    def input_and_model(self) -> dict[str, object]:
        """What a file of weights records of the model and the input that it was trained for."""
        seen = {"kind", "split", "fold", "split_seed", "signers", "sentences"}
        seen |= {"layout", "not_seen", "hands", "frame_step", "noise_floor", "gains"}
        return {
            "model": self.model.model_dump(mode="json"),
            "corpus": self.corpus.model_dump(mode="json", include=seen),
        }


def read_settings(configuration: Mapping[str, object]) -> TrialSettings:
    """The settings that plain data stands for, nested as they are or by dotted names (``tuned.dropout``).

    Raises:
        ValidationError: a name or a value that the settings do not have.
    """
    return TrialSettings.model_validate(_nested(configuration))


def _nested(configuration: Mapping[str, object]) -> dict[str, object]:
    tree: dict[str, object] = {}
    for name, value in configuration.items():
        key, _, rest = str(name).partition(".")
        inner = {rest: value} if rest else value
        if isinstance(inner, Mapping):
            known = tree.get(key, {})
            inner = _nested({**known, **inner} if isinstance(known, Mapping) else inner)
        tree[key] = inner
    return tree


# Where in TrialSettings each parameter of a space belongs. One network makes trials comparable; epochs is here because
# a space may fix it, seed because a confirmation repeats trials under several.
SETTINGS_PATHS: Mapping[str, tuple[str, ...]] = {
    **{name: ("tuned", name) for name in TunedSettings.model_fields},
    **{name: ("training", name) for name in TrainingSettings.model_fields},
    **{name: ("model", name) for name in ModelSettings.model_fields if name != "kind"},
    **{name: ("distillation", name) for name in DistillationSettings.model_fields},
    **{f"gains.{name}": ("corpus", "gains", name) for name in Gains.model_fields if name != "blocks"},
}

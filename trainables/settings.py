"""What can be set about one trial: its model, corpus and training, validated once, defaults only here."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    NonNegativeFloat,
    PlainValidator,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from glosstune.models.kinds import check_kind
from glosstune.spaces import STRATEGIES
from glosstune.spaces.errors import SettingError, shown
from glosstune.spaces.parts import named_among
from glosstune.trainables.layouts.blocks import CHANNELS, KEY, Hands, NotSeen, read_blocks

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


def _joined(known: tuple[str, ...], *alone: str) -> AfterValidator:
    def check(augment: str) -> str:
        names = augment.split("+")
        if augment not in alone and (not set(names) <= set(known) or len(set(names)) < len(names)):
            words = ", ".join(map(repr, alone))
            raise ValueError(f"must be {words} or different names joined with '+' out of {', '.join(known)}")
        return augment

    return AfterValidator(check)


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


Augmentations = Annotated[str, _joined(AUGMENTATIONS, "none", "auto")]
# What each is, is said where it counts: ``ctc.rules``.
Scoring = Literal["plain", "phoenix2014", "phoenix2014-camgoz", "phoenix2014t", "csl-daily", "characters"]
Unit = Annotated[float, Field(ge=0.0, lt=1.0)]


class Section(BaseModel):
    """A frozen group of keys; a key it does not know is an error."""

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


class Gains(Section):
    """How loud each body part and each channel enters the model, after standardisation; 0 mutes.

    The gain of one feature is that of its part times that of its channel; ``values`` is the part of all blocks that
    are no landmarks. ``blocks`` is one more factor, that of the channel of this part: ``auto`` estimates it from the
    training split (see ``batches.gains``), null is 1.
    """

    blocks: Annotated[Literal["auto"] | BlockGains | None, PlainValidator(_block_gains)] = None
    pose: Gain = 1.0
    hands: Gain = 1.0
    face: Gain = 1.0
    values: Gain = 1.0
    shape: Gain = 1.0
    velocity: Gain = 1.0
    acceleration: Gain = 1.0
    position: Gain = 1.0


def _gains(given: object) -> object:
    if isinstance(given, Mapping | Gains):
        return given
    if given != "auto":
        raise ValueError("must be auto, or a mapping of gains such as {face: 0, velocity: 0.2}")
    return {"blocks": given}


Kind = Annotated[str, AfterValidator(check_kind)]


class ModelSettings(Section):
    """Which network is trained, and how large; ``kind`` is one of ours or ``package.module:Name`` of one's own."""

    kind: Kind = "student"
    width: PositiveFloat = Field(default=1.0, le=4.0)
    time_stride: Literal[1, 2, 4, 8, 16] = 4
    norm: Literal["group", "batch"] = "group"


class CorpusSettings(Section):
    """Where utterances come from, how they are split and conditioned; ``kind`` may be a corpus of one's own.

    ``split_seed`` draws the splits that a table does not say. ``scoring`` is the rule that errors are counted by;
    ``auto`` takes what the corpus's papers do. With ``targets`` clean, annotations are what this rule makes of them.
    ``gains`` auto is short for gains whose ``blocks`` are.
    """

    kind: Annotated[str, AfterValidator(named_among(CORPORA))] = "fingerspelling"
    root: Path | None = None
    layout: Annotated[str | tuple[Any, ...], AfterValidator(_layout)] = "default"
    not_seen: NotSeen = "zeros+nan"
    hands: Hands = "as-stored"
    frame_step: int = Field(default=1, ge=1, le=16)
    split: Literal["multi-signer", "unseen-clips", "unseen-signers"] = "multi-signer"
    fold: int = Field(default=1, ge=1, le=5)
    split_seed: int = Field(default=0, ge=0, lt=2**32)
    signers: tuple[str, ...] | None = Field(default=None, min_length=1)
    sentences: int = Field(default=600, ge=12, le=20_000)
    missing: Literal["error", "skip"] = "error"
    scoring: Literal["auto", Scoring] = "auto"
    targets: Literal["raw", "clean"] = "raw"
    noise_floor: float = Field(default=0.05, ge=1e-6, le=1e6)
    gains: Annotated[Gains, BeforeValidator(_gains)] = Gains(blocks="auto")
    cache: Path | None = None


class TrainingSettings(Section):
    """The constants of training; what is tuned lives in the space (see TunedSettings).

    ``average_epochs`` is over how many of the last epochs weights are averaged, exponentially, for scoring and for what
    is handed on; 0 takes those of the last step. ``augment_activations`` augments what enters the first layer that
    trains, where layers before it are frozen. ``cuda_graphs`` has a GPU replay the steps of each padded shape.
    """

    epochs: PositiveInt = Field(default=24, le=1_000_000)
    batch_size: PositiveInt = 16
    optimizer: Literal["adamw", "adam"] = "adamw"
    weight_decay: NonNegativeFloat = 1e-4
    clip_norm: PositiveFloat = 1.0
    schedule: Literal["constant", "cosine"] = "constant"
    final_decay: Unit = 0.2
    average_epochs: float = Field(default=0.0, ge=0.0, le=1000.0)
    lr_scale: Literal["none", "fan_in"] = "none"
    augment: Augmentations = "none"
    augment_activations: Annotated[str, _joined(ACTIVATION_AUGMENTATIONS, "none")] = "none"
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    cuda_graphs: bool = False
    seed: int = Field(default=0, ge=0, lt=2**32)


class FreezingSettings(Section):
    """What may be frozen, and how layers that train at different depths differ.

    ``discriminative`` multiplies the learning rate once more for each group of layers towards the input (1
    treats all alike; Howard and Ruder 2018 divide by 2.6, which is 0.38). ``warmup_at_thaw`` epochs the rate of
    newly thawed layers rises from 0.
    """

    allow_random_frozen: bool = False
    discriminative: float = Field(default=1.0, gt=0.0, le=1.0)
    warmup_at_thaw: int = Field(default=0, ge=0)


class PretrainingSettings(Section):
    """How weights to start from are made on the training split, and how foreign ones are fitted.

    ``labels``: ``isolated`` classifies whole recordings of one gloss, ``uniform`` and ``aligned`` every frame of
    a sentence, cut evenly or where the CTC model in ``align_with`` puts its glosses; ``auto`` takes ``isolated``
    where the corpus has such recordings, else ``uniform``. ``adapt`` turns kernels over space and time into
    kernels over time (see ``models.load_pretrained``).
    """

    labels: Literal["auto", "isolated", "uniform", "aligned"] = "auto"
    align_with: Path | None = None
    steps: PositiveInt = 900
    batch_size: PositiveInt = 32
    learning_rate: PositiveFloat = Field(default=4e-4, le=1e3)
    augment: Annotated[str, _joined(STEADY, "none", "auto")] = "speed"
    seed: int = Field(default=0, ge=0, lt=2**32)
    adapt: Literal["sum", "mean", "max", "centre"] = "sum"

    @model_validator(mode="after")
    def _aligned_by_a_model(self) -> Self:
        if (self.labels == "aligned") != (self.align_with is not None):
            raise ValueError("must name a CTC model's checkpoint in align_with exactly where labels is 'aligned'")
        return self


class DistillationSettings(Section):
    """How a student learns from a teacher: ``alpha * temperature**2 * KL(teacher || student) + (1 - alpha) * CTC``.

    ``blank_weight`` is that of frames in which the teacher writes nothing (1 treats all alike). ``feature_weight``
    is that of the likeness between frames as teacher and student see it before their LSTM (see
    ``distillation.likeness``); 0 leaves it out.
    """

    temperature: float = Field(default=3.0, gt=0.0, le=100.0)
    alpha: float = Field(default=0.7, ge=0.0, le=1.0)
    blank_weight: float = Field(default=1.0, ge=0.0, le=1.0)
    feature_weight: float = Field(default=0.0, ge=0.0, le=1e6)


class TunedSettings(Section):
    """What a sweep searches; in a sweep file these keys stand under ``space``.

    ``learning_rate`` None takes the strategy's own rate; ``freeze_until`` and ``unfreeze_stages``
    None take the strategy's own plan.
    """

    strategy: Literal["baseline", "feature-extraction", "fine-tune", "progressive", "full-finetune"] = "baseline"
    freeze_until: str | None = None
    unfreeze_stages: int | None = Field(default=None, ge=1)
    learning_rate: float | None = Field(default=None, gt=0.0, le=1e3)
    warmup_epochs: int = Field(default=0, ge=0)
    dropout: Unit = 0.1


class TrialSettings(Section):
    """Everything that one trial needs to know.

    ``pretrained`` is a file of weights for strategies that use one; ``teacher`` an exported recogniser that this
    trial is distilled from, ``teacher_kind`` the model of one's own that it may be beside ``model.kind``: code that
    reading the file runs. With ``activation_cache`` what frozen layers give is computed once for all trials of a node
    and kept in at most ``activation_cache_gb`` GiB.
    """

    model: ModelSettings = ModelSettings()
    corpus: CorpusSettings = CorpusSettings()
    training: TrainingSettings = TrainingSettings()
    freezing: FreezingSettings = FreezingSettings()
    pretrained: Path | None = None
    pretraining: PretrainingSettings = PretrainingSettings()
    teacher: Path | None = None
    teacher_kind: Kind | None = None
    distillation: DistillationSettings = DistillationSettings()
    tuned: TunedSettings = TunedSettings()
    activation_cache: bool = True
    activation_cache_gb: PositiveFloat = 20.0

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

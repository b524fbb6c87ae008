"""What each network says of itself, so that search can plan without torch; and which networks a sweep can name."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from itertools import chain
from typing import Any, NamedTuple

from glosstune.spaces.errors import SettingError, shown
from glosstune.spaces.parts import load_part, named_among
from glosstune.spaces.strategies import DEPTHS


@dataclass(frozen=True)
class Architecture:
    """The layers of a network, and what freezing and a GPU have to know of them.

    Attributes:
        groups: names of the layers in the order data flows, in the groups that gradual unfreezing thaws one after the
            other from the end towards the input. The last group is the head, which reads what the others give.
        depths: the layer that training starts at for each word that strategies use (see ``spaces.strategies.DEPTHS``).
        shortcuts: layers whose result bypasses those behind them and is added to what the head reads.
        peak_gb: that PyTorch has allocated at its peak in a training epoch, width 1, 16 utterances of 200 frames.

    Raises:
        ValueError: there is no layer before the head, a name stands twice, or a depth or shortcut is none of them.
    """

    groups: tuple[tuple[str, ...], ...]
    depths: Mapping[str, str]
    shortcuts: tuple[str, ...] = ()
    peak_gb: float = 0.5

    def __post_init__(self) -> None:
        if not all(isinstance(part, tuple) for part in (self.groups, *self.groups, self.shortcuts)):
            raise ValueError("groups of an Architecture are tuples of names, such as (('project',), ('lstm',))")
        if not 0 < self.peak_gb < float("inf"):
            raise ValueError(f"peak_gb of an Architecture is a number above 0; got {self.peak_gb}")
        if len(self.groups) < 2 or not all(self.groups):
            raise ValueError("an Architecture needs at least two groups of layers, of which the last is the head")
        if len(set(self.layers)) < len(self.layers):
            raise ValueError(f"an Architecture names each layer once; got {', '.join(self.layers)}")
        if set(self.depths) != set(DEPTHS):
            raise ValueError(f"depths of an Architecture are {', '.join(DEPTHS)}; got {', '.join(self.depths)}")
        unknown = {*self.depths.values()} - set(self.layers) | set(self.shortcuts) - set(self.body)
        if unknown:
            raise ValueError(f"{', '.join(sorted(unknown))}: no layer of the Architecture, or a shortcut of its head")

    @property
    def layers(self) -> tuple[str, ...]:
        """All layers in the order data flows."""
        return tuple(chain.from_iterable(self.groups))

    @property
    def head(self) -> tuple[str, ...]:
        """The layers that make glosses of what those before them give."""
        return self.groups[-1]

    @property
    def body(self) -> tuple[str, ...]:
        """The layers before the head."""
        return self.layers[: -len(self.head)]


TEACHER = Architecture(
    groups=(
        ("modality_fusion",),
        ("stem", "mixed_3b", "mixed_3c"),
        ("mixed_4b", "mixed_4c", "mixed_4d", "mixed_4e", "mixed_4f"),
        ("mixed_5b", "mixed_5c"),
        ("lstm", "classifier"),
    ),
    depths={"last": "mixed_5c", "middle": "mixed_4f"},
    peak_gb=0.5,  # measured on an H100, as the student's
)

STUDENT = Architecture(
    groups=(
        ("modality_projection",),
        ("shortcut", "stem", "block_1", "block_2", "block_3"),
        ("block_4", "block_5", "block_6", "block_7", "block_8"),
        ("block_9", "block_10", "block_11", "last"),
        ("lstm", "classifier"),
    ),
    # The teacher's are its author's; these are the blocks that as many groups of layers follow.
    depths={"last": "last", "middle": "block_8"},
    shortcuts=("shortcut",),
    peak_gb=0.3,
)


class Kind(NamedTuple):
    """One of ours: what is known of it, and ``module:Class`` to import where it is made."""

    architecture: Architecture
    home: str


KINDS: Mapping[str, Kind] = {
    "teacher": Kind(TEACHER, "glosstune.models.teacher:I3DTeacher"),
    "student": Kind(STUDENT, "glosstune.models.student:MobileNetV3Student"),
}

KIND_KEY = "model.kind"


check_kind = named_among(KINDS)


def architecture_of(kind: str) -> Architecture:
    """What a kind says of itself, ours without importing torch; errors as ``load_kind``."""
    if kind in KINDS:
        return KINDS[kind].architecture
    architecture: Architecture = load_kind(kind).architecture
    return architecture


def load_kind(kind: str) -> Any:
    """What makes a model of a kind; where that is one's own, its code is run.

    Raises:
        SettingError: there is no such kind, or it does not say what its layers are.
    """
    if kind in KINDS:
        module, _, name = KINDS[kind].home.partition(":")
        return getattr(import_module(module), name)
    try:
        check_kind(kind)
    except ValueError as error:
        raise SettingError(f"{error}; got {shown(kind)}", key=KIND_KEY) from None
    found = load_part(kind, KIND_KEY, ["architecture"])
    if not isinstance(found.architecture, Architecture):
        told = f"{kind}: its architecture is {shown(found.architecture)}, no glosstune.models.Architecture"
        raise SettingError(f"{told}; see docs/extending.md", key=KIND_KEY)
    return found

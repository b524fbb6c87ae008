"""Make a model by name, with weights that depend on the seed alone."""

import torch

from glosstune.models.recogniser import Recogniser, likeliest
from glosstune.models.student import MobileNetV3Student
from glosstune.models.teacher import I3DTeacher
from glosstune.spaces.errors import SettingError, shown

KINDS: dict[str, type[I3DTeacher] | type[MobileNetV3Student]] = {"student": MobileNetV3Student, "teacher": I3DTeacher}


def build_model(
    kind: str,
    vocabulary_size: int,
    *,
    width: float = 1.0,
    time_stride: int = 4,
    norm: str = "group",
    dropout: float = 0.1,
    seed: int = 0,
) -> Recogniser:
    """A freshly initialised ``teacher`` or ``student``, on the CPU; the same seed gives the same weights.

    The global random state stays as it was.

    Raises:
        SettingError: the kind is unknown, or an argument is out of range.
    """
    if kind not in KINDS:
        rule = f"must be one of {', '.join(KINDS)}; got {shown(kind)}{likeliest(kind, KINDS)}"
        raise SettingError(rule, key="model.kind")
    with torch.random.fork_rng(devices=[]):
        # torch.manual_seed would reset the generators of all accelerators as well.
        torch.default_generator.manual_seed(seed)
        return KINDS[kind](vocabulary_size, width=width, time_stride=time_stride, norm=norm, dropout=dropout)

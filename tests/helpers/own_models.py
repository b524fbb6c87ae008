"""Models as a user may write them: sound ones, and some that lack something."""

from collections.abc import Mapping
from typing import Any, ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from glosstune.models import FEATURE_WIDTH, MODALITY_WIDTHS, Architecture, MobileNetV3Student, Recogniser
from glosstune.models.layers.masking import Frames


class Project(nn.Module):
    stride = 1

    def __init__(self, channels: int, inputs: int = FEATURE_WIDTH) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, channels)

    def forward(self, x: Tensor, frames: Frames) -> Tensor:
        return frames.zero_padding(F.relu(self.linear(x)))


class Convolve(nn.Module):
    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.conv = nn.Conv1d(channels, channels, 2 * stride + 1, stride=stride, padding=stride)

    def forward(self, x: Tensor, frames: Frames) -> Tensor:
        y = F.relu(self.conv(x.transpose(1, 2))).transpose(1, 2)
        return frames.strided(self.stride).zero_padding(y)


class Tiny(Recogniser):
    """No LSTM, a head of one layer, and layers that are called like some of ours."""

    architecture: ClassVar[Architecture] = Architecture(
        groups=(("project",), ("beside", "stem"), ("block_1",), ("glosses",)),
        depths={"last": "block_1", "middle": "stem"},
        shortcuts=("beside",),
        peak_gb=0.1,
    )

    def __init__(
        self,
        vocabulary_size: int,
        *,
        width: float = 1.0,
        time_stride: int = 4,
        norm: str = "group",
        dropout: float = 0.1,
    ) -> None:
        super().__init__(vocabulary_size, width, time_stride, norm, dropout)
        channels = int(32 * width)
        self.project = Project(channels)
        self.beside = Convolve(channels, time_stride)
        self.stem = Convolve(channels, time_stride)
        self.block_1 = Convolve(channels, 1)
        self.glosses = nn.Linear(channels, vocabulary_size)

    def read_out(self, x: Tensor, frames: Frames) -> Tensor:
        x = F.dropout(x, self.dropout, self.glosses.training)
        return self.glosses(x).float().log_softmax(-1).transpose(0, 1)


class Unsaid(Recogniser):
    """It does not say what its layers are."""


class Said(Recogniser):
    architecture = "project, conv"  # type: ignore[assignment]  # wrong on purpose


class Bare(nn.Module):
    architecture = Tiny.architecture


class Fewer(Tiny):
    def __init__(self, vocabulary_size: int, **sizes: float) -> None:
        super().__init__(vocabulary_size, **sizes)  # type: ignore[arg-type]  # as given
        del self.stem


class Strideless(Tiny):
    def __init__(self, vocabulary_size: int, **sizes: float) -> None:
        super().__init__(vocabulary_size, **sizes)  # type: ignore[arg-type]  # as given
        del self.block_1.stride


class Slower(Tiny):
    def __init__(self, vocabulary_size: int, *, time_stride: int, **sizes: float) -> None:
        super().__init__(vocabulary_size, time_stride=2 * time_stride, **sizes)  # type: ignore[arg-type]  # as given


class Narrow(Tiny):
    def __init__(self, vocabulary_size: int, width: float) -> None:
        super().__init__(vocabulary_size, width=width)


class Failing(Tiny):
    def __init__(self, vocabulary_size: int, **sizes: float) -> None:
        raise RuntimeError("no such table")


class AnyLayout(Recogniser):
    """It takes the modalities of any layout, and projects them together."""

    architecture = Architecture(
        groups=(("project",), ("conv",), ("lstm", "classifier")), depths={"last": "conv", "middle": "conv"}
    )

    def __init__(
        self,
        vocabulary_size: int,
        *,
        width: float = 1.0,
        time_stride: int = 4,
        norm: str = "group",
        dropout: float = 0.1,
        modalities: Mapping[str, int] = MODALITY_WIDTHS,
    ) -> None:
        super().__init__(vocabulary_size, width, time_stride, norm, dropout, modalities=modalities)
        channels = int(32 * width)
        self.project = Project(channels, self.feature_width)
        self.conv = Convolve(channels, time_stride)
        self.add_head(channels, channels, vocabulary_size)


class OnTop(MobileNetV3Student):
    """The student, with all arguments handed on."""

    def __init__(self, vocabulary_size: int, **sizes: Any) -> None:
        super().__init__(vocabulary_size, **sizes)


class Forgetful(Tiny):
    def __init__(self, vocabulary_size: int, *, modalities: Mapping[str, int], **sizes: float) -> None:
        super().__init__(vocabulary_size, **sizes)  # type: ignore[arg-type]  # as given


def hands_alone(vocabulary_size: int) -> AnyLayout:
    return AnyLayout(vocabulary_size, width=0.25, modalities={"hands": 84, "temporal": 252})

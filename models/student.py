"""The student: MobileNetV3-Small with its images turned into time, over landmark features.

Paper: "Searching for MobileNetV3", Howard, Sandler, Chu, Chen, Chen, Tan, Wang, Zhu, Pang, Vasudevan, Le and
Adam, 2019.
"""

from collections.abc import Mapping
from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn

from glosstune.models.kinds import STUDENT
from glosstune.models.layers.masking import Frames
from glosstune.models.layers.modalities import MODALITY_WIDTHS, ModalityProjections, share_channels
from glosstune.models.layers.normalisation import Activation
from glosstune.models.layers.temporal import ConvNorm, TemporalConv
from glosstune.models.recogniser import Recogniser, scaled

PARTS = (32, 64, 32, 64)  # width of pose, hands, face and temporal; other layouts share out the same sum
LIGHT = ("pose", "face")  # modalities that get half of what any other gets
STEM = 16
LAST = 256
HIDDEN = 128

# The paper squeezes to a quarter of the expansion; an eighth saves a ninth of all parameters.
SQUEEZE = 8


class Row(NamedTuple):
    """A line of the paper's table 2."""

    kernel: int
    expansion: int
    outputs: int
    squeeze: bool
    activation: Activation
    stride: int


BOTTLENECKS = (
    Row(3, 16, 16, True, "relu", 2),
    Row(3, 72, 24, False, "relu", 2),
    Row(3, 88, 24, False, "relu", 1),
    Row(5, 96, 40, True, "hardswish", 2),
    Row(5, 240, 40, True, "hardswish", 1),
    Row(5, 240, 40, True, "hardswish", 1),
    Row(5, 120, 48, True, "hardswish", 1),
    Row(5, 144, 48, True, "hardswish", 1),
    Row(5, 288, 96, True, "hardswish", 2),
    Row(5, 576, 96, True, "hardswish", 1),
    Row(5, 576, 96, True, "hardswish", 1),
)


class MobileNetV3Student(Recogniser):
    """MobileNetV3-Small over time, with a shortcut past it and a bidirectional LSTM after it.

    The paper's first layers have 16 channels, plenty for an image of 3 colours and too few for 192 values a frame:
    alone they stay on the plateau where every utterance reads the same. So a depthwise separable shortcut takes
    the projected features to the LSTM, and the bottlenecks add to it.

    Args:
        vocabulary_size: glosses and the blank, which is index 0.
        width: multiplies every internal width (result a multiple of 8).
        time_stride: frames to one output, 1, 2, 4, 8 or 16; the paper's strides beyond it become 1.
        norm: ``group`` or ``batch``, statistics over real frames only.
        dropout: before the LSTM and before the classifier.
        modalities: values of each in a frame, in the order they are stored.

    Raises:
        SettingError: an argument is out of range.
    """

    architecture = STUDENT

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
        projected = sum(scaled(part, width) for part in PARTS)
        last = scaled(LAST, width)
        self.modality_projection = ModalityProjection(self.modalities, projected)
        self.shortcut = Shortcut(projected, last, time_stride, norm)
        inputs = scaled(STEM, width)
        stride = min(2, time_stride)
        self.stem = ConvNorm(projected, inputs, 3, norm, stride=stride, activation="hardswish")
        for number, row in enumerate(BOTTLENECKS, start=1):
            left = time_stride // stride
            block = Bottleneck(inputs, row, width, norm, min(row.stride, left))
            self.add_module(f"block_{number}", block)
            inputs, stride = block.outputs, stride * block.stride
        self.last = ConvNorm(inputs, last, 1, norm, activation="hardswish")
        self.add_head(last, scaled(HIDDEN, width), vocabulary_size)


class ModalityProjection(nn.Module):
    """Project the modalities and normalise each frame."""

    stride = 1

    def __init__(self, modalities: Mapping[str, int], width: int) -> None:
        super().__init__()
        weights = [1 if name in LIGHT else 2 for name in modalities]
        self.projections = ModalityProjections(modalities, share_channels(width, weights))
        self.norm = nn.LayerNorm(width)

    def forward(self, features: Tensor, frames: Frames) -> Tensor:
        """Features (batch, time, value) to activations (batch, time, channel), zero in padded frames."""
        return frames.zero_padding(self.norm(self.projections(features, frames)))


class Shortcut(nn.Module):
    """Depthwise separable convolution over about two outputs' worth of frames, straight to the LSTM's resolution."""

    def __init__(self, inputs: int, outputs: int, stride: int, norm: str) -> None:
        super().__init__()
        self.stride = stride
        self.depthwise = TemporalConv(inputs, inputs, max(5, 2 * stride - 1), stride=stride, groups=inputs)
        self.project = ConvNorm(inputs, outputs, 1, norm, activation="hardswish")

    def forward(self, x: Tensor, frames: Frames) -> Tensor:
        """Activations (batch, time, channel) to (batch, time / stride, channel), zero in padded frames."""
        y: Tensor = self.project(self.depthwise(x), frames.strided(self.stride))
        return y


class Bottleneck(nn.Module):
    """Expand, convolve each channel by itself, squeeze and excite, project; added to the input where it fits."""

    def __init__(self, inputs: int, row: Row, width: float, norm: str, stride: int) -> None:
        super().__init__()
        expanded, self.outputs = scaled(row.expansion, width), scaled(row.outputs, width)
        self.stride = stride
        self.residual = stride == 1 and inputs == self.outputs
        # The paper's first row expands 16 channels to 16: nothing to do.
        grow = None if expanded == inputs else ConvNorm(inputs, expanded, 1, norm, activation=row.activation)
        self.expand = grow
        self.depthwise = ConvNorm(
            expanded, expanded, row.kernel, norm, stride=stride, groups=expanded, activation=row.activation
        )
        self.squeeze = SqueezeExcitation(expanded) if row.squeeze else None
        self.project = ConvNorm(expanded, self.outputs, 1, norm, activation=None)

    def forward(self, x: Tensor, frames: Frames) -> Tensor:
        """Activations (batch, time, channel) to (batch, time / stride, channel), zero in padded frames."""
        y: Tensor = x if self.expand is None else self.expand(x, frames)
        y = self.depthwise(y, frames)
        frames = frames.strided(self.stride)
        if self.squeeze is not None:
            y = self.squeeze(y, frames)
        y = self.project(y, frames)
        return x + y if self.residual else y


class SqueezeExcitation(nn.Module):
    """Weigh channels by what the whole utterance holds (Hu et al. 2018), its real frames only."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        squeezed = scaled(channels / SQUEEZE, 1.0)
        self.reduce = nn.Linear(channels, squeezed)
        self.expand = nn.Linear(squeezed, channels)

    def forward(self, x: Tensor, frames: Frames) -> Tensor:
        """Activations (batch, time, channel), zero in padded frames, to the same weighed by channel."""
        gates = F.hardsigmoid(self.expand(F.relu(self.reduce(frames.mean(x)))))
        return x * gates

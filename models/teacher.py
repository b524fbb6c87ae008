"""The teacher: Inception-v1 inflated from images to time (I3D), over landmark features.

Paper: "Quo Vadis, Action Recognition? A New Model and the Kinetics Dataset", Carreira and Zisserman, 2017.
Inception-v1: "Going Deeper with Convolutions", Szegedy et al., 2014.
"""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from glosstune.models.kinds import TEACHER
from glosstune.models.layers.masking import Frames
from glosstune.models.layers.modalities import MODALITY_WIDTHS, ModalityProjections, share_channels
from glosstune.models.layers.temporal import ConvNorm, max_pool
from glosstune.models.recogniser import Recogniser, scaled

HEADS = 8

# Outputs of: branch 1 | branch 2 reduce, 3 taps | branch 3 reduce, 5 taps | branch 4 after pooling.
INCEPTION_CHANNELS = {
    "mixed_3b": (64, 96, 128, 16, 32, 32),
    "mixed_3c": (128, 128, 192, 32, 96, 64),
    "mixed_4b": (192, 96, 208, 16, 48, 64),
    "mixed_4c": (160, 112, 224, 24, 64, 64),
    "mixed_4d": (128, 128, 256, 24, 64, 64),
    "mixed_4e": (112, 144, 288, 32, 64, 64),
    "mixed_4f": (256, 160, 320, 32, 128, 128),
    "mixed_5b": (256, 160, 320, 32, 128, 128),
    "mixed_5c": (384, 192, 384, 48, 128, 128),
}

# Halvings of time in the order they are switched on; up to 8 they are where I3D has them, the last is its pool 2a.
HALVINGS = ("stem", "mixed_4b", "mixed_5b", "mixed_3b")


class ModalityFusion(nn.Module):
    """Project the modalities, to as many channels each, then let frames attend to each other."""

    stride = 1

    def __init__(self, modalities: Mapping[str, int], width: int) -> None:
        super().__init__()
        self.projections = ModalityProjections(modalities, share_channels(width, [1] * len(modalities)))
        self.norm_in = nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, HEADS, batch_first=True)
        self.norm_out = nn.LayerNorm(width)

    def forward(self, features: Tensor, frames: Frames) -> Tensor:
        """Features (batch, time, value) to activations (batch, time, channel), zero in padded frames."""
        x = self.norm_in(self.projections(features, frames))
        return frames.zero_padding(self.norm_out(x + self._attend(x, frames)))

    def _attend(self, x: Tensor, frames: Frames) -> Tensor:
        # Written out: the module's own forward has a fast path that rounds otherwise and comes and goes with
        # gradients, and the fused kernel's backward in bfloat16 is five times slower than this on a CPU.
        attention = self.attention
        joint = F.linear(x, attention.in_proj_weight, attention.in_proj_bias)
        split = joint.view(*x.shape[:2], 3, HEADS, -1).permute(2, 0, 3, 1, 4)
        query, key, value = split  # each (batch, head, time, part)
        scores = (query * query.shape[-1] ** -0.5) @ key.transpose(2, 3)
        if frames.mask is not None:
            scores = scores.masked_fill(frames.mask.transpose(1, 2).unsqueeze(1) == 0, -torch.inf)
        attended = scores.softmax(-1) @ value
        out: Tensor = attention.out_proj(attended.transpose(1, 2).flatten(2))
        return out


class InceptionBlock(nn.Module):
    """Four parallel branches: 1; 1 then 3; 1 then 5; pool then 1. Preceded by pooling where time is halved."""

    def __init__(self, inputs: int, channels: tuple[int, ...], norm: str, stride: int) -> None:
        super().__init__()
        one, three_in, three, five_in, five, pooled = channels
        self.stride = stride
        self.branch1 = ConvNorm(inputs, one, 1, norm)
        self.branch2_reduce = ConvNorm(inputs, three_in, 1, norm)
        self.branch2 = ConvNorm(three_in, three, 3, norm)
        self.branch3_reduce = ConvNorm(inputs, five_in, 1, norm)
        self.branch3 = ConvNorm(five_in, five, 5, norm)
        self.branch4 = nn.ModuleList([nn.Identity(), ConvNorm(inputs, pooled, 1, norm)])  # .0 is the pool's place
        self.outputs = one + three + five + pooled

    def forward(self, x: Tensor, frames: Frames) -> Tensor:
        """Activations (batch, time, channel) to (batch, time / stride, channel), zero in padded frames."""
        if self.stride > 1:
            frames = frames.strided(self.stride)
            x = frames.zero_padding(max_pool(x, self.stride))
        branches = (
            self.branch1(x, frames),
            self.branch2(self.branch2_reduce(x, frames), frames),
            self.branch3(self.branch3_reduce(x, frames), frames),
            self.branch4[1](max_pool(x), frames),
        )
        return torch.cat(branches, dim=2)


class I3DTeacher(Recogniser):
    """I3D over time, with modality fusion before it and a bidirectional LSTM after it.

    Args:
        vocabulary_size: glosses and the blank, which is index 0.
        width: multiplies every internal width (result a multiple of 8).
        time_stride: frames to one output, 1, 2, 4, 8 or 16; I3D's own is 8.
        norm: ``group`` or ``batch``, statistics over real frames only.
        dropout: before the LSTM and before the classifier.
        modalities: values of each in a frame, in the order they are stored.

    Raises:
        SettingError: an argument is out of range.
    """

    architecture = TEACHER

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
        halved = HALVINGS[: time_stride.bit_length() - 1]
        outputs = scaled(64, width)
        fused = 4 * outputs
        self.modality_fusion = ModalityFusion(self.modalities, fused)
        self.stem = ConvNorm(fused, outputs, 7, norm, stride=2 if "stem" in halved else 1)
        for name, channels in INCEPTION_CHANNELS.items():
            widths = tuple(scaled(count, width) for count in channels)
            block = InceptionBlock(outputs, widths, norm, 2 if name in halved else 1)
            self.add_module(name, block)
            outputs = block.outputs
        self.add_head(outputs, scaled(256, width), vocabulary_size)

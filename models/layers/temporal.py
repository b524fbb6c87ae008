"""The pieces both networks are made of: convolution, pooling and the recurrent layer over (batch, time, channel)."""

import os
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from glosstune.models.layers.masking import Frames
from glosstune.models.layers.normalisation import NORMS, Activation

# On a CPU oneDNN compiles a kernel for every shape. Of the 1,024 that it keeps by default a teacher needs more as soon
# as batches come in a dozen lengths, and then compiles them again and again. It asks for this when it keeps its first.
os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "100000")

LSTM_WEIGHTS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")

# Time-major activations are what a 2-D convolution calls channels last. On one core that layout is up to twice
# as fast as Conv1d (a kernel of 1 is one matrix product) and max-pooling five times.


def as_image(x: Tensor) -> Tensor:
    """(batch, time, channel) seen as (batch, channel, 1, time), without a copy."""
    return x.transpose(1, 2).unsqueeze(2)


def as_sequence(image: Tensor) -> Tensor:
    """(batch, channel, 1, time) seen as (batch, time, channel), without a copy."""
    return image.squeeze(2).transpose(1, 2)


class TemporalConv(nn.Conv1d):
    """nn.Conv1d, its names and weight shapes included, on (batch, time, channel); ceil(time / stride) frames remain."""

    def __init__(self, inputs: int, outputs: int, kernel: int, *, stride: int = 1, groups: int = 1) -> None:
        super().__init__(inputs, outputs, kernel, stride=stride, padding=kernel // 2, groups=groups)

    def forward(self, x: Tensor) -> Tensor:
        return self.convolve(x, self.bias)

    def convolve(self, x: Tensor, bias: Tensor | None) -> Tensor:
        """The same with another bias, or none."""
        if self.kernel_size == (1,) and self.stride == (1,):
            return F.linear(x, self.weight.squeeze(2), bias)
        stride, padding = (1, self.stride[0]), (0, self.kernel_size[0] // 2)
        kernel = self.weight.unsqueeze(2)
        if self.groups == 1:
            return as_sequence(F.conv2d(as_image(x), kernel, bias, stride, padding))
        # Depthwise in bfloat16 is three to eight times slower on a CPU than in float32.
        with torch.autocast(x.device.type, enabled=False):
            image = F.conv2d(as_image(x.float()), kernel, bias, stride, padding, groups=self.groups)
        return as_sequence(image)


class ConvNorm(nn.ModuleList):
    """Convolution (``0``) and masked normalisation (``1``), then an activation."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        norm: str,
        *,
        stride: int = 1,
        groups: int = 1,
        activation: Activation | None = "relu",
    ) -> None:
        convolution = TemporalConv(inputs, outputs, kernel, stride=stride, groups=groups)
        if groups == 1:
            # After an activation all channels have a mean above zero. Filters that sum to zero do not pass it on;
            # else, under group normalisation, it drowns what changes over time: from 0.97 of the teacher's variance
            # to 0.37 in mixed_5c, with them 0.68 (0.69 under batch normalisation, which removes the mean itself).
            with torch.no_grad():
                convolution.weight -= convolution.weight.mean((1, 2), keepdim=True)
        super().__init__([convolution, NORMS[norm](outputs)])
        self.stride = stride
        self.activation = activation

    def forward(self, x: Tensor, frames: Frames) -> Tensor:
        """Activations (batch, time / stride, channel), zero in padded frames; ``frames`` are those of ``x``."""
        convolution = cast(TemporalConv, self[0])
        own = frames.strided(self.stride)
        y: Tensor = self[1](convolution.convolve(x, None), own, self.activation, added=convolution.bias)
        return y


def max_pool(x: Tensor, stride: int = 1) -> Tensor:
    """Maximum over three frames of activations (batch, time, channel) that are nowhere negative.

    Zeroed padding can then never win, but the last real frame reaches into the padding of the result.
    """
    return as_sequence(F.max_pool2d(as_image(x), (1, 3), (1, stride), (0, 1)))


def bidirectional(lstm: nn.LSTM, x: Tensor, frames: Frames) -> Tensor:
    """Run a one-layer bidirectional LSTM over the real frames: (batch, time, channel) to (batch, time, 2 * hidden).

    On a CPU a packed sequence takes the slow road of one small product a frame, two to four times as long
    as each direction by itself over padded input; there the utterances are turned round within their lengths. So they
    are where lengths may not be read.
    """
    if frames.lengths.device != x.device:
        return packed_bidirectional(lstm, x, frames)
    forwards = _one_way(lstm, x, "")
    backwards = _turn(_one_way(lstm, _turn(x, frames), "_reverse"), frames)
    return torch.cat((forwards, backwards), dim=2)


def packed_bidirectional(lstm: nn.LSTM, x: Tensor, frames: Frames) -> Tensor:
    """The same by cuDNN's way, a packed sequence; padded frames of the result are zero."""
    packed = pack_padded_sequence(x, frames.lengths, batch_first=True, enforce_sorted=False)
    return pad_packed_sequence(lstm(packed)[0], batch_first=True, total_length=frames.time)[0]


def _one_way(lstm: nn.LSTM, x: Tensor, suffix: str) -> Tensor:
    weights: list[Tensor] = [lstm.get_parameter(f"{name}_l0{suffix}") for name in LSTM_WEIGHTS]
    start = x.new_zeros(1, x.shape[0], lstm.hidden_size)
    y, _, _ = torch.lstm(
        x,
        (start, start),
        weights,
        has_biases=True,
        num_layers=1,
        dropout=0.0,
        train=lstm.training,
        bidirectional=False,
        batch_first=True,
    )
    return y


def _turn(x: Tensor, frames: Frames) -> Tensor:
    return x.flatten(0, 1).index_select(0, frames.reversal).view(x.shape)

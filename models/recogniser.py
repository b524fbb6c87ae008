"""What all networks share: checked arguments, the recurrent head, and frozen layers that stay in eval mode."""

from collections.abc import Mapping
from typing import ClassVar, Self, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from glosstune.models.kinds import Architecture
from glosstune.models.layers.casting import cast_once
from glosstune.models.layers.masking import Frames, strided_lengths
from glosstune.models.layers.modalities import MODALITY_WIDTHS, checked_modalities, listed_modalities
from glosstune.models.layers.normalisation import NORMS
from glosstune.models.layers.temporal import bidirectional
from glosstune.spaces.errors import CorpusError, SettingError, likeliest, shown

TIME_STRIDES = (1, 2, 4, 8, 16)
MAX_WIDTH = 4.0

# What passes from one layer to the next: activations (batch, time, channel), behind them those of each shortcut.
State = tuple[Tensor, ...]


class Recogniser(nn.Module):
    """A CTC recogniser whose top-level modules are the layers of its ``architecture``, in the order data flows.

    All before the head map activations (batch, time, channel) and Frames to activations, zero in padded frames, and
    have a ``stride``: of ceil(time / stride) frames each. The head is what ``read_out`` makes of it; ours is an LSTM
    and a classifier.

    Attributes:
        modalities: values of each modality in a frame, in the order they are stored.

    Raises:
        SettingError: an argument is out of range.
    """

    architecture: ClassVar[Architecture]
    lstm: nn.LSTM
    classifier: nn.Linear

    def __init__(
        self,
        vocabulary_size: int,
        width: float,
        time_stride: int,
        norm: str,
        dropout: float,
        *,
        modalities: Mapping[str, int] = MODALITY_WIDTHS,
    ) -> None:
        super().__init__()
        if vocabulary_size < 2:
            rule = f"must count the blank and at least one gloss; got {shown(vocabulary_size)}"
            raise SettingError(rule, key="vocabulary_size")
        if not 0 < width <= MAX_WIDTH:
            raise SettingError(f"must be above 0 and at most {MAX_WIDTH}; got {shown(width)}", key="model.width")
        if time_stride not in TIME_STRIDES:
            strides = ", ".join(map(str, TIME_STRIDES))
            raise SettingError(f"must be one of {strides}; got {shown(time_stride)}", key="model.time_stride")
        if norm not in NORMS:
            rule = f"must be one of {', '.join(NORMS)}; got {shown(norm)}{likeliest(norm, NORMS)}"
            raise SettingError(rule, key="model.norm")
        if not 0 <= dropout < 1:
            raise SettingError(f"must be at least 0 and below 1; got {shown(dropout)}", key="dropout")
        self.width = width
        self.time_stride = time_stride
        self.dropout = dropout
        self.modalities = checked_modalities(modalities)

    @property
    def feature_width(self) -> int:
        """Values of a frame, those of all modalities."""
        return sum(self.modalities.values())

    @property
    def layer_names(self) -> tuple[str, ...]:
        """The layers in the order data flows."""
        return self.architecture.layers

    def add_head(self, inputs: int, hidden: int, vocabulary_size: int) -> None:
        """Add ``lstm`` and ``classifier``; called last, so that state dicts are in the order data flows."""
        self.lstm = nn.LSTM(inputs, hidden, batch_first=True, bidirectional=True)
        self.classifier = nn.Linear(2 * hidden, vocabulary_size)

    def forward(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Log-probabilities of glosses over time, as CTC wants them.

        Args:
            features: (batch, time, value), a frame holding the values of one of ``modalities`` after the other; in
                the default layout 6516: pose 99 | hands 126 | face 1404 | temporal 4887.
            lengths: int64 (batch,), on the CPU: real frames of each utterance; finite values behind them change
                nothing.

        Returns:
            log_probs, float32 (time', batch, gloss), and their lengths, int64 (batch,) on the CPU.

        Raises:
            CorpusError: another number of features, or a length outside 1..time.
        """
        _check(features, lengths, self.modalities)
        log_probs, _, strided = self.forward_from(self.layer_names[0], (features,), lengths)
        return log_probs, strided

    def forward_from(self, layer: str, state: State, lengths: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The same from what enters a layer, and with what the head reads, (batch, time', channel), in the middle.

        Args:
            layer: one of those up to the first of the head.
            state: see ``forward_until``.
            lengths: int64 (batch,), on the CPU: input frames of each utterance.
        """
        with cast_once(self._layers(layer), state[0].device):
            state, frames = self._chain(layer, self.architecture.head[0], state, self._frames(layer, state, lengths))
            x = _added(state)
            return self.read_out(x, frames), x, frames.lengths

    def forward_until(self, layer: str, start: str, state: State, lengths: Tensor) -> State:
        """What enters a layer, each (batch, time / stride, channel), from what enters an earlier one.

        Args:
            layer: one of those up to the first of the head; see ``strides``.
            state: what enters ``start``; for the first layer the features (batch, time, value) alone.
            lengths: int64 (batch,), on the CPU: input frames of each utterance.
        """
        with cast_once(self._layers(start, layer), state[0].device):
            return self._chain(start, layer, state, self._frames(start, state, lengths))[0]

    def strides(self, layer: str) -> tuple[int, ...]:
        """Input frames to one frame of each tensor that enters a layer."""
        stride, beside = 1, []
        for name in self.layer_names[: self.layer_names.index(layer)]:
            own = cast(int, self.get_submodule(name).stride)
            if name in self.architecture.shortcuts:
                beside.append(stride * own)
            else:
                stride *= own
        return stride, *beside

    def encode(self, features: Tensor, frames: Frames) -> tuple[Tensor, Frames]:
        """What the head reads, (batch, time', channel), and its frames."""
        first, last = self.layer_names[0], self.architecture.head[0]
        with cast_once(self._layers(first, last), features.device):
            state, frames = self._chain(first, last, (features,), frames)
            return _added(state), frames

    def output_lengths(self, lengths: Tensor) -> Tensor:
        """Length of the log-probabilities for utterances of so many frames."""
        return strided_lengths(lengths, self.time_stride)

    def train(self, mode: bool = True) -> Self:
        """Training mode, in which frozen modules stay in eval mode: neither dropout nor running statistics move."""
        super().train(mode)
        if mode:
            for module in self.modules():
                parameters = list(module.parameters())
                if parameters and not any(parameter.requires_grad for parameter in parameters):
                    module.eval()
        return self

    def read_out(self, x: Tensor, frames: Frames) -> Tensor:
        """Log-probabilities, float32 (time', batch, gloss), from what the head reads (batch, time', channel)."""
        # Dropout belongs to the layer that reads its result and is off where that layer is frozen.
        x = F.dropout(x, self.dropout, self.lstm.training)
        x = bidirectional(self.lstm, x, frames)
        x = F.dropout(x, self.dropout, self.classifier.training)
        scores: Tensor = self.classifier(x)
        return scores.float().log_softmax(-1).transpose(0, 1)

    def _frames(self, layer: str, state: State, lengths: Tensor) -> Frames:
        return Frames.of(strided_lengths(lengths, self.strides(layer)[0]), state[0].shape[1], state[0].device)

    def _names(self, start: str, stop: str | None = None) -> tuple[str, ...]:
        """Layers from one up to, and without, another, or to the last."""
        names = self.layer_names
        return names[names.index(start) : None if stop is None else names.index(stop)]

    def _layers(self, start: str, stop: str | None = None) -> list[nn.Module]:
        return [self.get_submodule(name) for name in self._names(start, stop)]

    def _chain(self, start: str, stop: str, state: State, frames: Frames) -> tuple[State, Frames]:
        """Run the layers from ``start`` up to, and without, ``stop``."""
        for name, layer in zip(self._names(start, stop), self._layers(start, stop), strict=True):
            y = layer(state[0], frames)
            if name in self.architecture.shortcuts:
                state = (*state, y)
            else:
                state, frames = (y, *state[1:]), frames.strided(cast(int, layer.stride))
        return state, frames


def _added(state: State) -> Tensor:
    x, *beside = state
    for each in beside:
        x = x + each
    return x


def scaled(channels: float, width: float) -> int:
    """Channels times the width multiplier, as a multiple of 8 that divides into heads and groups."""
    return max(8, round(channels * width / 8) * 8)


def _check(features: Tensor, lengths: Tensor, modalities: Mapping[str, int]) -> None:
    width = sum(modalities.values())
    if features.dim() != 3 or features.shape[2] != width:
        parts = listed_modalities(modalities)
        raise CorpusError(
            f"features of shape {tuple(features.shape)}: must be (batch, time, {width}), a frame being {parts}"
        )
    if lengths.shape != features.shape[:1] or lengths.device.type != "cpu" or lengths.dtype != torch.int64:
        raise CorpusError(f"lengths: must be int64 of shape ({features.shape[0]},) on the CPU")
    if int(lengths.min()) < 1 or int(lengths.max()) > features.shape[1]:
        raise CorpusError(f"lengths {lengths.tolist()}: must lie in 1..{features.shape[1]}")

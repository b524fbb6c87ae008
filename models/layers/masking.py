"""Keep padding out of every result: which frames are real.

Activations are (batch, time, channel) and zero in padded frames. A convolution pads with zeros at the
ends of an utterance, so zeroed padding makes an utterance in a batch see what it would see alone.
"""

from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor


@dataclass(frozen=True)
class Frames:
    """Which frames of a padded batch are real, at one time resolution.

    Attributes:
        lengths: int64 (batch,), on the CPU, where packing an LSTM needs it; or on the device, where nothing may be
            read on the way, as in a CUDA graph.
        time: padded length.
        mask: float32 (batch, time, 1) on the device, 1 for real frames; None where nothing is padded.
        counts: float32 (batch, 1, 1) on the device: the lengths.
    """

    lengths: Tensor
    time: int
    mask: Tensor | None
    counts: Tensor
    _strided: dict[int, "Frames"] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def of(cls, lengths: Tensor, time: int, device: torch.device) -> "Frames":
        """Copies lengths to the device and never waits for it; those that are there already count as padded."""
        padded = lengths.device.type != "cpu" or int(lengths.min()) < time
        mask = _valid(lengths, time).float().unsqueeze(-1).to(device, non_blocking=True) if padded else None
        return cls(lengths, time, mask, lengths.float().view(-1, 1, 1).to(device, non_blocking=True))

    @cached_property
    def shares(self) -> Tensor:
        """Share of each frame in the mean over its utterance (batch, 1, time)."""
        if self.mask is None:
            return (1 / self.counts).expand(-1, 1, self.time).contiguous()
        return self.mask.transpose(1, 2) / self.counts

    @cached_property
    def padding(self) -> Tensor:
        """Padded frames among the flattened (batch * time), where the lengths are."""
        return (~_valid(self.lengths, self.time)).flatten().nonzero().squeeze(1)

    @cached_property
    def total(self) -> Tensor:
        """Real frames of the whole batch (1, 1, 1)."""
        return self.counts.sum(0, keepdim=True)

    @cached_property
    def batch_shares(self) -> Tensor:
        """Share of each frame in the mean over the batch (batch, 1, time)."""
        return self.shares * (self.counts / self.total)

    @cached_property
    def unbiased(self) -> Tensor:
        """What the variance over the batch is multiplied with to be that of its population (1,)."""
        count = self.total.flatten()
        return count / (count - 1).clamp(min=1)

    def strided(self, stride: int) -> "Frames":
        """After a convolution or pooling of odd kernel, padded by half of it, with this stride; made once."""
        if stride == 1:
            return self
        if stride not in self._strided:
            lengths, time = strided_lengths(self.lengths, stride), -(-self.time // stride)
            self._strided[stride] = Frames.of(lengths, time, self.counts.device)
        return self._strided[stride]

    @cached_property
    def reversal(self) -> Tensor:
        """For each frame of the flattened (batch * time) the one that replaces it when utterances run backwards."""
        step = torch.arange(self.time, device=self.lengths.device)
        backwards = torch.where(_valid(self.lengths, self.time), self.lengths.unsqueeze(1) - 1 - step, step)
        rows = backwards + self.time * torch.arange(len(self.lengths), device=self.lengths.device).unsqueeze(1)
        return rows.flatten().to(self.counts.device, non_blocking=True)

    def zero_padding(self, x: Tensor) -> Tensor:
        """The same activations (batch, time, channel) with padded frames set to zero."""
        return x if self.mask is None else x * self.mask.to(x.dtype)

    def clear_padding_(self, x: Tensor) -> Tensor:
        """The same, in place: padded frames of activations (batch, time, channel) become zero."""
        if self.mask is None:
            return x
        if x.device.type != "cpu" or not x.is_contiguous():
            return x.mul_(self.mask)
        x.view(-1, x.shape[2]).index_fill_(0, self.padding, 0)  # a pass less over all the others
        return x

    def mean(self, x: Tensor) -> Tensor:
        """Mean over real frames, (batch, 1, channel), of activations that are zero in padded frames."""
        return x.sum(1, keepdim=True) / self.counts.to(x.dtype)


def strided_lengths(lengths: Tensor, stride: int) -> Tensor:
    """Lengths rounded up to whole strides."""
    return (lengths + stride - 1) // stride


def _valid(lengths: Tensor, time: int) -> Tensor:
    return torch.arange(time, device=lengths.device) < lengths.unsqueeze(-1)

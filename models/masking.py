"""Keep padding out of every result: which frames are real, and normalisation that counts only those.

Activations are (batch, time, channel) and zero in padded frames. A convolution pads with zeros at the
ends of an utterance, so zeroed padding makes an utterance in a batch see what it would see alone.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

MAX_GROUPS = 32


@dataclass(frozen=True)
class Frames:
    """Which frames of a padded batch are real, at one time resolution.

    Attributes:
        lengths: int64 (batch,), on the CPU, where packing an LSTM needs it.
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
        """From lengths on the CPU; copies to the device and never waits for it."""
        padded = int(lengths.min()) < time
        mask = _valid(lengths, time).float().unsqueeze(-1).to(device, non_blocking=True) if padded else None
        return cls(lengths, time, mask, lengths.float().view(-1, 1, 1).to(device, non_blocking=True))

    @cached_property
    def shares(self) -> Tensor:
        """Share of each frame in the mean over its utterance (batch, 1, time)."""
        if self.mask is None:
            return (1 / self.counts).expand(-1, 1, self.time).contiguous()
        return self.mask.transpose(1, 2) / self.counts

    @cached_property
    def total(self) -> Tensor:
        """Real frames of the whole batch (1, 1, 1)."""
        return self.counts.sum(0, keepdim=True)

    @cached_property
    def batch_shares(self) -> Tensor:
        """Share of each frame in the mean over the batch (batch, 1, time)."""
        return self.shares * (self.counts / self.total)

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
        step = torch.arange(self.time)
        backwards = torch.where(_valid(self.lengths, self.time), self.lengths.unsqueeze(1) - 1 - step, step)
        rows = backwards + self.time * torch.arange(len(self.lengths)).unsqueeze(1)
        return rows.flatten().to(self.counts.device, non_blocking=True)

    def zero_padding(self, x: Tensor) -> Tensor:
        """The same activations (batch, time, channel) with padded frames set to zero."""
        return x if self.mask is None else x * self.mask.to(x.dtype)

    def mean(self, x: Tensor) -> Tensor:
        """Mean over real frames, (batch, 1, channel), of activations that are zero in padded frames."""
        return x.sum(1, keepdim=True) / self.counts.to(x.dtype)


def strided_lengths(lengths: Tensor, stride: int) -> Tensor:
    """Lengths rounded up to whole strides."""
    return (lengths + stride - 1) // stride


def _valid(lengths: Tensor, time: int) -> Tensor:
    return torch.arange(time) < lengths.unsqueeze(-1)


class MaskedGroupNorm(nn.Module):
    """Group normalisation (Wu and He 2018) of (batch, time, channel) over the real frames of each utterance.

    The number of groups is the largest divisor of the width that is at most 32 and at most half the width, so
    that a group has two values even in an utterance of one frame. Padded frames of the result are zero.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.groups = group_count(width)
        self.eps = 1e-5
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor, frames: Frames) -> Tensor:
        weights = (frames.mask, frames.shares, frames.counts)
        y, _, _ = _normalise(x, self.weight, self.bias, *weights, self.groups, self.eps)
        return y


class MaskedBatchNorm(nn.Module):
    """Batch normalisation (Ioffe and Szegedy 2015) of (batch, time, channel) over all real frames of the batch.

    Padded frames of the result are zero. ``eps`` is that of I3D and MobileNetV3.
    """

    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.eps = 1e-3
        self.momentum = 0.1
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))
        self.register_buffer("running_mean", torch.zeros(width))
        self.register_buffer("running_var", torch.ones(width))
        self.register_buffer("num_batches_tracked", torch.tensor(0))

    def forward(self, x: Tensor, frames: Frames) -> Tensor:
        if not self.training:
            scale = self.weight * (self.running_var + self.eps).rsqrt()
            shift = self.bias - self.running_mean * scale
            return frames.zero_padding(torch.addcmul(shift, x.float(), scale)).to(x.dtype)
        weights = (frames.mask, frames.batch_shares, frames.total)
        y, mean, variance = _normalise(x, self.weight, self.bias, *weights, 0, self.eps)
        with torch.no_grad():
            count = frames.total.flatten()
            self.num_batches_tracked += 1
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * (count / (count - 1).clamp(min=1)), self.momentum)
        return y


NORMS: dict[str, Callable[[int], nn.Module]] = {"group": MaskedGroupNorm, "batch": MaskedBatchNorm}


def group_count(width: int) -> int:
    """Largest divisor of the width that is at most min(32, width / 2)."""
    return max(groups for groups in range(1, max(1, min(MAX_GROUPS, width // 2)) + 1) if width % groups == 0)


def _normalise(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    mask: Tensor | None,
    shares: Tensor,
    counts: Tensor,
    groups: int,
    eps: float,
) -> tuple[Tensor, Tensor, Tensor]:
    result: tuple[Tensor, Tensor, Tensor]
    result = _Normalise.apply(x, weight, bias, mask, shares, counts, groups, eps)  # type: ignore[no-untyped-call]  # torch leaves apply bare
    return result


class _Normalise(torch.autograd.Function):
    """Normalise over real frames; ``groups`` 0 takes the statistics of the whole batch.

    Written out because autograd's own chain makes two to three times as many operations and passes over the
    activations, and normalisation is a large part of a step on one core.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        mask: Tensor | None,
        shares: Tensor,
        counts: Tensor,
        groups: int,
        eps: float,
    ) -> tuple[Tensor, Tensor, Tensor]:
        wide = x.float()
        mean = _pool(_weigh(shares, wide), groups)
        centred = wide - mean
        variance = _pool(_weigh(shares, centred.square()), groups)
        inverse = (variance + eps).rsqrt_()
        scale = inverse * weight
        y = torch.addcmul(bias, centred, scale)
        if mask is not None:
            y.mul_(mask)
        ctx.save_for_backward(centred, inverse, scale, weight, mask, shares, counts)
        ctx.groups, ctx.dtype = groups, x.dtype
        mean, variance = mean[0, 0], variance[0, 0]
        ctx.mark_non_differentiable(mean, variance)
        return y.to(x.dtype), mean, variance

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        centred, inverse, scale, weight, mask, shares, counts = ctx.saved_tensors
        grad = grads[0].float()
        plain = _weigh(shares, grad)
        scaled = _weigh(shares, grad * centred).mul_(inverse)
        grad_x = None
        if ctx.needs_input_grad[0]:
            shift = _pool(plain * weight, ctx.groups).mul_(inverse).neg_()
            slope = _pool(scaled * weight, ctx.groups).mul_(inverse.square()).neg_()
            grad_x = torch.addcmul(shift, centred, slope).addcmul_(grad, scale)
            if mask is not None:
                grad_x.mul_(mask)
            grad_x = grad_x.to(ctx.dtype)
        grad_weight, grad_bias = (scaled * counts).sum((0, 1)), (plain * counts).sum((0, 1))
        return grad_x, grad_weight, grad_bias, None, None, None, None, None


def _weigh(shares: Tensor, x: Tensor) -> Tensor:
    """Weighted sum over frames: (batch, 1, time) and (batch, time, channel) to (batch, 1, channel).

    Giving ``out`` keeps it in float32 under autocast.
    """
    return torch.bmm(shares, x, out=x.new_empty(x.shape[0], 1, x.shape[2]))


def _pool(means: Tensor, groups: int) -> Tensor:
    """Spread the means over channel groups (batch, 1, channel), or over the batch (1, 1, channel) for no groups."""
    if not groups:
        return means.sum(0, keepdim=True)
    batch, _, channels = means.shape
    grouped = means.view(batch, groups, channels // groups).mean(2, keepdim=True)
    return grouped.expand(-1, -1, channels // groups).reshape(batch, 1, channels)

"""Normalisation that counts only real frames, with the activation that follows it."""

import warnings
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from typing import Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from glosstune.models.layers.masking import Frames

MAX_GROUPS = 32

Activation = Literal["relu", "hardswish"]


class Moving(NamedTuple):
    """The statistics that batch normalisation keeps for evaluation; they move in place.

    Attributes:
        mean, variance: (channel,).
        batches: int64 (), how many there were.
        momentum: how far they move with each of them.
    """

    mean: Tensor
    variance: Tensor
    batches: Tensor
    momentum: float


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

    def forward(
        self, x: Tensor, frames: Frames, activation: Activation | None = None, added: Tensor | None = None
    ) -> Tensor:
        """Normalised activations (batch, time, channel), of ``x``'s type; see ``normalise``."""
        return normalise(x, added, self.weight, self.bias, frames, self.groups, self.eps, activation)


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

    def forward(
        self, x: Tensor, frames: Frames, activation: Activation | None = None, added: Tensor | None = None
    ) -> Tensor:
        """Normalised activations (batch, time, channel), of ``x``'s type; see ``normalise``."""
        if not self.training:
            mean = self.running_mean
            if added is not None and torch.is_grad_enabled() and added.requires_grad:
                x = x + added
            elif added is not None:
                mean = mean - added
            fixed = (mean, self.running_var, self.weight, self.bias)
            y = F.batch_norm(x.flatten(0, 1), *fixed, training=False, eps=self.eps).view(x.shape)
            return _activated_(frames.clear_padding_(y), activation)
        moving = Moving(self.running_mean, self.running_var, self.num_batches_tracked, self.momentum)
        return normalise(x, added, self.weight, self.bias, frames, 0, self.eps, activation, moving)


NORMS: dict[str, Callable[[int], nn.Module]] = {"group": MaskedGroupNorm, "batch": MaskedBatchNorm}


def group_count(width: int) -> int:
    """Largest divisor of the width that is at most min(32, width / 2)."""
    return max(groups for groups in range(1, max(1, min(MAX_GROUPS, width // 2)) + 1) if width % groups == 0)


def normalise(
    x: Tensor,
    added: Tensor | None,
    weight: Tensor,
    bias: Tensor,
    frames: Frames,
    groups: int,
    eps: float,
    activation: Activation | None = None,
    moving: Moving | None = None,
) -> Tensor:
    """Activations normalised over real frames, (batch, time, channel), padded ones zero.

    On CUDA it is one kernel forward and one or two backward, where there is Triton, which torch's builds for it bring.

    Args:
        added: (channel,), to ``x`` before; the bias of a convolution costs nothing here, and a pass over the
            activations there.
        groups: of channels, with the statistics of each utterance; 0 for those of the whole batch.
        activation: what follows.
        moving: takes in the statistics, where they are of the batch.
    """
    y: Tensor = _function(x.device).apply(x, added, weight, bias, frames, groups, eps, activation, moving)  # type: ignore[no-untyped-call]  # torch leaves apply bare
    return y


class WrittenOut(torch.autograd.Function):
    """Normalise over real frames by operations of torch alone; what the fused kernels are held to.

    Written out because autograd's own chain makes two to three times as many operations and passes over the
    activations, and normalisation is a large part of a step on one core.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        added: Tensor | None,
        weight: Tensor,
        bias: Tensor,
        frames: Frames,
        groups: int,
        eps: float,
        activation: Activation | None,
        moving: Moving | None,
    ) -> Tensor:
        wide = x.float()
        means = _weigh(frames.shares if groups else frames.batch_shares, wide)
        # Over a batch what is added leaves with the mean; over a group it has moved the channels against each other.
        mean = _pool(means if added is None or not groups else means + added, groups)
        shift = mean if added is None or not groups else mean - added
        centred = wide - shift
        squares = centred.square()
        variance = _pool(_weigh(frames.shares if groups else frames.batch_shares, squares), groups)
        inverse = (variance + eps).rsqrt_()
        scale = inverse * weight
        entering = frames.clear_padding_(torch.addcmul(bias, centred, scale, out=squares))
        y = _activated_(entering, activation).to(x.dtype)
        # What an activation's slope is read from: rectified values tell their own, and take no memory besides.
        kept = {None: None, "relu": y, "hardswish": entering}[activation]
        ctx.save_for_backward(kept, centred, inverse, scale, weight, means - shift if groups else None)
        ctx.frames, ctx.groups, ctx.activation, ctx.dtype = frames, groups, activation, x.dtype
        if moving is not None:
            moving.batches.add_(1)
            moving.mean.lerp_(mean[0, 0] if added is None else mean[0, 0] + added, moving.momentum)
            moving.variance.lerp_(variance[0, 0] * frames.unbiased, moving.momentum)
        return y

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        kept, centred, inverse, scale, weight, level = ctx.saved_tensors
        frames, groups = ctx.frames, ctx.groups
        shares, counts = (frames.shares, frames.counts) if groups else (frames.batch_shares, frames.total)
        grad = _through_activation(grads[0].float(), kept, ctx.activation)
        plain = _weigh(shares, grad)
        product = grad * centred
        scaled = _weigh(shares, product).mul_(inverse)
        grad_x = grad_added = None
        needs_x, needs_added, *_ = ctx.needs_input_grad  # of a layer that is frozen but for its bias, the second alone
        if needs_x or needs_added:
            offset = -inverse * _pool(plain * weight, groups)
            slope = -inverse.square() * _pool(scaled * weight, groups)
        if needs_added:
            # The sum of what follows over frames, from means that are there already.
            each = torch.addcmul(offset, level, slope).addcmul_(plain, scale) if groups else torch.zeros_like(offset)
            grad_added = (each * counts).sum((0, 1))
        if needs_x:
            grad_x = torch.addcmul(offset, centred, slope, out=product).addcmul_(grad, scale)
            grad_x = frames.clear_padding_(grad_x).to(ctx.dtype)
        grad_weight, grad_bias = (scaled * counts).sum((0, 1)), (plain * counts).sum((0, 1))
        return grad_x, grad_added, grad_weight, grad_bias, None, None, None, None, None


def _activated_(x: Tensor, activation: Activation | None) -> Tensor:
    if activation is None:
        return x
    return x.relu_() if activation == "relu" else F.hardswish(x)


def _through_activation(grad: Tensor, kept: Tensor, activation: Activation | None) -> Tensor:
    if activation is None:
        return grad
    slope = torch.ops.aten
    passed: Tensor
    passed = slope.threshold_backward(grad, kept, 0) if activation == "relu" else slope.hardswish_backward(grad, kept)
    return passed


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


@cache
def _function(device: torch.device) -> type[torch.autograd.Function]:
    """On CUDA the fused kernels, where Triton is there, as in torch's builds for CUDA, and computes what it should.

    Triton wants a C compiler, a driver and a GPU that it knows; where one is missing training goes on without it.
    """
    if device.type != "cuda" or find_spec("triton") is None:
        return WrittenOut
    try:
        from glosstune.models.layers.fused_normalisation import FusedNormalisation

        check_function(FusedNormalisation, device)
    except Exception as error:  # a compiler raises what it likes
        told = f"normalisation on {device} takes several kernels, because the fused one does not work there: {error}"
        warnings.warn(told, stacklevel=2)
        return WrittenOut
    return FusedNormalisation


def check_function(function: type[torch.autograd.Function], device: torch.device) -> None:
    """Hold a function that normalises to what is written out, by a small example on a device.

    Raises:
        RuntimeError: result or gradients differ.
    """
    x = torch.linspace(-2, 3, 2 * 8 * 16, device=device).sin().view(2, 8, 16)
    weight, bias = torch.linspace(0.5, 2, 16, device=device), torch.linspace(-1, 1, 16, device=device)
    frames = Frames.of(torch.tensor([8, 5]), 8, device)
    with torch.enable_grad(), torch.autocast(device.type, enabled=False):
        for groups in (4, 0):
            outcomes = []
            for each in (function, WrittenOut):
                inputs = [value.clone().requires_grad_() for value in (x, bias, weight, bias)]
                y = each.apply(*inputs, frames, groups, 1e-5, "relu", None)  # type: ignore[no-untyped-call]  # torch leaves apply bare
                outcomes.append([y.detach(), *torch.autograd.grad(y, inputs, x)])
            apart = max(float((ours - written).abs().max()) for ours, written in zip(*outcomes, strict=True))
            if not apart < 1e-2:  # TensorFloat-32 may be on
                raise RuntimeError(f"results differ by {apart:.3g}")

"""Normalisation over real frames and the activation behind it in Triton: one kernel forward, one or two backward.

A program takes the channels of one group of one utterance, or some channels of the whole batch, and goes over their
frames as often as it needs them; what it reads again comes from the GPU's cache. A frame's channels lie side by side.
"""

from typing import Any, Literal

import torch
import triton
import triton.language as tl
from torch import Tensor

from glosstune.models.layers.masking import Frames

# Channels that a program takes of a batch: eight single-precision values are what a GPU reads at once.
BATCH_CHANNELS = 8
# Values that a program holds at a time.
TILE = 2048


class FusedNormalisation(torch.autograd.Function):
    """What ``normalisation.WrittenOut`` computes, with the same arguments and results."""

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
        activation: Literal["relu", "hardswish"] | None,
        moving: tuple[Tensor, Tensor, Tensor, float] | None,
    ) -> Tensor:
        x = x.contiguous()
        batch, time, channels = x.shape
        units = batch if groups else 1
        y = torch.empty_like(x)
        mean, variance = x.new_empty((2, units, channels), dtype=torch.float32)
        counts = frames.counts if groups else frames.total
        shape = _shape(batch, time, channels, groups)
        moved = (None, None, None, 0.0) if moving is None else moving
        statistics = (frames.counts, counts, y, mean, variance)
        _normalise[shape.pop("grid")](x, added, weight, bias, *statistics, *moved, eps, activation=activation, **shape)
        ctx.save_for_backward(x, added, weight, bias, frames.counts, counts, mean, variance)
        ctx.groups, ctx.eps, ctx.activation = groups, eps, activation
        return y

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, added, weight, bias, lengths, counts, mean, variance = ctx.saved_tensors
        batch, time, channels = x.shape
        grad_x = torch.empty_like(x)
        grad_added, grad_weight, grad_bias = partial = x.new_empty((3, *mean.shape), dtype=torch.float32)
        shape = _shape(batch, time, channels, ctx.groups)
        _differentiate[shape.pop("grid")](
            grads[0].contiguous(),
            x,
            added,
            weight,
            bias,
            lengths,
            counts,
            mean,
            variance,
            grad_x,
            grad_added,
            grad_weight,
            grad_bias,
            ctx.eps,
            activation=ctx.activation,
            **shape,
        )
        grad_added, grad_weight, grad_bias = partial.sum(1) if ctx.groups else partial.squeeze(1)
        return grad_x, None if added is None else grad_added, grad_weight, grad_bias, None, None, None, None, None


def _shape(batch: int, time: int, channels: int, groups: int) -> dict[str, Any]:
    """The grid of programs and what each of them takes."""
    own = channels // groups if groups else min(BATCH_CHANNELS, channels)
    block = triton.next_power_of_2(own)
    return {
        "grid": (batch if groups else 1, triton.cdiv(channels, own)),
        "time": time,
        "rows": time if groups else batch * time,
        "channels": channels,
        "own": own,
        "grouped": bool(groups),
        "wide": block,
        "high": max(16, TILE // block),
    }


@triton.jit
def _tile(lengths, first, start, rows, time, channels, columns, inside, high: tl.constexpr):
    """Some rows of a program's channels: where they lie, and which of them are real."""
    row = start + tl.arange(0, high)
    place = (first + row).to(tl.int64)
    there = row < rows
    length = tl.load(lengths + place // time, mask=there, other=0)
    real = there & (place % time < length)
    offsets = place[:, None] * channels + columns[None, :]
    return offsets, there[:, None] & inside[None, :], real[:, None] & inside[None, :]


@triton.jit
def _activated(value, activation: tl.constexpr):
    if activation == "relu":
        value = tl.where(value < 0.0, 0.0, value)  # NaN stays what it is
    elif activation == "hardswish":
        value = value * tl.minimum(tl.maximum(value + 3.0, 0.0), 6.0) / 6.0
    return value


@triton.jit
def _slope(value, activation: tl.constexpr):
    """Of the activation, as torch has it where there is a corner."""
    slope = tl.full(value.shape, 1.0, tl.float32)
    if activation == "relu":
        slope = tl.where(value > 0.0, 1.0, 0.0)
    elif activation == "hardswish":
        slope = tl.where(value < -3.0, 0.0, tl.where(value <= 3.0, value / 3.0 + 0.5, 1.0))
    return slope


@triton.jit(do_not_specialize=["time", "rows"])
def _normalise(
    x,
    added,
    weight,
    bias,
    lengths,
    counts,
    y,
    means,
    variances,
    moving_mean,
    moving_variance,
    batches,
    momentum,
    eps,
    time,
    rows,
    channels,
    own: tl.constexpr,
    grouped: tl.constexpr,
    wide: tl.constexpr,
    high: tl.constexpr,
    activation: tl.constexpr,
):
    unit, column = tl.program_id(0), tl.arange(0, wide)
    columns = tl.program_id(1) * own + column
    inside = (column < own) & (columns < channels)
    count = tl.load(counts + unit)
    total = tl.zeros((wide,), tl.float32)
    for start in range(0, rows, high):
        offsets, _, real = _tile(lengths, unit * rows, start, rows, time, channels, columns, inside, high)
        total += tl.sum(tl.load(x + offsets, mask=real, other=0.0).to(tl.float32), 0)
    more = _added(added, columns, inside)
    mean = _mean(total + more * count, count, own, grouped)
    lower = mean - more
    squares = tl.zeros((wide,), tl.float32)
    for start in range(0, rows, high):
        offsets, _, real = _tile(lengths, unit * rows, start, rows, time, channels, columns, inside, high)
        apart = tl.load(x + offsets, mask=real, other=0.0).to(tl.float32) - lower[None, :]
        squares += tl.sum(tl.where(real, apart * apart, 0.0), 0)
    variance = _mean(squares, count, own, grouped)
    scale = tl.load(weight + columns, mask=inside, other=0.0) / tl.sqrt(variance + eps)
    shift = tl.load(bias + columns, mask=inside, other=0.0)
    for start in range(0, rows, high):
        offsets, there, real = _tile(lengths, unit * rows, start, rows, time, channels, columns, inside, high)
        apart = tl.load(x + offsets, mask=real, other=0.0).to(tl.float32) - lower[None, :]
        value = _activated(apart * scale[None, :] + shift[None, :], activation)
        tl.store(y + offsets, tl.where(real, value, 0.0).to(y.dtype.element_ty), mask=there)
    tl.store(means + unit * channels + columns, mean, mask=inside)
    tl.store(variances + unit * channels + columns, variance, mask=inside)
    if moving_mean is not None:
        _move(moving_mean + columns, mean, momentum, inside)
        _move(moving_variance + columns, variance * (count / tl.maximum(count - 1.0, 1.0)), momentum, inside)
        if tl.program_id(1) == 0:
            tl.store(batches, tl.load(batches) + 1)


@triton.jit
def _move(place, value, momentum, inside):
    before = tl.load(place, mask=inside, other=0.0)
    tl.store(place, before + momentum * (value - before), mask=inside)


@triton.jit(do_not_specialize=["time", "rows"])
def _differentiate(
    grad,
    x,
    added,
    weight,
    bias,
    lengths,
    counts,
    means,
    variances,
    grad_x,
    grad_added,
    grad_weight,
    grad_bias,
    eps,
    time,
    rows,
    channels,
    own: tl.constexpr,
    grouped: tl.constexpr,
    wide: tl.constexpr,
    high: tl.constexpr,
    activation: tl.constexpr,
):
    unit, column = tl.program_id(0), tl.arange(0, wide)
    columns = tl.program_id(1) * own + column
    inside = (column < own) & (columns < channels)
    count = tl.load(counts + unit)
    mean = tl.load(means + unit * channels + columns, mask=inside, other=0.0)
    lower = mean - _added(added, columns, inside)
    inverse = 1.0 / tl.sqrt(tl.load(variances + unit * channels + columns, mask=inside, other=0.0) + eps)
    scale = tl.load(weight + columns, mask=inside, other=0.0)
    shift = tl.load(bias + columns, mask=inside, other=0.0)
    plain = tl.zeros((wide,), tl.float32)
    scaled = tl.zeros((wide,), tl.float32)
    drift = tl.zeros((wide,), tl.float32)
    for start in range(0, rows, high):
        offsets, _, real = _tile(lengths, unit * rows, start, rows, time, channels, columns, inside, high)
        unified = (tl.load(x + offsets, mask=real, other=0.0).to(tl.float32) - lower[None, :]) * inverse[None, :]
        passed = tl.load(grad + offsets, mask=real, other=0.0).to(tl.float32)
        passed *= _slope(unified * scale[None, :] + shift[None, :], activation)
        plain += tl.sum(passed, 0)
        scaled += tl.sum(tl.where(real, passed * unified, 0.0), 0)
        drift += tl.sum(tl.where(real, unified, 0.0), 0)
    tl.store(grad_bias + unit * channels + columns, plain, mask=inside)
    tl.store(grad_weight + unit * channels + columns, scaled, mask=inside)
    level = _mean(plain * scale, count, own, grouped)
    lean = _mean(scaled * scale, count, own, grouped)
    # Over a batch what is added leaves with the mean.
    own_added = (plain * scale - level * count - lean * drift) * inverse if grouped else tl.zeros_like(plain)
    tl.store(grad_added + unit * channels + columns, own_added, mask=inside)
    for start in range(0, rows, high):
        offsets, there, real = _tile(lengths, unit * rows, start, rows, time, channels, columns, inside, high)
        unified = (tl.load(x + offsets, mask=real, other=0.0).to(tl.float32) - lower[None, :]) * inverse[None, :]
        passed = tl.load(grad + offsets, mask=real, other=0.0).to(tl.float32)
        passed *= _slope(unified * scale[None, :] + shift[None, :], activation)
        back = (passed * scale[None, :] - level[None, :] - unified * lean[None, :]) * inverse[None, :]
        tl.store(grad_x + offsets, tl.where(real, back, 0.0).to(grad_x.dtype.element_ty), mask=there)


@triton.jit
def _added(added, columns, inside):
    more = tl.zeros(columns.shape, tl.float32)
    if added is not None:
        more += tl.load(added + columns, mask=inside, other=0.0)
    return more


@triton.jit
def _mean(sums, count, own: tl.constexpr, grouped: tl.constexpr):
    """Of each channel over a batch, or of all channels of a group, from the sums of channels."""
    return tl.zeros_like(sums) + tl.sum(sums, 0) / (count * own) if grouped else sums / count

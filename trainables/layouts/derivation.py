"""Derive features from base values: shape, velocity, acceleration, position."""

import torch
from torch import Tensor

from glosstune.trainables.layouts.blocks import PARTS
from glosstune.trainables.layouts.layout import FeatureBlock, Layout


def expand(base: Tensor, layout: Layout) -> Tensor:
    """All features (..., time, feature_width) of base values (..., time, base_width)."""
    return torch.cat([derive(base, block, layout) for block in layout.blocks], dim=-1)


def derive(base: Tensor, block: FeatureBlock, layout: Layout) -> Tensor:
    """One block of the features.

    Shapes are those of hands from their wrist in hand sizes, of a face from its nose, of a pose as it is; velocities
    and accelerations are a frame's, backward differences, so that padding behind an utterance never reaches it.

    Args:
        base: float32 (..., time, base_width): positions in the frame of reference, and other values.

    Returns:
        (..., time, values of the block).
    """
    values = base[..., block.base]
    if block.channel == "velocity":
        return _difference(values, order=1)
    if block.channel == "acceleration":
        return _difference(values, order=2)
    if block.channel == "position" or block.part == "pose" or block.part not in PARTS:
        return values
    own = [each for each in layout.landmarks if each.part == block.part]
    # Blocks of one form are one tensor: two hands are as quick as one.
    alike = len({(each.span.stop - each.span.start, each.dims, each.skeleton.origin) for each in own}) == 1
    pieces = [values] if alike else torch.split(values, [_width(each.span) * each.dims for each in own], dim=-1)
    shapes = []
    for piece, each in zip(pieces, own, strict=False):
        points = piece.reshape(*piece.shape[:-1], -1, _width(each.span), each.dims)
        origin = each.skeleton.origin
        local = points - (points.mean(-2, keepdim=True) if origin is None else points[..., origin : origin + 1, :])
        if block.part == "hands":
            # A hand that was never seen has no size; its shape is 0.
            local = local / torch.linalg.vector_norm(local, dim=-1).mean(dim=-1)[..., None, None].clamp_min(1e-3)
        shapes.append(local.flatten(-3))
    return shapes[0] if alike else torch.cat(shapes, dim=-1)


def _width(span: slice) -> int:
    return int(span.stop - span.start)


def _difference(values: Tensor, *, order: int) -> Tensor:
    difference = torch.zeros_like(values)
    difference[..., order:, :] = values.diff(n=order, dim=-2)
    return difference

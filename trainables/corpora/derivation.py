"""Derive the 6516 features from positions in the shoulder frame: shape, velocity, acceleration, position."""

import torch
from torch import Tensor

from glosstune.trainables.corpora.layout import CHANNELS, FACE, HAND, PART_COLUMNS, PART_WIDTHS

NOSE_TIP = 1  # of the face mesh


def expand(base: Tensor) -> Tensor:
    """All features (..., time, 6516) of positions in the shoulder frame (..., time, 1629)."""
    return torch.cat([derive(base, channel, part) for channel in CHANNELS for part in PART_WIDTHS], dim=-1)


def derive(base: Tensor, channel: str, part: str) -> Tensor:
    """One block of the features.

    Args:
        base: float32 (..., time, 1629), positions in the shoulder frame.
        channel: ``shape`` (hands from their wrist in hand sizes, face from the nose, pose as it is),
            ``velocity`` and ``acceleration`` (a frame; backward differences, so that padding behind an
            utterance never reaches it) or ``position``.
        part: ``pose``, ``hands`` or ``face``.

    Returns:
        (..., time, values of the part).
    """
    values = base[..., PART_COLUMNS[part]]
    if channel == "velocity":
        return _difference(values, order=1)
    if channel == "acceleration":
        return _difference(values, order=2)
    if channel == "position" or part == "pose":
        return values
    if part == "face":
        return values - values[..., 3 * NOSE_TIP : 3 * NOSE_TIP + 3].repeat(*[1] * (values.dim() - 1), FACE)
    points = values.reshape(*values.shape[:-1], 2, HAND, 3)
    local = points - points[..., :1, :]
    # A hand that was never seen has no size; its shape is 0.
    size = torch.linalg.vector_norm(local, dim=-1).mean(dim=-1)[..., None, None].clamp_min(1e-3)
    shape: Tensor = local / size
    return shape.flatten(-3)


def _difference(values: Tensor, *, order: int) -> Tensor:
    difference = torch.zeros_like(values)
    difference[..., order:, :] = values.diff(n=order, dim=-2)
    return difference

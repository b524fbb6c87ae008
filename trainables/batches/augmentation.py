"""Change utterances so that a model cannot learn them by heart.

Every draw holds for a whole utterance (or a whole span of it): noise drawn anew for each frame would
pass through the derivatives and become the loudest signal.
"""

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from glosstune.trainables.layouts.blocks import CHANNELS
from glosstune.trainables.layouts.geometry import present, resample
from glosstune.trainables.layouts.layout import Layout

Frames = npt.NDArray[np.float32]

MIRROR_SHARE = 0.5
SPEED = (0.75, 1.3)
SCALE = (0.9, 1.1)
BODY_ROTATION_RAD = 0.08
HAND_ROTATION_RAD = 0.2
CLIP_NOISE = 0.02
VALUE_NOISE = 0.1  # of a value's deviation in training
TIME_MASKS = 2
TIME_MASK_SHARE = 0.1
PART_DROPOUT = 0.15


def augment_frames(
    frames: Frames,
    names: Collection[str],
    layout: Layout,
    statistics: Mapping[str, npt.NDArray[Any]],
    generator: np.random.Generator,
) -> Frames:
    """Augment one utterance before features are derived.

    Values that are no landmarks are played faster or slower and get noise; what turns and mirrors leaves them alone.

    Args:
        frames: stored values (time, base or feature width).
        names: augmentations; ``time-masks`` and ``part-dropout`` act later (see ``mask_features``).
        statistics: of the training split: ``deviation`` (feature,), ``mirror_order`` (landmark,).
    """
    if "speed" in names:
        frames = _play(frames, layout, generator.uniform(*SPEED))
    channels = 1 if frames.shape[1] == layout.base_width else len(CHANNELS)
    if layout.points:
        width = layout.positions_width
        moved = frames[:, : channels * width].reshape(-1, width)
        points = layout.positions(moved).reshape(len(frames), channels, -1, layout.dims)
        points = _augment_points(points, names, layout, statistics["mirror_order"], generator)
        flat = layout.flat(points.reshape(-1, layout.landmark_count, layout.dims)).reshape(len(frames), -1)
        frames = np.concatenate([flat, frames[:, channels * width :]], axis=1) if layout.values else flat
    if layout.values and "clip-noise" in names:
        frames = frames.copy()
        own = next(block.features.start for block in layout.blocks if block.part.startswith("values_"))
        others = frames[:, layout.positions_width :]
        deviation = statistics["deviation"][own : own + others.shape[1]]
        others += generator.normal(0, VALUE_NOISE, size=(1, others.shape[1])).astype(np.float32) * deviation
    return frames


def _augment_points(
    points: Frames,
    names: Collection[str],
    layout: Layout,
    order: npt.NDArray[np.int64],
    generator: np.random.Generator,
) -> Frames:
    """Of points (time, channel, landmark, dims)."""
    if "mirror" in names and generator.random() < MIRROR_SHARE:
        points = points[:, :, order] * np.array([-1, 1, 1][: layout.dims], dtype=np.float32)
    if "rotation" in names:
        points = points @ _rotation(generator, BODY_ROTATION_RAD, layout)
        for each in layout.landmarks:
            if each.part == "hands":
                wrist = points[:, :, each.span.start : each.span.start + 1]
                turned = (points[:, :, each.span] - wrist) @ _rotation(generator, HAND_ROTATION_RAD, layout)
                points[:, :, each.span] = turned + wrist
    if "scale" in names:
        points = points * np.float32(generator.uniform(*SCALE))
    if "clip-noise" in names:
        # Constant in time, so it moves shapes and positions and leaves velocities alone.
        still = [0] if points.shape[1] == 1 else [CHANNELS.index("shape"), CHANNELS.index("position")]
        exists = present(points[:, still[-1]], layout)
        noise = generator.normal(0, CLIP_NOISE, size=points.shape[2:]).astype(np.float32) * exists[:, None]
        points = points.copy()
        points[:, still] += noise
    return points


def mask_features(
    features: Tensor, lengths: Tensor, names: Collection[str], layout: Layout, generator: np.random.Generator
) -> None:
    """Silence spans of time and whole blocks of conditioned features (batch, time, feature), in place.

    0 is the mean of the training split, so a silent block says nothing.
    """
    for utterance, length in zip(features, lengths.tolist(), strict=True):
        if "time-masks" in names:
            for _ in range(TIME_MASKS):
                span = int(generator.uniform(0, TIME_MASK_SHARE) * length)
                start = int(generator.integers(0, max(1, length - span)))
                utterance[start : start + span] = 0
        if "part-dropout" in names:
            dropped = generator.random(len(layout.blocks)) < PART_DROPOUT
            for block, drop in zip(layout.blocks, dropped, strict=True):
                if drop:
                    utterance[:, block.features] = 0


def _play(frames: Frames, layout: Layout, rate: float) -> Frames:
    played = resample(frames, rate)
    if frames.shape[1] != layout.base_width:  # stored derivatives follow the new speed
        width = layout.positions_width
        played[:, width : 2 * width] *= rate
        played[:, 2 * width : 3 * width] *= rate * rate
    return played


def _rotation(generator: np.random.Generator, deviation_rad: float, layout: Layout) -> npt.NDArray[np.float32]:
    """A small rotation (dims, dims): in the plane of the picture, or about a random axis (Rodrigues' formula)."""
    if layout.planar:
        angle = generator.normal(0, deviation_rad)
        turn = np.eye(layout.dims)
        turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
        return np.asarray(turn, dtype=np.float32)
    vector = generator.normal(0, deviation_rad, size=3)
    angle = float(np.linalg.norm(vector))
    x, y, z = vector / max(angle, 1e-12)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.asarray(np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross, dtype=np.float32)

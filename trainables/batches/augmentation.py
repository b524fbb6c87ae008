"""Change utterances so that a model cannot learn them by heart.

Every draw holds for a whole utterance (or a whole span of it): noise drawn anew for each frame would
pass through the derivatives and become the loudest signal.
"""

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from glosstune.trainables.batches.moving import Frames, move_points
from glosstune.trainables.batches.playing import change_rhythm, change_speed
from glosstune.trainables.layouts.blocks import CHANNELS
from glosstune.trainables.layouts.layout import Layout

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

    Values that are no landmarks are played faster or slower and get noise; what moves landmarks leaves them alone.

    Args:
        frames: stored values (time, base or feature width).
        names: augmentations; ``time-masks`` and ``part-dropout`` act later (see ``mask_features``).
        statistics: of the training split: ``deviation`` (feature,), ``mirror_order`` (landmark,).
    """
    if "speed" in names:
        frames = change_speed(frames, layout, generator)
    if "rhythm" in names:
        frames = change_rhythm(frames, layout, generator)
    channels = 1 if frames.shape[1] == layout.base_width else len(CHANNELS)
    if layout.points:
        width = layout.positions_width
        moved = frames[:, : channels * width].reshape(-1, width)
        points = layout.positions(moved).reshape(len(frames), channels, -1, layout.dims)
        points = move_points(points, names, layout, statistics["mirror_order"], generator)
        flat = layout.flat(points.reshape(-1, layout.landmark_count, layout.dims)).reshape(len(frames), -1)
        frames = np.concatenate([flat, frames[:, channels * width :]], axis=1) if layout.values else flat
    if layout.values and "clip-noise" in names:
        frames = frames.copy()
        own = next(block.features.start for block in layout.blocks if block.part.startswith("values_"))
        others = frames[:, layout.positions_width :]
        deviation = statistics["deviation"][own : own + others.shape[1]]
        others += generator.normal(0, VALUE_NOISE, size=(1, others.shape[1])).astype(np.float32) * deviation
    return frames


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

"""Change utterances so that a model cannot learn them by heart.

Every draw holds for a whole utterance (or a whole span of it): noise drawn anew for each frame would
pass through the derivatives and become the loudest signal.
"""

from collections.abc import Collection

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from glosstune.trainables.corpora.geometry import LEFT_HAND, RIGHT_HAND, mirror_order, present, resample
from glosstune.trainables.corpora.layout import BASE_WIDTH, CHANNELS, HAND, PART_WIDTHS

Frames = npt.NDArray[np.float32]

MIRROR_SHARE = 0.5
SPEED = (0.75, 1.3)
SCALE = (0.9, 1.1)
BODY_ROTATION_RAD = 0.08
HAND_ROTATION_RAD = 0.2
CLIP_NOISE = 0.02
TIME_MASKS = 2
TIME_MASK_SHARE = 0.1
PART_DROPOUT = 0.15


def augment_frames(
    frames: Frames, names: Collection[str], face_order: npt.NDArray[np.int64], generator: np.random.Generator
) -> Frames:
    """Augment one utterance before features are derived.

    Args:
        frames: stored values (time, 1629 positions, or 6516 features).
        names: augmentations; ``time-masks`` and ``part-dropout`` act later (see ``mask_features``).
        face_order: mirror pairs of face landmarks (468,).
    """
    if "speed" in names:
        frames = _play(frames, generator.uniform(*SPEED))
    points = frames.reshape(len(frames), -1, BASE_WIDTH // 3, 3)  # (time, channel, landmark, 3)
    if "mirror" in names and generator.random() < MIRROR_SHARE:
        points = points[:, :, mirror_order(face_order)] * np.array([-1, 1, 1], dtype=np.float32)
    if "rotation" in names:
        points = points @ _rotation(generator, BODY_ROTATION_RAD)
        for start in (LEFT_HAND, RIGHT_HAND):
            hand = slice(start, start + HAND)
            wrist = points[:, :, start : start + 1]
            points[:, :, hand] = (points[:, :, hand] - wrist) @ _rotation(generator, HAND_ROTATION_RAD) + wrist
    if "scale" in names:
        points = points * np.float32(generator.uniform(*SCALE))
    if "clip-noise" in names:
        # Constant in time, so it moves shapes and positions and leaves velocities alone.
        still = [0] if points.shape[1] == 1 else [CHANNELS.index("shape"), CHANNELS.index("position")]
        exists = present(points[:, still[-1]])
        noise = generator.normal(0, CLIP_NOISE, size=points.shape[2:]).astype(np.float32) * exists[:, None]
        points = points.copy()
        points[:, still] += noise
    return points.reshape(frames.shape)


def mask_features(features: Tensor, lengths: Tensor, names: Collection[str], generator: np.random.Generator) -> None:
    """Silence spans of time and whole blocks of conditioned features (batch, time, 6516), in place.

    0 is the mean of the training split, so a silent block says nothing.
    """
    for utterance, length in zip(features, lengths.tolist(), strict=True):
        if "time-masks" in names:
            for _ in range(TIME_MASKS):
                span = int(generator.uniform(0, TIME_MASK_SHARE) * length)
                start = int(generator.integers(0, max(1, length - span)))
                utterance[start : start + span] = 0
        if "part-dropout" in names:
            widths = list(PART_WIDTHS.values()) * len(CHANNELS)
            dropped = generator.random(len(widths)) < PART_DROPOUT
            for block, drop in zip(torch.split(utterance, widths, dim=-1), dropped, strict=True):
                if drop:
                    block.zero_()


def _play(frames: Frames, rate: float) -> Frames:
    played = resample(frames, rate)
    if frames.shape[1] != BASE_WIDTH:  # stored derivatives follow the new speed
        played[:, BASE_WIDTH : 2 * BASE_WIDTH] *= rate
        played[:, 2 * BASE_WIDTH : 3 * BASE_WIDTH] *= rate * rate
    return played


def _rotation(generator: np.random.Generator, deviation_rad: float) -> npt.NDArray[np.float32]:
    """A small rotation (3, 3) about a random axis (Rodrigues' formula)."""
    vector = generator.normal(0, deviation_rad, size=3)
    angle = float(np.linalg.norm(vector))
    x, y, z = vector / max(angle, 1e-12)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.asarray(np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross, dtype=np.float32)

"""Landmark positions in the shoulder frame: what was not seen is filled in; mirrored, played faster or slower."""

import numpy as np
import numpy.typing as npt

from glosstune.spaces.errors import CorpusError
from glosstune.trainables.corpora.layout import BASE_WIDTH, FACE, HAND, POSE

# Landmark indices of MediaPipe Holistic.
LEFT_SHOULDER, RIGHT_SHOULDER = 11, 12
LEFT_HAND, RIGHT_HAND, FACE_START = POSE, POSE + HAND, POSE + 2 * HAND
PARTS = {
    "pose": slice(0, POSE),
    "left_hand": slice(LEFT_HAND, RIGHT_HAND),
    "right_hand": slice(RIGHT_HAND, FACE_START),
    "face": slice(FACE_START, FACE_START + FACE),
}
_POSE_PAIRS = ((1, 4), (2, 5), (3, 6), (7, 8), (9, 10), *((k, k + 1) for k in range(11, 33, 2)))

Positions = npt.NDArray[np.float32]  # (frame, landmark, 3): pose | left hand | right hand | face


def to_shoulder_frame(positions: Positions) -> Positions:
    """Positions in shoulder widths from the middle of the shoulders; parts that were not seen are filled in.

    Centre and scale are medians over the clip: taken frame by frame they would add the shoulders'
    own jitter to every landmark, and derivatives make jitter the loudest signal.

    Raises:
        CorpusError: no frame shows the shoulders.
    """
    shoulders = positions[seen_frames(positions, PARTS["pose"])][:, (LEFT_SHOULDER, RIGHT_SHOULDER)]
    widths = np.linalg.norm(shoulders[:, 0] - shoulders[:, 1], axis=-1)
    if not np.any(widths > 0):
        raise CorpusError("no frame shows the shoulders, which positions are measured from")
    centre = np.median(shoulders.mean(axis=1), axis=0)
    framed: Positions = ((positions - centre) / np.median(widths[widths > 0])).astype(np.float32)
    for part in PARTS.values():
        framed[:, part] = _fill(framed[:, part], seen_frames(positions, part))
    return framed


def seen_frames(positions: Positions, part: slice) -> npt.NDArray[np.bool_]:
    """In which frames (frame,) a part was seen; MediaPipe's arrays hold zeros where it was not."""
    return np.asarray(np.any(positions[:, part] != 0, axis=(1, 2)))


def present(points: Positions) -> npt.NDArray[np.bool_]:
    """Which landmarks (landmark,) of points (..., landmark, 3) exist: a hand that was never seen has no extent.

    Noise on such a hand would become a hand's shape once it is divided by its own tiny size.
    """
    exists = np.ones(points.shape[-2], dtype=np.bool_)
    for part in (PARTS["left_hand"], PARTS["right_hand"]):
        hand = points[..., part, :]
        exists[part] = bool((np.abs(hand - hand[..., :1, :]) > 1e-3).any())
    return exists


def mirror(positions: Positions, face_order: npt.NDArray[np.int64]) -> Positions:
    """The signer as seen in a mirror: left and right landmarks swapped, x negated (shoulder frame)."""
    mirrored = positions[:, mirror_order(face_order)].copy()
    mirrored[..., 0] *= -1
    return mirrored


def mirror_order(face_order: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Which landmark (543,) takes each landmark's place in a mirror."""
    pose = np.arange(POSE)
    for left, right in _POSE_PAIRS:
        pose[left], pose[right] = right, left
    left_hand = np.arange(LEFT_HAND, LEFT_HAND + HAND)
    return np.concatenate([pose, left_hand + HAND, left_hand, FACE_START + face_order])


def face_mirror_order(mean_face: Positions) -> npt.NDArray[np.int64]:
    """Pairs of face landmarks (468,) that mirror each other, from an average face (468, 3).

    MediaPipe publishes no such table, so two landmarks are a pair where each is the nearest to the
    other's image in the plane through the middle of the face; the rest stay where they are.
    """
    centred = mean_face - mean_face.mean(axis=0)
    image = centred * np.array([-1, 1, 1], dtype=np.float32)
    nearest = np.linalg.norm(image[:, None] - centred[None], axis=-1).argmin(axis=1)
    itself = np.arange(len(nearest))
    return np.asarray(np.where(nearest[nearest] == itself, nearest, itself), dtype=np.int64)


def resample(frames: npt.NDArray[np.float32], rate: float) -> npt.NDArray[np.float32]:
    """Play frames (time, ...) faster (rate > 1) or slower, by linear interpolation; at least two frames remain."""
    count = max(2, round(len(frames) / rate))
    position = np.linspace(0, len(frames) - 1, count)
    low = np.floor(position).astype(int)
    high = np.minimum(low + 1, len(frames) - 1)
    weight = (position - low).astype(np.float32).reshape(-1, *[1] * (frames.ndim - 1))
    return np.asarray(frames[low] * (1 - weight) + frames[high] * weight, dtype=np.float32)


def flatten(positions: Positions) -> npt.NDArray[np.float32]:
    """(frame, 543, 3) to base values (frame, 1629)."""
    return positions.reshape(len(positions), BASE_WIDTH)


def _fill(part: Positions, seen: npt.NDArray[np.bool_]) -> Positions:
    # Between two sightings a part moves in a straight line; before the first and after the last it rests.
    if seen.all():
        return part
    if not seen.any():
        return np.zeros_like(part)
    frames = np.arange(len(part))
    flat = part.reshape(len(part), -1)
    filled = np.stack([np.interp(frames, frames[seen], column[seen]) for column in flat.T], axis=1)
    return np.asarray(filled.reshape(part.shape), dtype=np.float32)

"""Move the landmarks of an utterance: as another signer, camera or tracker would have had them."""

from collections.abc import Callable, Collection

import numpy as np
import numpy.typing as npt

from glosstune.trainables.layouts.blocks import CHANNELS
from glosstune.trainables.layouts.geometry import present
from glosstune.trainables.layouts.layout import Layout

Frames = npt.NDArray[np.float32]

MIRROR_SHARE = 0.5
SCALE = (0.9, 1.1)
BODY_ROTATION_RAD = 0.08
HAND_ROTATION_RAD = 0.2
ASPECT = 0.1  # deviation of the logarithm of width to height
HAND_SHEAR = 0.15
PLACE, HAND_PLACE = 0.1, 0.05  # deviation in shoulder widths, of everything and of each hand by itself
CLIP_NOISE = 0.02
MOST_GAPS = 2  # of a hand in an utterance
GAP_SHARE = 0.3  # of an utterance, the longest


def move_points(
    points: Frames,
    names: Collection[str],
    layout: Layout,
    order: npt.NDArray[np.int64],
    generator: np.random.Generator,
) -> Frames:
    """Change points (time, channel, landmark, dims), which are positions or every channel of ready features.

    Args:
        order: (landmark,) where a mirror image has each.
    """
    if "mirror" in names and generator.random() < MIRROR_SHARE:
        points = points[:, :, order] * _along(layout, -1)
    if "rotation" in names:
        points = points @ _rotation(generator, BODY_ROTATION_RAD, layout)
        points = _about_wrists(points, layout, lambda: _rotation(generator, HAND_ROTATION_RAD, layout))
    if "proportions" in names:
        points = points * _along(layout, np.exp(generator.normal(0, ASPECT)))
        points = _about_wrists(points, layout, lambda: _shear(generator, layout))
    if "scale" in names:
        points = points * np.float32(generator.uniform(*SCALE))
    if "place" in names:
        points = _displace(points, layout, generator)
    if "hand-gaps" in names:
        points = _lose_hands(points, layout, generator)
    if "clip-noise" in names:
        # Constant in time, so it moves shapes and positions and leaves velocities alone.
        still = [0] if points.shape[1] == 1 else [CHANNELS.index("shape"), CHANNELS.index("position")]
        exists = present(points[:, still[-1]], layout)
        noise = generator.normal(0, CLIP_NOISE, size=points.shape[2:]).astype(np.float32) * exists[:, None]
        points = points.copy()
        points[:, still] += noise
    return points


def _along(layout: Layout, factor: float) -> npt.NDArray[np.float32]:
    """What multiplies the first coordinate alone, (dims,)."""
    return np.array([factor, 1, 1][: layout.dims], dtype=np.float32)


def _about_wrists(points: Frames, layout: Layout, draw: Callable[[], npt.NDArray[np.float32]]) -> Frames:
    """Each hand multiplied by a matrix (dims, dims) of its own, its wrist where it was."""
    points = points.copy()
    for hand in _hands(layout):
        wrist = points[:, :, hand.start : hand.start + 1]
        points[:, :, hand] = (points[:, :, hand] - wrist) @ draw() + wrist
    return points


def _displace(points: Frames, layout: Layout, generator: np.random.Generator) -> Frames:
    """Everything somewhere else, and each hand a little further; what was never seen stays there."""
    moves = np.zeros((layout.landmark_count, layout.dims), np.float32) + generator.normal(0, PLACE, layout.dims)
    for hand in _hands(layout):
        moves[hand] += generator.normal(0, HAND_PLACE, layout.dims)
    exists = present(points[:, -1], layout)
    return np.asarray(points + moves.astype(np.float32) * exists[:, None], dtype=np.float32)


def _lose_hands(points: Frames, layout: Layout, generator: np.random.Generator) -> Frames:
    """Straight lines where a tracker might have lost a hand, as they are drawn where it did."""
    points, count = points.copy(), len(points)
    for hand in _hands(layout):
        lost = np.zeros(count, dtype=bool)
        for _ in range(int(generator.integers(MOST_GAPS + 1))):
            length = int(generator.uniform(0, GAP_SHARE) * count)
            first = int(generator.integers(count - length + 1))
            lost[first : first + length] = True
        gone, seen = np.flatnonzero(lost), np.flatnonzero(~lost)
        place = np.searchsorted(seen, gone)
        before, after = seen[(place - 1).clip(0)], seen[place.clip(max=len(seen) - 1)]
        steps = (after - before).clip(1)[:, None, None, None].astype(np.float32)
        start, way = points[before, :, hand], points[after, :, hand] - points[before, :, hand]
        lines = start + way * (gone - before)[:, None, None, None] / steps
        if points.shape[1] == len(CHANNELS):
            still, speed, push = (CHANNELS.index(name) for name in ("shape", "velocity", "acceleration"))
            lines[:, speed] = (way / steps)[:, still]
            lines[:, push] = 0
        points[gone, :, hand] = lines
    return points


def _hands(layout: Layout) -> list[slice]:
    return [each.span for each in layout.landmarks if each.part == "hands"]


def _shear(generator: np.random.Generator, layout: Layout) -> npt.NDArray[np.float32]:
    """A matrix (dims, dims) near the identity; in the plane of the picture where any block has no depth."""
    matrix = np.eye(layout.dims, dtype=np.float32)
    free = 2 if layout.planar else layout.dims
    matrix[:free, :free] += generator.normal(0, HAND_SHEAR, (free, free)).astype(np.float32)
    return matrix


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

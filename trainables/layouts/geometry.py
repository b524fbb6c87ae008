"""Landmark positions in a frame of reference: what was not seen is filled in; mirrored, played faster or slower."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from glosstune.spaces.errors import CorpusError
from glosstune.trainables.layouts.layout import Landmarks, Layout

Positions = npt.NDArray[np.float32]  # (frame, landmark, dims), blocks in the order of the layout
Seen = npt.NDArray[np.bool_]  # (frame, landmark)

# How many of its own sizes, the mean distance of its landmarks from their middle, a part has to a shoulder width: seen
# in the recordings of the embedded corpus (hands 7.8, faces 6.8). A pose without known shoulders is taken as it is.
_SIZES = {"face": 7.0, "hands": 8.0, "pose": 1.0}


def frame_of_reference(layout: Layout) -> str:
    """What positions are measured from: ``shoulders``, else ``face``, ``pose``, ``hands``; empty without any."""
    if any(each.skeleton.shoulders for each in layout.landmarks):
        return "shoulders"
    # A single point has no size, and a size is what stands for a shoulder width.
    large = [each for each in layout.landmarks if each.span.stop - each.span.start > 1]
    parts = {each.part for each in large or layout.landmarks}
    return next((part for part in ("face", "pose", "hands") if part in parts), "")


def seen_landmarks(positions: npt.NDArray[np.floating], layout: Layout, *, zeros: bool) -> Seen:
    """Which landmarks were seen in which frames: those of NaN were not.

    Args:
        positions: (frame, landmark, dims) as an extractor wrote them.
        zeros: whether landmarks of zeros were not seen either.
    """
    known: Seen = np.asarray(~np.isnan(positions).any(axis=-1), dtype=np.bool_)
    seen = known.copy()
    seen[(positions == 0).all(axis=-1) & zeros] = False
    for each in layout.landmarks:
        block = seen[:, each.span]
        whole = np.asarray(block.any(axis=1), dtype=np.bool_)
        if not each.skeleton.one_by_one:
            block[:] = whole[:, None] & known[:, each.span]
        # Positions that somebody has measured from a wrist have it at 0 wherever there is a hand.
        elif (origin := each.skeleton.origin) is not None and not block[:, origin].any():
            block[:, origin] = whole & known[:, each.span.start + origin]
    return seen


def to_frame(positions: Positions, seen: Seen, layout: Layout) -> Positions:
    """Positions, NaN taken for 0, in shoulder widths from the middle of the shoulders; what was not seen is filled in.

    Centre and scale are medians over the clip: taken frame by frame they would add the shoulders'
    own jitter to every landmark, and derivatives make jitter the loudest signal. Without shoulders they are those of
    the face, the pose or the hands, whose sizes stand for a shoulder width (see ``frame_of_reference``).

    Raises:
        CorpusError: no frame shows what positions are measured from, or they are beyond single precision.
    """
    positions = np.nan_to_num(positions)
    centre, width = _shoulders(positions, seen, layout) or _middle(positions, seen, layout)
    if not np.isfinite(width) or not np.isfinite(centre).all():
        raise CorpusError("positions are too large to be measured; write them in a larger unit")
    framed: Positions = ((positions - centre) / width).astype(np.float32)
    for each in layout.landmarks:
        framed[:, each.span] = _fill(framed[:, each.span], seen[:, each.span])
    return framed


def _shoulders(positions: Positions, seen: Seen, layout: Layout) -> tuple[npt.NDArray[np.floating], np.floating] | None:
    block = next((each for each in layout.landmarks if each.skeleton.shoulders), None)
    if block is None:
        return None
    assert block.skeleton.shoulders is not None
    places = [block.span.start + place for place in block.skeleton.shoulders]
    shoulders = positions[seen[:, places].all(axis=1)][:, places]
    widths = np.linalg.norm(shoulders[:, 0] - shoulders[:, 1], axis=-1)
    if not np.any(widths > 0):
        raise CorpusError("no frame shows the shoulders, which positions are measured from")
    return np.median(shoulders.mean(axis=1), axis=0), np.median(widths[widths > 0])


def _middle(positions: Positions, seen: Seen, layout: Layout) -> tuple[npt.NDArray[np.floating], np.floating]:
    part = frame_of_reference(layout)
    middles, sizes = [], []
    for each in layout.landmarks:
        if each.part != part:
            continue
        whole = seen[:, each.span].mean(axis=1) > 0.5
        points = np.where(seen[whole][:, each.span, None], positions[whole][:, each.span], np.nan)
        if not len(points):
            continue
        middle = np.nanmean(points, axis=1, keepdims=True)
        middles.append(middle[:, 0])
        sizes.append(np.nanmean(np.linalg.norm(points - middle, axis=-1), axis=1))
    size = np.concatenate(sizes) if sizes else np.zeros(0)
    if not np.any(size > 0):
        name = {"hands": "a hand"}.get(part, f"the {part}")
        told = f"{name} has no extent in any frame" if len(size) else f"no frame shows {name}"
        raise CorpusError(f"{told}, which positions are measured from")
    return np.median(np.concatenate(middles), axis=0), np.median(size[size > 0]) * _SIZES[part]


def present(points: Positions, layout: Layout) -> npt.NDArray[np.bool_]:
    """Which landmarks (landmark,) of points (..., landmark, dims) exist: a hand that was never seen has no extent.

    Noise on such a hand would become a hand's shape once it is divided by its own tiny size.
    """
    exists = np.ones(points.shape[-2], dtype=np.bool_)
    for each in layout.landmarks:
        block = points[..., each.span, :]
        if each.part == "hands":
            exists[each.span] = bool((np.abs(block - block[..., :1, :]) > 1e-3).any())
        elif each.skeleton.one_by_one:
            frames = block.reshape(-1, *block.shape[-2:])
            first = frames[0].any(axis=1)  # which mostly shows all of them
            exists[each.span] = first if first.all() else frames.any(axis=(0, 2))
    return exists


def mirror(positions: Positions, order: npt.NDArray[np.int64]) -> Positions:
    """The signer as seen in a mirror: left and right landmarks swapped, x negated (frame of reference)."""
    mirrored = positions[:, order].copy()
    mirrored[..., 0] *= -1
    return mirrored


def mirror_order(layout: Layout, mean: Positions) -> npt.NDArray[np.int64]:
    """Which landmark (landmark,) takes each landmark's place in a mirror, with average positions (landmark, dims).

    A hand's place takes the other hand, where there are two of one form. Other blocks have known pairs, or such as
    their average shows.
    """
    order = np.arange(layout.landmark_count)
    hands = [each for each in layout.landmarks if each.part == "hands"]
    for each in layout.landmarks:
        start = each.span.start
        if each.part == "hands":
            order[each.span] = np.arange(each.span.start, each.span.stop) + _other_hand(each, hands) - start
        elif each.skeleton.pairs is None:
            order[each.span] = start + pairs_seen(mean[each.span])
        else:
            for left, right in each.skeleton.pairs:
                order[start + left], order[start + right] = start + right, start + left
    return order


def _other_hand(hand: Landmarks, hands: Sequence[Landmarks]) -> int:
    """Where the hand begins that takes a hand's place in a mirror: that of its name, or the only other one."""
    name = "_".join({"left": "right", "right": "left"}.get(word, word) for word in hand.name.split("_"))
    named = [each for each in hands if each.name == name != hand.name]
    other = [each for each in hands if each is not hand]
    found = named[0] if named else other[0] if len(other) == 1 else hand
    alike = found.dims == hand.dims and found.span.stop - found.span.start == hand.span.stop - hand.span.start
    return int(found.span.start if alike else hand.span.start)


def pairs_seen(mean: Positions) -> npt.NDArray[np.int64]:
    """Pairs of landmarks (landmark,) that mirror each other, from average positions (landmark, dims).

    MediaPipe publishes no such table for its face, so two landmarks are a pair where each is the nearest to the
    other's image in the plane through the middle of them all; the rest stay where they are.
    """
    centred = mean - mean.mean(axis=0)
    flip = np.ones(mean.shape[-1], dtype=np.float32)
    flip[0] = -1
    nearest = np.linalg.norm((centred * flip)[:, None] - centred[None], axis=-1).argmin(axis=1)
    itself = np.arange(len(nearest))
    return np.asarray(np.where(nearest[nearest] == itself, nearest, itself), dtype=np.int64)


def resample(frames: npt.NDArray[np.float32], rate: float) -> npt.NDArray[np.float32]:
    """Play frames (time, ...) faster (rate > 1) or slower, by linear interpolation; at least two frames remain."""
    return at_places(frames, np.linspace(0, len(frames) - 1, max(2, round(len(frames) / rate))))


def at_places(frames: npt.NDArray[np.floating], position: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """Frames (place, ...) at places (place,) between those of frames (time, ...), by linear interpolation."""
    low = np.floor(position).astype(int)
    high = np.minimum(low + 1, len(frames) - 1)
    weight = (position - low).astype(np.float32).reshape(-1, *[1] * (frames.ndim - 1))
    return np.asarray(frames[low] * (1 - weight) + frames[high] * weight, dtype=np.float32)


def bridge(values: npt.NDArray[np.floating], seen: npt.NDArray[np.bool_]) -> None:
    """Fill in what was not seen of values (time, value), in place: straight lines in time, rest before and after.

    A value that was never seen becomes 0.
    """
    frames = np.arange(len(values))
    for column in np.flatnonzero(~seen.all(axis=0)):
        known = seen[:, column]
        values[:, column] = np.interp(frames, frames[known], values[known, column]) if known.any() else 0


def _fill(block: Positions, seen: Seen) -> Positions:
    # Between two sightings a landmark moves in a straight line; before the first and after the last it rests.
    if seen.all():
        return block
    flat = block.reshape(len(block), -1).copy()
    bridge(flat, np.repeat(seen, block.shape[-1], axis=1))
    return np.asarray(flat.reshape(block.shape), dtype=np.float32)

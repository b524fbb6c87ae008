"""Tell two hands apart that an extractor has written in any order, or one of them in both places.

What finds hands alone, without a body, may name them anew in each frame and, where it has lost one, write the other
one twice: positions then jump, and a hand that rests seems to sign.
"""

import numpy as np
import numpy.typing as npt

Positions = npt.NDArray[np.float32]  # (frame, landmark, dims)
Seen = npt.NDArray[np.bool_]  # (frame, landmark)
Sightings = npt.NDArray[np.float32]  # (frame, place in the file, landmark, dims), NaN where not seen

# In sizes of a hand, the mean distance of its landmarks from their middle.
_ONE = 0.1  # between two hands that are one
_FARTHEST = 6.0  # what a move costs at most, from one sighting of a hand to the next
_FIRST = 1.5  # what the first sighting of a hand costs
_REACH = 8.0  # how far to one side of the signer's middle a hand is counted as lying at most
_SIDE = 0.15  # what each size costs by which a hand lies on the other hand's side

MOST_TWICE = 0.02  # of the frames, which is no reason to say anything
_KEPT = 6  # ways to tell the hands apart that are pursued at a time, of either naming of the last sightings
_QUIET = np.errstate(over="ignore", invalid="ignore")  # of numbers that whoever packs a file refuses


@_QUIET
def written_twice(positions: Positions, hands: tuple[slice, slice], seen: Seen | None = None) -> npt.NDArray[np.bool_]:
    """Frames (frame,) in which both hands are seen at one place: one hand, written twice.

    Args:
        positions: in any frame of reference.
        hands: of the layout, see ``Layout.hands``.
        seen: which of them were seen; default all.
    """
    everything = np.ones(positions.shape[:2], np.bool_)
    return _twice(_sightings(positions, everything if seen is None else seen, hands))


def tell_twice(share: float) -> list[str]:
    """What to say where one hand is written twice in so large a share of the frames; nothing of a few."""
    if share <= MOST_TWICE:
        return []
    return [f"hands: one hand, written twice, in {share:.0%} of the frames; corpus.hands=followed tells both apart"]


@_QUIET
def follow_hands(positions: Positions, hands: tuple[slice, slice], seen: Seen) -> None:
    """Give what a frame shows of hands to the hand that it continues, in place; one that is written twice is one.

    Of all ways to tell them apart, one is taken in which both hands move little, each from where it was seen last, and
    stay on their own side: the left one to the right, as a camera sees a signer. From frame to frame the best few ways
    are kept of those that name its sightings either way.

    Args:
        positions: as ``seen_landmarks`` takes them; x grows to the right.
        hands: of the layout, see ``Layout.hands``.
        seen: which of them were seen; changed too, for a hand in whose place the other one stands was not.
    """
    sightings = _sightings(positions, seen, hands)
    twice = _twice(sightings)
    swapped = _swapped(sightings, twice)
    left, right = hands
    for values in (positions, seen):
        values[swapped, left], values[swapped, right] = values[swapped, right], values[swapped, left]
    seen[twice & ~swapped, right] = False
    seen[twice & swapped, left] = False


def _sightings(positions: Positions, seen: Seen, hands: tuple[slice, slice]) -> Sightings:
    """In sizes of a hand."""
    known = seen & np.isfinite(positions).all(axis=2)
    found = np.stack([np.where(known[:, span, None], positions[:, span], np.nan) for span in hands], axis=1)
    whole = found[_there(found)]
    if not len(whole):
        return found
    middle = np.nanmean(whole, axis=1, keepdims=True)
    size = float(np.median(np.nanmean(np.linalg.norm(whole - middle, axis=-1), axis=1)))
    return np.asarray(found / (size or 1.0), np.float32)


def _there(sightings: Sightings) -> npt.NDArray[np.bool_]:
    """Which places (frame, place) show a hand."""
    return np.asarray(~np.isnan(sightings).all(axis=(2, 3)), np.bool_)


def _twice(sightings: Sightings) -> npt.NDArray[np.bool_]:
    return np.asarray(_moved(sightings[:, 0], sightings[:, 1], np.inf) < _ONE, np.bool_)


def _moved(before: npt.NDArray[np.float32], now: npt.NDArray[np.float32], unknown: float) -> npt.NDArray[np.floating]:
    """Mean distance (...) of hands (..., landmark, dims) over the landmarks that both show; ``unknown`` without any."""
    distance = np.sqrt(np.square(now - before).sum(axis=-1))
    known = ~np.isnan(distance)
    count = known.sum(axis=-1)
    mean = np.where(known, distance, 0).sum(axis=-1) / np.maximum(count, 1)
    return np.where(count > 0, mean, unknown)


def _swapped(sightings: Sightings, twice: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Frames (frame,) in which the hands stand in each other's place."""
    there = _there(sightings)
    from_left = np.zeros(there.shape)  # (frame, place)
    from_left[there] = np.nanmean(sightings[there][..., 0], axis=1)
    pairs = there.all(axis=1) & ~twice
    middle = np.median(from_left[pairs].mean(axis=1) if pairs.any() else from_left[there]) if there.any() else 0.0
    side = np.clip(from_left - middle, -_REACH, _REACH) * _SIDE
    last = np.full((1, *sightings.shape[1:]), np.nan, np.float32)  # (way, hand, landmark, dims)
    costs = np.zeros(1)
    taken: list[tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]] = []
    for frame, both in enumerate(there):
        places = [0] if twice[frame] else np.flatnonzero(both).tolist()
        if not places:
            taken.append((np.arange(len(costs)), np.zeros(len(costs), np.bool_)))
            continue
        moved = np.minimum(_moved(last[:, :, None], sightings[frame], _FIRST), _FARTHEST)  # (way, hand, place)
        # Each way goes on as the file has it, and with the hands in each other's place.
        ways, swap = np.tile(np.arange(len(costs)), 2), np.repeat([False, True], len(costs))
        costs, last = costs[ways], last[ways]
        for place in places:
            hand = np.where(swap, 1 - place, place)  # 0 is the left one
            costs += moved[ways, hand, place] + (2 * hand - 1) * side[frame, place]
            last[np.arange(len(ways)), hand] = sightings[frame, place]
        order = np.argsort(costs, kind="stable")
        best = np.concatenate([order[swap[order] == either][:_KEPT] for either in (False, True)])
        costs, last = costs[best], last[best]
        taken.append((ways[best], swap[best]))
    swapped = np.zeros(len(there), np.bool_)
    way = int(costs.argmin())
    for frame in reversed(range(len(there))):
        swapped[frame] = taken[frame][1][way]
        way = int(taken[frame][0][way])
    return swapped

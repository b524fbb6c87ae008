"""Recognise the order of the blocks in a feature file from its values.

MediaPipe Holistic sees some points twice: the wrists belong to the pose and to a hand, nose, eyes and mouth to the
pose and to the face. Only in the right order do both copies lie at the same place. What follows the positions is
recognised as their first and second difference in time.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np
import numpy.typing as npt

from glosstune.trainables.corpora.geometry import LEFT_SHOULDER, RIGHT_SHOULDER
from glosstune.trainables.corpora.layout import BASE_WIDTH, BLOCK_WIDTHS, canonical_columns, layout_blocks, layout_width

_PARTS = ("pose", "left_hand", "right_hand", "face")
# Landmarks that stand for the same point: (part, index, part, index).
_TWICE = (
    ("pose", 15, "left_hand", 0),
    ("pose", 16, "right_hand", 0),
    ("pose", 19, "left_hand", 8),
    ("pose", 20, "right_hand", 8),
    ("pose", 0, "face", 1),
    ("pose", 2, "face", 386),
    ("pose", 5, "face", 159),
    ("pose", 9, "face", 291),
    ("pose", 10, "face", 61),
)
# In shoulder widths, averaged over the pairs: real recordings have about 0.1 in the right order, with a hand that is
# never seen up to 0.3; two blocks exchanged give 0.1 more at least.
_CERTAIN, _MARGIN = 0.35, 0.05
_SAME = 0.9  # correlation that two blocks of the same quantity have

Values = npt.NDArray[np.floating]


@dataclass(frozen=True)
class Recognition:
    """What the values say about the order of blocks.

    Attributes:
        blocks: the order that fits best; None where nothing can be said.
        distance: between points that stand in two blocks, in shoulder widths, in that order.
        declared_distance: the same in the declared order; None where its width is another.
        channels: what the blocks behind the positions are; empty where there are none or nothing can be said.
    """

    blocks: tuple[str, ...] | None
    distance: float
    declared_distance: float | None
    channels: tuple[str, ...]

    @property
    def disagrees(self) -> bool:
        """Whether another order than the declared one fits clearly better."""
        return (
            self.blocks is not None
            and self.declared_distance is not None
            and self.declared_distance > self.distance + _MARGIN
        )


def recognise_layout(samples: Sequence[Values], declared: str | Sequence[str]) -> Recognition:
    """Compare every order of pose, hands and face that has the samples' width.

    Args:
        samples: (time, width) each, as they lie in their files, all of one width.
        declared: layout that the corpus is said to have.
    """
    width = samples[0].shape[1]
    distances = {blocks: _distance(samples, blocks) for blocks in _candidates(width)}
    declared = layout_blocks(declared)
    own = _distance(samples, declared) if layout_width(declared) == width else None
    if not distances:
        return Recognition(None, float("nan"), own, ())
    best = min(distances, key=lambda blocks: distances[blocks])
    # The same order under another name, such as 'hands' for both, is no other order.
    if own is not None and own <= distances[best]:
        best = declared
    if not distances[min(distances, key=lambda b: distances[b])] < _CERTAIN:
        return Recognition(None, float("nan"), own, _channels(samples))
    return Recognition(best, min(distances.values()), own, _channels(samples))


def _candidates(width: int) -> Iterable[tuple[str, ...]]:
    seen = "+visibility"
    for marked in ((), ("pose",), _PARTS):
        for order in permutations(_PARTS):
            blocks = tuple(part + seen if part in marked else part for part in order)
            for tail in ((), ("temporal",)):
                if sum(BLOCK_WIDTHS[block] for block in (*blocks, *tail)) == width:
                    yield (*blocks, *tail)


def _distance(samples: Sequence[Values], blocks: Sequence[str]) -> float:
    """How far points that stand in two blocks are from each other, in shoulder widths, each pair at most 1."""
    columns = canonical_columns(blocks)[:BASE_WIDTH]
    starts = dict(zip(_PARTS, np.cumsum([0, 33, 21, 21]), strict=True))
    pairs: list[list[float]] = [[] for _ in _TWICE]
    for sample in samples:
        points = np.asarray(sample[:, columns], np.float32).reshape(len(sample), -1, 3)[..., :2]
        shoulders = np.linalg.norm(points[:, LEFT_SHOULDER] - points[:, RIGHT_SHOULDER], axis=-1)
        scale = float(np.median(shoulders))
        for found, (one, first, other, second) in zip(pairs, _TWICE, strict=True):
            a, b = points[:, starts[one] + first], points[:, starts[other] + second]
            both = (a != 0).any(axis=-1) & (b != 0).any(axis=-1)  # zeros stand for what was not seen
            if both.any():
                apart = float(np.median(np.linalg.norm(a[both] - b[both], axis=-1)))
                found.append(min(1.0, apart / scale) if scale > 0 else 1.0)
    told = [float(np.median(found)) for found in pairs if found]
    return float(np.mean(told)) if told else 1.0


def _channels(samples: Sequence[Values]) -> tuple[str, ...]:
    """What each block of 1629 behind the first is, by how it follows from the first."""
    count = samples[0].shape[1] // BASE_WIDTH - 1
    if samples[0].shape[1] % BASE_WIDTH or count < 1:
        return ()
    named = []
    for place in range(1, count + 1):
        fits: Mapping[str, float] = {
            "velocity": _correlation(samples, place, order=1),
            "acceleration": _correlation(samples, place, order=2),
            "position": _correlation(samples, place, order=0),
        }
        best = max(fits, key=lambda name: fits[name])
        named.append(best if fits[best] > _SAME else "unknown")
    return tuple(named)


def _correlation(samples: Sequence[Values], place: int, order: int) -> float:
    found = []
    for sample in samples:
        base, block = sample[:, :BASE_WIDTH], sample[:, place * BASE_WIDTH : (place + 1) * BASE_WIDTH]
        if len(sample) <= order + 2:
            continue
        expected = np.diff(np.asarray(base, np.float64), n=order, axis=0)
        # Whether a difference stands at its first or at its last frame is the extractor's choice.
        fits = []
        for shift in {0, order, order // 2}:
            given = np.asarray(block[shift : len(sample) - order + shift], np.float64)
            flat, other = expected.ravel(), given.ravel()
            if order == 0:  # each value about its own mean, or any two blocks of positions would agree
                flat, other = (expected - expected.mean(0)).ravel(), (given - given.mean(0)).ravel()
            norm = np.linalg.norm(flat) * np.linalg.norm(other)
            fits.append(float(flat @ other / norm) if norm > 0 else 0.0)
        found.append(max(fits))
    return float(np.median(found)) if found else 0.0

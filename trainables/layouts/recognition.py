"""Recognise the order of the blocks in a feature file from its values.

Extractors of whole bodies see some points twice: the wrists belong to the pose and to a hand, nose, eyes and mouth to
the pose and to the face. Only in the right order do both copies lie at the same place. What follows the positions is
recognised as their first and second difference in time. Where no point stands twice, nothing is said.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain, permutations

import numpy as np
import numpy.typing as npt

from glosstune.trainables.layouts.blocks import LAYOUTS, TEMPORAL, BlockSpec, DerivedBlock, PointsBlock, written
from glosstune.trainables.layouts.layout import FileLayout, Layout

_PARTS = ("pose", "left_hand", "right_hand", "face")
_MOST_PERMUTED = 5
# In shoulder widths, averaged over the pairs: real recordings have about 0.1 in the right order, with a hand that is
# never seen up to 0.3; two blocks exchanged give 0.1 more at least. Of half of the pairs or fewer another order has to
# bring all that are seen closer than that.
_CERTAIN, _MARGIN, _FEW = 0.35, 0.05, 0.2
# A shoulder width is about so many sizes of a hand or face (the mean distance of its landmarks from their middle),
# within a factor: in a wrong order points far apart may be taken for shoulders, beside which all others lie together.
_SIZES, _FACTOR = {"hands": 8.0, "face": 7.0}, 3.0
_STILL = 1e-3  # movement, of its own extent, below which a block holds what somebody has put in its place
_FRAMES, _LANDMARKS = 48, 40  # of a file and of a block (of a face, that is), evenly over all, that are looked at
_COLUMNS = 300  # of a block behind the positions, evenly over all, that are looked at
_LARGEST = 6e4  # larger numbers, in shoulder widths or pixels, are no place of a landmark
_SAME = 0.9  # correlation that two blocks of the same quantity have

Values = npt.NDArray[np.floating]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Recognition:
    """What the values say about the order of blocks.

    Attributes:
        blocks: the order that fits best, as ``corpus.layout`` lists it; None where nothing can be said.
        distance: between points that stand in two blocks, in shoulder widths, in that order.
        declared_distance: the same in the declared order, 1 where points that should stand in two blocks were seen in
            another order alone; None where its width is another, or no point stands twice.
        channels: what the blocks behind the positions are; empty where there are none or nothing can be said.
        pairs: points seen to stand in two blocks of the order that fits best, else of the declared one: both moved.
        of: how many there would be if every block showed what it holds.
        compared: blocks that such points were seen in.
    """

    blocks: tuple[BlockSpec, ...] | None
    distance: float
    declared_distance: float | None
    channels: tuple[str, ...]
    pairs: int = 0
    of: int = 0
    compared: tuple[str, ...] = ()

    @property
    def disagrees(self) -> bool:
        """Whether another order than the declared one fits clearly better."""
        return (
            self.blocks is not None
            and self.declared_distance is not None
            and self.declared_distance > self.distance + _MARGIN
        )


@dataclass(frozen=True)
class _Fit:
    """How far points that stand in two blocks are from each other, how many of such pairs were seen, and together."""

    distance: float
    pairs: int
    known: int = 0
    together: int = 0
    compared: tuple[str, ...] = ()

    @property
    def least(self) -> float:
        """So many pairs have to be seen in another order to be believed: absent parts lie together in any order."""
        return max(2, self.pairs / 2 if self.pairs else self.known // 2 + 1)


def recognise_layout(samples: Sequence[Values], declared: FileLayout, *, behind: bool = True) -> Recognition:
    """Compare the declared order of blocks with every other one of the samples' width.

    Args:
        samples: (time, width) each, as they lie in their files, all of one width.
        declared: layout that the corpus is said to have.
        behind: whether to look at what stands behind the positions too.
    """
    width = samples[0].shape[1]
    samples = [np.where(np.abs(sample) < _LARGEST, sample, 0) for sample in samples]  # of NaN too
    fits = declared.width == width
    channels = _channels(samples, declared) if fits and behind else ()
    files = np.zeros((len(samples), _FRAMES, width), np.float32)
    for file, sample in zip(files, samples, strict=True):
        some = sample[:: max(1, -(-len(sample) // _FRAMES))]
        file[: len(some)] = some
    own = _fit(files, declared) if fits else None
    told = own.distance if own and own.pairs else None
    best, found = None, _Fit(_CERTAIN, 0)
    for candidate in _candidates(width, declared):
        fit = _fit(files, candidate, candidate=True)
        # Where some blocks show nothing, a few points of others may lie together by chance in many an order: as many as
        # speak for the declared one are no reason to leave it.
        believed = fit.pairs >= (own or fit).least and fit.together > (own.together if own else 0)
        close = fit.distance < (_CERTAIN if 2 * fit.pairs > fit.known else _FEW)
        if believed and close and fit.distance < found.distance:
            best, found = candidate, fit
    if own and own.pairs and own.distance <= found.distance:
        # The same order under another name, such as 'hands' for both, is no other order.
        best, found = declared, own
    elif own and own.known and not own.pairs and best:
        told = 1.0
    if best is None:
        seen = own or _Fit(1.0, 0)
        return Recognition(None, float("nan"), told, channels, seen.pairs, seen.known, seen.compared)
    blocks = tuple(written(best.blocks))
    return Recognition(blocks, found.distance, told, channels, found.pairs, found.known, found.compared)


def _candidates(width: int, declared: FileLayout) -> Iterator[FileLayout]:
    """Other orders of the declared blocks, every order of MediaPipe's, and the named layouts, of one width."""
    tried: set[tuple[object, ...]] = {declared.blocks}
    for layout in chain(_named_orders(), _permuted(declared)):
        if layout.width == width and layout.blocks not in tried and points_twice(layout.layout):
            tried.add(layout.blocks)
            yield layout


@cache
def _named_orders() -> tuple[FileLayout, ...]:
    """The named layouts, and every order of MediaPipe's blocks."""
    orders: list[Sequence[BlockSpec]] = [*LAYOUTS.values()]
    seen = "+visibility"
    for marked in ((), ("pose",), _PARTS):
        for order in permutations(_PARTS):
            blocks = tuple(part + seen if part in marked else part for part in order)
            orders += [blocks, (*blocks, "temporal")]
    return tuple(map(FileLayout.of, orders))


def _permuted(declared: FileLayout) -> Iterator[FileLayout]:
    points = [block for block in declared.blocks if isinstance(block, PointsBlock)]
    if 1 < len(points) <= _MOST_PERMUTED:
        for moved in permutations(points):
            rest = iter(moved)
            yield FileLayout.of(
                written([next(rest) if isinstance(block, PointsBlock) else block for block in declared.blocks])
            )


def points_twice(layout: Layout) -> list[tuple[int, int]]:
    """Pairs of landmarks that are the same point."""
    places: dict[str, list[int]] = defaultdict(list)
    for each in layout.landmarks:
        side = f"{each.name.split('_')[0]} " if each.part == "hands" else ""
        for name, place in each.skeleton.named.items():
            places[side + name].append(each.span.start + place)
    return [(several[0], several[1]) for several in places.values() if len(several) == 2]


def _fit(files: Values, layout: FileLayout, *, candidate: bool = False) -> _Fit:
    """In shoulder widths, each pair at most 1, the mean over pairs; of a candidate only if its sizes are people's.

    Args:
        files: (file, time, width), 0 where a file has ended.
    """
    pairs = points_twice(layout.layout)
    shoulders = next((each for each in layout.layout.landmarks if each.skeleton.shoulders), None)
    if not pairs or shoulders is None or shoulders.skeleton.shoulders is None:
        return _Fit(1.0, 0)
    landmarks = layout.layout.landmarks
    looked_at = {each.name: _some(each.span) for each in landmarks}
    both_ends = [shoulders.span.start + place for place in shoulders.skeleton.shoulders]
    # Few of a face, whose landmarks are most of all.
    needed = np.unique([*both_ends, *chain(*pairs), *chain(*looked_at.values())])
    firsts, seconds = np.searchsorted(needed, np.transpose(pairs))
    ends = np.searchsorted(needed, both_ends)
    some = {name: np.searchsorted(needed, places) for name, places in looked_at.items()}
    spans = {each.name: slice(*np.searchsorted(needed, (each.span.start, each.span.stop))) for each in landmarks}
    points = np.asarray(files[..., xy_columns(layout)[needed]], np.float32)
    for each in landmarks:  # a block whose landmarks lie all at one place holds none
        block = points[:, :, some[each.name]]
        points[:, :, spans[each.name]][(block == block[:, :, :1]).all(axis=(2, 3))] = 0
    known = (points[:, :, ends] != 0).any(axis=-1).all(axis=-1)  # zeros stand for what was not seen
    usable = known.any(axis=1) & ~never_moves(points[:, :, some[shoulders.name]])
    if not usable.any():
        return _Fit(1.0, 0, len(pairs))
    points, known = points[usable], known[usable]
    left, right = (points[:, :, end] for end in ends)
    scale = _median(np.linalg.norm(left - right, axis=-1), known, axis=1)
    sized = scale > 0
    moving = np.ones((len(points), points.shape[2]), np.bool_)
    for each in landmarks:
        block = points[:, :, some[each.name]]
        moves = ~never_moves(block)
        moving[:, spans[each.name]] = moves[:, None]
        if candidate and each.part in _SIZES and (told := moves & sized).any():
            ratio = float(np.median(_sizes(block[told]) * _SIZES[each.part] / scale[told]))
            if ratio and not 1 / _FACTOR < ratio < _FACTOR:
                return _Fit(1.0, 0, len(pairs))
    first, second = points[:, :, firsts], points[:, :, seconds]
    both = (first != 0).any(axis=-1) & (second != 0).any(axis=-1)
    seen = moving[:, firsts] & moving[:, seconds] & both.any(axis=1) & _differs(first, both) & _differs(second, both)
    apart = _median(np.linalg.norm(first - second, axis=-1), both, axis=1)
    apart = np.minimum(np.divide(apart, scale[:, None], out=np.ones_like(apart), where=sized[:, None]), 1)
    places = np.flatnonzero(seen.any(axis=0))
    distances = _median(apart, seen, axis=0)[places]
    mean = float(distances.mean()) if len(places) else 1.0
    together = int((distances < _CERTAIN).sum())
    return _Fit(mean, len(places), len(pairs), together, _blocks_of([pairs[place] for place in places], layout.layout))


def xy_columns(layout: FileLayout) -> npt.NDArray[np.int64]:
    """Columns of a file where the first two coordinates of each landmark stand, (landmark, 2)."""
    ours = layout.layout
    columns = np.zeros(ours.landmark_count * ours.dims, np.int64)
    columns[ours.coordinates] = layout.columns[: ours.positions_width]
    return columns.reshape(-1, ours.dims)[:, :2]


def _some(span: slice) -> list[int]:
    places = np.linspace(span.start, span.stop - 1, min(_LANDMARKS, span.stop - span.start))
    return [int(place) for place in places.round()]


def _blocks_of(pairs: Collection[tuple[int, int]], layout: Layout) -> tuple[str, ...]:
    places = {place for pair in pairs for place in pair}
    return tuple(each.name for each in layout.landmarks if places & set(range(each.span.start, each.span.stop)))


def _differs(points: Values, known: Mask) -> Mask:
    """Which points (file, time, point, 2) are not always where they were first known, those known once among them."""
    began = np.take_along_axis(points, known.argmax(axis=1)[:, None, :, None], axis=1)
    return np.asarray(((points != began).any(axis=-1) & known).any(axis=1) | (known.sum(axis=1) < 2), np.bool_)


def _median(values: Values, known: Mask, axis: int) -> Values:
    """Of what is known, along an axis; infinite where nothing is."""
    ordered = np.sort(np.where(known, values, np.inf), axis=axis)
    count = known.sum(axis=axis, keepdims=True)
    lower, upper = (np.take_along_axis(ordered, np.maximum(place, 0), axis) for place in ((count - 1) // 2, count // 2))
    return np.asarray((lower + upper) / 2).squeeze(axis)


def never_moves(points: Values) -> Mask:
    """Whether landmarks (..., time, landmark, dims), 0 where not seen, are but what somebody has put in their place.

    Constants, that is, with or without what noise adds to them; False where none was seen.
    """
    known = (points != 0).any(axis=(-2, -1))
    count = known.sum(axis=-1)
    each = np.maximum(count, 1)[..., None, None]
    began = np.take_along_axis(points, known.argmax(axis=-1)[..., None, None, None], axis=-3)
    extent = np.abs(began - began.mean(axis=-2, keepdims=True)).max(axis=(-3, -2, -1))
    moved = np.where(known[..., None, None], points - began, 0).astype(np.float64)
    from_middle = moved - (moved.sum(axis=-3) / each)[..., None, :, :]
    deviation = np.sqrt((np.square(from_middle).sum(axis=-3, where=known[..., None, None]) / each).max(axis=(-2, -1)))
    least = np.maximum(_STILL * extent, 1e-6 * np.abs(points).max(axis=(-3, -2, -1)))
    return np.asarray((count > 1) & (deviation <= least), np.bool_)


def _sizes(block: Values) -> Values:
    """Mean distance of the landmarks (file, time, landmark, 2) of each file from their middle, the median over time.

    0 where none was seen.
    """
    distance = np.linalg.norm(block - block.mean(axis=2, keepdims=True), axis=-1).mean(axis=2)
    known = (block != 0).any(axis=(2, 3))
    return np.where(known.any(axis=1), _median(distance, known, axis=1), 0)


def _channels(samples: Sequence[Values], declared: FileLayout) -> tuple[str, ...]:
    """What each block behind the positions is, by how it follows from them."""
    points = [block for block in declared.blocks if isinstance(block, PointsBlock)]
    if not declared.ready or any(block.confidence != "none" for block in points):
        return ()
    if any(isinstance(block, DerivedBlock) for block in declared.blocks[: len(points)]):
        return ()
    width = declared.layout.positions_width
    named = []
    for place in range(1, len(TEMPORAL) + 1):
        fits: Mapping[str, float] = {
            "velocity": _correlation(samples, width, place, order=1),
            "acceleration": _correlation(samples, width, place, order=2),
            "position": _correlation(samples, width, place, order=0),
        }
        best = max(fits, key=lambda name: fits[name])
        named.append(best if fits[best] > _SAME else "unknown")
    return tuple(named)


def _correlation(samples: Sequence[Values], width: int, place: int, order: int) -> float:
    found, columns = [], np.linspace(0, width - 1, min(width, _COLUMNS)).round().astype(int)
    for sample in samples:
        base, block = sample[:, columns], sample[:, place * width + columns]
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

"""What a search weighs against each other: a metric, and what the trained recogniser costs.

A search minimises: of costs the logarithm counts, so that half the size is worth as much at every size, negated where
more is better. A recogniser that writes nothing has a WER of 1 and costs nothing; no other one with such a WER is on a
front.
"""

import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt

from glosstune.results.reading.epoch_metrics import Column

# Which may come first among ``search.objectives``.
METRICS: Final = ("wer", "train_loss", "dev_loss")

COSTS = {
    "parameters": Column("Int64", "", "of its network, without the conditioning of its input"),
    "size_mb": Column("float64", "MB", "of its weights as an exported file holds them; 10^6 bytes"),
    "latency_ms": Column("float64", "ms", "to recognise an utterance of dev alone; NA unless it is an objective"),
    "dev_frames_per_s": Column(
        "float64", "frames/s", "of dev recognised in batches of 16; NA unless it is an objective"
    ),
}
# Noisy, and measured only where a search asks for them.
MEASURED = ("latency_ms", "dev_frames_per_s")
MORE_IS_BETTER = ("dev_frames_per_s",)
# Why a front is empty.
NO_FRONT = "no trial yet: each writes no better than one that writes nothing, or its costs are unknown"

Points = npt.NDArray[np.float64]  # (point, objective), all of which are minimised


def check_objectives(names: Sequence[object]) -> tuple[str, ...]:
    """The names; ValueError where they are none, or not a metric and then different costs."""
    for place, name in enumerate(names):
        known = COSTS if place else METRICS
        if name not in known:
            which = "the others" if place else "the first"
            raise ValueError(f"objectives: {which} must be one of {', '.join(known)}; got {name!r}")
    if len(set(names)) < len(names):
        raise ValueError(f"objectives: must be different ones; got {', '.join(map(str, names))}")
    return tuple(map(str, names))


def weigh(costs: Mapping[str, float | None], names: Sequence[str]) -> tuple[float, ...]:
    """What a search minimises of costs; infinity for those that nobody knows."""
    weights = []
    for name in names:
        amount = costs.get(name)
        if amount is None or not amount > 0:
            weights.append(math.inf)
        else:
            weights.append(-math.log10(amount) if name in MORE_IS_BETTER else math.log10(amount))
    return tuple(weights)


def begun_front(metric: str, costs: int) -> list[tuple[float, ...]]:
    """What a front has to be better than before there is any trial, with so many costs."""
    return [(1.0, *[-math.inf] * costs)] if metric == "wer" and costs else []


def front_numbers(points: Points) -> npt.NDArray[np.int_]:
    """The front of each point, from 0, which nobody dominates; of equal points the later one counts as dominated."""
    numbers = np.zeros(len(points), dtype=int)
    # Nobody is dominated by one behind it in this order; lexsort is stable, so that equal ones keep theirs.
    left = np.lexsort(points.T[::-1])
    number = 0
    while left.size:
        rest, dominated = left, np.zeros(len(points), dtype=bool)
        while rest.size:
            ahead = (points[rest] < points[rest[0]]).any(axis=1)
            ahead[0] = True  # the point itself
            dominated[rest[~ahead]] = True
            numbers[rest[0]] = number
            rest = rest[ahead][1:]
        left = left[dominated[left]]
        number += 1
    return numbers


def hypervolume(points: Points, reference: Sequence[float] | npt.NDArray[np.float64]) -> float:
    """The volume that points (two or more objectives) dominate up to a reference; beyond it they add nothing.

    Here because Optuna shows its own only as a figure, and what goes on at a rung must not depend on its version.
    """
    limit = np.asarray(reference, dtype=float)
    inside = points[(points < limit).all(axis=1)]
    inside = inside[np.argsort(inside[:, -1], kind="stable")]
    depths = np.diff(np.append(inside[:, -1], limit[-1]))
    if len(limit) == 2:
        return float(depths @ (limit[0] - np.minimum.accumulate(inside[:, 0])))
    slices = (hypervolume(inside[: place + 1, :-1], limit[:-1]) for place in range(len(inside)))
    return float(sum(depth * volume for depth, volume in zip(depths, slices, strict=True)))


class FrontOrder:
    """Points from the best to the worst: front by front, in each the best metric first, then who adds most volume.

    Volumes are counted up to a tenth of the range beyond the worst of all points. Of equal ones the earlier is ahead.
    Points that are not finite come last, in the order of their first objective.

    Args:
        points: (point, objective), the metric first.
    """

    def __init__(self, points: Points) -> None:
        finite = np.isfinite(points).all(axis=1)
        self._numbers = np.zeros(len(points), dtype=int)
        self._numbers[finite] = front_numbers(points[finite])
        self._last = int(self._numbers[finite].max(initial=-1)) + 1
        self._numbers[~finite] = self._last
        self._points = points
        self._finite = finite
        self._orders: dict[int, list[int]] = {}

    def front(self, number: int) -> list[int]:
        """The points of a front, best first."""
        if number not in self._orders:
            there = np.flatnonzero(self._numbers == number)
            if number == self._last:
                order = np.argsort(self._points[there, 0], kind="stable")
            else:
                order = _by_volume(self._scaled[there])
            self._orders[number] = there[order].tolist()
        return self._orders[number]

    def position(self, point: int) -> int:
        """How many points are ahead of one."""
        number = int(self._numbers[point])
        return int((self._numbers < number).sum()) + self.front(number).index(point)

    def first_of(self, points: Sequence[int]) -> int:
        """Whoever of some points is ahead of all others of them."""
        asked = set(points)
        number = int(self._numbers[list(asked)].min())
        return next(point for point in self.front(number) if point in asked)

    @cached_property
    def _scaled(self) -> Points:
        """Points from 0 to 1 in each objective, by the best and the worst of all."""
        known = self._points[self._finite]
        lowest, span = known.min(axis=0), np.ptp(known, axis=0)
        scaled: Points = (self._points - lowest) / np.where(span > 0, span, 1.0)
        return scaled


def _by_volume(front: Points) -> npt.NDArray[np.int_]:
    """A front in greedy order, which for each of its lengths is close to the subset of the largest volume."""
    reference = np.full(front.shape[1], 1.1)
    order = [int(np.argmin(front[:, 0]))]
    left = [place for place in range(len(front)) if place != order[0]]
    while len(left) > 1:
        best = max(left, key=lambda place: hypervolume(front[[*order, place]], reference))  # of equal ones the first
        order.append(best)
        left.remove(best)
    return np.array(order + left, dtype=int)

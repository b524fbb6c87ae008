"""Successive halving without waiting for a whole rung: who goes on from a rung, and who waits there.

Source: Li et al. 2020, "A system for massively parallel hyperparameter tuning" (ASHA), of the promotion type; the
stopping type is that of Ray Tune and of Optuna's pruner. Nothing here is random, and the order of arrival decides
nothing but ties.
"""

import math
from bisect import bisect_left, insort
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from glosstune.results.reading.objectives import FrontOrder
from glosstune.search.config.settings import HalvingSettings

# Score, how many had come before, and trial: of equal ones, who came first is ahead, so that a tie passes nobody.
_Place = tuple[float, int, int]


@dataclass(frozen=True)
class Standing:
    """Where a trial stands at a rung.

    Attributes:
        rung: counted from 0.
        rank: counted from 1, among those that can go on or have.
        rivals: trials that have come to the rung, itself included.
        quota: how many of them may go on.
        score: see ``ranking.score_curve``.
    """

    trial: int
    rung: int
    rank: int
    rivals: int
    quota: int
    score: float

    def told(self) -> dict[str, Any]:
        """The fields that an event has of it."""
        return {**asdict(self), "score": self.score if math.isfinite(self.score) else None}

    def in_words(self, verdict: str, epoch: int) -> str:
        """What was decided on a trial after so many epochs, and why."""
        rival = f"{_ordinal(self.rank)} of {self.rivals} at rung {self.rung} (epoch {epoch})"
        quota = f"the best {self.quota} go on" if self.quota else "too few yet for one to go on"
        return f"halving: {verdict}, {rival}; {quota}"


class Halving:
    """The rungs of a sweep and the trials that have come to each.

    Args:
        settings: where the rungs lie.
        epochs: of a full trial; there is no rung there, for who is through has nobody left to beat.
    """

    def __init__(self, settings: HalvingSettings, epochs: int) -> None:
        self.settings = settings
        self.epochs = epochs
        self._rungs: list[_Rung] = []
        self._promoted: set[tuple[int, int]] = set()
        self._out: set[int] = set()

    @property
    def rungs(self) -> list[dict[int, float]]:
        """The scores at each rung, by trial."""
        return [{trial: score for trial, (score, *_) in rung.places.items()} for rung in self._rungs]

    def milestone(self, rung: int) -> float:
        """Epochs, or seconds, that a trial has trained for when it comes to a rung."""
        first = self.settings.min_seconds or self.settings.min_epochs
        return float(first * self.settings.reduction**rung)

    def grace(self, epoch_seconds: Sequence[float], warmup_epochs: int) -> float:
        """Epochs, or seconds, before which a trial is not stopped as stuck: it may only be warming up.

        At most a full trial divided by the reduction, so that nobody is spared every comparison.
        """
        if self.settings.resource == "epochs":
            return min(self.settings.min_epochs + warmup_epochs, self.epochs / self.settings.reduction)
        pace = sum(epoch_seconds) / max(len(epoch_seconds), 1)
        first = self.settings.min_seconds or 0.0
        return min(first + warmup_epochs * pace, self.epochs * pace / self.settings.reduction)

    def grace_epochs(self, epoch_seconds: Sequence[float], warmup_epochs: int) -> float:
        """The same in epochs."""
        grace = self.grace(epoch_seconds, warmup_epochs)
        total = sum(epoch_seconds)
        return grace if self.settings.resource == "epochs" or not total else grace * len(epoch_seconds) / total

    def rung_reached(self, epoch_seconds: Sequence[float], warmup_epochs: int) -> int | None:
        """The rung that a trial comes to with its newest epoch; None between rungs, where it is spared, at its end.

        Args:
            epoch_seconds: of every epoch so far.
            warmup_epochs: of the trial.
        """
        done = len(epoch_seconds)
        if self.settings.kind == "none" or not 0 < done < self.epochs:
            return None
        by_epochs = self.settings.resource == "epochs"
        after = float(done) if by_epochs else math.fsum(epoch_seconds)
        before = float(done - 1) if by_epochs else math.fsum(epoch_seconds[:-1])
        spared = self.grace(epoch_seconds, warmup_epochs) if self.settings.spare_warmup else 0.0
        rung, reached = 0, None
        # An epoch that passes two rungs counts at the later one alone: at the earlier one nothing was measured.
        while (milestone := self.milestone(rung)) <= after:
            if milestone > before and milestone >= spared:
                reached = rung
            rung += 1
        return reached

    def arrive(self, trial: int, rung: int, score: float, weights: tuple[float, ...] = ()) -> None:
        """A trial has come to a rung; what it scores there later does not count.

        Args:
            weights: what else is minimised; the same number for all trials.
        """
        while len(self._rungs) <= rung:
            self._rungs.append(_FrontRung() if weights else _Rung())
        there = self._rungs[rung]
        if trial in there.places:
            return
        there.places[trial] = (score, len(there.places), trial)
        there.weights[trial] = weights
        if (trial, rung) in self._promoted:
            there.rank(trial)
        elif trial not in self._out:
            there.rank(trial)
            there.wait(trial)

    def promote(self, trial: int, rung: int) -> None:
        """A trial goes on from a rung."""
        self._promoted.add((trial, rung))
        if rung < len(self._rungs) and trial in self._rungs[rung].places:
            self._rungs[rung].leave(trial)
            self._rungs[rung].rank(trial)  # though it may be out: the place is taken

    def lead(self, trial: int) -> None:
        """A trial goes on without its rank: it keeps its places, and waits at none of them."""
        for rung in self._rungs:
            if trial in rung.places:
                rung.cease(trial)

    def fall_back(self, trial: int) -> None:
        """A trial that led waits again, at the last rung it has come to, unless it has gone on from there by rank."""
        number = self.highest_rung(trial)
        if number is not None and (trial, number) not in self._promoted and trial not in self._out:
            self._rungs[number].wait(trial)

    def remove(self, trial: int) -> None:
        """A trial is out of the game: it still counts as a rival where it has been, but takes nobody's place."""
        self._out.add(trial)
        for number, rung in enumerate(self._rungs):
            if trial in rung.places and (trial, number) not in self._promoted:
                rung.leave(trial)

    def standing(self, trial: int, rung: int) -> Standing:
        """Where a trial stands at a rung it has come to."""
        there = self._rungs[rung]
        score, rivals = there.places[trial][0], len(there.places)
        rank = there.position(trial) + 1
        return Standing(trial, rung, rank, rivals, rivals // self.settings.reduction, score)

    def next_promotion(self) -> Standing | None:
        """The trial to go on with: the best one of the highest rung where one of the best 1/reduction still waits."""
        for number, rung in reversed(list(enumerate(self._rungs))):
            if rung.waiting:
                standing = self.standing(rung.first(), number)
                if standing.rank <= standing.quota:
                    return standing
        return None

    def keeps(self, standing: Standing) -> bool:
        """Whether a trial that has just come goes on at once (stopping type); the first at a rung always does."""
        return standing.rank <= max(1, standing.quota)

    def highest_rung(self, trial: int) -> int | None:
        """The last rung that a trial has come to."""
        return max((number for number, rung in enumerate(self._rungs) if trial in rung.places), default=None)


class _Rung:
    """Who has come to a rung, kept in order: a sweep of thousands of trials asks after every epoch who goes on.

    Attributes:
        places: of all that have come.
        weights: of the same, what is minimised beside the score.
        ranked: of those that can go on or have, from the lowest score on.
        waiting: of those that can go on.
    """

    def __init__(self) -> None:
        self.places: dict[int, _Place] = {}
        self.weights: dict[int, tuple[float, ...]] = {}
        self.ranked: list[_Place] = []
        self.waiting: list[_Place] = []

    def rank(self, trial: int) -> None:
        insort(self.ranked, self.places[trial])

    def wait(self, trial: int) -> None:
        self.cease(trial)  # once, however often it is told to
        insort(self.waiting, self.places[trial])

    def cease(self, trial: int) -> None:
        _drop(self.waiting, self.places[trial])

    def leave(self, trial: int) -> None:
        for ordered in (self.ranked, self.waiting):
            _drop(ordered, self.places[trial])

    def position(self, trial: int) -> int:
        """How many of those that are ranked stand before a trial."""
        return bisect_left(self.ranked, self.places[trial])

    def first(self) -> int:
        """The best that waits."""
        return self.waiting[0][-1]


class _FrontRung(_Rung):
    """The same with several objectives: trials are ranked front by front (see ``FrontOrder``)."""

    _known: tuple[list[int], FrontOrder] | None = None

    def position(self, trial: int) -> int:
        there, order = self._order(trial)
        return order.position(there.index(trial))

    def first(self) -> int:
        there, order = self._order()
        return there[order.first_of([there.index(trial) for *_, trial in self.waiting])]

    def _order(self, *further: int) -> tuple[list[int], FrontOrder]:
        """Those that are ranked, and one that may be out, by their arrival, and their order."""
        there = sorted({trial for *_, trial in self.ranked} | {*further}, key=lambda trial: self.places[trial][1])
        if self._known is None or self._known[0] != there:  # asked after every epoch, and changed by few
            points = [(self.places[trial][0], *self.weights[trial]) for trial in there]
            self._known = there, FrontOrder(np.array(points))
        return self._known


def _drop(ordered: list[_Place], place: _Place) -> None:
    index = bisect_left(ordered, place)
    if ordered[index : index + 1] == [place]:
        del ordered[index]


def _ordinal(number: int) -> str:
    ending = "th" if 10 <= number % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"

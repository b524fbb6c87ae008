"""Which configuration a new trial has: a start point, what users queued, or what a prior or a sampler draws."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from random import Random
from typing import Any

from glosstune.results.reading.events import PRIOR, QUEUE, START_POINT
from glosstune.search.config.sweep import Sweep
from glosstune.search.scheduler.experience.known import KnownSweep, known_to
from glosstune.search.scheduler.experience.prior import Prior
from glosstune.search.scheduler.sampler import Sampler
from glosstune.search.scheduler.state import SweepState
from glosstune.search.scheduler.trial import TrialState
from glosstune.spaces import Space

# Trials that TPE sees, beside the start points, before it draws; by itself Optuna waits for ten.
RANDOM_DRAWS = 5
# Trials of which every other one is drawn from the prior, start points and queued ones not counted.
PRIOR_DRAWS = 8


class Suggestions:
    """Configurations for new trials, a function of the sweep's state and of the folders that ``search.prior`` names.

    Args:
        sweep: as it is set now.
        earlier: trials of other sweeps that the sampler sees.
        known: other sweeps, whose best the first trials are drawn like; None for those that ``search.prior`` names.
        notes: what samplers keep with the trials they have drawn, by number; added to.
    """

    def __init__(
        self,
        sweep: Sweep,
        earlier: Sequence[TrialState],
        known: Sequence[KnownSweep] | None,
        notes: dict[int, dict[str, Any]],
    ) -> None:
        self._sweep = sweep
        self._earlier = earlier
        self._known = known
        self._notes = notes

    def next(self, state: SweepState) -> tuple[Mapping[str, Any], str]:
        """The configuration of the next trial, and who suggests it; SettingError where a sampler of one's own fails."""
        trials = state.trials.values()
        number, sources = len(trials), Counter(trial.source for trial in trials)
        place = number - sources[START_POINT] - sources[QUEUE]
        # By their number: in a space that was narrowed since, the same point may have other values.
        points = self._sweep.start_points[sources[START_POINT] :]
        # Where users name no points, what did best elsewhere comes before those that were made for far longer training.
        may = number - sources[QUEUE] < self._sweep.search.samples
        if may and place == 0 and self._sweep.search.start_points == "strategies" and self._prior is not None:
            return self._drawn(number, self._prior.first)
        if may and points:
            return points[0], START_POINT
        if state.queue:
            return state.queue[0], QUEUE
        if place < PRIOR_DRAWS and place % 2 == 0 and self._prior is not None:
            return self._drawn(number, self._prior.draw if place else self._prior.first)
        return self.sampler.suggest(number, trials), self._sweep.search.sampler

    def _drawn(self, number: int, draw: Callable[[Space, Random], Mapping[str, Any]]) -> tuple[Mapping[str, Any], str]:
        return draw(self._sweep.space, Random(f"{self._sweep.search.seed} {number}")), PRIOR

    @cached_property
    def _prior(self) -> Prior | None:
        known = known_to(self._sweep) if self._known is None else self._known
        return Prior(known) if known else None

    @cached_property
    def sampler(self) -> Sampler:
        """Made when it is first asked: start points of a model of one's own are known from its code alone."""
        sweep, search = self._sweep, self._sweep.search
        # Fewer in a short search, which would otherwise be random to its end.
        startup = max(4, min(RANDOM_DRAWS + len(sweep.start_points), search.samples * 5 // 8))
        return Sampler(sweep.space, search.sampler, search.seed, startup, self._earlier, self._notes, search.costs)

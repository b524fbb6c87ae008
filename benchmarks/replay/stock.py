"""Ray Tune's own searcher, scheduler and stopper, called in the order in which its controller calls them."""

import os
from collections import deque
from types import SimpleNamespace
from typing import Any

import optuna

# Ray decides on authentication at import, and writes a file of tokens unless it is told not to.
os.environ.setdefault("RAY_AUTH_MODE", "disabled")

from ray.tune.schedulers import AsyncHyperBandScheduler, TrialScheduler
from ray.tune.search.optuna import OptunaSearch
from ray.tune.stopper import TrialPlateauStopper

from glosstune.search.config.sweep import Sweep
from glosstune.spaces import Space
from glosstune.spaces.start_points import labelled
from replay.asked import draw, tpe
from replay.simulator import Metrics, Verdict
from replay.surrogate import Configuration


class Stock:
    """OptunaSearch with AsyncHyperBandScheduler over the rungs of the sweep, ranking by the WER of the epoch.

    Args:
        sampler: TPE unless another one is given.
        plateau: with a TrialPlateauStopper for trials whose WER stands still above that of the plateau.

    Attributes:
        search: the real searcher.
        scheduler: the real scheduler.
    """

    def __init__(
        self, sweep: Sweep, *, sampler: optuna.samplers.BaseSampler | None = None, plateau: bool = False
    ) -> None:
        self._sweep = sweep
        self.search = OptunaSearch(
            space=_Suggest(sweep.space),
            metric="wer",
            mode="min",
            sampler=sampler or tpe(sweep.search.seed),
            points_to_evaluate=[labelled(sweep.space, point) for point in sweep.start_points] or None,
        )
        self._stopper = None
        if plateau:
            # Its mode is the side of the threshold on which trials are stopped: "min" would stop the learned ones.
            self._stopper = TrialPlateauStopper(
                metric="wer",
                std=0.01,
                num_results=4,
                grace_period=4,
                metric_threshold=sweep.stopping.stuck_wer,
                mode="max",
            )
        self.scheduler = self._new_scheduler()
        self._running: dict[int, Configuration] = {}
        self._to_restore: deque[int] = deque()
        self._begun = 0

    def next_trial(self) -> tuple[int, Configuration] | None:
        if self._to_restore:
            number = self._to_restore.popleft()
            return number, self._running[number]
        if self._begun >= self._sweep.search.samples:
            return None
        number, self._begun = self._begun, self._begun + 1
        self._running[number] = self.search.suggest(_name(number))["configuration"]
        self.scheduler.on_trial_add(None, _trial(number))
        return number, self._running[number]

    def report(self, number: int, epoch: int, metrics: Metrics) -> Verdict:
        result = {**metrics, "training_iteration": epoch}
        if self._stopper is not None and self._stopper(_name(number), result):
            decision = TrialScheduler.STOP
        else:
            decision = self.scheduler.on_trial_result(None, _trial(number), result)
        if decision != TrialScheduler.STOP:
            self.search.on_trial_result(_name(number), result)
            return Verdict.GO_ON
        self.scheduler.on_trial_complete(None, _trial(number), result)
        self.search.on_trial_complete(_name(number), result)
        del self._running[number]
        return Verdict.END

    def restart(self) -> None:
        """As after Tuner.restore: the searcher is as it was, the rungs are empty, trials go on where they were."""
        self.scheduler = self._new_scheduler()
        self._to_restore.extend(self._running)
        for number in self._running:
            self.scheduler.on_trial_add(None, _trial(number))

    def _new_scheduler(self) -> AsyncHyperBandScheduler:
        return AsyncHyperBandScheduler(
            time_attr="training_iteration",
            metric="wer",
            mode="min",
            max_t=self._sweep.training.epochs,
            grace_period=self._sweep.halving.min_epochs,
            reduction_factor=self._sweep.halving.reduction,
        )


class _Suggest:
    """Draws a configuration from an Optuna trial under one key, for Ray would add the labels to it."""

    def __init__(self, space: Space) -> None:
        self._space = space

    def __call__(self, trial: Any) -> dict[str, Any]:
        return {"configuration": draw(self._space, trial)}


def _name(number: int) -> str:
    return f"{number:05d}"


def _trial(number: int) -> SimpleNamespace:
    """All that the scheduler looks at of a trial."""
    return SimpleNamespace(trial_id=_name(number))

"""Optuna by itself: ask, report, prune and tell; and random search, which never prunes."""

import random

import optuna
from optuna.pruners import BasePruner
from optuna.trial import TrialState

from glosstune.search.config.sweep import Sweep
from glosstune.spaces.start_points import labelled
from replay.asked import draw, tpe
from replay.simulator import Metrics, Verdict
from replay.surrogate import Configuration


class Pruned:
    """Optuna's TPE and one of its pruners, with the start points of the sweep."""

    def __init__(self, sweep: Sweep, pruner: BasePruner) -> None:
        self._sweep = sweep
        self._study = optuna.create_study(
            # The Hyperband pruner draws the bracket of a trial from the name of the study.
            study_name=f"seed {sweep.search.seed}",
            sampler=tpe(sweep.search.seed),
            pruner=pruner,
        )
        for point in sweep.start_points:
            self._study.enqueue_trial(labelled(sweep.space, point))
        self._trials: dict[int, optuna.Trial] = {}

    def next_trial(self) -> tuple[int, Configuration] | None:
        if len(self._trials) >= self._sweep.search.samples:
            return None
        trial = self._study.ask()
        self._trials[trial.number] = trial
        return trial.number, draw(self._sweep.space, trial)

    def report(self, number: int, epoch: int, metrics: Metrics) -> Verdict:
        trial, wer = self._trials[number], metrics["wer"]
        assert wer is not None
        trial.report(wer, epoch)
        if epoch >= self._sweep.training.epochs:
            self._study.tell(trial, wer)
            return Verdict.END
        if trial.should_prune():
            self._study.tell(trial, state=TrialState.PRUNED)
            return Verdict.END
        return Verdict.GO_ON

    def restart(self) -> None:
        raise NotImplementedError("an in-memory study is lost with its driver")


class RandomSearch:
    """Configurations drawn at random, each trained to its end."""

    def __init__(self, sweep: Sweep) -> None:
        self._sweep = sweep
        self._generator = random.Random(sweep.search.seed)
        self._begun = 0

    def next_trial(self) -> tuple[int, Configuration] | None:
        if self._begun >= self._sweep.search.samples:
            return None
        number, self._begun = self._begun, self._begun + 1
        points = self._sweep.start_points
        return number, dict(points[number]) if number < len(points) else self._sweep.space.sample(self._generator)

    def report(self, number: int, epoch: int, metrics: Metrics) -> Verdict:
        return Verdict.GO_ON if epoch < self._sweep.training.epochs else Verdict.END

    def restart(self) -> None:
        """Nothing of it is lost: a trial that runs is trained on, whoever asked for it."""

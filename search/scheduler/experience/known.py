"""Trials of other sweeps, as far as they tell anything to this one."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources

import numpy as np
from numpy.typing import NDArray

from glosstune.search.config.sweep import Sweep
from glosstune.search.scheduler.ranking import PLATEAU_WER
from glosstune.spaces.parameters import Scalar

Array = NDArray[np.float64]

CURVES = "curves.json"
# Below it one WER is as good as another.
_LOWEST_WER = 0.005
# How much of a height the way from a loss at the CTC floor to one that knows everything is, before WERs tell anything.
_PLATEAU = 1.5
BEGINNING = 2.0  # the score of a trial that has learned nothing
_ABOVE, _HIGHEST = 0.3, 3.0
_START = 0.3


@dataclass(frozen=True)
class KnownTrial:
    """A trial of another sweep.

    Attributes:
        task: what it was a trial of; each counts alike, however many trials it has.
        configuration: as far as it was searched.
        scores: after every epoch that it did (see ``ranking.score_curve``).
        epochs: of a full trial there.
    """

    task: str
    configuration: Mapping[str, Scalar]
    scores: Sequence[float]
    epochs: int


def height(score: float) -> float:
    """How far a score is from a WER of 1, in logarithms of the WER; on the plateau by what the loss has come down.

    Differences of heights are what searches compare: from 40 to 20 % is as much as from 4 to 2 %.
    """
    if score < PLATEAU_WER:
        return math.log(max(score, _LOWEST_WER))
    if score < BEGINNING:
        return math.log(PLATEAU_WER) + _PLATEAU * max(0.0, score - 1)
    # Worse than one that has learned nothing, as losses are that still come down from where they began.
    return math.log(PLATEAU_WER) + _PLATEAU + _ABOVE * min(score - BEGINNING, _HIGHEST)


def heights(scores: Sequence[float]) -> Array:
    """The lowest height up to each epoch, preceded by that of a start a little above the first: (epoch + 1,)."""
    told = np.minimum.accumulate([height(score) for score in scores])
    return np.concatenate([[told[0] + _START], told])


def on_grid(trial: KnownTrial, epochs: int) -> Array:
    """Its heights after each epoch of a trial of so many epochs, at the same shares of training: (epochs + 1,).

    What it did not come to is not a number.
    """
    told = heights(trial.scores)
    shares = np.arange(epochs + 1) / epochs
    return np.interp(shares * trial.epochs, np.arange(len(told)), told, right=math.nan)


def known_to(sweep: Sweep) -> Sequence[KnownTrial]:
    """The trials that ``search.prior`` names."""
    return packaged() if sweep.search.prior == "packaged" else ()


@cache
def packaged() -> tuple[KnownTrial, ...]:
    """The trials that come along (see benchmarks/record_tasks.py)."""
    text = resources.files(__package__).joinpath(CURVES).read_text(encoding="utf-8")
    return tuple(
        KnownTrial(task, configuration, scores, told["epochs"])
        for task, told in json.loads(text).items()
        for configuration, scores in told["trials"]
    )


def best_of_each(known: Sequence[KnownTrial], share: float) -> list[list[KnownTrial]]:
    """The share of each task's trials that did best: lowest on the whole way, so that quick ones count."""
    tasks: dict[str, list[KnownTrial]] = {}
    for trial in known:
        tasks.setdefault(trial.task, []).append(trial)
    chosen = []
    for trials in tasks.values():
        ranked = sorted(trials, key=lambda trial: float(np.nanmean(on_grid(trial, trial.epochs))))
        chosen.append(ranked[: max(1, round(share * len(ranked)))])
    return chosen

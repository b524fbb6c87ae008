"""Who leads a sweep: the best trial goes on whatever its rank, for a sweep is judged by what its best one comes to.

To wait at a rung until enough rivals have come costs the best trial most: it is the one that gets to the target first.
So it goes on, as long as it is the best and such trials have not had more than ``halving.lead`` of all epochs; what is
left of them compares others by rank, and whoever is better there leads then.

With several objectives nobody is the best: nobody leads, and whom nobody else beats is carried on.
"""

import math
from typing import Any

import numpy as np

from glosstune.results.reading.events import FINISHED, RESERVES, RUNNING
from glosstune.results.reading.objectives import FrontOrder
from glosstune.search.scheduler.ranking import AT_THE_FLOOR, PLATEAU_WER
from glosstune.search.scheduler.state import SweepState
from glosstune.search.scheduler.stopping import Stop
from glosstune.search.scheduler.trial import TrialState


def leader(state: SweepState) -> TrialState | None:
    """The best trial; None where it has come to no rung or learned nothing yet, or the share of leads is used up."""
    halving = state.sweep.halving
    if state.sweep.search.costs:
        return None
    if halving.kind != "promote" or state.lead_epochs >= halving.lead * state.epochs:
        return None
    best = _best(state)
    return None if best is None or _broke(state) or not _learned(state, best) else best


def incumbent(state: SweepState) -> TrialState | None:
    """The best trial, if it waits, for where nobody else can go on; with several objectives the first of the front."""
    if state.sweep.search.costs:
        return next((trial for trial in _front(state) if trial.waits), None)
    best = _best(state)
    return None if best is None or not best.waits or _broke(state) else best


def left_to_train(state: SweepState) -> dict[str, Any]:
    """The best trial, if it has learned something and has epochs left, and what these need (see ``judge_sweep``).

    With several objectives nobody is the best, and nothing is kept for anybody.
    """
    best = None if state.sweep.search.costs else _best(state)
    if best is None or best.status == FINISHED or not _learned(state, best) or _broke(state):
        return {}
    # What runs beside the best does one more epoch, and so does a trial that begins before this is asked again.
    others = sum(trial.status == RUNNING and trial is not best for trial in state.trials.values())
    left, recent = state.sweep.training.epochs - best.epoch, best.epoch_seconds[-3:]  # layers may have thawed since
    # Time besides: an epoch for others to end theirs, and one because a process starts and epochs differ.
    needs_s = (left + 2) * sum(recent) / len(recent)
    return {"best": best.number, "needs_s": needs_s, "needs_epochs": left + others + 1}


def yields(state: SweepState, trial: TrialState) -> Stop | None:
    """Why a trial has to make room for the best one, for which the last of a budget is kept; None where it has not."""
    over = state.over
    if over is None or over.rule not in RESERVES or trial.pinned or trial is _best(state):
        return None
    return over


def why_it_waits(state: SweepState, trial: TrialState) -> str | None:
    """Why a trial that led goes on no more; None while it leads."""
    best = _best(state)
    if state.over is not None and state.over.rule not in RESERVES:
        return state.over.reason
    if best is not None and best is not trial:
        return f"trial {best.number} is better now"
    if state.over is not None:
        return None
    if leader(state) is None:
        share = f"{state.lead_epochs} of {state.epochs} epochs went to the best trial"
        return f"{share}, {state.sweep.halving.lead:.0%} may"
    return None


def _best(state: SweepState) -> TrialState | None:
    return min(_standing(state), key=lambda trial: (trial.score, trial.number), default=None)


def _front(state: SweepState) -> list[TrialState]:
    """The trials that no other one beats in all objectives, in their order.

    One that is on the plateau is worth nothing, however little it costs; where all are, there is the best alone.
    """
    trials = [trial for trial in _standing(state) if state.sweep.search.metric != "wer" or trial.score < PLATEAU_WER]
    if not trials:
        best = _best(state)
        return [] if best is None else [best]
    order = FrontOrder(np.array([(trial.score, *state.weights(trial)) for trial in trials]))
    return [trials[place] for place in order.front(0)]


def _standing(state: SweepState) -> list[TrialState]:
    """Those that wait, are whole, or run and have come to a rung."""
    return [
        trial
        for trial in state.trials.values()
        if trial.score < math.inf
        and (trial.waits or trial.status == FINISHED or (trial.status == RUNNING and trial.scores))
    ]


def _learned(state: SweepState, trial: TrialState) -> bool:
    return state.sweep.search.metric != "wer" or trial.score < AT_THE_FLOOR - state.sweep.stopping.margin


def _broke(state: SweepState) -> bool:
    """Whether one that was carried on broke a rule: then the next best is not tried in its place."""
    return any(trial.carried and trial.faulty for trial in state.trials.values())

"""Let a sampler learn from earlier sweeps: every trial that ended there and fits here, with its curve."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

from glosstune.results.reading.events import FINISHED, HALVING, PAUSED, STOPPED, EpochReported, TrialBegun, TrialEnded
from glosstune.results.reading.names import RECORD
from glosstune.results.reading.record import read_record
from glosstune.search.config.sweep import Sweep
from glosstune.search.scheduler.state import SweepState
from glosstune.search.scheduler.trial import TrialState
from glosstune.spaces import SettingError

_ENDED = (FINISHED, STOPPED, PAUSED)


def earlier_trials(sweep: Sweep, say: Callable[[str], None]) -> list[TrialState]:
    """The trials of the sweeps in ``search.warm_start``, judged by this sweep's rungs.

    Raises:
        FolderError: a folder that holds no sweep, or a broken record.
    """
    return [trial for folder in sweep.search.warm_start for trial in _fitting(folder, sweep, say)]


def _fitting(folder: Path, sweep: Sweep, say: Callable[[str], None]) -> list[TrialState]:
    record = read_record(folder)
    misfits: Counter[str] = Counter()
    state = SweepState(sweep)
    for number, trial in record.trials.items():
        try:
            sweep.space.check(trial.configuration)
        except SettingError as error:
            misfits[str(error)] += 1
            continue
        if trial.status not in _ENDED:
            misfits[f"its status is {trial.status}"] += 1
            continue
        for event in record.events:
            if isinstance(event, TrialBegun | EpochReported | TrialEnded) and event.trial == number:
                _apply(state, event, sweep.training.epochs, folder / RECORD)
    say(f"warm start: {len(state.trials)} of {len(record.trials)} trials of {folder} fit")
    for reason, count in misfits.most_common():
        say(f"  {count} not: {reason}")
    return list(state.trials.values())


def _apply(state: SweepState, event: TrialBegun | EpochReported | TrialEnded, epochs: int, source: Path) -> None:
    if isinstance(event, EpochReported) and event.epoch > epochs:
        return  # a longer sweep: what a trial reached beyond a full one of ours would not compare
    state.replay([event], source)
    trial = state.trials[event.trial]
    if isinstance(event, EpochReported):
        # Its own end may come at another epoch than ours.
        trial.status, trial.rule = (FINISHED, FINISHED) if trial.epoch == epochs else (STOPPED, HALVING)
    elif isinstance(event, TrialEnded) and trial.epoch < epochs and trial.status == FINISHED:
        trial.status, trial.rule = STOPPED, HALVING

"""Let a sampler learn from earlier sweeps: every trial that ended there and fits here, with its curve."""

from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

from glosstune.results.reading.events import FINISHED, HALVING, PAUSED, STOPPED, EpochReported, TrialBegun, TrialEnded
from glosstune.results.reading.names import RECORD
from glosstune.results.reading.record import SweepRecord, read_record
from glosstune.results.text import printable
from glosstune.search.config.sweep import Sweep
from glosstune.search.scheduler.state import SweepState
from glosstune.search.scheduler.trial import TrialState
from glosstune.spaces import SettingError
from glosstune.spaces.errors import FolderError

_ENDED = (FINISHED, STOPPED, PAUSED)

Records = Mapping[Path, SweepRecord]  # by the folder of the sweep


def read_earlier(sweep: Sweep) -> Records:
    """The records of the sweeps in ``search.warm_start``; FolderError where a folder holds none, or a broken one."""
    try:
        return {folder: read_record(folder) for folder in sweep.search.warm_start}
    except FolderError as error:
        rule = "where it has moved, say search.warm_start=[FOLDER], and to go on without it, search.warm_start=[]"
        raise FolderError(f"search.warm_start: {error}; {rule}") from error


def earlier_trials(sweep: Sweep, records: Records, say: Callable[[str], None]) -> list[TrialState]:
    """The trials of earlier sweeps, judged by this sweep's rungs; FolderError where a record cannot be replayed."""
    return [trial for folder, record in records.items() for trial in _fitting(folder, record, sweep, say)]


def tell_scorings(records: Records, scoring: str, say: Callable[[str], None]) -> None:
    """Say of earlier sweeps whose WER is counted by another rule than this one's is."""
    for folder, record in records.items():
        if record.scoring != scoring:
            rules = f"is counted by {printable(str(record.scoring))}, here by {scoring}"
            say(f"warm start: WER in {folder} {rules}: ranks compare, figures do not")


def _fitting(folder: Path, record: SweepRecord, sweep: Sweep, say: Callable[[str], None]) -> list[TrialState]:
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
        if unknown := [cost for cost in sweep.search.costs if trial.costs.get(cost) is None]:
            misfits[f"its {', '.join(unknown)} were not recorded"] += 1
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

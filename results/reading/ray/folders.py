"""Read the folder of a plain Ray Tune experiment: the JSON and CSV of its trials, and none of its pickles."""

import re
import sys
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from glosstune.results.reading.events import FAILED, FINISHED, PAUSED
from glosstune.results.reading.names import RECORD
from glosstune.results.reading.ray.files import flat, is_number, last_line, read_parameters, read_rows, read_states
from glosstune.results.reading.ray.metrics import settle_wer
from glosstune.results.reading.record import SweepRecord, TrialRecord

# What Ray, from 1.13 to today, adds to every result beside the metrics of the trial.
_BOOKKEEPING = {
    "timestamp",
    "checkpoint_dir_name",
    "done",
    "training_iteration",
    "trial_id",
    "experiment_id",
    "date",
    "time_this_iter_s",
    "time_total_s",
    "timesteps_total",
    "timesteps_this_iter",
    "episodes_total",
    "episodes_this_iter",
    "pid",
    "hostname",
    "node_ip",
    "config",
    "time_since_restore",
    "timesteps_since_restore",
    "iterations_since_restore",
    "experiment_tag",
    "should_checkpoint",
    "warmup_time",
    "epoch",
    "trial",
}
_FILES = ("result.json", "progress.csv", "params.json")
# No epoch and no second is counted so far; and the end of the year 2199, to stay within pandas' times.
_MOST, _LATEST_S = 1e9, 7.258e9
# How far down experiments are looked for, and in how many folders.
_LEVELS, _VISITED = 3, 2000


def is_ray_folder(folder: Path) -> bool:
    """Whether a folder of it looks like a trial of Ray Tune's."""
    return any(map(is_ray_trial, _folders_in(folder)))


def is_ray_trial(folder: Path) -> bool:
    """Whether it looks like the folder of a single trial."""
    return any((folder / name).is_file() for name in _FILES)


def experiments_below(folder: Path) -> list[Path]:
    """Folders of experiments, or of sweeps, up to three levels below one; what lies below these is theirs."""
    found, level, left = [], [folder], _VISITED
    for _ in range(_LEVELS):
        inside = [each for parent in level for each in _folders_in(parent)][:left]
        experiments = [each for each in inside if (each / RECORD).is_file() or is_ray_folder(each)]
        found += experiments
        left -= len(inside)
        level = [each for each in inside if each not in experiments]
    return found


def read_ray_folder(folder: Path) -> SweepRecord:
    """The trials of an experiment, numbered in the order of their folders' names; an iteration counts as an epoch.

    Of ``result.json``, ``progress.csv``, ``params.json`` and the JSON of the experiment's state only; Ray's own reader
    unpickles whatever lies there. A trial is ``finished`` if Ray called it terminated, stopped early or not, which Ray
    does not write down.

    Warns:
        UserWarning: of each file that cannot be read, which costs what only it says; see also ``settle_wer``.
    """
    record, states = SweepRecord(), read_states(folder)
    for number, trial_folder in enumerate(each for each in _folders_in(folder) if is_ray_trial(each)):
        record.trials[number] = _read_trial(trial_folder, states)
    times = [datetime.fromisoformat(time) for trial in record.trials.values() for time in trial.times.values()]
    if times:
        first = [_begun(trial) for trial in record.trials.values() if trial.times]
        record.runs.append((min(first).isoformat(), max(times).isoformat()))
    record.samples = len(record.trials)
    settle_wer(folder, [metrics for trial in record.trials.values() for metrics in trial.reports.values()])
    return record


def _folders_in(folder: Path) -> list[Path]:
    """The folders in one, by name; none where it may not be looked into."""
    with suppress(OSError):
        return sorted(inner for inner in folder.iterdir() if inner.is_dir())
    return []


def _begun(trial: TrialRecord) -> datetime:
    """When the first epoch of a trial began."""
    epoch = min(trial.times)
    seconds = trial.reports[epoch].get("epoch_s") or 0.0
    return datetime.fromisoformat(trial.times[epoch]) - timedelta(seconds=seconds if abs(seconds) < _MOST else 0.0)


def _read_trial(folder: Path, states: Mapping[str, str]) -> TrialRecord:
    trial = TrialRecord({}, id=folder.name)
    rows = list(read_rows(folder))
    configuration = read_parameters(folder / "params.json")
    for row in rows:
        trial.id = str(row.get("trial_id", trial.id)).replace("/", "_").replace("\\", "_")  # no way to another folder
        if not configuration:
            told = flat(row).items()
            configuration = {name.removeprefix("config/"): value for name, value in told if name.startswith("config/")}
        epoch = row.get("training_iteration")
        if not is_number(epoch) or not abs(epoch) < _MOST or int(epoch) in trial.reports:
            continue  # an iteration that was run again after a restore: the first report counts
        _report(trial, int(epoch), row)
    trial.configuration = flat(configuration or {})
    if not rows:  # its id is told in the name of its folder alone
        trial.id = next((id for id in states if f"_{id}_" in f"_{folder.name}_"), trial.id)
    state = states.get(trial.id)
    if state == "TERMINATED" or (state is None and rows and rows[-1].get("done") in (True, "True")):
        trial.status = FINISHED
    elif (folder / "error.txt").is_file() and state in (None, "ERROR"):  # it stays where a trial was tried again
        trial.status, trial.rule, trial.error = FAILED, "error", last_line(folder / "error.txt") or "unknown"
    elif state in ("PAUSED", "ERROR"):
        trial.status = PAUSED if state == "PAUSED" else FAILED
    return trial


def _report(trial: TrialRecord, epoch: int, row: Mapping[str, Any]) -> None:
    metrics = {
        name: float(value) if abs(value) <= sys.float_info.max else None
        for name, value in flat(row).items()
        if name not in _BOOKKEEPING and not name.startswith("config/") and is_number(value)
    }
    seconds = row.get("time_this_iter_s")
    if is_number(seconds) and abs(seconds) < _MOST and "epoch_s" not in metrics:
        metrics["epoch_s"] = float(seconds)
    trial.reports[epoch] = metrics
    if (time := _time(row.get("timestamp")) or _time(row.get("date"))) is not None:
        trial.times[epoch] = time
    if isinstance(node := row.get("hostname"), str):
        trial.nodes[epoch] = node


def _time(stamp: object) -> str | None:
    """ISO 8601 of seconds, milli-, micro- or nanoseconds since 1970, or of a text of that form; None where it is none.

    Without a zone it counts as UTC: times of one experiment are compared with each other alone.
    """
    if isinstance(stamp, str):
        with suppress(ValueError):
            told = datetime.fromisoformat(re.sub(r"_(\d\d)-(\d\d)-(\d\d)$", r"T\1:\2:\3", stamp.strip()))
            stamp = (told if told.tzinfo else told.replace(tzinfo=UTC)).timestamp()
    if is_number(stamp):
        for parts in (1, 1e3, 1e6, 1e9):
            if 0 <= stamp < _LATEST_S * parts:
                return datetime.fromtimestamp(stamp / parts, UTC).isoformat()
    return None

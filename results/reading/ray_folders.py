"""Read the folder of a plain Ray Tune experiment: the JSON and CSV of its trials, and none of its pickles."""

import csv
import io
import re
import sys
import warnings
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any, TypeGuard

from glosstune.results.reading.events import FAILED, FINISHED, PAUSED
from glosstune.results.reading.record import SweepRecord, TrialRecord
from glosstune.spaces.files.bounded import parse_json, read_lines, read_text

# What Ray adds to every result beside the metrics of the trial.
_BOOKKEEPING = {
    "timestamp",
    "checkpoint_dir_name",
    "done",
    "training_iteration",
    "trial_id",
    "date",
    "time_this_iter_s",
    "time_total_s",
    "pid",
    "hostname",
    "node_ip",
    "config",
    "time_since_restore",
    "iterations_since_restore",
    "experiment_tag",
    "should_checkpoint",
    "epoch",
    "trial",
}
# No epoch and no second is counted so far; and the end of the year 2199, to stay within pandas' times.
_MOST, _LATEST_S = 1e9, 7.258e9
_PERCENT = 2


def is_ray_folder(folder: Path) -> bool:
    """Whether a folder of it looks like a trial of Ray Tune's."""
    return folder.is_dir() and any(True for _ in _trial_folders(folder))


def read_ray_folder(folder: Path) -> SweepRecord:
    """The trials of an experiment, numbered in the order of their folders' names; an iteration counts as an epoch.

    Of ``result.json``, ``progress.csv``, ``params.json`` and the JSON of the experiment's state only; Ray's own reader
    unpickles whatever lies there. A trial is ``finished`` if Ray called it terminated, stopped early or not, which Ray
    does not write down.

    Warns:
        UserWarning: a line of ``result.json`` that is no result, or a ``params.json`` that is no JSON; a crash may have
            torn it. What a trial was given is then taken from its results.
    """
    record, states = SweepRecord(), _states(folder)
    for number, trial_folder in enumerate(sorted(_trial_folders(folder))):
        record.trials[number] = _read_trial(trial_folder, states)
    times = [datetime.fromisoformat(time) for trial in record.trials.values() for time in trial.times.values()]
    if times:
        first = [_begun(trial) for trial in record.trials.values() if trial.times]
        record.runs.append((min(first).isoformat(), max(times).isoformat()))
    record.samples = len(record.trials)
    _check_wer(folder, record)
    return record


def _check_wer(folder: Path, record: SweepRecord) -> None:
    """Make fractions of a WER in percent, and say so; or say which metrics there are where WER is none of them."""
    reports = [metrics for trial in record.trials.values() for metrics in trial.reports.values()]
    values = [wer for metrics in reports if (wer := metrics.get("wer")) is not None]
    # Who writes nothing has 1: half of all epochs are not twice as wrong as that.
    if values and median(values) > _PERCENT:
        warnings.warn(f"{folder}: wer is read as percentages, for most are above {_PERCENT}", stacklevel=3)
        for metrics in reports:
            if (wer := metrics.get("wer")) is not None:
                metrics["wer"] = wer / 100
    names = dict.fromkeys(name for metrics in reports for name in metrics)
    if reports and "wer" not in names:
        rule = f"no trial has reported wer, but {', '.join(names) or 'nothing'}"
        warnings.warn(f"{folder}: {rule}; rank_trials(load_results(folder), metric=NAME) takes another", stacklevel=3)


def _begun(trial: TrialRecord) -> datetime:
    """When the first epoch of a trial began."""
    epoch = min(trial.times)
    return datetime.fromisoformat(trial.times[epoch]) - timedelta(seconds=trial.reports[epoch].get("epoch_s") or 0.0)


def _trial_folders(folder: Path) -> Iterator[Path]:
    files = ("result.json", "progress.csv", "params.json")
    return (inner for inner in folder.iterdir() if inner.is_dir() and any((inner / name).is_file() for name in files))


def _states(folder: Path) -> dict[str, str]:
    """The status of each trial by its id, from Ray's newest state of the experiment: JSON whose pickles stay closed.

    A function that returns is done without its last result saying so. No state, or another form of it, is no error.
    """
    files = sorted(folder.glob("experiment_state-*.json"))  # by the date in the name
    states: dict[str, str] = {}
    for path in files[-1:]:
        try:
            for told, *_ in parse_json(read_text(path))["trial_data"]:
                trial = parse_json(told) if isinstance(told, str) else told
                states[str(trial["trial_id"])] = str(trial["status"])
        except (OSError, ValueError, KeyError, TypeError):
            return {}
    return states


def _read_trial(folder: Path, states: Mapping[str, str]) -> TrialRecord:
    trial = TrialRecord({}, id=folder.name)
    rows = list(_rows(folder))
    configuration = _read_json(folder / "params.json") if (folder / "params.json").is_file() else None
    for row in rows:
        trial.id = str(row.get("trial_id", trial.id)).replace("/", "_").replace("\\", "_")  # no way to another folder
        if configuration is None:
            told = _flat(row).items()
            configuration = {name.removeprefix("config/"): value for name, value in told if name.startswith("config/")}
        epoch = row.get("training_iteration")
        if not _is_number(epoch) or not abs(epoch) < _MOST or int(epoch) in trial.reports:
            continue  # an iteration that was run again after a restore: the first report counts
        _report(trial, int(epoch), row)
    trial.configuration = _flat(configuration if isinstance(configuration, dict) else {})
    error = folder / "error.txt"
    if not rows:  # its id is told in the name of its folder alone
        trial.id = next((id for id in states if f"_{id}_" in f"_{folder.name}_"), trial.id)
    state = states.get(trial.id)
    if state == "TERMINATED" or (state is None and rows and rows[-1].get("done") in (True, "True")):
        trial.status = FINISHED
    elif error.is_file() and state in (None, "ERROR"):  # it stays where a trial was tried again
        trial.status, trial.rule, trial.error = FAILED, "error", _last_line(error)
    elif state in ("PAUSED", "ERROR"):
        trial.status = PAUSED if state == "PAUSED" else FAILED
    return trial


def _report(trial: TrialRecord, epoch: int, row: Mapping[str, Any]) -> None:
    metrics = {
        name: float(value) if abs(value) <= sys.float_info.max else None
        for name, value in _flat(row).items()
        if name not in _BOOKKEEPING and not name.startswith("config/") and _is_number(value)
    }
    seconds = row.get("time_this_iter_s")
    if _is_number(seconds) and abs(seconds) < _MOST and "epoch_s" not in metrics:
        metrics["epoch_s"] = float(seconds)
    trial.reports[epoch] = metrics
    if _is_number(stamp := row.get("timestamp")) and 0 <= stamp < _LATEST_S:
        trial.times[epoch] = datetime.fromtimestamp(stamp, UTC).isoformat()
    if isinstance(node := row.get("hostname"), str):
        trial.nodes[epoch] = node


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _rows(folder: Path) -> Iterator[dict[str, Any]]:
    """The results of a trial; a crash may tear a line, behind which Ray goes on when it is restored."""
    path = folder / "result.json"
    if path.is_file() and path.stat().st_size:
        for number, line in enumerate(read_lines(path), start=1):
            try:
                row = parse_json(line.decode("utf-8", "replace"))
            except ValueError:
                row = None
            if isinstance(row, dict):
                yield row
            elif line.strip():
                warnings.warn(f"{path}:{number}: is no result, and is left out", stacklevel=2)
        return
    path = folder / "progress.csv"
    if path.is_file():
        text = read_text(path, errors="replace")
        whole = text[: text.rfind("\n") + 1]  # half a number would be another one
        if whole:
            for row in csv.DictReader(io.StringIO(whole)):
                told = {name: _parse(value) for name, value in row.items() if name is not None}
                yield told | {name: row[name] for name in ("trial_id", "hostname") if row.get(name)}


def _parse(text: str | None) -> Any:
    """A cell of a CSV file: a number where it is one (float() alone would take 04213_00000 for one too)."""
    if not text:
        return None
    if re.fullmatch(r"[+-]?\d+", text):
        return int(text)
    if re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?(nan|inf)", text):
        return float(text)
    return text


def _last_line(path: Path) -> str:
    try:
        lines = read_text(path, errors="replace").strip().splitlines()
    except OSError:
        lines = []
    return lines[-1] if lines else "unknown"


def _read_json(path: Path) -> Any:
    """None where it cannot be read."""
    try:
        return parse_json(read_text(path))
    except (OSError, ValueError) as error:
        warnings.warn(f"{path}: cannot be read ({error}); the results say what the trial was given", stacklevel=2)
        return None


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested keys joined by a slash, as Ray itself writes them."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{name}/")
        else:
            flat[f"{prefix}{name}"] = value
    return flat

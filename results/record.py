"""Read a sweep's record: one JSON object a line, appended as things happened."""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from glosstune.spaces.errors import FolderError

RECORD = "record.jsonl"
ENDS = ("finished", "stopped", "failed", "interrupted")

Event = dict[str, Any]
Kind = TypeVar("Kind", int, str, dict[str, Any])


@dataclass
class TrialRecord:
    """What one trial was given, what it reported in each epoch, and how it ended."""

    configuration: dict[str, Any]
    reports: dict[int, dict[str, float | None]] = field(default_factory=dict)
    status: str = "running"
    reason: str | None = None
    error: str | None = None


@dataclass
class SweepRecord:
    """The trials of a sweep by number, the metric's target if it has one, and all lines as they were written."""

    trials: dict[int, TrialRecord] = field(default_factory=dict)
    target: float | None = None
    events: list[Event] = field(default_factory=list)


def read_record(folder: Path) -> SweepRecord:
    """Return what the record in ``folder`` says.

    A crash may tear the last line, which is then dropped; any other line that cannot be read or
    cannot be true is a FolderError that names it.
    """
    if not folder.is_dir():
        raise FolderError(f"{folder}: no such folder")
    path = folder / RECORD
    if not path.exists():
        raise FolderError(f"{folder}: not the folder of a sweep: {RECORD} is missing")
    record = SweepRecord()
    for number, event in _read_events(path):
        try:
            _apply(event, record)
        except ValueError as error:
            raise FolderError(f"{path}:{number}: {error}") from error
        record.events.append(event)
    return record


def _read_events(path: Path) -> Iterator[tuple[int, Any]]:
    """Yield each line's number, from 1, and its JSON value."""
    try:
        text = path.read_bytes()
    except OSError as error:
        raise FolderError(f"{path}: cannot be read: {error.strerror}") from error
    lines = text.rstrip().split(b"\n")
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            event = json.loads(line.decode())
        except (ValueError, RecursionError) as error:
            if number == len(lines):
                return
            raise FolderError(f"{path}:{number}: not a line of JSON: {error}") from error
        yield number, event


def _apply(event: Any, record: SweepRecord) -> None:
    """Add one line to the record; lines of unknown kinds are for other readers."""
    if not isinstance(event, dict):
        raise ValueError("not an object")
    kind = _value(event, "event", str)
    if kind == "sweep":
        record.target = _number("target", event.get("target"))
    elif kind == "trial":
        # A retried trial is announced again; what it was given first is what its reports are about.
        record.trials.setdefault(_value(event, "trial", int), TrialRecord(_value(event, "configuration", dict)))
    elif kind == "report":
        _apply_report(event, _started_trial(event, record))
    elif kind == "end":
        trial = _started_trial(event, record)
        status = _value(event, "status", str)
        if status not in ENDS:
            raise ValueError(f"status: {status!r} is none of {', '.join(ENDS)}")
        trial.status, trial.reason, trial.error = status, event.get("reason"), event.get("error")
    elif kind in ("pause", "promote", "continue"):
        trial = _started_trial(event, record)
        trial.status, trial.error = ("paused" if kind == "pause" else "running"), None
        trial.reason = event.get("reason") if kind == "pause" else None


def _apply_report(event: Event, trial: TrialRecord) -> None:
    epoch = _value(event, "epoch", int)
    metrics = {name: _number(name, value) for name, value in _value(event, "metrics", dict).items()}
    if epoch in trial.reports:  # an epoch run again after a crash: the first report counts
        return
    trial.reports[epoch] = metrics
    # A promoted or resumed trial trains on after its end.
    trial.status, trial.reason, trial.error = "running", None, None


def _started_trial(event: Event, record: SweepRecord) -> TrialRecord:
    number = _value(event, "trial", int)
    if number not in record.trials:
        raise ValueError(f"trial {number}: no earlier line starts it")
    return record.trials[number]


def _value(event: Event, key: str, kind: type[Kind]) -> Kind:
    if key not in event:
        raise ValueError(f"{key} is missing")
    value = event[key]
    if not isinstance(value, kind) or isinstance(value, bool):
        raise ValueError(f"{key}: {value!r} is no {kind.__name__}")
    return value


def _number(key: str, value: object) -> float | None:
    """Return a number; null, NaN and Infinity are all no number that counts."""
    if value is None:
        return None
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise ValueError(f"{key}: {value!r} is no number")
    return value if math.isfinite(value) else None

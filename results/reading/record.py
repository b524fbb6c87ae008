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
    """What one trial was given, what it reported in each epoch, and how it ended.

    Attributes:
        id: what it is called where it was run.
        source: what suggested it.
        reports: the metrics of each epoch.
        times: when each epoch was reported, ISO 8601.
        nodes: the machine that trained each epoch, where that is known.
        status: running, paused, or one of ``ENDS``.
        rule: what ended or paused it, in a word.
        reason: the same in full.
        error: of a failed one.
    """

    configuration: dict[str, Any]
    id: str = ""
    source: str | None = None
    reports: dict[int, dict[str, float | None]] = field(default_factory=dict)
    times: dict[int, str] = field(default_factory=dict)
    nodes: dict[int, str] = field(default_factory=dict)
    status: str = "running"
    rule: str | None = None
    reason: str | None = None
    error: str | None = None


@dataclass
class SweepRecord:
    """A sweep as it was written down.

    Attributes:
        trials: by number.
        target: of the metric, if it has one.
        samples: trials that it was to have.
        epochs: of a full trial.
        metric: that trials are ranked by.
        gpu: share of a GPU that a trial had last.
        over: why it ended, if it did.
        runs: when each of its drivers began and was last heard of, ISO 8601.
        events: all lines.
    """

    trials: dict[int, TrialRecord] = field(default_factory=dict)
    target: float | None = None
    samples: int | None = None
    epochs: int | None = None
    metric: str | None = None
    gpu: float | None = None
    over: str | None = None
    runs: list[tuple[str, str]] = field(default_factory=list)
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
    _note_time(event, kind, record)
    if kind in ("sweep", "resume"):
        record.gpu = _number("gpu", event.get("gpu"))
    if kind == "sweep":
        record.target = _number("target", event.get("target"))
        record.samples, record.epochs, record.metric = event.get("samples"), event.get("epochs"), event.get("metric")
    elif kind == "trial":
        number = _value(event, "trial", int)
        trial = TrialRecord(_value(event, "configuration", dict), f"{number:04d}", event.get("source"))
        # A retried trial is announced again; what it was given first is what its reports are about.
        record.trials.setdefault(number, trial)
    elif kind == "report":
        _apply_report(event, _started_trial(event, record))
    elif kind == "end":
        trial = _started_trial(event, record)
        status = _value(event, "status", str)
        if status not in ENDS:
            raise ValueError(f"status: {status!r} is none of {', '.join(ENDS)}")
        trial.status, trial.error = status, event.get("error")
        trial.rule, trial.reason = event.get("rule"), event.get("reason")
    elif kind in ("pause", "promote", "continue"):
        trial = _started_trial(event, record)
        paused = kind == "pause"
        trial.status, trial.error = ("paused" if paused else "running"), None
        trial.rule, trial.reason = ("halving", event.get("reason")) if paused else (None, None)
    elif kind in ("over", "resume"):
        record.over = event.get("reason") if kind == "over" else None


def _note_time(event: Event, kind: str, record: SweepRecord) -> None:
    """Follow the drivers: one begins with the sweep or its resumption, and is last heard of in its last line."""
    time = event.get("time")
    if not isinstance(time, str):
        return
    if kind in ("sweep", "resume", "visit") or not record.runs:  # a visit changes something while nothing runs
        record.runs.append((time, time))
    else:
        record.runs[-1] = (record.runs[-1][0], time)


def _apply_report(event: Event, trial: TrialRecord) -> None:
    epoch = _value(event, "epoch", int)
    metrics = {name: _number(name, value) for name, value in _value(event, "metrics", dict).items()}
    if epoch in trial.reports:  # an epoch run again after a crash: the first report counts
        return
    trial.reports[epoch] = metrics
    for told, value in ((trial.times, event.get("time")), (trial.nodes, event.get("node"))):
        if isinstance(value, str):
            told[epoch] = value
    # A promoted or resumed trial trains on after its end.
    trial.status, trial.rule, trial.reason, trial.error = "running", None, None, None


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

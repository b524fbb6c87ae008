"""Read a sweep's record: one JSON object a line, appended as things happened."""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from glosstune.results.reading.events import (
    ARRIVALS,
    FORMAT,
    HALVING,
    PAUSED,
    RUNNING,
    EpochReported,
    Event,
    Metrics,
    Status,
    SweepBegun,
    SweepOver,
    SweepResumed,
    TrialBegun,
    TrialContinued,
    TrialEnded,
    TrialEvent,
    TrialPaused,
    TrialPromoted,
    parse_event,
)
from glosstune.results.reading.names import RECORD, trial_name
from glosstune.results.reading.objectives import check_objectives
from glosstune.spaces.errors import FolderError, shown
from glosstune.spaces.files.bounded import parse_json, read_lines

_LISTED = 5
# Whoever drives a sweep writes at every epoch at least; without an event for so long it is taken for dead where nothing
# else is known of it.
SILENT_S = 900.0


@dataclass
class TrialRecord:
    """What one trial was given, what it reported in each epoch, and how it ended.

    Attributes:
        id: what it is called where it was run.
        source: what suggested it.
        reports: the metrics of each epoch.
        times: when each epoch was reported, ISO 8601.
        nodes: the machine that trained each epoch, where that is known.
        costs: of its recogniser (see ``objectives.COSTS``).
        status: how it stands.
        rule: what ended or paused it, in a word.
        reason: the same in full.
        error: of a failed one.
    """

    configuration: dict[str, Any]
    id: str = ""
    source: str | None = None
    reports: dict[int, Metrics] = field(default_factory=dict)
    times: dict[int, str] = field(default_factory=dict)
    nodes: dict[int, str] = field(default_factory=dict)
    costs: Metrics = field(default_factory=dict)
    status: Status = RUNNING
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
        objectives: that it weighs against each other, the metric first; empty for the metric alone.
        gpu: share of a GPU that a trial had last.
        scoring: the rule that its WER is counted by; None where nobody says.
        over: why it ended, if it did.
        runs: when each of its drivers began and was last heard of, ISO 8601.
        events: all of it.
    """

    trials: dict[int, TrialRecord] = field(default_factory=dict)
    target: float | None = None
    samples: int | None = None
    epochs: int | None = None
    metric: str | None = None
    objectives: tuple[str, ...] = ()
    gpu: float | None = None
    scoring: str | None = None
    over: str | None = None
    runs: list[tuple[str, str]] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)


def read_record(folder: Path, *, leave_out: bool = False) -> SweepRecord:
    """Return what the record in ``folder`` says.

    A crash may tear the last line, which is then dropped; any other line that cannot be read or
    cannot be true, or is of a newer format, is a FolderError that names it.

    Args:
        leave_out: show what else it says, as whoever only looks may: but for the first line, which says what the
            others mean, such a line is left out, with a warning.
    """
    if folder.is_file():
        raise FolderError(f"{folder}: is a file; name the folder of a sweep")
    if not folder.is_dir():
        raise FolderError(f"{folder}: no such folder")
    path = folder / RECORD
    if not path.exists():
        raise not_a_sweep(folder, sorted(path.parent for path in folder.glob(f"*/{RECORD}")))
    record, broken = SweepRecord(), []
    for number, line in _read_lines(path):
        try:
            if isinstance(line, ValueError):
                raise line
            if not record.events:
                _check_format(line)
            event = parse_event(line)
            _apply(event, record)
        except ValueError as error:
            broken.append(f"{path}:{number}: {error}")
            if leave_out and record.events:
                continue
            raise FolderError(broken[0]) from error
        record.events.append(event)
    if broken:
        others = f", like {len(broken) - 1} more lines" * (len(broken) > 1)
        warnings.warn(f"{broken[0]}; it is left out{others}", stacklevel=3)
    return record


def not_a_sweep(folder: Path, below: Sequence[Path]) -> FolderError:
    """Says so, and which folders may have been meant."""
    listed = ", ".join(map(str, below[:_LISTED])) + ", …" * (len(below) > _LISTED)
    meant = f"; the sweeps below it are {listed}" if below else ""
    return FolderError(f"{folder}: not the folder of a sweep: {RECORD} is missing{meant}")


def _read_lines(path: Path) -> Iterator[tuple[int, Any]]:
    """Yield each line's number, from 1, and its JSON value, or what is wrong with it."""
    torn: tuple[int, ValueError] | None = None
    try:
        for number, line in enumerate(read_lines(path), start=1):
            if not line.strip():
                continue
            if torn is not None:  # and was not the last one
                yield torn
                torn = None
            try:
                value = parse_json(line)
            except ValueError as error:
                torn = number, ValueError(f"not a line of JSON: {error}")
            else:
                yield number, value
    except OSError as error:
        raise FolderError(f"{path}: cannot be read: {error.strerror}") from error


def _check_format(line: Any) -> None:
    """Require a format that is known of the first line, before anything else in it is taken for what it was."""
    known = line.get("format") if isinstance(line, dict) else None
    if known is None and isinstance(line, dict) and line.get("event") == SweepBegun.name:
        raise ValueError("says no format; it was written by another version of glosstune")
    if isinstance(known, int) and known > FORMAT:
        rule = f"this one reads up to {FORMAT}; install the newer one"
        raise ValueError(f"is of format {shown(known)}, written by a newer glosstune; {rule}")


def _apply(event: Event, record: SweepRecord) -> None:
    """Add an event to the record; what is unknown is for other readers."""
    if not record.events and not isinstance(event, SweepBegun):
        raise ValueError(f"a record begins with the event {SweepBegun.name!r}")
    _note_time(event, record)
    if isinstance(event, TrialEvent) and not isinstance(event, TrialBegun) and event.trial not in record.trials:
        raise ValueError(f"trial {event.trial}: no earlier line starts it")
    match event:
        case EpochReported():
            _apply_report(event, record.trials[event.trial])
        case SweepBegun():
            record.gpu, record.target, record.scoring = event.gpu, event.target, event.scoring
            record.samples, record.epochs, record.metric = event.samples, event.epochs, event.metric
            record.objectives = check_objectives(event.objectives or ())
        case SweepResumed():
            record.gpu, record.over = event.gpu, None
        case SweepOver():
            record.over = event.reason
        case TrialBegun():
            trial = TrialRecord(event.configuration, trial_name(event.trial), event.source)
            # A retried trial is announced again; what it was given first is what its reports are about.
            record.trials.setdefault(event.trial, trial)
        case TrialEnded():
            _settle(record.trials[event.trial], event.status, event.rule, event.reason, event.error)
        case TrialPaused():
            _settle(record.trials[event.trial], PAUSED, HALVING, event.reason)
        case TrialPromoted() | TrialContinued():
            _settle(record.trials[event.trial], RUNNING)


def _note_time(event: Event, record: SweepRecord) -> None:
    """Follow the drivers: one begins with the sweep or its resumption, and is last heard of in its last line."""
    if not event.time:
        return
    if isinstance(event, ARRIVALS) or not record.runs:  # a visit changes something while nothing runs
        record.runs.append((event.time, event.time))
    else:
        record.runs[-1] = (record.runs[-1][0], event.time)


def _apply_report(event: EpochReported, trial: TrialRecord) -> None:
    if event.epoch in trial.reports:  # an epoch run again after a crash: the first report counts
        return
    trial.reports[event.epoch] = event.metrics
    trial.costs |= event.costs or {}
    if event.time:
        trial.times[event.epoch] = event.time
    if event.node is not None:
        trial.nodes[event.epoch] = event.node
    _settle(trial, RUNNING)  # a promoted or resumed trial trains on after its end


def _settle(
    trial: TrialRecord, status: Status, rule: str | None = None, reason: str | None = None, error: str | None = None
) -> None:
    trial.status, trial.rule, trial.reason, trial.error = status, rule, reason, error

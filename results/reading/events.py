"""The events of a sweep, each defined once: their fields are those of the record's lines.

A line is ``{"event": "report", "time": "2026-11-21T22:44:49.123+00:00", "trial": 3, ...}``; a field at its default is
left out. Who changes what an event means raises ``FORMAT``, so that an older version says so instead of misreading it.
"""

import math
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from functools import partial
from types import NoneType, UnionType
from typing import Any, ClassVar, Final, Literal, TypeVar, get_args, get_origin, get_type_hints

from glosstune.results.reading.epoch_metrics import PLAIN

FORMAT = 1
# Nothing that is counted comes near, and a 64-bit integer holds it.
_MOST = 10**15
# Years of no clock, which pandas cannot hold.
_NO_TIMES = re.compile(r"(?!2[01]|19)\d{4}-")

Kind = TypeVar("Kind")

# How a trial stands: paused at a rung, interrupted by the end of its sweep.
Status = Literal["running", "paused", "interrupted", "finished", "stopped", "failed"]
RUNNING: Final = "running"
PAUSED: Final = "paused"
INTERRUPTED: Final = "interrupted"
FINISHED: Final = "finished"
STOPPED: Final = "stopped"
FAILED: Final = "failed"
# How its segment may end; an interrupted one goes on when the sweep is resumed.
End = Literal["finished", "stopped", "failed", "interrupted"]

# Who suggested a trial, if not the sampler.
START_POINT: Final = "start point"
QUEUE: Final = "queue"
PRIOR: Final = "prior"

# What ends or pauses a trial, or ends a sweep, that somebody asks about later.
HALVING: Final = "halving"
INTERRUPT: Final = "interrupt"
PATIENCE: Final = "patience"
USER: Final = "user"
# What is left of a budget is the best trial's.
TIME_RESERVE: Final = "time reserve"
EPOCH_RESERVE: Final = "epoch reserve"
RESERVES: Final = (TIME_RESERVE, EPOCH_RESERVE)
# After which the best trial is still trained to its end.
CARRIES_ON: Final = (PATIENCE, *RESERVES)

# Writes an event, given as name and fields, and returns its line as a reader will see it.
Append = Callable[..., dict[str, Any]]

Metrics = dict[str, float | None]  # by name (see ``epoch_metrics``); None was not finite


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something that happened in a sweep; as it is, something that this version knows nothing of.

    Attributes:
        time: when it was written down, ISO 8601 with its zone.
    """

    name: ClassVar[str] = ""
    time: str = ""

    def told(self) -> dict[str, Any]:
        """What is written of it beside its name and time."""
        values = {part.name: (getattr(self, part.name), part.default) for part in fields(self) if part.name != "time"}
        return {name: value for name, (value, default) in values.items() if default is MISSING or value != default}


@dataclass(frozen=True, kw_only=True)
class SweepBegun(Event):
    """A sweep has begun: the first line of every record.

    Attributes:
        format: of the record (see ``FORMAT``).
        id: tells sweeps of one name apart.
        samples: trials that it is to have.
        epochs: of a full trial.
        metric: that trials are ranked by.
        target: the WER that it aims for, a fraction.
        gpu: share of a GPU that a trial has.
        scoring: the rule that its WER is counted by.
        objectives: that it weighs against each other, the metric first; None for the metric alone.
    """

    name = "sweep"
    format: int
    id: str
    samples: int
    epochs: int
    metric: str
    target: float | None
    gpu: float | None = None
    scoring: str = PLAIN
    objectives: list[str] | None = None


@dataclass(frozen=True, kw_only=True)
class SweepResumed(Event):
    """Another driver has taken the sweep over.

    Attributes:
        changes: what is set otherwise since, by dotted key of the sweep file.
        gpu: share of a GPU that a trial has now.
    """

    name = "resume"
    changes: dict[str, Any]
    gpu: float | None = None


@dataclass(frozen=True, kw_only=True)
class SweepVisited(Event):
    """A command changes something in a sweep that nobody drives."""

    name = "visit"


@dataclass(frozen=True, kw_only=True)
class SettingsChanged(Event):
    """Users have changed settings under a running driver.

    Attributes:
        changes: by dotted key of the sweep file.
    """

    name = "change"
    changes: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class ConfigurationQueued(Event):
    """Users want a configuration tried before the sampler suggests others.

    Attributes:
        configuration: a value of each parameter.
        request: the file that asked a running driver for it.
    """

    name = "queue"
    configuration: dict[str, Any]
    request: str | None = None


@dataclass(frozen=True, kw_only=True)
class SweepOver(Event):
    """The sweep ends before its trials do: a limit is reached, or a signal came.

    Attributes:
        rule: in a word.
        reason: in full.
    """

    name = "over"
    rule: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class TrialEvent(Event):
    """Something that happened to a trial.

    Attributes:
        trial: its number in the sweep, from 0.
    """

    trial: int


@dataclass(frozen=True, kw_only=True)
class TrialBegun(TrialEvent):
    """A trial begins.

    Attributes:
        configuration: its value of each parameter.
        source: who suggested it: ``START_POINT``, ``QUEUE``, ``PRIOR`` or the sampler.
    """

    name = "trial"
    configuration: dict[str, Any]
    source: str


@dataclass(frozen=True, kw_only=True)
class EpochReported(TrialEvent):
    """A trial has done an epoch; of one that is reported twice the first report counts.

    Attributes:
        epoch: from 1.
        metrics: by name (see ``epoch_metrics.METRICS``).
        node: the machine that trained it, where that is known.
        costs: of the trial's recogniser, with its first epoch (see ``objectives.COSTS``).
    """

    name = "report"
    epoch: int
    metrics: Metrics
    node: str | None = None
    costs: Metrics | None = None


@dataclass(frozen=True, kw_only=True)
class Decision(TrialEvent):
    """What was decided on a trial, and where it stood at the last rung that it had come to, if any.

    Attributes:
        reason: in full.
        rung, rank, rivals, quota, score: see ``halving.Standing``; the score is missing where it is infinite.
    """

    reason: str
    rung: int | None = None
    rank: int | None = None
    rivals: int | None = None
    quota: int | None = None
    score: float | None = None


@dataclass(frozen=True, kw_only=True)
class TrialPaused(Decision):
    """A trial waits: at a rung, or between rungs where it led."""

    name = "pause"


@dataclass(frozen=True, kw_only=True)
class TrialPromoted(Decision):
    """A trial goes on.

    Attributes:
        carried: it is the best one, and goes on because nobody else can.
        lead: it is the best one, and goes on whatever its rank at a rung.
    """

    name = "promote"
    carried: bool = False
    lead: bool = False


@dataclass(frozen=True, kw_only=True)
class TrialEnded(Decision):
    """A trial ends.

    Attributes:
        status: how.
        rule: why, in a word.
        error: of a failed one.
        faulty: it broke a rule of its own, or failed, and takes no further part.
    """

    name = "end"
    status: End
    rule: str
    error: str | None = None
    faulty: bool = False


@dataclass(frozen=True, kw_only=True)
class TrialContinued(TrialEvent):
    """A trial that was interrupted goes on."""

    name = "continue"


@dataclass(frozen=True, kw_only=True)
class TrialPinned(TrialEvent):
    """Users want a trial to train to its end, whatever rivals and rules say."""

    name = "pin"


@dataclass(frozen=True, kw_only=True)
class TrialRetried(TrialEvent):
    """The process of a trial has died, and it goes on from its checkpoint.

    Attributes:
        reason: the last that was heard of the process.
    """

    name = "retry"
    reason: str


# After these somebody is at work again: the time before them was nobody's.
ARRIVALS = (SweepBegun, SweepResumed, SweepVisited)

_KINDS: Mapping[str, type[Event]] = {
    kind.name: kind
    for kind in (
        *(Event, SweepBegun, SweepResumed, SweepVisited, SettingsChanged, ConfigurationQueued, SweepOver),
        *(TrialBegun, EpochReported, TrialPaused, TrialPromoted, TrialEnded),
        *(TrialContinued, TrialPinned, TrialRetried),
    )
}


def finite(amounts: Mapping[str, float]) -> Metrics:
    """Amounts as a record keeps them: None for what is not finite."""
    return {name: value if math.isfinite(value) else None for name, value in amounts.items()}


def parse_event(line: object) -> Event:
    """Return the event that a line of a record holds.

    Raises:
        ValueError: it is none, or a field is missing or of another type.
    """
    if not isinstance(line, dict):
        raise ValueError("not an object")
    if "event" not in line:
        raise ValueError("event is missing")
    kind = _KINDS.get(_of_type(str, "event", line["event"]), Event)
    values = {}
    for name, (check, required) in _FIELDS[kind].items():
        if name in line:
            values[name] = check(name, line[name])
        elif required:
            raise ValueError(f"{name} is missing")
    if _NO_TIMES.match(values.get("time", "")):
        values.pop("time", None)
    return kind(**values)


def write_event(append: Append, event: Event) -> Event:
    """Append an event to a record and return it as a reader will see it; ValueError if no reader would take it."""
    parse_event({"event": event.name, **event.told()})
    return parse_event(append(event.name, **event.told()))


def _checker(hint: Any) -> Callable[[str, Any], Any]:
    """What returns the value of a field of this type, given its name and value; ValueError if it is of another."""
    if isinstance(hint, UnionType):
        (kind,) = set(get_args(hint)) - {NoneType}
        check = _number if kind is float else _checker(kind)
        return lambda name, value: None if value is None else check(name, value)
    if hint == Metrics:
        return lambda name, value: {key: _number(key, each) for key, each in _of_type(dict, name, value).items()}
    if get_origin(hint) is Literal:
        return partial(_one_of, get_args(hint))
    return partial(_of_type, get_origin(hint) or hint)


def _one_of(known: Sequence[str], name: str, value: object) -> object:
    if value not in known:
        raise ValueError(f"{name}: {value!r} is none of {', '.join(known)}")
    return value


def _of_type(kind: type[Kind], name: str, value: object) -> Kind:
    if type(value) is not kind:  # which True, an int for isinstance, would pass as a number
        raise ValueError(f"{name}: {value!r} is no {kind.__name__}")
    if isinstance(value, int) and abs(value) > _MOST:
        raise ValueError(f"{name}: must not be beyond {_MOST:,}")
    return value


def _number(name: str, value: object) -> float | None:
    """A number; what is not finite is none that counts."""
    if value is None:
        return None
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise ValueError(f"{name}: {value!r} is no number")
    return value if abs(value) <= sys.float_info.max else None  # NaN is not


def _list_fields(kind: type[Event]) -> dict[str, tuple[Callable[[str, Any], Any], bool]]:
    """What checks each field of an event, and whether a line must have it."""
    hints = get_type_hints(kind)
    return {part.name: (_checker(hints[part.name]), part.default is MISSING) for part in fields(kind)}


_FIELDS = {kind: _list_fields(kind) for kind in _KINDS.values()}

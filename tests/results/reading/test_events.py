"""Each event of a record is defined once, says what its fields are, and comes back from its line as it was."""

import json
import re
from typing import Any

import pytest

from glosstune.results.reading.events import (
    FORMAT,
    ConfigurationQueued,
    EpochReported,
    Event,
    SettingsChanged,
    SweepBegun,
    SweepOver,
    SweepResumed,
    SweepVisited,
    TrialBegun,
    TrialContinued,
    TrialEnded,
    TrialPaused,
    TrialPinned,
    TrialPromoted,
    TrialRetried,
    parse_event,
    write_event,
)

STANDING: dict[str, Any] = {"rung": 1, "rank": 2, "rivals": 9, "quota": 3, "score": 0.4}
EVENTS = [
    SweepBegun(format=FORMAT, id="a1", samples=4, epochs=18, metric="wer", target=0.3, gpu=0.5, scoring="csl-daily"),
    SweepResumed(changes={"search.samples": 8}),
    SweepVisited(),
    SettingsChanged(changes={"search.samples": 8}),
    ConfigurationQueued(configuration={"dropout": 0.1}),
    SweepOver(rule="target", reason="target of 30% reached"),
    TrialBegun(trial=0, configuration={"dropout": 0.1}, source="queue"),
    EpochReported(trial=0, epoch=1, metrics={"wer": 0.9, "dev_loss": None}, node="box"),
    TrialPaused(trial=0, reason="halving: waits", **STANDING),
    TrialPromoted(trial=0, reason="pinned by the user", carried=True),
    TrialEnded(trial=0, status="failed", rule="error", reason="error", error="no disk", faulty=True),
    TrialContinued(trial=0),
    TrialPinned(trial=0),
    TrialRetried(trial=0, reason="its process died"),
]


def _append(event: str, **fields: Any) -> dict[str, Any]:
    line: dict[str, Any] = json.loads(json.dumps({"event": event, "time": "2026-11-21T22:44:49+00:00", **fields}))
    return line


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.name)
def test_an_event_is_read_as_it_was_written(event: Event) -> None:
    read = write_event(_append, event)
    assert type(read) is type(event)
    assert read.time == "2026-11-21T22:44:49+00:00"
    assert read.told() == event.told()


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.name)
def test_every_field_of_an_event_is_explained(event: Event) -> None:
    pages = [kind.__doc__ or "" for kind in type(event).__mro__[:-1]]
    missing = [name for name in vars(event) if not any(re.search(rf"^ +.*\b{name}\b.*:", page, re.M) for page in pages)]
    assert all(pages) and missing == []


def test_a_field_at_its_default_takes_no_place_in_the_line() -> None:
    assert TrialPromoted(trial=3, reason="pinned").told() == {"trial": 3, "reason": "pinned"}


def test_what_is_not_known_yet_is_an_event_all_the_same() -> None:
    assert parse_event({"event": "merge", "time": "now", "trials": [1, 2]}) == Event(time="now")


def test_what_is_not_finite_is_no_number_that_counts() -> None:
    line = _append("report", trial=0, epoch=1, metrics={"wer": float("nan"), "dev_loss": float("inf"), "epoch_s": 2})
    event = parse_event(line)
    assert isinstance(event, EpochReported)
    assert event.metrics == {"wer": None, "dev_loss": None, "epoch_s": 2}


def test_an_event_that_no_reader_would_take_is_not_written() -> None:
    written: list[str] = []
    with pytest.raises(ValueError, match="rule: 3 is no str"):
        write_event(lambda name, **fields: written.append(name) or {}, SweepOver(rule=3, reason="r"))  # type: ignore[arg-type]
    assert written == []

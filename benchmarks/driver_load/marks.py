"""Note when a driver has written each event, and what else its time goes to."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

from glosstune.search.scheduler.sampler import Sampler
from glosstune.search.storage.record import Record
from glosstune.search.tracking.display import Display
from glosstune.search.tracking.optuna_study import OptunaStudy
from glosstune.search.tracking.tensorboard_files import TensorBoardFiles

# What the driver does beside the record with a report and for a free slot; the rest is the scheduler's, with its rungs.
STEPS = {
    "suggestion": (Sampler, "suggest"),
    "study": (OptunaStudy, "show"),
    "TensorBoard": (TensorBoardFiles, "show"),
    "display": (Display, "refresh"),
}


@dataclass(frozen=True)
class Mark:
    """An event of the record, how long it took to be safe, when it was, and the driver's processor time until then."""

    event: str
    trial: int | None
    took_s: float
    at_s: float = field(default_factory=time.perf_counter)
    cpu_s: float = field(default_factory=time.process_time)


@contextmanager
def marking(
    first_end: Callable[[], None] = lambda: None, on_trial: Callable[[int], None] = lambda number: None
) -> Iterator[list[Mark]]:
    """Note when each event is recorded.

    ``first_end`` is called after the first trial ended, ``on_trial`` with the number of each that begins.
    """
    marks: list[Mark] = []
    append = Record.append

    def noting(record: Record, event: str, **fields: Any) -> dict[str, Any]:
        started = time.perf_counter()
        kept = append(record, event, **fields)
        marks.append(Mark(event, fields.get("trial"), time.perf_counter() - started))
        if event == "end" and not any(mark.event == "end" for mark in marks[:-1]):
            first_end()
        if event == "trial":
            on_trial(fields["trial"])
        return kept

    with mock.patch.object(Record, "append", noting):
        yield marks


@contextmanager
def timing() -> Iterator[Counter[str]]:
    """Seconds that the driver spends on each of ``STEPS``; none of them calls another."""
    spent: Counter[str] = Counter()

    def timed(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any, **named: Any) -> Any:
            started = time.perf_counter()
            try:
                return call(*arguments, **named)
            finally:
                spent[name] += time.perf_counter() - started

        return run

    with ExitStack() as stack:
        for name, (owner, method) in STEPS.items():
            stack.enter_context(mock.patch.object(owner, method, timed(name, getattr(owner, method))))
        yield spent


def in_step(marks: list[Mark], together: int) -> list[Mark]:
    """The reports from when every slot has reported to when a slot stays empty: start and end are not a sweep's."""
    firsts: dict[int | None, int] = {}
    for place, mark in enumerate(marks):
        if mark.event == "report":
            firsts.setdefault(mark.trial, place)
    start = sorted(firsts.values())[together - 1]
    last = max(place for place, mark in enumerate(marks) if mark.event == "trial")
    first_end = next(place for place, mark in enumerate(marks) if mark.event == "end")
    return [mark for mark in marks[start : max(last, first_end)] if mark.event == "report"]


def rate(reports: list[Mark]) -> float:
    """Reports a second."""
    return (len(reports) - 1) / (reports[-1].at_s - reports[0].at_s)

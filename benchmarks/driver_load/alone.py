"""The driver by itself as its record grows: in its loop Ray is replaced by a queue."""

import heapq
import random
import tempfile
import time
from pathlib import Path
from typing import Any
from unittest import mock

from driver_load.history import write_history
from driver_load.made_up import replayed, sweep_of
from driver_load.marks import marking, timing
from driver_load.memory import memory_mb
from driver_load.running import apart, run, show
from glosstune.results.reading.names import RECORD
from glosstune.results.reading.record import read_record
from glosstune.search import Sweep
from glosstune.search.driver import ray_tune as tuning
from glosstune.search.scheduler.scheduler import Scheduler
from glosstune.search.tracking.optuna_study import OptunaStudy


def play(scheduler: Scheduler, trainable: Any, folder: Path, watcher: tuning.Watcher) -> None:
    """Take Ray's part in a sweep as ``run_trials`` does, with trials that are there at once and never wait."""
    waiting: list[tuple[float, int]] = []  # when a trial ends its epoch, were it real
    generator, clock = random.Random(0), 0.0
    while True:
        watcher.tick()
        scheduler.judge_sweep()
        if scheduler.must_end:
            return
        while (number := scheduler.next_trial()) is not None:
            watcher.begin(number)
            heapq.heappush(waiting, (clock + generator.uniform(0.5, 1.5), number))
        if not waiting:
            return
        clock, number = heapq.heappop(waiting)
        trial = scheduler.state.trials[number]
        goes_on = scheduler.report(number, trial.epoch + 1, replayed(trial.configuration, trial.epoch + 1), "node-17")
        watcher.report(number)
        if goes_on:
            heapq.heappush(waiting, (clock + generator.uniform(0.5, 1.5), number))


def resume_s(folder: Path, sweep: Sweep) -> dict[str, float]:
    """Seconds of what a driver does before it goes on, step by step."""
    times = [time.perf_counter()]
    record = read_record(folder)
    times.append(time.perf_counter())
    scheduler = Scheduler(sweep, lambda event, **fields: {}, events=record.events)
    times.append(time.perf_counter())
    trials = scheduler.state.trials.values()
    for _ in range(2):  # made anew, then found as it has to be
        OptunaStudy(sweep, "1", folder).open(trials)
        times.append(time.perf_counter())
    names = ("read", "replay", "study made anew", "study checked")
    return {name: after - before for name, before, after in zip(names, times, times[1:], strict=False)}


def alone(trials: int, together: int, reports: int) -> dict[str, Any]:
    """A driver that goes on with a record of so many trials."""
    running = min(trials, together)
    sweep = sweep_of(trials + reports, f"resources.concurrent={running}")
    loop: dict[str, Any] = {}

    def measured(scheduler: Scheduler, trainable: Any, folder: Path, watcher: tuning.Watcher) -> None:
        before, started = len(marks), time.perf_counter()
        with timing() as spent:
            play(scheduler, trainable, folder, watcher)
        spent["record"] = sum(mark.took_s for mark in marks[before:])
        ended = time.perf_counter()
        loop.update(spent=spent, took_s=ended - started, mb=memory_mb("self", "Rss"), ended=ended)

    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        write_history(folder, sweep, trials, running)
        known = sum(len(trial.reports) for trial in read_record(folder).trials.values())
        size, resumed = (folder / RECORD).stat().st_size, resume_s(folder, sweep)
        search = sweep.search.model_copy(update={"epoch_budget": known + reports})
        with mock.patch.object(tuning, "run_trials", measured), marking() as marks:
            run(folder, sweep.model_copy(update={"search": search}))
        closed_s = time.perf_counter() - loop["ended"]
    done = [mark for mark in marks if mark.event == "report"]
    begun = sum(mark.event == "trial" for mark in marks)
    took, spent = loop["took_s"], loop["spent"]
    rest = took - sum(spent.values())
    return {
        "trials": trials,
        "together": running,
        "reports_per_s": reports / took,
        "without_suggestions_per_s": reports / (took - spent["suggestion"]),
        "cpu_ms": 1000 * (done[-1].cpu_s - done[0].cpu_s) / reports,
        "begun": begun,
        "suggestion_ms": 1000 * spent["suggestion"] / max(begun, 1),
        "step_ms": {name: 1000 * s / reports for name, s in {**spent, "rest": rest}.items() if name != "suggestion"},
        "mb": loop["mb"],
        "record_mb": size / 1e6,
        "resume_s": resumed,
        "close_s": closed_s,
    }


def measure_record(short: bool) -> list[dict[str, Any]]:
    """The driver by itself as its record grows."""
    sizes, together, reports = ((20, 40), 20, 60) if short else ((100, 1_000, 10_000), 1_000, 3_000)
    parts, seen = ["record", "study", "TensorBoard", "display", "rest"], []
    show("trials", "at a time", "reports/s", "ms of the processor", *(f"{name}, ms" for name in parts), "MB")
    for trials in sizes:
        row = apart(alone, trials, together, min(reports, 10 * trials))
        pace = f"{row['reports_per_s']:.0f} ({row['without_suggestions_per_s']:.0f} without suggestions)"
        steps = (f"{row['step_ms'].get(name, 0.0):.2f}" for name in parts)
        show(trials, row["together"], pace, f"{row['cpu_ms']:.1f}", *steps, f"{row['mb']:.0f}")
        seen.append(row)
    show("trials", "a suggestion, ms", "suggestions", "record, MB", *seen[0]["resume_s"], "at the end, s")
    for row in seen:
        times = (f"{s:.2f} s" for s in row["resume_s"].values())
        pace = (f"{row['suggestion_ms']:.0f}", row["begun"])
        show(row["trials"], *pace, f"{row['record_mb']:.1f}", *times, f"{row['close_s']:.1f}")
    return seen

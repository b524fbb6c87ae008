"""Compare searches over the recorded tasks, against the limit: python benchmarks/search_tasks.py [--short]

Every method searches the space of each task (see record_tasks.py) on workers that only pretend to train, until they
have been busy for --full-trials times as long as a full trial takes. What a configuration does there is its recorded
curve, or one that a model of the recorded curves predicts (see replay/surrogate.py); how well it does so is printed
first. Ray's and Optuna's searchers, schedulers, stoppers and pruners are the real objects.

What a method may know of other sweeps are the best configurations of the tasks on the other corpus with the same kind
of model, never of its own. Given are device-seconds to four WERs, which 40, 20, 10 and 5 % of the recorded
configurations come to, as multiples of the quickest recorded run to each: below that no search can come but by luck
with configurations that were not recorded. With several workers device-seconds are those of all together. Interquartile
means over seeds, geometric means over tasks; a search that does not get there counts with all its time, and is counted
in brackets.
"""

import argparse
import json
import warnings
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import optuna
from replay.contestants import CONTESTANTS, OURS, STOCK, with_settings
from replay.hardship import CRASH_AT, STUCK_TRIALS, count_stuck_epochs
from replay.measures import Searches, seconds_to
from replay.showing import draw, method_table, ratio_table, task_table
from replay.simulator import Clock, simulate
from replay.surrogate import held_out_correlations
from replay.tasks import SHARES, TASKS, Task, others

from glosstune.search.scheduler.experience.known import KnownSweep

# How far off the rates of a bad prior are.
WRONG = 10.0
CRASH_WORKERS = 4


class Job(NamedTuple):
    """A search to simulate; ``rates`` is what the rates of the prior are multiplied with."""

    task: str
    method: str
    workers: int
    seed: int
    full_trials: float
    nearest: bool
    crashes: bool = False
    rates: float = 1.0


_TASKS: dict[str, Task] = {}


def _begin(tasks: Sequence[Task]) -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)  # a line a trial
    warnings.simplefilter("ignore")
    _TASKS.update({task.name: task for task in tasks})


def search(job: Job) -> list[float]:
    """Simulate one search: device-seconds to each target of its task."""
    task = _TASKS[job.task]
    clock, plan = Clock(), with_settings(task.sweep, "search", samples=10**9, seed=job.seed)
    known = [_at_rates(one, job.rates) for one in others(_TASKS.values(), task)]
    method = CONTESTANTS[job.method](plan, clock, job.workers, known)
    curve = task.surrogate.nearest if job.nearest else task.surrogate.curve
    full_s = task.surrogate.full_trial_s
    run = simulate(
        method,
        curve,
        clock,
        workers=job.workers,
        limit_s=job.full_trials * full_s,
        seed=job.seed,
        crash_at_s=CRASH_AT * full_s if job.crashes else None,
    )
    return seconds_to(run, task.targets)


def _at_rates(known: KnownSweep, factor: float) -> KnownSweep:
    return replace(known, best=[{**one, "learning_rate": one["learning_rate"] * factor} for one in known.best])


class Comparison:
    """Runs searches on several processes.

    Args:
        tasks: all that are known of.
        options: of the command.

    Attributes:
        tasks: those that are searched.
    """

    def __init__(self, tasks: Sequence[Task], options: argparse.Namespace) -> None:
        self.tasks = [task for task in tasks if options.tasks is None or task.name in options.tasks]
        self._options = options
        self._done: dict[tuple[object, ...], Mapping[str, Searches]] = {}
        self._pool = ProcessPoolExecutor(
            options.processes, mp_context=get_context("spawn"), initializer=_begin, initargs=(tasks,)
        )

    def told(self, methods: Sequence[str], workers: int, **others: Any) -> Mapping[str, Mapping[str, Searches]]:
        """The searches of methods, by method and task; none is made twice."""
        keys = {name: (name, workers, *others.items()) for name in methods}
        for name, key in keys.items():
            if key not in self._done:
                self._done[key] = self._searches(name, workers, **others)
        return {name: self._done[key] for name, key in keys.items()}

    def _searches(self, name: str, workers: int, **others: Any) -> Mapping[str, Searches]:
        options = self._options
        jobs = [
            Job(task.name, name, workers, seed, options.full_trials, options.nearest, **others)
            for task in self.tasks
            for seed in range(options.first_seed, options.first_seed + options.seeds)
        ]
        found = self._pool.map(search, jobs, chunksize=4)
        told = {}
        for task in self.tasks:
            seconds = np.array([next(found) for _ in range(options.seeds)])
            full_s = options.full_trials * task.surrogate.full_trial_s
            told[task.name] = Searches(seconds, np.array(task.limits), full_s)
        return told


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=TASKS, help="of the recorded tasks")
    parser.add_argument("--tasks", nargs="+", metavar="TASK", help="default all; all others are known in any case")
    parser.add_argument("--methods", nargs="+", choices=CONTESTANTS, default=list(CONTESTANTS), metavar="METHOD")
    parser.add_argument("--seeds", type=int, default=30)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--full-trials", type=float, default=20, help="device-seconds of a search, in full trials")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--nearest", action="store_true", help="on recorded curves alone: that of the nearest one")
    parser.add_argument("--figure", type=Path, help="PNG to draw: targets reached over multiples of the limit")
    parser.add_argument("--out", type=Path, help="JSON file for all figures")
    parser.add_argument("--check-ray", action="store_true", help="only compare the simulation with a real Ray")
    parser.add_argument("--short", action="store_true", help="few seeds and trials: only shows that it runs")
    options = parser.parse_args()
    if options.short:
        options.seeds, options.workers, options.full_trials, options.processes = 2, [4], 3, 1
        options.tasks, options.methods = ["student-signers"], [STOCK, OURS]
    return options


def main() -> None:
    options = parse()
    tasks = [Task.read(path) for path in sorted(options.folder.glob("*.parquet"))]
    if options.check_ray:
        from replay.real_ray import check_ray  # needs a Ray to start

        task = next(task for task in tasks if task.sweep.teacher is None)
        check_ray(task.sweep, task.surrogate)
        return
    optuna.logging.set_verbosity(optuna.logging.ERROR)  # a line a trial
    comparison = Comparison(tasks, options)
    for task in comparison.tasks:
        _introduce(task, options.short)
    told = {}
    for workers in options.workers:
        methods = told[workers] = comparison.told(options.methods, workers)
        print(f"\n{workers} workers, {options.seeds} seeds a task\n\n{task_table(methods, SHARES)}")
        print(f"\n{method_table(methods, SHARES)}")
        if OURS in methods:
            print(f"\n{ratio_table(methods, SHARES)}", flush=True)
    if OURS in options.methods:
        _show_hardships(comparison)
    if options.figure:
        draw(told, options.figure)
    if options.out:
        rows = [
            {"workers": workers, "method": name, "task": task, "seconds": searches.seconds.tolist()}
            for workers, methods in told.items()
            for name, each in methods.items()
            for task, searches in each.items()
        ]
        options.out.write_text(json.dumps(rows).replace("Infinity", "null") + "\n", encoding="utf-8")


def _introduce(task: Task, short: bool) -> None:
    told = ", ".join(f"{wer:.1%}: {s:.0f} s" for wer, s in zip(task.targets, task.limits, strict=True))
    fit = ""
    if not short:
        correlations = held_out_correlations(task.table, [2, 6, task.sweep.training.epochs])
        fit = "; rank correlation of held-out curves at epochs " + ", ".join(
            f"{epoch}: {value:.2f}" for epoch, value in correlations.items()
        )
    count = task.table["configuration"].nunique()
    full_s = task.surrogate.full_trial_s
    print(f"{task.name}: {count} configurations, a full one {full_s:.0f} s; {told}{fit}", flush=True)


def _show_hardships(comparison: Comparison) -> None:
    """Bad priors, a driver that dies, and trials that never learn."""
    told = {
        OURS: comparison.told([OURS], 1)[OURS],
        f"rates of the prior {WRONG:g} times too high": comparison.told([OURS], 1, rates=WRONG)[OURS],
        f"rates of the prior {WRONG:g} times too low": comparison.told([OURS], 1, rates=1 / WRONG)[OURS],
        "ours, neither": comparison.told(["ours, neither"], 1)["ours, neither"],
    }
    print(f"\na bad prior, 1 worker\n\n{method_table(told, SHARES)}")
    told = {
        f"{name}, driver {state}": comparison.told([name], CRASH_WORKERS, **fate)[name]
        for name in (STOCK, OURS)
        for state, fate in (("lives", {}), ("dies", {"crashes": True}))
    }
    print(f"\ndriver killed after {CRASH_AT} full trials, {CRASH_WORKERS} workers\n\n{method_table(told, SHARES)}")
    sweep = comparison.tasks[0].sweep
    print(f"\nepochs of {STUCK_TRIALS} trials that never leave the plateau:")
    for name, count in count_stuck_epochs(sweep).items():
        print(f"- {name}: {count} of {STUCK_TRIALS * sweep.training.epochs}")


if __name__ == "__main__":
    main()

"""Compare searches over the recorded tasks, against the limit: python benchmarks/search_tasks.py [--short]

Every method searches the space of each task (see record_tasks.py) on workers that only pretend to train, as
search_efficiency.py does. What a method may know of other sweeps are the best configurations of the tasks on the other
corpus with the same kind of model, never of its own. Given are device-seconds to four WERs, which 40, 20, 10 and 5 % of
the recorded configurations come to, as multiples of the quickest recorded run to each: below that no search can come
but by luck with configurations that were not recorded. Interquartile means over seeds; a search that does not get there
counts with all its time, and is counted. Means over tasks are geometric. --nearest answers with the recorded curve that
is nearest instead of a model's.
"""

import argparse
import json
import random
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import numpy as np
import optuna
from replay.contestants import BASELINES, RANDOM, STOCK_PLATEAU, with_settings
from replay.measures import censored, cost, interquartile, measure
from replay.ours import Ours
from replay.simulator import Clock, Method, simulate
from replay.surrogate import held_out_correlations
from replay.tasks import SHARES, TASKS, Task, others

from glosstune.search.config.sweep import Sweep
from glosstune.search.scheduler.experience.known import KnownSweep
from glosstune.search.scheduler.experience.prior import Prior
from glosstune.search.scheduler.suggesting import PRIOR_DRAWS

Build = Callable[[Sweep, Clock, int, Sequence[KnownSweep]], Method]


def _stock(name: str, prior: bool, **halving: object) -> Build:
    """A baseline, which tries the first draws of ours first where it has the prior."""

    def build(sweep: Sweep, clock: Clock, workers: int, known: Sequence[KnownSweep]) -> Method:
        if prior:
            generator, drawn = random.Random(sweep.search.seed), Prior(known)
            draws = [drawn.first, *(drawn.draw for _ in range(PRIOR_DRAWS // 2 - 1))]
            points = [
                point for draw in draws for point in (draw(sweep.space, generator), sweep.space.sample(generator))
            ]
            sweep = with_settings(sweep, "search", start_points=tuple(points))
        return BASELINES[name](with_settings(sweep, "halving", **halving), clock, workers)

    return build


def _ours(prior: bool, **halving: object) -> Build:
    return lambda sweep, clock, workers, known: Ours(
        with_settings(sweep, "halving", **halving), clock, workers, known=known if prior else ()
    )


METHODS: dict[str, Build] = {
    RANDOM: _stock(RANDOM, prior=False),
    f"{RANDOM}, prior": _stock(RANDOM, prior=True),
    STOCK_PLATEAU: _stock(STOCK_PLATEAU, prior=False),
    f"{STOCK_PLATEAU}, prior": _stock(STOCK_PLATEAU, prior=True),
    f"{STOCK_PLATEAU}, prior, rung 1": _stock(STOCK_PLATEAU, prior=True, min_epochs=1),
    "ours: no prior, no lead": _ours(prior=False, lead=0.0),
    "ours: no prior": _ours(prior=False),
    "ours: no lead": _ours(prior=True, lead=0.0),
    "ours": _ours(prior=True),
}


class Job(NamedTuple):
    """A search to simulate."""

    task: str
    method: str
    workers: int
    seed: int
    full_trials: float
    nearest: bool


class Told(NamedTuple):
    """Device-seconds to each target, and which of them were not reached."""

    seconds: list[float]
    never: list[int]


_TASKS: dict[str, Task] = {}


def _begin(tasks: Sequence[Task]) -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    _TASKS.update({task.name: task for task in tasks})


def search(job: Job) -> Told:
    """Simulate one search."""
    task = _TASKS[job.task]
    clock, plan = Clock(), with_settings(task.sweep, "search", samples=10**9, seed=job.seed)
    method = METHODS[job.method](plan, clock, job.workers, others(_TASKS.values(), task))
    curve = task.surrogate.nearest if job.nearest else task.surrogate.curve
    limit_s = job.full_trials * task.surrogate.full_trial_s
    run = simulate(method, curve, clock, workers=job.workers, limit_s=limit_s, seed=job.seed)
    outcome = measure(run, curve, targets=task.targets, marks_s=[limit_s], best_wer=task.surrogate.best_wer)
    return Told(
        [cost([outcome], target, limit_s)[0] for target in task.targets],
        [censored([outcome], target) for target in task.targets],
    )


def compare(
    tasks: Sequence[Task], options: argparse.Namespace
) -> Iterator[tuple[str, str, int, list[float], list[int]]]:
    """Task, method, workers, multiples of the limit at each target, and how many seeds did not get there."""
    chosen = [task for task in tasks if options.tasks is None or task.name in options.tasks]
    groups = [(task, name, workers) for workers in options.workers for task in chosen for name in options.methods]
    jobs = [
        Job(task.name, name, workers, seed, options.full_trials, options.nearest)
        for task, name, workers in groups
        for seed in range(options.seeds)
    ]
    with ProcessPoolExecutor(
        options.processes, mp_context=get_context("spawn"), initializer=_begin, initargs=(tasks,)
    ) as pool:
        found = pool.map(search, jobs)
        for task, name, workers in groups:
            told = [next(found) for _ in range(options.seeds)]
            columns = zip(*(each.seconds for each in told), strict=True)
            multiples = [interquartile(c).mean / limit for c, limit in zip(columns, task.limits, strict=True)]
            yield task.name, name, workers, multiples, np.sum([each.never for each in told], axis=0).tolist()


def show(name: str, method: str, workers: int, multiples: Sequence[float], never: Sequence[int]) -> None:
    cells = [f"{each:.2f}" + f", {count} never" * bool(count) for each, count in zip(multiples, never, strict=True)]
    print(f"| {name} | {method} | {workers} | {' | '.join(cells)} |", flush=True)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=TASKS, help="of the recorded tasks")
    parser.add_argument("--tasks", nargs="+", metavar="TASK", help="default all; all others are known in any case")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS), metavar="METHOD")
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--full-trials", type=float, default=20, help="device-seconds of a search, in full trials")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--nearest", action="store_true", help="on recorded curves alone")
    parser.add_argument("--out", type=Path, help="JSON file for all figures")
    parser.add_argument("--short", action="store_true", help="few seeds and trials: only shows that it runs")
    options = parser.parse_args()
    if options.short:
        options.seeds, options.workers, options.full_trials, options.processes = 2, [4], 3, 1
        options.tasks, options.methods = ["student-signers"], ["ours: no prior", "ours"]
    return options


def main() -> None:
    options = parse()
    tasks = [Task.read(path) for path in sorted(options.folder.glob("*.parquet"))]
    for task in tasks:
        told = ", ".join(f"{wer:.1%}: {s:.0f} s" for wer, s in zip(task.targets, task.limits, strict=True))
        fit = ""
        if not options.short:
            epochs = [2, 6, task.sweep.training.epochs]
            fit = ", ".join(f"{e}: {r:.2f}" for e, r in held_out_correlations(task.table, epochs).items())
            fit = f"; rank correlation of held-out curves at epochs {fit}"
        count = task.table["configuration"].nunique()
        print(f"{task.name}: {count} configurations, a full one {task.surrogate.full_trial_s:.0f} s; {told}{fit}")
    heads = ["task", "method", "workers", *(f"{share:.0%}" for share in SHARES)]
    print(f"\n| {' | '.join(heads)} |\n{'|---' * len(heads)}|")
    rows = []
    for row in compare(tasks, options):
        rows.append(row)
        show(*row)
    for workers in options.workers:
        for name in options.methods:
            own = [
                (multiples, never) for _, method, count, multiples, never in rows if (method, count) == (name, workers)
            ]
            means = np.exp(np.mean(np.log([multiples for multiples, _ in own]), axis=0))
            show("all, geometric mean", name, workers, means, np.sum([never for _, never in own], axis=0))
    if options.out:
        options.out.write_text(json.dumps([list(row) for row in rows], indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

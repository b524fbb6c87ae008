"""Compare search methods over recorded learning curves: python benchmarks/search_efficiency.py [--short]

Every method searches the space of learning_curves.yaml on workers that only pretend to train, until they have been
busy for --full-trials times as long as a full trial takes. What a configuration does there is its recorded curve, or
one that a model of all recorded curves predicts (see replay/surrogate.py); how well it does so is printed first.
Ray's and Optuna's searchers, schedulers, stoppers and pruners are the real objects. --check-ray compares the
simulation with a real Ray instead.
"""

import argparse
import json
import sys
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pandas as pd
from replay.contestants import CONTESTANTS, OURS, RANDOM, STOCK, with_settings
from replay.hardship import CRASH_AT, CRASH_LIMIT, CRASH_REGRET_AT, STUCK_TRIALS, count_stuck_epochs, crash
from replay.measures import Outcome, censored, cost, epochs_to, interquartile, measure
from replay.showing import as_data, cost_table, draw, ratio_table, regret_table, with_censored
from replay.simulator import Clock, Run, simulate
from replay.surrogate import Surrogate, held_out_correlations

from glosstune.search import load_sweep
from glosstune.search.config.sweep import Sweep

HERE = Path(__file__).parent
# The sweep's own target is easy to reach in its space, which has many good configurations.
HARDER_TARGETS = (0.1, 0.05, 0.02)
SHOWN_MARKS = (2.5, 5, 10, 20, 40)
CRASH_WORKERS = 4

Job = tuple[str, int, int]  # method, workers, seed


@dataclass(frozen=True)
class Measuring:
    """What is the same for every search; ``marks_s`` are the device-seconds at which regret is taken."""

    sweep: Sweep
    surrogate: Surrogate
    targets: Sequence[float]
    marks_s: Sequence[float]

    def search(self, job: Job) -> Outcome:
        """Simulate one search."""
        name, workers, seed = job
        plan, clock = with_settings(self.sweep, "search", samples=10**9, seed=seed), Clock()
        method = CONTESTANTS[name](plan, clock, workers)
        limit_s = self.marks_s[-1]
        run = simulate(method, self.surrogate.curve, clock, workers=workers, limit_s=limit_s, seed=seed)
        return self._measure(run, self.marks_s)

    def crash(self, job: tuple[str, int, bool]) -> Outcome:
        """Simulate one search whose driver may die."""
        name, seed, dies = job
        run = crash(self.sweep, self.surrogate, name, CRASH_WORKERS, seed, dies)
        return self._measure(run, [CRASH_REGRET_AT * self.surrogate.full_trial_s])

    def _measure(self, run: Run, marks_s: Sequence[float]) -> Outcome:
        best_wer = self.surrogate.best_wer
        return measure(run, self.surrogate.curve, targets=self.targets, marks_s=marks_s, best_wer=best_wer)


def quiet() -> None:
    """Keep the libraries from printing a line a trial."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")


def mapped(function: Any, jobs: Sequence[Any], processes: int) -> Iterator[Any]:
    """Results in the order of the jobs."""
    if processes == 1:
        yield from map(function, jobs)
        return
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn"), initializer=quiet) as pool:
        yield from pool.map(function, jobs)


def compare(measuring: Measuring, options: argparse.Namespace) -> dict[tuple[str, int], list[Outcome]]:
    """The outcomes of all searches, by method and workers."""
    names = [name for name in CONTESTANTS if name not in options.skip]
    jobs = [(name, workers, seed) for workers in options.workers for name in names for seed in range(options.seeds)]
    outcomes: dict[tuple[str, int], list[Outcome]] = {}
    for (name, workers, _), outcome in zip(jobs, mapped(measuring.search, jobs, options.processes), strict=True):
        outcomes.setdefault((name, workers), []).append(outcome)
        if len(outcomes[name, workers]) == options.seeds:
            print(f"{name}, {workers} workers: done", file=sys.stderr, flush=True)
    return outcomes


def compare_crashes(measuring: Measuring, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Regret and cost of searches whose driver died, beside the same ones that were spared."""
    limit_s = CRASH_LIMIT * measuring.surrogate.full_trial_s
    rows = []
    for name in (STOCK, OURS):
        for dies in (False, True):
            jobs = [(name, seed, dies) for seed in range(options.seeds)]
            outcomes = list(mapped(measuring.crash, jobs, options.processes))
            rows.append(
                {
                    "method": name,
                    "dies": dies,
                    "regret": asdict(interquartile([outcome.regret[-1] for outcome in outcomes])),
                    "targets": {
                        f"{target:g}": asdict(interquartile(cost(outcomes, target, limit_s)))
                        | {"censored": censored(outcomes, target)}
                        for target in measuring.targets
                    },
                }
            )
    return rows


def show_crashes(rows: Sequence[dict[str, Any]]) -> None:
    targets = list(rows[0]["targets"])
    heads = [
        "method",
        "driver",
        f"regret after {CRASH_REGRET_AT} full trials",
        *(f"device-s to {float(target):.0%}" for target in targets),
    ]
    print(f"| {' | '.join(heads)} |\n{'|---' * len(heads)}|")
    for row in rows:
        cells = [row["method"], "dies" if row["dies"] else "lives"]
        cells.append("{mean:.3f} ({low:.3f} to {high:.3f})".format(**row["regret"]))
        for target in targets:
            reached = row["targets"][target]
            interval = "{mean:.0f} ({low:.0f} to {high:.0f})".format(**reached)
            cells.append(with_censored(interval, reached["censored"]))
        print(f"| {' | '.join(cells)} |")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--curves", type=Path, default=HERE / "learning_curves.parquet")
    parser.add_argument("--seeds", type=int, default=30)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--full-trials", type=float, default=30, help="device-seconds of a search, in full trials")
    optional = [name for name in CONTESTANTS if name not in (OURS, RANDOM)]
    parser.add_argument("--skip", nargs="+", default=[], choices=optional, metavar="METHOD", help="to leave out")
    parser.add_argument("--processes", type=int, default=1, help="searches to simulate at a time")
    parser.add_argument("--figure", type=Path, help="PNG to draw: regret over device-seconds")
    parser.add_argument("--out", type=Path, help="JSON file for all figures")
    parser.add_argument("--check-ray", action="store_true", help="only compare the simulation with a real Ray")
    parser.add_argument("--short", action="store_true", help="few curves, seeds and trials: only shows that it runs")
    options = parser.parse_args()
    if options.short:
        options.seeds, options.workers, options.full_trials = 2, [4], 3
    return options


def main() -> None:
    options = parse()
    quiet()
    sweep = load_sweep(HERE / "learning_curves.yaml")
    table = pd.read_parquet(options.curves)
    if options.short:
        table = table[table["configuration"] < 40]  # a model of all takes seconds to fit, six times over
    surrogate = Surrogate(table)
    if options.check_ray:
        from replay.real_ray import check_ray  # needs a Ray to start

        check_ray(sweep, surrogate)
        return

    reach = table.groupby("configuration")["wer"].min() < sweep.search.target
    print(f"{len(reach)} recorded curves, {reach.sum()} below {sweep.search.target:.0%}; best {surrogate.best_wer:.1%}")
    correlations = held_out_correlations(table, surrogate_epochs(sweep))
    told = ", ".join(f"epoch {epoch} {value:.2f}" for epoch, value in correlations.items())
    print(f"rank correlation of predicted with held-out curves: {told}\n")

    shown = [trials for trials in SHOWN_MARKS if trials < options.full_trials] + [options.full_trials]
    marks = sorted({*shown, *np.geomspace(0.1, options.full_trials, 40).round(3)})
    targets = [sweep.search.target, *HARDER_TARGETS]
    measuring = Measuring(sweep, surrogate, targets, [trials * surrogate.full_trial_s for trials in marks])
    limit_s = measuring.marks_s[-1]
    outcomes = compare(measuring, options)
    print(f"{options.seeds} seeds, {limit_s:.0f} device-seconds each ({options.full_trials:g} full trials)\n")
    print(cost_table(outcomes, targets, "device-s", partial(cost, limit_s=limit_s)), "\n")
    print(cost_table(outcomes, targets, "epochs", epochs_to), "\n")
    print(regret_table(outcomes, {trials: marks.index(trials) for trials in shown}, targets[0]), "\n")

    stuck = count_stuck_epochs(sweep)
    print(f"epochs of {STUCK_TRIALS} trials that never leave the plateau:")
    for name, count in stuck.items():
        print(f"- {name}: {count} of {STUCK_TRIALS * sweep.training.epochs}")
    print(f"\n{CRASH_WORKERS} workers, driver killed after the device-seconds of {CRASH_AT} full trials:\n")
    crashes = compare_crashes(measuring, options)
    show_crashes(crashes)
    print(f"\nratios of device-seconds, ours below 1 is better:\n\n{ratio_table(outcomes, targets, limit_s)}")
    if options.figure:
        draw(outcomes, measuring.marks_s, options.figure)
    if options.out:
        data = {
            "curves": len(reach),
            "seeds": options.seeds,
            "full_trial_s": surrogate.full_trial_s,
            "limit_s": limit_s,
            "rank_correlation": correlations,
            "marks_s": measuring.marks_s,
            "methods": as_data(outcomes, targets, limit_s),
            "stuck_epochs": stuck,
            "crash": crashes,
        }
        options.out.write_text(json.dumps(data, indent=1))


def surrogate_epochs(sweep: Sweep) -> list[int]:
    """The rungs of the sweep and its last epoch: where trials are compared."""
    halving = sweep.halving
    rungs = [halving.min_epochs]
    while rungs[-1] * halving.reduction < sweep.training.epochs:
        rungs.append(rungs[-1] * halving.reduction)
    return [*rungs, sweep.training.epochs]


if __name__ == "__main__":
    main()

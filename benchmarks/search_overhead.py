"""What the search costs beside Ray's stock pair: python benchmarks/search_overhead.py [--short] [--json FILE]

Trials that do nothing run on Ray with glosstune's stack (record, rungs, study, TensorBoard) and with OptunaSearch and
ASHA, in turn, one trial at a time. From runs of one and of many epochs a trial follow seconds a trial and
milliseconds a report. Then the time of one TPE suggestion after 100, 1,000 and 10,000 finished trials, beside Optuna
alone on the same trials.
"""

import argparse
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("RAY_AUTH_MODE", "disabled")  # a cluster of this machine alone
os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")

import optuna
import ray
from ray import tune
from ray.tune.schedulers import AsyncHyperBandScheduler
from ray.tune.search.optuna import OptunaSearch
from rich.console import Console
from suite import Ratio, write_ratios

from glosstune.results.reading.epoch_metrics import METRICS
from glosstune.results.reading.events import FORMAT, SweepBegun, write_event
from glosstune.search import Sweep, load_sweep
from glosstune.search.driver.driving import drive
from glosstune.search.scheduler.sampler import Sampler, freeze
from glosstune.search.scheduler.trial import TrialState
from glosstune.search.storage.sweep_folder import SweepFolder, write_sweep

SPACE = "{learning_rate: {float: [1e-5, 1e-1], log: true}, dropout: {float: [0, 0.5]}, warmup_epochs: {int: [0, 1]}}"


class Idle(tune.Trainable):
    """A trial whose epochs take no time."""

    def setup(self, config: dict[str, Any]) -> None:
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self.epoch = new_config.get("from_epoch", 0)
        return True

    def step(self) -> dict[str, float]:
        self.epoch += 1
        return {**dict.fromkeys(METRICS, 0.5), "epoch": self.epoch}

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        pass


def sweep_of(samples: int, epochs: int) -> Sweep:
    """Trials that all train to their end."""
    sizes = [f"search.samples={samples}", f"training.epochs={epochs}", "halving.kind=none"]
    return load_sweep("student", [f"space={SPACE}", "search.start_points=[]", "resources.concurrent=1", *sizes])


def run_ours(folder: Path, samples: int, epochs: int) -> None:
    """The whole stack of a sweep, without its display."""
    sweep = sweep_of(samples, epochs)
    work = SweepFolder(folder)
    write_sweep(sweep, work)
    begun = SweepBegun(format=FORMAT, id="1", samples=samples, epochs=epochs, metric="wer", target=0.3)
    with (folder / "log").open("w") as log:
        events = [write_event(work.record.append, begun)]
        drive(sweep, work, events, Console(file=log), lambda line: None, trainable=Idle)


def run_stock(folder: Path, samples: int, epochs: int) -> None:
    """OptunaSearch and ASHA as Ray documents them."""
    space = {
        "learning_rate": tune.loguniform(1e-5, 1e-1),
        "dropout": tune.uniform(0, 0.5),
        "warmup_epochs": tune.randint(0, 2),
    }
    scheduler = AsyncHyperBandScheduler(max_t=epochs, grace_period=epochs)
    tune.Tuner(
        Idle,
        param_space=space,
        tune_config=tune.TuneConfig(
            metric="wer",
            mode="min",
            num_samples=samples,
            search_alg=OptunaSearch(seed=0),
            scheduler=scheduler,
            max_concurrent_trials=1,
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(storage_path=str(folder), verbose=0, stop={"training_iteration": epochs}),
    ).fit()


def measure(run: Callable[[Path, int, int], None], trials: int, epochs: int) -> tuple[float, float]:
    """Seconds a trial of one epoch, and seconds that each further report of a trial adds."""
    times = []
    for length in (1, epochs):
        with tempfile.TemporaryDirectory() as folder:
            started = time.perf_counter()
            run(Path(folder), trials, length)
            times.append(time.perf_counter() - started)
    return times[0] / trials, (times[1] - times[0]) / (trials * (epochs - 1))


def suggestion_s(finished: int, repeats: int) -> tuple[float, float, float]:
    """Seconds of a suggestion: ours when the trials are new to it, ours otherwise, and Optuna's own."""
    space = sweep_of(1, 18).space
    generator = random.Random(0)
    trials = [
        TrialState(number, space.sample(generator), "tpe", score=generator.random(), status="finished")
        for number in range(finished)
    ]
    sampler = Sampler(space, "tpe", 0)
    started = time.perf_counter()
    sampler.suggest(finished, trials)
    first = time.perf_counter() - started
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=0))
    study.add_trials([freeze(trial, space, trial.number) for trial in trials])
    ours, alone = [], []
    for repeat in range(repeats):
        started = time.perf_counter()
        sampler.suggest(finished + 1 + repeat, trials)
        ours.append(time.perf_counter() - started)
        started = time.perf_counter()
        asked = study.ask()
        asked.suggest_float("dropout", 0.0, 0.5)
        asked.suggest_float("learning_rate", 1e-5, 1e-1, log=True)
        asked.suggest_int("warmup_epochs", 0, 1)
        alone.append(time.perf_counter() - started)
    return first, statistics.median(ours), statistics.median(alone)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--short", action="store_true", help="only shows that it runs")
    parser.add_argument("--json", type=Path, help="file for the ratios of trials and reports")
    arguments = parser.parse_args()
    if arguments.short:
        arguments.rounds, arguments.trials, arguments.epochs = 1, 2, 2
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    if not arguments.short:
        with tempfile.TemporaryDirectory() as folder:
            run_ours(Path(folder), 1, 1)  # the first actor of a cluster takes seconds
    costs: dict[str, list[tuple[float, float]]] = {"glosstune": [], "stock": []}
    for _ in range(arguments.rounds):
        costs["glosstune"].append(measure(run_ours, arguments.trials, arguments.epochs))
        costs["stock"].append(measure(run_stock, arguments.trials, arguments.epochs))
    (our_trial, our_report), (their_trial, their_report) = (zip(*measured, strict=True) for measured in costs.values())
    ratios = [
        Ratio(
            "a trial of one idle epoch against OptunaSearch with ASHA", "s", our_trial, their_trial, "measured <= 0.2"
        ),
        Ratio("each further report of a trial against OptunaSearch with ASHA", "s", our_report, their_report),
    ]
    write_ratios(arguments.json, ratios)
    print("| finished trials | first suggestion | each further | Optuna alone | ratio |")
    print("|---|---|---|---|---|")
    for finished in (100,) if arguments.short else (100, 1_000, 10_000):
        first, ours, alone = (1000 * s for s in suggestion_s(finished, 1 if arguments.short else 5))
        print(f"| {finished:,} | {first:.0f} ms | {ours:.0f} ms | {alone:.0f} ms | {ours / alone:.2f} |")


if __name__ == "__main__":
    main()

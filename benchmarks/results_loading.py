"""How long results take to load and to show: python benchmarks/results_loading.py [--short] [--json FILE]

A Ray Tune experiment of trials that do nothing is run once; the same epochs are written as the record of a sweep. Then
Ray's ExperimentAnalysis, load_results on Ray's folder and load_results on the record read them in turn, to frames of
trials and epochs; then a report is written from the record.
"""

import argparse
import json
import os
import random
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("RAY_AUTH_MODE", "disabled")  # a cluster of this machine alone
os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")

import pandas as pd
import ray
from ray import tune
from ray.tune import ExperimentAnalysis
from suite import Ratio, write_ratios

from glosstune.results import load_results, write_report
from glosstune.results.reading.epoch_metrics import METRICS
from glosstune.results.reading.events import FORMAT, SweepBegun


class Idle(tune.Trainable):
    """A trial whose epochs take no time."""

    def setup(self, config: dict[str, Any]) -> None:
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self.epoch, self.random = 0, random.Random(new_config["learning_rate"])
        return True

    def step(self) -> dict[str, float]:
        self.epoch += 1
        return {name: self.random.random() for name in METRICS}

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        pass


def run_experiment(folder: Path, trials: int, epochs: int) -> Path:
    """The folder of a Ray Tune experiment."""
    tune.Tuner(
        Idle,
        param_space={"learning_rate": tune.loguniform(1e-5, 1e-1), "dropout": tune.uniform(0, 0.5)},
        tune_config=tune.TuneConfig(num_samples=trials, max_concurrent_trials=2, reuse_actors=True),
        run_config=tune.RunConfig(name="ray", storage_path=str(folder), verbose=0, stop={"training_iteration": epochs}),
    ).fit()
    return folder / "ray"


def write_record(folder: Path, experiment: Path, epochs: int) -> None:
    """The same epochs as a sweep writes them."""
    results = load_results(experiment)
    begun = SweepBegun(format=FORMAT, id="1", samples=0, epochs=epochs, metric="wer", target=0.3)
    lines: list[dict[str, Any]] = [{"event": "sweep", "time": "2026-01-01T00:00:00+00:00", **begun.told()}]
    metrics = list(METRICS)
    for number in results.trials["trial"]:
        lines.append({"event": "trial", "trial": number, "configuration": results.configuration(number)})
        lines[-1]["source"] = "tpe"
    for row in results.epochs.to_dict("records"):
        told = {name: row[name] for name in metrics}
        lines.append({"event": "report", "time": row["time"].isoformat(), "trial": row["trial"], "epoch": row["epoch"]})
        lines[-1]["metrics"] = told
    folder.mkdir()
    (folder / "record.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def by_ray(folder: Path) -> int:
    """Rows of all trials, as Ray's reader gives them."""
    analysis = ExperimentAnalysis(str(folder))
    analysis.dataframe()
    return len(pd.concat(analysis.trial_dataframes.values()))


def by_us(folder: Path) -> int:
    """The same from ``load_results``, with trials and all else that it gives."""
    return len(load_results(folder).epochs)


def report(folder: Path) -> int:
    """Rows of a sweep that is loaded and written as a page."""
    results = load_results(folder)
    write_report(results, folder / "report.html")
    return len(results.epochs)


def seconds(read: Callable[[Path], int], folder: Path, rows: int) -> float:
    started = time.perf_counter()
    assert read(folder) == rows
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--epochs", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--short", action="store_true", help="only shows that it runs")
    parser.add_argument("--json", type=Path, help="file for the ratios")
    arguments = parser.parse_args()
    if arguments.short:
        arguments.trials, arguments.epochs, arguments.rounds = 3, 2, 1
    warnings.simplefilter("ignore")  # of Ray, about its own interfaces
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    with tempfile.TemporaryDirectory() as name:
        experiment, sweep = run_experiment(Path(name), arguments.trials, arguments.epochs), Path(name) / "sweep"
        ray.shutdown()
        write_record(sweep, experiment, arguments.epochs)
        rows = arguments.trials * arguments.epochs
        readers = {
            "Ray's ExperimentAnalysis": (by_ray, experiment),
            "load_results, Ray's folder": (by_us, experiment),
            "load_results, a sweep": (by_us, sweep),
            "load_results and write_report, a sweep": (report, sweep),
        }
        times: dict[str, list[float]] = {label: [] for label in readers}
        for _ in range(arguments.rounds):
            for label, (read, folder) in readers.items():
                times[label].append(seconds(read, folder, rows))
    stock, first, *others = times.items()
    print(f"{arguments.trials} trials of {arguments.epochs} epochs")
    ratios = [Ratio(f"{label} against {stock[0]}", "s", taken, stock[1]) for label, taken in (first, *others)]
    write_ratios(arguments.json, ratios)


if __name__ == "__main__":
    main()

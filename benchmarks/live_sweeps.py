"""Check the replay with sweeps that train: python benchmarks/live_sweeps.py --work FOLDER [--short]

Sweeps of the task student-signers run on two processors, this project's and Ray's OptunaSearch with ASHA in turn under
the same seeds, each until a trial is below --target or --full-trials times the epochs of a full trial are used. Neither
knows of other sweeps, for the packaged ones are of this task too. A sweep that is done is kept in --work, so the
command goes on where it was stopped. Beside them stands what search_tasks.py's simulation says of the same seeds.
"""

import argparse
import json
import math
import os
import statistics
import tempfile
import zlib
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("RAY_AUTH_MODE", "disabled")  # a cluster of this machine alone
os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")

import ray
from ray import tune
from record_tasks import SHORT
from replay.contestants import CONTESTANTS, OURS, STOCK, with_settings
from replay.simulator import Clock, simulate
from replay.stock import Stock
from replay.surrogate import Surrogate
from replay.tasks import TASKS, Task
from rich.console import Console

from glosstune.results.reading.events import EpochReported, TrialBegun
from glosstune.results.reading.record import read_record
from glosstune.search import load_sweep
from glosstune.search.config.sweep import Sweep
from glosstune.search.driver.launching import launch
from glosstune.search.driver.weights import with_weights
from glosstune.spaces.files.atomic import write_whole
from glosstune.trainables.corpora import pack_corpus
from glosstune.trainables.trainable import CTCTrainable, TrialContext, in_sweep

TASK = "student-signers"
WORKERS = 2

Epochs = Sequence[dict[str, Any]]  # trial, wer, epoch_s and time, in the order in which they were reported


class StockTrial(CTCTrainable):
    """A trial of Ray's own search, which knows it by its configuration only."""

    def setup(self, config: Any, context: TrialContext | None = None, sweep: Sweep | None = None) -> None:
        self._sweep = sweep
        super().setup(config, context)

    def _begin(self, config: Any) -> None:
        drawn = config["configuration"]
        number = zlib.crc32(json.dumps(drawn, sort_keys=True).encode())
        settings = self._sweep.settings_of(drawn).model_dump(mode="json")
        super()._begin({"trial": number, "from_epoch": 0, "settings": settings})

    def step(self) -> dict[str, Any]:
        metrics = super().step()
        if "failure" in metrics:
            raise RuntimeError(metrics["failure"])
        return metrics


class Ending(tune.Callback, tune.Stopper):
    """Notes what trials report, and ends the search at the target or the limit."""

    def __init__(self, target: float, limit: int) -> None:
        self.target, self.limit = target, limit
        self.epochs: list[dict[str, Any]] = []

    def on_trial_result(self, iteration: int, trials: list[Any], trial: Any, result: Any, **info: Any) -> None:
        told = {"trial": trial.trial_id, "wer": result["wer"], "epoch_s": result["epoch_s"]}
        self.epochs.append({**told, "time": datetime.now().timestamp()})

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        return len(self.epochs) >= self.limit or any(epoch["wer"] < self.target for epoch in self.epochs)


def run_ours(sweep: Sweep, folder: Path) -> tuple[float, Epochs]:
    """When the first trial began, and the epochs."""
    with (folder / "log").open("w") as log:
        launch(sweep, folder / "sweep", console=Console(file=log))
    events = read_record(folder / "sweep").events
    begun = next(event.time for event in events if isinstance(event, TrialBegun))
    reports = [
        {
            "trial": event.trial,
            "wer": event.metrics["wer"],
            "epoch_s": event.metrics["epoch_s"],
            "time": datetime.fromisoformat(event.time).timestamp(),
        }
        for event in events
        if isinstance(event, EpochReported)
    ]
    return datetime.fromisoformat(begun).timestamp(), reports


def run_stock(sweep: Sweep, folder: Path) -> tuple[float, Epochs]:
    """The same for Ray's own pair, whose trials train by the same code."""
    stock = Stock(sweep)
    ending = Ending(sweep.search.target, sweep.search.epoch_budget or 0)
    context = TrialContext(str(folder), threads=1)
    begun = datetime.now().timestamp()
    tune.Tuner(
        tune.with_resources(in_sweep(StockTrial, context, sweep=sweep), {"cpu": 1}),
        tune_config=tune.TuneConfig(
            num_samples=sweep.search.samples,
            max_concurrent_trials=WORKERS,
            search_alg=stock.search,
            scheduler=stock.scheduler,
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(name="ray", storage_path=str(folder), verbose=0, callbacks=[ending], stop=ending),
    ).fit()
    return begun, ending.epochs


def measure(sweep: Sweep, begun: float, epochs: Epochs) -> dict[str, Any]:
    """Device-seconds (all epochs of all trials together), seconds of the clock and epochs until the target."""
    used = 0.0
    for count, epoch in enumerate(epochs, start=1):
        used += epoch["epoch_s"]
        if epoch["wer"] is not None and epoch["wer"] < sweep.search.target:
            return {"reached": True, "device_s": used, "wall_s": epoch["time"] - begun, "epochs": count}
    return {"reached": False, "device_s": used, "wall_s": epochs[-1]["time"] - begun, "epochs": len(epochs)}


def replayed_s(sweep: Sweep, surrogate: Surrogate, name: str) -> float:
    """Device-seconds to the target in the simulation, or of all its epochs."""
    clock = Clock()
    method = CONTESTANTS[name](sweep, clock, WORKERS, ())
    search = sweep.search
    run = simulate(method, surrogate.curve, clock, workers=WORKERS, limit_s=math.inf, seed=search.seed)
    within = run.epochs[: search.epoch_budget]
    return next((epoch.device_s for epoch in within if epoch.wer < search.target), within[-1].device_s)


def show(rows: Sequence[dict[str, Any]]) -> None:
    """Print a row a sweep and the medians; a sweep that did not reach the target counts with all that it used."""
    heads = ["method", "seed", "device-s", "wall s", "epochs", "reached", "device-s in the replay"]
    print(f"| {' | '.join(heads)} |\n{'|---' * len(heads)}|")
    for row in rows:
        cells = [row["method"], row["seed"], f"{row['device_s']:.0f}", f"{row['wall_s']:.0f}", row["epochs"]]
        cells += ["yes" if row["reached"] else "no", f"{row['replay_s']:.0f}"]
        print(f"| {' | '.join(str(cell) for cell in cells)} |")
    for key in ("device_s", "wall_s", "replay_s"):
        ours, stock = (statistics.median(row[key] for row in rows if row["method"] == name) for name in (OURS, STOCK))
        print(f"median {key}: ours {ours:.0f}, Ray's {stock:.0f}, ratio {ours / stock:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "glosstune-live")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--target", type=float, default=0.05, help="WER, a fraction")
    parser.add_argument("--full-trials", type=int, default=6, help="limit of a sweep")
    parser.add_argument("--short", action="store_true", help="tiny sweeps: only shows that it runs")
    options = parser.parse_args()
    if options.short:
        options.work, options.seeds, options.full_trials = Path(tempfile.mkdtemp()), 1, 1
    sweep = load_sweep(TASKS / f"{TASK}.yaml", ["search.prior=none", *(SHORT if options.short else ())])
    epochs = options.full_trials * sweep.training.epochs
    limits = {"target": options.target, "stop_at_target": True, "epoch_budget": epochs}
    sweep = with_settings(with_settings(sweep, "search", **limits), "resources", concurrent=WORKERS)
    sweep = with_weights(sweep, pack_corpus(sweep.corpus), partial(print, flush=True))
    surrogate = Task.read(TASKS / f"{TASK}.parquet").surrogate
    ray.init(num_cpus=WORKERS, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    rows = []
    for seed in range(options.seeds):
        plan = with_settings(sweep, "search", seed=seed)
        for name, run in ((OURS, run_ours), (STOCK, run_stock)):
            folder = options.work / f"{run.__name__}-{seed}"
            path = folder.with_suffix(".json")
            if not path.exists():
                folder.mkdir(parents=True)
                row = {"method": name, "seed": seed, **measure(plan, *run(plan, folder))}
                write_whole(path, lambda partial, row=row: partial.write_text(json.dumps(row)))
            rows.append(json.loads(path.read_text()) | {"replay_s": replayed_s(plan, surrogate, name)})
            print(f"{name}, seed {seed}: {rows[-1]}", flush=True)
    show(rows)


if __name__ == "__main__":
    main()

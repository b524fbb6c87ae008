"""Record the learning curves that search_efficiency.py replays: python benchmarks/learning_curves.py [--short]

Draws configurations at random from the space of learning_curves.yaml and trains each, without Ray, to its last
epoch on one thread, two at a time. A configuration that is done is kept in --work, so the command goes on where it
was stopped; when all are there they become one parquet file. ``cpu_s`` is processor time, which other load on the
machine disturbs less than it does the clock.
"""

import argparse
import json
import multiprocessing
import random
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from glosstune.search import load_sweep
from glosstune.search.config.sweep import Sweep
from glosstune.search.driver.weights import with_weights
from glosstune.spaces.files.atomic import write_whole
from glosstune.trainables import TrainingSession
from glosstune.trainables.corpora import pack_corpus

HERE = Path(__file__).parent
SHORT = (
    "corpus.sentences=24",
    "corpus.signers=[ase, gsg]",
    "model.width=0.25",
    "training.epochs=3",
    "pretraining.steps=9",
)
KEPT = [
    "epoch",
    "wer",
    "train_loss",
    "dev_loss",
    "loss_below_floor",
    "loss_below_floor_se",
    "blank_ratio",
    "grad_norm",
    "trainable_params",
    "nonfinite_steps",
]


def train(sweep: Sweep, number: int, configuration: dict[str, Any], path: Path) -> int:
    """Train one configuration to its end and keep its curve."""
    torch.set_num_threads(1)
    session = TrainingSession(sweep.trial_settings(configuration), pack_corpus(sweep.corpus))
    rows = []
    for _ in range(sweep.training.epochs):
        started = time.process_time()
        metrics = session.run_epoch()
        rows.append({**{name: metrics[name] for name in KEPT}, "cpu_s": time.process_time() - started})
    text = json.dumps({"configuration": configuration, "epochs": rows})
    write_whole(path, lambda partial: partial.write_text(text))
    return number


def read_curves(paths: list[Path]) -> pd.DataFrame:
    """A row an epoch: the number of the configuration, its parameters, and what was recorded."""
    frames = []
    for number, path in enumerate(paths):
        curve = json.loads(path.read_text())
        parameters = pd.DataFrame([curve["configuration"]] * len(curve["epochs"]))
        frames.append(pd.concat([parameters, pd.DataFrame(curve["epochs"])], axis=1).assign(configuration=number))
    table = pd.concat(frames, ignore_index=True)
    return table[["configuration", *(name for name in table.columns if name != "configuration")]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=HERE / "learning_curves.parquet")
    parser.add_argument("--work", type=Path, help="folder of finished curves; default beside --out")
    parser.add_argument("--configurations", type=int, default=100)
    parser.add_argument("--short", action="store_true", help="two tiny configurations: only shows that it runs")
    arguments = parser.parse_args()
    if arguments.short:
        arguments.configurations, arguments.out = 2, Path(tempfile.mkdtemp()) / "curves.parquet"
    work = arguments.work or arguments.out.with_suffix("")
    sweep = load_sweep(HERE / "learning_curves.yaml", SHORT if arguments.short else ())
    sweep = with_weights(sweep, pack_corpus(sweep.corpus), print)
    generator = random.Random(sweep.search.seed)
    configurations = [sweep.space.sample(generator) for _ in range(arguments.configurations)]
    paths = [work / f"{number:04d}.json" for number in range(len(configurations))]
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        jobs = [
            pool.submit(train, sweep, number, configuration, paths[number])
            for number, configuration in enumerate(configurations)
            if not paths[number].exists()
        ]
        for done, job in enumerate(jobs, start=1):
            print(f"{done} of {len(jobs)}: configuration {job.result()}", flush=True)
    table = read_curves(paths)
    write_whole(arguments.out, lambda partial: table.to_parquet(partial, index=False))
    reached = table.groupby("configuration")["wer"].min() < sweep.search.target
    print(f"{arguments.out}: {len(paths)} curves, {reached.sum()} reach {sweep.search.target:.0%}")


if __name__ == "__main__":
    main()

"""Compare fronts of WER and size: python benchmarks/tradeoffs.py --work FOLDER [--short]

Sweeps that train the student from scratch on a part of the embedded corpus run on two processors over width, rate,
warm-up and dropout, in turn with objectives [wer, parameters] and with WER alone (TPE as it searches by itself, its
best trial leading), under the same seeds and for the same number of epochs of all trials together. What counts is the
hypervolume of WER and the logarithm of parameters that the trials of each dominate, up to a WER of 1 and the size of
the widest network; 1 is a network as small as the narrowest that makes no error. A sweep that is done is kept in
--work, so the command goes on where it was stopped.
"""

import argparse
import io
import math
import os
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path

os.environ.setdefault("RAY_AUTH_MODE", "disabled")  # a cluster of this machine alone
os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")

import numpy as np
import ray
from rich.console import Console

from glosstune.models import build_model
from glosstune.results import Results, load_results, trace_incumbent
from glosstune.results.reading.objectives import hypervolume
from glosstune.search import Sweep, load_sweep
from glosstune.search.driver.launching import launch
from glosstune.trainables.corpora import pack_corpus

WORKERS = 2
NARROWEST, WIDEST = 0.1, 1.0
EPOCHS, SHORT_EPOCHS = 220, 6
CONTESTANTS = {"WER and parameters": "[wer,parameters]", "WER alone": "[wer]"}
# Words of three signers, so that an epoch of a network of middle width takes about two seconds of a processor.
PLAN = (
    "corpus.signers=[ase,gsg,bzs]",
    "corpus.sentences=240",
    "training.batch_size=8",
    "training.epochs=14",
    "space.width={float: [0.1, 1], log: true}",
    "space.learning_rate={float: [5e-4, 2e-2], log: true}",
    "search.samples=1000",
    "search.prior=none",  # the packaged sweeps are of this corpus
    "search.start_points=[]",
    "search.time_budget_min=null",
    "halving.min_epochs=4",
    "halving.reduction=2",
    f"resources.concurrent={WORKERS}",
)
SHORT = ("corpus.sentences=24", "training.epochs=4", "halving.min_epochs=1", "space.width.float=[0.1,0.3]")


def plan(objectives: str, seed: int, epochs: int, short: bool) -> Sweep:
    """The sweep of a contestant."""
    own = (f"search.objectives={objectives}", f"search.seed={seed}", f"search.epoch_budget={epochs}")
    return load_sweep("student", [*PLAN, *(SHORT if short else ()), *own])


def size_of(width: float, vocabulary_size: int) -> int:
    """Parameters of the student."""
    model = build_model("student", vocabulary_size, width=width)
    return sum(parameter.numel() for parameter in model.parameters())


def volume(results: Results, smallest: int, largest: int, epochs: int) -> float:
    """Of the trials of a sweep after so many epochs of all together, from 0 to 1."""
    within = trace_incumbent(results).head(epochs).groupby("trial")["value"].min()
    sizes = results.trials.set_index("trial")["parameters"].reindex(within.index).astype("float64")
    known = within.notna() & sizes.notna()
    span = math.log10(largest / smallest)
    costs = np.log10(sizes[known] / smallest) / span
    # The widest network stands at the reference, where it would add nothing: a hair beyond.
    return hypervolume(np.column_stack([within[known], costs]), (1.0, 1.0 + 1e-6))


def measure(work: Path, seeds: Sequence[int], epochs: int, short: bool) -> list[dict[str, float]]:
    """The volumes of each contestant for each seed, after half and all of the epochs."""
    rows = []
    glosses = len(pack_corpus(plan("[wer]", 0, epochs, short).corpus).vocabulary)
    sizes = [size_of(width, glosses) for width in (NARROWEST, WIDEST)]
    for seed in seeds:
        row: dict[str, float] = {"seed": seed}
        for name, objectives in CONTESTANTS.items():
            folder, done = work / f"{name.replace(' ', '-')}-{seed}", work / f"{name.replace(' ', '-')}-{seed}.done"
            if not done.exists():
                if folder.exists():
                    raise SystemExit(f"{folder}: was not finished; remove it")
                launch(plan(objectives, seed, epochs, short), folder, console=Console(file=io.StringIO()))
                done.touch()
            results = load_results(folder)
            for share in (2, 1):
                row[f"{name}, {epochs // share}"] = volume(results, *sizes, epochs // share)
            print(f"seed {seed}, {name}: {len(results.trials)} trials, front of {len(results.front)}", flush=True)
        rows.append(row)
    return rows


def show(rows: Sequence[dict[str, float]], epochs: int) -> None:
    """Print a row a seed, the means, and in how many seeds the search over both is ahead."""
    heads = [head for head in rows[0] if head != "seed"]
    print(f"\n| seed | {' | '.join(heads)} |\n|---{'|---' * len(heads)}|")
    for row in rows:
        print(f"| {row['seed']} | {' | '.join(f'{row[head]:.3f}' for head in heads)} |")
    print(f"| mean | {' | '.join(f'{statistics.mean(row[head] for row in rows):.3f}' for head in heads)} |")
    both, alone = (f"{name}, {epochs}" for name in CONTESTANTS)
    ahead = sum(row[both] > row[alone] for row in rows)
    print(f"\nahead with both objectives, after {epochs} epochs: {ahead} of {len(rows)} seeds")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "glosstune-tradeoffs")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=EPOCHS, help="of all trials of a sweep together")
    parser.add_argument("--short", action="store_true", help="tiny sweeps: only shows that it runs")
    options = parser.parse_args()
    if options.short:
        options.work, options.seeds, options.epochs = Path(tempfile.mkdtemp()), 1, SHORT_EPOCHS
    options.work.mkdir(parents=True, exist_ok=True)
    ray.init(num_cpus=WORKERS, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    show(measure(options.work, range(options.seeds), options.epochs, options.short), options.epochs)


if __name__ == "__main__":
    main()

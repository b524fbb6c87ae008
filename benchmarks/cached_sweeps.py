"""Whole sweeps with and without the activation cache: python benchmarks/cached_sweeps.py [--short] [--json FILE]

Sweeps of the packaged teacher.yaml, on a Ray that runs, on two processors, over its own space and over the
strategies of it that keep layers frozen. So that both train the same trials for the same epochs, configurations are
drawn at random, and nothing stops a trial. Each sweep with the cache begins with an empty one. Seconds are those of
``launch``.
"""

import argparse
import os
import shutil
import tempfile
import time
from functools import partial
from pathlib import Path

os.environ.setdefault("RAY_AUTH_MODE", "disabled")  # a cluster of this machine alone
os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")

import ray
from rich.console import Console
from suite import Ratio, write_ratios

from glosstune.search import Sweep, launch, load_sweep, with_weights
from glosstune.trainables.corpora import pack_corpus

WORKERS = 2
FIXED = [
    "search={sampler: random, start_points: []}",
    "halving.kind=none",
    "stopping={stuck_wer: null, blank_ratio: null}",
]
# What teacher.yaml has for them.
FROZEN = """{
    strategy: {choice: [feature-extraction, fine-tune]},
    freeze_until: [
        {choice: [mixed_5c, lstm], when: {strategy: feature-extraction}},
        {choice: [mixed_3b, mixed_4b, mixed_4f, mixed_5b], when: {strategy: fine-tune}},
    ],
    learning_rate: {float: [3e-4, 3e-3], log: true},
    warmup_epochs: {int: [0, 2]},
    dropout: {float: [0.0, 0.5]},
}"""
SPACES = {
    "the default space": ([], ""),
    "strategies that keep layers frozen": ([f"space={FROZEN}"], "ratio >= 1.4"),
}
SHORT = ["model.width=0.25", "corpus.sentences=24", "corpus.signers=[ase, gsg, psr]", "pretraining.steps=20"]


def sweep_of(overrides: list[str], cache: Path, *, short: bool) -> Sweep:
    """A sweep that trains six trials for eight epochs each, whose corpus and weights are there."""
    size = [*SHORT, "training.epochs=2", "search.samples=2"] if short else ["training.epochs=8", "search.samples=6"]
    sweep = load_sweep(
        "teacher", [*FIXED, *overrides, *size, f"corpus.cache={cache}", f"resources.concurrent={WORKERS}"]
    )
    return with_weights(sweep, pack_corpus(sweep.corpus), partial(print, flush=True))


def seconds(sweep: Sweep, folder: Path, *, activation_cache: bool) -> float:
    """Of a sweep from beginning to end."""
    stores = Path(sweep.corpus.cache or "") / "activations"
    shutil.rmtree(stores, ignore_errors=True)
    with tempfile.NamedTemporaryFile("w", suffix=".log") as log:
        started = time.perf_counter()
        results = launch(
            sweep.model_copy(update={"activation_cache": activation_cache}), folder, console=Console(file=log)
        )
        took = time.perf_counter() - started
    expected = sweep.search.samples * sweep.training.epochs
    assert len(results.epochs) == expected, f"{folder}: {len(results.epochs)} epochs instead of {expected}"
    kept = sum(file.stat().st_size for file in stores.glob("*/*.f16")) / 2**20
    print(
        f"{folder.name}: {took:.1f} s, best WER {results.trials['wer_best'].min():.1%}, {kept:.0f} MB kept", flush=True
    )
    return took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="only shows that it runs")
    parser.add_argument("--json", type=Path, help="file for all figures")
    options = parser.parse_args()
    ray.init(num_cpus=WORKERS, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    found = []
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        for space, (own, aim) in list(SPACES.items())[-1 if options.short else 0 :]:
            plan = sweep_of(own, work / "cache", short=options.short)
            took: dict[bool, list[float]] = {True: [], False: []}
            for number in range(1 if options.short else 5):
                seeded = plan.model_copy(update={"search": plan.search.model_copy(update={"seed": number})})
                for cached in (True, False):
                    folder = work / f"{space}, seed {number}, {'cached' if cached else 'uncached'}"
                    took[cached].append(seconds(seeded, folder, activation_cache=cached))
            told = f"a sweep over {space} without the activation cache, against the same with it"
            found.append(Ratio(told, "s", took[False], took[True], aim))
    write_ratios(options.json, found)


if __name__ == "__main__":
    main()

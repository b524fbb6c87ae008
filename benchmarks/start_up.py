"""What is waited for beside training: python benchmarks/start_up.py [--short] [--json FILE]

Three things, each in turn with the least that it could take:

- `glosstune --help`, and an interpreter that does nothing;
- from the command of a sweep to the first training step of its first trial, and from the start of a process that opens
  the same corpus and weights to the first training step of a plain loop;
- what a trial takes beside its epochs, from the end of the first trial to the end of the last one of a sweep, one trial
  at a time, and what the same trials take one after the other in a plain loop that keeps their checkpoints.

Corpus and pretrained weights are there already; they are made first where they are not.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from suite import Ratio, write_ratios
from suite.reports import read_reports

os.environ.setdefault("OMP_NUM_THREADS", "1")  # as many as a trial has
GLOSSTUNE = [sys.executable, "-m", "glosstune.search"]
FIXED = ["search.sampler=random", "search.start_points=[]", "resources.concurrent=1", "halving.kind=none"]
SPACE = "{strategy: full-finetune, learning_rate: {float: [1e-3, 1.1e-3]}}"
TINY = ["model.width=0.25", "corpus.sentences=24", "corpus.signers=[ase, gsg, psr]", "pretraining.steps=2"]


def wall_s(command: list[str]) -> float:
    """Seconds that a command takes from its start to its end."""
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def time_sweep(overrides: list[str]) -> tuple[float, float]:
    """Seconds of a sweep from the command to the first training step, and of each trial beside its epochs."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "sweep"
        started = time.time()
        command = [*GLOSSTUNE, "sweep", "teacher", *overrides, "--out", str(folder)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        reports = read_reports(folder)
    epochs_s = [report.metrics["epoch_s"] for report in reports]
    first_step = reports[0].time - epochs_s[0]
    last_of_first = max(number for number, report in enumerate(reports) if report.trial == reports[0].trial)
    others = len({report.trial for report in reports}) - 1
    beside_s = reports[-1].time - reports[last_of_first].time - sum(epochs_s[last_of_first + 1 :])
    return first_step - started, beside_s / others


def time_loop(overrides: list[str]) -> tuple[float, float]:
    """The same of a plain loop in a process of its own."""
    started = time.time()
    answer = subprocess.run(
        [sys.executable, __file__, "--loop", json.dumps(overrides)], check=True, capture_output=True, text=True
    )
    told = json.loads(answer.stdout.splitlines()[-1])
    return told["first_step"] - started, told["beside_s"]


def train_plainly(overrides: list[str]) -> dict[str, Any]:
    """Train the trials of a sweep without searching: when the first step was, and seconds a trial beside its epochs."""
    import torch

    from glosstune.search import load_sweep, with_weights
    from glosstune.trainables import TrainingSession
    from glosstune.trainables.corpora import pack_corpus

    torch.set_num_threads(1)
    sweep = load_sweep("teacher", overrides)
    corpus = pack_corpus(sweep.corpus)
    sweep = with_weights(sweep, corpus, lambda line: None)
    epochs_s, ends, first_step = list[float](), list[float](), 0.0
    with tempfile.TemporaryDirectory() as folder:
        for number in range(sweep.search.samples):
            best, last = Path(folder) / f"{number}-best.pt", Path(folder) / f"{number}-last.pt"
            settings = sweep.settings_of({"strategy": "full-finetune", "learning_rate": 1e-3})
            session = TrainingSession(settings, corpus)
            for _ in range(sweep.training.epochs):
                first_step = first_step or time.time()
                epochs_s.append(session.run_epoch()["epoch_s"])
                session.save(best if session.improved else last)
                if session.improved:
                    shutil.copyfile(best, last)
            ends.append(time.time())
    trained_s = sum(epochs_s[sweep.training.epochs :])
    return {"first_step": first_step, "beside_s": (ends[-1] - ends[0] - trained_s) / max(1, len(ends) - 1)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="only shows that it runs")
    parser.add_argument("--json", type=Path, help="file for the ratios")
    parser.add_argument("--loop", help=argparse.SUPPRESS)  # a round of the plain loop, in a process of its own
    options = parser.parse_args()
    if options.loop:
        print(json.dumps(train_plainly(json.loads(options.loop))))
        return
    rounds, trials, epochs = (1, 2, 2) if options.short else (5, 5, 3)
    overrides = [f"space={SPACE}", *FIXED, f"search.samples={trials}", f"training.epochs={epochs}"]
    overrides += TINY if options.short else []
    train_plainly([*overrides, "training.epochs=1", "search.samples=1"])  # which makes what is not there yet
    times: dict[str, list[float]] = {}
    for number in range(rounds):
        told = {"help": wall_s([*GLOSSTUNE, "--help"]), "pass": wall_s([sys.executable, "-c", "pass"])}
        told["sweep"], told["trial"] = time_sweep(overrides)
        told["loop"], told["plain trial"] = time_loop(overrides)
        for what, taken in told.items():
            times.setdefault(what, []).append(taken)
        print(f"round {number + 1}: " + ", ".join(f"{what} {taken:.2f} s" for what, taken in told.items()), flush=True)
    step = "to the first training step: `glosstune sweep` against a plain loop"
    beside = "a trial beside its epochs against the same in a plain loop"
    ratios = [
        Ratio("`glosstune --help` against `python -c pass`", "s", times["help"], times["pass"], "measured <= 0.5"),
        Ratio(step, "s", times["sweep"], times["loop"]),
        Ratio(beside, "s", times["trial"], times["plain trial"], "measured <= 0.2"),
    ]
    write_ratios(options.json, ratios)


if __name__ == "__main__":
    main()

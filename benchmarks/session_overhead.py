"""Epoch time in a Ray trial against a bare PyTorch loop: python benchmarks/session_overhead.py [--short] [--json FILE]

Both train the same student on the same batches on one thread and score dev; the trial also keeps the
record, writes checkpoints and hypotheses, and reports to Ray. They take turns; the ratio is the median
over rounds.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from suite import Ratio, write_ratios
from suite.reports import read_reports
from torch import nn

from glosstune.models import build_model
from glosstune.search import load_sweep
from glosstune.trainables import greedy_decode, word_error_rate
from glosstune.trainables.batches.batching import collate, shuffled_batches, sorted_batches
from glosstune.trainables.batches.conditioning import Conditioning
from glosstune.trainables.batches.precision import autocast
from glosstune.trainables.corpora import pack_corpus

WARM_EPOCHS = 1


def bare_epochs_s(overrides: list[str]) -> list[float]:
    """Seconds of each epoch of a plain loop."""
    torch.set_num_threads(1)
    sweep = load_sweep("student", overrides)
    corpus = pack_corpus(sweep.corpus)
    conditioning = Conditioning.of_corpus(corpus, sweep.corpus)
    model = build_model(
        sweep.model.kind,
        len(corpus.vocabulary),
        width=sweep.model.width,
        time_stride=4,
        norm="group",
        dropout=0.1,
        seed=0,
    )
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=1e-4, fused=True)
    precision = autocast(torch.device("cpu"), sweep.training.precision)
    train, dev = corpus.rows("train"), corpus.rows("dev")
    times = []
    for epoch in range(sweep.training.epochs):
        started = time.perf_counter()
        generator = np.random.default_rng([0, epoch])
        model.train()
        for rows in shuffled_batches(
            train, [corpus.length(row) for row in train], sweep.training.batch_size, generator
        ):
            batch = collate(corpus, rows, conditioning)
            targets = [corpus.vocabulary.encode(corpus.glosses(row)) for row in rows]
            with precision:
                log_probs, lengths = model(batch.features, batch.lengths)
            loss = nn.functional.ctc_loss(
                log_probs.float(),
                torch.tensor([label for target in targets for label in target]),
                lengths,
                torch.tensor([len(target) for target in targets]),
                zero_infinity=True,
            )
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
        model.eval()
        references, hypotheses = [], []
        with torch.no_grad():
            for rows in sorted_batches(dev, [corpus.length(row) for row in dev], 32):
                batch = collate(corpus, rows, conditioning)
                with precision:
                    log_probs, lengths = model(batch.features, batch.lengths)
                hypotheses += [corpus.vocabulary.decode(classes) for classes in greedy_decode(log_probs, lengths)]
                references += [corpus.glosses(row) for row in rows]
        word_error_rate(references, hypotheses)
        times.append(time.perf_counter() - started)
    return times


def trial_epochs_s(overrides: list[str], folder: Path) -> list[float]:
    """Seconds between the reports of one trial, as they reach the record."""
    command = [sys.executable, "-m", "glosstune.search", "sweep", "student", *overrides, "--out", str(folder)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return [after.time - before.time for before, after in pairwise(read_reports(folder))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="check that it runs")
    parser.add_argument("--json", type=Path, help="file for the ratio")
    parser.add_argument("--bare", help=argparse.SUPPRESS)  # a round of the bare loop, in a process of its own
    options = parser.parse_args()
    if options.bare:
        print(json.dumps(bare_epochs_s(json.loads(options.bare))))
        return
    rounds, epochs = (1, WARM_EPOCHS + 1) if options.short else (9, 6)
    overrides = [f"training.epochs={epochs}", "search.samples=1", "space={learning_rate: 1e-3, dropout: 0.1}"]
    overrides += ["model.width=0.25", "corpus.sentences=24", "corpus.signers=[ase, gsg, psr]"] if options.short else []
    trials, bares = [], []
    for number in range(rounds):
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        answer = subprocess.run(
            [sys.executable, __file__, "--bare", json.dumps(overrides)],
            check=True,
            capture_output=True,
            text=True,
            env=environment,
        )
        bare = statistics.median(json.loads(answer.stdout)[WARM_EPOCHS:])
        with tempfile.TemporaryDirectory() as folder:
            trial = statistics.median(trial_epochs_s(overrides, Path(folder) / "sweep"))
        trials.append(trial)
        bares.append(bare)
        print(
            f"round {number + 1}: bare {bare:.2f} s, trial {trial:.2f} s an epoch, ratio {trial / bare:.3f}", flush=True
        )
    name = "an epoch of a trial of `glosstune sweep student` against a bare PyTorch loop"
    write_ratios(options.json, [Ratio(name, "s", trials, bares, "ratio <= 1.05")])


if __name__ == "__main__":
    main()

"""Memory of concurrent trials and of a corpus as large as PHOENIX-2014: python benchmarks/memory.py [--short]

1, 2 and 4 processes train the same student on the embedded corpus at once; what only one of them has is private, the
packed corpus is shared. Then one process trains on 800,000 random frames (2.6 GB of base values), with the file out of
the page cache and in it. Linux only: it reads /proc/self/smaps_rollup.
"""

import argparse
import json
import multiprocessing
import os
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from glosstune.search import load_sweep
from glosstune.trainables import TrainingSession
from glosstune.trainables.corpora import PackedCorpus, pack_corpus
from glosstune.trainables.corpora.layout import BASE_WIDTH, FULL_WIDTH
from glosstune.trainables.corpora.store import FORMAT
from glosstune.trainables.settings import TrialSettings

FRAMES = 800_000
UTTERANCE = 140
GLOSSES = 1231
LONGEST_SENTENCE = 12


def memory_mb() -> dict[str, float]:
    """Private and shared resident memory of this process, and its part of what is shared."""
    found = {}
    for line in Path("/proc/self/smaps_rollup").read_text().splitlines()[1:]:
        name, size, *_ = line.split()
        found[name.rstrip(":")] = int(size) / 1024
    private = found["Private_Clean"] + found["Private_Dirty"]
    return {"private": private, "shared": found["Rss"] - private, "proportional": found["Pss"]}


def train(settings: TrialSettings, corpus: PackedCorpus, epochs: int, go: Any, answer: Connection) -> None:
    """Train in a process of its own; its memory while all of them are still there."""
    torch.set_num_threads(1)
    session = TrainingSession(settings, corpus, device=torch.device("cpu"))
    before = memory_mb()
    seconds = [session.run_epoch()["epoch_s"] for _ in range(epochs)]
    go.wait()
    answer.send({"before": before, "after": memory_mb(), "seconds": seconds})
    go.wait()


def run_together(count: int, settings: TrialSettings, corpus: PackedCorpus, epochs: int) -> list[dict[str, Any]]:
    """What so many processes say that train at once."""
    context = multiprocessing.get_context("spawn")
    go, pipes, processes = context.Barrier(count), [], []
    for _ in range(count):
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=train, args=(settings, corpus, epochs, go, theirs))
        process.start()
        pipes.append(ours)
        processes.append(process)
    answers = [pipe.recv() for pipe in pipes]
    for process in processes:
        process.join()
    return answers


def write_corpus(folder: Path, frames: int) -> PackedCorpus:
    """A packed corpus of random positions, as large as asked for."""
    generator = np.random.default_rng(0)
    folder.mkdir()
    count = frames // UTTERANCE
    block = generator.normal(size=(UTTERANCE, BASE_WIDTH)).astype(np.float16)
    with (folder / "features.f16").open("wb") as file:
        for _ in range(count):
            file.write(np.roll(block, int(generator.integers(BASE_WIDTH)), axis=1).tobytes())
    words = [f"G{number}" for number in range(GLOSSES)]
    table = pd.DataFrame(
        {
            "key": [f"u{number}" for number in range(count)],
            "split": ["dev" if number % 10 == 0 else "train" for number in range(count)],
            "signer": "s",
            "glosses": [
                list(generator.choice(words, size=generator.integers(1, LONGEST_SENTENCE))) for _ in range(count)
            ],
            "sources": [[f"u{number}"] for number in range(count)],
            "start": np.arange(count) * UTTERANCE,
            "frames": UTTERANCE,
        }
    )
    table.to_parquet(folder / "utterances.parquet")
    ones = np.ones(FULL_WIDTH, np.float32)
    np.savez(folder / "statistics.npz", mean=0 * ones, deviation=ones, face_order=np.arange(468))
    (folder / "store.json").write_text(json.dumps({"format": FORMAT, "key": "synthetic", "width": BASE_WIDTH}))
    return PackedCorpus.open(folder)


def forget(path: Path) -> None:
    """Have the page cache let go of a file."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="only shows that it runs")
    parser.add_argument("--json", type=Path, help="file for all figures")
    options = parser.parse_args()
    small = ["model.width=0.25", "corpus.sentences=24", "corpus.signers=[ase, gsg, psr]"] if options.short else []
    sweep = load_sweep("student", ["space={learning_rate: 1e-3}", *small])
    settings = TrialSettings(model=sweep.model, corpus=sweep.corpus, training=sweep.training)
    corpus = pack_corpus(sweep.corpus)
    size = (corpus.folder / "features.f16").stat().st_size / 2**20
    print(f"packed corpus: {size:.0f} MB")
    found: dict[str, Any] = {"corpus_mb": size, "together": {}}
    for count in (1, 2) if options.short else (1, 2, 4):
        answers = run_together(count, settings, corpus, 1)
        total = sum(each["after"]["proportional"] for each in answers)
        private = [each["after"]["private"] for each in answers]
        found["together"][count] = answers
        print(f"{count} trials: {total:.0f} MB together, {max(private):.0f} MB private at most", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        large = write_corpus(Path(folder) / "large", FRAMES // 400 if options.short else FRAMES)
        print(f"synthetic corpus: {(large.folder / 'features.f16').stat().st_size / 2**30:.1f} GB", flush=True)
        for name in ("cold", "warm"):
            if name == "cold":
                forget(large.folder / "features.f16")
            started = time.perf_counter()
            (answer,) = run_together(1, settings, large, 1)
            found[name] = answer
            print(
                f"{name}: {answer['seconds'][0]:.1f} s an epoch, {time.perf_counter() - started:.1f} s with its start, "
                f"{answer['after']['private']:.0f} MB private, {answer['after']['shared']:.0f} MB shared",
                flush=True,
            )
    if options.json:
        options.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()

"""Memory of concurrent trials and of a corpus as large as PHOENIX-2014: python benchmarks/memory.py [--short]

1, 2 and 4 processes train the same student on the embedded corpus at once; the files that all map count once.
Then one process trains a narrow student on 800,000 random frames (2.6 GB of base values), with the file out of the page
cache and in it. Linux only: it reads /proc/self/smaps_rollup.
"""

import argparse
import json
import multiprocessing
import os
import tempfile
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from suite import Ratio, write_ratios

from glosstune.search import load_sweep
from glosstune.trainables import TrainingSession
from glosstune.trainables.corpora import PackedCorpus, pack_corpus
from glosstune.trainables.corpora.store import FORMAT
from glosstune.trainables.layouts.layout import DEFAULT
from glosstune.trainables.settings import TrialSettings

FRAMES = 800_000
UTTERANCE = 140
GLOSSES = 1231
LONGEST_SENTENCE = 12


def memory_mb() -> dict[str, float]:
    """Resident memory of this process: its own, and what it maps of files, which the page cache can take back."""
    found = {}
    for line in Path("/proc/self/smaps_rollup").read_text().splitlines()[1:]:
        name, size, *_ = line.split()
        found[name.rstrip(":")] = int(size) * 1024 / 1e6
    return {"own": found["Anonymous"], "of files": found["Rss"] - found["Anonymous"]}


def train(settings: TrialSettings, corpus: PackedCorpus, all_there: Any, answer: Connection) -> None:
    """Train an epoch in a process of its own; its memory while all of them are still there."""
    torch.set_num_threads(1)
    session = TrainingSession(settings, corpus, device=torch.device("cpu"))
    seconds = session.run_epoch()["epoch_s"]
    all_there.wait()
    answer.send({"seconds": seconds, "memory": memory_mb()})
    all_there.wait()


def run_together(count: int, settings: TrialSettings, corpus: PackedCorpus) -> list[dict[str, Any]]:
    """What so many processes say that train at once."""
    context = multiprocessing.get_context("spawn")
    all_there, pipes, processes = context.Barrier(count), [], []
    for _ in range(count):
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=train, args=(settings, corpus, all_there, theirs), daemon=True)
        process.start()
        theirs.close()  # so that a process that dies is noticed here
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
    block = generator.normal(size=(UTTERANCE, DEFAULT.base_width)).astype(np.float16)
    with (folder / "features.f16").open("wb") as file:
        for _ in range(count):
            file.write(np.roll(block, int(generator.integers(DEFAULT.base_width)), axis=1).tobytes())
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
            "recordings": [[f"u{number}"] for number in range(count)],
            "start": np.arange(count) * UTTERANCE,
            "frames": UTTERANCE,
        }
    )
    table.to_parquet(folder / "utterances.parquet")
    ones = np.ones(DEFAULT.feature_width, np.float32)
    np.savez(folder / "statistics.npz", mean=0 * ones, deviation=ones, mirror_order=np.arange(DEFAULT.landmark_count))
    meta = {"format": FORMAT, "key": "synthetic", "width": DEFAULT.base_width, "layout": DEFAULT.recorded, "notes": []}
    (folder / "store.json").write_text(json.dumps(meta))
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
    rounds = 1 if options.short else 5
    found = [_together(count, rounds, settings, corpus) for count in ((2,) if options.short else (2, 4))]
    with tempfile.TemporaryDirectory() as folder:
        large = write_corpus(Path(folder) / "large", FRAMES // 400 if options.short else FRAMES)
        print(f"synthetic corpus: {(large.folder / 'features.f16').stat().st_size / 1e9:.1f} GB", flush=True)
        narrow = settings.model_copy(update={"model": settings.model.model_copy(update={"width": 0.25})})
        found += _large(large, rounds, narrow)
    write_ratios(options.json, found)


def _together(count: int, rounds: int, settings: TrialSettings, corpus: PackedCorpus) -> Ratio:
    alone, together = [], []
    for _ in range(rounds):
        for values, processes in ((alone, 1), (together, count)):
            answers = run_together(processes, settings, corpus)
            # All map the same files: libraries and the corpus.
            files = max(each["memory"]["of files"] for each in answers)
            values.append((sum(each["memory"]["own"] for each in answers) + files) * count / processes)
    return Ratio(f"resident memory of {count} trials at once, against {count} times that of one", "MB", together, alone)


def _large(corpus: PackedCorpus, rounds: int, settings: TrialSettings) -> list[Ratio]:
    seconds: dict[str, list[float]] = {"cold": [], "warm": []}
    own, stored = [], (corpus.folder / "features.f16").stat().st_size / 1e6
    for _ in range(rounds):
        for name, values in seconds.items():
            if name == "cold":
                forget(corpus.folder / "features.f16")
            (answer,) = run_together(1, settings, corpus)
            values.append(answer["seconds"])
            own.append(answer["memory"]["own"])
            print(f"{name}: {answer}", flush=True)
    what = f"of {corpus.table['frames'].sum():,} frames"
    return [
        Ratio(
            f"an epoch {what} with the file out of the page cache, against in it", "s", seconds["cold"], seconds["warm"]
        ),
        Ratio(
            f"memory of a trial {what} without their mapped file, against that file",
            "MB",
            own,
            [stored] * len(own),
            "measured <= 2048",
        ),
    ]


if __name__ == "__main__":
    main()

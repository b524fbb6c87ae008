"""One recipe on the splits of the embedded corpus: python benchmarks/splits.py [--short] [--split S] [--augment NAMES]

Prints the lowest dev WER and that of the last epoch, a line a split and fold, and the mean over the folds
of unseen-signers. The test split is never read.
"""

import argparse
import statistics
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import torch

from glosstune.search import load_sweep
from glosstune.trainables import TrainingSession
from glosstune.trainables.corpora import pack_corpus

RUNS = [("multi-signer", 1), ("unseen-clips", 1), *(("unseen-signers", fold) for fold in range(1, 6))]
RECIPE = {"learning_rate": 3e-3, "warmup_epochs": 1, "dropout": 0.3}


def run(split: str, fold: int, overrides: list[str]) -> tuple[float, float, float]:
    """Lowest and last dev WER, and the last training loss."""
    torch.set_num_threads(1)
    space = ", ".join(f"{name}: {value}" for name, value in RECIPE.items())
    chosen = [f"corpus.split={split}", *([f"corpus.fold={fold}"] if split == "unseen-signers" else [])]
    sweep = load_sweep("student", [f"space={{{space}}}", *chosen, *overrides])
    session = TrainingSession(sweep.trial_settings(RECIPE), pack_corpus(sweep.corpus))
    metrics = [session.run_epoch() for _ in range(sweep.training.epochs)]
    return metrics[-1]["best_wer"], metrics[-1]["wer"], metrics[-1]["train_loss"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="check that it runs")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--augment", default="none", help="names joined with +")
    parser.add_argument("--split", choices=sorted({split for split, _ in RUNS}), help="default: all of them")
    options = parser.parse_args()
    runs = [(split, fold) for split, fold in RUNS if options.split in (None, split)]
    overrides = [f"training.epochs={options.epochs}", f"training.augment={options.augment}"]
    if options.short:
        overrides = ["training.epochs=1", "model.width=0.25", "corpus.sentences=24"]
    print(f"recipe {RECIPE}, {', '.join(overrides)}")
    print("| split | fold | best dev WER | last dev WER | training loss |\n|---|---|---|---|---|")
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        futures = [pool.submit(run, split, fold, overrides) for split, fold in runs]
        results = []
        for (split, fold), future in zip(runs, futures, strict=True):
            best, last, loss = future.result()
            results.append((best, last))
            print(f"| {split} | {fold} | {best:.1%} | {last:.1%} | {loss:.3f} |", flush=True)
    for column, name in enumerate(("best", "last")):
        folds = [result[column] for (split, _), result in zip(runs, results, strict=True) if split == "unseen-signers"]
        if folds:
            mean, deviation = statistics.mean(folds), statistics.stdev(folds)
            print(f"unseen-signers, {name}: mean of 5 folds {mean:.1%}, deviation {deviation:.1%}")


if __name__ == "__main__":
    main()

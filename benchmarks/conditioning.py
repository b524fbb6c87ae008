"""What input conditioning does, judged on the training split alone: python benchmarks/conditioning.py [--short]

Every fifth training sentence is held out and scored, so that defaults chosen here have seen neither dev
nor test. A line a setting: WER and training loss against the CTC floor, epoch by epoch.
"""

import argparse
from concurrent.futures import ProcessPoolExecutor
from functools import cached_property
from multiprocessing import get_context

import pandas as pd
import torch

from glosstune.search import load_sweep
from glosstune.trainables import TrainingSession
from glosstune.trainables.corpora import PackedCorpus, pack_corpus

RECIPE = {"learning_rate": 3e-3, "warmup_epochs": 1, "dropout": 0.2}
PLAIN = "{pose: 1, hands: 1, face: 1, shape: 1, velocity: 1, acceleration: 1, position: 1}"
MILD = "{pose: 0.3, hands: 1, face: 0.1, shape: 1, velocity: 0.3, acceleration: 0.1, position: 0.3}"
HANDS = "{pose: 0, hands: 1, face: 0, shape: 1, velocity: 0, acceleration: 0, position: 1}"
SETTINGS = {
    "standardised only (floor 1e-6, all gains 1)": ["corpus.noise_floor=1e-6", f"corpus.gains={PLAIN}"],
    "noise floor 0.05, all gains 1": [f"corpus.gains={PLAIN}"],
    "noise floor 0.05, mild gains": [f"corpus.gains={MILD}"],
    "noise floor 0.05, hands only": [f"corpus.gains={HANDS}"],
    "noise floor 0.05, default gains": [],
    "default gains, lr_scale fan_in": ["training.lr_scale=fan_in"],
    "standardised only, lr_scale fan_in": [
        "corpus.noise_floor=1e-6",
        f"corpus.gains={PLAIN}",
        "training.lr_scale=fan_in",
    ],
}


class TrainingSplitOnly(PackedCorpus):
    """A packed corpus whose dev split is every fifth sentence of its training split."""

    @cached_property
    def table(self) -> pd.DataFrame:
        table = pd.read_parquet(self.folder / "utterances.parquet")
        train = table.index[table["split"] == "train"]
        table["split"] = "unused"
        table.loc[train, "split"] = "train"
        table.loc[train[::5], "split"] = "dev"
        return table


def run(overrides: list[str], seed: int) -> list[dict[str, float]]:
    """Metrics of every epoch."""
    torch.set_num_threads(1)
    space = ", ".join(f"{name}: {value}" for name, value in RECIPE.items())
    sweep = load_sweep("student", [f"space={{{space}}}", f"training.seed={seed}", *overrides])
    packed = pack_corpus(sweep.corpus)
    corpus = TrainingSplitOnly(packed.folder, packed.key, packed.width, packed.layout, packed.scoring)
    session = TrainingSession(sweep.trial_settings(RECIPE), corpus)
    return [session.run_epoch() for _ in range(sweep.training.epochs)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="check that it runs")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--seeds", type=int, default=1)
    options = parser.parse_args()
    common = [f"training.epochs={options.epochs}", "training.final_decay=0"]
    if options.short:
        common = ["training.epochs=2", "model.width=0.25", "corpus.sentences=24", "corpus.signers=[ase, gsg, psr]"]
    jobs = [(name, seed) for name in SETTINGS for seed in range(options.seeds)]
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        futures = [pool.submit(run, [*SETTINGS[name], *common], seed) for name, seed in jobs]
        results = [future.result() for future in futures]
    marks = [epoch for epoch in (2, 4, 8, 12, 18) if epoch <= len(results[0])]
    print("| setting | seed | " + " | ".join(f"WER, epoch {mark}" for mark in marks) + " | loss below floor |")
    print("|---" * (len(marks) + 3) + "|")
    for (name, seed), epochs in zip(jobs, results, strict=True):
        rates = " | ".join(f"{epochs[mark - 1]['wer']:.1%}" for mark in marks)
        print(f"| {name} | {seed} | {rates} | {epochs[-1]['loss_below_floor']:.1%} |")


if __name__ == "__main__":
    main()

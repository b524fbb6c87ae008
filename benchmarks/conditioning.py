"""What input conditioning does: python benchmarks/conditioning.py [--short] [--dev] [--copycat FILE] [KEY=VALUE...]

Every fifth training sentence of the embedded corpus is held out and scored, so that defaults chosen here have seen
neither dev nor test. A line a setting: WER and training loss against the CTC floor, epoch by epoch.

--dev scores a corpus's own dev split instead, by the recipe of benchmarks/splits.py, with gains of 1, set by hand and
estimated: of the embedded corpus, or of another that overrides name, such as corpus.kind=phoenix corpus.root=FOLDER.
--copycat does so for each signer of the recordings that benchmarks/layouts.py describes, hands told apart. The test
split is never read.
"""

import argparse
import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cached_property
from multiprocessing import get_context
from pathlib import Path

import pandas as pd
import torch
from layouts import COPYCAT, STUDENT, write_copycat

from glosstune.search import load_sweep
from glosstune.trainables import TrainingSession
from glosstune.trainables.corpora import PackedCorpus, pack_corpus

RECIPE = {"learning_rate": 3e-3, "warmup_epochs": 1, "dropout": 0.2}
DEV_RECIPE = {**RECIPE, "dropout": 0.3}
BY_HAND = "{pose: 0.2, hands: 1, face: 0, shape: 1, velocity: 0.2, acceleration: 0.05, position: 1}"
PLAIN = "{pose: 1, hands: 1, face: 1, shape: 1, velocity: 1, acceleration: 1, position: 1}"
MILD = "{pose: 0.3, hands: 1, face: 0.1, shape: 1, velocity: 0.3, acceleration: 0.1, position: 0.3}"
HANDS = "{pose: 0, hands: 1, face: 0, shape: 1, velocity: 0, acceleration: 0, position: 1}"
SETTINGS = {
    "standardised only (floor 1e-6, all gains 1)": ["corpus.noise_floor=1e-6", f"corpus.gains={PLAIN}"],
    "noise floor 0.05, all gains 1": [f"corpus.gains={PLAIN}"],
    "noise floor 0.05, mild gains": [f"corpus.gains={MILD}"],
    "noise floor 0.05, hands only": [f"corpus.gains={HANDS}"],
    "noise floor 0.05, default gains": [],
    "noise floor 0.05, gains auto": ["corpus.gains=auto"],
    "default gains, lr_scale fan_in": ["training.lr_scale=fan_in"],
    "standardised only, lr_scale fan_in": [
        "corpus.noise_floor=1e-6",
        f"corpus.gains={PLAIN}",
        "training.lr_scale=fan_in",
    ],
}


ON_DEV = {
    "all gains 1": PLAIN,
    "mild gains": MILD,
    "default gains of the embedded corpus": BY_HAND,
    "gains auto": "auto",
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


def run(recipe: dict[str, float], overrides: Sequence[str], seed: int, *, dev: bool) -> list[dict[str, float]]:
    """Metrics of every epoch."""
    torch.set_num_threads(1)
    space = ", ".join(f"{name}: {value}" for name, value in recipe.items())
    sweep = load_sweep(STUDENT, [f"space={{{space}}}", f"training.seed={seed}", *overrides])
    corpus = pack_corpus(sweep.corpus)
    if not dev:
        corpus = TrainingSplitOnly(corpus.folder, corpus.key, corpus.width, corpus.layout, corpus.scoring)
    session = TrainingSession(sweep.trial_settings(recipe), corpus)
    return [session.run_epoch() for _ in range(sweep.training.epochs)]


def compare(settings: dict[str, Sequence[str]], seeds: int, *, dev: bool, processes: int) -> None:
    """Train under each setting and seed; print a line each."""
    jobs = [(name, seed) for name in settings for seed in range(seeds)]
    recipe = DEV_RECIPE if dev else RECIPE
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        futures = [pool.submit(run, recipe, settings[name], seed, dev=dev) for name, seed in jobs]
        for place, ((name, seed), future) in enumerate(zip(jobs, futures, strict=True)):
            epochs = future.result()
            marks = [epoch for epoch in (2, 4, 8, 10, 12, 18) if epoch <= len(epochs)]
            if not place:
                print("| setting | seed | " + " | ".join(f"WER, epoch {mark}" for mark in marks), end="")
                print(" | best WER | loss below floor |\n" + "|---" * (len(marks) + 4) + "|")
            rates = " | ".join(f"{epochs[mark - 1]['wer']:.1%}" for mark in marks)
            last = epochs[-1]
            told = f"{last['best_wer']:.1%} | {last['loss_below_floor']:.1%}"
            print(f"| {name} | {seed} | {rates} | {told} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="check that it runs")
    parser.add_argument("--dev", action="store_true", help="score a corpus's own dev split")
    parser.add_argument("--copycat", type=Path, help="an .npz of hands, offsets, signer and glosses")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--only", metavar="TEXT", action="append", help="settings whose name has this in it")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="of the corpus, such as corpus.root")
    options = parser.parse_args()
    dev = options.dev or options.copycat is not None
    common = [f"training.epochs={options.epochs}", *["training.final_decay=0"] * (not dev)]
    if options.short:
        common = ["training.epochs=2", "model.width=0.25"]
        if not any(override.startswith("corpus.root=") for override in options.overrides) and not options.copycat:
            common += ["corpus.sentences=24", "corpus.signers=[ase, gsg, psr]"]
    if dev:
        settings = {name: [f"corpus.gains={gains}", "corpus.noise_floor=0.05"] for name, gains in ON_DEV.items()}
    else:
        settings = SETTINGS
    if options.only:
        settings = {name: own for name, own in settings.items() if any(text in name for text in options.only)}
    if options.short:
        settings = dict([*settings.items()][:2])
    with tempfile.TemporaryDirectory() as name:
        corpora: dict[str, list[str]] = {"": []}
        if options.copycat is not None:
            tables = write_copycat(options.copycat, Path(name))
            own = [*COPYCAT, f"corpus.cache={Path(name) / 'cache'}"]
            corpora = {f"signer {signer} unseen": [f"corpus.root={table}", *own] for signer, table in tables.items()}
        for title, corpus in corpora.items():
            if title:
                print(title)
            changes = [*corpus, *options.overrides, *common]
            asked = {setting: [*changes, *own] for setting, own in settings.items()}
            compare(asked, options.seeds, dev=dev, processes=options.processes)


if __name__ == "__main__":
    main()

"""One thing changed at a time, on what training has not seen: python benchmarks/recipes.py [--short] [--copycat FILE]

Without options the embedded corpus, some of its signers left out (unseen-signers), or letters that a signer never shows
in training (--split unseen-clips). --copycat takes recordings of continuous signing as layouts.py describes them and
leaves one signer out, with --phrases every fifth phrase instead. --root takes a folder of PHOENIX's kind, such as
stand_in.py writes. On both the student starts from weights that it pretrains, as in student-own.yaml.

Prints the dev WER of the last epoch and the lowest one, a row a change; test is never read. --folds picks what is left
out: choose on some, report on others. What --json holds already is not trained again.
"""

import argparse
import json
import random
import statistics
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import chain
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from layouts import COPYCAT, write_clips, write_copycat, write_table

from glosstune.search import load_sweep
from glosstune.search.driver.weights import with_weights
from glosstune.spaces.errors import SettingError
from glosstune.spaces.files.atomic import write_whole
from glosstune.trainables import TrainingSession
from glosstune.trainables.corpora import pack_corpus
from glosstune.trainables.settings import AUGMENTATIONS, GEOMETRIC

SCRATCH = {"learning_rate": 3e-3, "warmup_epochs": 1, "dropout": 0.3}
PRETRAINED = {"strategy": "full-finetune", **SCRATCH}
STEPS = "pretraining.steps=600"
FROM_SCRATCH = ["pretrained=null", "space.strategy=baseline"]
CHANGES: dict[str, list[str]] = {
    "as it is": [],
    "none of it": [*FROM_SCRATCH, "model.norm=group", "training.augment=none", "training.average_epochs=0"],
    "from scratch": FROM_SCRATCH,
    "pretrained": ["pretrained=auto", STEPS, "model.norm=batch", "space.strategy=full-finetune"],
    "batch normalisation": ["model.norm=batch"],
    "group normalisation": ["model.norm=group"],
    "weights averaged over an epoch": ["training.average_epochs=1"],
    "last weights": ["training.average_epochs=0"],
    "all gains 1": ["corpus.gains={}"],
    "estimated gains": ["corpus.gains=auto"],
    "clean targets": ["corpus.targets=clean"],
    **{f"augment: {name}": [f"training.augment={name}"] for name in ("none", "auto", *AUGMENTATIONS)},
}
# What each kind of sweep is already.
EMBEDDED = {"none of it", "from scratch", "group normalisation", "last weights", "clean targets", "augment: none"}
OWN = {"pretrained", "batch normalisation", "weights averaged over an epoch", "estimated gains", "augment: auto"}
FOLDS = range(1, 6)


def embedded(split: str) -> dict[int, list[str]]:
    """Overrides of each fold."""
    if split == "unseen-clips":
        return {1: [f"corpus.split={split}"]}
    return {fold: [f"corpus.split={split}", f"corpus.fold={fold}"] for fold in FOLDS}


def copycat(file: Path, folder: Path, phrases: bool) -> dict[int, list[str]]:
    """The same of the recordings, which are written to the folder."""
    if not phrases:
        tables = {int(signer): table for signer, table in write_copycat(file, folder).items()}
    else:
        tables = dict(_without_phrases(file, folder))
    own = [*COPYCAT, f"corpus.cache={folder / 'cache'}"]
    return {fold: [*own, f"corpus.root={table}"] for fold, table in tables.items()}


def _without_phrases(file: Path, folder: Path) -> Iterator[tuple[int, Path]]:
    with np.load(file) as arrays:
        clips = write_clips(arrays, folder)
    texts = sorted({clip.glosses for clip in clips})
    for fold in FOLDS:
        left_out = set(texts[fold - 1 :: len(FOLDS)])
        place = folder / f"phrases-{fold}"
        place.mkdir()
        rows = [(f"../{clip.path}", *clip[1:], "dev" if clip.glosses in left_out else "train") for clip in clips]
        yield fold, write_table(place, rows)


def run(recipe: Mapping[str, object], overrides: Sequence[str]) -> list[float]:
    """Last and lowest dev WER."""
    torch.set_num_threads(1)
    space = ", ".join(f"{name}: {value}" for name, value in recipe.items())
    sweep = load_sweep("student", [f"space={{{space}}}", *overrides])
    corpus = pack_corpus(sweep.corpus)
    sweep = with_weights(sweep, corpus, lambda line: None)
    session = TrainingSession(sweep.trial_settings(sweep.space.sample(random.Random(0))), corpus)  # all are constants
    metrics = [session.run_epoch() for _ in range(sweep.training.epochs)]
    return [metrics[-1]["wer"], metrics[-1]["best_wer"]]


def read_done(file: Path | None, asked: str) -> dict[str, list[float]]:
    """What a file holds of the same runs; SettingError where it is of others."""
    if file is None or not file.exists():
        return {}
    kept = json.loads(file.read_text(encoding="utf-8"))
    if kept["asked"] != asked:
        rule = f"{file} holds runs of: {kept['asked']}; these are: {asked}"
        raise SettingError(f"{rule}; name another file", key="--json")
    done: dict[str, list[float]] = kept["rates"]
    return done


def corpus_of(options: argparse.Namespace, folder: Path) -> tuple[dict[int, list[str]], set[str]]:
    """The overrides of each fold, and changes that would be none, or are refused, there."""
    if options.root is not None:
        return {1: [f"corpus.root={options.root}", STEPS]}, OWN | {f"augment: {name}" for name in GEOMETRIC}
    if options.copycat is not None:
        folds = copycat(options.copycat, folder, options.phrases)
        return {fold: [*own, STEPS] for fold, own in folds.items()}, {*OWN, "clean targets"}
    return embedded(options.split), EMBEDDED


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="check that it runs")
    parser.add_argument("--split", choices=("unseen-signers", "unseen-clips"), default="unseen-signers")
    parser.add_argument("--copycat", type=Path, help="an .npz of hands, offsets, signer and glosses")
    parser.add_argument("--phrases", action="store_true", help="with --copycat: leave phrases out, not signers")
    parser.add_argument("--root", type=Path, help="a folder of PHOENIX's kind")
    parser.add_argument("--folds", default="2,4", help="default 2,4; of no meaning where there is but one")
    parser.add_argument("--changes", help="names out of the first column, between commas; default all")
    parser.add_argument("--epochs", type=int, default=16)
    parser.add_argument("--json", type=Path, help="keeps what is done")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="of all of them")
    options = parser.parse_args()
    common, few = [f"training.epochs={options.epochs}", *options.overrides], []
    if options.short:
        common, few = ["training.epochs=1", "model.width=0.25", "corpus.sentences=24"], ["pretraining.steps=9"]
    with tempfile.TemporaryDirectory() as place:
        folds, left_out = corpus_of(options, Path(place))
        chosen = [*folds] if len(folds) == 1 else [int(fold) for fold in options.folds.split(",")]
        names = options.changes.split(",") if options.changes else [name for name in CHANGES if name not in left_out]
        if unknown := sorted(set(names) - set(CHANGES)):
            parser.error(f"--changes: {', '.join(unknown)}: choose of {', '.join(CHANGES)}")
        if unknown := sorted(set(chosen) - set(folds)):
            parser.error(f"--folds: {', '.join(map(str, unknown))}: choose of {', '.join(map(str, folds))}")
        if options.short:
            names, chosen = names[:2], chosen[:1]
        asked = f"student on {options.root or options.copycat or options.split}"
        asked += ", phrases left out" * options.phrases + f"; {', '.join(common)}"
        try:
            done = read_done(options.json, asked)
        except SettingError as error:
            parser.error(str(error))
        recipe = SCRATCH if options.root is options.copycat is None else PRETRAINED
        print(f"{asked}; recipe {recipe}")
        print("| change | " + " | ".join(f"{fold}: last | best" for fold in chosen) + " | mean, last | mean, best |")
        print("|---" * (2 * len(chosen) + 3) + "|", flush=True)
        with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
            jobs = {
                f"{name} {fold}": pool.submit(run, recipe, [*common, *folds[fold], *CHANGES[name], *few])
                for name in names
                for fold in chosen
                if f"{name} {fold}" not in done
            }
            for name in names:
                for job in (f"{name} {fold}" for fold in chosen if f"{name} {fold}" in jobs):
                    done[job] = jobs[job].result()
                    if options.json is not None:
                        text = json.dumps({"asked": asked, "rates": done}, indent=1)
                        write_whole(options.json, partial(Path.write_text, data=text, encoding="utf-8"))
                rates = [done[f"{name} {fold}"] for fold in chosen]
                means = [statistics.mean(column) for column in zip(*rates, strict=True)]
                told = [f"{rate:.1%}" for rate in (*chain.from_iterable(rates), *means)]
                print(f"| {name} | {' | '.join(told)} |", flush=True)


if __name__ == "__main__":
    main()

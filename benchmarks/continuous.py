"""Real continuous signing: python benchmarks/continuous.py --copycat FILE [--split phrases] [--out FOLDER] [--short]

Packaged sweeps, changed by overrides alone, on CopyCat: 1,730 phrases of ASL by five signers who play a game, their
hands as MediaPipe found them, told apart, every second frame. The recordings have no licence and do not come along;
FILE is an .npz as layouts.py describes it.

--split signers leaves one signer out, in fold 1 the first, who is test; the next one is dev, the other three train.
--split phrases leaves out phrases: of all in alphabetical order every fifth is test and the next of each five dev, and
all signers are trained on. A search sees training and dev alone. Its best configuration is then trained again by
``glosstune confirm``, on the same training split, under a seed that the search has not used and for all epochs (where
time ended the search, its best may have had fewer), and scored once on test. The student of the sweep distil is taught
by the best trial of the teacher's sweep on the same fold. Hypotheses are decoded greedily, without a grammar.

Seconds are those of the search: packing, pretraining and confirmation are not in them. The interval of a mean over
folds is a 95 % bootstrap in which, fold by fold, the clips of one signer and phrase are drawn together; it says nothing
of other signers than these, nor of other seeds. ``behind`` is the test WER less that of the first sweep, paired.

What is done lies in --out and is not done again; what was interrupted goes on there.
"""

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from layouts import COPYCAT, Clip, Values, write_clips, write_table
from rich.console import Console

from glosstune.results import load_results
from glosstune.results.reading.names import CONFIRM, SWEEP, UTTERANCES
from glosstune.search import Sweep, launch, load_sweep, resume
from glosstune.search.confirm.confirming import confirm
from glosstune.search.confirm.exporting import export_trial
from glosstune.search.storage.sweep_folder import SweepFolder
from glosstune.spaces.errors import GlosstuneError, Interrupted, SettingError
from glosstune.trainables import load_recogniser
from glosstune.trainables.corpora import pack_corpus
from glosstune.trainables.corpora.utterance import SPLITS, Split

SWEEPS = ("student", "teacher", "distil")  # a teacher before its student
BY = {"signers": "signer", "phrases": "glosses"}
TEACHER = "teacher.safetensors"
FOLDS, DRAWS = 5, 2000
ARRAYS = ("hands", "offsets", "signer", "glosses")
SHORT = [
    "model.width=0.25",
    "distil:space.width=0.25",
    "space.warmup_epochs=0",
    "training.epochs=1",
    "halving.min_epochs=1",
    "search.samples=1",
    "pretraining.steps=9",
]
NEEDED = (
    "name an .npz of hands (frame, 84), offsets (clip + 1), signer and glosses; the recordings of CopyCat have no "
    "licence and do not come along (--short runs without them)"
)


def read_arrays(file: Path) -> dict[str, Values]:
    """Hands, offsets, signers and glosses.

    Raises:
        SettingError: it is no such file.
    """
    try:
        with np.load(file) as arrays:
            return {name: arrays[name] for name in ARRAYS}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SettingError(f"{file} cannot be read ({error}); {NEEDED}", key="--copycat") from error


def make_up(seed: int = 0) -> dict[str, Values]:
    """A clip of each of ten phrases by each of five signers; the hands rest in a shape for each gloss."""
    generator = np.random.default_rng(seed)
    rest = generator.uniform(-400, 400, (2, 21, 2)) + np.array([[2500, 5000], [5700, 5000]])[:, None]
    words = (("LION", "SNAKE", "MONKEY"), ("ABOVE", "IN"), ("BED", "BOX"))
    phrases = [" ".join(phrase) for phrase in product(*words)]
    shapes = {gloss: generator.normal(0, 300, (2, 21, 2)) for several in words for gloss in several}
    clips, signers, glosses = [], [], []
    for signer in range(1, 6):
        for phrase in phrases[:10]:
            turns = [rest + shapes[gloss] for gloss in phrase.split() for _ in range(16)]
            clips.append(np.stack(turns) + 50 * signer + generator.normal(0, 20, (len(turns), 2, 21, 2)))
            signers.append(signer)
            glosses.append(phrase)
    hands = np.concatenate(clips).reshape(-1, 84).clip(1, 8192).astype(np.int16)
    offsets = np.cumsum([0, *map(len, clips)])
    return dict(zip(ARRAYS, (hands, offsets, np.array(signers), np.array(glosses)), strict=True))


def split_clips(clips: Sequence[Clip], by: str, fold: int) -> list[Split]:
    """The split of each clip: signers or phrases are dealt in turn, and those of the fold, from 1, are test."""
    names = [getattr(clip, BY[by]) for clip in clips]
    held: dict[int, Split] = {fold - 1: "test", fold % FOLDS: "dev"}
    split = {name: held.get(place % FOLDS, "train") for place, name in enumerate(sorted(set(names)))}
    return [split[name] for name in names]


def check_disjoint(utterances: pd.DataFrame, by: str) -> None:
    """Of a packed corpus: no two splits share the content of a file, nor a signer or phrase that is held out."""
    held: dict[str, set[str]] = {split: set() for split in SPLITS}
    for row in utterances.itertuples():
        held[row.split] |= {*row.recordings, row.signer if by == "signers" else " ".join(row.glosses)}
    assert all(held.values()), "a split is empty"
    assert sum(map(len, held.values())) == len(set().union(*held.values())), f"splits share recordings or {by}"


def overrides_of(name: str, overrides: Sequence[str]) -> Iterator[str]:
    """Those of all sweeps, and those that begin with the name of this one and a colon."""
    for override in overrides:
        sweep, colon, rest = override.partition(":")
        if sweep not in SWEEPS or not colon:
            yield override
        elif sweep == name:
            yield rest


def search(sweep: Sweep, folder: Path, by: str, seeds: int) -> None:
    """Search, confirm and export, as far as that is not done yet.

    Raises:
        SettingError: another sweep lies there.
        Interrupted: a signal ended it.
    """
    check_disjoint(pack_corpus(sweep.corpus).table, by)
    with folder.with_suffix(".log").open("a", encoding="utf-8") as log:
        console = Console(file=log)
        if not SweepFolder.at(folder).begun:
            launch(sweep, folder, console=console)
        elif load_sweep(folder / SWEEP) != sweep:
            raise SettingError(f"{folder} holds a sweep of other settings; name another folder", key="--out")
        elif not (folder / CONFIRM).exists():  # which begins when the search is over
            resume(folder, console=console)
        confirm(folder, top=1, seeds=seeds, console=console)
    exported = folder.with_suffix(".safetensors")
    if not exported.exists():
        export_trial(folder, exported)


def measure(folder: Path) -> tuple[dict[str, Any], Values]:
    """The figures of a sweep that is done, and the test WERs of its bootstrap samples."""
    results = load_results(folder)
    best = results.best
    network = load_recogniser(folder.with_suffix(".safetensors")).model
    scored = pd.read_parquet(folder / CONFIRM / UTTERANCES)
    scored = scored[scored["scoring"] == scored["scoring"].iloc[0]]
    dev, test = (scored[scored["split"] == split] for split in SPLITS[1:])
    row = {
        "dev_wer": float(best["wer_best"]),
        "dev_wer_again": float(dev["errors"].sum() / dev["glosses"].sum()),
        "test_wer": float(test["errors"].sum() / test["glosses"].sum()),
        "test_clips": int(test["key"].nunique()),
        "search_s": float(results.sweeps["seconds"].iloc[0]),
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "trials": len(results.trials),
        "configuration": results.configuration(int(best["trial"])),
    }
    return row, draw_rates(test)


def draw_rates(test: pd.DataFrame) -> Values:
    """WERs of bootstrap samples of one fold; the same clusters are drawn for every sweep, which pairs these."""
    clusters = test.groupby(["signer", "reference"], sort=True)[["errors", "glosses"]].sum()
    drawn = np.random.default_rng(0).integers(len(clusters), size=(DRAWS, len(clusters)))
    errors, glosses = (clusters[name].to_numpy()[drawn].sum(axis=1) for name in ("errors", "glosses"))
    rates: Values = errors / glosses
    return rates


def average(found: Mapping[str, Sequence[tuple[Mapping[str, Any], Values]]]) -> Iterator[dict[str, Any]]:
    """A row a sweep: means over its folds, the interval of the test WER, and how far it is behind the first sweep's."""
    columns = ("dev_wer", "dev_wer_again", "test_wer", "search_s", "parameters")
    first: tuple[float, Values] | None = None
    for name, runs in found.items():
        row = {column: statistics.mean(own[column] for own, _ in runs) for column in columns}
        draws = np.mean([drawn for _, drawn in runs], axis=0)
        row |= dict(zip(("test_low", "test_high"), _interval(draws), strict=True))
        if first is None:
            first = row["test_wer"], draws
        else:
            behind = (row["test_wer"] - first[0], *_interval(draws - first[1]))
            row |= dict(zip(("behind", "behind_low", "behind_high"), behind, strict=True))
        yield {"fold": "mean", "sweep": name, **row}


def _interval(draws: Values) -> list[float]:
    return [float(each) for each in np.percentile(draws, [2.5, 97.5])]


def show(row: Mapping[str, Any]) -> None:
    """A line of the table."""
    test, behind = f"{row['test_wer']:.1%}", ""
    if "test_low" in row:
        test += f" ({row['test_low']:.1%} to {row['test_high']:.1%})"
    if "behind" in row:
        behind = f"{row['behind']:+.1%} ({row['behind_low']:+.1%} to {row['behind_high']:+.1%})"
    cells = [row["fold"], row["sweep"], f"{row['dev_wer']:.1%}", f"{row['dev_wer_again']:.1%}", test, behind]
    cells += [f"{row['search_s']:.0f}", f"{row['parameters']:,.0f}"]
    print(f"| {' | '.join(map(str, cells))} |", flush=True)


def compare(options: argparse.Namespace, clips: Sequence[Clip]) -> Iterator[dict[str, Any]]:
    """A row a fold and sweep as each is done, then one a sweep for the means."""
    found: dict[str, list[tuple[dict[str, Any], Values]]] = {name: [] for name in options.sweeps}
    folders = {fold: options.out / f"{options.split}-{fold}" for fold in options.folds}
    lacking = [str(folder / TEACHER) for folder in folders.values() if not (folder / TEACHER).exists()]
    if lacking and "distil" in found and "teacher" not in found:
        raise SettingError(f"distil: there is no {', '.join(lacking)}; name teacher too", key="--sweeps")
    for fold, folder in folders.items():
        folder.mkdir(parents=True, exist_ok=True)
        splits = split_clips(clips, options.split, fold)
        table = write_table(
            folder, [(f"../clips/{clip.path}", *clip[1:], split) for clip, split in zip(clips, splits, strict=True)]
        )
        # What comes along as a prior did well on these very recordings.
        own = [*COPYCAT, f"corpus.root={table}", f"corpus.cache={options.out / 'cache'}", "search.prior=none"]
        for name in found:
            taught = [f"teacher={folder / TEACHER}"] * (name == "distil")
            minutes = [f"search.time_budget_min={options.minutes}"] * (options.minutes is not None)
            sweep = load_sweep(name, [*own, *taught, *minutes, *overrides_of(name, options.overrides)])
            search(sweep, folder / name, options.split, options.seeds)
            row, draws = measure(folder / name)
            found[name].append(({"fold": fold, "sweep": name, **row}, draws))
            yield found[name][-1][0]
    yield from average(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="after --; teacher:KEY=VALUE is of one sweep")
    parser.add_argument("--short", action="store_true", help="only shows that it runs")
    parser.add_argument("--copycat", type=Path, help="an .npz of hands, offsets, signer and glosses, see above")
    parser.add_argument("--split", choices=BY, default="signers", help="what is held out")
    parser.add_argument("--folds", help=f"such as 1,3,5; default all {FOLDS}")
    parser.add_argument("--sweeps", help=f"of {', '.join(SWEEPS)}, joined by commas; default all, short the first")
    parser.add_argument("--minutes", type=float, help="of each search; default as packaged")
    parser.add_argument("--seeds", type=int, default=1, help="under which the best configuration is trained again")
    parser.add_argument("--out", type=Path, help="folder of all that is made")
    parser.add_argument("--json", type=Path, help="file for all figures")
    options = parser.parse_args()
    names = options.sweeps.split(",") if options.sweeps else list(SWEEPS[: 1 if options.short else None])
    options.sweeps = [name for name in SWEEPS if name in names]
    folds = options.folds.split(",") if options.folds else ["1"] if options.short else [*map(str, range(1, FOLDS + 1))]
    if unknown := sorted(set(names) - set(SWEEPS)):
        parser.error(f"--sweeps: {', '.join(unknown)}: choose of {', '.join(SWEEPS)}")
    if unknown := sorted(set(folds) - {*map(str, range(1, FOLDS + 1))}):
        parser.error(f"--folds: {', '.join(unknown)}: must be 1 to {FOLDS}, joined by commas")
    if options.copycat is None and not options.short:
        parser.error(f"--copycat: {NEEDED}")
    options.folds = sorted({int(fold) for fold in folds})
    options.overrides = [*SHORT * options.short, *options.overrides]
    with tempfile.TemporaryDirectory() as scratch:
        default = scratch if options.short else Path(tempfile.gettempdir()) / "glosstune-continuous"
        options.out = (options.out or Path(default)).absolute()
        try:
            run(options)
        except Interrupted as error:
            print(f"interrupted by {error.signal.name}; the same command goes on", file=sys.stderr)
            sys.exit(128 + error.signal)
        except GlosstuneError as error:
            parser.error(str(error))


def run(options: argparse.Namespace) -> None:
    """Write the clips, and print and write the rows as they come."""
    arrays = make_up() if options.copycat is None else read_arrays(options.copycat)
    (options.out / "clips").mkdir(parents=True, exist_ok=True)
    clips = write_clips(arrays, options.out / "clips")
    print(f"{len(clips)} clips, unseen {options.split}, in {options.out}; overrides: {' '.join(options.overrides)}")
    heads = ["fold", "sweep", "dev WER in the search", "trained again", "test WER", "behind the first", "search, s"]
    heads.append("parameters")
    print(f"| {' | '.join(heads)} |\n{'|---' * len(heads)}|", flush=True)
    rows = []
    for row in compare(options, clips):
        rows.append({"split": options.split, **row})
        show(row)
        if options.json is not None:
            options.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

"""From a sweep to its folder of results."""

import json
import os
import sys
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console

from glosstune.models import read_weights
from glosstune.results import Results, load_results
from glosstune.search.display import Display
from glosstune.search.manifest import build_manifest
from glosstune.search.outputs import check_free
from glosstune.search.progress import SweepProgress
from glosstune.search.record import Record
from glosstune.search.sweep import AUTO, Sweep
from glosstune.search.weights import tell_start, with_weights
from glosstune.spaces.errors import CorpusError, FolderError
from glosstune.trainables.corpora import PackedCorpus, pack_corpus
from glosstune.trainables.corpora.utterance import SPLITS
from glosstune.trainables.files import write_whole
from glosstune.trainables.floor import corpus_floor, infeasible_rows


def launch(sweep: Sweep, out: Path | None = None, *, console: Console | None = None) -> Results:
    """Run a sweep and return its results.

    Args:
        sweep: what to search (see ``load_sweep``).
        out: the sweep's folder; default ``<storage>/<name>-<date>``.
        console: where progress is shown; default standard error.

    Raises:
        CorpusError: the corpus cannot be trained on.
        CheckpointError: the pretrained weights cannot be read or do not fit.
        SettingError: a trial asks for more CPUs or GPUs than there are.
        FolderError: the folder exists already or cannot be written.
    """
    console = console or Console(stderr=True)
    # Glosses and folders may hold what rich takes for markup.
    say = partial(console.print, soft_wrap=True, highlight=False, markup=False)
    folder = (out or _dated_folder(sweep)).expanduser().absolute()
    check_free(folder)
    if sweep.pretrained not in (None, AUTO):
        read_weights(str(sweep.pretrained))  # a wrong file shows at once, not after the corpus is packed
    # Whatever is wrong with the data shows here, before anything is written.
    say(f"corpus: packing or opening {sweep.corpus.kind} ({sweep.corpus.split})")
    corpus = pack_corpus(sweep.corpus)
    stride = sweep.model.time_stride
    floors = {split: corpus_floor(corpus, split, stride) for split in SPLITS[:2]}  # test waits for confirmation
    say(_describe(corpus))
    say(f"CTC floor: {floors['train']:.2f} nats a gloss (train, time stride {stride})")
    _check_feasible(corpus, stride, say)

    ready, weights = sweep, None
    if sweep.pretrained != AUTO:
        weights = tell_start(sweep, corpus, say)

    # Ray 2.59 and newer decide on authentication at import; an open port without it runs anybody's code.
    os.environ.setdefault("RAY_AUTH_MODE", "token")
    os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")  # the new output engine cannot be silenced
    from glosstune.search.tuning import check_resources, run_trials, start_ray  # importing Ray takes two seconds

    start_ray()
    check_resources(sweep)
    if sweep.pretrained == AUTO:  # which may take hours, so not before it is clear that trials can run
        ready = with_weights(sweep, corpus, say)
        weights = tell_start(ready, corpus, say)
    _reserve(folder)
    record = Record(folder / "record.jsonl")
    _write_folder(sweep, folder, build_manifest(corpus, floors, sys.argv, weights))
    epochs, target = sweep.training.epochs, sweep.search.target
    record.sweep(samples=sweep.search.samples, epochs=epochs, metric=sweep.search.metric, target=target)
    say(f"sweep folder: {folder}")
    budget_min = sweep.search.time_budget_min
    budget_s = None if budget_min is None else budget_min * 60
    progress = SweepProgress(sweep.name, sweep.search.samples, epochs, target, time_budget_s=budget_s)
    with Display(progress, console) as display:
        run_trials(ready, folder, record, display)
    return load_results(folder)


def _dated_folder(sweep: Sweep) -> Path:
    return sweep.storage / f"{sweep.name}-{datetime.now():%Y-%m-%d-%H%M%S}"


def _check_feasible(corpus: PackedCorpus, stride: int, say: Callable[[str], None]) -> None:
    infeasible, rows = len(infeasible_rows(corpus, "train", stride)), len(corpus.rows("train"))
    if infeasible == rows:
        raise CorpusError(
            f"every training utterance has more glosses than output frames at model.time_stride {stride}; lower it"
        )
    if infeasible:
        say(f"train: {infeasible} of {rows} utterances have more glosses than output frames and cannot be trained on")


def _reserve(folder: Path) -> None:
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise FolderError(f"{folder}: cannot be made: {error}; choose another folder with --out") from error


def _write_folder(sweep: Sweep, folder: Path, described: Mapping[str, Any]) -> None:
    manifest = json.dumps(described, indent=1)
    resolved = yaml.safe_dump(sweep.resolved(), sort_keys=False, allow_unicode=True)
    write_whole(folder / "manifest.json", lambda partial: partial.write_text(manifest, encoding="utf-8"))
    write_whole(folder / "sweep.yaml", lambda partial: partial.write_text(resolved, encoding="utf-8"))


def _describe(corpus: PackedCorpus) -> str:
    table = corpus.table
    counts = ", ".join(f"{len(corpus.rows(split))} {split}" for split in ("train", "dev", "test"))
    unknown = sorted({g for row in corpus.rows("dev") for g in corpus.vocabulary.unknown(corpus.glosses(row))})
    line = (
        f"corpus: {counts} utterances, {len(corpus.vocabulary) - 1} glosses, {table['frames'].mean():.0f} frames each"
    )
    if unknown:
        listed = ", ".join(unknown[:10]) + (", …" if len(unknown) > 10 else "")
        line += f"\ndev: {len(unknown)} glosses do not occur in training and count as errors: {listed}"
    return line

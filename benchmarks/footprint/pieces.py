"""What has no command of its own: an epoch, scoring, and what a confirmation does once all is trained.

Each is measured in a process of its own, and by its own clock: imports and the opening of a corpus do not count.
"""

import json
import shutil
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from footprint.rows import TIMES, shown_time
from footprint.watching import folder_mb
from glosstune.results.analysis.confirmation import summarise_confirmation
from glosstune.search.config.loading import load_sweep
from glosstune.search.config.sweep import Sweep
from glosstune.search.confirm.scoring import find_broadcast
from glosstune.search.driver.excerpt import Excerpt, pack_excerpt
from glosstune.search.driver.timing import Cost, Stage, epoch_batches, list_stages, padded_frames
from glosstune.trainables import TrainingSession
from glosstune.trainables.batches.batching import EVALUATION_BATCH, sorted_batches
from glosstune.trainables.corpora import pack_corpus
from glosstune.trainables.corpora.kinds import corpus_traits
from glosstune.trainables.corpora.utterance import SPLITS

# Twenty steps once everything is warm: four times five batches, of short, middling and long sentences; where layers
# thaw in four stages, once in each.
BATCHES, PASSES = 5, 4
# What a confirmation trains where nobody says otherwise.
TRIALS, SEEDS = 3, 5
RESAMPLES = 2000


def measure(asked: Mapping[str, Any]) -> None:
    """Measure one thing, and write what it took where it is asked for."""
    told = MEASURES[asked["what"]](asked)
    Path(asked["answer"]).write_text(json.dumps(told), encoding="utf-8")


def _sweep(asked: Mapping[str, Any], *overrides: str) -> Sweep:
    sweep = load_sweep(asked["sweep"], [*asked["overrides"], *overrides])
    torch.set_num_threads(max(1, int(sweep.resources.cpu)))  # as a trial does
    return sweep


def measure_epoch(asked: Mapping[str, Any]) -> dict[str, Any]:
    """A mean epoch of a strategy with the author's depth: its steps and its scoring of dev, from a few sentences.

    They are told by their frames, padding included. What weights hold costs no time, so there are none.
    """
    no_weights = ("pretrained=null", "freezing.allow_random_frozen=true")
    sweep = _sweep(asked, f"space={{strategy: {asked['strategy']}}}", *no_weights)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    batches, passes = (1, 1) if asked["short"] else (BATCHES, PASSES)
    folder = Path(asked["folder"])
    counts = {"train": batches * sweep.training.batch_size, "dev": EVALUATION_BATCH}
    excerpt = pack_excerpt(sweep.corpus, counts, folder / "excerpt", print)
    ((_, stages),) = list_stages(sweep, excerpt, device)
    passes = max(1, passes // len(stages))
    costs, kept_mb = [], 0.0
    for stage in stages:
        with tempfile.TemporaryDirectory(dir=folder) as name:
            cost, stage_mb = _time_stage(stage, excerpt, Path(name) / "cache", passes, device)
        taken = f"{shown_time(cost.train_s)} of training, {shown_time(cost.score_s)} of scoring"
        print(f"training from {stage.first} on: {taken}")
        costs.append((stage.share, cost))
        kept_mb += stage_mb
    few, every = _batches(stages[0], excerpt)
    steps = len(few) * passes
    how = f"{steps} step{'s' * (steps > 1)} {TIMES} {padded_frames(every) / padded_frames(few) / passes:.3g}"
    how += f" in each of {len(stages)} stages" * (len(stages) > 1) + ", and dev"
    if once := sum(cost.frozen_s for _, cost in costs):
        how += f"; frozen layers once before, {shown_time(once)}"
    return {"seconds": sum(share * cost.epoch_s for share, cost in costs), "disk_mb": kept_mb, "how": how}


def _batches(stage: Stage, excerpt: Excerpt) -> tuple[list[list[int]], list[list[int]]]:
    """Lengths of the sentences of each batch of an epoch: of the few, and of all."""
    training = stage.settings.training
    own = [excerpt.length(row) for row in excerpt.rows("train")]
    few, every = (
        epoch_batches(lengths, training.batch_size, training.seed, stage.epoch)
        for lengths in (own, excerpt.lengths["train"])
    )
    return few, every


def _time_stage(stage: Stage, excerpt: Excerpt, cache: Path, passes: int, device: torch.device) -> tuple[Cost, float]:
    """What an epoch costs while the same layers train, and the megabytes that what frozen ones give would need."""
    corpus = stage.settings.corpus.model_copy(update={"cache": cache})
    settings = stage.settings.model_copy(update={"corpus": corpus})
    session = TrainingSession(settings, excerpt, device=device)
    cold = _run(session, stage)
    frames = sum(excerpt.length(row) for split in excerpt.lengths for row in excerpt.rows(split))
    growth = sum(map(sum, excerpt.lengths.values())) / frames
    kept_mb = folder_mb(cache) * growth
    if kept_mb * 1e6 > settings.activation_cache_gb * 2**30:
        kept_mb = 0.0  # what the whole corpus has no room for is computed anew at every step
        session = TrainingSession(settings.model_copy(update={"activation_cache": False}), excerpt, device=device)
        _run(session, stage)
    elif kept_mb:
        # Once more from nothing: the first time the kernels were compiled too, which does not grow with the corpus.
        shutil.rmtree(cache)
        session = TrainingSession(settings, excerpt, device=device)
        cold = _run(session, stage)
    warm = [_run(session, stage) for _ in range(passes)]
    train_s, score_s = (sum(seconds) / passes for seconds in zip(*warm, strict=True))
    few, every = map(padded_frames, _batches(stage, excerpt))
    dev, all_dev = (
        padded_frames(sorted_batches(lengths, lengths, EVALUATION_BATCH))
        for lengths in ([excerpt.length(row) for row in excerpt.rows("dev")], excerpt.lengths["dev"])
    )
    frozen_s = max(0.0, cold[0] - train_s) * growth if kept_mb else 0.0
    return Cost(train_s * every / few, score_s * all_dev / dev, frozen_s), kept_mb


def _run(session: TrainingSession, stage: Stage) -> tuple[float, float]:
    """Seconds of training on the few sentences, and of scoring."""
    session.epoch = stage.epoch
    metrics = session.run_epoch()
    train_s = sum(map(session.corpus.length, session.corpus.rows("train"))) / metrics["frames_per_s"]
    return train_s, metrics["epoch_s"] - train_s


def measure_scoring(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Dev, as after every epoch, by a model that nobody has trained."""
    session = _untrained(asked)
    started = time.perf_counter()
    scored = session.score("dev")
    seconds = time.perf_counter() - started
    texts = ([text.split() for text in scored[name]] for name in ("reference", "hypothesis"))
    wer = session.rule.count(*texts).rates.wer
    how = f"measured: {len(scored)} sentences by the rule {session.rule.name}, WER {wer:.0%} of an untrained model"
    return {"seconds": seconds, "how": how}


def _untrained(asked: Mapping[str, Any]) -> TrainingSession:
    sweep = _sweep(asked)
    return TrainingSession(sweep.settings_of({"strategy": "baseline"}), pack_corpus(sweep.corpus))


def measure_confirmation(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Dev and test scored with a checkpoint, sentence by sentence, as ``search.confirm.scoring`` does."""
    session = _untrained(asked)
    best = Path(asked["folder"]) / "best.pt"
    session.save(best)
    corpus, kind = session.corpus, session.settings.model.kind
    signers = dict(zip(corpus.table["key"], corpus.table["signer"], strict=True))
    started = time.perf_counter()
    rows = []
    session = TrainingSession.of_checkpoint(best, corpus, [kind])
    for split in SPLITS[1:]:
        for row in session.score(split).to_dict("records"):
            counts = session.rule.count([row["reference"].split()], [row["hypothesis"].split()])
            told = {"split": split, "key": row["key"], "signer": signers[row["key"]]}
            rows.append({**told, "glosses": counts.glosses, "errors": counts.errors})
    seconds = time.perf_counter() - started
    pd.DataFrame(rows).to_parquet(_scored(asked))
    how = f"1 trained model {TIMES} {TRIALS * SEEDS}, {len(rows)} sentences each"
    return {"seconds": seconds * TRIALS * SEEDS, "how": how}


def measure_intervals(asked: Mapping[str, Any]) -> dict[str, Any]:
    """The bootstrap over what was scored, as if several trials under several seeds had written the same."""
    one = pd.read_parquet(_scored(asked)).assign(scoring="greedy", part="seeds")
    copies = [one.assign(trial=trial, sweep_wer=1.0, seed=seed) for trial in range(TRIALS) for seed in range(SEEDS)]
    clusters = corpus_traits(_sweep(asked).corpus.kind).clusters
    started = time.perf_counter()
    utterances = pd.concat(copies)
    utterances["broadcast"] = utterances["key"].map(find_broadcast)
    summarise_confirmation(utterances, clusters, RESAMPLES)
    seconds = time.perf_counter() - started
    count = int((one["split"] == "test").sum())
    how = f"measured: {RESAMPLES:,} draws of {count} sentences for {TRIALS} trials under {SEEDS} seeds"
    return {"seconds": seconds, "how": how}


def _scored(asked: Mapping[str, Any]) -> Path:
    return Path(asked["folder"]) / "scored.parquet"


MEASURES = {
    "epoch": measure_epoch,
    "scoring": measure_scoring,
    "confirmation": measure_confirmation,
    "intervals": measure_intervals,
}

"""What distillation gives the student: python benchmarks/distillation.py [--short] [--json FILE]

Over the signer folds of the embedded corpus a teacher is pretrained and trained by the best recipe of its packaged
sweep; then the student is trained alone and taught by it, with the same recipe, steps and seeds, on all training
utterances and on a quarter of them (the teacher too), repeated four times an epoch so that steps stay equal. Dev WER,
lowest and last; the test split is never read. With --speed, instead: the time of an epoch with a teacher that runs at
each step against one with posteriors from the store, in turn.
"""

import argparse
import json
import os
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from glosstune.models import build_model
from glosstune.models.recogniser import State
from glosstune.search import load_sweep, with_weights
from glosstune.search.config.sweep import Sweep
from glosstune.trainables import TrainingSession
from glosstune.trainables.batches.precision import autocast
from glosstune.trainables.corpora import PackedCorpus, pack_corpus
from glosstune.trainables.corpora.store import SampledCorpus
from glosstune.trainables.distillation.distillation import Distillation, frame_divergence
from glosstune.trainables.export.exporting import export_checkpoint, load_recogniser
from glosstune.trainables.settings import DistillationSettings

TEACHER = {"strategy": "full-finetune", "learning_rate": 2e-4, "warmup_epochs": 1, "dropout": 0.4}
STUDENT = {"learning_rate": 3e-3, "warmup_epochs": 1, "dropout": 0.3}
ARMS: Mapping[str, Mapping[str, float] | None] = {
    "alone": None,
    "taught": {},
    "no blank": {"blank_weight": 0.0},
    "a tenth of blank": {"blank_weight": 0.1},
    "temperature 1": {"temperature": 1.0},
    "alpha 0.3": {"alpha": 0.3},
    "likeness 1": {"feature_weight": 1.0},
    "likeness only": {"alpha": 0.0, "feature_weight": 1.0},
}
SHORT = ["model.width=0.25", "corpus.sentences=24", "training.epochs=1", "pretraining.steps=20"]


def prepare(
    kind: str, recipe: Mapping[str, object], fold: int, share: float, overrides: Sequence[str]
) -> tuple[Sweep, PackedCorpus]:
    """The packaged sweep of a model on a fold of signers, 0 for known ones, with a share of the training utterances."""
    space = ", ".join(f"{name}: {value}" for name, value in recipe.items())
    split = ["corpus.split=unseen-signers", f"corpus.fold={fold}"] if fold else ["corpus.split=multi-signer"]
    sweep = load_sweep(kind, [f"space={{{space}}}", *split, *overrides])
    corpus = pack_corpus(sweep.corpus)
    if share == 1:
        return sweep, corpus
    rows, times = corpus.rows("train"), round(1 / share)
    chosen = rows[: len(rows) // times]
    return sweep, SampledCorpus.of(corpus, {"train": tuple(chosen * times), "dev": tuple(corpus.rows("dev"))})


def make_teacher(path: Path, fold: int, share: float, threads: int, overrides: Sequence[str]) -> None:
    """Pretrain and train a teacher, and export its epoch of the lowest dev WER."""
    torch.set_num_threads(threads)
    sweep, corpus = prepare("teacher", TEACHER, fold, share, overrides)
    # A corpus of so few sentences has the first ones of the larger: what the teacher is pretrained on is theirs alone.
    few = sweep.corpus.model_copy(update={"sentences": int(sweep.corpus.sentences * share)})
    pretrained = with_weights(sweep.model_copy(update={"corpus": few}), pack_corpus(few), lambda line: None).pretrained
    sweep = sweep.model_copy(update={"pretrained": pretrained})
    session = TrainingSession(sweep.trial_settings(TEACHER), corpus)
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = Path(folder) / "best.pt"
        for _ in range(sweep.training.epochs):
            session.run_epoch()
            if session.improved:
                session.save(checkpoint)
        export_checkpoint(checkpoint, path, {"wer": session.best_wer})


def train_student(
    teacher: Path, arm: str, fold: int, share: float, seed: int, threads: int, overrides: Sequence[str]
) -> dict[str, object]:
    """One student's figures."""
    torch.set_num_threads(threads)
    sweep, corpus = prepare("student", STUDENT, fold, share, [*overrides, f"training.seed={seed}"])
    settings, taught = sweep.trial_settings(STUDENT), ARMS[arm]
    if taught is not None:
        settings = settings.model_copy(update={"teacher": teacher, "distillation": DistillationSettings(**taught)})
    session = TrainingSession(settings, corpus)
    curve = [session.run_epoch()["wer"] for _ in range(sweep.training.epochs)]
    known = {} if session.distillation is None else {"teacher": session.distillation.posteriors.wer}
    run = {"arm": arm, "fold": fold, "share": share, "seed": seed}
    return {**run, **known, "best": min(curve), "last": curve[-1], "curve": curve}


class Running(Distillation):
    """A teacher that runs at each step, as cheaply as it can: on the features that the student has just been given."""

    def loss(self, *batch: Any) -> tuple[Tensor, Tensor]:
        _, _, log_probs, _, lengths = batch
        with torch.no_grad(), autocast(log_probs.device, "auto"):
            said, _ = self.teacher(*self.seen)
        valid = (torch.arange(len(log_probs)).unsqueeze(1) < lengths).to(log_probs.device)
        divergence = frame_divergence(log_probs, said, valid, self.settings)
        return self.settings.alpha * divergence, divergence.detach()


def compare_speed(teacher: Path, rounds: int, overrides: Sequence[str]) -> None:
    """Print the time of an epoch with a running teacher over that with kept posteriors, for two teachers."""
    sweep, corpus = prepare("student", STUDENT, 0, 1.0, overrides)
    settings = sweep.trial_settings(STUDENT).model_copy(update={"teacher": teacher})
    trained = load_recogniser(teacher).model
    full = build_model("teacher", len(corpus.vocabulary), width=1.0, time_stride=settings.model.time_stride)
    for name, network in ((f"width {trained.width:g}", trained), ("width 1", full)):
        kept, run = TrainingSession(settings, corpus), TrainingSession(settings, corpus)
        assert run.distillation is not None
        running = Running(**vars(run.distillation))
        vars(running)["teacher"] = network.to(run.device).eval()
        forward = run.model.forward_from

        def remember(layer: str, state: State, lengths: Tensor, running: Any = running, forward: Any = forward) -> Any:
            vars(running)["seen"] = (state[0], lengths)
            return forward(layer, state, lengths)

        vars(run.model)["forward_from"] = remember
        run.distillation = running
        ratios = []
        for turn in range(rounds + 1):
            with_store, with_teacher = (session.run_epoch()["epoch_s"] for session in (kept, run))
            if turn:  # the first warms up
                ratios.append(with_teacher / with_store)
                print(f"{name}: posteriors kept {with_store:.1f} s, teacher running {with_teacher:.1f} s", flush=True)
        print(f"{name}: running / kept {statistics.median(ratios):.2f} (from {min(ratios):.2f} to {max(ratios):.2f})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="only shows that it runs")
    parser.add_argument("--json", type=Path, help="file for all figures")
    parser.add_argument("--teachers", type=Path, help="folder of teachers; those that are there are used")
    parser.add_argument("--only-teachers", action="store_true", help="train no student")
    parser.add_argument("--folds", type=int, nargs="+", default=[1, 2, 3, 4, 5], help="0: known signers")
    parser.add_argument("--shares", type=float, nargs="+", default=[1.0, 0.25])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--arms", nargs="+", choices=list(ARMS), default=["alone", "taught"])
    parser.add_argument("--epochs", type=int, default=30, help="of a student")
    parser.add_argument("--overrides", nargs="+", default=[], help="of both sweeps, such as training.precision=fp32")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1, help="of a process")
    parser.add_argument("--speed", type=Path, metavar="TEACHER", help="measure speed with this exported teacher only")
    parser.add_argument("--rounds", type=int, default=5, help="of the speed")
    options = parser.parse_args()
    if options.speed:
        compare_speed(options.speed, options.rounds, options.overrides)
        return
    overrides, students = options.overrides, [f"training.epochs={options.epochs}", *options.overrides]
    if options.short:
        overrides = students = SHORT
        options.folds, options.shares, options.seeds = [1], [0.25], [0]
    rows: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as scratch, ProcessPoolExecutor(options.processes, get_context("spawn")) as pool:
        folder = options.teachers or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        places = list(product(options.folds, options.shares))
        teachers = {(f, s): folder / f"fold-{f}-share-{s:g}.safetensors" for f, s in places}
        missing = [(path, *place, options.threads, overrides) for place, path in teachers.items() if not path.exists()]
        for future in as_completed([pool.submit(make_teacher, *arguments) for arguments in missing]):
            future.result()
        if options.only_teachers:
            return
        futures = [
            pool.submit(train_student, teachers[f, s], arm, f, s, seed, options.threads, students)
            for seed, s, f, arm in product(options.seeds, options.shares, options.folds, options.arms)
        ]
        for future in as_completed(futures):
            row = future.result()
            rows.append(row)
            place = f"fold {row['fold']} share {row['share']} seed {row['seed']}"
            print(f"{place} {row['arm']}: {row['best']:.1%}", flush=True)
            if options.json:
                options.json.write_text(json.dumps(rows))
        if options.short:
            compare_speed(teachers[1, 0.25], 1, SHORT)
    print(f"{options.epochs} epochs, recipe {STUDENT}; teacher {TEACHER}")
    tell(rows, options.shares, options.arms)


def tell(rows: Sequence[dict[str, object]], shares: Sequence[float], arms: Sequence[str]) -> None:
    """A table: a row a share and arm, mean and deviation over folds and seeds, and how much of the gap is closed."""
    print("| share | arm | best dev WER | last dev WER | runs | gap closed |\n|---|---|---|---|---|---|")
    for share in shares:
        own = [row for row in rows if row["share"] == share]
        known = {row["fold"]: float(row["teacher"]) for row in own if "teacher" in row}
        if known:
            print(f"| {share:g} | teacher | {statistics.mean(known.values()):.1%} | | {len(known)} | |")
        alone = statistics.mean(float(row["best"]) for row in own if row["arm"] == "alone") if own else 0.0
        for arm in arms:
            best, last = ([float(row[name]) for row in own if row["arm"] == arm] for name in ("best", "last"))
            if not best:
                continue
            spread = statistics.stdev(best) if len(best) > 1 else 0.0
            gap = alone - statistics.mean(known.values()) if known else 0.0
            closed = f"{(alone - statistics.mean(best)) / gap:.0%}" if gap > 0 else "no gap"
            print(
                f"| {share:g} | {arm} | {statistics.mean(best):.1%} ± {spread:.1%} | {statistics.mean(last):.1%} | "
                f"{len(best)} | {'' if arm == 'alone' else closed} |"
            )


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()

"""Record learning curves of tasks for searches: python benchmarks/record_tasks.py [TASK ...] [--copycat FILE] [--short]

A task is a file tasks/NAME.yaml: a sweep over a wide space. Configurations are drawn at random from it and trained,
without Ray, at a constant rate after their warm-up (the trunk), one thread each, two at a time. From some epochs of the
first ones' trunks branches a short decay: two epochs in which the rate falls to a twentieth, as at the end of any trial
of constant rate. A trunk ends half-way where the rules of its sweep would stop it as stuck; what replays it holds its
last epoch from there on.

Each epoch is a row: WER on dev of the weights and of their average over the last epoch, losses, mean training loss of
each third of the epoch, and ``cpu_s``, processor time with one scoring, which other load on the machine disturbs less
than it does the clock. Tasks on CopyCat need --copycat (see layouts.py); its recordings do not come along, curves on
them may. A configuration that is done is kept in --work, so the command goes on where it was stopped, and tasks take
turns; every task whose configurations are all there becomes tasks/NAME.parquet.
"""

import argparse
import json
import math
import multiprocessing
import random
import tempfile
import time
from collections.abc import Collection, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from layouts import write_clips, write_table
from replay.tasks import TASKS, Task
from torch import Tensor

from glosstune.search import load_sweep
from glosstune.search.config.sweep import Sweep
from glosstune.search.driver.weights import settle_gains, with_weights
from glosstune.search.scheduler.experience import known
from glosstune.search.scheduler.stopping import judge_trial
from glosstune.spaces.files.atomic import write_whole
from glosstune.trainables import TrainingSession, TrialSettings, export_checkpoint
from glosstune.trainables.batches.batching import Batch
from glosstune.trainables.corpora import pack_corpus
from glosstune.trainables.ctc.losses import CTCLoss

BRANCHES = (2, 4, 7, 11)  # epochs of a trunk after which it is decayed
DECAY = 2  # epochs of a branch
BRANCHED = 8  # configurations of a task that have branches
LEFT_PLATEAU = 0.9  # WER; above it no decay tells anything
TAUGHT = "distil"  # tasks whose name begins so need a teacher
CONTINUOUS = "continuous"  # tasks whose name holds it need the recordings of CopyCat
SHARE, UNSEEN = 3, "s4"  # every third of them; dev
SHORT = (
    "model.width=0.25",
    "training.epochs=3",
    "pretraining.steps=9",
    "corpus.sentences=24",
    "corpus.signers=[ase, gsg]",
)
Job = tuple[Sweep, dict[str, Any], Path, Collection[int]]  # sweep, configuration, file of its curves, branches

KEPT = ("train_loss", "dev_loss", "loss_below_floor", "loss_below_floor_se", "blank_ratio", "trainable_params")


class RecordedSession(TrainingSession):
    """A session that keeps the loss of every step of its last epoch, and can score weights that are not averaged."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.losses: list[float] = []

    def run_epoch(self) -> dict[str, float]:
        self.losses = []
        return super().run_epoch()

    def latest_wer(self) -> float:
        """On dev, of the weights of the last step."""
        averaged, self.averaged = self.averaged, None
        try:
            return self._score("dev")[0].wer
        finally:
            self.averaged = averaged

    def _step(self, batch: Batch) -> tuple[CTCLoss, Tensor, Tensor]:
        result = super()._step(batch)
        self.losses.append(float(result[0].mean))
        return result


def of_length(settings: TrialSettings, epochs: int, decay: int) -> TrialSettings:
    """The same trial at a constant rate, with a decay in its last epochs."""
    training = {"epochs": epochs, "schedule": "constant", "final_decay": decay / epochs, "average_epochs": 1.0}
    return settings.model_copy(update={"training": settings.training.model_copy(update=training)})


def run_epoch(session: RecordedSession) -> dict[str, Any]:
    """An epoch as a row."""
    started = time.process_time()
    metrics = session.run_epoch()
    cpu_s = time.process_time() - started
    thirds = [
        torch.tensor(session.losses[len(session.losses) * part // 3 : len(session.losses) * (part + 1) // 3])
        for part in range(3)
    ]
    return {
        "epoch": session.epoch,
        **{name: metrics[name] for name in KEPT},
        "wer_averaged": metrics["wer"],
        "wer": session.latest_wer(),
        **{f"loss_{part}": float(third.mean()) for part, third in enumerate(thirds, start=1)},
        "floor": session.floor,
        "cpu_s": cpu_s,
    }


def train(sweep: Sweep, configuration: dict[str, Any], path: Path, branches: Collection[int]) -> str:
    """Train one configuration, with branches at these epochs, and keep its curves."""
    torch.set_num_threads(1)
    settings, corpus = sweep.trial_settings(configuration), pack_corpus(sweep.corpus)
    epochs = sweep.training.epochs
    trunk = RecordedSession(of_length(settings, epochs, 0), corpus)
    rows: list[dict[str, Any]] = []
    stuck = False
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = Path(folder) / "trunk.pt"
        while trunk.epoch < epochs and not stuck:
            rows.append({"branch": 0, **run_epoch(trunk)})
            curve = [{key: _finite(value) for key, value in row.items()} for row in rows if not row["branch"]]
            at = trunk.epoch
            grace = sweep.halving.min_epochs + configuration.get("warmup_epochs", 0)
            stuck = at >= epochs / 2 and judge_trial(curve, grace, sweep.stopping) is not None
            if at in branches and at + DECAY <= epochs and rows[-1]["wer_averaged"] < LEFT_PLATEAU:
                trunk.save(checkpoint)
                branch = RecordedSession(of_length(settings, at + DECAY, DECAY), corpus)
                branch.load(checkpoint)
                rows += [{"branch": at, **run_epoch(branch)} for _ in range(DECAY)]
    text = json.dumps({"configuration": configuration, "epochs": rows})
    write_whole(path, lambda part: part.write_text(text))
    return f"{path.parent.name} {path.stem}: best {min(row['wer_averaged'] for row in rows):.1%}"


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def write_continuous(file: Path, folder: Path) -> Path:
    """A table of a share of CopyCat's recordings, where one signer is dev and the others train."""
    with np.load(file) as arrays:
        clips = write_clips(arrays, folder)[::SHARE]
    return write_table(folder, [(*clip, "dev" if clip.signer == UNSEEN else "train") for clip in clips])


def prepared(name: str, overrides: Sequence[str], work: Path, copycat: Path | None) -> Sweep:
    """The sweep of a task, its corpus packed, its weights and its teacher made."""
    own = list(overrides)
    if CONTINUOUS in name:
        assert copycat is not None
        table = work / "copycat" / "table.csv"
        if not table.exists():
            table.parent.mkdir(parents=True, exist_ok=True)
            write_continuous(copycat, table.parent)
        own.append(f"corpus.root={table}")
    if name.startswith(TAUGHT):
        teacher = work / "teacher.safetensors"
        if not teacher.exists():
            write_teacher(teacher, overrides)
        own.append(f"teacher={teacher}")
    sweep = load_sweep(TASKS / f"{name}.yaml", own)
    corpus = pack_corpus(sweep.corpus)
    return with_weights(settle_gains(sweep, corpus, print), corpus, print)


def write_teacher(path: Path, overrides: Sequence[str]) -> None:
    """Train the configuration of tasks/teacher.yaml, whose space leaves no choice, and export it."""
    sweep = load_sweep(TASKS / "teacher.yaml", overrides)
    corpus = pack_corpus(sweep.corpus)
    sweep = with_weights(sweep, corpus, print)
    session = TrainingSession(sweep.trial_settings(sweep.space.sample(random.Random(0))), corpus)
    for _ in range(sweep.training.epochs):
        session.run_epoch()
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = Path(folder) / "last.pt"
        session.save(checkpoint)
        export_checkpoint(checkpoint, path, {})
    print(f"{path}: {session.metrics['wer']:.1%}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = sorted(path.stem for path in TASKS.glob("*.yaml") if path.stem != "teacher")
    parser.add_argument("tasks", nargs="*", metavar="TASK", help=f"of {', '.join(names)}; default all that can be")
    parser.add_argument("--copycat", type=Path, help="an .npz of hands, offsets, signer and glosses")
    parser.add_argument("--out", type=Path, default=TASKS, help="folder of the tables")
    parser.add_argument("--work", type=Path, help="folder of finished curves; default recorded/ in --out")
    parser.add_argument("--configurations", type=int, default=40, help="of each task")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--short", action="store_true", help="one tiny configuration: only shows that it runs")
    parser.add_argument("--package", action="store_true", help="only write what searches know from the tables")
    options = parser.parse_args()
    if options.package:
        package(options.out)
        return
    if unknown := sorted(set(options.tasks) - set(names)):
        parser.error(f"{', '.join(unknown)}: no task; there are {', '.join(names)}")
    options.tasks = options.tasks or [name for name in names if CONTINUOUS not in name or options.copycat]
    if options.copycat is None and any(CONTINUOUS in name for name in options.tasks):
        parser.error("--copycat: name the file of recordings that tasks on continuous signing need")
    with tempfile.TemporaryDirectory() as scratch:
        if options.short:
            options.tasks, options.configurations, options.out = ["distil"], 1, Path(scratch)
        record(options)


def read_curves(paths: Sequence[Path]) -> pd.DataFrame:
    """A row an epoch: the number of the configuration, its parameters, and what was recorded."""
    frames = []
    for number, path in enumerate(paths):
        curve = json.loads(path.read_text())
        parameters = pd.DataFrame([curve["configuration"]] * len(curve["epochs"]))
        frames.append(pd.concat([parameters, pd.DataFrame(curve["epochs"])], axis=1).assign(configuration=number))
    table = pd.concat(frames, ignore_index=True)
    return table[["configuration", *(name for name in table.columns if name != "configuration")]]


def package(folder: Path) -> None:
    """Write the best configurations of the tables as what searches know of earlier ones."""
    told = {task.name: task.known for task in map(Task.read, sorted(folder.glob("*.parquet")))}
    text = json.dumps({name: {"model": one.model, "best": one.best} for name, one in told.items()}, indent=1) + "\n"
    write_whole(Path(known.__file__).with_name(known.PACKAGED), lambda part: part.write_text(text, encoding="utf-8"))


def record(options: argparse.Namespace) -> None:
    """Train what is not there yet and write the tables of the tasks that are whole."""
    work = options.work or options.out / "recorded"
    own = [*SHORT, f"corpus.cache={work / 'cache'}"] if options.short else []
    paths, jobs = dict[str, list[Path]](), dict[str, list[Job]]()
    for name in options.tasks:
        sweep = prepared(name, own, work, options.copycat)
        generator = random.Random(sweep.search.seed)
        drawn = [sweep.space.sample(generator) for _ in range(options.configurations)]
        paths[name] = [work / name / f"{number:03d}.json" for number in range(len(drawn))]
        each = zip(drawn, paths[name], strict=True)
        jobs[name] = [
            (sweep, configuration, path, BRANCHES if number < BRANCHED else ())
            for number, (configuration, path) in enumerate(each)
            if not path.exists()
        ]
    turns = [job for turn in zip_longest(*jobs.values()) for job in turn if job is not None]
    with ProcessPoolExecutor(options.processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        for done, told in enumerate(as_completed([pool.submit(train, *job) for job in turns]), start=1):
            print(f"{done} of {len(turns)}: {told.result()}", flush=True)
    for name, curves in paths.items():
        table = read_curves(curves)
        write_whole(options.out / f"{name}.parquet", partial(table.to_parquet, index=False))
        best = table.groupby("configuration")["wer_averaged"].min()
        print(f"{name}: {len(curves)} configurations, best {best.min():.1%}, quartile {best.quantile(0.25):.1%}")


if __name__ == "__main__":
    main()

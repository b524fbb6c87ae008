"""All that is to be known of a GPU, in one file: python benchmarks/gpu.py --json FILE [--short]

In this order, until --minutes are over; what failed says why, and the rest goes on:

steps       of teacher and student, 16 utterances of 100, 200 and 400 frames: the median of warm steps, replayed as CUDA
            graphs and as they come, in single precision and bfloat16; the first step of a shape; memory
agreement   losses of the first steps of both models, replayed and as they come, and on the CPU
epochs      of the packaged embedded sweeps, and what the first one takes
together    the same epoch with four trials on the GPU at once, each in a process of its own
sweep       two trials of a Ray sweep that finds its share of the GPU itself, and when it was below 30 % WER
tests       of models and trainables that run on CUDA: pytest -m gpu

Without a GPU --short goes through the first three on the CPU, to show that they run.
"""

import argparse
import json
import multiprocessing
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import torch
from suite.reports import read_reports
from torch import Tensor, nn

from glosstune.models import build_model
from glosstune.search import load_sweep
from glosstune.trainables import TrainingSession
from glosstune.trainables.batches.batching import Batch
from glosstune.trainables.batches.capturing import CapturedForward
from glosstune.trainables.batches.memory import free_memory
from glosstune.trainables.batches.precision import autocast
from glosstune.trainables.corpora import pack_corpus
from glosstune.trainables.ctc.losses import ctc_loss
from glosstune.trainables.settings import TrainingSettings
from glosstune.trainables.training.optimiser import build_optimiser, step_where_finite

VOCABULARY, UTTERANCES = 1232, 16
FRAMES = (100, 200, 400)
KINDS = ("teacher", "student")
WARM, TIMED = 5, 20
ROOT = Path(__file__).parents[1]


class Steps:
    """A model with its optimiser and a batch that never changes."""

    def __init__(
        self, kind: str, frames: int, precision: str, device: torch.device, *, graphs: bool, width: float
    ) -> None:
        self.model = build_model(kind, VOCABULARY, width=width, dropout=0.1, seed=0).to(device).train()
        self.optimiser = build_optimiser(self.model, TrainingSettings(), 1e-4)
        self.device, self.precision = device, precision
        generator = torch.Generator().manual_seed(0)
        lengths = torch.randint(frames * 3 // 4, frames + 1, (UTTERANCES,), generator=generator)
        features = torch.randn(UTTERANCES, frames, self.model.feature_width, generator=generator).to(device)
        self.batch = Batch((features,), lengths, tuple(range(UTTERANCES)))
        self.targets = torch.randint(1, VOCABULARY, (UTTERANCES, 6), generator=generator).tolist()
        self.said: list[str] = []
        self.captured = CapturedForward(self.model, precision, self.said.append) if graphs else None

    def step(self) -> Tensor:
        """The loss of one step, before it."""
        self.optimiser.zero_grad(set_to_none=True)
        if self.captured is not None:
            log_probs, _, lengths = self.captured(self.batch)
        else:
            with autocast(self.device, self.precision):
                log_probs, lengths = self.model(self.batch.features, self.batch.lengths)
        loss = ctc_loss(log_probs, lengths, self.targets).mean
        loss.backward()
        step_where_finite(self.optimiser, nn.utils.clip_grad_norm_(self.model.parameters(), 1.0))
        return loss.detach()

    def timed_ms(self) -> float:
        """Of one step that has been waited for."""
        started = time.perf_counter()
        self.step()
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        return 1000 * (time.perf_counter() - started)


def cases(device: torch.device, short: bool) -> list[tuple[str, int, str, bool]]:
    """Kind, frames, precision, and whether steps are replayed."""
    if short:
        return [(kind, 32, "fp32", False) for kind in KINDS]
    return list(product(KINDS, FRAMES, ("fp32", "bf16"), (True, False)))


def measure_steps(device: torch.device, width: float, short: bool) -> list[dict[str, Any]]:
    """A row a case."""
    rows = []
    for kind, frames, precision, graphs in cases(device, short):
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
        steps = Steps(kind, frames, precision, device, graphs=graphs, width=width)
        first = steps.timed_ms()
        times = [steps.timed_ms() for _ in range(2 if short else WARM + TIMED)][1 if short else WARM :]
        memory = torch.cuda.max_memory_allocated() / 2**20 if device.type == "cuda" else 0.0
        row = {"model": kind, "frames": frames, "precision": precision, "graphs": graphs, "first_ms": first}
        row |= {"step_ms": statistics.median(times), "memory_mb": memory, "said": steps.said}
        print(json.dumps(row), flush=True)
        rows.append(row)
        del steps  # its memory is none of the next one's
        free_memory()
    return rows


def compare_losses(device: torch.device, width: float) -> list[dict[str, Any]]:
    """Losses of five steps in single precision: replayed, as they come, and on the CPU, which draws other dropout."""
    rows = []
    for kind in KINDS:
        ways: dict[str, tuple[torch.device, bool]] = {
            "cpu": (torch.device("cpu"), False),
            "as they come": (device, False),
        }
        if device.type == "cuda":
            ways["replayed"] = (device, True)
        losses = {}
        for way, (where, graphs) in ways.items():
            steps = Steps(kind, 48, "fp32", where, graphs=graphs, width=width)
            steps.model.dropout = 0.0
            losses[way] = [float(steps.step()) for _ in range(5)]
        rows.append({"model": kind, **losses})
    return rows


def session_of(kind: str, overrides: Sequence[str]) -> TrainingSession:
    """A trial of the packaged embedded sweep, from scratch."""
    recipe = {"strategy": "baseline", "learning_rate": 1e-3, "warmup_epochs": 0, "dropout": 0.1}
    space = ", ".join(f"{name}: {value}" for name, value in recipe.items())
    sweep = load_sweep(kind, [f"space={{{space}}}", "pretrained=null", *overrides])
    return TrainingSession(sweep.trial_settings(recipe), pack_corpus(sweep.corpus))


def measure_epochs(overrides: Sequence[str], epochs: int) -> list[dict[str, Any]]:
    """A row a kind, with graphs and without."""
    rows = []
    for kind, graphs in product(KINDS, (True, False)):
        session = session_of(kind, [*overrides, f"training.cuda_graphs={str(graphs).lower()}"])
        times = [session.run_epoch()["epoch_s"] for _ in range(epochs)]
        rows.append({"model": kind, "graphs": graphs, "first_s": times[0], "epoch_s": statistics.median(times[1:])})
    return rows


def epoch_beside(kind: str, overrides: Sequence[str], all_there: Any, answer: Any) -> None:
    """Of a process: three epochs, the last two of them while all others train."""
    session = session_of(kind, overrides)
    session.run_epoch()
    all_there.wait()
    answer.put(statistics.mean(session.run_epoch()["epoch_s"] for _ in range(2)))
    all_there.wait()


def measure_together(overrides: Sequence[str], count: int = 4) -> list[dict[str, Any]]:
    """A row a kind: seconds of an epoch of each of so many trials on one GPU."""
    context, rows = multiprocessing.get_context("spawn"), []
    for kind in KINDS:
        all_there, answer = context.Barrier(count, timeout=120), context.Queue()
        processes = [
            context.Process(target=epoch_beside, args=(kind, overrides, all_there, answer), daemon=True)
            for _ in range(count)
        ]
        for process in processes:
            process.start()
        seconds = [answer.get(timeout=180) for _ in processes]
        for process in processes:
            process.join()
        rows.append({"model": kind, "trials": count, "epoch_s": statistics.mean(seconds)})
    return rows


def measure_sweep(folder: Path) -> dict[str, Any]:
    """Two trials of the packaged student on Ray, with the share of the GPU that it finds."""
    work, started = folder / "sweep", time.time()
    command = [sys.executable, "-m", "glosstune.search", "sweep", "student", "search.samples=2", "training.epochs=12"]
    command.append("training.cuda_graphs=true")
    done = subprocess.run([*command, "--out", str(work)], capture_output=True, text=True, timeout=240, check=False)
    reports = read_reports(work)
    below = [report.time - started for report in reports if report.metrics["wer"] < 0.3]
    return {
        "status": done.returncode,
        "seconds": time.time() - started,
        "reports": len(reports),
        "below_30_s": below[:1],
    } | {"told": [line for line in (done.stdout + done.stderr).splitlines() if "GPU" in line][:5]}


def run_tests() -> dict[str, Any]:
    """The last line of pytest."""
    command = [sys.executable, "-m", "pytest", "-q", "-m", "gpu", "-p", "no:cacheprovider", str(ROOT / "tests")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False, cwd=ROOT)
    return {"status": done.returncode, "told": done.stdout.splitlines()[-15:]}


def plan(device: torch.device, folder: Path, short: bool) -> dict[str, Callable[[], Any]]:
    """What is measured, in order."""
    small = ["corpus.sentences=24", "corpus.signers=[ase, gsg, psr]", "model.width=0.25"] if short else []
    width = 0.125 if short else 1.0
    parts: dict[str, Callable[[], Any]] = {
        "steps": partial(measure_steps, device, width, short),
        "agreement": partial(compare_losses, device, width),
        "epochs": partial(measure_epochs, small, 2 if short else 4),
    }
    if device.type == "cuda":
        parts |= {
            "together": partial(measure_together, [*small, "training.cuda_graphs=true"]),
            "sweep": partial(measure_sweep, folder),
            "tests": run_tests,
        }
    return parts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="only shows that it runs")
    parser.add_argument("--minutes", type=float, default=8.0, help="after which no further part begins")
    parser.add_argument("--json", type=Path, help="file for all figures, written after each part")
    options = parser.parse_args()
    if not torch.cuda.is_available() and not options.short:
        parser.error("torch sees no GPU; --short shows on the CPU that it runs")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    started = time.monotonic()
    told: dict[str, Any] = {"torch": torch.__version__, "device": device.type}
    if device.type == "cuda":
        told["device"] = torch.cuda.get_device_name()
    with tempfile.TemporaryDirectory() as folder:
        for name, measure in plan(device, Path(folder), options.short).items():
            begun = time.monotonic()
            if begun - started > 60 * options.minutes:
                told[name] = "no time was left"
                continue
            try:
                told[name] = measure()
            except Exception as error:  # the other parts are worth having
                told[name] = f"failed: {type(error).__name__}: {error}"
            print(f"{name}, {time.monotonic() - begun:.0f} s: {json.dumps(told[name])}", flush=True)
            if options.json is not None:
                options.json.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    if any(isinstance(part, str) and part.startswith("failed") for part in told.values()):
        sys.exit(1)


if __name__ == "__main__":
    main()

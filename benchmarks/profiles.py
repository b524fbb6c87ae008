"""Where the time of a trial's epochs and of a sweep's driver goes, sampled by py-spy: python benchmarks/profiles.py

An epoch of the full-width teacher frozen until mixed_5c, without the activation cache and with it, and of all its
layers, each on one thread after a first epoch; then the processor's seconds of the driver of a small sweep, whose
corpus and weights lie there already. A sample counts for the innermost of the parts below that its stack passes
through.

The same of an earlier version, checked out into a folder `glosstune` (one without activation cache has no such run):

    PYTHONPATH=FOLDER python benchmarks/profiles.py --runs all cached
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

import torch

HERE = Path(__file__).parent
RATE = 100
# Functions of a stack that tell what it does, as py-spy writes them.
TRIAL = {
    "reading batches": ("trained (", "scored (", "collate ("),
    "layers, forwards": ("recogniser.py",),
    "CTC loss": ("ctc_loss (",),
    "layers, backwards": ("backward (torch/_tensor.py",),
    "gradient norm": ("clip_grad_norm_ (",),
    "optimiser": ("step_where_finite (", "(torch/optim/"),
    "decoding and WER": ("greedy_decode (", "blank_frames (", "ctc/rules.py"),
}
DRIVER = {
    "imports": ("_find_and_load (",),
    "starting Ray": ("init (ray/_private/worker.py",),
    "looking at corpus and weights": ("prepare (",),
    "Ray Tune": ("fit (ray/tune/tuner.py",),
    "choosing, deciding, recording": ("scheduler.py", "record.py", "requests.py"),
    "showing progress": ("tensorboard_files.py", "display.py", "progress.py"),
}
# What trains, the first layer that does, and whether what frozen layers give is kept.
EPOCHS = {
    "all": ("all layers train", None, True),
    "uncached": ("until mixed_5c, no cache", "mixed_5c", False),
    "cached": ("until mixed_5c, cached", "mixed_5c", True),
}
SWEEP = ["teacher", "space={strategy: full-finetune, learning_rate: 1e-3}", "search.start_points=[]"]
SWEEP += ["search.samples=4", "training.epochs=3", "halving.kind=none", "resources.concurrent=1"]
TINY = ["model.width=0.25", "corpus.sentences=24", "corpus.signers=[ase, gsg, psr]", "pretraining.steps=2"]


def sampled(command: list[str], parts: Mapping[str, tuple[str, ...]], *, within: str = "") -> Counter[str]:
    """Seconds of a command's main thread by part; what is waiting is not sampled.

    Args:
        within: only stacks that pass through it count.
    """
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "stacks"
        py_spy = str(Path(sys.executable).with_name("py-spy"))
        spy = [py_spy, "record", "--threads", "--rate", str(RATE), "--format", "raw", "--output", str(out)]
        subprocess.run([*spy, "--", *command], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        found: Counter[str] = Counter()
        for line in out.read_text(encoding="utf-8").splitlines():
            stack, _, count = line.rpartition(" ")
            thread, *frames = stack.split(";")
            # Without frames the interpreter itself begins or ends.
            if "MainThread" in thread and within in stack and frames:
                found[_part(frames, parts)] += int(count)
    return Counter({part: count / RATE for part, count in found.items()})


def _part(stack: list[str], parts: Mapping[str, tuple[str, ...]]) -> str:
    for frame in reversed(stack):
        for part, names in parts.items():
            if any(name in frame for name in names):
                return part
    return "other"


def run_epochs(run: str, epochs: int, *, short: bool) -> None:
    """Epochs of a trial after a first one."""
    from activation_cache import session_for

    torch.set_num_threads(1)
    _, layer, activation_cache = EPOCHS[run]
    with tempfile.TemporaryDirectory() as folder:
        session = session_for(layer, activation_cache, Path(folder), short=short)
        profiled_epochs(session.run_epoch, epochs)


def profiled_epochs(run_epoch: Callable[[], object], epochs: int) -> None:
    """What is looked for in the stacks."""
    for _ in range(epochs):
        run_epoch()


def show(title: str, found: Mapping[str, Counter[str]], share: float = 1.0) -> None:
    """A table: a row a part, a column a run, in seconds times ``share``."""
    rows = sorted(set().union(*found.values()), key=lambda part: -max(run[part] for run in found.values()))
    print(f"\n| {title} | {' | '.join(found)} |\n|{'---|' * (len(found) + 1)}")
    for part in rows:
        print(f"| {part} | {' | '.join(f'{run[part] * share:.2f}' for run in found.values())} |")
    print(f"| all | {' | '.join(f'{sum(run.values()) * share:.2f}' for run in found.values())} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="only shows that it runs")
    parser.add_argument("--runs", nargs="+", choices=[*EPOCHS, "driver"], default=[*EPOCHS, "driver"])
    parser.add_argument("--epochs", choices=EPOCHS, help=argparse.SUPPRESS)  # to be sampled, in a process of its own
    options = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    epochs = 1 if options.short else 5
    if options.epochs:
        run_epochs(options.epochs, epochs, short=options.short)
        return
    own = [sys.executable, str(HERE / "profiles.py"), *["--short"] * options.short]
    if runs := [run for run in options.runs if run in EPOCHS][: 1 if options.short else None]:
        found = {run: sampled([*own, "--epochs", run], TRIAL, within="profiled_epochs") for run in runs}
        show("seconds of an epoch", {EPOCHS[run][0]: parts for run, parts in found.items()}, 1 / epochs)
    if "driver" not in options.runs:
        return
    with tempfile.TemporaryDirectory() as folder:
        sweep = [sys.executable, "-m", "glosstune.search", "sweep", *SWEEP, *(TINY if options.short else [])]
        if not options.short:  # what is not there yet, the second one makes
            subprocess.run([*sweep, "search.samples=1", "training.epochs=1", "--out", f"{folder}/first"], check=True)
        show("seconds of the driver", {"a sweep": sampled([*sweep, "--out", f"{folder}/second"], DRIVER)})


if __name__ == "__main__":
    main()

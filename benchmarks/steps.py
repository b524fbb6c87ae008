"""A training step on a CPU, here and in another version: python benchmarks/steps.py --against PYTHON [--pairs 16]

PYTHON is the interpreter of an environment in which the other version of glosstune is installed. Two processes of one
thread each, one a version, take steps of full models in turn, never at the same time: 16 sentences of 140 to 200 frames
of random features, forward, loss, backward, clipping, update. What a machine does besides slows both steps of a pair,
so the ratio of each pair is taken, and their median.

--short takes a few steps of narrow models against this version itself, and shows only that it runs.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import product
from pathlib import Path

KINDS, NORMS = ("teacher", "student"), ("group", "batch")
SENTENCES, FRAMES, GLOSSES = 16, 200, 1232
WARM = 2


def serve(kind: str, norm: str, width: float) -> None:
    """Take a step for every line that comes, and write how long it took, s."""
    import torch

    from glosstune.models import build_model
    from glosstune.trainables.ctc.losses import ctc_loss
    from glosstune.trainables.settings import TrainingSettings
    from glosstune.trainables.training.optimiser import build_optimiser, step_where_finite

    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = build_model(kind, GLOSSES, width=width, time_stride=4, norm=norm, dropout=0.1, seed=0).train()
    optimiser = build_optimiser(model, TrainingSettings(), 1e-3)
    features = torch.randn(SENTENCES, FRAMES, model.feature_width)
    lengths = FRAMES - 4 * torch.arange(SENTENCES)
    targets = [[1 + place, 2, 3, 4, 5] for place in range(SENTENCES)]

    def step() -> float:
        started = time.perf_counter()
        optimiser.zero_grad(set_to_none=True)
        log_probs, _, output_lengths = model.forward_from(model.layer_names[0], (features,), lengths)
        ctc_loss(log_probs, output_lengths, targets).mean.backward()
        step_where_finite(optimiser, torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0))
        return time.perf_counter() - started

    for _ in range(WARM):
        step()
    print("ready", flush=True)
    for _ in sys.stdin:
        print(step(), flush=True)


@contextmanager
def served(python: str, *asked: str) -> Iterator["subprocess.Popen[str]"]:
    """A process that serves steps."""
    command = [python, str(Path(__file__).absolute()), "--serve", *asked]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        try:
            if _line(process) != "ready":
                sys.exit(f"{python}: takes no steps; is glosstune installed there?")
            yield process
        finally:
            process.kill()


def _line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def _step_s(process: "subprocess.Popen[str]") -> float:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()
    return float(_line(process))


def compare(python: str, kind: str, norm: str, width: float, pairs: int) -> dict[str, object]:
    """Medians of steps, s, and of the ratios of pairs, this version's by the other's, with their quartiles."""
    with ExitStack() as stack:
        ours, theirs = (stack.enter_context(served(each, kind, norm, str(width))) for each in (sys.executable, python))
        found = []
        for turn in range(pairs):
            first, second = (ours, theirs) if turn % 2 else (theirs, ours)
            times = {id(process): _step_s(process) for process in (first, second)}
            found.append((times[id(ours)], times[id(theirs)]))
    low, middle, high = statistics.quantiles((own / other for own, other in found), n=4)
    here, there = (statistics.median(times) for times in zip(*found, strict=True))
    row = {"model": kind, "norm": norm, "step_s": here, "against_s": there}
    return {**row, "ratio": middle, "low": low, "high": high, "pairs": pairs}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--against", metavar="PYTHON", help="interpreter with the other version")
    parser.add_argument("--pairs", type=int, default=16, help="of steps, at least two")
    parser.add_argument("--json", type=Path, help="file for all figures")
    parser.add_argument("--short", action="store_true", help="only shows that it runs")
    parser.add_argument("--serve", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve[0], options.serve[1], float(options.serve[2]))
        return
    if options.against is None and not options.short:
        parser.error("--against: name the interpreter of the other version (or --short)")
    if options.pairs < 2:
        parser.error("--pairs: must be at least 2")
    python, width, pairs = (sys.executable, 0.25, 2) if options.short else (options.against, 1.0, options.pairs)
    print("| a step of | here, s | against, s | ratio, median and quartiles |\n|---|---|---|---|", flush=True)
    rows = []
    for kind, norm in product(KINDS, NORMS[: 1 if options.short else None]):
        rows.append(row := compare(python, kind, norm, width, pairs))
        ratio = "{ratio:.2f} ({low:.2f} to {high:.2f})".format(**row)
        print(f"| {kind}, {norm} normalisation | {row['step_s']:.2f} | {row['against_s']:.2f} | {ratio} |", flush=True)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

"""A training step on a CPU, here and in another version: python benchmarks/steps.py --against PYTHON

PYTHON is the interpreter of an environment in which the other version of glosstune is installed. Two processes of one
thread each, one a version, take steps of full models in turn, never at the same time: 16 sentences of 140 to 200 frames
of random features, forward, loss, backward, clipping, update. What a machine does besides slows both steps of a pair,
so the ratio of each pair is taken. Where a process finds its memory makes its steps quicker or slower for as long as it
lives, and the one that starts first is often the slower: so rounds have processes of their own, started in turn, and
each gives the median of its pairs. Told are the median of the rounds, and the least and the most.

--short takes a few steps of narrow models against this version itself, and shows only that it runs.
"""

import argparse
import json
import os
import shutil
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


def run_round(python: str, kind: str, norm: str, width: float, pairs: int, *, first: bool) -> tuple[float, ...]:
    """Medians of steps, s, of this version and the other, and of the ratios of pairs.

    Args:
        first: whether this version's process starts first.
    """
    asked = kind, norm, str(width)
    with ExitStack() as stack:
        started = [
            stack.enter_context(served(each, *asked)) for each in (sys.executable, python)[:: 1 if first else -1]
        ]
        ours, theirs = started[:: 1 if first else -1]
        found = []
        for turn in range(pairs):
            times = {id(process): _step_s(process) for process in (started if turn % 2 else started[::-1])}
            found.append((times[id(ours)], times[id(theirs)]))
    here, there = zip(*found, strict=True)
    return statistics.median(here), statistics.median(there), statistics.median(own / other for own, other in found)


def compare(python: str, kind: str, norm: str, width: float, pairs: int, rounds: int) -> dict[str, object]:
    """Medians over rounds."""
    found = [run_round(python, kind, norm, width, pairs, first=bool(number % 2)) for number in range(rounds)]
    here, there, ratios = zip(*found, strict=True)
    row = {"model": kind, "norm": norm, "step_s": statistics.median(here), "against_s": statistics.median(there)}
    return {**row, "ratio": statistics.median(ratios), "least": min(ratios), "most": max(ratios), "ratios": ratios}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--against", metavar="PYTHON", help="interpreter with the other version")
    parser.add_argument("--pairs", type=int, default=6, help="of steps in a round")
    parser.add_argument("--rounds", type=int, default=6, help="of processes of their own")
    parser.add_argument("--json", type=Path, help="file for all figures")
    parser.add_argument("--short", action="store_true", help="only shows that it runs")
    parser.add_argument("--serve", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve[0], options.serve[1], float(options.serve[2]))
        return
    if options.against is None and not options.short:
        parser.error("--against: name the interpreter of the other version (or --short)")
    if min(options.pairs, options.rounds) < 1:
        parser.error("--pairs, --rounds: must be at least 1")
    if options.against is not None and shutil.which(options.against) is None:
        parser.error(f"--against {options.against}: no such interpreter")
    python, width = (sys.executable, 0.25) if options.short else (options.against, 1.0)
    pairs, rounds = (1, 1) if options.short else (options.pairs, options.rounds)
    print("| a step of | here, s | against, s | ratio, least and most of a round |\n|---|---|---|---|", flush=True)
    rows = []
    for kind, norm in product(KINDS, NORMS[: 1 if options.short else None]):
        rows.append(row := compare(python, kind, norm, width, pairs, rounds))
        ratio = "{ratio:.2f} ({least:.2f} to {most:.2f})".format(**row)
        print(f"| {kind}, {norm} normalisation | {row['step_s']:.2f} | {row['against_s']:.2f} | {ratio} |", flush=True)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

"""Epochs with torch.compile against epochs without it, on one thread: python benchmarks/compiled.py [--short]

Teacher and student of full width on the embedded corpus, whose batches have six lengths or so. The two take turns after
a first epoch each, in which the compiler works; how long that took is printed. Needs a C++ compiler.
"""

import argparse
import time
from pathlib import Path

import torch
from suite import Ratio, write_ratios

from glosstune.search import load_sweep
from glosstune.trainables import TrainingSession
from glosstune.trainables.corpora import pack_corpus
from glosstune.trainables.settings import TrialSettings


def session_of(kind: str, *, compiled: bool, short: bool) -> TrainingSession:
    """A trial after its first epoch."""
    small = ["corpus.sentences=24", "corpus.signers=[ase, gsg, psr]"] if short else []
    sweep = load_sweep(kind, ["pretrained=null", "space={strategy: baseline}", *small])
    model = sweep.model.model_copy(update={"width": 0.25 if short else 1.0})
    settings = TrialSettings(model=model, corpus=sweep.corpus, training=sweep.training)
    session = TrainingSession(settings, pack_corpus(settings.corpus), device=torch.device("cpu"))
    if compiled:
        backend = "inductor"
        if short:  # the way there, once, without the minutes of the compiler
            backend, torch.compiler.config.recompile_limit = "eager", 1
        session.model.forward_from = torch.compile(session.model.forward_from, backend=backend)
    started = time.perf_counter()
    session.run_epoch()
    print(
        f"{kind}, first epoch, {'compiled' if compiled else 'as it is'}: {time.perf_counter() - started:.1f} s",
        flush=True,
    )
    return session


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="only shows that it runs")
    parser.add_argument("--models", nargs="+", choices=("student", "teacher"), default=("student", "teacher"))
    parser.add_argument("--json", type=Path, help="file for all figures")
    options = parser.parse_args()
    torch.set_num_threads(1)
    found = []
    for kind in ("student",) if options.short else options.models:
        sessions = {compiled: session_of(kind, compiled=compiled, short=options.short) for compiled in (True, False)}
        seconds: dict[bool, list[float]] = {True: [], False: []}
        for _ in range(1 if options.short else 5):
            for compiled, session in sessions.items():
                seconds[compiled].append(session.run_epoch()["epoch_s"])
        told = f"an epoch of the {kind} with torch.compile, against one without"
        found.append(Ratio(told, "s", seconds[True], seconds[False]))
    write_ratios(options.json, found)


if __name__ == "__main__":
    main()

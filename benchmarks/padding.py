"""What padding lengths to round numbers costs and saves on a CPU: python benchmarks/padding.py [KEY=VALUE ...]

oneDNN compiles a kernel for every shape that it meets, so a first epoch is dearer the more lengths its batches come in,
and every epoch the more frames they are padded with. Epochs of teacher and student from scratch, each multiple in a
process of its own, as every trial is, on one thread: the first epoch, the median of the later ones, and how many frames
a batch has for each real one. Batches are the same for all multiples. KEY=VALUE is of the sweeps that a corpus of one's
own gets where corpus.root is among them, else of those of the embedded corpus. --kept names how many kernels oneDNN
keeps, 1024 being its own default.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

MULTIPLES = (4, 8, 16, 32, 64)
EPOCHS = 4


def measure(kind: str, multiple: int, overrides: list[str], width: float, epochs: int) -> dict[str, Any]:
    """Seconds of epochs, and frames of batches for each real one."""
    import torch

    from glosstune.search import load_sweep
    from glosstune.trainables import TrainingSession
    from glosstune.trainables.batches import batching
    from glosstune.trainables.corpora import pack_corpus
    from glosstune.trainables.settings import TrialSettings

    torch.set_num_threads(1)
    counted = {"real": 0, "padded": 0}

    def padded_length(lengths: torch.Tensor) -> int:
        time = -(-int(lengths.max()) // multiple) * multiple
        counted["real"] += int(lengths.sum())
        counted["padded"] += time * len(lengths)
        return time

    batching.padded_length = padded_length
    sweep = load_sweep(kind, ["pretrained=null", "space={strategy: baseline}", "training.augment=none", *overrides])
    settings = TrialSettings(
        model=sweep.model.model_copy(update={"width": width}), corpus=sweep.corpus, training=sweep.training
    )
    session = TrainingSession(settings, pack_corpus(settings.corpus), device=torch.device("cpu"))
    times = [session.run_epoch()["epoch_s"] for _ in range(epochs)]
    row = {"model": kind, "multiple": multiple, "first_s": times[0], "later_s": statistics.median(times[1:])}
    return {**row, "padded": counted["padded"] / counted["real"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="of the corpus, and of both sweeps")
    parser.add_argument("--width", type=float, default=1.0, help="of both models")
    parser.add_argument("--kept", type=int, help="kernels that oneDNN keeps; default as in trials")
    parser.add_argument("--json", type=Path, help="file for all figures")
    parser.add_argument("--short", action="store_true", help="only shows that it runs")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    options = parser.parse_intermixed_args()
    if options.measure:
        from glosstune.spaces.errors import GlosstuneError

        try:
            print(json.dumps(measure(**json.loads(options.measure))))
        except GlosstuneError as error:
            parser.error(str(error))
        return
    small = ["corpus.sentences=24", "corpus.signers=[ase, gsg, psr]"] if options.short else []
    kept = {} if options.kept is None else {"ONEDNN_PRIMITIVE_CACHE_CAPACITY": str(options.kept)}
    rows = []
    print("| model | multiple | first epoch, s | a later one, s | frames for each real one |\n|---|---|---|---|---|")
    for kind in ("student", "teacher"):
        for multiple in MULTIPLES[:1] if options.short else MULTIPLES:
            asked = {"kind": kind, "multiple": multiple, "overrides": [*small, *options.overrides]}
            asked |= {"width": 0.25 if options.short else options.width, "epochs": 2 if options.short else EPOCHS}
            command = [sys.executable, __file__, "--measure", json.dumps(asked)]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env={**os.environ, **kept})
            if done.returncode:
                sys.exit(done.returncode)
            rows.append(row := json.loads(done.stdout.splitlines()[-1]))
            times = f"{row['first_s']:.1f} | {row['later_s']:.1f} | {row['padded']:.2f}"
            print(f"| {kind} | {multiple} | {times} |", flush=True)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

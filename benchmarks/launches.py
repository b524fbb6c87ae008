"""What a step asks a GPU for, counted on a CPU: python benchmarks/launches.py [--short] [--json FILE]

A step takes a batch of 16 utterances forward, with its loss, and backward, clips and updates; scoring takes a batch
forward. Operations are what torch dispatches, kernels those of them that compute something: neither views nor memory
that is merely taken. Normalisation counts as its fused kernels do, which run on CUDA: one forward and one backward, for
group normalisation one more. Any other operation counts as one, though on CUDA an LSTM, or an optimiser's step over all
weights, is several.

Counts depend on layers, not on widths: narrow models are counted, on a few sentences of the embedded corpus.
"""

import argparse
import json
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes

from glosstune.models.layers import normalisation
from glosstune.trainables import TrainingSession, TrialSettings, export_checkpoint
from glosstune.trainables.batches.batching import Batch
from glosstune.trainables.batches.precision import autocast
from glosstune.trainables.corpora import pack_corpus
from glosstune.trainables.settings import CorpusSettings

PARTS = ("forward", "backward", "update", "scoring")
CORPUS: dict[str, Any] = {"sentences": 24, "signers": ["ase", "gsg", "psr"], "gains": {}}
# Take memory, look at it or tell of it, and compute nothing.
FREE = {
    "aten::_local_scalar_dense",
    "aten::_reshape_alias",
    "aten::_unsafe_view",
    "aten::detach",
    "aten::empty",
    "aten::empty_like",
    "aten::empty_strided",
    "aten::new_empty",
    "aten::new_empty_strided",
    "profiler::_record_function_enter_new",
    "profiler::_record_function_exit",
}

Kernels = dict[str, Counter[str]]


class Counting(TorchDispatchMode):
    """Counts kernels by part and operation while it is on."""

    def __init__(self) -> None:
        super().__init__()
        self.part = PARTS[0]
        self.operations: Counter[str] = Counter()
        self.kernels: Kernels = {part: Counter() for part in PARTS}

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        self.operations[self._part()] += 1
        if not func.is_view and func._schema.name not in FREE:
            self.add(func._schema.name)
        return func(*args, **(kwargs or {}))

    def add(self, name: str, count: int = 1) -> None:
        """Kernels of an operation."""
        self.kernels[self._part()][name.removeprefix("aten::")] += count

    def _part(self) -> str:
        if self.part != "scoring" and torch._C._current_graph_task_id() >= 0:
            self.part = "update"  # what comes when the gradients are there
            return "backward"
        return self.part


@contextmanager
def counting() -> Iterator[Counting]:
    """Counts what runs within; normalisation as on CUDA."""
    found = Counting()

    class AsOnCuda(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, *args: Any) -> Tensor:
            found.add("fused normalisation")
            with _disable_current_modes():
                return normalisation.WrittenOut.forward(ctx, *args)

        @staticmethod
        def backward(ctx: Any, *grads: Tensor) -> Any:
            found.add("fused normalisation", 2 if ctx.groups else 1)
            with _disable_current_modes():
                return normalisation.WrittenOut.backward(ctx, *grads)

    with patch.object(normalisation, "_function", lambda device: AsOnCuda), found:
        yield found


class Watched(TrainingSession):
    """A trial whose second step is counted: the first one makes what lasts.

    Attributes:
        unpadded: cuts all utterances of a batch to one length.
    """

    unpadded = False
    steps = 0
    counts: Counting

    def _step(self, batch: Batch) -> Any:
        self.steps += 1
        if self.unpadded:
            least = int(batch.lengths.min())
            batch = Batch((batch.features[:, :least],), torch.full_like(batch.lengths, least), batch.rows)
        if self.steps != 2:
            return super()._step(batch)
        with counting() as self.counts:
            return super()._step(batch)


def count(session: Watched) -> Counting:
    """A step of a trial, and scoring a batch."""
    session.run_epoch()
    model = session.model.eval()
    batch = session._feed.scored(session.corpus.rows("dev")[:16])
    with torch.no_grad(), counting() as scoring:
        scoring.part = "scoring"
        with autocast(session.device, session.precision):
            model(batch.features, batch.lengths)
    found = session.counts
    found.kernels["scoring"], found.operations["scoring"] = scoring.kernels["scoring"], scoring.operations["scoring"]
    return found


def cases(folder: Path, short: bool = False) -> Iterator[tuple[str, Watched]]:
    """Trials, and what each of them is."""
    corpus = pack_corpus(CorpusSettings.model_validate(CORPUS))

    def trial(kind: str, norm: str = "group", precision: str = "fp32", **changes: Any) -> Watched:
        tree = {
            "model": {"kind": kind, "width": 0.25, "norm": norm},
            "corpus": {**CORPUS, "cache": folder},
            "training": {"precision": precision, "batch_size": 16},
            **changes,
        }
        return Watched(TrialSettings.model_validate(tree), corpus, device=torch.device("cpu"))

    for kind, norm, precision in product(("teacher", "student"), ("group", "batch"), ("fp32", "bf16")):
        yield f"{kind}, {norm} normalisation, {precision}", trial(kind, norm, precision)
        if short:
            return
    whole = trial("teacher")
    whole.unpadded = True
    yield "teacher, nothing padded", whole
    frozen = {"tuned": {"freeze_until": "mixed_4f"}, "freezing": {"allow_random_frozen": True}}
    yield "teacher, kept activations until mixed_4f", trial("teacher", **frozen)
    whole.save(folder / "teacher.pt")
    export_checkpoint(folder / "teacher.pt", folder / "teacher.safetensors", {"wer": 1.0})
    yield "student, taught", trial("student", teacher=folder / "teacher.safetensors")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="the first row alone")
    parser.add_argument("--most", type=int, default=0, metavar="N", help="also the N most frequent kernels of each row")
    parser.add_argument("--json", type=Path, help="file for all figures")
    options = parser.parse_args()
    torch.set_num_threads(1)
    heads = ["", "operations a step", "kernels a step", *(f"{part}" for part in PARTS)]
    print(f"| {' | '.join(heads)} |\n{'|---' * len(heads)}|", flush=True)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name, session in cases(Path(folder), options.short):
            found = count(session)
            kernels = {part: found.kernels[part].total() for part in PARTS}
            step = sum(kernels[part] for part in PARTS[:3]), sum(found.operations[part] for part in PARTS[:3])
            print(
                f"| {name} | {step[1]:,} | {step[0]:,} | {' | '.join(f'{kernels[part]:,}' for part in PARTS)} |",
                flush=True,
            )
            rows.append({"name": name, "operations": step[1], "kernels": step[0], **kernels})
            for part in PARTS[: 4 if options.most else 0]:
                print(f"  {part}: {found.kernels[part].most_common(options.most)}")
    if options.json is not None:
        options.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

"""Run the frozen layers once over training and dev, and keep what they give."""

from collections.abc import Callable
from itertools import chain, pairwise
from pathlib import Path

import numpy as np
import torch

from glosstune.models.recogniser import Recogniser
from glosstune.spaces.errors import FolderError
from glosstune.spaces.files.atomic import reserve
from glosstune.spaces.files.locks import held
from glosstune.trainables.activations.eviction import make_room
from glosstune.trainables.activations.store import ROWS, ActivationStore, part_file
from glosstune.trainables.batches.batching import Batch, sorted_batches
from glosstune.trainables.corpora.store import PackedCorpus

# Waiting for another process costs no more than to do the same work, unless that process hangs.
PATIENCE_S = 600.0

Run = Callable[[list[int]], Batch]


class NoRoomError(FolderError):
    """What frozen layers give does not fit into the cache, or on its disk."""


def build(
    folder: Path, model: Recogniser, layer: str, corpus: PackedCorpus, run: Run, batch_size: int, limit: int
) -> None:
    """Fill a folder, beside its place in the cache, with what enters a layer.

    Args:
        run: what enters the layer, for a batch of rows.
        batch_size: rows at a time.
        limit: bytes that all stores may take together.

    Raises:
        NoRoomError: there is no room for it.
        FolderError: a value is beyond half precision.
    """
    rows = [*corpus.rows("train"), *corpus.rows("dev")]
    frames = [corpus.length(row) for row in rows]
    strides = model.strides(layer)
    batches = iter(sorted_batches(rows, frames, batch_size))
    first = run(next(batches))
    sizes = [
        2 * part.shape[2] * sum(-(-count // stride) for count in frames)
        for part, stride in zip(first.state, strides, strict=True)
    ]
    with held(folder.parent / "room.lock", PATIENCE_S):
        if not make_room(folder.parent, sum(sizes), limit):
            rule = f"{sum(sizes) / 2**30:.1f} GB are needed and activation_cache_gb or the disk has no room for them"
            raise NoRoomError(f"{folder.parent}: {rule}")
        for number, size in enumerate(sizes):
            reserve(part_file(folder, number), size)
    np.savez(folder / ROWS, rows=np.array(rows), frames=np.array(frames))
    with ActivationStore.filled(folder, layer, strides, first.state) as store:
        for batch in chain([first], map(run, batches)):
            halves = [part.half() for part in batch.state]
            if not all(bool(half.isfinite().all()) for half in halves):
                raise FolderError(f"{folder.parent}: activations before {layer} are beyond half precision")
            values = [half.cpu().numpy() for half in halves]
            for slot, row in enumerate(batch.rows):
                for kept, part in zip(store.activations(row), values, strict=True):
                    kept[:] = part[slot, : len(kept)]


@torch.no_grad()
def run_frozen(model: Recogniser, layer: str, batch: Batch) -> Batch:
    """What enters a layer, for a batch that enters an earlier one.

    What passes from layer to layer is rounded as it would be kept, so that it is the same from whatever layer one goes
    on: which stores there were before changes no trial.
    """
    names, state = model.layer_names, batch.state
    way = names[names.index(batch.layer or names[0]) : names.index(layer) + 1]
    for earlier, later in pairwise(way):
        state = model.forward_until(later, earlier, state, batch.lengths)
        state = tuple(part.half().to(part.dtype) for part in state)
    return Batch(state, batch.lengths, batch.rows, layer)

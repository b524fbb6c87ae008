"""Pad activations of several utterances to a batch for the layer that they enter."""

from collections.abc import Collection, Sequence

import numpy as np
import torch

from glosstune.trainables.activations.augmenting import Activations, augment_activations
from glosstune.trainables.batches.batching import Batch, pad, padded_length


def assemble(
    utterances: Sequence[tuple[Sequence[Activations], int]],
    strides: Sequence[int],
    rows: Sequence[int],
    layer: str,
    device: torch.device,
    *,
    augment: Collection[str] = (),
    generator: np.random.Generator | None = None,
) -> Batch:
    """A batch, padded as ``collate`` pads features.

    Args:
        utterances: of each the tensors that enter the layer, (time / stride, channel), and its input frames.
        augment: see ``augment_activations``.
    """
    if augment:
        assert generator is not None
        utterances = [augment_activations(*each, strides, augment, generator) for each in utterances]
    lengths = torch.tensor([frames for _, frames in utterances])
    time, state = padded_length(lengths), []
    for number, stride in enumerate(strides):
        state.append(pad([each[number] for each, _ in utterances], time // stride, device))
    return Batch(tuple(state), lengths, tuple(rows), layer)


def augment_batch(
    batch: Batch, strides: Sequence[int], augment: Collection[str], generator: np.random.Generator
) -> Batch:
    """The same batch with its activations augmented."""
    assert batch.layer is not None
    values = [part.float().cpu().numpy() for part in batch.state]
    utterances = [
        ([part[slot, : -(-frames // stride)] for part, stride in zip(values, strides, strict=True)], frames)
        for slot, frames in enumerate(batch.lengths.tolist())
    ]
    device, dtype = batch.state[0].device, batch.state[0].dtype
    return assemble(utterances, strides, batch.rows, batch.layer, device, augment=augment, generator=generator).to(
        dtype
    )

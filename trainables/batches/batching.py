"""Group utterances of similar length into batches and turn rows of a store into tensors."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from glosstune.models.recogniser import State
from glosstune.trainables.batches.augmentation import augment_frames, mask_features
from glosstune.trainables.batches.conditioning import Conditioning
from glosstune.trainables.layouts.layout import Layout

EVALUATION_BATCH = 32
BATCHES_A_POOL = 8
TIME_MULTIPLE = 16


class FrameSource(Protocol):
    """Rows of frames such as a PackedCorpus holds."""

    @property
    def layout(self) -> Layout:
        """What its values are: base values, or all features."""

    @property
    def statistics(self) -> Mapping[str, npt.NDArray[Any]]:
        """Of the training split, see ``PackedCorpus.statistics``."""

    def frames(self, row: int) -> npt.NDArray[Any]:
        """Stored values (time, width) of one row."""


@dataclass(frozen=True)
class Batch:
    """Utterances ready for a model.

    Attributes:
        state: what enters ``layer``; for the first one the features alone, float32 (batch, time, feature), conditioned.
            Padded frames are 0.
        lengths: int64 (batch,), on the CPU: input frames.
        rows: row of each utterance in the corpus.
        layer: None for the model's first.
    """

    state: State
    lengths: Tensor
    rows: tuple[int, ...]
    layer: str | None = None

    @property
    def features(self) -> Tensor:
        """Of a batch for the first layer."""
        return self.state[0]

    def to(self, dtype: torch.dtype) -> "Batch":
        """The same in another type."""
        return replace(self, state=tuple(part.to(dtype) for part in self.state))

    def split(self, parts: int) -> list["Batch"]:
        """At most so many batches of nearly equal size, which together are this one."""
        size = -(-len(self.rows) // parts)
        slices = [slice(start, start + size) for start in range(0, len(self.rows), size)]
        return [
            Batch(tuple(part[each] for part in self.state), self.lengths[each], self.rows[each], self.layer)
            for each in slices
        ]


def shuffled_batches(
    rows: Sequence[int], lengths: Sequence[int], batch_size: int, generator: np.random.Generator
) -> list[list[int]]:
    """Every row once, in random batches of similar length.

    Rows are shuffled, sorted by length within pools of a few batches, cut, and the batches shuffled:
    random enough to train on, and little padding.
    """
    order = generator.permutation(len(rows))
    pool = batch_size * BATCHES_A_POOL
    batches: list[list[int]] = []
    for start in range(0, len(order), pool):
        ranked = sorted(order[start : start + pool], key=lambda position: lengths[position])
        batches += [
            [rows[position] for position in ranked[cut : cut + batch_size]] for cut in range(0, len(ranked), batch_size)
        ]
    return [batches[position] for position in generator.permutation(len(batches))]


def sorted_batches(rows: Sequence[int], lengths: Sequence[int], batch_size: int) -> list[list[int]]:
    """Every row once, by length, for evaluation."""
    ranked = [rows[position] for position in np.argsort(lengths, kind="stable")]
    return [ranked[start : start + batch_size] for start in range(0, len(ranked), batch_size)]


def padded_length(lengths: Tensor) -> int:
    """Frames of a batch: a few round numbers instead of a hundred, since oneDNN compiles a kernel for every shape."""
    return -(-int(lengths.max()) // TIME_MULTIPLE) * TIME_MULTIPLE


def pad(parts: Sequence[npt.NDArray[Any]], time: int, device: torch.device) -> Tensor:
    """(batch, time, value) of arrays (time, value), with zeros behind the shorter ones, on a device."""
    on_gpu = device.type == "cuda"
    kind = torch.from_numpy(np.empty(0, parts[0].dtype)).dtype
    # From pinned memory a copy is queued behind what the GPU has to do, and nobody waits for it.
    padded = torch.zeros((len(parts), time, parts[0].shape[1]), dtype=kind, pin_memory=on_gpu)
    for slot, part in zip(padded.numpy(), parts, strict=True):
        slot[: len(part)] = part
    return padded.to(device, non_blocking=on_gpu)


def collate(
    corpus: FrameSource,
    rows: Sequence[int],
    conditioning: Conditioning,
    *,
    augment: Collection[str] = (),
    generator: np.random.Generator | None = None,
) -> Batch:
    """Read, augment, pad, derive and condition the utterances of one batch, on the conditioning's device."""
    stored: list[npt.NDArray[Any]] = [corpus.frames(row) for row in rows]
    if augment:
        assert generator is not None
        stored = [
            augment_frames(frames.astype(np.float32), augment, corpus.layout, corpus.statistics, generator)
            for frames in stored
        ]
    lengths = torch.tensor([len(frames) for frames in stored])
    device = conditioning.scale.device
    padded = pad(stored, padded_length(lengths), device).float()
    valid = (torch.arange(padded.shape[1]) < lengths[:, None]).to(device, non_blocking=True)
    conditioned = conditioning.features(padded, valid)
    if augment:
        assert generator is not None
        mask_features(conditioned, lengths, augment, corpus.layout, generator)
    return Batch((conditioned,), lengths, tuple(rows))

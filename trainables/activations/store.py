"""What enters a layer, for every utterance of training and dev, in memory-mapped half precision.

A store is a folder: a file (frame, channel) for each tensor that enters the layer, ``0.f16`` and so on, ``rows.npz``
and ``store.json``. Half precision keeps a value to 0.05 %; what bfloat16 has computed it keeps exactly, from 6e-5 on.
"""

import errno
import hashlib
import json
import os
import sys
import weakref
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
import numpy.typing as npt
import torch

from glosstune.spaces.errors import CheckpointError
from glosstune.trainables.activations.assembling import assemble
from glosstune.trainables.batches.batching import Batch

if sys.platform != "win32":
    import fcntl

FORMAT = 2
COMPLETE = "store.json"
ROWS = "rows.npz"

Half = npt.NDArray[np.float16]
Mapped = np.memmap[Any, np.dtype[np.float16]]


@dataclass(frozen=True)
class ActivationStore:
    """Activations of frozen layers, read through the operating system's page cache.

    Attributes:
        layer: the one that they enter, the first that trains.
        strides: input frames to one frame of each tensor.
        channels: of each tensor.
        dtype: in which the frozen layers gave them, and in which they are given to the next one.
    """

    folder: Path
    layer: str
    strides: tuple[int, ...]
    channels: tuple[int, ...]
    dtype: torch.dtype
    mode: Literal["r", "r+"] = "r"

    @classmethod
    def open(cls, folder: Path) -> "ActivationStore | None":
        """Open a store, which nobody removes for as long as the result is there; None where there is none.

        Raises:
            CheckpointError: its files are not what was written.
            OSError: they cannot be read.
        """
        held = hold(folder)
        if held is None:
            return None
        try:
            meta = json.loads(held.read())
            dtype = getattr(torch, meta["dtype"])
            found = cls(folder, meta["layer"], tuple(meta["strides"]), tuple(meta["channels"]), dtype)
            weakref.finalize(found, held.close)
            _ = found._parts, found._starts
            hashes = tuple(sorted(meta["sha256"].items()))
            sound = meta["format"] == FORMAT and _hashes(folder, (folder / ROWS).stat().st_mtime_ns) == hashes
        except Exception as error:  # JSON and NumPy raise a different type for each kind of damage
            held.close()
            if isinstance(error, OSError) and not isinstance(error, FileNotFoundError):
                raise
            raise CheckpointError(f"{folder}: damaged activations of frozen layers ({error})") from error
        if not sound:
            raise CheckpointError(f"{folder}: activations of frozen layers are not those that were written")
        return found

    @classmethod
    @contextmanager
    def filled(
        cls, folder: Path, layer: str, strides: Sequence[int], parts: Sequence[torch.Tensor]
    ) -> Iterator["ActivationStore"]:
        """A store to be filled, beside whose ``rows.npz`` files of the right size lie already.

        It is said to be whole when all of what is written into it is on disk, and never where filling it failed.

        Args:
            parts: what enters the layer for any batch.
        """
        store = cls(folder, layer, tuple(strides), tuple(part.shape[2] for part in parts), parts[0].dtype, "r+")
        yield store
        for part in store._parts:
            part.flush()
        meta = {
            "format": FORMAT,
            "layer": layer,
            "strides": store.strides,
            "channels": store.channels,
            "dtype": str(store.dtype).removeprefix("torch."),
            "sha256": dict(_digests(folder)),
        }
        (folder / COMPLETE).write_text(json.dumps(meta, indent=1), encoding="utf-8")

    @cached_property
    def frames(self) -> dict[int, int]:
        """Input frames of each row."""
        return dict(zip(*self._rows, strict=True))

    @cached_property
    def _rows(self) -> tuple[list[int], list[int]]:
        with (self.folder / ROWS).open("rb") as file:
            arrays = np.load(file, allow_pickle=False)
            return arrays["rows"].tolist(), arrays["frames"].tolist()

    @cached_property
    def _starts(self) -> list[dict[int, int]]:
        """Where each row begins, in each file."""
        rows, frames = self._rows
        found = []
        for stride in self.strides:
            counts = -(-np.array(frames) // stride)
            found.append(dict(zip(rows, (np.cumsum(counts) - counts).tolist(), strict=True)))
        return found

    @cached_property
    def _parts(self) -> list[Mapped]:
        counts = [int((-(-np.array(self._rows[1]) // stride)).sum()) for stride in self.strides]
        return [
            np.memmap(part_file(self.folder, number), np.float16, self.mode, shape=(count, width))
            for number, (count, width) in enumerate(zip(counts, self.channels, strict=True))
        ]

    def activations(self, row: int) -> list[Half]:
        """What enters the layer for one utterance, each (time / stride, channel); views into the mapped files."""
        found = []
        for part, starts, stride in zip(self._parts, self._starts, self.strides, strict=True):
            start = starts[row]
            found.append(part[start : start - (-self.frames[row] // stride)])
        return found

    def batch(
        self,
        rows: Sequence[int],
        device: torch.device,
        *,
        augment: Collection[str] = (),
        generator: np.random.Generator | None = None,
    ) -> Batch:
        """Utterances ready for the layer, padded as ``collate`` pads their features; see ``augment_activations``."""
        read = [(self.activations(row), self.frames[row]) for row in rows]
        batch = assemble(read, self.strides, rows, self.layer, device, augment=augment, generator=generator)
        return batch.to(self.dtype)


def hold(folder: Path, *, alone: bool = False) -> BinaryIO | None:
    """Have nobody remove a store until the result is closed; None where there is none.

    Args:
        alone: to remove it, where nobody else holds it.

    Raises:
        BlockingIOError: others hold it who are to be alone, or it is to be held alone.
    """
    path = folder / COMPLETE
    with ExitStack() as cleanup:
        try:
            file = cleanup.enter_context(path.open("r+b" if alone else "rb"))
            if sys.platform != "win32":  # which renames no folder while a file in it is open, and has no shared locks
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB if alone else fcntl.LOCK_SH)
                except OSError as error:
                    if error.errno not in (errno.ENOSYS, errno.EOPNOTSUPP):  # a file system without locks
                        raise
            # Who held it may have removed it meanwhile.
            if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                cleanup.pop_all()
                return file
        except FileNotFoundError:
            pass
    return None


def part_file(folder: Path, number: int) -> Path:
    """Where one of the tensors that enter the layer lies."""
    return folder / f"{number}.f16"


@lru_cache(maxsize=64)
def _hashes(folder: Path, written_ns: int) -> tuple[tuple[str, str], ...]:
    """Hash of each file, computed once a process for each writing."""
    return _digests(folder)


def _digests(folder: Path) -> tuple[tuple[str, str], ...]:
    found = []
    for path in sorted(folder.iterdir()):
        if path.name != COMPLETE:
            with path.open("rb") as file:
                found.append((path.name, hashlib.file_digest(file, "sha256").hexdigest()))
    return tuple(found)

"""A PHOENIX-style folder of real signing, sound or with a fault planted in it."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from glosstune.trainables.corpora import FingerspellingCorpus
from glosstune.trainables.layouts.blocks import BlockSpec
from glosstune.trainables.layouts.layout import FileLayout

Values = npt.NDArray[np.float32]
Glosses = Sequence[tuple[str, ...]]


def with_temporal(positions: Values) -> Values:
    """Positions (time, 1629) with velocity, acceleration and position behind them, (time, 6516)."""
    velocity = np.diff(positions, axis=0, prepend=positions[:1])
    acceleration = np.diff(velocity, axis=0, prepend=velocity[:1])
    return np.concatenate([positions, velocity, acceleration, positions], axis=1)


def in_order(values: Values, blocks: str | Sequence[BlockSpec]) -> Values:
    """Values in canonical order, (time, stored width), as a file of another layout holds them."""
    layout = FileLayout.of(blocks)
    written = np.zeros((len(values), layout.width), np.float32)
    written[:, layout.columns] = values[:, : layout.stored_width]
    return written


def write_folder(
    root: Path,
    corpus: FingerspellingCorpus,
    *,
    change: Callable[[Values], Values] = with_temporal,
    relabel: Callable[[Glosses], Glosses] = lambda glosses: glosses,
    keep: float = 1.0,
) -> Path:
    """Write features and annotations as PHOENIX-2014 has them.

    Args:
        change: what a file holds, from positions (time, 1629) in shoulder widths.
        relabel: the glosses of a split's utterances, from the true ones.
        keep: share of the training utterances that are written.
    """
    root.mkdir(parents=True, exist_ok=True)
    utterances = corpus.utterances()
    train = [u.key for u in utterances if u.split == "train"]
    dropped = set(train[int(len(train) * keep) :])
    values = {u.key: read for u, read in zip(utterances, corpus.read(), strict=True)}
    for split in ("train", "dev", "test"):
        own = [u for u in utterances if u.split == split and u.key not in dropped]
        (root / split).mkdir(exist_ok=True)
        lines = ["id|folder|signer|annotation"]
        for utterance, glosses in zip(own, relabel([u.glosses for u in own]), strict=True):
            name = utterance.key.replace("/", "-")
            np.savez(root / split / f"{name}.npz", features=change(values[utterance.key]))
            lines.append(f"{name}|x|{utterance.signer}|{' '.join(glosses)}")
        (root / f"{split}.corpus.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return root

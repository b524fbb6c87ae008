"""Pack a corpus into one memory-mapped half-precision file that all trials of a node share.

A store is a folder: ``features.f16`` (frame, value), ``utterances.parquet``, ``statistics.npz`` (mean
and standard deviation of the training split's features) and ``store.json``.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from glosstune.spaces.errors import CorpusError
from glosstune.spaces.files.atomic import fill_once
from glosstune.trainables.corpora.files.conventions import CleanUp, target_clean_up
from glosstune.trainables.corpora.utterance import SPLITS, Corpus, Split, Utterance, Values, listing
from glosstune.trainables.corpora.vocabulary import Vocabulary
from glosstune.trainables.layouts.derivation import expand
from glosstune.trainables.layouts.following import tell_twice, written_twice
from glosstune.trainables.layouts.geometry import mirror_order
from glosstune.trainables.layouts.layout import Layout

FORMAT = 3


@dataclass(frozen=True)
class PackedCorpus:
    """A packed corpus, read through the operating system's page cache.

    Attributes:
        key: hash of everything it was made from.
        width: values stored a frame: base values (features are derived from them) or all features.
        layout: what they are.
        scoring: the rule that errors on it are counted by (see ``ctc.rules``).
    """

    folder: Path
    key: str
    width: int
    layout: Layout
    scoring: str

    @classmethod
    def open(cls, folder: Path, scoring: str = "plain") -> "PackedCorpus":
        """Open a store; CorpusError if it is damaged, incomplete or of another format."""
        way_out = f"remove {folder} to have it packed again"
        try:
            meta = json.loads((folder / "store.json").read_text(encoding="utf-8"))
            corpus = cls(folder, meta["key"], meta["width"], Layout.read(meta["layout"]), scoring)
            damaged = corpus.statistics.keys() != {"mean", "deviation", "mirror_order"} or not len(corpus.table)
            size = (folder / "features.f16").stat().st_size
        except Exception as error:  # JSON, parquet and NumPy raise a different type for each kind of damage
            raise CorpusError(
                f"{folder}: damaged packed corpus ({type(error).__name__}: {error}); {way_out}"
            ) from error
        if damaged or meta.get("format") != FORMAT or size != 2 * int(corpus.table["frames"].sum()) * corpus.width:
            raise CorpusError(f"{folder}: packed corpus is truncated or of another version; {way_out}")
        return corpus

    @cached_property
    def table(self) -> pd.DataFrame:
        """A row an utterance: key, split, signer, glosses, sources and recordings (lists), start, frames."""
        return pd.read_parquet(self.folder / "utterances.parquet")

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """Glosses of the training split."""
        return Vocabulary.of(self.table.loc[self.table["split"] == "train", "glosses"])

    @cached_property
    def notes(self) -> list[str]:
        """What a user should know of how the corpus was read (see ``Corpus.notes``)."""
        return list(json.loads((self.folder / "store.json").read_text(encoding="utf-8"))["notes"])

    @cached_property
    def _frames(self) -> npt.NDArray[np.float16]:
        rows = int(self.table["frames"].sum())
        return np.memmap(self.folder / "features.f16", dtype=np.float16, mode="r", shape=(rows, self.width))

    @cached_property
    def _spans(self) -> list[tuple[int, int]]:
        return list(zip(self.table["start"].tolist(), self.table["frames"].tolist(), strict=True))

    @cached_property
    def statistics(self) -> dict[str, npt.NDArray[Any]]:
        """Of the training split: ``mean`` and ``deviation`` of each feature, ``mirror_order`` of the landmarks."""
        # Opened here, since NumPy leaves a file open when its content is broken.
        with (self.folder / "statistics.npz").open("rb") as file:
            arrays = np.load(file, allow_pickle=False)
            return {name: arrays[name] for name in arrays.files}

    @property
    def has_positions(self) -> bool:
        """Whether it stores positions, which may be turned and mirrored."""
        return bool(self.layout.points) and self.width == self.layout.base_width

    @property
    def whole(self) -> bool:
        """Whether all utterances are used, so that what is measured may be kept beside them."""
        return True

    def rows(self, split: Split) -> list[int]:
        """Row numbers of a split's utterances."""
        return [int(row) for row in np.flatnonzero(self.table["split"] == split)]

    def glosses(self, row: int) -> tuple[str, ...]:
        """Reference glosses of one utterance."""
        return self._glosses[row]

    @cached_property
    def _glosses(self) -> list[tuple[str, ...]]:
        return [tuple(glosses) for glosses in self.table["glosses"]]

    def length(self, row: int) -> int:
        """Frames of one utterance."""
        return self._spans[row][1]

    def frames(self, row: int) -> npt.NDArray[np.float16]:
        """Stored values (time, width) of one utterance; a view into the mapped file."""
        start, length = self._spans[row]
        return self._frames[start : start + length]


@dataclass(frozen=True)
class SampledCorpus(PackedCorpus):
    """A packed corpus of which only some utterances are used; vocabulary and statistics are those of the whole."""

    chosen: Mapping[Split, tuple[int, ...]]

    @classmethod
    def of(cls, corpus: PackedCorpus, chosen: Mapping[Split, tuple[int, ...]]) -> "SampledCorpus":
        """Of a packed corpus, the rows that are used in each split."""
        return cls(corpus.folder, corpus.key, corpus.width, corpus.layout, corpus.scoring, chosen)

    def rows(self, split: Split) -> list[int]:
        return list(self.chosen.get(split, ()))

    @property
    def whole(self) -> bool:
        return False


def pack(corpus: Corpus, cache: Path, *, scoring: str = "auto", targets: str = "raw") -> PackedCorpus:
    """The packed form of a corpus, made once for each identity and then reused.

    Args:
        scoring: ``corpus.scoring``; ``auto`` is what the corpus says itself.
        targets: ``corpus.targets``; with ``clean``, utterances have the glosses that scoring makes of theirs.

    Raises:
        SettingError: targets are to be clean, and scoring cleans nothing.
        CorpusError: the data cannot be trained on (each corpus names its file and rule).
        FolderError: the cache cannot be written; nothing half-written stays.
    """
    rule = corpus.scoring if scoring == "auto" else scoring
    clean = target_clean_up(rule, targets)
    identity = corpus.identity() | ({"targets": rule} if targets == "clean" else {})
    key = hashlib.sha256(json.dumps({"format": FORMAT, **identity}, sort_keys=True).encode()).hexdigest()[:16]
    folder = cache / f"{identity['corpus']}-{key}"
    fill_once(folder, "store.json", "the packed corpus", lambda partial: _write(corpus, clean, partial, key, identity))
    return PackedCorpus.open(folder, rule)


def clean_utterances(utterances: Sequence[Utterance], clean: CleanUp) -> list[Utterance]:
    """The same with clean glosses; CorpusError where nothing is left of one."""
    cleaned = [replace(utterance, glosses=tuple(clean(utterance.glosses))) for utterance in utterances]
    if bare := [u.key for u, before in zip(cleaned, utterances, strict=True) if before.glosses and not u.glosses]:
        told = f"corpus.targets=clean leaves no gloss of {len(bare)} utterances: {listing(bare)}"
        raise CorpusError(f"{told}; leave them out of the annotations, or set corpus.targets=raw")
    return cleaned


def check_utterances(utterances: list[Utterance], *, shares_recordings: bool) -> None:
    """Raise CorpusError where a split is empty, a transcript is empty or splits share a recording."""
    counts = Counter(utterance.split for utterance in utterances)
    for split in SPLITS[:2]:
        if not counts[split]:
            raise CorpusError(f"split {split}: no utterance; training needs train and dev")
    empty = [utterance.key for utterance in utterances if not utterance.glosses]
    if empty:
        raise CorpusError(f"{len(empty)} utterances have an empty transcript: {listing(empty)}; remove these rows")
    if shares_recordings:
        return
    owners: dict[str, str] = {}
    for utterance in utterances:
        for source in utterance.sources:
            owner = owners.setdefault(source, utterance.split)
            if owner != utterance.split:
                raise CorpusError(f"{source} is in {owner} and in {utterance.split}; splits must not share a file")
    repeated = [key for key, count in Counter(utterance.key for utterance in utterances).items() if count > 1]
    if repeated:
        raise CorpusError(f"annotated more than once: {listing(repeated)}; keep one row each")


def _write(corpus: Corpus, clean: CleanUp, folder: Path, key: str, identity: dict[str, object]) -> None:
    utterances = clean_utterances(corpus.utterances(), clean)
    check_utterances(utterances, shares_recordings=corpus.shares_recordings)
    statistics = Statistics(corpus.layout)
    hands = None if corpus.files is None or corpus.files.hands == "followed" else corpus.layout.hands
    frames: list[int] = []
    width = twice = 0
    with (folder / "features.f16").open("wb") as file:
        for utterance, values in zip(utterances, corpus.read(), strict=True):
            half = halve(values)
            if not np.isfinite(half).all():
                raise CorpusError(
                    f"{utterance.sources[0]}: features hold NaN, infinity or values beyond half precision (65504); "
                    "repair or remove the file"
                )
            file.write(half.tobytes())
            frames.append(len(half))
            width = half.shape[1]
            if utterance.split == "train":
                statistics.add(half)
            if hands is not None and width == corpus.layout.base_width:
                twice += int(written_twice(corpus.layout.positions(values), hands).sum())
    sources, contents = [list(u.sources) for u in utterances], corpus.contents()
    table = pd.DataFrame(
        {
            "key": [u.key for u in utterances],
            "split": [u.split for u in utterances],
            "signer": [u.signer for u in utterances],
            "glosses": [list(u.glosses) for u in utterances],
            "sources": sources,
            "recordings": [[each] for each in contents] if corpus.traits.names_repeat else sources,
            "start": np.cumsum([0, *frames[:-1]]),
            "frames": frames,
        }
    )
    table.to_parquet(folder / "utterances.parquet")
    statistics.save(folder / "statistics.npz")
    meta = {
        "format": FORMAT,
        "key": key,
        "width": width,
        "layout": corpus.layout.recorded,
        "identity": identity,
        "notes": [*corpus.notes, *tell_twice(twice / max(1, sum(frames))), *_tell_copies(utterances, contents)],
    }
    (folder / "store.json").write_text(json.dumps(meta, indent=1), encoding="utf-8")


def halve(values: Values) -> npt.NDArray[np.float16]:
    """As they are stored; what half precision cannot hold becomes infinite."""
    with np.errstate(over="ignore"):
        return values.astype(np.float16)


class Statistics:
    """Running mean and deviation of the features; sums in float64 stay exact enough for values near 1."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.count = 0
        self.total = np.zeros(layout.feature_width)
        self.square = np.zeros(layout.feature_width)

    def add(self, half: npt.NDArray[np.float16]) -> None:
        values = full_features(torch.from_numpy(half.astype(np.float32)), self.layout).double()
        self.count += len(values)
        self.total += values.sum(0).numpy()
        self.square += values.square().sum(0).numpy()

    def save(self, path: Path) -> None:
        mean = self.total / self.count
        deviation = np.sqrt(np.maximum(self.square / self.count - mean**2, 0))
        # Positions are the last channel, after all else.
        position = mean[self.layout.feature_width - self.layout.positions_width :].astype(np.float32)
        order = mirror_order(self.layout, self.layout.positions(position[None])[0])
        np.savez(path, mean=mean.astype(np.float32), deviation=deviation.astype(np.float32), mirror_order=order)


def full_features(stored: torch.Tensor, layout: Layout) -> torch.Tensor:
    """All features of stored values (..., time, base or feature width)."""
    return expand(stored, layout) if stored.shape[-1] == layout.base_width else stored


def _tell_copies(utterances: list[Utterance], contents: list[str]) -> list[str]:
    """What to say where dev or test hold copies of files of training under other names."""
    known = {content: u for u, content in zip(utterances, contents, strict=False) if u.split == "train"}
    copies = [
        f"{u.sources[0]} of {known[content].sources[0]}"
        for u, content in zip(utterances, contents, strict=False)
        # Parts of one file are no copies of each other.
        if u.split != "train" and content in known and "[" not in u.sources[0]
    ]
    if not copies:
        return []
    told = f"splits: {len(copies)} files of dev or test are copies of files of train: {listing(copies)}"
    return [f"{told}; training has seen them, so their errors say nothing"]

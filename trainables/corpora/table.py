"""One's own recordings in one table: a row a recording, or a part of one, with its glosses."""

import copy
import hashlib
import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from os.path import normpath, realpath, relpath
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from glosstune.spaces.errors import CorpusError, SettingError
from glosstune.trainables.corpora.files.contents import content_digests, content_hash
from glosstune.trainables.corpora.files.features import load_values
from glosstune.trainables.corpora.files.pose import pose_blocks, read_pose
from glosstune.trainables.corpora.files.rows import Row, read_rows
from glosstune.trainables.corpora.splits import Candidate, SplitPlan, count_folds, plan_splits
from glosstune.trainables.corpora.utterance import SPLITS, Corpus, CorpusTraits, Split, Utterance, Values, check_found
from glosstune.trainables.layouts.blocks import BlockSpec, Hands, NotSeen
from glosstune.trainables.layouts.layout import FileLayout, Layout
from glosstune.trainables.layouts.reading import check_order, stored_values
from glosstune.trainables.settings import TABLE_ENDINGS

_POSE = ".pose"


@dataclass(frozen=True)
class _Part:
    """A row with its file.

    Attributes:
        file: which one, maybe not there.
        inner: the array in it that the row names, where it names one.
        recording: file and array as the splits know them, the same wherever the corpus lies.
    """

    row: Row
    split: Split
    key: str
    file: Path
    inner: str
    recording: str

    @property
    def source(self) -> str:
        """The recording, and which frames of it."""
        start, end = self.row.start, self.row.end
        if not start and end is None:
            return self.recording
        return f"{self.recording}[{start}:{'' if end is None else end}]"


class TableCorpus(Corpus):
    """Utterances that the rows of one CSV, TSV, JSON lines or parquet file name.

    Args:
        root: the table; columns ``path`` (relative to its folder) and ``glosses``, and as far as there are ``id``,
            ``signer``, ``split``, ``start`` and ``end`` (frames from 0, the end not included).
        layout: name or blocks of the feature files; left at its default, ``.pose`` files are read by their own header.
        split: ``multi-signer`` (the table's own, else drawn by recording) or ``unseen-signers`` (drawn by signer).
        fold: which signers are held out, from 1; only for ``unseen-signers``.
        split_seed: draws what the table does not say.
        missing: what to do with rows that have no feature file or no gloss.
        signers: keep only these.

    Raises:
        CorpusError: the table or a file is missing or malformed; rows of different splits share frames.
        SettingError: the splits cannot be drawn so.
    """

    traits = CorpusTraits(
        splits=("multi-signer", "unseen-signers"),
        folds=True,
        clusters=("signer",),
        headers=True,
        names_repeat=True,
        layouts=True,
        root="table",
    )

    def __init__(
        self,
        root: Path,
        *,
        layout: str | Sequence[BlockSpec] = "default",
        not_seen: NotSeen = "zeros+nan",
        hands: Hands = "as-stored",
        frame_step: int = 1,
        split: str = "multi-signer",
        fold: int = 1,
        split_seed: int = 0,
        missing: Literal["error", "skip"] = "error",
        signers: Sequence[str] | None = None,
    ) -> None:
        _check_root(root)
        self.root = root
        self.by_header = layout == "default"
        self._layout = layout
        self.hands: Hands = hands
        self.frame_step = frame_step
        self.not_seen: NotSeen = not_seen
        self.unseen_signers = split == "unseen-signers"
        self.fold = fold
        self.split_seed = split_seed
        self.missing = missing
        self.signers = tuple(signers) if signers else None
        self._keys: frozenset[str] | None = None
        self._last: tuple[str, npt.NDArray[np.floating]] | None = None

    def only(self, keys: Collection[str]) -> "TableCorpus":
        few = copy.copy(self)  # with the rows and their splits, which are those of the whole
        few._keys = frozenset(keys)
        few.__dict__.pop("_found", None)
        return few

    def identity(self) -> dict[str, object]:
        rows = [[u.key, u.split, u.signer, u.glosses, u.sources] for u in self.utterances()]
        return {
            "corpus": "table",
            "layout": self.files.written,
            "not seen": self.not_seen,
            "hands": self.hands,
            "frame step": self.frame_step,
            "files": content_hash(self._content, self.root.parent),
            "annotations": hashlib.sha256(json.dumps(rows).encode()).hexdigest(),
            "splits": self._drawn[1].decided,
        }

    @property
    def _content(self) -> dict[str, Path]:
        return {part.recording: part.file for part in self._kept}

    def contents(self) -> list[str]:
        digests = content_digests(self._content, self.root.parent)
        return [f"{digests[part.recording]}#{part.inner}" for part in self._kept]

    @property
    def folds(self) -> int:
        return count_folds({part.row.signer for part in self._table[0]})

    def utterances(self) -> list[Utterance]:
        return [
            Utterance(part.key, part.split, part.row.signer, part.row.glosses, (part.source,)) for part in self._kept
        ]

    def read(self) -> Iterator[Values]:
        check_order(self, self.files, str(self.root))
        for part in self._kept:
            yield stored_values(self._values(part), self.files, str(self.root.parent / part.source), self.not_seen)

    def look(self, places: Collection[int]) -> Iterator[tuple[int, npt.NDArray[np.floating] | CorpusError]]:
        parts = self._kept
        first: dict[str, int] = {}
        for turn, place in enumerate(places):
            first.setdefault(parts[place].recording, turn)
        for place in sorted(places, key=lambda place: first[parts[place].recording]):
            try:
                # A copy, for a view would keep all of a file that rows are cut out of.
                yield place, self._values(parts[place]).copy()
            except CorpusError as error:
                yield place, error

    @property
    def absent(self) -> list[str]:
        return self._found[1]

    @property
    def unannotated(self) -> list[str]:
        return self._found[2]

    @property
    def notes(self) -> list[str]:
        parts, unused = self._table
        renamed = sorted({part.row.renamed for part in parts} - {""})
        told = [*self._drawn[1].notes, *(f"splits: {word} is read as dev" for word in renamed)]
        return told + [f"columns: {', '.join(unused)} not used"] * bool(unused)

    @cached_property
    def files(self) -> FileLayout:
        """The layout that was declared; else the one that the first ``.pose`` file says of itself."""
        files = [part.file for part in self._drawn[0] if _is_file(part.file)]
        posed = [file for file in files if file.suffix.lower() == _POSE]
        if not self.by_header or not posed:
            return FileLayout.of(self._layout, self.hands, self.frame_step)
        if len(posed) < len(files):
            other = next(file for file in files if file not in posed)
            rule = f"{posed[0]} says itself what it holds, and {other} does not; say what all hold with corpus.layout"
            raise CorpusError(f"{self.root}: {rule}")
        return FileLayout.of(_first_header(files), self.hands, self.frame_step)

    @property
    def layout(self) -> Layout:
        return self.files.layout

    @property
    def _kept(self) -> list[_Part]:
        parts, absent, unannotated = self._found
        check_found(self.root, "rows", parts, absent, unannotated, self.missing)
        return parts

    @cached_property
    def _found(self) -> tuple[list[_Part], list[str], list[str]]:
        """What there is, and split and id of what has no file, or no gloss."""
        parts: list[_Part] = []
        absent: list[str] = []
        unannotated: list[str] = []
        for part in self._drawn[0]:
            if self._keys is not None and part.key not in self._keys:
                continue
            if not part.row.glosses:
                unannotated.append(f"{part.split}/{part.key}")
            elif not _is_file(part.file):
                absent.append(f"{part.split}/{part.key}")
            else:
                parts.append(part)
        return parts, absent, unannotated

    @cached_property
    def _table(self) -> tuple[list[_Part], list[str]]:
        """Rows in the order of the table, and its columns that are not used."""
        rows, unused = read_rows(self.root)
        if self.signers:
            known = {row.signer for row in rows}
            if strangers := [signer for signer in self.signers if signer not in known]:
                rule = f"must be signers of the table, {', '.join(sorted(known)) or 'which names none'}"
                raise SettingError(f"{rule}; got {', '.join(strangers)}", key="corpus.signers")
            rows = [row for row in rows if row.signer in self.signers]
        parts = [self._part(row) for row in rows]
        places: dict[str, str] = {}
        for part in parts:
            if (first := places.setdefault(part.key, part.row.place)) != part.row.place:
                told = f"{first} and {part.row.place}: id: {part.key!r} stands in both"
                raise CorpusError(f"{self.root}: {told}; keep one row, or give each an id")
        return parts, unused

    def _part(self, row: Row) -> _Part:
        folder, inner = self.root.parent, ""
        file = Path(normpath(folder / row.path))
        if "#" in row.path and not _is_file(file):
            name, _, inner = row.path.partition("#")
            file = Path(normpath(folder / name))
        inside = Path(relpath(file, folder))  # the same file is the same recording however it is spelled
        name = (file if Path(row.path).is_absolute() and ".." in inside.parts else inside).as_posix()
        recording = name + f"#{inner}" * bool(inner)
        stem = name.removesuffix(file.suffix) + f"#{inner}" * bool(inner)
        key = row.key or stem + f":{row.start}" * (row.start > 0)
        return _Part(row, row.split or "train", key, file, inner, recording)

    @cached_property
    def _drawn(self) -> tuple[list[_Part], SplitPlan]:
        """Rows with their splits, and what decided these."""
        parts = self._table[0]
        if self.unseen_signers and (nobody := [part.row.place for part in parts if not part.row.signer]):
            rule = "signer: is empty or no column, and corpus.split=unseen-signers draws splits by signer"
            raise CorpusError(f"{self.root}: {nobody[0]}: {rule}; say who signs, or set corpus.split=multi-signer")
        plan = plan_splits(
            [Candidate(part.recording, part.row.signer, part.row.split) for part in parts],
            unseen_signers=self.unseen_signers,
            fold=self.fold,
            seed=self.split_seed,
        )
        parts = [replace(part, split=split) for part, split in zip(parts, plan.splits, strict=True)]
        _check_frames(self.root, [part for part in parts if part.row.glosses])
        return parts, plan

    def _values(self, part: _Part) -> npt.NDArray[np.floating]:
        """The values of a row as they lie in its file."""
        if self._last is None or self._last[0] != part.recording:  # rows that are cut out of one file follow each other
            self._last = None  # not two at once
            self._last = part.recording, self._load(part)
        values = self._last[1]
        for column, frame in (("start", part.row.start + 1), ("end", part.row.end)):
            if frame is not None and frame > len(values):
                most = len(values) - (column == "start")
                rule = f"must be at most {most}, for {part.file} has {len(values)} frames"
                got = part.row.start if column == "start" else part.row.end
                raise CorpusError(f"{self.root}: {part.row.place}: {column}: {rule}; got {got}")
        return values[part.row.start : part.row.end]

    def _load(self, part: _Part) -> npt.NDArray[np.floating]:
        if part.file.suffix.lower() == _POSE:
            return read_pose(part.file, self.files.blocks)
        return load_values(part.file, part.inner)


def _check_root(root: Path) -> None:
    endings = ", ".join(TABLE_ENDINGS)
    if root.is_dir():
        tables = sorted(each.name for each in root.iterdir() if each.suffix.lower() in TABLE_ENDINGS)
        there = f", such as {root / tables[0]}" if tables else ""
        raise CorpusError(f"{root}: corpus.root is a folder; name the table in it ({endings}){there}")
    if root.suffix.lower() not in TABLE_ENDINGS:
        raise CorpusError(f"{root}: corpus.root must be a table ({endings}); convert it")
    if not _is_file(root):
        raise CorpusError(f"{root}: corpus.root is no file; where the table has moved, say corpus.root=TABLE")


def _check_frames(root: Path, parts: Sequence[_Part]) -> None:
    """Require that no frame is in two splits."""
    last: dict[tuple[str, Split], _Part] = {}  # of each recording and split, the row so far that reaches furthest
    for part in sorted(parts, key=lambda part: part.row.start):
        recording = f"{realpath(part.file)}#{part.inner}"  # which two rows may spell otherwise, or reach by a link
        for split in SPLITS:
            other = last.get((recording, split))
            if split != part.split and other is not None and part.row.start < _end(other):
                told = " and ".join(f"{each.row.place} ({each.split})" for each in (other, part))
                raise CorpusError(f"{root}: {told} share frames of {part.recording}; splits must not share any")
        own = last.get((recording, part.split))
        if own is None or _end(own) < _end(part):
            last[recording, part.split] = part


def _end(part: _Part) -> float:
    return np.inf if part.row.end is None else part.row.end


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # such as a name too long for one
        return False


def _first_header(files: Sequence[Path]) -> list[dict[str, Any]]:
    """What the first file that can be read says of itself; one that is damaged must not speak for all."""
    faults: list[CorpusError] = []
    for file in files:
        try:
            return pose_blocks(file)
        except CorpusError as error:
            faults.append(error)
    raise faults[0]

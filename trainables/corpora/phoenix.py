"""A folder of feature files beside PHOENIX-style annotations.

Formats: PHOENIX-2014 and its SI5 split (``id|folder|signer|annotation``), PHOENIX-2014-T
(``name|video|start|end|speaker|orth|translation``), CSL-Daily (``name|split`` beside a gloss table).
"""

import hashlib
import json
from collections.abc import Collection, Iterator, Sequence
from copy import copy
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from glosstune.spaces.errors import CorpusError, shown
from glosstune.spaces.files.bounded import LARGEST_TABLE, read_text
from glosstune.trainables.corpora.files.contents import content_digests, content_hash
from glosstune.trainables.corpora.files.features import load_values
from glosstune.trainables.corpora.utterance import SPLITS, Corpus, CorpusTraits, Split, Utterance, check_found
from glosstune.trainables.corpora.vocabulary import split_glosses
from glosstune.trainables.layouts.blocks import BlockSpec, Hands, NotSeen
from glosstune.trainables.layouts.layout import FileLayout, Layout
from glosstune.trainables.layouts.reading import check_order, stored_values
from glosstune.trainables.settings import TABLE_ENDINGS

_HEADERS = {
    # header: (utterance, signer, glosses), and the rule that the corpus is scored by
    "id|folder|signer|annotation": (("id", "signer", "annotation"), "phoenix2014"),
    "name|video|start|end|speaker|orth|translation": (("name", "speaker", "orth"), "phoenix2014t"),
}
_CSL_SPLITS = "split_1.txt"
_TABLE = "of recordings of your own name the table, corpus.root=TABLE.csv"
_FOLDERS = ("", "annotations", "annotations/manual", "sentence_label")
# Of folders of features; what lies in an earlier one is taken.
_FEATURE_FOLDERS = ("", "features")


class PhoenixCorpus(Corpus):
    """Utterances whose features lie in ``<root>/<split>/<id>``, ``.npz`` or ``.npy``, or in ``<root>/<id>.npy``.

    An id that several splits have is an utterance of each, whose key is then ``<split>/<id>``.

    Args:
        root: the folder; annotations lie in it, in one of ``_FOLDERS``, or in a folder there of their split.
        layout: name or blocks of the feature files (see ``layouts.blocks.LAYOUTS``).
        not_seen: what stands in them where a landmark was not seen.
        hands: whether a file's left hand is the left one in every frame, or has to be ``followed``.
        frame_step: every n-th frame is packed, from the first.
        split: ``multi-signer`` (the corpus's own) or ``unseen-signers`` (the SI5 files).
        missing: what to do with annotation rows that have no feature file or no gloss.
        signers: keep only these.

    Raises:
        CorpusError: annotations or feature files are missing, or a row is malformed.
    """

    traits = CorpusTraits(splits=("multi-signer", "unseen-signers"), clusters=("signer", "broadcast"), layouts=True)

    def __init__(
        self,
        root: Path,
        *,
        layout: str | Sequence[BlockSpec] = "default",
        not_seen: NotSeen = "zeros+nan",
        hands: Hands = "as-stored",
        frame_step: int = 1,
        split: str = "multi-signer",
        missing: Literal["error", "skip"] = "error",
        signers: Sequence[str] | None = None,
    ) -> None:
        if not root.is_dir():
            if root.is_file():
                rule = f"must be a folder, or a table ({', '.join(TABLE_ENDINGS)})"
                raise CorpusError(f"{root}: corpus.root {rule}; convert it")
            raise CorpusError(f"{root}: corpus.root is no folder; where the corpus has moved, say corpus.root=FOLDER")
        self.root = root
        self._files = FileLayout.of(layout, hands, frame_step)
        self.not_seen: NotSeen = not_seen
        self.speaker_split = split == "unseen-signers"
        self.missing = missing
        self.signers = tuple(signers) if signers else None
        self._keys: frozenset[str] | None = None

    def only(self, keys: Collection[str]) -> "PhoenixCorpus":
        few = copy(self)
        few._keys = frozenset(keys)
        for found in ("_found", "_rows_and_files"):
            vars(few).pop(found, None)
        return few

    def identity(self) -> dict[str, object]:
        rows = [[u.key, u.split, u.signer, u.glosses] for u in self.utterances()]
        return {
            "corpus": "phoenix",
            "layout": self.files.written,
            "not seen": self.not_seen,
            "hands": self.files.hands,
            "frame step": self.files.frame_step,
            "files": content_hash(self._content, self.root),
            "annotations": hashlib.sha256(json.dumps(rows).encode()).hexdigest(),
        }

    @property
    def _content(self) -> dict[str, Path]:
        return {path.relative_to(self.root).as_posix(): path for path in self.paths}

    def contents(self) -> list[str]:
        digests = content_digests(self._content, self.root)
        return [digests[path.relative_to(self.root).as_posix()] for path in self.paths]

    def utterances(self) -> list[Utterance]:
        return self._found[0]

    def read(self) -> Iterator[npt.NDArray[np.float32]]:
        check_order(self, self.files, str(self.root))
        for path in self.paths:
            yield stored_values(load_values(path), self.files, str(path), self.not_seen)

    def look(self, places: Collection[int]) -> Iterator[tuple[int, npt.NDArray[np.floating] | CorpusError]]:
        for place in places:
            try:
                yield place, load_values(self.paths[place])
            except CorpusError as error:
                yield place, error

    @property
    def files(self) -> FileLayout:
        return self._files

    @property
    def layout(self) -> Layout:
        return self.files.layout

    @property
    def scoring(self) -> str:
        if self._csl is not None:
            return "csl-daily"
        return _HEADERS[_read_lines(self._annotations("dev"), tuple(_HEADERS))[0]][1]

    @property
    def absent(self) -> list[str]:
        return self._rows_and_files[2]

    @property
    def unannotated(self) -> list[str]:
        return self._rows_and_files[3]

    @property
    def paths(self) -> list[Path]:
        """The feature file of each utterance."""
        return self._found[1]

    @cached_property
    def _found(self) -> tuple[list[Utterance], list[Path]]:
        utterances, paths, absent, unannotated = self._rows_and_files
        check_found(self.root, "annotation rows", paths, absent, unannotated, self.missing)
        return utterances, paths

    @cached_property
    def _rows_and_files(self) -> tuple[list[Utterance], list[Path], list[str], list[str]]:
        utterances: list[Utterance] = []
        paths: list[Path] = []
        absent: list[str] = []
        unannotated: list[str] = []
        rows = list(self._rows())
        splits: dict[str, set[Split]] = {}
        for split, name, *_ in rows:
            splits.setdefault(name, set()).add(split)
        for split, name, signer, glosses in rows:
            key = name if len(splits[name]) == 1 else f"{split}/{name}"
            if (self.signers and signer not in self.signers) or (self._keys is not None and key not in self._keys):
                continue
            if not glosses:
                unannotated.append(f"{split}/{name}")
                continue
            if wrong := [text for text in (name, signer, *glosses) if not text.isprintable()]:
                raise CorpusError(f"{self.root}: {split}/{name}: must be printable text; got {shown(wrong[0])}")
            if Path(name).is_absolute() or ".." in Path(name).parts:
                raise CorpusError(f"{self.root}: annotation id {name!r} leads outside the folder")
            path = self._feature_file(split, name)
            if path is None:
                absent.append(f"{split}/{name}")
                continue
            utterances.append(Utterance(key, split, signer, glosses, (str(path.relative_to(self.root)),)))
            paths.append(path)
        return utterances, paths, absent, unannotated

    def _feature_file(self, split: Split, name: str) -> Path | None:
        for folder in self._feature_folders:
            # SI5 deals the original splits' utterances anew: there a file may lie under any split's folder.
            if not self.speaker_split and (own := _first(folder / split, name)):
                return own
            lying = [found for each in SPLITS if (found := _first(folder / each, name))]
            if len(lying) > 1:
                listed = " and ".join(str(path.relative_to(self.root)) for path in lying)
                rule = f"{listed} are there, and nothing says which one is meant; give ids that no other file has"
                raise CorpusError(f"{self.root}: {split}/{name}: {rule}")
            if found := next(iter(lying), None) or _first(folder, name, ("npy",)):
                return found
        return None

    @cached_property
    def _feature_folders(self) -> list[Path]:
        return [folder for name in _FEATURE_FOLDERS if (folder := self.root / name).is_dir()]

    def _rows(self) -> Iterator[tuple[Split, str, str, tuple[str, ...]]]:
        if self._csl is not None:
            yield from self._csl_rows(self._csl)
            return
        for split in SPLITS:
            if split == "test" and self._find_annotations(split) is None:  # only confirmation reads it
                continue
            for row in _read_table(self._annotations(split), headers=tuple(_HEADERS)):
                key, signer, glosses = _HEADERS["|".join(row)][0]
                yield split, row[key], row[signer], split_glosses(row[glosses])

    def _csl_rows(self, path: Path) -> Iterator[tuple[Split, str, str, tuple[str, ...]]]:
        table = self._annotation("video_map.txt")
        if table is None:
            raise CorpusError(f"{path}: needs the gloss table video_map.txt beside it; a .pkl is never opened")
        glosses: dict[str, tuple[str, ...]] = {}
        for row in _read_table(table, columns=("name", "gloss")):
            signed = split_glosses(row["gloss"])
            if glosses.setdefault(row["name"], signed) != signed:
                raise CorpusError(f"{table}: {row['name']} stands twice with other glosses; keep one row")
        for row in _read_table(path, columns=("name", "split")):
            split = next((split for split in SPLITS if split == row["split"]), None)
            if split is None:
                raise CorpusError(f"{path}: {row['name']}: split {row['split']!r} is none of {', '.join(SPLITS)}")
            # S000196_P0004_T00: the second field is the signer.
            fields = row["name"].split("_")
            yield split, row["name"], fields[1] if len(fields) > 1 else "", glosses.get(row["name"], ())

    @property
    def _csl(self) -> Path | None:
        return None if self.speaker_split else self._annotation(_CSL_SPLITS)

    def _names(self, split: Split) -> tuple[str, ...]:
        # Only PHOENIX-2014 has a split by signer; any other file would pass for one here.
        own = (f"{split}.corpus.csv", f"PHOENIX-2014-T.{split}.corpus.csv")
        return (f"{split}.SI5.corpus.csv",) if self.speaker_split else own

    def _find_annotations(self, split: Split) -> Path | None:
        return next((found for name in self._names(split) if (found := self._annotation(name, split))), None)

    def _annotations(self, split: Split) -> Path:
        path = self._find_annotations(split)
        if path is None:
            places = f"{', '.join(filter(None, _FOLDERS))}, nor in a folder {split} there"
            others = "" if self.speaker_split else f", nor CSL-Daily's {_CSL_SPLITS} and video_map.txt,"
            named = " or ".join(self._names(split))
            raise CorpusError(f"{self.root}: no annotation file {named}{others} in it or in {places}; {_TABLE}")
        return path

    def _annotation(self, name: str, split: str = "") -> Path | None:
        places = (self.root / folder / inside / name for inside in ("", split) for folder in _FOLDERS)
        return next((path for path in places if path.is_file()), None)


def _first(folder: Path, name: str, endings: Sequence[str] = ("npz", "npy")) -> Path | None:
    files = (folder / f"{name}.{ending}" for ending in endings)
    return next((path for path in files if path.is_file()), None)


def _read_lines(path: Path, headers: Sequence[str] = ()) -> list[str]:
    """Lines of a table; the first must be one of ``headers``, where these are given."""
    try:
        lines = read_text(path, LARGEST_TABLE).removeprefix("\ufeff").split("\n")
    except UnicodeDecodeError:
        raise CorpusError(f"{path}: is not UTF-8 text; convert it") from None
    except OSError as error:
        raise CorpusError(f"{path}: cannot be read: {error.strerror or error}") from error
    if headers and lines[0] not in headers:
        raise CorpusError(f"{path}: header {lines[0]!r} is unknown; known are {', '.join(map(repr, headers))}")
    return lines


def _read_table(path: Path, headers: Sequence[str] = (), columns: Sequence[str] = ()) -> list[dict[str, str]]:
    """Rows of a table with fields between ``|``; its header must be one of ``headers``, or have all ``columns``."""
    lines = _read_lines(path, headers)
    header = lines[0]
    names = header.split("|")
    missing = [column for column in columns if column not in names]
    if missing:
        raise CorpusError(f"{path}: header {header!r} has no column {', '.join(missing)}")
    rows = []
    for number, line in enumerate(lines[1:], start=2):
        fields = line.split("|")
        if line and len(fields) != len(names):
            raise CorpusError(f"{path}: line {number} has {len(fields)} fields, the header has {len(names)}")
        if line:
            rows.append(dict(zip(names, fields, strict=True)))
    return rows

"""A folder of feature files beside PHOENIX-style annotations.

Formats: PHOENIX-2014 and its SI5 split (``id|folder|signer|annotation``), PHOENIX-2014-T
(``name|video|start|end|speaker|orth|translation``), CSL-Daily (``name|split`` beside a gloss table).
"""

import hashlib
import unicodedata
from collections.abc import Collection, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from glosstune.spaces.errors import CorpusError
from glosstune.trainables.corpora.geometry import flatten, to_shoulder_frame
from glosstune.trainables.corpora.layout import (
    BASE_WIDTH,
    canonical_columns,
    describe_widths,
    layout_blocks,
    layout_width,
)
from glosstune.trainables.corpora.utterance import SPLITS, Corpus, CorpusTraits, Split, Utterance

FEATURE_KEYS = ("features", "feature", "arr_0")
_HEADERS = {
    # header's first columns: (utterance, signer, glosses)
    "id|folder|signer|annotation": ("id", "signer", "annotation"),
    "name|video|start|end|speaker|orth|translation": ("name", "speaker", "orth"),
}
_FOLDERS = ("", "annotations", "annotations/manual", "sentence_label")
_LISTED = 10
# Zero-width space, word joiner, byte order mark, soft hyphen: what editors and web pages leave inside of words.
_INVISIBLE = dict.fromkeys(map(ord, "\u200b\u2060\ufeff\u00ad"))


class PhoenixCorpus(Corpus):
    """Utterances whose features lie in ``<root>/<split>/<id>``, ``.npz`` or ``.npy``, or in ``<root>/<id>.npy``.

    Args:
        root: the folder; annotations lie in it or in one of ``_FOLDERS``.
        layout: name or blocks of the feature files (see ``layout.LAYOUTS``).
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
        layout: str | Sequence[str] = "default",
        split: str = "multi-signer",
        missing: Literal["error", "skip"] = "error",
        signers: Sequence[str] | None = None,
    ) -> None:
        if not root.is_dir():
            raise CorpusError(f"{root}: corpus.root is no folder")
        self.root = root
        self.layout = layout_blocks(layout)
        self.speaker_split = split == "unseen-signers"
        self.missing = missing
        self.signers = tuple(signers) if signers else None
        self._keys: frozenset[str] | None = None

    def only(self, keys: Collection[str]) -> "PhoenixCorpus":
        few = PhoenixCorpus(self.root, layout=self.layout, missing=self.missing, signers=self.signers)
        few.speaker_split, few._keys = self.speaker_split, frozenset(keys)
        return few

    def identity(self) -> dict[str, object]:
        files = [(str(path.relative_to(self.root)), path.stat()) for path in self.paths]
        listing = "\n".join(f"{name} {stat.st_size} {stat.st_mtime_ns}" for name, stat in files)
        rows = "\n".join(f"{u.key} {u.split} {u.signer} {' '.join(u.glosses)}" for u in self.utterances())
        return {
            "corpus": "phoenix",
            "layout": list(self.layout),
            "files": hashlib.sha256(listing.encode()).hexdigest(),
            "annotations": hashlib.sha256(rows.encode()).hexdigest(),
        }

    def utterances(self) -> list[Utterance]:
        return self._found[0]

    def read(self) -> Iterator[npt.NDArray[np.float32]]:
        columns = canonical_columns(self.layout)
        for path in self.paths:
            values = read_features(path, self.layout)[:, columns]
            if values.shape[1] == BASE_WIDTH:
                try:
                    values = flatten(to_shoulder_frame(values.reshape(len(values), -1, 3)))
                except CorpusError as error:
                    raise CorpusError(f"{path}: {error}") from None
            yield values

    def look(self, places: Collection[int]) -> Iterator[tuple[int, npt.NDArray[np.floating] | CorpusError]]:
        for place in places:
            try:
                yield place, load_values(self.paths[place])
            except CorpusError as error:
                yield place, error

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
        if unannotated and self.missing == "error":
            told = f"{len(unannotated)} annotation rows have no gloss: {_listed(unannotated)}"
            raise CorpusError(f"{self.root}: {told}; corpus.missing=skip leaves them out")
        if absent and (self.missing == "error" or not paths):
            raise CorpusError(
                f"{self.root}: {len(absent)} annotation rows have no feature file: {_listed(absent)}; "
                + ("none is there" if not paths else "corpus.missing=skip leaves them out")
            )
        return utterances, paths

    @cached_property
    def _rows_and_files(self) -> tuple[list[Utterance], list[Path], list[str], list[str]]:
        utterances: list[Utterance] = []
        paths: list[Path] = []
        absent: list[str] = []
        unannotated: list[str] = []
        for split, key, signer, glosses in self._rows():
            if (self.signers and signer not in self.signers) or (self._keys is not None and key not in self._keys):
                continue
            if not glosses:
                unannotated.append(f"{split}/{key}")
                continue
            if Path(key).is_absolute() or ".." in Path(key).parts:
                raise CorpusError(f"{self.root}: annotation id {key!r} leads outside the folder")
            path = self._feature_file(key)
            if path is None:
                absent.append(f"{split}/{key}")
                continue
            utterances.append(Utterance(key, split, signer, glosses, (str(path.relative_to(self.root)),)))
            paths.append(path)
        return utterances, paths, absent, unannotated

    def _feature_file(self, key: str) -> Path | None:
        # SI5 deals the original splits' utterances anew, so a file may lie under another split's folder.
        candidates = [self.root / split / f"{key}.{ending}" for ending in ("npz", "npy") for split in SPLITS]
        candidates.append(self.root / f"{key}.npy")
        return next((path for path in candidates if path.is_file()), None)

    def _rows(self) -> Iterator[tuple[Split, str, str, tuple[str, ...]]]:
        csl = self._annotation("split_1.txt")
        if csl is not None and not self.speaker_split:
            yield from self._csl_rows(csl)
            return
        for split in SPLITS:
            # Only PHOENIX-2014 has a split by signer; any other file would pass for one here.
            own = (f"{split}.corpus.csv", f"PHOENIX-2014-T.{split}.corpus.csv")
            names = (f"{split}.SI5.corpus.csv",) if self.speaker_split else own
            path = next((found for name in names if (found := self._annotation(name))), None)
            if path is None:
                if split == "test":  # only confirmation reads it
                    continue
                places = ", ".join(filter(None, _FOLDERS))
                others = "" if self.speaker_split else ", nor CSL-Daily's split_1.txt and video_map.txt,"
                raise CorpusError(f"{self.root}: no annotation file {' or '.join(names)}{others} in it or in {places}")
            for row in _read_table(path, headers=tuple(_HEADERS)):
                key, signer, glosses = _HEADERS["|".join(row)]
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

    def _annotation(self, name: str) -> Path | None:
        return next((path for folder in _FOLDERS if (path := self.root / folder / name).is_file()), None)


def _listed(rows: Sequence[str]) -> str:
    return ", ".join(rows[:_LISTED]) + (", …" if len(rows) > _LISTED else "")


def split_glosses(text: str) -> tuple[str, ...]:
    """Glosses of an annotation in one Unicode form, without the invisible characters that make two of one."""
    return tuple(unicodedata.normalize("NFC", text.translate(_INVISIBLE)).split())


def read_features(path: Path, layout: Sequence[str]) -> npt.NDArray[np.float32]:
    """Values (time, width) of one feature file, as they lie there.

    Raises:
        CorpusError: unreadable, empty, truncated, of another width, or NaN; with the rule and the way out.
    """
    values = load_values(path)
    width = layout_width(layout)
    if values.shape[1] != width:
        raise CorpusError(
            f"{path}: {values.shape[1]} values a frame, but corpus.layout {list(layout)} has {width}; "
            f"{describe_widths()}"
        )
    if not np.isfinite(values).all():
        frame, column = np.argwhere(~np.isfinite(values))[0]
        raise CorpusError(f"{path}: NaN or infinity at frame {frame}, value {column}; repair or remove the file")
    with np.errstate(over="ignore"):  # packing says so with the file's name
        return np.asarray(values, dtype=np.float32)


def load_values(path: Path) -> npt.NDArray[np.floating]:
    """Floats (time, width) of one feature file, whatever they are; CorpusError if it holds none."""
    try:
        # Opened here, since NumPy leaves a file open when its content is broken.
        with path.open("rb") as file:
            loaded = np.load(file, allow_pickle=False)
            values = loaded if isinstance(loaded, np.ndarray) else loaded[_array_key(path, loaded.files)]
    except CorpusError:
        raise
    except Exception as error:  # NumPy and zipfile raise a different type for each kind of damage
        raise CorpusError(f"{path}: empty, truncated or no NumPy file of numbers ({type(error).__name__})") from error
    if not isinstance(values, np.ndarray) or values.ndim != 2 or not len(values) or values.dtype.kind != "f":
        found = f"{values.dtype} {values.shape}" if isinstance(values, np.ndarray) else type(values).__name__
        raise CorpusError(f"{path}: expected floats (time, width) and at least one frame, got {found}; convert it")
    return values


def _array_key(path: Path, names: Sequence[str]) -> str:
    for key in FEATURE_KEYS:
        if key in names:
            return key
    raise CorpusError(f"{path}: no array {', '.join(FEATURE_KEYS)}; it holds {', '.join(names)}")


def _read_table(path: Path, headers: Sequence[str] = (), columns: Sequence[str] = ()) -> list[dict[str, str]]:
    """Rows of a table with fields between ``|``; its header must be one of ``headers``, or have all ``columns``."""
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError:
        raise CorpusError(f"{path}: is not UTF-8 text; convert it") from None
    header = lines[0]
    names = header.split("|")
    if headers and header not in headers:
        raise CorpusError(f"{path}: header {header!r} is unknown; known are {', '.join(map(repr, headers))}")
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

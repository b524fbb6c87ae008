"""Read a table of one's own recordings: CSV, TSV, JSON lines or parquet, a row a recording or a part of one."""

import csv
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from glosstune.results.text import printable
from glosstune.spaces.errors import CorpusError, likeliest, shown
from glosstune.spaces.files.bounded import LARGEST_TABLE, parse_json, read_text
from glosstune.spaces.files.parquet import ParquetTable
from glosstune.trainables.corpora.utterance import SPLITS, Split
from glosstune.trainables.corpora.vocabulary import split_glosses

REQUIRED = ("path", "glosses")
COLUMNS = (*REQUIRED, "id", "signer", "split", "start", "end")
_SYNONYMS = {"path": ("file", "filename"), "glosses": ("gloss",), "signer": ("speaker",)}
_DEV = ("val", "valid", "validation")


@dataclass(frozen=True)
class Row:
    """One row, checked.

    Attributes:
        place: where it stands, such as ``line 3``.
        start, end: frames of the file that it is, counted from 0, ``end`` not included; None to the last.
        split: None where the table says none.
        renamed: what the table calls the split, where that is another word.
    """

    place: str
    path: str
    glosses: tuple[str, ...]
    key: str
    signer: str
    split: Split | None
    start: int
    end: int | None
    renamed: str = ""


def read_rows(path: Path) -> tuple[list[Row], list[str]]:
    """All rows of a table, and the names of the columns that say nothing here.

    Raises:
        CorpusError: it cannot be read, lacks a column, or a value is malformed; with file, place, column, value, rule.
    """
    read = {".tsv": _text_rows, ".csv": _text_rows, ".parquet": _parquet_rows}.get(path.suffix.lower(), _json_rows)
    rows: list[Row] = []
    unused: dict[str, None] = {}
    names: tuple[str, ...] = ()
    columns: Mapping[str, str] = {}
    for place, cells in read(path):
        if tuple(cells) != names:
            names = tuple(cells)
            columns = _columns(f"{path}: {place}" if read is _json_rows else str(path), names)
            unused |= dict.fromkeys(printable(name) for name in names if name not in columns.values() and name.strip())
        rows.append(_row(path, place, {column: cells[name] for column, name in columns.items()}))
    if not rows:
        raise CorpusError(f"{path}: has no row")
    unsaid = [row for row in rows if row.split is None]
    if 0 < len(unsaid) < len(rows):
        rule = f"split: is empty in {len(unsaid)} of {len(rows)} rows; say it in all of them, or in none"
        raise CorpusError(f"{path}: {unsaid[0].place}: {rule}")
    return rows, list(unused)


def _columns(where: str, names: Sequence[str]) -> dict[str, str]:
    """Which of the table's names each column has there: whatever their case, by a usual other word if need be."""
    known: dict[str, list[str]] = {}
    for name in names:
        known.setdefault(name.strip().lower(), []).append(name)
    found = {}
    for column in COLUMNS:
        for word in (column, *_SYNONYMS.get(column, ())):
            if len(known.get(word, ())) > 1:
                raise CorpusError(f"{where}: column {word} stands there {len(known[word])} times; keep one")
            if word in known:
                found[column] = known[word][0]
                break
    missing = [column for column in REQUIRED if column not in found]
    if missing:
        told = f"no column {' and no '.join(missing)}; it has {', '.join(map(repr, names))}"
        raise CorpusError(f"{where}: {told}; needed are {' and '.join(REQUIRED)}, possible {', '.join(COLUMNS[2:])}")
    return found


def _row(path: Path, place: str, cells: Mapping[str, Any]) -> Row:
    where = f"{path}: {place}"
    text = {column: _text(where, column, cells.get(column)) for column in COLUMNS if column != "glosses"}
    if not text["path"]:
        raise CorpusError(f"{where}: path: is empty; name a file")
    start, end = (_frame(where, column, text[column]) for column in ("start", "end"))
    if end is not None and end <= (start or 0):
        raise CorpusError(f"{where}: end: must be above start {start or 0}, for it is not included; got {end}")
    word = text["split"].lower()
    split = next((each for each in SPLITS if each == ("dev" if word in _DEV else word)), None)
    if word and split is None:
        known = (*SPLITS, *_DEV)
        rule = f"must be {', '.join(SPLITS)}, or {', '.join(_DEV)} for dev; got {shown(text['split'])}"
        raise CorpusError(f"{where}: split: {rule}{likeliest(word, known)}")
    return Row(
        place,
        text["path"],
        _glosses(where, cells["glosses"]),
        text["id"],
        text["signer"],
        split,
        start or 0,
        end,
        word if word in _DEV else "",
    )


def _text(where: str, column: str, value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):  # how pandas writes what is not there
        return ""
    if isinstance(value, float) and value.is_integer():  # a column of whole numbers with gaps
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise CorpusError(f"{where}: {column}: must be text or a whole number; got {shown(value)}")
    found = str(value).strip()
    if not found.isprintable():
        raise CorpusError(f"{where}: {column}: must be printable text; got {shown(found)}")
    return found


def _frame(where: str, column: str, text: str) -> int | None:
    if not text:
        return None
    whole, _, rest = text.partition(".")
    if not (whole.isascii() and whole.isdigit() and len(whole) < 10) or rest.strip("0"):
        rule = "must be a frame, a whole number from 0, or empty for the whole file"
        raise CorpusError(f"{where}: {column}: {rule}; got {shown(text)}")
    return int(whole)


def _glosses(where: str, value: Any) -> tuple[str, ...]:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ()
    if isinstance(value, str):
        if value.strip()[:2] in ("['", '["'):
            rule = "must be glosses with blanks between them, and not a list in brackets"
            raise CorpusError(f"{where}: glosses: {rule}; got {shown(value)}")
        glosses = split_glosses(value)
    elif isinstance(value, list) and all(isinstance(gloss, str) for gloss in value):
        words = [split_glosses(gloss) for gloss in value]
        if apart := [gloss for gloss, word in zip(value, words, strict=True) if len(word) > 1]:
            raise CorpusError(f"{where}: glosses: none may have a blank in it; got {shown(apart[0])}; write a hyphen")
        glosses = tuple(gloss for word in words for gloss in word)
    else:
        raise CorpusError(f"{where}: glosses: must be text, or a list of text; got {shown(value)}")
    if wrong := [gloss for gloss in glosses if not gloss.isprintable()]:
        raise CorpusError(f"{where}: glosses: must be printable text; got {shown(wrong[0])}")
    return glosses


def _text_rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    try:
        with io.StringIO(read_text(path, LARGEST_TABLE, ends=True).removeprefix("\ufeff"), newline="") as file:
            first = file.readline()
            file.seek(0)
            reader = csv.reader(file, delimiter=_delimiter(path, first), strict=True)
            names: list[str] = []
            line = 1
            for fields in reader:
                place, line = f"line {line}", reader.line_num + 1
                if not any(field.strip() for field in fields):  # blank, or left behind by a spreadsheet
                    continue
                if not names:
                    names = fields
                    _columns(str(path), names)  # which must not wait for a row, nor lose a column that stands twice
                    continue
                if len(fields) != len(names):
                    rule = f"has {len(fields)} fields, the header has {len(names)}"
                    raise CorpusError(f"{path}: {place}: {rule}; put a field with a separator in it in quotes")
                yield place, dict(zip(names, fields, strict=True))
    except UnicodeDecodeError:
        raise CorpusError(f"{path}: is not UTF-8 text; convert it") from None
    except csv.Error as error:
        raise CorpusError(f"{path}: line {line}: is no sound row ({error}); look at its quotes") from None
    except OSError as error:
        raise CorpusError(f"{path}: cannot be read: {error.strerror or error}") from error


def _delimiter(path: Path, header: str) -> str:
    """Some spreadsheets put semicolons or tabs into a .csv."""
    if path.suffix.lower() == ".tsv":
        return "\t"
    return max(",;\t", key=header.count)


def _json_rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    try:
        lines = read_text(path, LARGEST_TABLE).removeprefix("\ufeff").split("\n")
    except UnicodeDecodeError:
        raise CorpusError(f"{path}: is not UTF-8 text; convert it") from None
    except OSError as error:
        raise CorpusError(f"{path}: cannot be read: {error.strerror or error}") from error
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        where = f"{path}: line {number}"
        try:
            found = parse_json(line)
        except ValueError as error:
            raise CorpusError(f"{where}: is no JSON ({type(error).__name__}); each line must be an object") from None
        if not isinstance(found, dict):
            raise CorpusError(f'{where}: must be an object such as {{"path": …, "glosses": …}}; got {shown(found)}')
        yield f"line {number}", found


def _parquet_rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    try:
        with ParquetTable(path) as table:
            columns = set(_columns(str(path), table.names).values())
            for number, cells in enumerate(table.rows(columns), start=1):
                yield f"row {number}", {name: cells.get(name) for name in table.names}
    except CorpusError:
        raise
    except Exception as error:  # pyarrow raises a different type for each kind of damage
        if isinstance(error, OSError) and error.strerror:
            raise CorpusError(f"{path}: cannot be read: {error.strerror}") from error
        raise CorpusError(f"{path}: empty, truncated or no parquet file ({type(error).__name__})") from error

"""A table says the same whatever it is written in, and what is malformed in it is named."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tables import ROWS, WRITERS, open_table, said, write_csv, write_json, write_parquet

from glosstune.spaces import CorpusError, SettingError
from glosstune.spaces.errors import GlosstuneError
from glosstune.trainables.corpora import PhoenixCorpus, pack_corpus
from glosstune.trainables.corpora.store import pack
from glosstune.trainables.settings import CorpusSettings

formats = pytest.mark.parametrize(("name", "write"), WRITERS.items(), ids=WRITERS)


@formats
def test_a_table_is_read_as_it_is_written(root: Path, name: str, write: Callable[..., Path]) -> None:
    corpus = open_table(write(root / name, ROWS))
    assert said(corpus) == [
        ("001", "train", "01", ("MORGEN", "REGEN")),
        ("002", "train", "01", ("NA", "None")),
        ("003", "dev", "NA", ("REGEN",)),
    ]
    assert [u.sources for u in corpus.utterances()] == [("clips/001.npy",), ("clips/002.npy",), ("clips/003.npy",)]
    assert [frames.shape for frames in corpus.read()] == [(8, 1629)] * 3
    assert corpus.notes == []


@formats
def test_a_table_is_packed(root: Path, name: str, write: Callable[..., Path], tmp_path: Path) -> None:
    table = write(root / name, ROWS)
    packed = pack_corpus(CorpusSettings(kind="table", root=table, layout="base", cache=tmp_path / "cache"))
    assert (len(packed.table), packed.vocabulary.glosses) == (3, ("MORGEN", "NA", "None", "REGEN"))


@pytest.mark.parametrize(("name", "write"), [("a.jsonl", write_json), ("a.parquet", write_parquet)])
def test_glosses_may_be_a_list_and_numbers_may_have_gaps(root: Path, name: str, write: Callable[..., Path]) -> None:
    rows = [
        {"path": "clips/001.npy", "glosses": ["MORGEN", "REGEN"], "id": 7, "signer": 1, "split": "train", "end": 4},
        {"path": "clips/003.npy", "glosses": ["REGEN"], "id": 8, "signer": 2, "split": "dev", "end": None},
    ]
    corpus = open_table(write(root / name, rows))
    assert said(corpus) == [("7", "train", "1", ("MORGEN", "REGEN")), ("8", "dev", "2", ("REGEN",))]
    assert [len(frames) for frames in corpus.read()] == [4, 8]


@pytest.mark.parametrize(
    "text",
    [
        "\ufeffPath,Glosses,Split\r\nclips/001.npy,A B,train\r\nclips/003.npy,A,DEV\r\n",
        "path;glosses;split\nclips/001.npy;A B;train\n;;\nclips/003.npy;A;val\n",
        'file,gloss,speaker,split\nclips/001.npy," A\u200b  B",x,train\n\nclips/003.npy,A,y,validation',
        'split\tpath\tglosses\ntrain\t"clips/001.npy"\tA B\ndev\tclips/../clips/003.npy\tA\n',
    ],
)
def test_tables_of_spreadsheets_and_usual_other_words_are_understood(root: Path, text: str) -> None:
    (root / "a.csv").write_bytes(text.encode())
    told = said(open_table(root / "a.csv"))
    assert [(key, split, glosses) for key, split, _, glosses in told] == [
        ("clips/001", "train", ("A", "B")),
        ("clips/003", "dev", ("A",)),
    ]


def test_what_is_not_used_and_what_was_renamed_is_told(root: Path, tmp_path: Path) -> None:
    rows = [
        {**row, "age": 3, "Comment": "x", "split": "Val" if row["split"] == "dev" else row["split"]} for row in ROWS
    ]
    corpus = open_table(write_csv(root / "a.csv", rows))
    assert corpus.notes == ["splits: val is read as dev", "columns: age, Comment not used"]
    assert pack(corpus, tmp_path / "cache").notes == corpus.notes


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("", r"a\.csv: has no row"),
        ("clips/001.npy,A", r"no column path and no glosses; it has 'clips/001\.npy', 'A'; needed are"),
        ("path,glosses", r"has no row"),
        ("path,signer\na,b", r"no column glosses; it has 'path', 'signer'; needed are path and glosses, possible id"),
        ("path,Path,glosses\na,a,A", r"column path stands there 2 times; keep one"),
        ("path,glosses\nclips/001.npy,A\nclips/002.npy,A,B", r"line 3: has 3 fields, the header has 2; put a field"),
        ('path,glosses\nclips/001.npy,"A', r"line 2: is no sound row .*; look at its quotes"),
        ("path,glosses\n,A", r"line 2: path: is empty; name a file"),
        ("path,glosses\nclips/001.npy,\"['A', 'B']\"", r"line 2: glosses: must be glosses with blanks .*not a list"),
        (
            "path,glosses,split\na.npy,A,trian",
            r"line 2: split: must be train, dev, test, or .*'trian'; did you mean 'train'",
        ),
        (
            "path,glosses,split\na.npy,A,train\nb.npy,A,",
            r"line 3: split: is empty in 1 of 2 rows; say it in all of them",
        ),
        ("path,glosses,start\na.npy,A,-1", r"line 2: start: must be a frame, a whole number from 0.*got '-1'"),
        ("path,glosses,end\na.npy,A,1.5", r"line 2: end: must be a frame.*got '1\.5'"),
        ("path,glosses,start,end\na.npy,A,5,5", r"line 2: end: must be above start 5, for it is not included; got 5"),
        ("path,glosses,id\na.npy,A,x\nb.npy,B,x", r"line 2 and line 3: id: 'x' stands in both; keep one row"),
        ("path,glosses\na.npy,A\na.npy,B", r"line 2 and line 3: id: 'a' stands in both"),
        ('path,glosses\n"a\nb.npy",A', r"line 2: path: must be printable text"),
        ("path,glosses,split\nclips/001.npy,A,dev", r"split train: no utterance"),
        (
            "path,glosses,split,end\nclips/001.npy,A,train,9\nclips/003.npy,A,dev,",
            r"line 2: end: must be at most 8, for",
        ),
        (
            "path,glosses,split,start\nclips/001.npy,A,train,8\nclips/003.npy,A,dev,",
            r"line 2: start: must be at most 7, for",
        ),
    ],
)
def test_a_malformed_table_is_named_with_place_column_and_rule(
    root: Path, tmp_path: Path, text: str, rule: str
) -> None:
    (root / "a.csv").write_text(text, encoding="utf-8")
    with pytest.raises(CorpusError, match=rule) as caught:
        pack(open_table(root / "a.csv"), tmp_path / "cache")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ("{", "line 2: is no JSON"),
        ("[1]", "line 2: must be an object such as"),
        ('{"path": "a.npy"}', "line 2: no column glosses"),
        ('{"path": "a.npy", "glosses": 3}', "line 2: glosses: must be text, or a list of text; got 3"),
        ('{"path": "a.npy", "glosses": ["NEW YORK"]}', "line 2: glosses: none may have a blank in it; got 'NEW YORK'"),
        ('{"path": ["a"], "glosses": "A"}', r"line 2: path: must be text or a whole number; got \['a'\]"),
        (
            '{"path": "a.npy", "glosses": "A", "signer": true}',
            "line 2: signer: must be text or a whole number; got true",
        ),
    ],
)
def test_a_malformed_line_of_json_is_named(root: Path, line: str, rule: str) -> None:
    (root / "a.jsonl").write_text(f'{{"path": "clips/001.npy", "glosses": "A"}}\n{line}\n', encoding="utf-8")
    with pytest.raises(CorpusError, match=rf"a\.jsonl: {rule}"):
        open_table(root / "a.jsonl").utterances()


def test_a_table_that_is_none_is_named(root: Path) -> None:
    (root / "a.csv").write_bytes("path,glosses\nclips/001.npy,MÜNCHEN".encode("latin-1"))
    (root / "a.parquet").write_bytes(b"PAR1")
    for name, rule in {
        "a.csv": "is not UTF-8 text; convert it",
        "a.parquet": "empty, truncated or no parquet file",
        "gone.csv": r"corpus\.root is no file; where the table has moved, say corpus\.root=TABLE",
        "clips": r"corpus\.root is a folder; name the table in it \(\.csv, .*\)$",
        ".": r"corpus\.root is a folder; name the table in it \(\.csv, .*\), such as .*a\.csv",
        "a.xlsx": r"corpus\.root must be a table \(\.csv, .*convert it",
    }.items():
        with pytest.raises(CorpusError, match=rule):
            open_table(root / name).utterances()


def test_a_file_that_is_no_table_is_not_taken_for_a_folder(root: Path) -> None:
    (root / "a.xlsx").write_bytes(b"PK")
    with pytest.raises(CorpusError, match=r"a\.xlsx: corpus\.root must be a folder, or a table \(\.csv, .*convert it"):
        PhoenixCorpus(root / "a.xlsx")


CELLS = st.one_of(
    st.sampled_from(["", "A", "A B", "train", "dev", "test", "val", "0", "3", "8", "9", "1.0", "nan", "NA", "x"]),
    st.sampled_from(["clips/001.npy", "clips/002.npy", "clips/003.npy", "clips", "../recordings/clips/001.npy", "a#b"]),
    st.text(max_size=6),
)
VALUES = st.one_of(CELLS, st.none(), st.booleans(), st.integers(-3, 12), st.floats(), st.lists(CELLS, max_size=3))
NAMES = st.sampled_from(["path", "glosses", "id", "signer", "split", "start", "end", "Path", "gloss", "x", ""])


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_table_is_read_or_refused(root: Path, tmp_path: Path, data: st.DataObject) -> None:
    names = (
        data.draw(st.lists(NAMES, max_size=7)) if data.draw(st.booleans()) else ["path", "glosses", "split", "start"]
    )
    if data.draw(st.booleans()):
        rows = data.draw(st.lists(st.fixed_dictionaries(dict.fromkeys(names, VALUES)), max_size=4))
        table = write_json(root / "fuzz.jsonl", rows)
    else:
        cells = data.draw(st.lists(st.lists(CELLS, min_size=len(names), max_size=len(names)), max_size=4))
        table = root / "fuzz.csv"
        text = "\n".join(",".join(f'"{cell}"' if "," in cell else cell for cell in row) for row in [names, *cells])
        table.write_bytes(text.encode(errors="surrogatepass"))
    options = {
        "split": data.draw(st.sampled_from(["multi-signer", "unseen-signers"])),
        "missing": data.draw(st.sampled_from(["error", "skip"])),
        "split_seed": data.draw(st.integers(0, 9)),
    }
    try:
        corpus = open_table(table, **options)
        utterances, frames = corpus.utterances(), list(corpus.read())
        assert len(utterances) == len(frames) > 0
        assert all(utterance.glosses for utterance in utterances)
        json.dumps([corpus.identity(), corpus.notes])
    except GlosstuneError as error:
        assert isinstance(error, CorpusError | SettingError)
        assert "\n" not in str(error)

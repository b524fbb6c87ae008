"""What is wrong with a folder of the kind of PHOENIX is named, and nothing is written."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from small_phoenix import random_features, write_small

from glosstune.spaces import CorpusError, FolderError
from glosstune.trainables.corpora import PhoenixCorpus
from glosstune.trainables.corpora.store import pack


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_small(tmp_path / "phoenix")


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:200])


def _write(path: Path, value: float) -> None:
    values = random_features()
    values[2, 5] = value
    np.savez(path, features=values)


BAD_FILES: dict[str, tuple[Callable[[Path], object], str]] = {
    "empty": (lambda path: path.write_bytes(b""), "empty, truncated or no NumPy file"),
    "truncated": (_truncate, "empty, truncated or no NumPy file"),
    "no frames": (lambda path: np.savez(path, features=random_features(0)), r"expected floats \(time, width\)"),
    "no numbers": (lambda path: np.savez(path, features=np.ones((3, 1629), bool)), "expected floats"),
    "another key": (
        lambda path: np.savez(path, values=random_features()),
        "no array features, feature, arr_0; it holds values",
    ),
    "another width": (
        lambda path: np.savez(path, features=random_features(width=1662)),
        "1662 values a frame, but .* has 1629; that width fits holistic",
    ),
    "infinity": (lambda path: _write(path, np.inf), "infinity at frame 2, value 5; repair or remove the file"),
    "a pickle": (lambda path: np.savez(path, features=np.array([{}], dtype=object)), "empty, truncated or no NumPy"),
}


@pytest.mark.parametrize("fault", BAD_FILES)
def test_a_bad_feature_file_is_named_with_its_rule_and_nothing_is_written(
    root: Path, fault: str, tmp_path: Path
) -> None:
    spoil, rule = BAD_FILES[fault]
    path = root / "train" / "two.npz"
    spoil(path)
    with pytest.raises(CorpusError, match=rule) as caught:
        pack(PhoenixCorpus(root, layout="base"), tmp_path / "cache")
    assert str(path) in str(caught.value)
    assert [file.name for file in (tmp_path / "cache").iterdir() if not file.name.endswith(".lock")] == []


def test_nan_is_what_was_not_seen_unless_it_is_said_to_be_none(root: Path) -> None:
    path = root / "train" / "one.npz"
    _write(path, np.nan)
    filled = next(PhoenixCorpus(root, layout="base").read())
    assert np.isfinite(filled).all()
    rule = r"NaN at frame 2, value 5; corpus\.not_seen=zeros\+nan takes NaN for what was not seen"
    with pytest.raises(CorpusError, match=rule):
        next(PhoenixCorpus(root, layout="base", not_seen="zeros").read())


def test_rows_without_features_are_counted_and_listed_or_skipped(root: Path) -> None:
    rows = "".join(f"\nmissing{number}|x|S|A" for number in range(12))
    path = root / "train.corpus.csv"
    path.write_text(path.read_text() + rows, encoding="utf-8")
    with pytest.raises(
        CorpusError, match=r"12 annotation rows .* train/missing0, .* train/missing9 and 2 more; corpus.missing=skip"
    ):
        PhoenixCorpus(root, layout="base").utterances()
    assert len(PhoenixCorpus(root, layout="base", missing="skip").utterances()) == 3


def test_skipping_everything_is_still_an_error(tmp_path: Path) -> None:
    (tmp_path / "train.corpus.csv").write_text("id|folder|signer|annotation\none|x|S|A", encoding="utf-8")
    (tmp_path / "dev.corpus.csv").write_text("id|folder|signer|annotation\ntwo|x|S|A", encoding="utf-8")
    with pytest.raises(CorpusError, match="2 annotation rows have no feature file"):
        PhoenixCorpus(tmp_path, missing="skip").utterances()


@pytest.mark.parametrize(
    ("file", "text", "rule"),
    [
        ("dev", "id|folder|signer|annotation\none|x|S|A", "one.npz is in train and in dev"),
        (
            "dev",
            "id|folder|signer|annotation\nthree|x|S|",
            "1 annotation rows have no gloss: dev/three; corpus.missing=skip",
        ),
        ("dev", "id|folder|signer|annotation", "split dev: no utterance"),
        ("dev", "id;folder;signer;annotation\nthree;x;S;A", "header 'id;folder;signer;annotation' is unknown"),
        ("dev", "id|folder|signer|annotation\nthree|x|S", "line 2 has 3 fields, the header has 4"),
        ("dev", "id,folder\nthree,x,S", "header 'id,folder' is unknown"),
        ("dev", "id|folder|signer|annotation\nthree|x|S|A\nthree|x|S|B", "annotated more than once: three"),
        ("dev", "id|folder|signer|annotation\n../train/one|x|S|A", "leads outside the folder"),
    ],
)
def test_bad_annotations_are_named(root: Path, tmp_path: Path, file: str, text: str, rule: str) -> None:
    (root / f"{file}.corpus.csv").write_text(text, encoding="utf-8")
    with pytest.raises(CorpusError, match=rule):
        pack(PhoenixCorpus(root, layout="base"), tmp_path / "cache")


def test_annotations_in_another_encoding_are_named(root: Path) -> None:
    (root / "dev.corpus.csv").write_bytes("id|folder|signer|annotation\nthree|x|S|MÜNCHEN".encode("latin-1"))
    with pytest.raises(CorpusError, match=r"dev\.corpus\.csv: is not UTF-8 text"):
        PhoenixCorpus(root, layout="base").utterances()


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_annotations_written_on_windows_are_read(root: Path, ending: str) -> None:
    text = ending.join(["id|folder|signer|annotation", "three|x|S|A B", ""])
    (root / "dev.corpus.csv").write_bytes(text.encode("utf-8-sig"))
    assert PhoenixCorpus(root, layout="base").utterances()[-1].glosses == ("A", "B")


def test_a_missing_root_and_missing_annotations_are_named(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="is no folder"):
        PhoenixCorpus(tmp_path / "nowhere")
    with pytest.raises(CorpusError, match=r"no annotation file train\.corpus\.csv"):
        PhoenixCorpus(tmp_path).utterances()


def test_a_cache_that_cannot_be_written_is_an_error(root: Path, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(FolderError, match=r"cannot write the packed corpus .* corpus\.cache"):
        pack(PhoenixCorpus(root, layout="base"), blocked / "cache")

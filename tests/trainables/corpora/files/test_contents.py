"""A corpus is its content: where it lies and when it was written change nothing."""

import os
import shutil
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import pytest
from hostile import sparse
from hypothesis import given
from hypothesis import strategies as st

from glosstune.spaces import CorpusError
from glosstune.spaces.files import bounded
from glosstune.trainables.corpora.files import contents
from glosstune.trainables.corpora.files.contents import content_hash

LONG_AGO = 1_600_000_000


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of its own, and a clock that takes every file for an old one."""
    monkeypatch.setenv("GLOSSTUNE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(contents, "_SETTLED_S", -1.0)
    return tmp_path / "cache"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("train/a", "train/b", "dev/c"):
        (tmp_path / "corpus" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "corpus" / name).write_bytes(name.encode())
        os.utime(tmp_path / "corpus" / name, (LONG_AGO, LONG_AGO))
    return tmp_path / "corpus"


def _files(root: Path) -> list[Path]:
    return [path for path in sorted(root.rglob("*")) if path.is_file()]


def _named(root: Path) -> dict[str, Path]:
    return {str(path.relative_to(root)): path for path in _files(root)}


def _hash(root: Path) -> str:
    return content_hash(_named(root), root)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that are read from now on."""
    paths: list[str] = []
    digest = contents._digest
    monkeypatch.setattr(contents, "_digest", lambda path: (paths.append(path), digest(path))[1])
    return paths


def test_copying_moving_and_touching_change_nothing(root: Path, tmp_path: Path) -> None:
    before = _hash(root)
    assert _hash(Path(shutil.copytree(root, tmp_path / "copied"))) == before
    for path in _files(root):
        path.touch()
    assert _hash(root) == before
    assert _hash(root.rename(tmp_path / "moved")) == before
    assert content_hash(dict(reversed(_named(tmp_path / "moved").items())), tmp_path / "moved") == before


@pytest.mark.parametrize(
    "change",
    [
        lambda root: (root / "train/a").write_bytes(b"train/A"),
        lambda root: (root / "train/a").rename(root / "train/d"),
        lambda root: (root / "train/a").rename(root / "dev/a"),
        lambda root: (root / "train/a").unlink(),
    ],
)
def test_a_byte_a_name_a_place_and_a_file_less_change_it(root: Path, change: Callable[[Path], object]) -> None:
    before = _hash(root)
    change(root)
    assert _hash(root) != before


def test_two_files_that_change_places_are_noticed_though_size_and_time_stay(root: Path, tmp_path: Path) -> None:
    before = _hash(root)
    (root / "train/a").rename(tmp_path / "kept")
    (root / "train/b").rename(root / "train/a")
    (tmp_path / "kept").rename(root / "train/b")
    assert _hash(root) != before


@given(st.dictionaries(st.sampled_from("abcdef"), st.binary(max_size=3), min_size=1), st.randoms())
def test_two_folders_are_the_same_exactly_where_their_files_are(files: dict[str, bytes], random: Random) -> None:
    other = dict(files)
    name = random.choice(sorted(files))
    other[name] = random.choice([files[name], files[name] + b"x", b"y"])
    hashes = []
    for held in (files, other):
        with TemporaryDirectory() as folder:
            for each, data in held.items():
                Path(folder, each).write_bytes(data)
            hashes.append(_hash(Path(folder)))
    assert (hashes[0] == hashes[1]) == (files == other)


def test_a_second_look_reads_nothing(root: Path, reads: list[str]) -> None:
    before = _hash(root)
    assert len(reads) == 3
    reads.clear()
    assert _hash(root) == before and reads == []
    (root / "train/a").touch()
    assert _hash(root) == before and reads == [str(root / "train/a")]


def test_looking_at_a_few_files_forgets_no_others(root: Path, reads: list[str]) -> None:
    _hash(root)
    (root / "train/a").touch()
    content_hash({"train/a": root / "train/a"}, root)
    reads.clear()
    _hash(root)
    assert reads == []


def test_a_file_that_has_just_changed_is_read_again(
    root: Path, reads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contents, "_SETTLED_S", 2.0)
    before = _hash(root)  # whose entries in the file system were written a moment ago
    os.utime(root / "train/a", ns=(0, (root / "train/a").stat().st_mtime_ns))
    reads.clear()
    assert _hash(root) == before and len(reads) == 3


def test_a_file_that_changes_while_it_is_read_is_not_remembered(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = contents._digest

    def slowly(path: str) -> str:
        found = digest(path)
        Path(path).write_bytes(b"another")
        return found

    monkeypatch.setattr(contents, "_digest", slowly)
    before = _hash(root)
    monkeypatch.setattr(contents, "_digest", digest)
    assert _hash(root) != before


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"format": 1}', b'{"format": 1, "files": {"a": 3}}', b"\xff"])
def test_a_damaged_memory_is_made_anew(root: Path, cache: Path, reads: list[str], damage: bytes) -> None:
    before = _hash(root)
    (memory,) = (cache / "contents").glob("*.json")
    memory.write_bytes(damage)
    assert _hash(root) == before
    reads.clear()
    assert _hash(root) == before and reads == []


def test_without_a_cache_to_write_to_all_is_read_each_time(root: Path, cache: Path, reads: list[str]) -> None:
    cache.write_text("a file, where a folder should be")
    assert _hash(root) == _hash(root)
    assert len(reads) == 6


def test_files_that_are_gone_are_forgotten(root: Path, cache: Path) -> None:
    _hash(root)
    (root / "train/a").unlink()
    (root / "train/b").write_bytes(b"new")
    _hash(root)
    (memory,) = (cache / "contents").glob("*.json")
    assert str(root / "train/a") not in memory.read_text() and str(root / "train/b") in memory.read_text()


def test_a_file_that_is_gone_or_unreadable_is_named(root: Path) -> None:
    with pytest.raises(CorpusError, match=r"train/gone: cannot be read \(No such file or directory\)"):
        content_hash({"gone": root / "train/gone"}, root)
    with pytest.raises(CorpusError, match=r"train: cannot be read \(is no regular file\)"):
        content_hash({"train": root / "train"}, root)


def test_files_count_under_the_names_that_they_are_given(root: Path, tmp_path: Path) -> None:
    (tmp_path / "aside").write_bytes(b"x")
    (tmp_path / "other").write_bytes(b"x")
    aside, other = tmp_path / "aside", tmp_path / "other"
    assert content_hash({"a": aside}, root) == content_hash({"a": other}, root) != content_hash({"b": aside}, root)


def test_several_processes_come_to_the_same(root: Path) -> None:
    with ProcessPoolExecutor(3, get_context("spawn")) as pool:
        assert len(set(pool.map(_hash, [root] * 6))) == 1


def test_what_never_ends_is_refused_and_not_read(root: Path) -> None:
    os.mkfifo(root / "pipe")
    (root / "device").symlink_to("/dev/zero")
    with (root / "terabyte").open("wb") as file:
        file.truncate(2**40)
    for name, rule in (
        ("pipe", "is no regular file"),
        ("device", "is no regular file"),
        ("terabyte", "says that it holds"),
    ):
        with pytest.raises(CorpusError, match=rf"{name}: cannot be read \({rule}"):
            content_hash({name: root / name}, root)


def test_a_file_that_is_longer_than_the_memory_is_hashed(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = _hash(root)
    monkeypatch.setattr(bounded, "largest_array", lambda: 1)
    monkeypatch.setenv("GLOSSTUNE_CACHE", str(root.parent / "another"))
    assert _hash(root) == before


def test_a_terabyte_of_nothing_is_refused_and_a_long_file_that_holds_what_it_says_is_not(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contents, "_LONG", 1_000_000)
    (root / "train" / "c").write_bytes(bytes(range(256)) * 10_000)
    _hash(root)
    sparse(root / "train" / "d", b"", 2**40)
    with pytest.raises(
        CorpusError,
        match=r"train/d: cannot be read \(says that it holds 1,099.5 GB, and holds 0.0 GB: copy it again\)$",
    ):
        _hash(root)

"""A folder answers alike, whether it lies here or on object storage."""

from pathlib import Path

import pytest
from s3_server import S3Server

from glosstune.spaces.errors import FolderError, SettingError
from glosstune.spaces.files.folder import Folder, LocalFolder, folder_at
from glosstune.spaces.files.object_storage import ObjectFolder


@pytest.fixture(params=["here", "elsewhere"])
def folder(request: pytest.FixtureRequest, s3: S3Server, tmp_path: Path) -> Folder:
    if request.param == "here":
        return LocalFolder(tmp_path)
    return ObjectFolder(s3.uri(tmp_path.name), tmp_path)


def test_what_is_written_is_read_listed_and_removed(folder: Folder) -> None:
    assert (folder.names(), folder.names("a/"), folder.read("a/b")) == ({}, {}, None)
    folder.write("a/b", b"1")
    folder.write("a/c", b"2")
    folder.write("d", b"3")
    assert [folder.read(name) for name in ("a/b", "a/c", "d")] == [b"1", b"2", b"3"]
    assert (list(folder.names()), list(folder.names("a/"))) == (["a/b", "a/c", "d"], ["a/b", "a/c"])
    assert list(folder.names("a/", after="a/b")) == ["a/c"]
    folder.remove("a/b", "nothing")
    assert list(folder.names()) == ["a/c", "d"]


def test_a_file_that_must_be_new_takes_nobodys_place(folder: Folder) -> None:
    folder.write("event", b"1", new=True)
    with pytest.raises(FileExistsError):
        folder.write("event", b"2", new=True)
    assert folder.read("event") == b"1"
    assert list(folder.names()) == ["event"]


def test_a_tag_changes_with_the_content(folder: Folder) -> None:
    folder.write("a", b"1")
    before = folder.names()
    folder.write("a", b"two")
    assert before["a"] != folder.names()["a"]


def test_a_file_is_had_here_and_sent_back(folder: Folder) -> None:
    assert folder.fetch("a/b") is None
    folder.write("a/b", b"1")
    path = folder.fetch("a/b")
    assert path == folder.here / "a" / "b" and path.read_bytes() == b"1"
    path.write_bytes(b"2")
    folder.send("a/b")
    assert folder.read("a/b") == b"2"
    tag = folder.names()["a/b"]
    path.write_bytes(b"three")
    assert folder.replace("a/b", tag) == folder.names()["a/b"]
    assert folder.read("a/b") == b"three"


def test_a_folder_below_has_names_of_its_own(folder: Folder) -> None:
    below = folder.below("trials", "0003")
    below.write("last.pt", b"1")
    assert folder.read("trials/0003/last.pt") == b"1"
    assert list(below.names()) == ["last.pt"]
    assert below.here == folder.here / "trials" / "0003"


def test_what_is_forgotten_here_is_kept_where_the_folder_lies(folder: Folder) -> None:
    folder.write("a", b"1")
    folder.fetch("a")
    folder.forget()
    assert folder.read("a") == b"1"


def test_what_this_machine_has_of_a_removed_file_goes_too(s3: S3Server, tmp_path: Path) -> None:
    folder = ObjectFolder(s3.uri("removed"), tmp_path)
    (tmp_path / "a").write_bytes(b"old")
    assert folder.fetch("a") is None
    assert not (tmp_path / "a").exists()


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(FolderError, match=f"{tmp_path / 'a'}: cannot be read"):
        LocalFolder(tmp_path).read("a")


def test_a_place_says_which_folder_it_is(s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert isinstance(folder_at(s3.uri("a")), ObjectFolder)
    assert (folder_at("runs/a").place, folder_at("runs/a").here) == (str(tmp_path / "runs/a"), tmp_path / "runs/a")


def test_an_empty_place_is_refused() -> None:
    with pytest.raises(SettingError, match=r"^--out: is empty; name a folder, or leave it out$"):
        folder_at("", key="--out")

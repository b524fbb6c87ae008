import errno
import os
from pathlib import Path

import pytest

from glosstune.spaces import FolderError
from glosstune.spaces.files.atomic import write_whole


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    target = tmp_path / "new" / "file"
    for text in ("first", "second"):
        write_whole(target, lambda partial, text=text: partial.write_text(text))
        assert target.read_text() == text
    assert [path.name for path in target.parent.iterdir()] == ["file"]


def test_a_full_disk_is_named_and_the_old_file_stays(tmp_path: Path) -> None:
    target = tmp_path / "last.pt"
    target.write_text("old")

    def fill(partial: Path) -> None:
        partial.write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(FolderError, match=r"last\.pt: cannot be written: no space left"):
        write_whole(target, fill)
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["last.pt"]


def test_other_errors_pass_unchanged_and_leave_nothing(tmp_path: Path) -> None:
    def fail(partial: Path) -> None:
        partial.write_text("half")
        raise RuntimeError("something else")

    with pytest.raises(RuntimeError, match="something else"):
        write_whole(tmp_path / "file", fail)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FolderError, match=r"/file/new: cannot be written: (File exists|Not a directory)$"):
        write_whole(tmp_path / "file" / "new", lambda partial: partial.write_text(""))


def test_nothing_takes_the_place_of_a_pipe_or_a_folder(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name, rule in (("pipe", "is a device or a pipe"), ("folder", "is a folder")):
        with pytest.raises(FolderError, match=f"{name}: cannot be written: {rule}"):
            write_whole(tmp_path / name, lambda partial: partial.write_text("new"))
    assert {path.name for path in tmp_path.iterdir()} == {"pipe", "folder"}
    assert (tmp_path / "pipe").is_fifo()

"""Write files whole, beside their place first, then renamed into it."""

import errno
import hashlib
import os
import shutil
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from glosstune.spaces.errors import CheckpointError, FolderError
from glosstune.spaces.files.locks import held

_BLOCK = 1 << 24
# Windows renames nothing over a file that somebody, often a virus scanner, reads at this moment.
_READERS_S = 2.0


def write_whole(target: Path | str, write: Callable[[Path], object]) -> None:
    """Let ``write`` fill a file beside ``target``, then put it in place; a reader sees the old file or the new one.

    Raises:
        FolderError: the disk is full or the folder cannot be written, or what lies there is no plain file, such as
            /dev/stdout, which nothing may take the place of; ``target`` is as it was.
    """
    target = Path(target)
    if target.is_dir():
        raise FolderError(f"{target}: cannot be written: is a folder; name a file")
    if target.exists() and (not target.is_file() or target.absolute().parent == Path("/dev")):
        raise FolderError(f"{target}: cannot be written: is a device or a pipe; name a plain file")
    partial = target.with_name(f"{target.name}.{os.getpid()}.partial")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        write(partial)
        put(partial, target)
    except OSError as error:
        full = error.errno == errno.ENOSPC
        rule = "no space left on the disk; free some or choose another folder with --out" if full else error.strerror
        raise FolderError(f"{target}: cannot be written: {rule or error}") from error
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)


def write_text(target: Path | str, text: str) -> None:
    """``write_whole`` for a text, which has the same bytes on every system: UTF-8, and lines that end as it says.

    Raises:
        FolderError: as there.
    """
    content = text.encode()
    write_whole(target, lambda partial: partial.write_bytes(content))


def put(source: Path, target: Path) -> None:
    """Rename a file or folder, in the place of a file that may be there."""
    ends = time.monotonic() + _READERS_S
    while True:
        try:
            source.replace(target)
            return
        except PermissionError:
            if sys.platform != "win32" or time.monotonic() > ends:
                raise
            time.sleep(0.05)


def put_new(source: Path, target: Path) -> None:
    """Rename a file, in nobody's place.

    Raises:
        FileExistsError: there is one; ``source`` is as it was.
    """
    if sys.platform == "win32":
        source.rename(target)
    else:
        target.hardlink_to(source)  # which, unlike a renamed file, takes nobody's place
        source.unlink()


def reserve(path: Path, size: int) -> None:
    """Write a file of so many zero bytes: where a memory map finds the disk full, the process is killed wordlessly."""
    with path.open("wb") as file:
        for start in range(0, size, _BLOCK):
            file.write(bytes(min(_BLOCK, size - start)))


def fill_once(
    folder: Path, complete: str, what: str, fill: Callable[[Path], object], *, patience_s: float = -1
) -> None:
    """Let ``fill`` write a folder of a cache beside its place, then put it there; one process does, others wait.

    Args:
        complete: a file that every whole folder has.
        what: it holds, for the error.
        patience_s: seconds that others wait; below 0 for as long as that one lives.

    Raises:
        FolderError: the cache cannot be written; nothing half-written stays.
    """
    partial = folder.with_name(f"{folder.name}.partial")
    try:
        if (folder / complete).exists():  # a shared cache may be read-only
            return
        folder.parent.mkdir(parents=True, exist_ok=True)
        with held(lock_of(folder), patience_s):
            if (folder / complete).exists():
                return
            shutil.rmtree(partial, ignore_errors=True)
            try:
                partial.mkdir()
                fill(partial)
                shutil.rmtree(folder, ignore_errors=True)
                put(partial, folder)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
    except OSError as error:
        rule = f"cannot write {what} ({error}); name another folder with corpus.cache=FOLDER"
        raise FolderError(f"{folder.parent}: {rule}") from error


def lock_of(folder: Path) -> Path:
    """The lock of who fills a folder of a cache."""
    return folder.with_name(f"{folder.name}.lock")


def file_hash(path: Path) -> str:
    """SHA-256 of a file's content.

    Raises:
        CheckpointError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror}); give a file that is there") from error


def check_free(path: Path) -> None:
    """Fail before the minutes that the content may take; nothing is made.

    Raises:
        FolderError: the path exists, or cannot be made.
    """
    if path.exists():
        raise FolderError(f"{path}: exists already; give another one with --out or remove it")
    there = next(parent for parent in path.absolute().parents if parent.exists())
    if not there.is_dir() or not os.access(there, os.W_OK):
        raise FolderError(f"{path}: cannot be made, because {there} is no folder that you may write to")

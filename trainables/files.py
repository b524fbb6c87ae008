"""Write files whole, beside their place first, then renamed into it; and the place of a trial's files."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

from glosstune.spaces.errors import FolderError


def write_whole(target: Path, write: Callable[[Path], object]) -> None:
    """Let ``write`` fill a file beside ``target``, then put it in place; a reader sees the old file or the new one.

    Raises:
        FolderError: the disk is full or the folder cannot be written; ``target`` is as it was.
    """
    partial = target.with_name(f"{target.name}.{os.getpid()}.partial")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        write(partial)
        partial.replace(target)
    except OSError as error:
        partial.unlink(missing_ok=True)
        full = error.errno == errno.ENOSPC
        rule = "no space left on the disk; free some or choose another folder with --out" if full else str(error)
        raise FolderError(f"{target}: cannot be written: {rule}") from error


def trial_name(number: int) -> str:
    """Folder of a trial below ``trials`` in the folder of its sweep."""
    return f"{number:04d}"

"""Whether a new file or folder can be written where the user wants it, asked before the work that fills it."""

import os
from pathlib import Path

from glosstune.spaces.errors import FolderError


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

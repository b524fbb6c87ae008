"""One driver at a time on the folder of a sweep."""

import json
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from glosstune.spaces.errors import FolderError
from glosstune.trainables.files import write_whole

LOCK = "driver.lock"
OWNER = "driver.json"


class Driven(FolderError):
    """Another driver runs the sweep."""


@contextmanager
def owned(folder: Path) -> Iterator[None]:
    """Keep other drivers off a folder; the system lets go of it when this process ends, however it does.

    Raises:
        Driven: another driver lives.
    """
    lock = FileLock(folder / LOCK, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise Driven(f"{folder}: is being run by {_owner(folder)}; stop that first, or wait for its end") from None
    except OSError as error:
        raise FolderError(f"{folder}: cannot be locked: {error}") from error
    try:
        owner = json.dumps({"pid": os.getpid(), "host": platform.node()})
        write_whole(folder / OWNER, lambda partial: partial.write_text(owner, encoding="utf-8"))
        yield
    finally:
        lock.release()


def _owner(folder: Path) -> str:
    try:
        owner = json.loads((folder / OWNER).read_text(encoding="utf-8"))
        return f"process {owner['pid']} on {owner['host']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"

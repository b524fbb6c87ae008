"""One driver at a time on the folder of a sweep."""

import json
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from glosstune.spaces.errors import FolderError
from glosstune.spaces.files.atomic import write_whole

LOCK = "driver.lock"
OWNER = "driver.json"


class Driven(FolderError):
    """Another driver runs the sweep."""


@contextmanager
def owned(folder: Path) -> Iterator[None]:
    """Keep other drivers off a folder; the system lets go of it when this process ends, however it does.

    Raises:
        Driven: another driver lives.
        FolderError: it holds a link that leads out of it.
    """
    refuse_links(folder)
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


def refuse_links(folder: Path) -> None:
    """Raise FolderError where a link leads out of a folder: whoever made it would have files elsewhere written to."""
    whole = folder.resolve()
    for parent, folders, files in os.walk(folder):
        for path in (Path(parent, name) for name in (*folders, *files)):
            if path.is_symlink() and not path.resolve().is_relative_to(whole):
                rule = f"is a link out of the folder, to {path.resolve()}, which would be written to"
                raise FolderError(f"{path}: {rule}; put there what it leads to, or remove it")
        # W&B links each run's folder to a log in its cache, and begins a new folder for the next run.
        folders[:] = [name for name in folders if Path(parent, name) != folder / "wandb"]


def _owner(folder: Path) -> str:
    try:
        owner = json.loads((folder / OWNER).read_text(encoding="utf-8"))
        return f"process {owner['pid']} on {owner['host']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"

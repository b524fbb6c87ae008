"""Keep the cache of frozen layers within its limit: what has not been used for longest goes first."""

import os
import shutil
import sys
from contextlib import AbstractContextManager, ExitStack, nullcontext
from pathlib import Path

from glosstune.spaces.files.locks import Held, held
from glosstune.trainables.activations.store import COMPLETE, hold

# Bytes of the disk that stay free for checkpoints.
LEFT_FREE = 1 << 30


def make_room(home: Path, needed: int, limit: int) -> bool:
    """Remove stores until another of so many bytes fits; False, with nothing removed, where it cannot.

    A store that is being read stays: its room is not free before its readers end, and on NFS they would lose it.

    Args:
        home: the folder of all stores.
        limit: bytes that they may take together.
    """
    if needed > limit:
        return False
    _remove_abandoned(home)
    stores = [(path, _size(path)) for path in home.iterdir() if path.is_dir()]
    free = min(limit - sum(size for _, size in stores), shutil.disk_usage(home).free - LEFT_FREE)
    with ExitStack() as claims:
        doomed = []
        for path, size in sorted(stores, key=_oldest):
            if free >= needed:
                break
            if "." in path.name:
                continue  # somebody builds it
            claim = _claim(path)
            if claim is not None:
                claims.enter_context(claim)
                doomed.append(path)
                free += size
        if free < needed:
            return False
        for path in doomed:
            remove(path)
    return True


def _claim(store: Path) -> AbstractContextManager[object] | None:
    """Keep others from reading a store; None where one does, it is another user's, or gone."""
    try:
        if sys.platform != "win32":
            return hold(store, alone=True)
        # Windows renames no file that is open; and whoever opens it from now on keeps the folder from being renamed.
        tried = store / f"{COMPLETE}.claimed"
        (store / COMPLETE).replace(tried).replace(store / COMPLETE)
        return nullcontext()
    except OSError:
        return None


def mark_used(store: Path) -> None:
    """Remember that a store was opened now."""
    try:
        os.utime(store / COMPLETE)
    except OSError:
        return  # a cache that others filled may be read-only


def remove(store: Path) -> None:
    """Remove a store; who opens it meanwhile finds it whole or gone."""
    gone = store.with_name(f"{store.name}.{os.getpid()}.gone")
    try:
        store.replace(gone)
    except OSError:
        return  # another process was first
    shutil.rmtree(gone, ignore_errors=True)


def _remove_abandoned(home: Path) -> None:
    """Remove what builders left that were killed: nobody holds their lock any more."""
    for partial in [*home.glob("*.partial"), *home.glob("*.gone")]:
        name = partial.name.split(".")[0]
        try:
            with held(home / f"{name}.lock", patience_s=0):
                shutil.rmtree(partial, ignore_errors=True)
        except Held:
            continue


def _size(folder: Path) -> int:
    try:
        return sum(file.stat().st_size for file in folder.iterdir())
    except OSError:
        return 0  # another process removes it


def _last_use(folder: Path) -> float:
    try:
        return (folder / COMPLETE).stat().st_mtime
    except OSError:
        return 0.0  # not whole, or another process removes it


def _oldest(store: tuple[Path, int]) -> float:
    return _last_use(store[0])

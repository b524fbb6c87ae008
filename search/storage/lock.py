"""One driver at a time on the folder of a sweep."""

import json
import os
import platform
import stat
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from glosstune.results.reading.names import LOCK, OWNER, WANDB
from glosstune.spaces.errors import FolderError, quoted
from glosstune.spaces.files.addresses import is_uri, local_folder
from glosstune.spaces.files.atomic import write_text
from glosstune.spaces.files.bounded import parse_json, read_bytes
from glosstune.spaces.files.locks import BEAT_S, SILENCE_S, Held, Hold, held, lives, read_holder
from glosstune.spaces.files.object_storage import ObjectFolder

# Whoever asks whether a lock is free has it for as long.
_INSTANT_S = 0.1


class Driven(FolderError):
    """Another driver runs the sweep."""


@contextmanager
def owned(folder: Path, place: str | None = None) -> Iterator[Hold]:
    """Keep other drivers off a folder; the system lets go of it when this process ends, however it does.

    Args:
        place: what users call it, if not the folder.

    Yields what tells whether it still does: on a file system without locks, a driver that stood still, as on a machine
    that sleeps, may have been replaced.

    Raises:
        Driven: another driver lives.
        FolderError: it holds a link that leads out of it.
    """
    refuse_links(folder)
    with _locked(folder, place or str(folder)) as hold:
        owner = json.dumps({"pid": os.getpid(), "host": platform.node()})
        write_text(folder / OWNER, owner)
        yield hold


def check_idle(folder: Path) -> None:
    """Raise Driven where another driver lives; the sweep is left as it is."""
    if (folder / LOCK).is_file():
        with _locked(folder, str(folder)):
            return


@contextmanager
def _locked(folder: Path, place: str) -> Iterator[Hold]:
    with ExitStack() as stack:
        try:
            hold = stack.enter_context(held(folder / LOCK, patience_s=_INSTANT_S))
        except Held:
            raise _living(folder, place) from None
        except OSError as error:
            raise FolderError(f"{folder}: cannot be locked: {error}") from error
        yield hold


def _living(folder: Path, place: str) -> Driven:
    """Whoever holds the lock, as it says itself, or as it has written before."""
    holder = read_holder(folder / LOCK)
    if holder is None:
        known = read_owner(folder)
        return _driven(place, "another process" if known is None else f"process {known[0]} on {known[1]}")
    gone = f"; if that machine is gone for good, remove {folder / LOCK}" if holder.is_elsewhere else ""
    return _driven(place, str(holder), gone)


def refuse_links(folder: Path) -> None:
    """Raise FolderError where a link leads out of a folder: whoever made it would have files elsewhere written to.

    So it is where something is neither a file nor a folder: whoever opens a pipe may wait for ever.
    """
    whole = os.path.realpath(folder)
    for parent, folders, files in os.walk(folder):
        for path in (Path(parent, name) for name in (*folders, *files)):
            if not (path.is_dir() or path.is_file()) and path.exists():
                raise FolderError(f"{path}: is a pipe or a device, and no regular file; remove it")
            if _leads_on(path):
                target = Path(os.path.realpath(path))  # which follows a loop of links nowhere
                if not target.is_relative_to(whole):
                    rule = f"is a link out of the folder, to {target}, which would be written to"
                    raise FolderError(f"{path}: {rule}; put there what it leads to, or remove it")
        # W&B links each run's folder to a log in its cache, and begins a new folder for the next run.
        folders[:] = [name for name in folders if Path(parent, name) != folder / WANDB]


def _leads_on(path: Path) -> bool:
    """Whether it is a link, or a junction, which is one that Windows lets anybody make."""
    if sys.platform == "win32":
        return path.is_symlink() or path.lstat().st_reparse_tag == stat.IO_REPARSE_TAG_MOUNT_POINT
    return path.is_symlink()


def _driven(place: object, who: str, more: str = "") -> Driven:
    watch = f"glosstune watch {quoted(str(place))}"
    rule = f"is being run by {who}; look at it with: {watch}; or stop that first, or wait for its end"
    return Driven(f"{place}: {rule}{more}")


def read_owner(place: Path | str) -> tuple[int, str] | None:
    """Process and machine of the driver that has a sweep, or had it last; None where nobody has said so.

    Raises:
        FolderError: the object storage cannot be read.
    """
    try:
        if is_uri(place):
            known = _read(ObjectFolder(str(place), local_folder(str(place), "copies")))
        else:
            known = _parse(read_bytes(Path(place) / OWNER))
        return None if known is None else (int(known["pid"]), str(known["host"]))
    except (KeyError, OSError, TypeError, ValueError):
        return None


@contextmanager
def leased(storage: ObjectFolder) -> Iterator[None]:
    """Hold a sweep on object storage; a driver that has gone silent is waited for, then replaced.

    Raises:
        Driven: another driver lives.
    """
    _wait_for_silence(storage)
    stop = threading.Event()
    owner = {"pid": os.getpid(), "host": platform.node(), "id": uuid.uuid4().hex}
    _beat(storage, owner, 0)
    thread = threading.Thread(target=_keep_beating, args=(storage, owner, stop), daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(timeout=BEAT_S)  # it may be waiting for a storage that does not answer
        with suppress(FolderError):
            if (_read(storage) or {}).get("id") == owner["id"]:
                storage.remove(OWNER)


def _wait_for_silence(storage: ObjectFolder) -> None:
    first = _read(storage)
    if first is None or _has_died_here(first):
        return
    who = f"process {first.get('pid')} on {first.get('host')}"
    ends = time.monotonic() + SILENCE_S
    while time.monotonic() < ends:
        time.sleep(BEAT_S / 4)
        now = _read(storage)
        if now is None:
            return
        if now != first:
            raise _driven(storage.place, who)


def _has_died_here(owner: dict[str, Any]) -> bool:
    if owner.get("host") != platform.node() or not isinstance(owner.get("pid"), int):
        return False
    return lives(owner["pid"]) is False or owner["pid"] == os.getpid()


def _keep_beating(storage: ObjectFolder, owner: dict[str, Any], stop: threading.Event) -> None:
    beat = 0
    while not stop.wait(BEAT_S):
        beat += 1
        with suppress(FolderError):  # whoever cannot beat for a while can write no record either
            if (_read(storage) or owner).get("id") != owner["id"]:
                return
            _beat(storage, owner, beat)


def _beat(storage: ObjectFolder, owner: dict[str, Any], beat: int) -> None:
    storage.write(OWNER, json.dumps({**owner, "beat": beat}).encode())


def _read(storage: ObjectFolder) -> dict[str, Any] | None:
    return _parse(storage.read(OWNER) or b"null")


def _parse(content: bytes) -> dict[str, Any] | None:
    try:
        owner = parse_json(content)
    except ValueError:
        return None
    return owner if isinstance(owner, dict) else None
